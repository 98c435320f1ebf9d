package dialect

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// see is what a new view makes of one event.
func see(event string) (seen string, dropped bool) {
	out := NewUsageView().Event([]byte(event))
	return string(out), out == nil
}

func TestUsageView(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":1}`
	for name, test := range map[string]struct{ event, want string }{
		"last":           {`{"id":"c","choices":[{"index":0}],"usage":null}`, `{"id":"c","choices":[{"index":0}]}`},
		"padded":         {`{"choices":[{"index":0}],"usage":null,"obfuscation":"ab"}`, `{"choices":[{"index":0}],"obfuscation":"ab"}`},
		"middle":         {`{"a":1,"usage":null,"choices":[{"delta":{"content":"}"}}]}`, `{"a":1,"choices":[{"delta":{"content":"}"}}]}`},
		"before quotes":  {`{"a":1,"usage":null,"choices":[{"delta":{"content":"\"}\\"}}]}`, `{"a":1,"choices":[{"delta":{"content":"\"}\\"}}]}`},
		"first":          {`{"usage":null,"choices":[1]}`, `{"choices":[1]}`},
		"first, spaced":  {`{ "usage" : null , "choices" : [1] }`, `{ "choices" : [1] }`},
		"spaced":         {`{"a": 1, "usage": null, "b": 2}`, `{"a": 1, "b": 2}`},
		"spaced, last":   {`{ "a": 1 , "usage": null }`, `{ "a": 1 }`},
		"only":           {`{"usage":null}`, `{}`},
		"only, spaced":   {`{ "usage": null }`, `{  }`},
		"empty choices":  {`{"choices":[],"prompt_filter_results":[1],"usage":null}`, `{"choices":[],"prompt_filter_results":[1]}`},
		"text before":    {`{"x":"a,\"usage\":null}","usage":null}`, `{"x":"a,\"usage\":null}"}`},
		"nested before":  {`{"choices":[{"usage":null}],"usage":null}`, `{"choices":[{"usage":null}]}`},
		"backslash":      {`{"x":"\\","usage":null,"y":"\\"}`, `{"x":"\\","y":"\\"}`},
		"dropped":        {`{"id":"c","object":"o","created":1,"model":"m","service_tier":null,"system_fingerprint":"f","choices":[],` + usage + `,"obfuscation":"x"}`, ""},
		"dropped, short": {`{"choices":[ ], "usage": {"x":{"choices":[1]}}}`, ""},
		"nothing beside": {`{"choices":[],` + usage + `,"prompt_filter_results":[],"x":null,"y":"","z":{ }}`, ""},
		"silent choice":  {`{"choices":[ {"index":0,"delta":{},"finish_reason":null} ],` + usage + `}`, ""},
		"silent text":    {`{"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":null}],` + usage + `}`, ""},
		"a role":         {`{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],` + usage + `}`, "same"},
		"two choices":    {`{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{}}],` + usage + `}`, "same"},
		"cut choice":     {`{"choices":[{"index":0,"delta":{}` + "]," + usage + `}`, "same"},
		"filter results": {`{"choices":[],` + usage + `,"prompt_filter_results":[{"a":1}]}`, "same"},
		"error":          {`{"choices":[],` + usage + `,"error":{"code":1}}`, "same"},
		"finish":         {`{"choices":[{"finish_reason":"stop"}],` + usage + `}`, "same"},
		"no choices":     {`{` + usage + `}`, "same"},
		"choices null":   {`{"choices":null,` + usage + `}`, "same"},
		"nested":         {`{"choices":[{"index":0,"usage":null}]}`, "same"},
		"nested last":    {`{"choices":[],"x":{"a":1,"usage":null}}`, "same"},
		"quoted":         {`{"choices":[{"delta":{"content":"\"usage\":null"}}]}`, "same"},
		"a string":       {`{"choices":["usage"],"x":"usage"}`, "same"},
		"number":         {`{"choices":[],"usage":0}`, "same"},
		"twice":          {`{"a":1,"usage":null,"usage":null}`, "same"},
		"done":           {`[DONE]`, "same"},
		"cut off":        {`{"choices":[],"usage":null`, "same"},
		"cut in a name":  {`{"choices":[],"usage`, "same"},
		"damaged":        {`{"choices":[],"usage":null,"x":"}`, "same"},
		"more behind":    {`{"choices":[],"usage":null}}`, "same"},
		"a list":         {`[1,"usage",null]`, "same"},
		"no space":       {"data:{\"a\":1,\"usage\":null}\r\n\r\n", "data:{\"a\":1}\r\n\r\n"},
		"old line ends":  {"data: {\"a\":1,\"usage\":null}\r\r", "data: {\"a\":1}\r\r"},
		"among lines":    {": c\nid: 7\ndata: {\"a\":1,\"usage\":null}\nevent: e\n\n", ": c\nid: 7\ndata: {\"a\":1}\nevent: e\n\n"},
		"two lines":      {"data: {\"a\":1,\ndata: \"usage\":null}\n\n", "same"},
		"comment":        {": \"usage\":null\n\n", "same"},
		"no data":        {"event: x\n\n", "same"},
	} {
		event, want := test.event, test.want
		if !strings.ContainsAny(event, "\r\n") {
			event = frames(event)[0]
			if want != "same" && want != "" {
				want = frames(want)[0]
			}
		}
		if want == "same" {
			want = event
		}
		got, dropped := see(event)
		if got != want || dropped != (test.want == "") {
			t.Errorf("%s: dropped %v\n got %q\nwant %q", name, dropped, got, want)
		}
	}
}

