package dialect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const eventStream = "text/event-stream"

// frames makes events of payloads; one that has a line end is taken for a block as it is.
func frames(payloads ...string) []string {
	var events []string
	for _, p := range payloads {
		if !strings.ContainsAny(p, "\r\n") {
			p = "data: " + p + "\n\n"
		}
		events = append(events, p)
	}
	return events
}

type observeTest struct {
	name   string
	n      int
	events []string
	want   []Sign
}

func (test observeTest) run(t *testing.T, d Dialect) {
	t.Helper()
	t.Run(test.name, func(t *testing.T) {
		events := frames(test.events...)
		o := d.Observe(Request{Stream: true, Choices: test.n}, eventStream)
		var got []Sign
		for _, e := range events {
			got = append(got, o.Event([]byte(e)))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("signs %v, want %v", got, test.want)
		}
		// In parts of every size, the signs are the same.
		for size := 1; size < 40; size++ {
			o := d.Observe(Request{Stream: true, Choices: test.n}, eventStream)
			var got []Sign
			for _, e := range events {
				got = append(got, large(t, o, e, size))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("in parts of %d bytes: signs %v, want %v", size, got, test.want)
			}
		}
	})
}

// large gives an event in parts of size bytes.
func large(t *testing.T, o Observer, event string, size int) Sign {
	t.Helper()
	for from := 0; ; from += size {
		to := min(from+size, len(event))
		last := to == len(event)
		sign := o.Large([]byte(event[from:to]), from == 0, last)
		if last {
			return sign
		}
		if sign != Plain {
			t.Errorf("sign %v before the event's last part", sign)
		}
	}
}

