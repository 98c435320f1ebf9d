package dialect

import (
	"reflect"
	"strings"
	"testing"
)

func TestGeminiUsage(t *testing.T) {
	for name, test := range map[string]struct{ report, want string }{
		"plain":            {`{"promptTokenCount":79,"candidatesTokenCount":12,"totalTokenCount":91}`, `{"input":79,"output":12}`},
		"thoughts":         {`{"promptTokenCount":34,"candidatesTokenCount":469,"totalTokenCount":1290,"thoughtsTokenCount":787}`, `{"input":34,"output":1256,"reasoning":787}`},
		"thoughts alone":   {`{"promptTokenCount":34,"totalTokenCount":821,"thoughtsTokenCount":787}`, `{"input":34,"output":787,"reasoning":787}`},
		"tools":            {`{"promptTokenCount":17,"candidatesTokenCount":241,"totalTokenCount":772,"toolUsePromptTokenCount":102,"thoughtsTokenCount":412}`, `{"input":119,"output":653,"reasoning":412}`},
		"cache":            {`{"promptTokenCount":2000,"cachedContentTokenCount":1500,"candidatesTokenCount":5,"totalTokenCount":2005}`, `{"input":500,"cache_read":1500,"output":5}`},
		"too much cached":  {`{"promptTokenCount":20,"cachedContentTokenCount":1500,"candidatesTokenCount":5}`, `{"input":20,"output":5}`},
		"audio":            {`{"promptTokenCount":100,"cachedContentTokenCount":40,"candidatesTokenCount":50,"promptTokensDetails":[{"modality":"TEXT","tokenCount":10},{"modality":"AUDIO","tokenCount":90}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":40}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":48}]}`, `{"input":60,"cache_read":40,"output":50,"audio_in":50,"audio_out":48}`},
		"audio of tools":   {`{"promptTokenCount":10,"toolUsePromptTokenCount":7,"candidatesTokenCount":1,"toolUsePromptTokensDetails":[{"modality":"AUDIO","tokenCount":7}]}`, `{"input":17,"output":1,"audio_in":7}`},
		"blocked":          {`{"promptTokenCount":5,"totalTokenCount":5}`, `{"input":5,"output":0}`},
		"nothing but sums": {`{"promptTokenCount":5,"totalTokenCount":12}`, `{"input":5,"output":7}`},
		"sums that lie":    {`{"promptTokenCount":5,"totalTokenCount":3}`, `{"input":5}`},
		"flex":             {`{"promptTokenCount":5,"candidatesTokenCount":1,"trafficType":"ON_DEMAND_FLEX"}`, `{"input":5,"output":1,"service_tier":"flex"}`},
		"on demand":        {`{"promptTokenCount":5,"candidatesTokenCount":1,"trafficType":"ON_DEMAND","serviceTier":"standard"}`, `{"input":5,"output":1}`},
		"provisioned":      {`{"promptTokenCount":5,"candidatesTokenCount":1,"trafficType":"PROVISIONED_THROUGHPUT"}`, `{"input":5,"output":1,"service_tier":"provisioned_throughput"}`},
		"priority":         {`{"promptTokenCount":5,"candidatesTokenCount":1,"trafficType":"ON_DEMAND","serviceTier":"priority"}`, `{"input":5,"output":1,"service_tier":"priority"}`},
		"null is not zero": {`{"promptTokenCount":5,"candidatesTokenCount":null,"thoughtsTokenCount":"7"}`, `{"input":5}`},
		"nonsense":         {`{"promptTokenCount":-5,"candidatesTokenCount":1.5,"promptTokensDetails":7,"x":5}`, `{}`},
	} {
		const choice = `{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}`
		element := `{"candidates":[` + choice + `],"usageMetadata":` + test.report + `}`
		spaced := strings.NewReplacer(":", " : ", ",", " ,\n ").Replace(element)
		sse := Gemini.Observe(Request{Endpoint: endpointGeminiSSE, Stream: true}, eventStream)
		for _, e := range frames(`{"candidates":[{"content":{}}],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}`, element) {
			large(t, sse, e, 11)
		}
		behind := Gemini.Observe(Request{Endpoint: endpointGeminiSSE, Stream: true}, eventStream)
		feedEvents(behind, frames(`{"candidates":[`+choice+`]}`, `{"usageMetadata":`+test.report+`}`))
		array := Gemini.Observe(geminiArrayRequest, jsonType)
		observe(array, split(NewArray(9), []byte("["+spaced+",\r\n"+`{"usageMetadata":{"trafficType":"ON_DEMAND"}}`+"]"), 3, 50, 51))
		body := Gemini.Observe(Request{Endpoint: endpointGemini}, jsonType)
		feedEvents(body, strings.SplitAfter(spaced, "n"))
		for form, o := range map[string]Observer{"events": sse, "behind": behind, "array": array, "body": body} {
			if u, final := o.Usage(); usageText(u) != test.want || !final || o.Others() != nil {
				t.Errorf("%s, %s: %s, final %v, want %s", name, form, usageText(u), final, test.want)
			}
		}
	}
}