// A view that is used again and again keeps nothing, and changes nothing that it is given.
func TestUsageViewKeepsNothing(t *testing.T) {
	v := NewUsageView()
	events := frames(`{"a":"long long long","usage":null}`, `{"a":1}`, `{"usage":null}`, `{"choices":[],"usage":{}}`, `{"b":2,"usage":null}`)
	for range 2 {
		for i, e := range events {
			data := []byte(e)
			got := v.Event(data)
			want, _ := see(e)
			if string(got) != want || string(data) != e {
				t.Errorf("event %d: %q, want %q; the event is %q", i, got, want, data)
			}
		}
	}
}

// unasked is what OpenAI would have sent had nobody asked for usage, made in another way: with a decoder
// that says where each token ends.
func unasked(t *testing.T, event string) string {
	t.Helper()
	head, rest, ok := strings.Cut(event, "data: ")
	if !ok || !strings.HasPrefix(rest, "{") {
		return event
	}
	var chunk struct {
		Choices []any
		Usage   map[string]any
	}
	if err := json.Unmarshal([]byte(rest), &chunk); err != nil {
		t.Fatal(err)
	}
	if len(chunk.Choices) == 0 && chunk.Usage != nil {
		return ""
	}
	dec := json.NewDecoder(strings.NewReader(rest))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		before := dec.InputOffset()
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		if name == "usage" && value == nil {
			return head + "data: " + rest[:before] + rest[dec.InputOffset():]
		}
	}
	return event
}

// Of a stream that was asked for usage, the view shows what the provider sends unasked.
func TestRecordedView(t *testing.T) {
	asked := 0
	for _, r := range recordings(t) {
		// Whoever reports on the last chunk alone and says null before was asked.
		if r.endpoint != endpointChat || r.column("provider") != "openai" || !bytes.Contains(r.body, []byte(`"usage":null`)) {
			continue
		}
		asked++
		t.Run(r.name, func(t *testing.T) {
			v := NewUsageView()
			var got, want strings.Builder
			for _, p := range split(NewSSE(0), r.body) {
				got.Write(v.Event([]byte(p.data)))
				want.WriteString(unasked(t, p.data))
			}
			if got.String() != want.String() {
				t.Errorf("it shows\n%s\nwant\n%s", got.String(), want.String())
			}
			if got.Len() == len(r.body) || strings.Contains(got.String(), `"usage"`) {
				t.Error("there is usage left")
			}
		})
	}
	if asked == 0 {
		t.Error("no recording was asked for usage")
	}
}

// A stream that nobody asked for usage, injected as OpenAI would send it, is shown as it was.
func TestRecordedViewBackAgain(t *testing.T) {
	last := regexp.MustCompile(`(,"obfuscation":"[^"]*")?\}\n\n$`)
	for _, name := range []string{"streaming-partial-consumption", "azure__test-chat-async-streaming"} {
		r := recordingOf(t, name)
		v := NewUsageView()
		for _, p := range split(NewSSE(0), r.body) {
			asked := p.data
			if strings.HasPrefix(asked, "data: {") {
				asked = last.ReplaceAllString(asked, `,"usage":null$0`)
			}
			if got := v.Event([]byte(asked)); string(got) != p.data {
				t.Errorf("%s: %q, want %q", name, got, p.data)
			}
			if got := v.Event([]byte(p.data)); string(got) != p.data {
				t.Errorf("%s: unasked %q, want %q", name, got, p.data)
			}
		}
	}
}

