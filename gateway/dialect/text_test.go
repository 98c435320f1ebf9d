package dialect

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// texts gathers what a reader gives away.
type texts map[TextPart]string

func (x texts) emit(p TextPart, text []byte) { x[p] += string(text) }

// textOf reads parts as the log has them: an event that the stream's end cut off is left out.
func textOf(d Dialect, parts []heldPart) (texts, *TextReader) {
	x := texts{}
	r := NewTextReader(d, Request{Stream: true}, eventStream)
	for _, p := range parts {
		if p.more || p.whole {
			r.Event([]byte(p.data), p.more, x.emit)
		}
	}
	r.Flush(x.emit)
	return x, r
}

// plainText is the text of a recording by kind, read in another way: all strings of those names, wherever in
// a chunk's delta they are, but once where reasoning is said under two names.
func plainText(t *testing.T, r recording) map[TextKind]string {
	t.Helper()
	got := map[TextKind]string{}
	names := map[string]TextKind{
		"content": Content, "text": Content, "refusal": Refusal, "reasoning_content": Thinking, "reasoning": Thinking,
		"thinking": Thinking, "arguments": Call, "partial_json": Call, "name": Call,
	}
	var walk func(v any, under TextKind)
	walk = func(v any, under TextKind) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e, under)
			}
		case map[string]any:
			if kind, _ := v["type"].(string); strings.HasSuffix(kind, "_tool_result") {
				return
			}
			keys := slices.Sorted(maps.Keys(v))
			for _, name := range slices.Backward(keys) { // a call's name, then its arguments
				kind, ok := names[name]
				if !ok && name != "tool_calls" && name != "function" {
					continue
				}
				if under == Thinking {
					kind = Thinking
				}
				if s, isText := v[name].(string); !isText {
					walk(v[name], kind)
				} else if s != "" {
					got[kind] += s
				}
			}
		}
	}
	for _, p := range split(NewSSE(0), r.body) {
		_, data, _ := strings.Cut(p.data, "data: ")
		var chunk struct {
			Choices []struct{ Delta map[string]any }
			Delta   map[string]any
			Block   map[string]any `json:"content_block"`
		}
		if !p.whole || json.Unmarshal([]byte(data), &chunk) != nil {
			continue
		}
		for _, c := range chunk.Choices {
			walk(c.Delta, Content)
		}
		walk(chunk.Block, Content)
		walk(chunk.Delta, Content)
	}
	return got
}

func TestRecordedTexts(t *testing.T) {
	for _, r := range recordings(t) {
		if r.dialect == Gemini || r.dialect == Cohere || r.endpoint == endpointResponses || r.endpoint == endpointCompletions {
			continue // whose text has other names, or places: in tests of their own
		}
		t.Run(r.name, func(t *testing.T) {
			x, reader := textOf(r.dialect, split(NewSSE(0), r.body))
			want := plainText(t, r)
			got := map[TextKind]string{}
			for _, p := range slices.SortedFunc(maps.Keys(x), func(a, b TextPart) int { return a.Index - b.Index }) {
				if p.Choice != 0 {
					t.Errorf("choice %d of one", p.Choice)
				}
				got[p.Kind] += x[p]
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %.300q\nwant %.300q", fmt.Sprint(got), fmt.Sprint(want))
			}
			tags := r.column("tags")
			if shown := strings.Contains(tags, "thinking-visible"); reader.Thought() != shown || reader.Lost() {
				t.Errorf("thought %v, lost %v; tags are %q", reader.Thought(), reader.Lost(), tags)
			}
			// The log has large events in parts.
			if parts, _ := textOf(r.dialect, split(NewSSE(100), r.body)); !maps.Equal(parts, x) {
				t.Errorf("in parts: %v, want %v", parts, x)
			}
		})
	}
}