func TestChatSigns(t *testing.T) {
	const (
		role   = `{"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`
		text   = `{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}`
		finish = `{"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
		usage  = `{"id":"c1","model":"m","choices":[],"usage":{"completion_tokens":1}}`
		failed = `{"error":{"message":"overloaded","code":503}}`
	)
	choice := func(i int, finish string) string {
		return fmt.Sprintf(`{"choices":[{"index":%d,"delta":{"content":"x"},"finish_reason":%s}]}`, i, finish)
	}
	for _, test := range []observeTest{
		{"usual", 1, []string{role, text, finish, usage, "[DONE]"}, []Sign{Plain, Text, Terminal, Plain, Plain}},
		{"n not given", 0, []string{text, finish}, []Sign{Text, Terminal}},
		{"azure", 1, []string{`{"choices":[],"id":"","model":"","prompt_filter_results":[{"prompt_index":0}]}`, text, finish}, []Sign{Plain, Text, Terminal}},
		{"no index", 1, []string{`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{},"finish_reason":"stop"}]}`}, []Sign{Text, Terminal}},
		{"two without index", 2, []string{`{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}`}, []Sign{Terminal}},
		{"text and finish", 1, []string{choice(0, `"stop"`)}, []Sign{Text | Terminal}},
		{"twice", 1, []string{finish, finish, failed}, []Sign{Terminal, Plain, Plain}},
		{"text after the end", 1, []string{finish, text}, []Sign{Terminal, Text}},
		{"empty finish_reason", 1, []string{choice(0, `""`), finish}, []Sign{Text, Terminal}},
		{"finish_reason of another type", 1, []string{choice(0, `false`), choice(0, `0`), choice(0, `{"a":"stop"}`), finish}, []Sign{Text, Text, Text, Terminal}},

		{"two choices", 2, []string{choice(0, "null"), choice(1, "null"), choice(0, `"stop"`), choice(1, `"stop"`)}, []Sign{Text, Text, Text, Text | Terminal}},
		{"one finishes twice", 2, []string{choice(0, `"stop"`), choice(0, `"stop"`), choice(1, `"stop"`)}, []Sign{Text, Text, Text | Terminal}},
		{"the second appears late", 2, []string{choice(0, `"stop"`), choice(1, "null"), choice(1, `"stop"`)}, []Sign{Text, Text, Text | Terminal}},
		{"more than asked for", 1, []string{choice(0, "null"), choice(1, "null"), choice(0, `"stop"`), choice(1, `"stop"`)}, []Sign{Text, Text, Text, Text | Terminal}},
		{"fewer than asked for", 3, []string{choice(0, `"stop"`), choice(1, `"stop"`), usage, "[DONE]"}, []Sign{Text, Text, Plain, Terminal}},
		{"done before the end", 2, []string{choice(0, `"stop"`), choice(1, "null"), "[DONE]"}, []Sign{Text, Text, Plain}},
		{"done and nothing else", 1, []string{"[DONE]"}, []Sign{Plain}},
		{"all in one", 2, []string{`{"choices":[{"index":1,"finish_reason":"stop"},{"index":0,"finish_reason":"stop"}]}`}, []Sign{Terminal}},
		{"index too large", 1, []string{`{"choices":[{"index":99999999999999999999,"finish_reason":"stop"}]}`}, []Sign{Terminal}},
		{"200 choices", 200, []string{choices(0, 199), choices(199, 200)}, []Sign{Plain, Terminal}},

		{"error", 1, []string{text, failed, "[DONE]"}, []Sign{Text, Failure, Plain}},
		{"error, then a finish", 1, []string{failed, finish}, []Sign{Failure, Plain}},
		{"error with empty choices", 1, []string{`{"error":{"message":"x"},"choices":[]}`}, []Sign{Failure}},
		{"error with choices null", 1, []string{`{"choices":null,"error":{"message":"x"}}`}, []Sign{Failure}},
		{"error beside a finish", 1, []string{`{"choices":[{"index":0,"finish_reason":"stop"}],"error":{"message":"x"}}`}, []Sign{Failure}},
		{"error as text", 1, []string{`{"error":"out of memory"}`}, []Sign{Failure}},
		{"no error", 1, []string{`{"error":null,"choices":[]}`, `{"error":{},"choices":[]}`, `{"error":"","choices":[]}`, `{"error":false}`}, []Sign{Plain, Plain, Plain, Plain}},
		{"error deeper", 1, []string{`{"x":{"error":{"message":"x"}},"choices":[{"error":1,"delta":{"error":{"a":1}}}]}`}, []Sign{Plain}},
		{"vllm", 1, []string{`{"object":"error","message":"x","code":400}`}, []Sign{Failure}},
		{"finish_reason error", 1, []string{choice(0, `"error"`), finish}, []Sign{Text | Failure, Plain}},
		{"one of two fails", 2, []string{choice(0, `"stop"`), choice(1, `"error"`)}, []Sign{Text, Text | Failure}},
		{"error event", 1, []string{"event: error\ndata: {\"message\":\"x\"}\n\n"}, []Sign{Failure}},
		{"error event without JSON", 1, []string{"event:error\r\ndata: sorry\r\n\r\n"}, []Sign{Failure}},
		{"event of another name", 1, []string{"event: errors\ndata: {}\n\n", "event: message\nevent: completion\n\n"}, []Sign{Plain, Plain}},

		{"quoted", 1, []string{`{"choices":[{"index":0,"delta":{"content":"{\"choices\":[{\"finish_reason\":\"stop\"}],\"error\":{\"a\":1}}"},"finish_reason":null}]}`, finish}, []Sign{Text, Terminal}},
		{"quoted quotes", 1, []string{`{"choices":[{"delta":{"content":"\\\\\",\"finish_reason\":\"stop\""},"finish_reason":null}]}`}, []Sign{Text}},
		{"a text that ends in a backslash", 1, []string{`{"choices":[{"delta":{"content":"a\\"},"x":"\\\"","finish_reason":"stop"}]}`}, []Sign{Text | Terminal}},
		{"a text that is the name", 1, []string{`{"choices":[{"delta":{"content":"finish_reason"},"finish_reason":null}]}`, `{"choices":[{"delta":{"content":"error"}}]}`}, []Sign{Text, Text}},
		{"tool arguments", 1, []string{`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{\"finish_reason\":\"stop\"}"}}]}}]}`}, []Sign{Text}},
		{"tool arguments as an object", 1, []string{`{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"finish_reason":"stop","error":1}}}]}}]}`}, []Sign{Text}},
		{"tool name only", 1, []string{`{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":""}}]}}]}`}, []Sign{Plain}},
		{"at another place", 1, []string{`{"finish_reason":"stop","delta":{"content":"x"},"choices":{"finish_reason":"stop"},"x":[{"choices":[{"finish_reason":"stop"}]}]}`}, []Sign{Plain}},
		{"escaped name", 1, []string{`{"choices":[{"finish\u005freason":"st\u006fp"}]}`}, []Sign{Terminal}},
		{"a comment", 1, []string{": {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n", ": x\n: data: y\n\n"}, []Sign{Plain, Plain}},
		{"another field", 1, []string{"dat: " + finish + "\n\n", "datax: " + finish + "\n\n", "id: " + finish + "\ndata\n\n", finish}, []Sign{Plain, Plain, Plain, Terminal}},

		{"damaged", 1, []string{finish[:len(finish)-1], `{"choices":[{"finish_reason":"stop"}]}}`, `{"choices":[{"finish_reason":"stop"]}}`, `{"choices":[{"finish_reason":"stop"}],}`, `{"choices":[{"finish_reason":"stop"}] "x"}`, `{"choices":[{"finish_reason":"stop"}],"x":nul}`, finish}, []Sign{Plain, Plain, Plain, Plain, Plain, Plain, Terminal}},
		{"damaged, then the same sound", 2, []string{text,
			`{"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":"stop"}],"obfuscation":"x"]`,
			`{"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":"stop"}],"obfuscation":"x"}`}, []Sign{Text, Plain, Terminal}},
		{"empty data", 1, []string{"data:\n\n", "data\n\n", "\n\ndata: \n\n"}, []Sign{Plain, Plain, Plain}},
		{"two lines of data", 1, []string{"data: {\"choices\":[{\"finish_reason\":\ndata: \"stop\"}]}\n\n"}, []Sign{Terminal}},
		{"two lines of data, cr", 1, []string{"data:{\"choices\":[{\"finish_reason\":\rdata:\"stop\"}]}\r\r"}, []Sign{Terminal}},
		{"a comment within", 1, []string{": a\nid: 7\ndata: {\"choices\":\r\n: x\r\ndata: [{\"finish_reason\":\"stop\"}]}\r\n\r\n"}, []Sign{Terminal}},
		{"no space", 1, []string{"data:" + finish + "\n\n"}, []Sign{Terminal}},
		{"white space", 1, []string{`{ "choices" : [ { "index" : 0 , "finish_reason" : "stop" } ] }`}, []Sign{Terminal}},
		{"byte order mark", 1, []string{"\xef\xbb\xbfdata: " + finish + "\n\n"}, []Sign{Terminal}},
		{"byte order mark later", 1, []string{text, "\xef\xbb\xbfdata: " + finish + "\n\n"}, []Sign{Text, Plain}},
		{"byte order mark twice", 1, []string{"\xef\xbb\xbfdata: " + text + "\n\n", "\xef\xbb\xbfdata: " + text + "\n\n"}, []Sign{Text, Plain}},
		{"a string over two lines", 1, []string{text, text, "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\ndata: \"},\"finish_reason\":null}]}\n\n", finish}, []Sign{Text, Text, Text, Terminal}},

		{"reasoning", 1, []string{`{"choices":[{"delta":{"content":null,"reasoning_content":"We"}}]}`, `{"choices":[{"delta":{"content":"","reasoning":"We"}}]}`}, []Sign{Text, Text}},
		{"mistral", 1, []string{`{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Okay"}]}]}}]}`, `{"choices":[{"delta":{"content":[{"type":"text","text":""}]}}]}`}, []Sign{Text, Plain}},
		{"perplexity", 1, []string{`{"choices":[{"index":0,"message":{"content":"1 2"},"delta":{"content":""},"finish_reason":"stop"}]}`}, []Sign{Terminal}},
		{"refusal", 1, []string{`{"choices":[{"delta":{"refusal":"I can't"}}]}`}, []Sign{Text}},
		{"audio", 1, []string{`{"choices":[{"delta":{"audio":{"id":"a","transcript":"yes"}}}]}`, `{"choices":[{"delta":{"audio":{"id":"a"}}}]}`}, []Sign{Text, Plain}},
		{"annotations", 1, []string{`{"choices":[{"delta":{"content":"","annotations":[{"type":"url_citation","url_citation":{"content":"page"}}]}}]}`}, []Sign{Plain}},
	} {
		test.run(t, OpenAI)
	}
}

