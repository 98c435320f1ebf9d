package clients

import (
	"reflect"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// A scene is what happens to one call.
type scene struct {
	name   string
	script simulator.Script
	job    job
	want   func(outcome) bool // of the provider itself, so that a scene is what it says
	stream bool               // only of a stream
	smoke  bool               // also in the short form
	key    bool               // needs a client whose own key the provider sees
}

var noRetries = 0

func scenes() []scene {
	// Seed: the gateway asks for usage where a client doesn't, and the answer is to be the same one.
	weather := simulator.Tool{Name: "weather", Arguments: `{"city":"Zürich","days":3}`}
	failed := func(status int) func(outcome) bool {
		return func(o outcome) bool { return o.Error != nil && (o.Error.Status == nil || *o.Error.Status == status) }
	}
	whole := func(o outcome) bool { return o.Answer != nil && o.Answer.Complete && o.Answer.Text != "" }
	return []scene{
		{name: "answer", script: simulator.Script{Tokens: 20, Seed: 5}, want: whole, smoke: true},
		{name: "hidden and cached tokens", script: simulator.Script{Tokens: 20, Hidden: 30, Input: 7, CacheRead: 1024, Unicode: true, Seed: 5}, want: whole},
		{name: "tool call", script: simulator.Script{Tools: []simulator.Tool{weather}, Seed: 5}, job: job{Tools: true}, smoke: true,
			want: func(o outcome) bool {
				return o.Answer != nil && len(o.Answer.Tools) == 1 && o.Answer.Tools[0].Name == "weather"
			}},
		{name: "wrong key", key: true, job: job{apiKey: "sk-wrong", MaxRetries: &noRetries}, want: failed(401)},
		{name: "rate limit", script: simulator.Script{Status: 429, Headers: map[string]string{"Retry-After": "1"}}, job: job{MaxRetries: &noRetries}, want: failed(429)},
		{name: "unknown model", script: simulator.Script{Status: 400, Error: simulator.ErrorBody{Message: "invalid model ID"}}, job: job{MaxRetries: &noRetries, Model: "gpt-0"}, want: failed(400)},
		{name: "error event", script: simulator.Script{Tokens: 20, ErrorAfterEvents: 12, Seed: 5}, job: job{MaxRetries: &noRetries}, stream: true,
			want: func(o outcome) bool { return o.Error != nil || !o.Answer.Complete }},
		{name: "abort", script: simulator.Script{Tokens: 20, StallAfterEvents: 15, Seed: 5}, job: job{AbortAfter: 3}, stream: true, smoke: true,
			want: func(o outcome) bool { return o.Aborted && strings.Count(o.Pieces, " ") >= 2 }},
	}
}

// A client can't tell the gateway from the provider.
func TestTheSameThroughTheGateway(t *testing.T) {
	eachClient(t, func(t *testing.T, c client) {
		s := newSite(t)
		for _, sc := range scenes() {
			for _, call := range c.calls {
				if sc.stream && call != stream || !sc.smoke && short() || sc.key && c.dialect.signed {
					continue
				}
				t.Run(call+" "+sc.name, func(t *testing.T) {
					s := s.in(t)
					sc.job.Call = call
					direct := s.once(c, s.provider+c.root, sc.job, sc.script)
					if !sc.want(direct) {
						t.Fatalf("direct: %s", show(direct))
					}
					if through := s.once(c, s.gateway+c.root, sc.job, sc.script); !reflect.DeepEqual(through, direct) {
						t.Errorf("through the gateway:\n%s\ndirect:\n%s", show(through), show(direct))
					}
				})
			}
		}
	})
}

// once makes a call for which the provider has these scripts, to its end.
func (s *site) once(c client, base string, j job, scripts ...simulator.Script) outcome {
	s.t.Helper()
	s.sim.Reset()
	s.sim.Next(scripts...)
	o := c.run(s.t, base, j)
	s.sim.Release() // what nobody waits for any more
	s.waitIdle()
	return o
}
