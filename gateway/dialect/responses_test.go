package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/token"
)

var responsesCall = Request{Endpoint: endpointResponses, Stream: true, Choices: 1}

const (
	respCreated = `{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","model":"gpt-5.5","service_tier":"auto","status":"in_progress","incomplete_details":null,"error":null,"usage":null}}`
	respDelta   = `{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"hi","logprobs":[],"obfuscation":"x1y2"}`
	respUsageOf = `"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":10},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":39}`
	respDone    = `{"type":"response.completed","sequence_number":9,"response":{"id":"resp_1","model":"gpt-5.5","service_tier":"default","status":"completed","incomplete_details":null,"error":null,"output":[{"type":"message","status":"completed","content":[{"type":"output_text","text":"hi"}]}],` + respUsageOf + `}}`
)

func TestResponsesSigns(t *testing.T) {
	typed := func(eventType, rest string) string { return `{"type":"` + eventType + `"` + rest + `}` }
	for _, test := range []struct {
		name   string
		events []string
		want   []Sign
	}{
		{"usual", []string{respCreated, respDelta, respDelta, respDone}, []Sign{Plain, Text, Text, Terminal}},
		{"incomplete", []string{respDelta, typed("response.incomplete", `,"response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}`)}, []Sign{Text, Terminal}},
		{"failed", []string{respDelta, typed("response.failed", `,"response":{"status":"failed","error":{"code":"server_error"},"usage":null}`), respDone}, []Sign{Text, Failure, Plain}},
		{"cancelled", []string{typed("response.cancelled", `,"response":{"status":"cancelled"}`)}, []Sign{Failure}},
		{"error", []string{respDelta, typed("error", `,"code":"rate_limit_exceeded","message":"slow down","param":null,"sequence_number":5`)}, []Sign{Text, Failure}},
		{"error event", []string{"event: error\ndata: {\"message\":\"x\"}\n\n"}, []Sign{Failure}},
		{"error event without JSON", []string{"event: error\ndata: sorry\n\n"}, []Sign{Failure}},
		{"error in the shape of chat", []string{`{"error":{"message":"overloaded","code":503}}`}, []Sign{Failure}},
		{"no error", []string{`{"error":null}`, `{"error":{}}`, typed("response.in_progress", `,"error":{"a":1}`)}, []Sign{Plain, Plain, Plain}},
		{"the name alone ends nothing", []string{"event: response.completed\ndata: {\"response\":{\"status\":\"completed\"}}\n\n"}, []Sign{Plain}},
		{"the type decides", []string{"event: response.completed\ndata: " + respDelta + "\n\n", "event: x\ndata: " + respDone + "\n\n"}, []Sign{Text, Terminal}},
		{"type last", []string{`{"response":{"status":"completed"},"type":"response.completed"}`}, []Sign{Terminal}},
		{"done", []string{respDone, "[DONE]"}, []Sign{Terminal, Plain}},
		{"done without an end", []string{respDelta, "[DONE]"}, []Sign{Text, Plain}},
		{"twice", []string{respDone, respCreated, respDelta, respDone}, []Sign{Terminal, Plain, Text, Plain}},
		{"cut", []string{respDone[:len(respDone)-1], respDone + "}"}, []Sign{Plain, Plain}},

		{"refusal", []string{typed("response.refusal.delta", `,"delta":"No"`)}, []Sign{Text}},
		{"arguments", []string{typed("response.function_call_arguments.delta", `,"delta":"{"`)}, []Sign{Text}},
		{"other tools", []string{typed("response.mcp_call_arguments.delta", `,"delta":"{"`), typed("response.code_interpreter_call_code.delta", `,"delta":"n"`), typed("response.custom_tool_call_input.delta", `,"delta":"x"`)}, []Sign{Text, Text, Text}},
		{"reasoning", []string{typed("response.reasoning_text.delta", `,"delta":"Hm"`), typed("response.reasoning_summary_text.delta", `,"delta":"Thinking"`)}, []Sign{Text, Plain}},
		{"no text", []string{typed("response.output_text.delta", `,"delta":""`), typed("response.audio.delta", `,"delta":"AAAA"`), typed("response.shell_call_output_content.delta", `,"delta":{"stdout":"x"}`), typed("response.output_text.done", `,"text":"hi"`)}, []Sign{Plain, Plain, Plain, Plain}},

		{"quoted", []string{typed("response.output_text.delta", `,"delta":"{\"type\":\"response.completed\"}"`), typed("response.output_text.done", `,"text":"\",\"type\":\"response.completed\""`)}, []Sign{Text, Plain}},
		{"deeper", []string{typed("response.output_item.done", `,"item":{"type":"response.completed","error":{"a":1},"delta":"x"}`)}, []Sign{Plain}},
		{"escaped", []string{`{"t\u0079pe":"response\u002ecompleted"}`}, []Sign{Terminal}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for size := range 40 {
				o := OpenAI.Observe(responsesCall, eventStream)
				var got []Sign
				for _, e := range frames(test.events...) {
					if size == 0 {
						got = append(got, o.Event([]byte(e)))
					} else {
						got = append(got, large(t, o, e, size))
					}
				}
				if !slices.Equal(got, test.want) {
					t.Fatalf("in parts of %d bytes: signs %v, want %v", size, got, test.want)
				}
			}
		})
	}
}

