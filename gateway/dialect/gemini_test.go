package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestGeminiEndpoint(t *testing.T) {
	const vertex = "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro"
	for _, test := range []struct{ path, query, endpoint, model string }{
		{"/v1beta/models/gemini-2.5-pro:generateContent", "", endpointGemini, "gemini-2.5-pro"},
		{"/v1beta/models/gemini-2.5-pro:generateContent", "alt=sse", endpointGemini, "gemini-2.5-pro"},
		{"/v1/models/gemini-2.5-pro:streamGenerateContent", "alt=sse", endpointGeminiSSE, "gemini-2.5-pro"},
		{"/v1alpha/models/gemini-2.5-pro:streamGenerateContent", "key=secret&alt=sse", endpointGeminiSSE, "gemini-2.5-pro"},
		{"/v1beta/models/gemini-2.5-pro:streamGenerateContent", "key=secret", endpointGeminiStream, "gemini-2.5-pro"},
		{"/v1beta/models/gemini-2.5-pro:streamGenerateContent", "alt=json", endpointGeminiStream, "gemini-2.5-pro"},
		{"/v1beta/models/gemini-2.5-pro:streamGenerateContent", "$alt=sse", endpointGeminiSSE, "gemini-2.5-pro"},
		{"/v1beta/models/gemini-2.5-pro:streamGenerateContent", "%zz&alt=sse", endpointGeminiSSE, "gemini-2.5-pro"},
		{vertex + ":generateContent", "", endpointGemini, "gemini-2.5-pro"},
		{vertex + "%3AstreamGenerateContent", "alt=sse", endpointGeminiSSE, "gemini-2.5-pro"},
		{"/v1/projects/p/locations/l/endpoints/123:streamGenerateContent", "", endpointGeminiStream, "endpoints/123"},
		{"/v1beta1/publishers/google/models/gemini-2.5-pro:generateContent", "", endpointGemini, "gemini-2.5-pro"},
		{"/v1beta/tunedModels/mine:generateContent", "", endpointGemini, "tunedModels/mine"},
		{"models/m:generateContent", "", endpointGemini, "m"},
		{"/v1beta/models/m:countTokens", "", "", ""},
		{"/v1beta/models/m:embedContent", "", "", ""},
		{"/v1beta/models/m:batchGenerateContent", "", "", ""},
		{"/v1beta/models/m:generatecontent", "", "", ""},
		{"/v1beta/models/m/generateContent", "", "", ""},
		{"/v1beta/models/:generateContent", "", "", ""},
		{"/v1beta/models/" + strings.Repeat("m", maxToken+1) + ":generateContent", "", "", ""},
		{"/v1beta/m:generateContent", "", "", ""},
		{"/v1beta/models/a:b/generateContent", "", "", ""},
		{"/v1beta/interactions/i", "", "", ""},
		{"/v1beta/interactions/i/cancel", "", "", ""},
		{"/v1beta/models/%zz:generateContent", "", "", ""},
		{"", "", "", ""},
	} {
		endpoint, ok := Gemini.Endpoint(test.path)
		if ok != (test.endpoint != "") {
			t.Errorf("%s: %q, %v", test.path, endpoint, ok)
		}
		if !ok {
			continue
		}
		req, err := Gemini.Parse(endpoint, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		got := Locate(Gemini, req, test.path, test.query)
		if got.Endpoint != test.endpoint || got.Model != test.model || got.Stream != (test.endpoint != endpointGemini) {
			t.Errorf("%s?%s: %+v", test.path, test.query, got)
		}
		if strings.Contains(got.Address(), "secret") || !strings.Contains(got.Address(), test.model) {
			t.Errorf("address %q", got.Address())
		}
	}
	chat, _ := OpenAI.Parse(endpointChat, []byte(`{"model":"m"}`))
	if got := Locate(OpenAI, chat, "/v1/chat/completions", "alt=sse"); got != chat || got.Address() != endpointChat {
		t.Errorf("a chat call is located as %+v", got)
	}
}

func TestGeminiParse(t *testing.T) {
	for body, want := range map[string]Request{
		`{"contents":[]}`: {Choices: 1},
		`{"generationConfig":{"candidateCount":3,"maxOutputTokens":700},"serviceTier":"flex"}`:                        {Choices: 3, MaxTokens: 700, ServiceTier: "flex"},
		`{"generation_config":{"candidate_count":"2","max_output_tokens":7},"service_tier":"SERVICE_TIER_PRIORITY"}`:  {Choices: 2, MaxTokens: 7, ServiceTier: "priority"},
		`{"generationConfig":{"candidateCount":"x","maxOutputTokens":-1},"serviceTier":7,"model":"other","stream":1}`: {Choices: 1},
		`{"generationConfig":[{"candidateCount":3}],"candidateCount":3}`:                                              {Choices: 1},
		`{"generationConfig":{"candidateCount":99999999999}}`:                                                         {Choices: maxChoices},
	} {
		want.Endpoint = endpointGemini
		if got, err := Gemini.Parse(endpointGemini, []byte(body)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", body, got, err, want)
		}
	}
	for _, body := range []string{``, `{`, `[]`, `7`, `{}{}`, strings.Repeat(`{"a":`, 1001) + `1` + strings.Repeat(`}`, 1001)} {
		var bad *BadRequest
		if _, err := Gemini.Parse(endpointGeminiStream, []byte(body)); !errors.As(err, &bad) {
			t.Errorf("%.20s: %v", body, err)
		}
	}
}

const (
	gemHello    = `{"candidates": [{"content": {"parts": [{"text": "Hello"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 5,"totalTokenCount": 5},"modelVersion": "gemini-x","responseId": "r1"}`
	gemStop     = `{"candidates": [{"content": {"parts": [{"text": ""}]},"finishReason": "STOP"}],"usageMetadata": {"promptTokenCount": 5,"candidatesTokenCount": 9,"totalTokenCount": 14}}`
	gemTextStop = `{"candidates": [{"content": {"parts": [{"text": "bye"}]},"finishReason": "MAX_TOKENS"}]}`
)

var geminiSigns = []observeTest{
	{"text, then stop", 1, []string{gemHello, gemStop}, []Sign{Text, Terminal}},
	{"stop with text", 1, []string{gemHello, gemTextStop}, []Sign{Text, Text | Terminal}},
	{"usage behind the end", 1, []string{gemStop, `{"usageMetadata":{"candidatesTokenCount":3}}`}, []Sign{Terminal, Plain}},
	{"two candidates", 2, []string{
		`{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]},"index":1}]}`,
		`{"candidates":[{"finishReason":"STOP","index":1}]}`, `{"candidates":[{"finishReason":"STOP"}]}`,
	}, []Sign{Text, Plain, Terminal}},
	{"two candidates at once", 2, []string{`{"candidates":[{"finishReason":"STOP"},{"finishReason":"SAFETY"}]}`}, []Sign{Terminal}},
	{"fewer than asked for", 4, []string{gemHello, gemStop}, []Sign{Text, Terminal}},
	{"the prompt is blocked", 1, []string{`{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}}`}, []Sign{Terminal}},
	{"feedback that blocks nothing", 1, []string{`{"promptFeedback":{"safetyRatings":[{"blockReason":"x"}]}}`, gemStop}, []Sign{Plain, Terminal}},
	{"error", 1, []string{gemHello, `{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}`, gemStop}, []Sign{Text, Failure, Plain}},
	{"a null error", 1, []string{`{"error":null}`, gemStop}, []Sign{Plain, Terminal}},
	{"reasons that are none", 1, []string{`{"candidates":[{"finishReason":""}]}`, `{"candidates":[{"finishReason":null}]}`, `{"candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"}]}`}, []Sign{Plain, Plain, Plain}},
	{"no candidate", 1, []string{`{"candidates":[]}`, `{"usageMetadata":{"promptTokenCount":5}}`, `{}`}, []Sign{Plain, Plain, Plain}},
	{"quoted", 1, []string{`{"candidates":[{"content":{"parts":[{"text":"{\"finishReason\":\"STOP\"}, \"error\":{\"code\":1}"}]}}]}`}, []Sign{Text}},
	{"elsewhere", 1, []string{`{"candidates":[{"content":{"finishReason":"STOP","parts":[{"functionCall":{"args":{"finishReason":"STOP","error":{"a":1}}}}]}}]}`}, []Sign{Text}},
	{"thoughts", 1, []string{`{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]}}]}`}, []Sign{Text}},
	{"a call", 1, []string{`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"abc"}]}}]}`, gemStop}, []Sign{Text, Terminal}},
	{"arguments in pieces", 1, []string{`{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"x"}],"willContinue":true}}]}}]}`}, []Sign{Text}},
	{"code", 1, []string{`{"candidates":[{"content":{"parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"output":"1"}}]}}]}`}, []Sign{Text}},
	{"signatures alone", 1, []string{`{"candidates":[{"content":{"parts":[{"thoughtSignature":"abc","inlineData":{"data":"abc"}}]}}]}`}, []Sign{Plain}},
}

func TestGeminiSigns(t *testing.T) {
	for _, test := range geminiSigns {
		test.run(t, Gemini)
		damaged := observeTest{test.name + ", damaged", test.n, nil, make([]Sign, len(test.events))}
		for _, e := range test.events {
			damaged.events = append(damaged.events, e+"}")
		}
		o := Gemini.Observe(Request{Stream: true, Choices: test.n, Endpoint: endpointGeminiSSE}, eventStream)
		for _, e := range frames(damaged.events...) {
			if sign := o.Event([]byte(e)); sign&(Terminal|Failure) != 0 {
				t.Errorf("%s: %v of %s", damaged.name, sign, e)
			}
		}
	}
}

// asArray makes a JSON array of elements.
func asArray(elements []string) []byte {
	return []byte("[" + strings.Join(elements, ",\r\n") + "\n]")
}

var geminiArrayRequest = Request{Endpoint: endpointGeminiStream, Stream: true, Choices: 1}

const jsonType = "application/json; charset=UTF-8"

// The array form has the same signs, but that it is complete with its bracket.
func TestGeminiArraySigns(t *testing.T) {
	for _, test := range geminiSigns {
		body := asArray(test.events)
		for _, max := range []int{0, 1, 7, 60} {
			o := Gemini.Observe(geminiArrayRequest, jsonType)
			parts := split(NewArray(max), body)
			got := observe(o, parts)
			var want []Sign
			last := Plain
			for _, sign := range test.want {
				last |= sign & Terminal
				want = append(want, sign&^Terminal)
			}
			if len(test.want) > 1 && test.name == "usage behind the end" {
				last = Terminal
			}
			want = append(want, last)
			if !slices.Equal(got, want) {
				t.Errorf("%s, parts of %d: %v, want %v", test.name, max, got, want)
			}
			if !o.Whole() {
				t.Errorf("%s: not whole", test.name)
			}
		}
		// Cut anywhere, it never looks complete.
		for cut := range len(body) {
			o := Gemini.Observe(geminiArrayRequest, jsonType)
			signs := observe(o, split(NewArray(0), body[:cut]))
			if count(signs, Terminal) > 0 || o.Whole() {
				t.Errorf("%s, cut at %d: %v, whole %v", test.name, cut, signs, o.Whole())
			}
		}
	}
}

func TestGeminiNames(t *testing.T) {
	events := []string{gemHello, gemTextStop, `{"candidates":[{"finishReason":"STOP","index":1}]}`}
	for form, o := range map[string]Observer{
		"events": feedEvents(Gemini.Observe(Request{Endpoint: endpointGeminiSSE, Stream: true}, eventStream), frames(events...)),
		"array":  feedEvents(Gemini.Observe(geminiArrayRequest, jsonType), []string{"[" + events[0], "," + events[1], ",\n" + events[2], "]"}),
		"body":   feedEvents(Gemini.Observe(Request{Endpoint: endpointGemini}, jsonType), strings.SplitAfter(strings.Replace(gemHello, `,"index": 0`, `,"finishReason":"MAX_TOKENS"},{"index":1,"finishReason":"STOP"`, 1), "e")),
	} {
		if got := fmt.Sprint(o.ResponseID(), o.Model(), o.FinishReasons(), o.Whole()); got != "r1gemini-x[MAX_TOKENS STOP] true" {
			t.Errorf("%s: %s", form, got)
		}
	}
	o := feedEvents(Gemini.Observe(Request{Endpoint: endpointGemini}, jsonType), []string{`{"promptFeedback":{"blockReason":"SAFETY"}}`})
	if got := o.FinishReasons(); len(got) != 1 || got[0] != "SAFETY" {
		t.Errorf("blocked: %v", got)
	}
}

func feedEvents(o Observer, events []string) Observer {
	for _, e := range events {
		o.Event([]byte(e))
	}
	return o
}

func TestGeminiBody(t *testing.T) {
	o := Gemini.Observe(Request{Endpoint: endpointGemini}, jsonType)
	var signs []Sign
	for _, piece := range []string{`{"err`, `or": {"code"`, `: 500}`, `}`} {
		signs = append(signs, o.Event([]byte(piece)))
	}
	if count(signs, Failure) != 1 || !o.Whole() {
		t.Errorf("an error: %v, whole %v", signs, o.Whole())
	}
	o = feedEvents(Gemini.Observe(Request{Endpoint: endpointGemini}, jsonType), []string{gemStop[:80]})
	if o.Whole() {
		t.Error("half a body is whole")
	}
}

// What says neither form is believed to be what was asked for.
func TestGeminiForms(t *testing.T) {
	for _, test := range []struct{ endpoint, media, want string }{
		{endpointGeminiSSE, "text/event-stream", "*dialect.Splitter"},
		{endpointGeminiSSE, "", "*dialect.Splitter"},
		{endpointGeminiSSE, "application/json", "*dialect.ArraySplitter"},
		{endpointGeminiStream, "application/json; charset=UTF-8", "*dialect.ArraySplitter"},
		{endpointGeminiStream, "", "*dialect.ArraySplitter"},
		{endpointGeminiStream, "text/event-stream", "*dialect.Splitter"},
		{endpointGemini, "application/json", "<nil>"},
	} {
		req := Request{Endpoint: test.endpoint, Stream: test.endpoint != endpointGemini}
		if got := fmt.Sprintf("%T", req.Framing(test.media, 0)); got != test.want {
			t.Errorf("%s answered with %q: %s, want %s", test.endpoint, test.media, got, test.want)
		}
	}
	if len(Gemini.Keepalive()) != 0 {
		t.Error("the SDKs can't bear keepalives")
	}
}
