package dialect

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

var interactionCall = Request{Endpoint: endpointInteractions, Stream: true, Choices: 1}

func TestInteractionsEndpoint(t *testing.T) {
	for path, want := range map[string]bool{
		"/v1beta/interactions": true, "/v1/interactions": true, "interactions": true, "/v1beta1/projects/p/locations/l/interactions": true,
		"/v1beta/interactions/": false, "/v1beta/interactions/i": false, "/v1beta/myinteractions": false, "/v1beta/interactions:create": false,
	} {
		endpoint, ok := Gemini.Endpoint(path)
		if ok != want || ok && endpoint != endpointInteractions {
			t.Errorf("%s: %q, %v", path, endpoint, ok)
		}
	}
}

func TestParseInteraction(t *testing.T) {
	for body, want := range map[string]Request{
		`{"model":"gemini-3-flash-preview","input":"hi"}`:                                                           {Model: "gemini-3-flash-preview"},
		`{"model":"models/gemini-3-flash-preview","stream":true,"input":{"model":"x","stream":false}}`:              {Model: "gemini-3-flash-preview", Stream: true},
		`{"agent":"deep-research","background":true,"stream":true}`:                                                 {Model: "deep-research", Background: true, Stream: true},
		`{"model":"m","agent":"a","generation_config":{"max_output_tokens":70},"service_tier":"flex"}`:              {Model: "m", MaxTokens: 70, ServiceTier: "flex"},
		`{"stream":"true","background":1,"model":{"a":"b"},"generationConfig":{"maxOutputTokens":-1},"agent":null}`: {},
	} {
		want.Endpoint, want.Choices = endpointInteractions, 1
		got, err := Gemini.Parse(endpointInteractions, []byte(body))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
		if located := Locate(Gemini, got, "/v1beta/interactions", "alt=sse"); located != got {
			t.Errorf("%s is located as %+v", body, located)
		}
	}
	if _, err := Gemini.Parse(endpointInteractions, []byte(`[]`)); err == nil {
		t.Error("a list is taken")
	}
	// generateContent streams by its method, whatever the body says.
	if got, _ := Gemini.Parse(endpointGemini, []byte(`{"stream":true,"model":"m","background":true}`)); got.Stream || got.Model != "" || got.Background {
		t.Errorf("generateContent: %+v", got)
	}
}

const (
	intCreated = `{"interaction":{"id":"v1_a","status":"in_progress","object":"interaction","model":"gemini-2.5-flash"},"event_type":"interaction.created"}`
	intSaid    = `{"index":1,"delta":{"text":"Hi","type":"text"},"event_type":"step.delta"}`
	intUsed    = `"usage":{"total_tokens":457,"total_input_tokens":12,"total_cached_tokens":2,"total_output_tokens":54,"total_tool_use_tokens":3,"total_thought_tokens":391}`
)

func closes(status, usage string) string {
	return `{"interaction":{"id":"v1_a","status":"` + status + `"` + usage + `,"model":"gemini-2.5-flash"},"event_type":"interaction.completed"}`
}

