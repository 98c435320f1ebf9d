package dialect

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestNamed(t *testing.T) {
	for _, d := range []Dialect{OpenAI, Anthropic, Gemini, Cohere} {
		if got, ok := Named(d.Name()); !ok || got != d {
			t.Errorf("Named(%q) is %v, %v", d.Name(), got, ok)
		}
	}
	if _, ok := Named("OpenAI"); ok {
		t.Error("a name in another case is one")
	}
}

func TestEndpoint(t *testing.T) {
	for _, test := range []struct {
		path string
		want string // of OpenAI; with a "!" in front: of Anthropic
	}{
		{"/v1/chat/completions", endpointChat},
		{"/chat/completions", endpointChat},
		{"chat/completions", endpointChat},
		{"/v1/v1/chat/completions", endpointChat},
		{"/openai/v1/chat/completions", endpointChat},
		{"/openai/deployments/gpt-5/chat/completions", endpointChat},
		{"/v1/chat/completions/", ""},
		{"/v1/chat/completions/c1", ""},
		{"/v1/chat/completions/c1/messages", "!" + endpointMessages},
		{"/v1/completions", endpointCompletions},
		{"/completions", endpointCompletions},
		{"completions", endpointCompletions},
		{"/v1/v1/completions", endpointCompletions},
		{"/inference/v1/completions", endpointCompletions},
		{"/beta/completions", endpointCompletions},
		{"/openai/deployments/davinci/completions", endpointCompletions},
		{"/v1/engines/davinci/completions", endpointCompletions},
		{"/v1/fim/completions", ""},
		{"/v1/agents/completions", ""},
		{"/v1/completions/c1", ""},
		{"/v1/responses", endpointResponses},
		{"/responses", endpointResponses},
		{"/v1/v1/responses", endpointResponses},
		{"/openai/v1/responses", endpointResponses},
		{"/v1/responses/", ""},
		{"/v1/responses/resp_1", ""},
		{"/v1/responses/resp_1/cancel", ""},
		{"/v1/responses/resp_1/input_items", ""},
		{"/v1/responses/compact", ""},
		{"/v1/responses/input_tokens", ""},
		{"/v1/myresponses", ""},
		{"/v1/wechat/completions", ""},
		{"/v1/chat/Completions", ""},
		{"/v1/messages", "!" + endpointMessages},
		{"/messages", "!" + endpointMessages},
		{"/v1/v1/messages", "!" + endpointMessages},
		{"/anthropic/v1/messages", "!" + endpointMessages},
		{"/v1/messages/count_tokens", ""},
		{"/v1/messages/batches", ""},
		{"/v1/messages/batches/b1/results", ""},
		{"/v1/errormessages", ""},
		{"", ""},
		{"/", ""},
	} {
		for _, d := range []Dialect{OpenAI, Anthropic} {
			want := test.want
			if of, ok := strings.CutPrefix(want, "!"); ok != (d == Anthropic) {
				want = ""
			} else {
				want = of
			}
			if got, ok := d.Endpoint(test.path); got != want || ok != (want != "") {
				t.Errorf("%s: %q is %q, %v, want %q", d.Name(), test.path, got, ok, want)
			}
		}
	}
}

func TestError(t *testing.T) {
	for _, test := range []struct {
		dialect Dialect
		err     Error
		want    string
	}{
		{OpenAI, Error{Status: 422, Code: "key_reused", Message: "Use another <key>.", Param: "model"},
			`{"error":{"message":"Use another <key>.","type":"invalid_request_error","param":"model","code":"key_reused"}}`},
		{OpenAI, Error{Status: 401, Message: "m"}, `{"error":{"message":"m","type":"authentication_error","param":null,"code":null}}`},
		{OpenAI, Error{Status: 403, Message: "m"}, `{"error":{"message":"m","type":"permission_error","param":null,"code":null}}`},
		{OpenAI, Error{Status: 429, Message: "m"}, `{"error":{"message":"m","type":"rate_limit_error","param":null,"code":null}}`},
		{OpenAI, Error{Status: 503, Type: "overloaded", Message: "m"}, `{"error":{"message":"m","type":"overloaded","param":null,"code":null}}`},
		{OpenAI, Error{Status: 502}, `{"error":{"message":"Bad Gateway","type":"server_error","param":null,"code":null}}`},
		{Anthropic, Error{Status: 400, Code: "x", Message: "\"no\"\n", Param: "model"},
			`{"type":"error","error":{"type":"invalid_request_error","message":"\"no\"\n"},"request_id":null}`},
		{Gemini, Error{Status: 422, Code: "key_reused", Message: "Use another <key>.", Param: "model"},
			`{"error":{"code":422,"message":"Use another <key>.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"KEY_REUSED","domain":"recoup"}]}}`},
		{Gemini, Error{Status: 503}, `{"error":{"code":503,"message":"Service Unavailable","status":"UNAVAILABLE"}}`},
		{Gemini, Error{Status: 410, Message: "m"}, `{"error":{"code":410,"message":"m","status":"NOT_FOUND"}}`},
		{Gemini, Error{Status: 500, Type: "T", Message: "m"}, `{"error":{"code":500,"message":"m","status":"T"}}`},
		{Cohere, Error{Status: 422, Code: "c", Message: "m"}, `{"message":"m"}`},
		{Anthropic, Error{Status: 502, Type: "t", Message: "m"}, `{"type":"error","error":{"type":"t","message":"m"},"request_id":null}`},
	} {
		contentType, body := test.dialect.Error(test.err)
		if contentType != "application/json" || string(body) != test.want {
			t.Errorf("%+v is %s %s, want %s", test.err, contentType, body, test.want)
		}
	}
}