func TestResponsesUsage(t *testing.T) {
	done := func(usage string) string { return `{"type":"response.completed","response":{` + usage + `}}` }
	for _, test := range []struct {
		name   string
		events []string
		want   token.Usage
		final  bool
	}{
		{"usual", []string{respCreated, respDelta, respDone}, token.Usage{Input: token.Known(20), CacheRead: token.Known(10), Output: token.Known(9), Reasoning: token.Known(4), ServiceTier: "default"}, true},
		{"cut", []string{respCreated, respDelta}, token.Usage{}, false},
		{"zeros before anything was generated", []string{`{"type":"response.created","response":{"usage":{"input_tokens":0,"output_tokens":0}}}`, respDelta}, token.Usage{}, false},
		{"failed without", []string{`{"type":"response.failed","response":{"usage":null}}`}, token.Usage{}, false},
		{"failed with", []string{`{"type":"response.failed","response":{"usage":{"input_tokens":5,"output_tokens":2}}}`}, token.Usage{Input: token.Known(5), Output: token.Known(2)}, true},
		{"written to the cache", []string{done(`"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":20,"cache_write_tokens":30},"output_tokens":1}`)},
			token.Usage{Input: token.Known(50), CacheRead: token.Known(20), CacheWrite5m: token.Known(30), Output: token.Known(1)}, true},
		{"more from the cache than there is", []string{done(`"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":20},"output_tokens":1,"output_tokens_details":{"reasoning_tokens":3}}`)},
			token.Usage{Input: token.Known(5), Output: token.Known(1), Reasoning: token.Known(1)}, true},
		{"searches", []string{done(`"tool_usage":{"web_search":{"num_requests":3}},"usage":{"input_tokens":5,"output_tokens":1}`)},
			token.Usage{Input: token.Known(5), Output: token.Known(1), Tools: map[string]int64{"web_search": 3}}, true},
		{"xai", []string{done(`"usage":{"input_tokens":5,"output_tokens":1,"num_sources_used":2,"num_server_side_tools_used":1,"cost_in_usd_ticks":44168500}`)},
			token.Usage{Input: token.Known(5), Output: token.Known(1), CostUSD: "0.00441685", Tools: map[string]int64{"search_source": 2, "server_side_tool": 1}}, true},
		{"openrouter", []string{done(`"usage":{"input_tokens":5,"output_tokens":1,"cost":1.13e-05}`)}, token.Usage{Input: token.Known(5), Output: token.Known(1), CostUSD: "0.0000113"}, true},
		{"nonsense", []string{done(`"usage":{"input_tokens":-5,"output_tokens":"1"}`), done(`"usage":[1]`)}, token.Usage{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := OpenAI.Observe(responsesCall, eventStream)
			for _, e := range frames(test.events...) {
				o.Event([]byte(e))
			}
			if got, final := o.Usage(); !reflect.DeepEqual(got, test.want) || final != test.final {
				t.Errorf("%+v, final %v, want %+v, %v", got, final, test.want, test.final)
			}
			// The same response in one body.
			var last struct{ Response json.RawMessage }
			if err := json.Unmarshal([]byte(test.events[len(test.events)-1]), &last); err != nil || last.Response == nil {
				return
			}
			body := OpenAI.Observe(responsesCall, "application/json")
			body.Event(last.Response)
			if got, final := body.Usage(); !reflect.DeepEqual(got, test.want) || final != test.final || !body.Whole() {
				t.Errorf("body: %+v, final %v, whole %v, want %+v, %v", got, final, body.Whole(), test.want, test.final)
			}
		})
	}
}