// What is reported before the end is not final, and what isn't reported yet is unknown.
func TestGeminiRunningUsage(t *testing.T) {
	for _, test := range []struct {
		name   string
		events []string
		want   string
		final  bool
	}{
		{"the first", []string{gemHello}, `{"input":5}`, false},
		{"thoughts", []string{`{"candidates":[{"content":{}}],"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":70,"totalTokenCount":75}}`}, `{"input":5,"output":70,"reasoning":70}`, false},
		{"the last counts", []string{gemHello, `{"candidates":[{}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}`}, `{"input":3,"output":2}`, false},
		{"without numbers", []string{gemHello, `{"candidates":[{}],"usageMetadata":{"trafficType":"ON_DEMAND"}}`}, `{"input":5}`, false},
		{"one of two candidates", []string{`{"candidates":[{},{}]}`, gemStop}, `{"input":5,"output":9}`, false},
		{"the end", []string{gemHello, gemStop}, `{"input":5,"output":9}`, true},
		{"the end without", []string{gemHello, gemTextStop}, `{"input":5}`, false},
		{"damaged", []string{gemHello, gemStop + "}"}, `{"input":5}`, false},
		{"an error", []string{gemHello, `{"error":{"code":500},"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2}}`}, `{"input":5}`, false},
	} {
		o := feedEvents(Gemini.Observe(Request{Endpoint: endpointGeminiSSE, Stream: true}, eventStream), frames(test.events...))
		if u, final := o.Usage(); usageText(u) != test.want || final != test.final {
			t.Errorf("%s: %s, final %v; want %s, %v", test.name, usageText(u), final, test.want, test.final)
		}
	}
}

func TestGeminiTexts(t *testing.T) {
	events := []string{
		`{"candidates":[{"content":{"parts":[{"text":"hm ","thought":true},{"text":"Hel"}]}},{"content":{"parts":[{"text":"Ciao"}]},"index":1}]}`,
		`{"candidates":[{"content":{"parts":[{"text":"lo","thoughtSignature":"xyz"},{"functionCall":{"name":"f","args":{"a": "b"}}},{"executableCode":{"code":"1+1"}},{"codeExecutionResult":{"output":"2"}}]}}]}`,
		`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"g","willContinue":true}}]}}]}`,
		`{"candidates":[{"content":{"parts":[{"functionCall":{"partialArgs":[{"jsonPath":"$.x","stringValue":"yes"},{"jsonPath":"$.n","numberValue":7}],"willContinue":true}}]}}]}`,
		`{"candidates":[{"content":{"parts":[{"functionCall":{}}]},"finishReason":"STOP"}]}`,
	}
	want := texts{
		{Kind: Thinking}: "hm ", {Kind: Content}: "Hello", {Choice: 1, Kind: Content}: "Ciao",
		{Kind: Call}: `f{"a": "b"}`, {Kind: Call, Index: 1}: "gyes7", {Kind: Call, Index: -1}: "1+1",
	}
	sse, _ := textOf(Gemini, split(NewSSE(40), []byte(strings.Join(frames(events...), ""))))
	array := texts{}
	r := NewTextReader(Gemini, geminiArrayRequest, jsonType)
	for _, p := range split(NewArray(40), asArray(events)) {
		r.Event([]byte(p.data), p.more, array.emit)
	}
	r.Flush(array.emit)
	for form, got := range map[string]texts{"events": sse, "array": array} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", form, got, want)
		}
	}
	if !r.Thought() || r.Lost() {
		t.Errorf("thought %v, lost %v", r.Thought(), r.Lost())
	}
	body := texts{}
	r = NewTextReader(Gemini, Request{Endpoint: endpointGemini}, jsonType)
	for _, piece := range strings.SplitAfter(events[0], "t") {
		r.Event([]byte(piece), false, body.emit)
	}
	r.Flush(body.emit)
	if body[TextPart{Kind: Content}] != "Hel" || body[TextPart{Choice: 1}] != "Ciao" {
		t.Errorf("body: %v", body)
	}
}