// Providers that report unasked are shown as they are: whatever they send has a choice, or more, beside the usage.
func TestRecordedViewLeavesOthers(t *testing.T) {
	for _, r := range recordings(t) {
		if r.endpoint != endpointChat || !slices.Contains([]string{"deepseek", "mistral", "groq", "openrouter", "perplexity"}, r.column("provider")) {
			continue
		}
		v := NewUsageView()
		for i, p := range split(NewSSE(0), r.body) {
			got := v.Event([]byte(p.data))
			if want := strings.Replace(p.data, `,"usage":null`, "", 1); string(got) != want {
				t.Errorf("%s: event %d is %q, want %q", r.name, i, got, want)
			}
		}
	}
}

// The view changes no event but one with a member usage at the top, and valid JSON stays valid.
func FuzzUsageView(f *testing.F) {
	f.Add([]byte(`{"choices":[{"delta":{"content":"\"usage\":null"}}],"usage":null,"obfuscation":"x"}`))
	f.Add([]byte(`{ "usage" : null , "a" : [{"usage":null}] }`))
	f.Add([]byte(`{"choices":[],"usage":{"a":1}}`))
	f.Add([]byte(`{"a":{"b":1,"usage":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.ContainsAny(data, "\r\n") {
			return
		}
		event := slices.Concat([]byte("data: "), data, []byte("\n\n"))
		got := NewUsageView().Event(event)
		if !json.Valid(data) || bytes.Equal(got, event) {
			return
		}
		var before, after map[string]any
		if err := json.Unmarshal(data, &before); err != nil {
			t.Fatalf("%q was changed, to %q", data, got)
		}
		usage, ok := before["usage"]
		if !ok {
			t.Fatalf("%q without usage was changed, to %q", data, got)
		}
		if got == nil {
			choices, _ := before["choices"].([]any)
			if _, object := usage.(map[string]any); !object || choices == nil || len(choices) > 1 || len(choices) == 1 && says(choices[0]) {
				t.Fatalf("%q was dropped", data)
			}
			return
		}
		if err := json.Unmarshal(bytes.TrimPrefix(got, []byte("data: ")), &after); err != nil {
			t.Fatalf("%q became %q", data, got)
		}
		if _, still := after["usage"]; still || usage != nil || len(after) != len(before)-1 {
			t.Fatalf("%q became %q", data, got)
		}
	})
}

// says tells whether there is more to a choice than its index.
func says(choice any) bool {
	c, ok := choice.(map[string]any)
	for name, member := range c {
		switch v := member.(type) {
		case nil:
		case string:
			ok = ok && (v == "" || name == "index")
		case []any:
			ok = ok && (len(v) == 0 || name == "index")
		case map[string]any:
			ok = ok && (len(v) == 0 || name == "index")
		default:
			ok = ok && name == "index"
		}
	}
	return !ok
}

func BenchmarkUsageView(b *testing.B) {
	const head = `{"id":"chatcmpl-DPTCSiILDqSfGEsai0LaZHmgPpD0W","object":"chat.completion.chunk","created":1774962816,"model":"gpt-3.5-turbo-0125","service_tier":"default","system_fingerprint":null,"choices":`
	const choice = `[{"index":0,"delta":{"content":"5"},"logprobs":null,"finish_reason":null}]`
	for name, chunk := range map[string]string{
		"null":      head + choice + `,"usage":null,"obfuscation":"TVQ6FM"}`,
		"untouched": head + choice + `,"obfuscation":"TVQ6FM"}`,
		"running":   head + choice + `,"usage":{"prompt_tokens":5,"completion_tokens":7}}`,
		"dropped":   head + `[],"usage":{"prompt_tokens":5,"completion_tokens":7}}`,
	} {
		b.Run(name, func(b *testing.B) {
			event := []byte(frames(chunk)[0])
			v := NewUsageView()
			b.ReportAllocs()
			for b.Loop() {
				v.Event(event)
			}
		})
	}
}

func TestUsageViewDoesNotAllocate(t *testing.T) {
	event := []byte(frames(`{"choices":[{"index":0,"delta":{"content":"5"}}],"usage":null,"obfuscation":"TVQ6FM"}`)[0])
	v := NewUsageView()
	if n := testing.AllocsPerRun(100, func() { v.Event(event) }); n != 0 {
		t.Errorf("%v allocations for an event", n)
	}
}
