package gateway_test

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/clients/gosdk"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// bedrockSDKs are AWS's SDK by what it calls and how it says who calls. Its prelude is messageStart, or that and
// the start of a block.
var bedrockSDKs = []sdk{
	{name: "bedrock converse", provider: "bedrock", prelude: 1, dropped: 1, ask: gosdk.Converse, finish: map[string]string{"end": "end_turn", "tools": "tool_use"}},
	{name: "bedrock invoke", provider: "bedrock", prelude: 2, dropped: 1, ask: gosdk.Invoke, finish: map[string]string{"end": "end_turn", "tools": "tool_use"}},
}

func eachBedrockSDK(t *testing.T, test func(*testing.T, sdk)) {
	t.Parallel()
	for _, k := range bedrockSDKs {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// withBearer is an SDK that calls with a Bedrock API key.
func withBearer(k sdk) sdk {
	ask := k.ask
	k.ask = func(ctx context.Context, call gosdk.Call) gosdk.Answer {
		call.Bearer = true
		return ask(ctx, call)
	}
	return k
}

// bedrockScenarios are those that make sense with frames.
func bedrockScenarios(k sdk) []scenario {
	list := slices.DeleteFunc(scenarios(k), func(sc scenario) bool {
		return strings.Contains(sc.name, "comments") || sc.fault.RetryAfter != "" || sc.name == "rate limit, wait a second"
	})
	for i := range list {
		switch sc := &list[i]; {
		case strings.Contains(sc.name, "as Anthropic says it"):
			sc.scripts, sc.name, sc.fault.Status = thrice(status(500)), "server error, again", 500
		case sc.name == "bad key":
			sc.fault.Status, sc.scripts = 403, []simulator.Script{status(403)}
		case sc.gateway != "", sc.name == "cut, FIN", sc.name == "cut within an event":
			// The SDK takes them for the end. The gateway tells it with an exception.
			sc.fault, sc.gateway = gosdk.Fault{}, gosdk.FaultEvent
		case sc.name == "cut, RST":
			sc.gateway = gosdk.FaultEvent
		}
	}
	return list
}

// AWS's SDK can't tell the gateway from the provider, but where a provider ends an answer early as if it were whole.
func TestBedrockSDKSeesWhatTheProviderSends(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic)
		for _, sc := range bedrockScenarios(k) {
			for _, mode := range []string{"sse", "json"} {
				if sc.mode == "" || sc.mode == mode {
					t.Run(mode+" "+sc.name, func(t *testing.T) { compare(t, s, withBearer(k), sc, mode == "sse") })
				}
			}
		}
	})
}

// Whatever its base URL, and however it says who calls, AWS's SDK finds its way.
func TestBedrockSDKBaseURLsAndCredentials(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		seen := &received{}
		s := newSite(t, deterministic, signing(seen))
		for _, base := range []string{"", "/", "/bedrock", "/bedrock/"} {
			for _, stream := range []bool{false, true} {
				for _, signed := range []bool{false, true} {
					got, at := s.run(k, gosdk.Call{Base: s.server.URL + base, Stream: stream, Bearer: !signed}, simulator.Script{Tokens: 5})
					if got.Fault.Kind != "" || got.Output != 5 || len(at) != 1 || !strings.HasPrefix(at[0].Path, "/model/"+bedrockModel+"/") {
						t.Fatalf("base %q, stream %v, signed %v: %s, seen %+v", base, stream, signed, show(got), at)
					}
					r := seen.requests[len(seen.requests)-1]
					if signed {
						seen.verify(t)
					} else if r.Header.Get("Authorization") != "Bearer sk-alice" {
						t.Errorf("sent with %q", r.Header.Get("Authorization"))
					}
				}
			}
		}
	})
}

// Where the gateway doesn't sign, a signed call is refused with what to do.
func TestBedrockSDKReadsTheGatewaysOwnErrors(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic)
		got, seen := s.run(k, gosdk.Call{Base: s.server.URL, Stream: true})
		if f := got.Fault; f.Kind != gosdk.FaultAPI || f.Status != 403 || f.Type != "AccessDeniedException" || !strings.Contains(f.Message, "aws_credentials: true") || len(seen) != 0 {
			t.Errorf("%+v, %d calls", f, len(seen))
		}
		if first, _ := s.run(k, gosdk.Call{Base: s.server.URL, Key: "used", Stream: true, Bearer: true}); first.Fault.Kind != "" {
			t.Fatal(first.Fault)
		}
		got, seen = s.run(k, gosdk.Call{Base: s.server.URL, Key: "used", Stream: true, Bearer: true, Prompt: "another"})
		if f := got.Fault; f.Kind != gosdk.FaultAPI || f.Status != 422 || f.Type != "ValidationException" || !strings.Contains(f.Message, "with another body") || len(seen) != 0 {
			t.Errorf("%+v, %d calls", f, len(seen))
		}
		if err := s.gateway.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		once := 1
		got, _ = s.run(k, gosdk.Call{Base: s.server.URL, Client: s.client, Retries: &once, Bearer: true})
		if f := got.Fault; f.Status != 503 || f.Type != "ServiceUnavailableException" {
			t.Errorf("%+v", f)
		}
	})
}

// A client that breaks off and comes back by its key has what one has that stayed.
func TestBedrockSDKComesBackToItsAnswer(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic, signing(&received{}))
		sc := simulator.Script{Tokens: 60, Hidden: 9, Input: 50}
		whole, _ := s.run(k, gosdk.Call{Base: s.provider, Stream: true}, sc)
		if whole.Fault.Kind != "" || whole.Output != 69 {
			t.Fatalf("direct: %s", show(whole))
		}
		s.sim.Reset()
		sc.StallAfterEvents, sc.OnDisconnect = 20, simulator.BillFull
		s.sim.Next(sc)
		ctx, leave := context.WithCancel(t.Context())
		pieces := 0
		first := k.ask(ctx, gosdk.Call{Base: s.server.URL, Client: s.client, Key: "run:step", Stream: true, Delta: func(string) {
			if pieces++; pieces == 15 {
				leave()
			}
		}})
		leave()
		if first.Finish != "" || !strings.HasPrefix(whole.Text, first.Text) || first.Text == whole.Text {
			t.Fatalf("the first: %s", show(first))
		}
		s.releaseStalled()
		again := k.ask(t.Context(), gosdk.Call{Base: s.server.URL, Client: s.client, Key: "run:step", Stream: true})
		if !reflect.DeepEqual(again, whole) {
			t.Errorf("again:\n%s\ndirect:\n%s", show(again), show(whole))
		}
		if n := s.sim.Calls(); n != 1 {
			t.Errorf("%d calls", n)
		}
		s.expire()
		s.sameBill()
	})
}

// adding is a transport that adds a header, for those who make the client in one place.
type adding struct {
	next http.RoundTripper
	name string
	text string
}

func (h adding) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(h.name, h.text)
	return h.next.RoundTrip(r)
}

// A header that the HTTP client adds does as well as one of a middleware, also on a signed call: it is not among what
// is signed.
func TestBedrockSDKWithAnHTTPClientThatAddsTheKey(t *testing.T) {
	t.Parallel()
	seen := &received{}
	s := newSite(t, deterministic, signing(seen))
	client := &http.Client{Transport: adding{s.client.Transport, "Idempotency-Key", "run:step"}}
	for range 2 {
		got := gosdk.Converse(t.Context(), gosdk.Call{Base: s.server.URL, Client: client, Stream: true})
		if got.Fault.Kind != "" || got.Finish != "end_turn" {
			t.Fatal(show(got))
		}
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
}