func TestResponsesNamesAndReasons(t *testing.T) {
	incomplete := `{"type":"response.incomplete","response":{"id":"resp_1","model":"gpt-5.5","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":null}}`
	for _, test := range []struct {
		event, reason string
		sign          Sign
	}{
		{respDone, "completed", Plain},
		{incomplete, "max_output_tokens", Plain},
		{strings.NewReplacer("response.incomplete", "response.failed", `"status":"incomplete"`, `"status":"failed"`, `{"reason":"max_output_tokens"}`, "null").Replace(incomplete), "failed", Failure},
		{strings.NewReplacer("response.incomplete", "response.queued", `"status":"incomplete"`, `"status":"queued"`, `{"reason":"max_output_tokens"}`, "null", `"usage":null`, `"usage":{"input_tokens":0,"output_tokens":0}`).Replace(incomplete), "queued", Plain},
	} {
		o := OpenAI.Observe(responsesCall, eventStream)
		o.Event([]byte("data: " + respCreated + "\n\n"))
		o.Event([]byte("data: " + test.event + "\n\n"))
		want := []string{test.reason}
		if test.reason == "queued" {
			want = nil // it ends no stream
		}
		if o.ResponseID() != "resp_1" || o.Model() != "gpt-5.5" || !slices.Equal(o.FinishReasons(), want) {
			t.Errorf("%s: %q, %q, %q", test.reason, o.ResponseID(), o.Model(), o.FinishReasons())
		}
		var event struct{ Response json.RawMessage }
		if err := json.Unmarshal([]byte(test.event), &event); err != nil {
			t.Fatal(err)
		}
		for size := 1; size <= len(event.Response); size += 7 {
			b := OpenAI.Observe(responsesCall, "application/json")
			sign := Plain
			for piece := range slices.Chunk(event.Response, size) {
				sign |= b.Event(piece)
			}
			if sign != test.sign || !b.Whole() || b.ResponseID() != "resp_1" || b.Model() != "gpt-5.5" || !slices.Equal(b.FinishReasons(), []string{test.reason}) {
				t.Fatalf("%s in reads of %d: sign %v, whole %v, %q, %q, %q", test.reason, size, sign, b.Whole(), b.ResponseID(), b.Model(), b.FinishReasons())
			}
			if _, final := b.Usage(); test.reason == "queued" && final {
				t.Fatal("what is queued has no usage")
			}
		}
	}
	if b := OpenAI.Observe(responsesCall, "application/json"); b.Event([]byte(`{"error":{"message":"x"}}`)) != Failure {
		t.Error("an error in place of a response is none")
	}
}