func TestAnthropicErrorTypes(t *testing.T) {
	for status, want := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
		404: "not_found_error", 408: "timeout_error", 409: "invalid_request_error", 410: "not_found_error",
		413: "request_too_large", 422: "invalid_request_error", 429: "rate_limit_error", 500: "api_error",
		502: "api_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error",
	} {
		_, body := Anthropic.Error(Error{Status: status, Message: "m"})
		var got struct{ Error struct{ Type string } }
		if err := json.Unmarshal(body, &got); err != nil || got.Error.Type != want {
			t.Errorf("%d is %q, want %q (%v)", status, got.Error.Type, want, err)
		}
	}
}

// A keepalive between two events leaves them two events, and changes no sign.
func TestKeepalive(t *testing.T) {
	for d, events := range map[Dialect][]string{
		OpenAI:    frames(`{"choices":[{"delta":{"content":"x"}}]}`, `{"choices":[{"finish_reason":"stop"}]}`),
		Anthropic: {"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"},
	} {
		keepalive := string(d.Keepalive())
		body := keepalive + strings.Join(events, keepalive+keepalive)
		o := d.Observe(Request{Stream: true, Choices: 1}, eventStream)
		var signs []Sign
		for _, sign := range observe(o, split(NewSSE(0), []byte(body))) {
			if sign != Plain {
				signs = append(signs, sign)
			}
		}
		want := []Sign{Text, Terminal}[2-len(events):]
		if !slices.Equal(signs, want) {
			t.Errorf("%s: signs %v, want %v", d.Name(), signs, want)
		}
	}
	if got := string(OpenAI.Keepalive()); got != ": hb\n" {
		t.Errorf("OpenAI's is %q", got)
	}
	if got := string(Anthropic.Keepalive()); got != "event: ping\ndata: {\"type\": \"ping\"}\n\n" {
		t.Errorf("Anthropic's is %q", got)
	}
	OpenAI.Keepalive()[0] = 'x'
	if OpenAI.Keepalive()[0] != ':' {
		t.Error("the slice is not the caller's own")
	}
}

func TestRequestSSE(t *testing.T) {
	for _, test := range []struct {
		contentType string
		stream      bool
		want        bool
	}{
		{"text/event-stream", false, true},
		{"Text/Event-Stream; charset=utf-8", false, true},
		{"text/event-stream;;", false, true},
		{"application/json", true, false},
		{"application/json; charset=utf-8", true, false},
		{"application/problem+json", true, false},
		{"", true, true},
		{"", false, false},
		{"text/plain", true, true},
	} {
		if got := (Request{Stream: test.stream}).SSE(test.contentType); got != test.want {
			t.Errorf("%q, stream %v: %v", test.contentType, test.stream, got)
		}
	}
}

