package dialect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Each form has a target: however an answer is cut into reads and parts, and whatever was learned of the events
// before, its events, signs, usage, names and text are the same, it ends at most once, and nothing is terminal that
// a plain reading of the JSON doesn't take for the end.

func FuzzChat(f *testing.F)        { fuzzForm(f, "chat", finishedChoice) }
func FuzzCompletions(f *testing.F) { fuzzForm(f, "completions", finishedChoice) }
func FuzzResponses(f *testing.F) {
	fuzzForm(f, "responses", typed("type", "response.completed", "response.incomplete"))
}
func FuzzMessages(f *testing.F)    { fuzzForm(f, "messages", typed("type", "message_stop")) }
func FuzzCohere(f *testing.F)      { fuzzForm(f, "cohere", typed("type", "message-end")) }
func FuzzGemini(f *testing.F)      { fuzzForm(f, "gemini", nil) }
func FuzzGeminiArray(f *testing.F) { fuzzForm(f, "gemini array", nil) }
func FuzzInteractions(f *testing.F) {
	fuzzForm(f, "interactions", typed("event_type", "interaction.completed", "interaction.complete"))
}

// fuzzForm fuzzes answers of a form. ends tells of an event's data, which is an object, whether it may be the
// terminal one; without it, that is not asked.
func fuzzForm(f *testing.F, name string, ends func(data map[string]any) bool) {
	form := formNamed(name)
	for i, body := range append(formSeeds(form), recordedSeeds(f, form)...) {
		f.Add(body, []byte{9, 30, 1, 1}, uint8(7))
		if i%2 == 0 { // the same again, so that what is learned of an event serves the next
			f.Add(slices.Concat(body, body), []byte{}, uint8(0))
		}
	}
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8) {
		want := form.read(body, 0)
		if joined := strings.Join(want.events, ""); joined != string(body) {
			t.Fatalf("the events joined are %q", joined)
		}
		form.read(body, int(max), cutsOf(seed, len(body))...).same(t, "cut", want)
		form.read(body, 1).same(t, "byte by byte, with nothing learned", want)
		if n := count(want.signs, Terminal) + count(want.signs, Failure); n > 1 {
			t.Fatalf("%d ends: %v", n, want.signs)
		}
		soundUsage(t, want.seen)
		if form.media != eventStream {
			if count(want.signs, Terminal) > 0 && !json.Valid(body) && plainNumbers(body) {
				t.Fatalf("a terminal event in what is no JSON: %q", body)
			}
			return
		}
		for i, sign := range want.signs {
			if sign&Terminal != 0 && ends != nil && !mayEnd(want.events[i], ends) {
				t.Fatalf("terminal: %q", want.events[i])
			}
		}
	})
}

// soundUsage fails if the usage makes no sense.
func soundUsage(t *testing.T, o Observer) {
	t.Helper()
	u, _ := o.Usage()
	for _, other := range o.Others() {
		if other.Model == "" {
			t.Fatal("another model has no name")
		}
	}
	for _, n := range []int64{u.Input.Or(0), u.CacheRead.Or(0), u.CacheWrite5m.Or(0), u.CacheWrite1h.Or(0), u.Output.Or(0), u.AudioIn.Or(0), u.AudioOut.Or(0)} {
		if n < 0 {
			t.Fatalf("usage %+v", u)
		}
	}
	if u.Reasoning.Or(0) > u.Output.Or(0) {
		t.Fatalf("%v of %v output is reasoning", u.Reasoning, u.Output)
	}
}

