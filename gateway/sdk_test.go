package gateway_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/clients/gosdk"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// An sdk is an official client library.
type sdk struct {
	name     string
	provider string
	root     string // what its base URL has behind the gateway's
	path     string // of its call, at the provider
	prelude  int    // events before the first token
	dropped  int    // calls that it makes if every JSON body breaks off
	finish   map[string]string
	ask      gosdk.Ask
}

var sdks = []sdk{
	{name: "openai", provider: "openai", root: "/v1", path: chatPath, prelude: 1, dropped: 1, ask: gosdk.Chat,
		finish: map[string]string{"end": "stop", "tools": "tool_calls"}},
	{name: "openai responses", provider: "openai", root: "/v1", path: responsesPath, prelude: responsePrelude, dropped: 1, ask: gosdk.Responses,
		finish: map[string]string{"end": "completed", "tools": "completed"}},
	{name: "anthropic", provider: "anthropic", path: messagesPath, prelude: 3, dropped: 3, ask: gosdk.Messages,
		finish: map[string]string{"end": "end_turn", "tools": "tool_use"}},
}

// eachSDK runs a test for every SDK, side by side.
func eachSDK(t *testing.T, test func(*testing.T, sdk)) {
	t.Parallel()
	for _, k := range sdks {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// deterministic puts a provider in place of the site's own that answers equal
// bodies with equal bytes, so that two runs can be compared.
func deterministic(s *site) {
	s.sim = simulator.New(simulator.Options{Deterministic: true})
	srv, err := s.sim.Start("127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			s.t.Error(err)
		}
	})
	base, err := url.Parse(srv.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.provider = srv.URL
	for name, p := range s.config.Providers {
		p.BaseURL = base
		s.config.Providers[name] = p
	}
}

// asked is what of a request reached the provider. The encoding differs by
// design: the gateway asks for none.
type asked struct {
	Path, Query, Body string
	Streamed          bool
	Header            http.Header
}

// run makes a call against a base URL, with scripts for the provider, and
// returns what came of it on both sides.
func (s *site) run(k sdk, call gosdk.Call, scripts ...simulator.Script) (gosdk.Answer, []asked) {
	s.t.Helper()
	s.sim.Reset()
	s.sim.Next(scripts...)
	call.Client = s.client
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	got := k.ask(ctx, call)
	if err := s.sim.WaitIdle(ctx); err != nil {
		s.t.Fatal(err)
	}
	var seen []asked
	for _, e := range s.sim.Bill() {
		e.Header.Del("Accept-Encoding")
		seen = append(seen, asked{e.Path, e.Query, e.BodySHA256, e.Streamed, e.Header})
	}
	return got, seen
}

// A scenario is run against the provider itself and through the gateway.
type scenario struct {
	name    string
	scripts []simulator.Script // one for each call that the provider is to see
	mode    string             // "": both; sse; json
	fault   gosdk.Fault        // what of a fault has to be so for both SDKs
	gateway string             // the kind of fault through the gateway, where it has to be another
	lossy   bool               // bytes before the fault may be lost on the way
	finish  string             // key of sdk.finish
	output  int                // tokens, where the answer is whole
}

// soon lets SDKs retry at once.
var soon = map[string]string{"Retry-After-Ms": "1"}

func status(code int) simulator.Script { return simulator.Script{Status: code, Headers: soon} }

func thrice(v simulator.Script) []simulator.Script { return []simulator.Script{v, v, v} }

func scenarios(k sdk) []scenario {
	weather := simulator.Tool{Name: "weather", Arguments: `{"city":"Zürich","days":3,"units":["c","mm"]}`}
	clock := simulator.Tool{Name: "clock", Arguments: `{"zone":"Europe/Zurich"}`}
	once := func(v simulator.Script) []simulator.Script { return []simulator.Script{v} }
	wait := simulator.Script{Status: 429, Headers: map[string]string{"Retry-After": "1"}}
	list := []scenario{
		{name: "answer", scripts: once(simulator.Script{Tokens: 40}), finish: "end", output: 40},
		{name: "hidden tokens and cached input", scripts: once(simulator.Script{Tokens: 20, Hidden: 30, Input: 7, CacheRead: 1024}), finish: "end", output: 50},
		{name: "characters split between writes", scripts: once(simulator.Script{Tokens: 40, Unicode: true, WriteChunk: 5}), finish: "end", output: 40},
		{name: "lines and comments as others send them", mode: "sse", scripts: once(simulator.Script{Tokens: 20, CRLF: true, CommentEvery: 3, Comments: 2}), finish: "end", output: 20},
		{name: "one tool", scripts: once(simulator.Script{Tools: []simulator.Tool{weather}}), finish: "tools"},
		{name: "text, then two tools at once", scripts: once(simulator.Script{Tokens: 10, Tools: []simulator.Tool{weather, clock}}), finish: "tools"},
		{name: "bad request", scripts: once(status(400)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 400}},
		{name: "bad key", scripts: once(status(401)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 401}},
		{name: "rate limit, for good", scripts: thrice(status(429)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 429}},
		{name: "rate limit, wait a second", mode: "sse", scripts: []simulator.Script{wait, {Tokens: 40}}, finish: "end", output: 40},
		{name: "rate limit, not to be retried", mode: "sse", scripts: once(simulator.Script{Status: 429, Headers: map[string]string{"Retry-After": "900", "X-Should-Retry": "false"}}),
			fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 429, RetryAfter: "900"}},
		{name: "server error", scripts: thrice(status(500)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 500}},
		{name: "server error, once", scripts: []simulator.Script{status(500), {Tokens: 40}}, finish: "end", output: 40},
		{name: "overloaded", scripts: thrice(status(503)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 503}},
		{name: "overloaded, as Anthropic says it", scripts: thrice(status(529)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 529}},
		{name: "error in mid-stream", mode: "sse", scripts: once(simulator.Script{Tokens: 40, ErrorAfterEvents: 20}), fault: gosdk.Fault{Kind: gosdk.FaultEvent}},
		{name: "error before the first event", mode: "sse", scripts: once(simulator.Script{Tokens: 40, ErrorAfterEvents: -1}), fault: gosdk.Fault{Kind: gosdk.FaultEvent}},
		{name: "cut, FIN", mode: "sse", scripts: once(simulator.Script{Tokens: 40, CutAfterEvents: 20}), fault: gosdk.Fault{Kind: gosdk.FaultCut}},
		{name: "cut, RST", mode: "sse", scripts: once(simulator.Script{Tokens: 40, CutAfterEvents: 20, Cut: simulator.CutRST}), fault: gosdk.Fault{Kind: gosdk.FaultCut}, lossy: true},
		{name: "cut within an event", mode: "sse", scripts: once(simulator.Script{Tokens: 40, CutAfterBytes: 1500}), fault: gosdk.Fault{Kind: gosdk.FaultCut}},
		{name: "a clean end without the terminal event", mode: "sse", scripts: once(simulator.Script{Tokens: 40, CutAfterEvents: 20, Cut: simulator.CutClean}), gateway: gosdk.FaultCut},
		{name: "a clean end within an event", mode: "sse", scripts: once(simulator.Script{Tokens: 40, CutAfterBytes: 1500, Cut: simulator.CutClean}), gateway: gosdk.FaultCut},
	}
	broken := simulator.Script{Tokens: 40, CutAfterBytes: 200, Headers: soon}
	return append(list, scenario{name: "a JSON body cut", mode: "json", scripts: slices.Repeat(once(broken), k.dropped), fault: gosdk.Fault{Kind: gosdk.FaultCut}})
}

