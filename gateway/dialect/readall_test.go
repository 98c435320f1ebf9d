package dialect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A form is one way in which a dialect answers.
type form struct {
	name    string
	dialect Dialect
	req     Request
	media   string
}

// forms are all that have a framing. Each has a fuzz target of its own.
var forms = []form{
	{"chat", OpenAI, Request{Endpoint: endpointChat, Stream: true, Choices: 1}, eventStream},
	{"completions", OpenAI, Request{Endpoint: endpointCompletions, Stream: true, Choices: 1}, eventStream},
	{"responses", OpenAI, Request{Endpoint: endpointResponses, Stream: true, Choices: 1}, eventStream},
	{"messages", Anthropic, Request{Endpoint: endpointMessages, Stream: true, Choices: 1}, eventStream},
	{"gemini", Gemini, Request{Endpoint: endpointGeminiSSE, Stream: true, Choices: 1}, eventStream},
	{"gemini array", Gemini, Request{Endpoint: endpointGeminiStream, Stream: true, Choices: 1}, jsonType},
	{"interactions", Gemini, Request{Endpoint: endpointInteractions, Stream: true, Choices: 1}, eventStream},
	{"cohere", Cohere, Request{Endpoint: endpointCohere, Stream: true, Choices: 1}, eventStream},
}

func formNamed(name string) form {
	return forms[slices.IndexFunc(forms, func(f form) bool { return f.name == name })]
}

// of tells whether a recording is one of a form.
func (f form) of(r recording) bool {
	switch f.name {
	case "gemini", "gemini array":
		return r.dialect == Gemini && r.endpoint == ""
	case "cohere":
		return r.dialect == Cohere
	}
	return r.endpoint == f.req.Endpoint
}

// body is a recording's in this form.
func (f form) body(r recording) []byte {
	if f.media == eventStream {
		return r.body
	}
	var payloads []string
	for _, p := range split(NewSSE(0), r.body) {
		payloads = append(payloads, strings.TrimSpace(string(payload([]byte(p.data)))))
	}
	return asArray(payloads)
}

func (f form) observer() Observer { return f.dialect.Observe(f.req, f.media) }

// everything is what is read of an answer.
type everything struct {
	events []string
	signs  []Sign
	said   string // usage and names
	texts  texts
	seen   Observer
}

// read reads an answer that comes in reads which end at cuts, in parts of at most max bytes.
func (f form) read(body []byte, max int, cuts ...int) everything {
	parts := split(f.req.Framing(f.media, max), body, cuts...)
	o := f.observer()
	all := everything{texts: texts{}, seen: o}
	text := NewTextReader(f.dialect, f.req, f.media)
	event, first := "", true
	for _, p := range parts {
		event += p.data
		switch {
		case p.more:
			o.Large([]byte(p.data), first, false)
		case p.whole && first:
			all.signs = append(all.signs, o.Event([]byte(p.data)))
		case p.whole:
			all.signs = append(all.signs, o.Large([]byte(p.data), false, true))
		}
		if p.more || p.whole {
			text.Event([]byte(p.data), p.more, all.texts.emit)
		}
		if first = !p.more; first {
			all.events, event = append(all.events, event), ""
		}
	}
	if event != "" { // the end was in a part
		all.events = append(all.events, event)
	}
	text.Flush(all.texts.emit)
	u, final := o.Usage()
	all.said = fmt.Sprint(usageText(u), final, o.FinishReasons(), text.Thought())
	if last := parts; len(last) == 0 || last[len(last)-1].whole { // the parts of an event that was cut off may name the answer, or spoil it
		all.said += fmt.Sprintf(" %q %q %v", o.ResponseID(), o.Model(), o.Whole())
	}
	return all
}

// same fails unless two readings agree.
func (e everything) same(t *testing.T, how string, want everything) {
	t.Helper()
	switch {
	case !slices.Equal(e.events, want.events):
		t.Fatalf("%s: other events: %q, want %q", how, e.events, want.events)
	case !slices.Equal(e.signs, want.signs):
		t.Fatalf("%s: other signs: %v, want %v", how, e.signs, want.signs)
	case e.said != want.said:
		t.Fatalf("%s: %s, want %s", how, e.said, want.said)
	case !maps.Equal(e.texts, want.texts):
		t.Fatalf("%s: other text: %v, want %v", how, e.texts, want.texts)
	}
}