// choices is a chunk in which the choices from from up to before to finish.
func choices(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `,{"index":%d,"finish_reason":"stop"}`, i)
	}
	return `{"choices":[` + b.String()[1:] + `]}`
}

func TestMessagesSigns(t *testing.T) {
	event := func(name, data string) string { return "event: " + name + "\ndata: " + data + "\n\n" }
	var (
		start = event("message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message_stop","model":"claude"}}`)
		delta = event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}  }`)
		stop  = event("message_stop", `{"type":"message_stop"  }`)
		fail  = event("error", `{"type":"error","error":{"type":"overloaded_error","message":"x"}}`)
		ping  = event("ping", `{"type": "ping"}`)
	)
	block := func(delta string) string {
		return event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":`+delta+`}`)
	}
	for _, test := range []observeTest{
		{"usual", 1, []string{start, ping, delta, delta, stop}, []Sign{Plain, Plain, Text, Text, Terminal}},
		{"twice", 1, []string{stop, stop, fail}, []Sign{Terminal, Plain, Plain}},
		{"error", 1, []string{delta, fail, stop}, []Sign{Text, Failure, Plain}},
		{"the data wins", 1, []string{event("message_stop", `{"type":"ping"}`), event("error", `{"type":"ping"}`), event("ping", `{"type":"message_stop"}`)}, []Sign{Plain, Plain, Terminal}},
		{"the data wins, error", 1, []string{event("ping", `{"type":"error"}`)}, []Sign{Failure}},
		{"no name", 1, []string{`{"type":"message_stop"}`}, []Sign{Terminal}},
		{"no type", 1, []string{event("message_stop", `{}`), event("error", `{}`)}, []Sign{Plain, Failure}},
		{"no JSON", 1, []string{event("message_stop", `stop`), event("error", `sorry`)}, []Sign{Plain, Failure}},
		{"an error without a type", 1, []string{`{"error":{"message":"x"}}`}, []Sign{Failure}},
		{"type last", 1, []string{`{"delta":{"type":"message_stop"},"type":"ping"}`, `{"a":[{"type":"error"}],"type":"message_stop"}`}, []Sign{Plain, Terminal}},
		{"type of another type", 1, []string{`{"type":1}`, `{"type":{"type":"message_stop"}}`, `{"type":["message_stop"]}`, `{"type":null}`}, []Sign{Plain, Plain, Plain, Plain}},
		{"quoted", 1, []string{block(`{"type":"text_delta","text":"\"},\"type\":\"message_stop\""}`)}, []Sign{Text}},
		{"damaged", 1, []string{event("message_stop", `{"type":"message_stop"`), event("message_stop", `{"type":"message_stop"}]`), stop}, []Sign{Plain, Plain, Terminal}},
		{"crlf", 1, []string{"event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n"}, []Sign{Terminal}},
		{"deltas", 1, []string{
			block(`{"type":"input_json_delta","partial_json":""}`),
			block(`{"type":"input_json_delta","partial_json":"{\"a\""}`),
			block(`{"type":"thinking_delta","thinking":"So"}`),
			block(`{"type":"signature_delta","signature":"EqQB"}`),
			block(`{"type":"citations_delta","citation":{"cited_text":"x"}}`),
			event("message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}`),
		}, []Sign{Plain, Text, Text, Plain, Plain, Plain}},
		{"blocks", 1, []string{
			event("content_block_start", `{"type":"content_block_start","content_block":{"type":"text","text":""}}`),
			event("content_block_start", `{"type":"content_block_start","content_block":{"type":"text","text":"x"}}`),
			event("content_block_start", `{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{}}}`),
			event("content_block_start", `{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{"a":1}}}`),
			event("content_block_start", `{"type":"content_block_start","content_block":{"type":"web_search_tool_result","content":[{"text":"x"}]}}`),
		}, []Sign{Plain, Text, Plain, Text, Plain}},
	} {
		test.run(t, Anthropic)
	}
}

