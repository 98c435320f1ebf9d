package dialect

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

var (
	converseRequest = Request{Endpoint: endpointConverseStream, Stream: true, Choices: 1}
	invokeRequest   = Request{Endpoint: endpointInvokeStream, Stream: true, Choices: 1}
)

// frameOf is a frame with one message.
func frameOf(t testing.TB, kind, name, payload string) []byte {
	t.Helper()
	names := map[string]string{messageEvent: ":event-type", messageException: ":exception-type", messageError: ":error-code"}
	var m eventstream.Message
	m.Headers.Set(":message-type", eventstream.StringValue(kind))
	m.Headers.Set(names[kind], eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue(jsonType))
	m.Payload = []byte(payload)
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// eventFrames are frames of ConverseStream, from pairs of names and payloads.
func eventFrames(t testing.TB, pairs ...string) (body []byte) {
	for i := 0; i < len(pairs); i += 2 {
		body = append(body, frameOf(t, messageEvent, pairs[i], pairs[i+1])...)
	}
	return body
}

// chunkFrames are frames of InvokeModelWithResponseStream.
func chunkFrames(t testing.TB, pieces ...string) (body []byte) {
	for _, piece := range pieces {
		payload, err := json.Marshal(map[string]string{"bytes": base64.StdEncoding.EncodeToString([]byte(piece)), "p": "abc"})
		if err != nil {
			t.Fatal(err)
		}
		body = append(body, frameOf(t, messageEvent, "chunk", string(payload))...)
	}
	return body
}

// bedrockRecordings are those of Bedrock, by the requests they answer.
func bedrockRecordings(t testing.TB) map[*recording]Request {
	t.Helper()
	dir := recordingsDir(t)
	f, err := os.Open(filepath.Join(dir, "index.csv"))
	if os.IsNotExist(err) {
		t.Skipf("no recorded streams in %s", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	found := map[*recording]Request{}
	for _, row := range rows[1:] {
		column := func(name string) string { return row[slices.Index(rows[0], name)] }
		req, ok := map[string]Request{"bedrock-converse": converseRequest, "bedrock-invoke": invokeRequest}[column("dialect")]
		if !ok {
			continue
		}
		r := recording{name: column("file"), dialect: Bedrock, end: column("end"), column: column}
		if r.body, err = os.ReadFile(filepath.Join(dir, r.name)); err != nil {
			t.Fatal(err)
		}
		found[&r] = req
	}
	if len(found) != 7 {
		t.Fatalf("%d recordings of Bedrock, want 7", len(found))
	}
	return found
}

func TestRecordedBedrock(t *testing.T) {
	for r, req := range bedrockRecordings(t) {
		t.Run(r.name, func(t *testing.T) {
			parts := split(NewEventStream(0), r.body)
			if joined(parts) != string(r.body) || len(parts) == 0 || r.column("events") != strconv.Itoa(len(parts)) {
				t.Fatalf("%d events, the index says %s", len(parts), r.column("events"))
			}
			o := Bedrock.Observe(req, eventStreamType)
			signs := observe(o, parts)
			end, known := strings.CutPrefix(r.end, "stop_reason:")
			if count(signs, Failure) != 0 || known != (count(signs, Terminal) == 1) {
				t.Errorf("signs %v, the index says %s", signs, r.end)
			}
			if known && !slices.Equal(o.FinishReasons(), []string{end}) {
				t.Errorf("finish reasons %v, the index says %s", o.FinishReasons(), r.end)
			}
			if !known && signs[len(signs)-1]&Closing == 0 {
				t.Errorf("signs %v of an answer that a guardrail has cut", signs)
			}
			u, final := o.Usage()
			reports, input, read, write, output, reasoning := r.expected(t)
			if final != reports {
				t.Errorf("final is %v, the index says %v", final, reports)
			}
			got := []int64{u.InputTotal().Or(0), u.CacheRead.Or(0), u.CacheWrite5m.Or(0) + u.CacheWrite1h.Or(0), u.Output.Or(0), u.Reasoning.Or(0)}
			if want := []int64{input, read, write, output, reasoning}; !slices.Equal(got, want) || reports != u.Output.IsKnown() || reports != u.Input.IsKnown() {
				t.Errorf("usage %+v, want %d", u, want)
			}
			texts, lost := framesText(req, parts)
			if len(texts) == 0 || lost || strings.Contains(strings.Join(texts.list(), ""), "abcdefghijklmnop") {
				t.Errorf("text %v, lost %v", texts, lost)
			}
		})
	}
}

func (x texts) list() (all []string) {
	for _, text := range x {
		all = append(all, text)
	}
	return all
}

func framesText(req Request, parts []heldPart) (texts, bool) {
	got, reader := texts{}, NewTextReader(Bedrock, req, eventStreamType)
	for _, p := range parts {
		if p.more || p.whole {
			reader.Event([]byte(p.data), p.more, got.emit)
		}
	}
	reader.Flush(got.emit)
	return got, reader.Lost()
}

// Recordings cut at every byte: same events, same usage.
func TestRecordedBedrockEveryCut(t *testing.T) {
	cut := 0
	for r, req := range bedrockRecordings(t) {
		if len(r.body) > 6000 || req.Endpoint == converseRequest.Endpoint && len(r.body) > 3000 {
			continue // two of a form are enough, and there is but one of each model's own
		}
		cut++
		want := split(NewEventStream(0), r.body)
		o := Bedrock.Observe(req, eventStreamType)
		signs := observe(o, want)
		for at := range len(r.body) + 1 {
			if got := split(NewEventStream(0), r.body, at); !slices.Equal(got, want) {
				t.Fatalf("%s: other events when cut at %d", r.name, at)
			}
			// Cut off there, what has come is a beginning of it, and never more.
			short := Bedrock.Observe(req, eventStreamType)
			if got := observe(short, split(NewEventStream(0), r.body[:at])); !slices.Equal(got, signs[:len(got)]) {
				t.Fatalf("%s: signs %v when it ends at %d", r.name, got, at)
			}
			small := Bedrock.Observe(req, eventStreamType)
			if got := observe(small, split(NewEventStream(1+at%100), r.body, at)); !slices.Equal(got, signs) {
				t.Fatalf("%s: signs %v in small parts, cut at %d", r.name, got, at)
			}
			sameUsage(t, small, o)
		}
	}
	if cut < 2 {
		t.Fatalf("%d recordings were cut", cut)
	}
}

// A damaged byte, wherever it is, is a failure or makes no end: it never completes the answer, and never panics.
func TestDamagedBedrockFrames(t *testing.T) {
	body := eventFrames(t,
		"messageStart", `{"role":"assistant"}`,
		"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"hello"},"p":"ab"}`,
		"messageStop", `{"stopReason":"end_turn"}`)
	for at := range body {
		hurt := bytes.Clone(body)
		hurt[at] ^= 0x15
		parts := split(NewEventStream(0), hurt)
		signs := observe(Bedrock.Observe(converseRequest, eventStreamType), parts)
		if joined(parts) != string(hurt) || count(signs, Terminal) != 0 || count(signs, Failure) != 1 {
			t.Fatalf("byte %d: signs %v", at, signs)
		}
	}
}

// What each kind of model's stream comes to.
func TestBedrockStreams(t *testing.T) {
	const metrics = `"amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"outputTokenCount":7,"cacheReadInputTokenCount":3,"invocationLatency":1,"firstByteLatency":1}`
	for name, test := range map[string]struct {
		req   Request
		body  []byte
		signs []Sign
		text  string
		usage string
	}{
		"converse": {converseRequest, eventFrames(t, "messageStart", `{"role":"assistant","p":"x"}`,
			"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"xx"}}}`,
			"contentBlockStart", `{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"i","name":"f"}}}`,
			"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}`,
			"messageStop", `{"stopReason":"tool_use"}`,
			"metadata", `{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3,"cacheReadInputTokens":4,"cacheWriteInputTokens":9,"cacheDetails":[{"ttl":"1h","inputTokens":6},{"ttl":"5m","inputTokens":3}]},"serviceTier":{"type":"priority"}}`),
			[]Sign{Plain, Text, Plain, Text, Text, Terminal, Plain}, "hmf{}",
			`{"input":1,"cache_read":4,"cache_write_5m":3,"cache_write_1h":6,"output":2,"service_tier":"priority"}`},
		"titan": {invokeRequest, chunkFrames(t, `{"outputText":"a","index":0,"completionReason":null}`, `{"outputText":"b","completionReason":"FINISH",`+metrics+`}`),
			[]Sign{Text, Text | Terminal}, "ab", `{"input":5,"cache_read":3,"output":7}`},
		"llama": {invokeRequest, chunkFrames(t, `{"generation":"a","prompt_token_count":3,"generation_token_count":1,"stop_reason":null}`, `{"generation":"","stop_reason":"length"}`, `{`+metrics+`}`),
			[]Sign{Text, Terminal, Plain}, "a", `{"input":5,"cache_read":3,"output":7}`},
		"nova": {invokeRequest, chunkFrames(t, `{"messageStart":{"role":"assistant"}}`, `{"contentBlockDelta":{"delta":{"text":"a"},"contentBlockIndex":0}}`, `{"messageStop":{"stopReason":"end_turn"}}`,
			`{"metadata":{"usage":{"inputTokens":1,"outputTokens":2,"cacheReadInputTokenCount":0,"cacheWriteInputTokenCount":0}},`+metrics+`}`),
			[]Sign{Plain, Text, Terminal, Plain}, "a", `{"input":1,"cache_read":0,"cache_write_5m":0,"output":2}`},
		"mistral": {invokeRequest, chunkFrames(t, `{"outputs":[{"text":"a","stop_reason":null}]}`, `{"outputs":[{"text":"","stop_reason":"stop"}],`+metrics+`}`),
			[]Sign{Text, Terminal}, "a", `{"input":5,"cache_read":3,"output":7}`},
		"cohere": {invokeRequest, chunkFrames(t, `{"text":"a","is_finished":false,"event_type":"text-generation"}`, `{"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"text":"a"},`+metrics+`}`),
			[]Sign{Text, Terminal}, "a", `{"input":5,"cache_read":3,"output":7}`},
		"as openai's chat": {invokeRequest, chunkFrames(t, `{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3}}`),
			[]Sign{Text, Terminal}, "a", `{"input":2,"output":3}`},
		"two choices": {Request{Endpoint: endpointInvokeStream, Stream: true, Choices: 2}, chunkFrames(t, `{"choices":[{"index":0,"delta":{"content":"a"},"stop_reason":"stop"}]}`, `{"choices":[{"index":1,"delta":{"content":"b"},"stop_reason":"stop"}]}`),
			[]Sign{Text, Text | Terminal}, "ab", `{}`},
		"unknown": {invokeRequest, chunkFrames(t, `{"what":"ever"}`, `{"more":1,`+metrics+`}`, `{"behind":1}`),
			[]Sign{Plain, Terminal, Plain}, "", `{"input":5,"cache_read":3,"output":7}`},
		"masked by a guardrail, and it goes on": {invokeRequest, chunkFrames(t, `{"outputText":"a","amazon-bedrock-guardrailAction":"INTERVENED"}`, `{"outputText":"b","completionReason":"FINISH"}`),
			[]Sign{Text | Closing, Text | Terminal}, "ab", `{}`},
		"a quotation is no end": {converseRequest, eventFrames(t, "contentBlockDelta", `{"delta":{"text":"messageStop {\"stopReason\":\"end_turn\"}"}}`, "what", `{"messageStop":{"stopReason":"end_turn"},"amazon-bedrock-invocationMetrics":{"outputTokenCount":1}}`),
			[]Sign{Text, Plain}, `messageStop {"stopReason":"end_turn"}`, `{}`},
		"an exception": {converseRequest, slices.Concat(eventFrames(t, "contentBlockDelta", `{"delta":{"text":"a"}}`), frameOf(t, messageException, "modelStreamErrorException", `{"message":"no"}`), eventFrames(t, "messageStop", `{"stopReason":"end_turn"}`)),
			[]Sign{Text, Failure, Plain}, "a", `{}`},
		"an error": {invokeRequest, frameOf(t, messageError, "InternalError", ``), []Sign{Failure}, "", `{}`},
		"an anthropic error": {invokeRequest, chunkFrames(t, `{"type":"error","error":{"type":"overloaded_error","message":"no"}}`, `{"type":"message_stop"}`),
			[]Sign{Failure, Plain}, "", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			parts := split(NewEventStream(0), test.body)
			o := Bedrock.Observe(test.req, eventStreamType)
			if signs := observe(o, parts); !slices.Equal(signs, test.signs) {
				t.Errorf("signs %v, want %v", signs, test.signs)
			}
			u, final := o.Usage()
			if got := usageText(u); got != test.usage || final != (got != "{}") {
				t.Errorf("usage %s, final %v, want %s", got, final, test.usage)
			}
			var text string
			reader := NewTextReader(Bedrock, test.req, eventStreamType)
			for _, p := range parts {
				reader.Event([]byte(p.data), false, func(_ TextPart, piece []byte) { text += string(piece) })
			}
			if text != test.text {
				t.Errorf("text %q, want %q", text, test.text)
			}
		})
	}
}

// What each kind of model's whole answer comes to.
func TestBedrockBodies(t *testing.T) {
	head := http.Header{"X-Amzn-Bedrock-Input-Token-Count": {"5"}, "X-Amzn-Bedrock-Output-Token-Count": {"7"}}
	for name, test := range map[string]struct {
		head                     http.Header
		body, text, usage, finis string
	}{
		"converse": {nil, `{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm","signature":"x"}}},{"text":"a"},{"toolUse":{"toolUseId":"i","name":"f","input":{"a":1}}}]}},"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3,"cacheReadInputTokens":0,"cacheWriteInputTokens":4},"metrics":{"latencyMs":1},"serviceTier":{"type":"default"}}`,
			`hmaf{"a":1}`, `{"input":1,"cache_read":0,"cache_write_5m":4,"output":2}`, "tool_use"},
		"anthropic": {head, `{"id":"msg_1","model":"claude","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_read_input_tokens":2,"output_tokens":4}}`,
			"a", `{"input":3,"cache_read":2,"output":4}`, "end_turn"},
		"titan":                        {nil, `{"inputTextTokenCount":3,"results":[{"tokenCount":4,"outputText":"a","completionReason":"FINISH"}]}`, "a", `{"input":3,"output":4}`, "FINISH"},
		"llama":                        {nil, `{"generation":"a","prompt_token_count":3,"generation_token_count":4,"stop_reason":"stop"}`, "a", `{"input":3,"output":4}`, "stop"},
		"nova":                         {nil, `{"output":{"message":{"content":[{"text":"a"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":4,"cacheReadInputTokenCount":1}}`, "a", `{"input":3,"cache_read":1,"output":4}`, "end_turn"},
		"mistral, by the head":         {head, `{"outputs":[{"text":"a","stop_reason":"stop"}]}`, "a", `{"input":5,"output":7}`, "stop"},
		"cohere, by the head":          {head, `{"text":"a","finish_reason":"COMPLETE","tool_calls":[{"name":"f","parameters":{"a":1}}]}`, `af{"a":1}`, `{"input":5,"output":7}`, "COMPLETE"},
		"as openai's chat":             {nil, `{"id":"c","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`, "a", `{"input":3,"output":4}`, "stop"},
		"a guardrail without a report": {http.Header{"X-Amzn-Bedrock-Output-Token-Count": {"-1"}}, `{"what":"ever"}`, "", `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req := Request{Endpoint: endpointInvoke, Choices: 1}
			for cut := range len(test.body) {
				o := Bedrock.Observe(req, jsonType)
				ReadHead(o, test.head)
				if o.Event([]byte(test.body[:cut]))|o.Event([]byte(test.body[cut:])) != Plain || !o.Whole() {
					t.Fatalf("cut at %d: not whole", cut)
				}
				u, final := o.Usage()
				if got := usageText(u); got != test.usage || final != (got != "{}") || strings.Join(o.FinishReasons(), " ") != test.finis {
					t.Fatalf("cut at %d: usage %s, final %v, want %s; finished with %v", cut, got, final, test.usage, o.FinishReasons())
				}
			}
			var text string
			reader := NewTextReader(Bedrock, req, jsonType)
			emit := func(_ TextPart, piece []byte) { text += string(piece) }
			reader.Event([]byte(test.body), false, emit)
			reader.Flush(emit)
			if text != test.text || reader.Lost() {
				t.Errorf("text %q, want %q", text, test.text)
			}
		})
	}
}

func TestBedrockEndpoints(t *testing.T) {
	for path, want := range map[string]string{
		"/model/us.amazon.nova-2-lite-v1%3A0/converse":      endpointConverse + " us.amazon.nova-2-lite-v1:0",
		"/model/us.amazon.nova-2-lite-v1:0/converse-stream": endpointConverseStream + " us.amazon.nova-2-lite-v1:0",
		"/x/model/m/invoke": endpointInvoke + " m",
		"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.m-v1%3A0/invoke-with-response-stream": endpointInvokeStream + " arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.m-v1:0",
		"/model/arn:aws:bedrock:us-east-1:1:provisioned-model/abc/invoke":                                                     endpointInvoke + " arn:aws:bedrock:us-east-1:1:provisioned-model/abc",
		"/model/m/count-tokens":                             "",
		"/model/m/invoke-with-bidirectional-stream":         "",
		"/model//converse":                                  "",
		"/model/converse":                                   "",
		"/guardrail/g/version/1/apply":                      "",
		"/model/" + strings.Repeat("m", 3000) + "/converse": "",
	} {
		got := ""
		if endpoint, ok := Bedrock.Endpoint(path); ok {
			req, err := Bedrock.Parse(endpoint, []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			got = Locate(Bedrock, req, path, "").Address()
			if req.Stream != strings.HasSuffix(endpoint, "stream") {
				t.Errorf("%s: stream %v", path, req.Stream)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestBedrockRequests(t *testing.T) {
	for body, want := range map[string]Request{
		`{"messages":[{"maxTokens":9}],"inferenceConfig":{"maxTokens":7},"serviceTier":{"type":"flex"}}`: {MaxTokens: 7, ServiceTier: "flex", Choices: 1},
		`{"inferenceConfig":{"max_new_tokens":7}}`:                                                       {MaxTokens: 7, Choices: 1},
		`{"textGenerationConfig":{"maxTokenCount":7}}`:                                                   {MaxTokens: 7, Choices: 1},
		`{"anthropic_version":"bedrock-2023-05-31","max_tokens":7,"n":"x"}`:                              {MaxTokens: 7, Choices: 1},
		`{"max_gen_len":-7,"n":3}`:                                                                       {Choices: 3},
	} {
		want.Endpoint = endpointInvoke
		if got, err := Bedrock.Parse(endpointInvoke, []byte(body)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	if _, err := Bedrock.Parse(endpointInvoke, []byte(`[]`)); err == nil {
		t.Error("an array is taken for a call")
	}
}

func TestBedrockErrors(t *testing.T) {
	for status, want := range map[int]string{400: "ValidationException", 401: "AccessDeniedException", 403: "AccessDeniedException", 404: "ResourceNotFoundException", 422: "ValidationException", 429: "ThrottlingException", 499: "ValidationException", 500: "InternalServerException", 502: "InternalServerException", 503: "ServiceUnavailableException", 504: "ModelTimeoutException"} {
		e := Error{Status: status, Message: "no <b>"}
		media, body := Bedrock.Error(e)
		name, value := ErrorHeader(Bedrock, e)
		if media != "application/json" || string(body) != `{"message":"no <b>"}` || name != "X-Amzn-ErrorType" || value != want {
			t.Errorf("%d: %s, %s: %s", status, body, name, value)
		}
	}
	if name, _ := ErrorHeader(OpenAI, Error{Status: 400}); name != "" || len(Bedrock.Keepalive()) != 0 {
		t.Errorf("OpenAI's errors have the header %q", name)
	}
	h := http.Header{"X-Amzn-Bedrock-Trace": {"ENABLED"}, "X-Amzn-Bedrock-Guardrailidentifier": {"g"}, "Accept": {"x"}}
	if got := Selectors(Bedrock, h); !slices.Equal(got, []string{"X-Amzn-Bedrock-Guardrailidentifier: g", "X-Amzn-Bedrock-Trace: ENABLED"}) || Selectors(OpenAI, h) != nil {
		t.Errorf("selectors %q", got)
	}
}

// However frames are cut, and whatever is in them, the events, the signs and the usage are the same, nothing
// panics, and there is one end at most.
func FuzzBedrock(f *testing.F) {
	converse := eventFrames(f, "messageStart", `{"role":"assistant","p":"x"}`, "contentBlockDelta", `{"delta":{"text":"a"}}`, "messageStop", `{"stopReason":"end_turn"}`, "metadata", `{"usage":{"inputTokens":1,"outputTokens":2}}`)
	invoke := chunkFrames(f, `{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}`, `{"type":"message_stop","amazon-bedrock-invocationMetrics":{"outputTokenCount":9}}`)
	models := chunkFrames(f, `{"outputText":"a","completionReason":null}`, `{"choices":[{"finish_reason":"stop"}],"amazon-bedrock-guardrailAction":"INTERVENED"}`)
	for _, body := range [][]byte{converse, invoke, models, append(bytes.Clone(converse[:40]), invoke...), frameOf(f, messageException, "throttlingException", "")} {
		f.Add(body, []byte{9, 30, 1, 1}, uint8(7), true)
		f.Add(body, []byte{}, uint8(0), false)
	}
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8, invoke bool) {
		req := converseRequest
		if invoke {
			req = invokeRequest
		}
		want := split(NewEventStream(int(max)), body)
		if got := split(NewEventStream(int(max)), body, cutsOf(seed, len(body))...); !slices.Equal(got, want) {
			t.Fatalf("cut: %+v\nwhole: %+v", got, want)
		}
		if joined(want) != string(body) {
			t.Fatalf("the parts joined are %q", joined(want))
		}
		whole := split(NewEventStream(0), body)
		a, b := Bedrock.Observe(req, eventStreamType), Bedrock.Observe(req, eventStreamType)
		signs := observe(a, whole)
		if got := observe(b, want); !slices.Equal(got, signs) {
			t.Fatalf("in parts: %v\nwhole: %v", got, signs)
		}
		sameUsage(t, a, b)
		if n := count(signs, Terminal) + count(signs, Failure); n > 1 {
			t.Fatalf("%d ends: %v", n, signs)
		}
		if got, _ := framesText(req, want); len(got) > 0 {
			if all, _ := framesText(req, whole); !reflect.DeepEqual(got, all) {
				t.Fatalf("text in parts: %v\nwhole: %v", got, all)
			}
		}
	})
}

// A frame larger than a part is decoded all the same.
func TestLargeBedrockFrame(t *testing.T) {
	text := strings.Repeat("word ", 500_000)
	body := eventFrames(t, "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"`+text+`"}}`, "messageStop", `{"stopReason":"end_turn"}`)
	parts := split(NewEventStream(0), body, 100, 1<<20, 2<<20)
	signs := observe(Bedrock.Observe(converseRequest, eventStreamType), parts)
	if joined(parts) != string(body) || len(parts) != 4 || !slices.Equal(signs, []Sign{Text, Terminal}) {
		t.Fatalf("%d parts, signs %v", len(parts), signs)
	}
	if got, _ := framesText(converseRequest, parts); got[TextPart{Kind: Content}] != text {
		t.Errorf("%d bytes of text", len(got[TextPart{Kind: Content}]))
	}
}

// sameUsage fails unless two observers report the same.
func sameUsage(t *testing.T, a, b Observer) {
	t.Helper()
	got, final := a.Usage()
	want, wantFinal := b.Usage()
	if !reflect.DeepEqual(got, want) || final != wantFinal {
		t.Fatalf("usage %+v, final %v; and %+v, final %v", got, final, want, wantFinal)
	}
	soundUsage(t, a)
}