// mayEnd tells whether the data of an event, if encoding/json takes it for an object, is one that ends an answer.
func mayEnd(event string, ends func(map[string]any) bool) bool {
	text := strings.TrimSpace(string(payload([]byte(event))))
	if strings.HasPrefix(text, "[DONE") || !json.Valid([]byte(text)) {
		return true // a control character, or a number: the scanner looks at the structure alone
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // 1e700 is one
	var v map[string]any
	return d.Decode(&v) == nil && ends(v)
}

func typed(member string, names ...string) func(map[string]any) bool {
	return func(data map[string]any) bool {
		name, _ := data[member].(string)
		return slices.Contains(names, name)
	}
}

func finishedChoice(data map[string]any) bool {
	choices, _ := data["choices"].([]any)
	return slices.ContainsFunc(choices, func(c any) bool {
		object, _ := c.(map[string]any)
		reason, _ := object["finish_reason"].(string)
		return reason != ""
	})
}

// formSeeds are small answers of a form.
func formSeeds(f form) (bodies [][]byte) {
	add := func(events ...string) { bodies = append(bodies, []byte(strings.Join(frames(events...), ""))) }
	switch f.name {
	case "chat", "completions":
		add(`{"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"obfuscation":"x"}`, `{"choices":[{"finish_reason":"stop"}]}`)
		add(`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"a"},"finish_reason":"length"}]}`)
		add(`{"error":{"a":1},"choices":[]}`, `[DONE]`, "event: error\r\ndata\r\n\r\n")
		add(`{"choices":[{"finish_reason":"stop"}],"usage":{"completion_tokens":7,"total_tokens":9},"obfuscation":"x"}`, `{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":2,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}}`)
		add(`{"choices":[{"text":"a","index":0}],"x_groq":{"usage":{"prompt_tokens":2}}}`, `{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"text":"b"}]}],"reasoning":"c"}}]}`)
		add(`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"a\":"}}]}}]}`, `{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":{"a":1}}}],"audio":{"transcript":"t"}},"finish_reason":"tool_calls"}]}`)
		add(`{"choices":[],"prompt_filter_results":[{"a":{}}],"model":""}`, ": OPENROUTER PROCESSING\n\n", `{"choices":[{"finish_reason":"error"}]}`)
		bodies = append(bodies, []byte(completionsOfTwo))
	case "responses":
		add(respCreated, respDelta, respDelta, respDone)
		add(respDelta, strings.Replace(respDelta, `"sequence_number":4`, `"sequence_number":5`, 1), `{"type":"response.failed","response":{"status":"failed"}}`)
		add(`{"sequence_number":1,"delta":"a","type":"response.audio.delta"}`, `{"sequence_number":22,"delta":"b","type":"response.audio.delta"}`, `{"sequence_number":x,"delta":"b"}`)
		add(`{"response":{"service_tier":"a","status":"b"},"delta":"","type":"x"}`, `{"response":{"service_tier":"a","status":"b"},"delta":"","type":"response.completed"}`)
		add("event: error\ndata: {}\n\n", `{"error":{"a":1}}`, `{"type":"error"}`, `{"type":"response.incomplete","response":{"tool_usage":{"web_search":{"num_requests":2}},"usage":{"output_tokens":3}}}`)
	case "messages":
		add(`{"type":"message_start","message":{"id":"m","usage":{"input_tokens":5,"output_tokens":1}}}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9,"iterations":[{"input_tokens":1,"output_tokens":2,"model":"a"}]}}`)
		add("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", `{"type":"content_block_delta","delta":{"text":"\""}}`)
		add(`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","name":"f","input":{}}}`, `{"type":"content_block_delta","index":1,"delta":{"partial_json":"{}"}}`, "event: ping\ndata: {\"type\": \"ping\"}\n\n", `{"type":"error","error":{"type":"overloaded_error"}}`)
	case "cohere":
		add(`{"id":"c","type":"message-start"}`, `{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}`, `{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":2,"output_tokens":3},"tokens":{"reasoning_tokens":1}}}}`, `[DONE]`)
		add(`{"type":"tool-call-start","delta":{"message":{"tool_calls":{"function":{"name":"f","arguments":""}},"tool_plan":"p"}}}`, `{"type":"message-end","delta":{"finish_reason":"ERROR","error":"x"}}`)
	case "interactions":
		add(intCreated, intSaid, intSaid, closes("completed", ","+intUsed))
		add(`{"error":{"code":"x"},"event_type":"error"}`, closes("failed", `,"service_tier":"flex"`))
		bodies = append(bodies, []byte(interactionOfTools))
	case "gemini":
		for _, test := range geminiSigns {
			add(test.events...)
		}
	case "gemini array":
		for _, test := range geminiSigns {
			bodies = append(bodies, asArray(test.events))
		}
	}
	return bodies
}

// recordedSeeds are the recordings of a form that are small, if there are recordings.
func recordedSeeds(tb testing.TB, f form) (bodies [][]byte) {
	tb.Helper()
	if !haveRecordings(tb) {
		return nil
	}
	for _, r := range recordings(tb) {
		if body := r.body; f.of(r) && len(body) < 6000 {
			bodies = append(bodies, f.body(r))
		}
	}
	return bodies
}

// Bodies in one JSON text: however it is cut, what is read of it is the same, and it is never terminal.
func FuzzBody(f *testing.F) {
	bodies := []form{
		{"chat", OpenAI, Request{Endpoint: endpointChat, Choices: 1}, jsonType}, {"completions", OpenAI, Request{Endpoint: endpointCompletions, Choices: 1}, jsonType},
		{"responses", OpenAI, Request{Endpoint: endpointResponses, Choices: 1}, jsonType}, {"messages", Anthropic, Request{Endpoint: endpointMessages}, jsonType},
		{"gemini", Gemini, Request{Endpoint: endpointGemini}, jsonType}, {"interactions", Gemini, Request{Endpoint: endpointInteractions}, jsonType},
		{"cohere", Cohere, Request{Endpoint: endpointCohere}, jsonType},
	}
	for i, body := range []string{
		`{"id":"c","model":"m","choices":[{"index":0,"message":{"content":"Hi","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2},"service_tier":"flex"}`,
		`{"choices":[{"text":"a","finish_reason":"length"}],"usage":null,"error":null}`,
		`{"id":"r","status":"incomplete","incomplete_details":{"reason":"x"},"output":[{"type":"message","content":[{"type":"output_text","text":"a"}]}],"usage":{"input_tokens":1,"output_tokens":2}}`,
		`{"id":"m","content":[{"type":"thinking","thinking":"a"},{"type":"tool_use","name":"f","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}`,
		`{"candidates":[{"content":{"parts":[{"text":"a","thought":true},{"functionCall":{"name":"f","args":{"a":1}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"totalTokenCount":3}}`,
		`{"id":"v1","status":"completed","steps":[{"type":"model_output","content":[{"type":"text","text":"a"}]}],"usage":{"total_input_tokens":1,"total_output_tokens":2}}`,
		`{"id":"c","finish_reason":"COMPLETE","message":{"content":[{"type":"text","text":"a"}]},"usage":{"billed_units":{"input_tokens":1,"output_tokens":2}}}`,
	} {
		f.Add([]byte(body), []byte{1, 5, 9}, uint8(i))
		f.Add([]byte(`{"error":{"message":"x"}} `+body), []byte{}, uint8(i))
	}
	f.Fuzz(func(t *testing.T, body, seed []byte, which uint8) {
		form := bodies[int(which)%len(bodies)]
		want := form.readBody(t, body)
		form.readBody(t, body, cutsOf(seed, len(body))...).same(t, "cut", want)
		soundUsage(t, want.seen)
		if whole := want.seen.Whole(); whole != json.Valid(body) && plainNumbers(body) && len(body) < maxDepth {
			t.Fatalf("whole is %v: %q", whole, body)
		}
	})
}

// readBody reads a body that comes in reads which end at cuts.
func (f form) readBody(t *testing.T, body []byte, cuts ...int) everything {
	t.Helper()
	o := f.observer()
	all := everything{texts: texts{}, seen: o}
	text := NewTextReader(f.dialect, f.req, f.media)
	failed, from := Plain, 0
	for _, to := range append(slices.Clone(cuts), len(body)) {
		sign := o.Event(slices.Clone(body[from:to]))
		if sign&Terminal != 0 {
			t.Fatal("a body is terminal before its end")
		}
		failed |= sign
		text.Event(body[from:to], false, all.texts.emit)
		from = to
	}
	text.Flush(all.texts.emit)
	all.signs = []Sign{failed}
	u, final := o.Usage()
	said, _ := json.Marshal([]any{u, final, o.Others(), o.FinishReasons(), o.Whole(), o.ResponseID(), o.Model(), text.Thought(), text.Lost()})
	all.said = string(said)
	return all
}

// However the events of Responses and of interactions are cut, the marks by which a client reads on are the same.
func FuzzMarks(f *testing.F) {
	for _, name := range []string{"responses", "interactions"} {
		for _, body := range formSeeds(formNamed(name)) {
			f.Add(body, []byte{9, 30, 1, 1}, uint8(7))
		}
	}
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8) {
		type mark struct {
			n  uint64
			ok bool
			id string
		}
		read := func(max int, cuts ...int) (marks []mark) {
			numbers, ids, first := new(Sequence), new(EventID), true
			for _, p := range split(NewSSE(max), body, cuts...) {
				if p.whole || p.more {
					n, ok := numbers.Event([]byte(p.data), first, p.whole)
					id := ids.Event([]byte(p.data), first, p.whole)
					if !ok {
						n = 0
					}
					if p.whole {
						marks = append(marks, mark{n, ok, id})
					}
				}
				first = !p.more
			}
			return marks
		}
		want := read(0)
		for _, got := range [][]mark{read(int(max), cutsOf(seed, len(body))...), read(1)} {
			if !slices.Equal(got, want) {
				t.Fatalf("in parts: %v; whole: %v", got, want)
			}
		}
	})
}