// A finish chunk of 3 MiB is terminal wherever in it the finish_reason is.
func TestLargeEvents(t *testing.T) {
	pad := strings.Repeat(`some \"finish_reason\":\"length\" text\n`, 3<<20/40)
	stop := `"finish_reason":"stop"`
	for name, choice := range map[string]string{
		"first":  `{` + stop + `,"delta":{"content":"` + pad + `"}}`,
		"last":   `{"delta":{"content":"` + pad + `"},` + stop + `}`,
		"middle": `{"delta":{"content":"` + pad + `"},` + stop + `,"x":"` + pad + `"}`,
		"none":   `{"delta":{"content":"` + pad + `"},"x":{` + stop + `}}`,
	} {
		body := []byte(`data: {"choices":[` + choice + "]}\n\ndata: [DONE]\n\n")
		want := []Sign{Text | Terminal, Plain}
		if name == "none" {
			want[0] = Text
		}
		var cuts []int
		for i := 64 << 10; i < len(body); i += 64 << 10 {
			cuts = append(cuts, i)
		}
		parts := split(NewSSE(1<<20), body, cuts...)
		if joined(parts) != string(body) {
			t.Fatalf("%s: the parts joined are not the body", name)
		}
		o := OpenAI.Observe(Request{Stream: true, Choices: 1}, eventStream)
		if got := observe(o, parts); !slices.Equal(got, want) {
			t.Errorf("%s: signs %v, want %v", name, got, want)
		}
		if n := cap(o.(*chat).reader.json.token); n > 4*maxToken {
			t.Errorf("%s: the observer kept %d bytes", name, n)
		}
	}
}