func TestInteractionSigns(t *testing.T) {
	for _, test := range []observeTest{
		{"completed", 1, frames(intCreated, intSaid, closes("completed", ","+intUsed), "event: done\ndata: [DONE]\n\n"), []Sign{Plain, Text, Terminal, Plain}},
		{"action", 1, frames(intCreated, closes("requires_action", "")), []Sign{Plain, Terminal}},
		{"cut off by its limit", 1, frames(closes("incomplete", "")), []Sign{Terminal}},
		{"out of budget", 1, frames(closes("budget_exceeded", "")), []Sign{Terminal}},
		{"failed", 1, frames(intCreated, closes("failed", "")), []Sign{Plain, Failure}},
		{"cancelled", 1, frames(closes("cancelled", ","+intUsed)), []Sign{Failure}},
		{"legacy", 1, frames(`{"event_type":"content.delta","delta":{"type":"text","text":"a"}}`, strings.Replace(closes("completed", ""), "completed\"}", "complete\"}", 1)), []Sign{Text, Terminal}},
		{"error", 1, frames(intSaid, `{"error":{"code":"x","message":"y"},"event_type":"error"}`, closes("completed", "")), []Sign{Text, Failure, Plain}},
		{"error by name", 1, frames("event: error\ndata: {\"message\":\"y\"}\n\n"), []Sign{Failure}},
		{"error without a type", 1, frames(`{"error":{"message":"y"}}`), []Sign{Failure}},
		{"no error", 1, frames(`{"error":null,"event_type":"step.stop"}`), []Sign{Plain}},
		{"status", 1, frames(`{"interaction_id":"v1_a","status":"completed","event_type":"interaction.status_update"}`), []Sign{Plain}},
		{"quoted", 1, frames(`{"delta":{"text":"\"event_type\":\"interaction.completed\""},"event_type":"step.delta"}`), []Sign{Text}},
		{"deeper", 1, frames(`{"delta":{"event_type":"interaction.completed"},"event_type":"step.delta"}`), []Sign{Plain}},
		{"damaged", 1, frames(closes("completed", "") + "}"), []Sign{Plain}},
		{"signature", 1, frames(`{"delta":{"signature":"abc","type":"thought_signature"},"event_type":"step.delta"}`), []Sign{Plain}},
		{"thought", 1, frames(`{"delta":{"content":{"text":"so","type":"text"},"type":"thought_summary"},"event_type":"step.delta"}`), []Sign{Text}},
		{"call", 1, frames(`{"step":{"type":"function_call","id":"c","name":"f","arguments":{}},"event_type":"step.start"}`), []Sign{Text}},
		{"arguments", 1, frames(`{"delta":{"partial_arguments":"{","type":"arguments_delta"},"event_type":"step.delta"}`, `{"delta":{"arguments":{"code":"1"},"type":"code_execution_call"},"event_type":"step.delta"}`), []Sign{Text, Text}},
		{"result", 1, frames(`{"delta":{"result":"text","type":"code_execution_result"},"event_type":"step.delta"}`), []Sign{Plain}},
		{"image", 1, frames(`{"delta":{"data":"AAAA","mime_type":"image/png","type":"image"},"event_type":"step.delta"}`), []Sign{Plain}},
	} {
		// Twice in a row, so that what is learned of an event is used for the next.
		for size := 1; size < 60; size += 13 {
			o := Gemini.Observe(interactionCall, eventStream)
			var signs []Sign
			for _, e := range test.events {
				signs = append(signs, large(t, o, e, size))
			}
			if !slices.Equal(signs, test.want) {
				t.Errorf("%s, in parts of %d: %v, want %v", test.name, size, signs, test.want)
			}
		}
		o := Gemini.Observe(interactionCall, eventStream)
		var signs []Sign
		for _, e := range test.events {
			signs = append(signs, o.Event([]byte(e)))
		}
		if !slices.Equal(signs, test.want) {
			t.Errorf("%s: %v, want %v", test.name, signs, test.want)
		}
	}
}

