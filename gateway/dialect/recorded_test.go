package dialect

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var commentBlock = regexp.MustCompile(`^(:[^\r\n]*(\r\n|\r|\n))+(\r\n|\r|\n)$`)

func TestRecordedEvents(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			parts := split(NewSSE(0), r.body)
			if joined(parts) != string(r.body) {
				t.Fatal("the parts joined are not the body")
			}
			// The index counts payloads: not blocks of comments, but also a last event that was
			// recorded without its blank line.
			events := 0
			for i, p := range parts {
				if !p.whole && i != len(parts)-1 {
					t.Fatalf("part %d of %d is not whole", i, len(parts))
				}
				if !commentBlock.MatchString(p.data) {
					events++
				}
			}
			if events != r.events {
				t.Errorf("%d events that are not comments, the index says %d", events, r.events)
			}
		})
	}
}

func TestRecordedSigns(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			parts := split(NewSSE(0), r.body)
			last := parts[len(parts)-1]
			o := r.observer()
			signs := observe(o, parts)

			want := 1
			if !last.whole {
				// Two fixtures lost the blank line of message_stop, so their stream was cut off.
				if !strings.Contains(last.data, "message_stop") {
					t.Fatalf("the body ends within %q", last.data)
				}
				want = 0
			}
			if got := count(signs, Terminal); got != want {
				t.Errorf("%d terminal events, want %d", got, want)
			}
			if got := count(signs, Failure); got != 0 {
				t.Errorf("%d failures, want none before or after the answer's end %q", got, r.end)
			}
			if i := slices.IndexFunc(signs, func(s Sign) bool { return s&Terminal != 0 }); i >= 0 {
				if data := parts[i].data; !finishes(r, data) {
					t.Errorf("terminal is %q", data)
				}
			}
			if o.ResponseID() == "" || !strings.Contains(string(r.body), `"`+o.ResponseID()+`"`) {
				t.Errorf("response id %q", o.ResponseID())
			}
			if o.Model() != r.model {
				t.Errorf("model %q, the index says %q", o.Model(), r.model)
			}
		})
	}
}

func finishes(r recording, event string) bool {
	switch r.endpoint {
	case endpointMessages:
		return strings.Contains(event, `"message_stop"`)
	case endpointInteractions:
		return strings.Contains(event, `"event_type":"interaction.completed"`)
	case endpointResponses:
		return regexp.MustCompile(`"type": ?"response.(completed|incomplete)"`).MatchString(event)
	}
	if r.dialect == Gemini {
		return regexp.MustCompile(`"finishReason": ?"[A-Z_]+"`).MatchString(event)
	}
	if r.dialect == Cohere {
		return strings.Contains(event, `"message-end"`)
	}
	return regexp.MustCompile(`"finish_reason": ?"[a-z_]+"`).MatchString(event)
}

// The sign of text agrees with a plain reading of the JSON.
func TestRecordedText(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			o := r.observer()
			for i, p := range split(NewSSE(0), r.body) {
				_, data, ok := strings.Cut(p.data, "data: ")
				if !ok {
					continue
				}
				var v map[string]any
				if json.Unmarshal([]byte(data), &v) != nil {
					continue // [DONE]
				}
				want := hasText(v["delta"]) || hasText(v["content_block"])
				if delta, ok := v["delta"].(string); ok && r.endpoint == endpointResponses {
					want = delta != "" && v["type"] != "response.reasoning_summary_text.delta"
				}
				choices, _ := v["choices"].([]any)
				for _, c := range choices {
					want = want || hasText(c.(map[string]any)["delta"]) || c.(map[string]any)["text"] != nil && c.(map[string]any)["text"] != ""
				}
				want = want || geminiHasText(v["candidates"]) || cohereHasText(v["delta"])
				if got := o.Event([]byte(p.data))&Text != 0; got != want {
					t.Errorf("event %d: text %v, want %v: %s", i, got, want, p.data)
				}
			}
		})
	}
}

// cohereHasText looks for generated text in a delta.
func cohereHasText(delta any) bool {
	d, _ := delta.(map[string]any)
	message, _ := d["message"].(map[string]any)
	content, _ := message["content"].(map[string]any)
	call, _ := message["tool_calls"].(map[string]any)
	function, _ := call["function"].(map[string]any)
	for _, v := range []any{content["text"], content["thinking"], message["tool_plan"], function["name"], function["arguments"]} {
		if text, _ := v.(string); text != "" {
			return true
		}
	}
	return false
}

// geminiHasText looks for generated text in candidates.
func geminiHasText(candidates any) bool {
	list, _ := candidates.([]any)
	for _, c := range list {
		content, _ := c.(map[string]any)["content"].(map[string]any)
		parts, _ := content["parts"].([]any)
		for _, p := range parts {
			part, _ := p.(map[string]any)
			if text, _ := part["text"].(string); text != "" {
				return true
			}
			call, _ := part["functionCall"].(map[string]any)
			args, _ := call["args"].(map[string]any)
			if name, _ := call["name"].(string); name != "" || len(args) > 0 {
				return true
			}
			pieces, _ := call["partialArgs"].([]any)
			for _, piece := range pieces {
				if text, _ := piece.(map[string]any)["stringValue"].(string); text != "" {
					return true
				}
			}
		}
	}
	return false
}

// hasText looks for a filled member that holds generated text, at any depth of a delta.
func hasText(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, hasText)
	case map[string]any:
		for _, name := range []string{"content", "reasoning_content", "reasoning", "refusal", "arguments", "text", "thinking", "partial_json"} {
			if s, ok := v[name].(string); ok && s != "" {
				return true
			}
		}
		for _, name := range []string{"content", "thinking", "tool_calls", "function", "reasoning_details"} {
			// A result of the provider's own search is input, not output.
			if v["type"] != "web_search_tool_result" && v["type"] != "web_fetch_tool_result" && hasText(v[name]) {
				return true
			}
		}
	}
	return false
}

func TestRecordedAnyCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			for _, max := range []int{0, 1 << 10, 100} {
				want := split(NewSSE(max), r.body)
				signs := observe(r.observer(), want)
				for range 5 {
					cuts := make([]int, 1+rng.IntN(200))
					for i := range cuts {
						cuts[i] = rng.IntN(len(r.body) + 1)
					}
					slices.Sort(cuts)
					got := split(NewSSE(max), r.body, cuts...)
					if !slices.Equal(got, want) {
						t.Fatalf("max %d: other parts with cuts %v", max, cuts)
					}
					if !slices.Equal(observe(r.observer(), got), signs) {
						t.Fatalf("max %d: other signs with cuts %v", max, cuts)
					}
				}
				if whole := observe(r.observer(), split(NewSSE(0), r.body)); !slices.Equal(whole, signs) {
					t.Fatalf("max %d: other signs than of whole events", max)
				}
			}
		})
	}
}
