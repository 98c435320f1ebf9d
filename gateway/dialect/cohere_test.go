package dialect

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestCohereEndpoint(t *testing.T) {
	for path, want := range map[string]bool{"/v2/chat": true, "/cohere/v2/chat": true, "/v1/chat": false, "/v2/embed": false, "/v2/chat/x": false, "/chat": false} {
		if endpoint, ok := Cohere.Endpoint(path); ok != want || ok && endpoint != endpointCohere {
			t.Errorf("%s: %q, %v", path, endpoint, ok)
		}
	}
	req, err := Cohere.Parse(endpointCohere, []byte(`{"model":"command-a-03-2025","stream":true,"max_tokens":9,"n":"x"}`))
	if err != nil || req.Model != "command-a-03-2025" || !req.Stream || req.MaxTokens != 9 || req.Choices != 1 {
		t.Errorf("%+v, %v", req, err)
	}
}

const (
	cohStart   = `{"id":"i","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[]}}}`
	cohHello   = `{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hello"}}}}`
	cohereStop = `{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":65,"output_tokens":63},"tokens":{"input_tokens":508,"output_tokens":86,"reasoning_tokens":28},"cached_tokens":144}}}`
)

func TestCohereSigns(t *testing.T) {
	for _, test := range []observeTest{
		{"text", 1, []string{cohStart, cohHello, cohHello, cohereStop, "data: [DONE]\n\n"}, []Sign{Plain, Text, Text, Terminal, Plain}},
		{"thinking", 1, []string{`{"type":"content-start","delta":{"message":{"content":{"type":"thinking","thinking":""}}}}`, `{"type":"content-delta","delta":{"message":{"content":{"thinking":"x"}}}}`}, []Sign{Plain, Text}},
		{"a plan and a call", 1, []string{`{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}`,
			`{"type":"tool-call-start","delta":{"message":{"tool_calls":{"id":"a","function":{"name":"f","arguments":""}}}}}`,
			`{"type":"tool-call-delta","delta":{"message":{"tool_calls":{"function":{"arguments":"{"}}}}}`}, []Sign{Text, Text, Text}},
		{"citations are none", 1, []string{`{"type":"citation-start","delta":{"message":{"citations":{"text":"x","sources":[{"document":{"text":"y"}}]}}}}`}, []Sign{Plain}},
		{"failed", 1, []string{cohHello, strings.Replace(cohereStop, "COMPLETE", "ERROR", 1), cohereStop}, []Sign{Text, Failure, Plain}},
		{"timeout", 1, []string{`{"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}`}, []Sign{Failure}},
		{"an error", 1, []string{`{"type":"message-end","delta":{"error":"no","finish_reason":"COMPLETE"}}`}, []Sign{Failure}},
		{"quoted", 1, []string{`{"type":"content-delta","delta":{"message":{"content":{"text":"{\"type\":\"message-end\"}"}}}}`}, []Sign{Text}},
		{"the name alone is not enough", 1, []string{"event: message-end\ndata: {}\n\n"}, []Sign{Plain}},
	} {
		test.run(t, Cohere)
	}
}

func TestCohereUsageAndText(t *testing.T) {
	const want = `{"input":65,"output":63,"reasoning":28}`
	events := Cohere.Observe(Request{Stream: true}, eventStream)
	for _, e := range frames(cohStart, cohHello) {
		large(t, events, e, 7)
	}
	if u, final := events.Usage(); usageText(u) != "{}" || final {
		t.Errorf("before the end: %s, %v", usageText(u), final)
	}
	large(t, events, frames(cohereStop)[0], 7)
	usage := cohereStop[strings.Index(cohereStop, `"usage"`) : len(cohereStop)-2]
	whole := `{"id":"i","finish_reason":"COMPLETE","message":{"tool_plan":"p","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Hello"}],"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},` + usage + `}`
	body := feedEvents(Cohere.Observe(Request{}, "application/json"), strings.SplitAfter(whole, "e"))
	for form, o := range map[string]Observer{"events": events, "body": body} {
		u, final := o.Usage()
		if usageText(u) != want || !final || fmt.Sprint(o.ResponseID(), o.FinishReasons()) != "i[COMPLETE]" || o.Others() != nil {
			t.Errorf("%s: %s, final %v, %s %v", form, usageText(u), final, o.ResponseID(), o.FinishReasons())
		}
	}
	if u := normalCohere([]byte(`{"billed_units":{"output_tokens":5,"search_units":2},"tokens":{"reasoning_tokens":9}}`)); usageText(u) != `{"output":5,"reasoning":5,"tools":{"search_unit":2}}` {
		t.Errorf("%s", usageText(u))
	}
	got := texts{}
	r := NewTextReader(Cohere, Request{}, "application/json")
	r.Event([]byte(whole), false, got.emit)
	r.Flush(got.emit)
	if text := (texts{{Index: -1}: "p", {Kind: Thinking}: "hm", {Index: 1}: "Hello", {Kind: Call}: "f{}"}); !reflect.DeepEqual(got, text) {
		t.Errorf("%v, want %v", got, text)
	}
}

func TestRecordedCohereText(t *testing.T) {
	recorded, _ := textOf(Cohere, split(NewSSE(0), recordingOf(t, "cohere-command-a-03-2025-can-use-tools-without-p__3").body))
	if recorded[TextPart{}] != "Ruby is the best language to learn." {
		t.Errorf("%v", recorded)
	}
}