func TestParse(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		dialect Dialect
		body    string
		want    Request
	}{
		{OpenAI, `{"model":"gpt-5.5","messages":[{"role":"user","content":"{\"stream\":true}"}]}`, Request{Model: "gpt-5.5", Choices: 1}},
		{OpenAI, `{"model":"m","stream":true,"n":3,"stream_options":{"include_usage":true,"x":{"include_usage":false}}}`, Request{Model: "m", Stream: true, Choices: 3, IncludeUsage: &yes}},
		{OpenAI, `{"stream_options":{"include_usage":false}}`, Request{Choices: 1, IncludeUsage: &no}},
		{OpenAI, `{"model":null,"stream":null,"n":null,"stream_options":null}`, Request{Choices: 1}},
		{OpenAI, `{"stream_options":{"include_usage":null}}`, Request{Choices: 1}},
		{OpenAI, `{"stream_options":{"include_usage":true},"stream_options":{}}`, Request{Choices: 1}},
		{OpenAI, `{"n":2,"model":"a","stream":true,"n":4,"stream":false,"model":"b"}`, Request{Model: "b", Choices: 4}},
		{OpenAI, `{"metadata":{"model":"x","n":7,"stream":true},"MODEL":"y"}`, Request{Choices: 1}},
		{OpenAI, `{"max_tokens":5,"max_completion_tokens":7,"service_tier":"flex"}`, Request{Choices: 1, MaxTokens: 7, ServiceTier: "flex"}},
		{OpenAI, `{"max_completion_tokens":7,"max_tokens":5,"max_completion_tokens":null}`, Request{Choices: 1, MaxTokens: 5}},
		{OpenAI, `{"max_tokens":"9","max_completion_tokens":{"a":1},"service_tier":["x"]}`, Request{Choices: 1}},
		{OpenAI, `{"max_tokens":-1,"max_completion_tokens":1.5,"service_tier":null}`, Request{Choices: 1}},
		{Anthropic, `{"max_tokens":1024,"max_completion_tokens":7,"service_tier":"auto","metadata":{"max_tokens":3}}`, Request{Choices: 1, MaxTokens: 1024, ServiceTier: "auto"}},
		{OpenAI, " {\"m\\u006fdel\": \"a\\/b\"}\r\n", Request{Model: "a/b", Choices: 1}},
		{OpenAI, `{}`, Request{Choices: 1}},
		{Anthropic, `{"model":"claude","stream":true,"n":0,"stream_options":7}`, Request{Model: "claude", Stream: true, Choices: 1}},
	} {
		endpoint := endpointChat
		if test.dialect == Anthropic {
			endpoint = endpointMessages
		}
		test.want.Endpoint = endpoint
		got, err := test.dialect.Parse(endpoint, []byte(test.body))
		if err != nil {
			t.Errorf("%s: %v", test.body, err)
			continue
		}
		if (got.IncludeUsage == nil) != (test.want.IncludeUsage == nil) ||
			got.IncludeUsage != nil && *got.IncludeUsage != *test.want.IncludeUsage {
			t.Errorf("%s: include_usage is %v", test.body, got.IncludeUsage)
		}
		got.IncludeUsage = test.want.IncludeUsage
		if got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.body, got, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ body, param, says string }{
		{``, "", "empty"},
		{` `, "", "not valid JSON"},
		{`{`, "", "not valid JSON"},
		{`{"model":"m"`, "", "not valid JSON"},
		{`{"model":"m"} {}`, "", "not valid JSON"},
		{`{"model":"m",}`, "", "not valid JSON"},
		{`{"stream":True}`, "", "not valid JSON"},
		{`model=m`, "", "not valid JSON"},
		{`[]`, "", "not a JSON object"},
		{`"model"`, "", "not a JSON object"},
		{`1`, "", "not a JSON object"},
		{`{"x":` + deepArray(1000) + `}`, "", "1000 levels"},
		{`{"model":7}`, "model", "a string"},
		{`{"model":["m"]}`, "model", "a string"},
		{`{"model":"` + strings.Repeat("m", 600) + `"}`, "model", "longer than 512"},
		{`{"stream":"true"}`, "stream", "true or false"},
		{`{"stream":1}`, "stream", "true or false"},
		{`{"stream":{}}`, "stream", "true or false"},
		{`{"n":"2"}`, "n", "a whole number"},
		{`{"n":1.5}`, "n", "a whole number"},
		{`{"n":0}`, "n", "less than 1"},
		{`{"n":-1}`, "n", "less than 1"},
		{`{"n":99999999999999999999}`, "n", "a whole number"},
		{`{"stream_options":true}`, "stream_options", "an object"},
		{`{"stream_options":[]}`, "stream_options", "an object"},
		{`{"stream_options":{"include_usage":"yes"}}`, "stream_options.include_usage", "true or false"},
		{`{"stream_options":{"include_usage":[true]}}`, "stream_options.include_usage", "true or false"},
	} {
		_, err := OpenAI.Parse(endpointChat, []byte(test.body))
		var bad *BadRequest
		if !errors.As(err, &bad) {
			t.Errorf("%.60s: error %v is no BadRequest", test.body, err)
			continue
		}
		if bad.Param != test.param || !strings.Contains(bad.Error(), test.says) {
			t.Errorf("%.60s: %q about %q, want %q about %q", test.body, bad, bad.Param, test.says, test.param)
		}
	}
}
