package dialect_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// answerOf asks a simulated provider.
func answerOf(t *testing.T, sim *simulator.Simulator, path, body string, script simulator.Script) []byte {
	t.Helper()
	server := httptest.NewServer(sim.Handler())
	defer server.Close()
	sim.Next(script)
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Authorization", "Bearer key")
	call.Header.Set("Anthropic-Version", "2023-06-01")
	resp, err := server.Client().Do(call)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	return answer
}

// assemble puts a stream of events together.
func assemble(endpoint string, stream []byte) ([]byte, error) {
	a := dialect.NewAssembly(endpoint)
	splitter := dialect.NewSSE(1 << 30)
	for _, p := range splitter.Feed(stream) {
		a.Event(p.Data)
	}
	return a.Body()
}

// exact reads JSON so that any difference shows, but for the order of members.
func exact(t *testing.T, body []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

// TestAssembledIsWhatTheProviderSends: the same answer, asked for as a stream and
// as one body, has the same members with the same values.
func TestAssembledIsWhatTheProviderSends(t *testing.T) {
	tools := []simulator.Tool{{Name: "weather", Arguments: `{"city":"Zürich \"ZH\"","days":[1,2.50,3e2],"x":null}`}, {Name: "clock", Arguments: `{}`}}
	scripts := map[string]simulator.Script{
		"text":                    {Tokens: 40},
		"unicode":                 {Tokens: 60, Unicode: true},
		"nothing":                 {Tokens: -1},
		"one token":               {Tokens: 1},
		"tools alone":             {Tools: tools},
		"text and tools":          {Tokens: 9, Tools: tools, TokensPerEvent: 3},
		"shown reasoning":         {Tokens: 20, Hidden: 30, ShowHidden: true},
		"hidden reasoning":        {Tokens: 20, Hidden: 30},
		"caches":                  {Tokens: 20, Input: 100, CacheRead: 200, CacheWrite: 30, CacheWrite1h: 40},
		"an escape in two pieces": {Text: "a\u2028 <b> & \u0001 \\ \" 𝄞 end"},
		"pings and comments":      {Tokens: 20, PingEvery: 3, Comments: 2, CommentEvery: 4},
		"CRLF":                    {Tokens: 20, CRLF: true},
		"padding":                 {Tokens: 20, Obfuscation: true, PadLineBytes: 300},
		"usage on the finish":     {Tokens: 20, Usage: simulator.UsageFinish},
		"usage on every chunk":    {Tokens: 20, Hidden: 5, Usage: simulator.UsageEvery},
		"usage of Groq":           {Tokens: 20, Usage: simulator.UsageGroq},
		"usage of xAI":            {Tokens: 20, Hidden: 5, Usage: simulator.UsageXAI},
	}
	bodies := map[string]string{
		"/v1/chat/completions": `{"model":"gpt-5.5","messages":[{"role":"user","content":"hello"}]`,
		"/v1/messages":         `{"model":"claude-opus-4-8","max_tokens":4096,"messages":[{"role":"user","content":"hello"}]`,
	}
	for name, script := range scripts {
		for endpoint, body := range bodies {
			for _, more := range []string{"", `,"n":3`, `,"max_tokens":12`} {
				if more == `,"n":3` && endpoint == "/v1/messages" {
					continue
				}
				if more == `,"max_tokens":12` {
					body = strings.Replace(body, `"max_tokens":4096,`, "", 1)
				}
				t.Run(name+endpoint+more, func(t *testing.T) {
					script := script
					script.Seed = 7
					if script.Input == 0 {
						script.Input = 50
					}
					sim := simulator.New(simulator.Options{Deterministic: true})
					streamed := answerOf(t, sim, endpoint, body+more+`,"stream":true,"stream_options":{"include_usage":true}}`, script)
					want := answerOf(t, sim, endpoint, body+more+`}`, script)
					got, err := assemble(endpoint, streamed)
					if err != nil {
						t.Fatal(err)
					}
					w, g := exact(t, want), exact(t, got)
					delete(g, "sim_ns")
					if script.Usage == simulator.UsageGroq {
						delete(g, "x_groq") // which a body of this provider has, and the simulator's has not
					}
					if !reflect.DeepEqual(g, w) {
						t.Errorf("got\n%s\nwant\n%s", got, want)
					}
				})
			}
		}
	}
}

// TestNoHalfBody: what was cut, or ended in an error, is no body.
func TestNoHalfBody(t *testing.T) {
	sim := simulator.New(simulator.Options{Deterministic: true})
	for endpoint, body := range map[string]string{
		"/v1/chat/completions": `{"model":"gpt-5.5","messages":[],"stream":true}`,
		"/v1/messages":         `{"model":"claude-opus-4-8","max_tokens":4096,"messages":[],"stream":true}`,
	} {
		whole := answerOf(t, sim, endpoint, body, simulator.Script{Tokens: 12, Seed: 7})
		end := bytes.LastIndex(whole, []byte(`"finish_reason":"`))
		if endpoint == "/v1/messages" {
			end = bytes.LastIndex(whole, []byte(`event: message_stop`))
		}
		for i := range whole {
			got, err := assemble(endpoint, whole[:i])
			if err == nil && i < end {
				t.Fatalf("%s: of %d bytes: %s", endpoint, i, got)
			}
		}
		if _, err := assemble(endpoint, whole); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
		failed := answerOf(t, sim, endpoint, body, simulator.Script{Tokens: 12, ErrorAfterEvents: 6, Seed: 7})
		if got, err := assemble(endpoint, failed); err == nil {
			t.Errorf("%s: an error is %s", endpoint, got)
		}
		if _, err := assemble(endpoint, []byte("data: nonsense\n\n")); err == nil {
			t.Error("nonsense is an answer")
		}
	}
	if dialect.NewAssembly("/v1/embeddings") != nil {
		t.Error("embeddings have an assembly")
	}
}

// sse writes each line as the data of an event.
func sse(lines ...string) []byte {
	return []byte("data: " + strings.Join(lines, "\n\ndata: ") + "\n\n")
}

// TestAssembledFromOtherProviders: what is known of their events, and of the
// bodies that they send.
func TestAssembledFromOtherProviders(t *testing.T) {
	for _, c := range []struct {
		name, endpoint string
		events         []byte
		want           string
	}{
		{"half a surrogate pair in each piece", "/v1/chat/completions", sse(
			`{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"\ud834"},"finish_reason":null}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"content":"\udd1e"},"finish_reason":"stop"}]}`, `[DONE]`),
			`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"\ud834\udd1e"},"finish_reason":"stop"}]}`},
		{"Azure's first chunk, and its filters", "/v1/chat/completions", sse(
			`{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}`,
			`{"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"content_filter_results":{"hate":{"severity":"safe"}},"delta":{"content":"a"},"finish_reason":null}]}`,
			`{"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"content_filter_results":{"hate":{"severity":"safe"}},"delta":{},"finish_reason":"stop"}]}`),
			`{"choices":[{"index":0,"content_filter_results":{"hate":{"severity":"safe"}},"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],
			  "created":5,"id":"c","model":"m","object":"chat.completion","prompt_filter_results":[{"prompt_index":0}]}`},
		{"Mistral's thinking in parts", "/v1/chat/completions", sse(
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"I th"}]}]},"finish_reason":null}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"ink"}]}]},"finish_reason":null}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"content":"so "},"finish_reason":null}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"content":"it is"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`),
			`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"I think"}]},
			  {"type":"text","text":"so it is"}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}`},
		{"repeated ids and names, calls that alternate", "/v1/chat/completions", sse(
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{\"y\""}}]}}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":":1}"}}]},"finish_reason":"tool_calls"}]}`),
			`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[
			  {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{\"y\":1}"}}]},"finish_reason":"tool_calls"}]}`},
		{"logprobs, refusal, annotations", "/v1/chat/completions", sse(
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"refusal":"I "},"logprobs":{"content":null,"refusal":[{"token":"I","logprob":-0.50}]},"finish_reason":null}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"refusal":"won't","annotations":[{"type":"url_citation","n":1}]},"logprobs":{"content":null,"refusal":[{"token":"won't","logprob":-1}]},"finish_reason":null}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"annotations":[{"type":"url_citation","n":2}]},"logprobs":null,"finish_reason":"stop"}]}`),
			`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"","refusal":"I won't","annotations":[{"type":"url_citation","n":1},{"type":"url_citation","n":2}]},
			  "logprobs":{"content":null,"refusal":[{"token":"I","logprob":-0.50},{"token":"won't","logprob":-1}]},"finish_reason":"stop"}]}`},
		{"OpenRouter's reasoning details", "/v1/chat/completions", sse(
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a","format":"f","index":0}]}}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"b","reasoning_details":[{"type":"reasoning.text","text":"b","format":"f","index":0}]}}]}`,
			`{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning_details":[{"type":"reasoning.text","signature":"s","format":"f","index":0}]},"finish_reason":"stop","native_finish_reason":"end"}]}`),
			`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"","reasoning":"ab","reasoning_details":[{"type":"reasoning.text","text":"ab","format":"f","index":0,"signature":"s"}]},
			  "finish_reason":"stop","native_finish_reason":"end"}]}`},
		{"citations, a tool of the provider, a refusal", "/v1/messages", sse(
			`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1,"service_tier":"standard"}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"query\": \"a\\u00e9"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"b\"}"}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"s","content":[{"url":"u"}]}}`,
			`{"type":"content_block_stop","index":1}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"","citations":[]}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"so"}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"url":"u"}}}`,
			`{"type":"content_block_stop","index":2}`,
			`{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal"}},"usage":{"output_tokens":9,"server_tool_use":{"web_search_requests":1}},"context_management":{"applied_edits":[]}}`,
			`{"type":"message_stop"}`),
			`{"id":"m","type":"message","role":"assistant","model":"x","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"aéb"}},
			  {"type":"web_search_tool_result","tool_use_id":"s","content":[{"url":"u"}]},{"type":"text","text":"so","citations":[{"url":"u"}]}],
			  "stop_reason":"refusal","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":9,"service_tier":"standard","server_tool_use":{"web_search_requests":1}},
			  "stop_details":{"type":"refusal"},"context_management":{"applied_edits":[]}}`},
	} {
		got, err := assemble(c.endpoint, c.events)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !reflect.DeepEqual(exact(t, got), exact(t, []byte(c.want))) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}