// The usage closes the answer, and is what a body reports too.
func TestInteractionUsage(t *testing.T) {
	const want = `{"input":13,"cache_read":2,"output":445,"reasoning":391}`
	o := Gemini.Observe(interactionCall, eventStream)
	for _, e := range frames(intCreated, intSaid) {
		o.Event([]byte(e))
	}
	if u, final := o.Usage(); u.Output.IsKnown() || final || o.ResponseID() != "v1_a" || o.Model() != "gemini-2.5-flash" {
		t.Errorf("before the end: %+v, final %v, %s of %s", u, final, o.ResponseID(), o.Model())
	}
	o.Event([]byte(frames(closes("completed", `,"service_tier":"standard",`+intUsed))[0]))
	if u, final := o.Usage(); usageText(u) != want || !final || !slices.Equal(o.FinishReasons(), []string{"completed"}) {
		t.Errorf("%s, final %v, reasons %v", usageText(u), final, o.FinishReasons())
	}
	for body, test := range map[string]struct {
		usage         string
		final, failed bool
	}{
		`{"id":"v1_a","model":"gemini-2.5-flash","status":"completed",` + intUsed + `}`: {want, true, false},
		`{"id":"v1_a","agent":"deep","status":"in_progress",` + intUsed + `}`:           {`{}`, false, false},
		`{"id":"v1_a","status":"failed",` + intUsed + `}`:                               {want, true, true},
		`{"error":{"code":400}}`: {`{}`, false, true},
		`{"status":"completed","usage":{"total_input_tokens":3,"total_cached_tokens":9,"total_output_tokens":0,"total_tokens":3}}`: {`{"input":3,"output":0}`, true, false},
		`{"status":"completed","usage":{"total_input_tokens":-3,"total_output_tokens":"7"},"service_tier":"priority"}`:             {`{"service_tier":"priority"}`, false, false},
		`{"usage":{"total_output_tokens":5,"output_tokens_by_modality":[{"modality":"audio","tokens":4}],"total_input_tokens":1}}`: {`{"input":1,"output":5,"audio_out":4}`, true, false},
	} {
		o := Gemini.Observe(Request{Endpoint: endpointInteractions}, jsonType)
		var failed bool
		for c := range slices.Chunk([]byte(body), 7) {
			failed = o.Event(c)&Failure != 0 || failed
		}
		if u, final := o.Usage(); usageText(u) != test.usage || final != test.final || failed != test.failed || !o.Whole() {
			t.Errorf("%s: %s, final %v, failed %v, whole %v", body, usageText(u), final, failed, o.Whole())
		}
	}
	agent := Gemini.Observe(Request{Endpoint: endpointInteractions}, jsonType)
	if agent.Event([]byte(`{"id":"v1_a","agent":"deep","status":"completed"}`)); agent.Model() != "deep" || agent.ResponseID() != "v1_a" {
		t.Errorf("%q of %q", agent.ResponseID(), agent.Model())
	}
}

func TestInteractionTexts(t *testing.T) {
	f := formNamed("interactions")
	got := f.read([]byte(interactionOfTools), 0)
	if want := (texts{{Kind: Thinking}: "I look.", {Kind: Call, Index: 1}: `look{"a":1}`}); !maps.Equal(got.texts, want) {
		t.Errorf("%v, want %v", got.texts, want)
	}
	body := `{"id":"v1","status":"completed","steps":[{"type":"user_input","content":[{"type":"text","text":"no"}]},{"type":"thought","signature":"s","summary":[{"type":"text","text":"so"}]},
		{"type":"model_output","content":[{"type":"text","text":"Hi "},{"type":"text","text":"there"}]},{"type":"function_call","name":"f","arguments":{"a":1}},{"type":"function_result","result":"no"}],
		"outputs":[{"type":"text","text":"old"},{"type":"function_call","name":"g","arguments":{}}]}`
	x, r := texts{}, NewTextReader(Gemini, Request{Endpoint: endpointInteractions}, jsonType)
	r.Event([]byte(body), false, x.emit)
	r.Flush(x.emit)
	want := texts{{Kind: Thinking, Index: 1}: "so", {Index: 2}: "Hi there", {Kind: Call, Index: 3}: `f{"a":1}`, {Index: 5}: "old", {Kind: Call, Index: 6}: `g{}`}
	if !maps.Equal(x, want) || !r.Thought() || r.Lost() {
		t.Errorf("%v, want %v", x, want)
	}
}

func TestEventID(t *testing.T) {
	long := strings.Repeat("x", maxToken+1)
	for event, want := range map[string]string{
		`{"event_id":"e\u0031","event_type":"x"}`:  "e1",
		`{"delta":{"event_id":"no"}}`:              "",
		`{"event_id":7}`:                           "",
		`{"event_id":"a"`:                          "",
		`{"event_id":"` + long + `"}`:              "",
		`{"delta":{"text":"a"},"event_id":"tail"}`: "tail",
	} {
		e := frames(event)[0]
		ids := new(EventID)
		for range 3 {
			if got := ids.Event([]byte(e), true, true); got != want {
				t.Errorf("%.60s: %q", event, got)
			}
		}
		got := ""
		for i := range e {
			got = ids.Event([]byte{e[i]}, i == 0, i == len(e)-1)
		}
		if got != want {
			t.Errorf("%.60s, byte by byte: %q", event, got)
		}
	}
}