func TestParseResponsesAndCompletions(t *testing.T) {
	for _, test := range []struct {
		endpoint, body string
		want           Request
	}{
		{endpointResponses, `{"model":"gpt-5.5","input":"hi","stream":true,"max_output_tokens":99,"service_tier":"flex","background":true,"n":7,"max_tokens":null}`,
			Request{Model: "gpt-5.5", Stream: true, Choices: 1, MaxTokens: 99, ServiceTier: "flex", Background: true}},
		{endpointResponses, `{"input":[{"role":"user","content":"hi"}],"max_output_tokens":"9","background":null,"stream_options":{"include_obfuscation":false}}`, Request{Choices: 1}},
		{endpointResponses, `{"max_output_tokens":{"a":1},"background":"true","prompt":{"id":"p","variables":{}}}`, Request{Choices: 1}},
		{endpointChat, `{"background":true,"best_of":9,"prompt":["a","b"],"max_output_tokens":9}`, Request{Choices: 1}},
		{endpointCompletions, `{"model":"davinci-002","prompt":"hi","n":2,"max_tokens":7,"stream":true,"stream_options":{"include_usage":false}}`,
			Request{Model: "davinci-002", Stream: true, Choices: 2, MaxTokens: 7, IncludeUsage: new(bool)}},
		{endpointCompletions, `{"n":2,"best_of":5,"prompt":["a","b","c"]}`, Request{Choices: 15}},
		{endpointCompletions, `{"prompt":[1,2,3,4]}`, Request{Choices: 1}},
		{endpointCompletions, `{"prompt":[[1,2],[3,4]],"best_of":null}`, Request{Choices: 2}},
		{endpointCompletions, `{"prompt":[],"n":null}`, Request{Choices: 1}},
	} {
		test.want.Endpoint = test.endpoint
		if got, err := OpenAI.Parse(test.endpoint, []byte(test.body)); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v, want %+v", test.body, got, err, test.want)
		}
	}
	for _, bad := range []string{`{"n":0}`, `{"n":"2"}`, `{"stream_options":7}`} {
		if _, err := OpenAI.Parse(endpointCompletions, []byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestCompletions(t *testing.T) {
	call := Request{Endpoint: endpointCompletions, Stream: true, Choices: 2}
	chunk := func(i int, text, finish string) string {
		return fmt.Sprintf(`{"id":"cmpl-1","object":"text_completion","model":"davinci-002","choices":[{"text":%q,"index":%d,"logprobs":null,"finish_reason":%s}],"usage":null}`, text, i, finish)
	}
	events := frames(chunk(0, "a", "null"), chunk(1, "b", "null"), chunk(0, "", `"stop"`), chunk(1, "c", `"length"`),
		`{"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}`, "[DONE]")
	o := OpenAI.Observe(call, eventStream)
	var got []Sign
	var shown int
	view := NewUsageView()
	reader := NewTextReader(OpenAI, call, eventStream)
	text := texts{}
	for _, e := range events {
		got = append(got, o.Event([]byte(e)))
		reader.Event([]byte(e), false, func(p TextPart, b []byte) { text[p] += string(b) })
		if e := view.Event([]byte(e)); e != nil {
			shown++
			if bytes.Contains(e, []byte("usage")) {
				t.Errorf("shown: %s", e)
			}
		}
	}
	if want := []Sign{Text, Text, Plain, Text | Terminal, Plain, Plain}; !slices.Equal(got, want) {
		t.Errorf("signs %v, want %v", got, want)
	}
	if u, final := o.Usage(); !final || u.Input != token.Known(5) || u.Output != token.Known(3) || shown != 5 {
		t.Errorf("usage %+v, final %v, %d events shown", u, final, shown)
	}
	if want := (texts{{}: "a", {Choice: 1}: "bc"}); !maps.Equal(text, want) {
		t.Errorf("texts %v", text)
	}
	b := OpenAI.Observe(call, "application/json")
	sign := b.Event([]byte(`{"id":"cmpl-1","model":"m","choices":[{"text":"a","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1}}`))
	if u, final := b.Usage(); sign != Plain || !final || u.Output != token.Known(1) || !b.Whole() || !slices.Equal(b.FinishReasons(), []string{"stop"}) {
		t.Errorf("body: %v, %+v, %v, %q", sign, u, final, b.FinishReasons())
	}
}

func TestRecordedResponsesTexts(t *testing.T) {
	for _, r := range recordings(t) {
		if r.endpoint != endpointResponses && r.endpoint != endpointCompletions {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			read := func(max int) (texts, *TextReader) {
				reader, x := NewTextReader(r.dialect, Request{Endpoint: r.endpoint, Stream: true}, eventStream), texts{}
				for _, p := range split(NewSSE(max), r.body) {
					if p.whole || p.more {
						reader.Event([]byte(p.data), p.more, func(part TextPart, b []byte) { x[part] += string(b) })
					}
				}
				return x, reader
			}
			x, reader := read(0)
			got, want := map[TextKind]int{}, plainResponses(t, r)
			for p, text := range x {
				got[p.Kind] += len(text)
			}
			if !maps.Equal(got, want) || reader.Lost() || reader.Thought() != (want[Thinking] > 0) {
				t.Errorf("bytes of text by kind %v, want %v; thought %v, lost %v", got, want, reader.Thought(), reader.Lost())
			}
			if parts, _ := read(100); !maps.Equal(parts, x) {
				t.Errorf("in parts: %v, want %v", parts, x)
			}
		})
	}
}

// plainResponses is how much text of each kind a recording has, by a plain reading: of Responses, of the final
// answers that it holds.
func plainResponses(t *testing.T, r recording) map[TextKind]int {
	type item struct {
		Type, Name, Arguments, Code string
		Content                     []struct{ Text string }
		Action                      map[string]json.RawMessage
	}
	got := map[TextKind]int{}
	named := map[int]string{} // two recordings hold several answers, that make the same call at the same place
	add := func(kind TextKind, text string) {
		if text != "" {
			got[kind] += len(text)
		}
	}
	for _, p := range split(NewSSE(0), r.body) {
		_, data, _ := strings.Cut(p.data, "data: ")
		var event struct {
			Type     string
			Choices  []struct{ Text string }
			Response struct{ Output []json.RawMessage }
		}
		if !p.whole || json.Unmarshal([]byte(data), &event) != nil {
			continue
		}
		for _, c := range event.Choices {
			add(Content, c.Text)
		}
		if event.Type != "response.completed" {
			continue
		}
		for at, raw := range event.Response.Output {
			var it item
			if err := json.Unmarshal(raw, &it); err != nil {
				var call struct{ Arguments json.RawMessage } // as an object
				if json.Unmarshal(raw, &call) != nil {
					t.Fatal(err)
				}
				add(Call, string(call.Arguments))
				continue
			}
			for _, part := range it.Content {
				add(map[bool]TextKind{true: Thinking, false: Content}[it.Type == "reasoning"], part.Text)
			}
			if strings.HasSuffix(it.Type, "_call") {
				if it.Name != named[at] {
					named[at] = it.Name
					add(Call, it.Name)
				}
				add(Call, it.Arguments+it.Code+string(it.Action["query"])+string(it.Action["queries"]))
			}
		}
	}
	return got
}

func TestResponsesTexts(t *testing.T) {
	body := `{"id":"resp_1","output":[
		{"type":"reasoning","summary":[{"type":"summary_text","text":"about"}],"content":[{"type":"reasoning_text","text":"hm"}],"encrypted_content":"gAAA"},
		{"type":"web_search_call","action":{"type":"search","query":"xyz","sources":[{"url":"http://a"}]},"status":"completed"},
		{"type":"function_call","name":"find","arguments":"{}","call_id":"call_1"},
		{"type":"mcp_call","name":"ask","arguments":"{\"q\":1}","output":"a long result"},
		{"type":"custom_tool_call","name":"sql","input":"select 1"},
		{"type":"code_interpreter_call","code":"n","outputs":[{"logs":"7"}]},
		{"type":"message","content":[{"type":"output_text","text":"yes","annotations":[{"title":"t"}]},{"type":"refusal","refusal":"no"}]}]}`
	want := texts{
		{Choice: 0, Kind: Thinking}: "hm", {Choice: 1, Kind: Call}: `"xyz"`, {Choice: 2, Kind: Call}: "find{}", {Choice: 3, Kind: Call}: `ask{"q":1}`,
		{Choice: 4, Kind: Call}: "sqlselect 1", {Choice: 5, Kind: Call}: "n", {Choice: 6}: "yes", {Choice: 6, Kind: Refusal, Index: 1}: "no",
	}
	for _, whole := range []bool{true, false} {
		reader, got := NewTextReader(OpenAI, responsesCall, "application/json"), texts{}
		emit := func(p TextPart, b []byte) { got[p] += string(b) }
		reader.Event([]byte(body[:100]), false, emit)
		if whole {
			reader.Event([]byte(body[100:]), false, emit)
		}
		reader.Flush(emit)
		if whole && !maps.Equal(got, want) || reader.Lost() == whole || !whole && len(got) > 0 {
			t.Errorf("whole %v: %v, lost %v", whole, got, reader.Lost())
		}
	}
	// A stream whose items come whole, and one of which pieces came.
	var items struct{ Output []json.RawMessage }
	if err := json.Unmarshal([]byte(body), &items); err != nil {
		t.Fatal(err)
	}
	reader, got := NewTextReader(OpenAI, responsesCall, eventStream), texts{}
	emit := func(p TextPart, b []byte) { got[p] += string(b) }
	for i, item := range items.Output {
		events := []string{fmt.Sprintf(`{"type":"response.output_item.added","output_index":%d,"item":{"type":"x","name":null}}`, i)}
		if i == 2 {
			events = []string{`{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","name":"find","arguments":""}}`,
				`{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{"}`, `{"type":"response.function_call_arguments.delta","output_index":2,"delta":"}"}`}
		}
		events = append(events, fmt.Sprintf(`{"type":"response.output_item.done","output_index":%d,"item":%s}`, i, bytes.ReplaceAll(item, []byte("\n"), nil)))
		for _, e := range frames(events...) {
			reader.Event([]byte(e), false, emit)
		}
	}
	if !maps.Equal(got, want) || !reader.Thought() {
		t.Errorf("streamed: %v", got)
	}
}

func TestSequence(t *testing.T) {
	events := frames(respCreated, respDelta, ": a comment\n\n", strings.Replace(respDelta, `"sequence_number":4`, `"sequence_number": 12`, 1), "[DONE]",
		`{"type":"x","delta":"\"sequence_number\":8","item":{"sequence_number":9},"sequence_number":"7"}`, `{"sequence_number":-1}`, `{"sequence_number":1.5}`,
		`{"sequence_number":7`, `{"sequence_number":[7]}`, respDone)
	type numbered struct {
		n  uint64
		ok bool
	}
	want := []numbered{{0, true}, {4, true}, {}, {12, true}, {}, {}, {}, {}, {}, {}, {9, true}}
	for size := range 60 {
		s := new(Sequence)
		for i, e := range slices.Concat(events, events) {
			step := len(e)
			if size > 0 {
				step = size
			}
			var got numbered
			for from := 0; from < len(e); from += step {
				to := min(from+step, len(e))
				got.n, got.ok = s.Event([]byte(e[from:to]), from == 0, to == len(e))
			}
			if w := want[i%len(want)]; got.ok != w.ok || got.ok && got != w {
				t.Fatalf("in parts of %d, event %d: %v, want %v: %s", size, i, got, w, e)
			}
		}
	}
}