// An SDK can't tell the gateway from the provider, but where a provider ends an
// answer early as if it were whole.
func TestSDKsSeeWhatTheProviderSends(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic)
		for _, sc := range scenarios(k) {
			for _, mode := range []string{"sse", "json"} {
				if sc.mode != "" && sc.mode != mode {
					continue
				}
				t.Run(mode+" "+sc.name, func(t *testing.T) { compare(t, s, k, sc, mode == "sse") })
			}
		}
	})
}

func compare(t *testing.T, s *site, k sdk, sc scenario, stream bool) {
	direct, atDirect := s.run(k, gosdk.Call{Base: s.provider + k.root, Stream: stream}, sc.scripts...)
	through, atThrough := s.run(k, gosdk.Call{Base: s.server.URL + k.root, Stream: stream}, sc.scripts...)
	if len(atDirect) != len(sc.scripts) || len(atThrough) != len(sc.scripts) {
		t.Fatalf("%d calls direct, %d through the gateway, want %d", len(atDirect), len(atThrough), len(sc.scripts))
	}
	for i := range atDirect {
		if !reflect.DeepEqual(atThrough[i], atDirect[i]) {
			t.Errorf("call %d at the provider:\n%+v, direct\n%+v", i, atThrough[i], atDirect[i])
		}
	}
	if f := direct.Fault; f.Kind != sc.fault.Kind || sc.fault.Status != 0 && f.Status != sc.fault.Status || sc.fault.RetryAfter != "" && f.RetryAfter != sc.fault.RetryAfter {
		t.Errorf("direct: %+v, want %+v", f, sc.fault)
	}
	if want := k.finish[sc.finish]; direct.Finish != want || sc.output > 0 && direct.Output != sc.output {
		t.Errorf("direct: finished with %q, %d tokens, want %q, %d", direct.Finish, direct.Output, want, sc.output)
	}
	var tools []gosdk.Tool
	for _, tool := range sc.scripts[0].Tools {
		tools = append(tools, gosdk.Tool(tool))
	}
	if !slices.Equal(direct.Tools, tools) {
		t.Errorf("direct: tools %+v, want %+v", direct.Tools, tools)
	}
	if sc.gateway != "" { // silent from the provider, never from the gateway
		if through.Fault.Kind != sc.gateway || through.Finish != "" {
			t.Errorf("through the gateway: %+v, finished with %q, want a fault of kind %s", through.Fault, through.Finish, sc.gateway)
		}
		through.Fault = direct.Fault
	}
	if sc.lossy {
		sameStart(t, through.Objects, direct.Objects)
		through, direct = gosdk.Answer{Finish: through.Finish, Fault: through.Fault}, gosdk.Answer{Finish: direct.Finish, Fault: direct.Fault}
	}
	if (through.Fault.RequestID != "") != (direct.Fault.RequestID != "") {
		t.Errorf("request id %q through the gateway, %q direct", through.Fault.RequestID, direct.Fault.RequestID)
	}
	through.Fault.RequestID, direct.Fault.RequestID = "", ""
	if !reflect.DeepEqual(through, direct) {
		t.Errorf("through the gateway:\n%s\ndirect:\n%s", show(through), show(direct))
	}
}