// Whatever is asked: it is read, or refused with a reason; and what is read agrees with encoding/json.
func FuzzParse(f *testing.F) {
	endpoints := []struct {
		dialect  Dialect
		endpoint string
	}{
		{OpenAI, endpointChat}, {OpenAI, endpointCompletions}, {OpenAI, endpointResponses}, {Anthropic, endpointMessages},
		{Gemini, endpointGemini}, {Gemini, endpointGeminiStream}, {Gemini, endpointInteractions}, {Cohere, endpointCohere},
	}
	for i, body := range []string{
		`{"model":"m","stream":true,"n":2,"stream_options":{"include_usage":false},"max_tokens":1,"max_completion_tokens":2}`,
		`{"model":"m","prompt":["a","b",[1,2]],"best_of":3,"n":2}`, `{"model":"m","background":true,"max_output_tokens":7,"service_tier":"flex"}`,
		`{"model":"m","stream":null,"max_tokens":-1}`, `{"generationConfig":{"candidateCount":"2","maxOutputTokens":3},"serviceTier":"SERVICE_TIER_FLEX"}`,
		`{"generation_config":{"candidate_count":1e9}}`, `{"agent":"a","stream":true,"background":true}`, `{"model":"\u00e9","stream":"x"}`,
	} {
		f.Add([]byte(body), uint8(i), "/openai/deployments/d/chat/completions", "alt=sse&key=k")
	}
	f.Add([]byte(`[]`), uint8(9), "/v1beta/models/m:streamGenerateContent", "%zz")
	f.Fuzz(func(t *testing.T, body []byte, which uint8, path, query string) {
		for _, d := range []Dialect{OpenAI, Anthropic, Gemini, Cohere} {
			if endpoint, ok := d.Endpoint(path); ok {
				Locate(d, Request{Endpoint: endpoint, Model: "m"}, path, query).Framing(query, 1)
			}
		}
		to := endpoints[int(which)%len(endpoints)]
		req, err := to.dialect.Parse(to.endpoint, body)
		if err != nil {
			if bad, ok := err.(*BadRequest); !ok || bad.Message == "" {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if req.Endpoint != to.endpoint || req.Choices < 1 || req.MaxTokens < 0 || len(req.Model) > maxToken || len(req.ServiceTier) > maxToken {
			t.Fatalf("%q is %+v", body, req)
		}
		var plain struct{ Model, Stream any }
		var members map[string]any
		if json.Unmarshal(body, &members) != nil || to.dialect == Gemini {
			return
		}
		plain.Model, plain.Stream = members["model"], members["stream"]
		if model, ok := plain.Model.(string); ok && model != req.Model && !strings.Contains(string(body), `\`) && json.Valid(body) && strings.ToValidUTF8(model, "") == req.Model {
			t.Fatalf("the model of %q is %q", body, req.Model)
		}
		if stream, ok := plain.Stream.(bool); ok && stream != req.Stream {
			t.Fatalf("stream of %q is %v", body, req.Stream)
		}
	})
}

// Whatever the events of an answer are, the body made of them is JSON, or there is none.
func FuzzAssemble(f *testing.F) {
	for _, name := range []string{"chat", "messages"} {
		for _, body := range append(formSeeds(formNamed(name)), recordedSeeds(f, formNamed(name))...) {
			f.Add(body, name == "chat")
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, chat bool) {
		form := formNamed("messages")
		if chat {
			form = formNamed("chat")
		}
		assembled := NewAssembly(form.req.Endpoint)
		for _, p := range split(NewSSE(0), body) {
			if p.whole {
				assembled.Event([]byte(p.data))
			}
		}
		got, err := assembled.Body()
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%q becomes %q", body, got)
		}
	})
}