// completionsOfTwo is there because there is but one recording of that form, as interactionOfTools of another.
const (
	completionsOfTwo = `data: {"id":"cmpl-1","object":"text_completion","created":1,"choices":[{"text":"A \"b\"","index":0,"logprobs":null,"finish_reason":null}],"model":"gpt-3.5-turbo-instruct","usage":null}` + "\r\n\r\n" +
		`data: {"id":"cmpl-1","object":"text_completion","created":1,"choices":[{"text":"ü\u00fc","index":0,"logprobs":null,"finish_reason":"stop"}],"model":"gpt-3.5-turbo-instruct","usage":null}` + "\n\n" +
		`data: {"id":"cmpl-1","object":"text_completion","created":1,"choices":[],"model":"gpt-3.5-turbo-instruct","usage":{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9}}` + "\n\n" + "data: [DONE]\n\n"
	interactionOfTools = `event: interaction.created` + "\n" + `data: {"event_type":"interaction.created","event_id":"e0","interaction":{"id":"v1_a","status":"in_progress","object":"interaction","model":"gemini-3-flash-preview"}}` + "\n\n" +
		`data: {"index":0,"step":{"type":"thought"},"event_type":"step.start","event_id":"e1"}` + "\n\n" +
		`data: {"index":0,"delta":{"content":{"text":"I look.","type":"text"},"type":"thought_summary"},"event_type":"step.delta","event_id":"e2"}` + "\n\n" +
		`data: {"index":1,"step":{"type":"function_call","id":"c","name":"look","arguments":{}},"event_type":"step.start","event_id":"e3"}` + "\n\n" +
		`data: {"index":1,"delta":{"partial_arguments":"{\"a\":","type":"arguments_delta"},"event_type":"step.delta","event_id":"e4"}` + "\n\n" +
		`data: {"index":1,"delta":{"partial_arguments":"1}","type":"arguments_delta"},"event_type":"step.delta","event_id":"e5"}` + "\n\n" +
		`data: {"interaction":{"id":"v1_a","status":"requires_action","model":"gemini-3-flash-preview","service_tier":"flex","usage":{"total_input_tokens":30,"total_cached_tokens":10,"total_output_tokens":7,"total_tool_use_tokens":2,"total_thought_tokens":5,"total_tokens":44}},"event_type":"interaction.completed","event_id":"e6"}` + "\n\n" +
		"event: done\ndata: [DONE]\n\n"
)

// TestEveryCut reads the two smallest recordings of each form that are whole with a cut at every byte, byte by byte,
// and in small parts: always the same events, signs, usage, names and text.
func TestEveryCut(t *testing.T) {
	recs := recordings(t)
	for _, f := range forms {
		var bodies [][]byte
		for _, r := range recs {
			if f.of(r) && len(r.body) < 10_000 && count(f.read(f.body(r), 0).signs, Terminal) == 1 {
				bodies = append(bodies, f.body(r))
			}
		}
		switch f.name {
		case "completions":
			bodies = append(bodies, []byte(completionsOfTwo))
		case "interactions":
			bodies = append(bodies, []byte(interactionOfTools))
		}
		slices.SortFunc(bodies, func(a, b []byte) int { return cmp.Compare(len(a), len(b)) })
		if len(bodies) < 2 {
			t.Fatalf("%s: %d recordings", f.name, len(bodies))
		}
		for i, body := range bodies[:2] {
			t.Run(fmt.Sprint(f.name, i), func(t *testing.T) {
				t.Parallel()
				want := f.read(body, 0)
				every := make([]int, len(body))
				for cut := range every {
					every[cut] = cut
					f.read(body, 0, cut).same(t, fmt.Sprint("cut at ", cut), want)
				}
				for _, max := range []int{0, 1, 2, 3, 7, 16, 40} {
					f.read(body, max, every...).same(t, fmt.Sprintf("byte by byte in parts of %d", max), want)
				}
				if u, final := want.seen.Usage(); final != u.Output.IsKnown() || strings.Join(want.events, "") != string(body) {
					t.Errorf("usage is not final, but known, or the events joined are not the body")
				}
			})
		}
	}
}