// sameStart checks that the shorter list is the start of the other.
func sameStart(t *testing.T, a, b []string) {
	t.Helper()
	if n := min(len(a), len(b)); !slices.Equal(a[:n], b[:n]) {
		t.Errorf("the first %d objects differ", n)
	}
}

func show(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestSDKBaseURLs(t *testing.T) {
	bases := map[string][]string{
		"openai":    {"", "/", "/v1", "/v1/", "/v1/v1", "/openai/v1", "/openai/v1/", "/full/v1"},
		"anthropic": {"", "/", "/v1", "/v1/", "/anthropic", "/anthropic/"},
	}
	eachSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic)
		for _, base := range bases[k.provider] {
			for _, stream := range []bool{false, true} {
				got, seen := s.run(k, gosdk.Call{Base: s.server.URL + base, Stream: stream}, simulator.Script{Tokens: 5})
				if got.Fault.Kind != "" || got.Output != 5 {
					t.Errorf("base %q: %+v", base, got)
				}
				if len(seen) != 1 || seen[0].Path != k.path {
					t.Errorf("base %q: the provider saw %+v, want one call of %s", base, seen, k.path)
				}
			}
		}
	})
}

// counting counts the requests that an SDK sends.
type counting struct {
	next http.RoundTripper
	sent atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.sent.Add(1)
	return c.next.RoundTrip(r)
}

// refusal is an answer of the gateway's own.
type refusal struct {
	name       string
	call       gosdk.Call
	base       string // behind the gateway's URL
	status     int
	code       string
	types      map[string]string // by SDK
	message    string            // a part of it
	retryAfter string            // "": a retry can't help
}

