package clients

import (
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// bases are what people put behind the gateway's address. SDKs join a base URL with their
// paths in different ways, and two of them read the same variable and expect different
// things. Behind the name of a provider a path goes on as it is: there it has to be the one
// that the SDK's users are told to take.
func (c client) bases() []string {
	provider := map[string]string{"chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "gemini"}[c.dialect.name]
	if c.dialect.signed {
		return []string{"", "/", "/bedrock", "/bedrock/"}
	}
	return []string{"", "/", "/v1", "/v1/", "/" + provider + c.root}
}

// endpoints are where their calls have to come out at the provider.
var endpoints = map[string]string{
	"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages",
	"gemini": ":streamGenerateContent", "converse": "/converse-stream", "invoke": "/invoke-with-response-stream",
}

// Whatever base URL that points at the gateway, a call comes to its endpoint.
func TestBaseURLs(t *testing.T) {
	eachClient(t, func(t *testing.T, c client) {
		s := newSite(t)
		for i, base := range c.bases() {
			if c.driver.gated && short() && i > 0 {
				continue
			}
			got := s.once(c, s.gateway+base, job{MaxRetries: &noRetries}, simulator.Script{Tokens: 5})
			if got.Answer == nil || !got.Answer.Complete || got.Answer.Usage.Output != 5 {
				t.Errorf("base URL %q: %s", base, show(got))
			}
			for _, e := range s.sim.Bill() {
				if !strings.HasSuffix(e.Path, endpoints[c.dialect.name]) {
					t.Errorf("base URL %q: the provider was asked for %s", base, e.Path)
				}
			}
		}
	})
}

// A key says nothing to another caller, and a call that was stopped is not given again.
func TestOnlyWhatIsOnesOwn(t *testing.T) {
	eachClient(t, func(t *testing.T, c client) {
		if c.driver.gated && short() {
			t.Skip("in the long form only")
		}
		s := newSite(t).as(c)
		script := simulator.Script{Tokens: 20, Seed: 5}
		s.once(c, s.gateway+c.root, job{Key: "run-7:step-3"}, script)
		other := s.once(c, s.gateway+c.root, job{Key: "run-7:step-3", apiKey: otherKey}, simulator.Script{Tokens: 20, Seed: 6})
		mine := s.once(c, s.provider+c.root, job{}, script)
		if other.Answer == nil || other.Pieces == mine.Pieces {
			t.Errorf("another caller got %s", show(other))
		}
		s.sim.Reset()
		script.StallAfterEvents = c.dialect.prelude + 8
		s.sim.Next(script, simulator.Script{Tokens: 20, Seed: 6})
		first := c.start(t, s.gateway+c.root, job{Auto: true})
		first.read(10)
		s.waitStalled()
		var stopped struct{ State string }
		if s.ask("POST", "/recoup/streams/"+s.newest()+"/cancel", &stopped); stopped.State != "cancelled" {
			t.Fatalf("the stream is %s", stopped.State)
		}
		first.kill()
		if again := c.run(t, s.gateway+c.root, job{Auto: true}); again.Answer == nil || again.Pieces != other.Pieces {
			t.Errorf("after a stop: %s", show(again))
		}
	})
}