func TestTexts(t *testing.T) {
	content, thinking, call := TextPart{}, TextPart{Kind: Thinking}, TextPart{Kind: Call}
	for _, test := range []struct {
		name    string
		dialect Dialect
		events  []string
		want    texts
	}{
		{"choices", OpenAI, frames(`{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a","refusal":"no"}}]}`),
			texts{content: "a", {Choice: 1}: "b", {Kind: Refusal}: "no"}},
		{"reasoning under two names", OpenAI, frames(`{"choices":[{"delta":{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm"}]}}]}`,
			`{"choices":[{"delta":{"reasoning":"!","reasoning_content":"!"}}]}`), texts{thinking: "hm!"}},
		{"reasoning details alone", OpenAI, frames(`{"choices":[{"delta":{"reasoning":null,"reasoning_details":[{"summary":"a"},{"text":"b"},{"data":"encrypted"}]}}]}`), texts{thinking: "ab"}},
		{"parts", OpenAI, frames(`{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}}]}`), texts{content: "a", thinking: "hm"}},
		{"a name said again", OpenAI, frames(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}},{"index":1,"function":{"name":"f","arguments":"[]"}}]}}]}`),
			texts{call: "f{}", {Kind: Call, Index: 1}: "f[]"}},
		{"a custom tool", OpenAI, frames(`{"choices":[{"delta":{"tool_calls":[{"index":0,"custom":{"name":"f","input":"x"}}]}}]}`), texts{call: "fx"}},
		{"an object", OpenAI, frames(`{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}}]}`), texts{call: `f{"a":1}`}},
		{"a function call", OpenAI, frames(`{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{}"}}}]}`), texts{call: "f{}"}},
		{"audio", OpenAI, frames(`{"choices":[{"delta":{"audio":{"id":"x","data":"AAAA","transcript":"hi"}}}]}`), texts{{Kind: Transcript}: "hi"}},
		{"not text", OpenAI, frames(`{"choices":[{"delta":{"role":"assistant","content":null,"annotations":[{"text":"x"}]}}],"obfuscation":"xyz","usage":{"x":"y"}}`, `[DONE]`, `{"choices":7}`, `{"choices":[null,"x"]}`, `7`), texts{}},
		{"lines", OpenAI, frames("event: x\r\n: c\r\ndata: {\"choices\":\r\ndata:[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n", "\xef\xbb\xbfdata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\r\r", "event: x\n\n"), texts{content: "ab"}},
		{"blocks", Anthropic, frames(
			`{"type":"message_start","message":{"content":[],"usage":{"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eo"}}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"a"}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"b"}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"cited_text":"x"}}}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{ }}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}`,
			`{"type":"content_block_start","index":3,"content_block":{"type":"redacted_thinking","data":"xx"}}`,
			`{"type":"content_block_start","index":4,"content_block":{"type":"web_search_tool_result","content":[{"text":"x"}]}}`,
			`{"type":"content_block_start","index":5,"content_block":{"type":"server_tool_use","name":"web_search","input":{"query":"q"}}}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":"z"}}`),
			texts{thinking: "hm", {Index: 1}: "ab", {Kind: Call, Index: 2}: "f{}", {Kind: Call, Index: 5}: `web_search{"query":"q"}`}},
	} {
		x, r := textOf(test.dialect, hold(wholeParts(test.events)))
		if !maps.Equal(x, test.want) || r.Lost() {
			t.Errorf("%s: lost %v, %v, want %v", test.name, r.Lost(), x, test.want)
		}
	}
}

func wholeParts(events []string) []Part {
	var parts []Part
	for _, e := range events {
		parts = append(parts, Part{Data: []byte(e), Whole: true})
	}
	return parts
}

func TestBodyTexts(t *testing.T) {
	for _, test := range []struct {
		name    string
		dialect Dialect
		body    string
		want    texts
		lost    bool
	}{
		{"chat", OpenAI, `{"choices":[{"message":{"content":"a","reasoning_content":"hm","tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":""}}]}},{"index":1,"message":{"content":"b"}}]}`,
			texts{{}: "a", {Kind: Thinking}: "hm", {Kind: Call}: "f{}", {Kind: Call, Index: 1}: "g", {Choice: 1}: "b"}, false},
		{"message", Anthropic, `{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"},{"type":"tool_use","name":"f","input":{}}],"usage":{}}`,
			texts{{Kind: Thinking}: "hm", {Index: 1}: "a", {Kind: Call, Index: 2}: "f{}"}, false},
		{"an error", OpenAI, `{"error":{"message":"no"}}`, texts{}, false},
		{"cut off", OpenAI, `{"choices":[{"message":{"content":"a"}}]`, texts{}, true},
		{"nothing", OpenAI, ``, texts{}, false},
	} {
		x := texts{}
		r := NewTextReader(test.dialect, Request{}, "application/json")
		for c := range slices.Chunk([]byte(test.body), 7) {
			r.Event(c, false, x.emit)
		}
		if len(x) > 0 {
			t.Errorf("%s: text before the end", test.name)
		}
		r.Flush(x.emit)
		if !maps.Equal(x, test.want) || r.Lost() != test.lost {
			t.Errorf("%s: lost %v, %v, want %v", test.name, r.Lost(), x, test.want)
		}
	}
}

// An event beyond the limit is lost; the ones around it aren't.
func TestLostText(t *testing.T) {
	x := texts{}
	r := NewTextReader(OpenAI, Request{Stream: true}, eventStream)
	event := func(text string) []byte {
		return []byte(frames(`{"choices":[{"delta":{"content":"` + text + `"}}]}`)[0])
	}
	r.Event(event("a"), false, x.emit)
	large := event(strings.Repeat("x", maxGathered))
	r.Event(large[:maxGathered/2], true, x.emit)
	r.Event(large[maxGathered/2:], false, x.emit)
	r.Event(event("b"), false, x.emit)
	if got := x[TextPart{}]; got != "ab" || !r.Lost() {
		t.Errorf("%d bytes of text, lost %v", len(got), r.Lost())
	}
}