// A large event that the stream's end cut off leaves nothing behind.
func TestLargeCutOff(t *testing.T) {
	o := OpenAI.Observe(Request{Stream: true, Choices: 1}, eventStream)
	o.Large([]byte(`data: {"choices":[{"finish_reason":"stop"`), true, false)
	if got := o.Event([]byte("data: }]}\n\n")); got != Plain {
		t.Errorf("sign %v of the rest of a finish chunk", got)
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name        string
		dialect     Dialect
		contentType string
		events      []string
		id, model   string
	}{
		{"chat", OpenAI, eventStream, frames(`{"id":"c1","model":"gpt\/x","choices":[]}`, `{"id":"c2","model":"n"}`), "c1", "gpt/x"},
		{"azure", OpenAI, eventStream, frames(`{"choices":[],"id":"","model":""}`, `{"choices":[],"id":"c1","model":"m"}`), "c1", "m"},
		{"elsewhere", OpenAI, eventStream, frames(`{"x":{"id":"a","model":"b"},"choices":[{"id":"a","delta":{"id":"b"}}],"id":7}`), "", ""},
		{"too long", OpenAI, eventStream, frames(`{"id":"` + strings.Repeat("x", 1000) + `","model":"m"}`), "", "m"},
		{"messages", Anthropic, eventStream, frames(`{"type":"message_start","message":{"id":"msg_1","model":"claude","content":[]}}`), "msg_1", "claude"},
		{"one body", OpenAI, "application/json; charset=utf-8", []string{`{"choices":[{"id":"no","model":"no"}],"id":"c1",`, `"mod`, `el":"m"}`}, "c1", "m"},
		{"one message", Anthropic, "application/json", []string{` {"model":"cla`, `ude","content":[{"id":"toolu"}],"id":"msg_1"}`}, "msg_1", "claude"},
		{"problem", Anthropic, "application/problem+json", []string{`{"id":"1"}`}, "1", ""},
	} {
		o := test.dialect.Observe(Request{Stream: true, Choices: 1}, test.contentType)
		for _, e := range test.events {
			o.Event([]byte(e))
		}
		if o.ResponseID() != test.id || o.Model() != test.model {
			t.Errorf("%s: %q of %q, want %q of %q", test.name, o.ResponseID(), o.Model(), test.id, test.model)
		}
	}
}

// The last byte of a JSON body is the reader's to see.
func TestBodyIsNeverTerminal(t *testing.T) {
	for _, d := range []Dialect{OpenAI, Anthropic} {
		o := d.Observe(Request{Choices: 1}, "application/json")
		for _, e := range []string{`{"id":"x","model":"m","type":"message_stop",`, `"choices":[{"finish_reason":"stop"}]}`, "data: [DONE]\n\n"} {
			if got := o.Event([]byte(e)); got != Plain {
				t.Errorf("%s: %q has sign %v", d.Name(), e, got)
			}
		}
	}
}

func TestPlainEventsDoNotAllocate(t *testing.T) {
	chunk := []byte("data: " + `{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"a\nb"},"finish_reason":null}]}` + "\n\n")
	other := []byte("data: " + `{"id":"c1","model":"m","choices":[{"index":1,"delta":{"content":"c"},"finish_reason":null}]}` + "\n\n")
	o := OpenAI.Observe(Request{Stream: true, Choices: 2}, eventStream)
	s := NewSSE(0)
	if n := testing.AllocsPerRun(100, func() {
		for _, c := range [][]byte{chunk, chunk, other} {
			for _, p := range s.Feed(c) {
				o.Event(p.Data)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for three plain events", n)
	}
}