func refusals() []refusal {
	invalid := map[string]string{"openai": "invalid_request_error", "anthropic": "invalid_request_error"}
	missing := map[string]string{"openai": "invalid_request_error", "anthropic": "not_found_error"}
	return []refusal{
		{name: "malformed body", call: gosdk.Call{Body: `{"model":"m","messages":[`}, status: 400, code: "invalid_request", types: invalid, message: "not valid JSON"},
		{name: "no object", call: gosdk.Call{Body: `[1,2]`}, status: 400, code: "invalid_request", types: invalid, message: "not a JSON object"},
		{name: "no such path", base: "/nowhere", status: 404, code: "unknown_provider", types: missing, message: `No provider "nowhere" is configured`},
		{name: "no such path, streamed", base: "/nowhere", call: gosdk.Call{Stream: true}, status: 404, code: "unknown_provider", types: missing, message: `No provider "nowhere" is configured`},
		{name: "too large", call: gosdk.Call{Prompt: strings.Repeat("word ", 2000)}, status: 413, code: "request_too_large",
			types: map[string]string{"openai": "invalid_request_error", "anthropic": "request_too_large"}, message: "larger than 8192 bytes"},
		{name: "key reused", call: gosdk.Call{Key: "used", Stream: true, Prompt: "another"}, status: 422, code: "idempotency_key_reused", types: invalid, message: "with another body"},
		{name: "key reused in another mode", call: gosdk.Call{Key: "used", Stream: true}, status: 422, code: "idempotency_key_reused", types: invalid, message: "no events can be made"},
		{name: "provider unreachable", base: "/dead", status: 502, code: "provider_unreachable",
			types: map[string]string{"openai": "server_error", "anthropic": "api_error"}, message: `The provider "dead" could not be reached`, retryAfter: "1"},
	}
}

func TestSDKsUnderstandTheGatewaysOwnErrors(t *testing.T) {
	eachSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic, func(s *site) {
			s.config.MaxBodyBytes = 8192
			d := dialect.OpenAI
			if k.provider == "anthropic" {
				d = dialect.Anthropic
			}
			s.config.Providers = maps.Clone(s.config.Providers)
			s.config.Providers["dead"] = gateway.Provider{Name: "dead", BaseURL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Dialect: d, OnCancel: gateway.BillingStops}
		})
		if first, _ := s.run(k, gosdk.Call{Base: s.server.URL + k.root, Key: "used"}); first.Fault.Kind != "" {
			t.Fatalf("%+v", first.Fault)
		}
		for _, r := range refusals() {
			t.Run(r.name, func(t *testing.T) { refused(t, s, k, r) })
		}
		if err := s.gateway.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Run("draining", func(t *testing.T) {
			refused(t, s, k, refusal{status: 503, code: "gateway_draining", types: map[string]string{"openai": "server_error", "anthropic": "overloaded_error"},
				message: "shutting down", retryAfter: "1"})
		})
	})
}

// refused makes a call with an SDK that may retry once.
func refused(t *testing.T, s *site, k sdk, r refusal) {
	counter, once := &counting{next: s.client.Transport}, 1
	r.call.Base, r.call.Client, r.call.Retries = s.server.URL+r.base+k.root, &http.Client{Transport: counter}, &once
	s.sim.Reset()
	got := k.ask(t.Context(), r.call).Fault
	want := gosdk.Fault{Kind: gosdk.FaultAPI, Status: r.status, Type: r.types[k.provider], Code: r.code, Message: got.Message, RetryAfter: r.retryAfter, ShouldRetry: "false"}
	sent := int64(1)
	if r.retryAfter != "" {
		want.ShouldRetry, sent = "", 2
	}
	if k.provider == "anthropic" {
		want.Code = "" // its errors have none
	}
	if got != want || !strings.Contains(got.Message, r.message) {
		t.Errorf("%+v, want %+v with %q", got, want, r.message)
	}
	if n := counter.sent.Load(); n != sent {
		t.Errorf("%d requests, want %d", n, sent)
	}
	if n := s.sim.Calls(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}
