package clients

import (
	"reflect"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// A client can't tell the gateway from the provider.
func TestTheSameThroughTheGateway(t *testing.T) {
	eachClient(t, func(t *testing.T, c client) {
		s := newSite(t)
		for _, call := range c.calls {
			direct := s.once(c, s.provider+c.root, job{Call: call}, simulator.Script{Tokens: 20})
			if direct.Answer == nil || !direct.Answer.Complete || direct.Answer.Usage.Output != 20 {
				t.Fatalf("%s, direct: %s", call, show(direct))
			}
			through := s.once(c, s.gateway+c.root, job{Call: call}, simulator.Script{Tokens: 20})
			if !reflect.DeepEqual(through, direct) {
				t.Errorf("%s through the gateway:\n%s\ndirect:\n%s", call, show(through), show(direct))
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
	s.waitIdle()
	return o
}
