package clients

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// A way is what somebody has done for it that a call can be resumed.
type way struct {
	name string
	key  bool
	auto bool
}

var ways = []way{{name: "base URL alone"}, {name: "auto", auto: true}, {name: "key", key: true}}

// A mishap is what comes between a client and its answer.
type mishap struct {
	name  string
	call  string
	smoke []string // the ways that the short form tries, with SDKs that take their time to start
	// strike makes a call go wrong and then come to its end. The provider is silent when it
	// begins, and it releases it.
	strike func(*site, client, job) outcome
	// marked: the SDK repeats the call itself and says so, so that the base URL alone is enough.
	marked func(client) bool
	// relayed: it needs the relay.
	relayed bool
}

func never(client) bool { return false }

var mishaps = []mishap{
	{"killed in mid-stream", stream, []string{"auto", "key"}, killed, never, false},
	{"connection lost before the answer", stream, []string{"base URL alone"}, lost, func(c client) bool { return c.marks && c.repeatsLost }, true},
	{"timeout, stream", stream, nil, timedOut, func(c client) bool { return c.marks && c.repeatsTimeout }, true},
	{"timeout, whole JSON", plain, nil, timedOut, func(c client) bool { return c.marks && c.repeatsTimeout }, true},
	{"killed, whole JSON", plain, nil, killed, never, false},
}

// tried says whether a run tries this. Timeouts take their time with all clients.
func (m mishap) tried(c client, w way) bool {
	switch {
	case !c.makes(m.call), m.relayed && c.http2:
		return false
	case !short():
		return true
	case c.driver.gated:
		return slices.Contains(m.smoke, w.name)
	}
	return !strings.HasPrefix(m.name, "timeout") || w.name == "base URL alone"
}

// answerTokens is the length of the answers that are lost here.
const answerTokens = 60

// A call that something came between is continued by the call that follows, by key
// and by auto with every client, and by the SDK's own mark where it sends one: it has the
// whole answer, and the provider's bill shows one request. docs/clients.md says what was
// found.
func TestResumed(t *testing.T) {
	eachClient(t, func(t *testing.T, c client) {
		site := newSite(t).as(c)
		for _, m := range mishaps {
			tried := slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return !m.tried(c, w) })
			if len(tried) == 0 {
				continue
			}
			direct := site.once(c, site.provider+c.root, job{Call: m.call}, simulator.Script{Tokens: answerTokens, Input: 30, Seed: 5})
			if direct.Answer == nil || !direct.Answer.Complete || direct.Answer.Usage.Output != answerTokens {
				t.Fatalf("direct: %s", show(direct))
			}
			for _, w := range tried {
				t.Run(m.name+" "+w.name, func(t *testing.T) {
					resumed := site.in(t).resumes(c, m, w, direct)
					if want := w.key || w.auto || m.marked(c); resumed != want {
						t.Errorf("resumed: %v", resumed)
					}
					page.found(t, m.name, c, w.name, yes(resumed))
				})
			}
		}
	})
}

// resumes lets a call go wrong, and reports whether the answer was paid once.
func (s *site) resumes(c client, m mishap, w way, direct outcome) bool {
	s.t.Helper()
	// Equal calls of other parts of this test are to have nothing to do with this.
	j := job{Call: m.call, Auto: w.auto, Prompt: fmt.Sprintf("%s, %s?", m.name, w.name)}
	if w.key {
		j.Key = "run-7:" + m.name
	}
	script := simulator.Script{Tokens: answerTokens, Input: 30, Seed: 5}
	silent := script
	silent.StallHead = true
	if m.name == "killed in mid-stream" {
		silent.StallHead, silent.StallAfterEvents = false, c.dialect.prelude+8
	}
	s.sim.Reset()
	s.sim.Next(silent, script, script)
	got := m.strike(s, c, j)
	s.sim.Release()
	s.waitIdle()
	if got.Answer == nil || show(got.Answer) != show(direct.Answer) {
		s.t.Errorf("came back to\n%s\nwant\n%s", show(got), show(direct))
	}
	if m.call == stream && got.Answer != nil && got.Pieces != direct.Pieces {
		s.t.Errorf("pieces %q, want %q", got.Pieces, direct.Pieces)
	}
	if s.sim.Calls() != 1 {
		return false
	}
	if e := s.sim.Bill()[0]; e.End != simulator.EndCompleted || e.Billed != answerTokens {
		s.t.Errorf("the bill says %+v", e)
	}
	return true
}

// killed is a process that gets SIGKILL, and is started again.
func killed(s *site, c client, j job) outcome {
	first := c.start(s.t, s.gateway+c.root, j)
	had := ""
	if j.Call == stream {
		had = first.read(10)
	}
	s.waitStalled()
	first.kill()
	s.awaitNoReader()
	second := c.start(s.t, s.gateway+c.root, j)
	again := ""
	if j.Call == stream {
		again = second.read(len(had)) // while the provider still answers, if it is resumed
	}
	s.sim.Release()
	got := second.finish()
	got.Pieces = again + got.Pieces
	if !strings.HasPrefix(got.Pieces, had) {
		s.t.Errorf("came back to %q, had %q", got.Pieces, had)
	}
	return got
}

// lost is a connection that breaks while the provider thinks. Some SDKs call again by
// themselves, of others the application.
func lost(s *site, c client, j job) outcome {
	r := newRelay(s.t, s.gateway)
	p := c.start(s.t, r.url+c.root, j)
	first := r.next()
	s.waitStalled()
	first.reset(s.t)
	return s.again(c, j, r, p, c.repeatsLost)
}

// timedOut is a client that doesn't wait long enough.
func timedOut(s *site, c client, j job) outcome {
	j.TimeoutMS = 2500
	r := newRelay(s.t, s.gateway)
	p := c.start(s.t, r.url+c.root, j)
	r.next()
	s.waitStalled()
	return s.again(c, j, r, p, c.repeatsTimeout)
}

// again lets a client come back, through a relay that has seen its first call, and the
// provider answer.
func (s *site) again(c client, j job, r *relay, p *process, byItself bool) outcome {
	s.t.Helper()
	if !byItself {
		if got := p.finish(); got.Error == nil {
			s.t.Fatalf("a call that was broken off ended with %s", show(got))
		}
		s.awaitNoReader()
		j.TimeoutMS = 0
		p = c.start(s.t, r.url+c.root, j)
	}
	second := r.next()
	if marked := second.isRepeat(); marked != (c.marks && byItself) {
		s.t.Errorf("the second call says that it is a repeat: %v", marked)
	}
	s.sim.Release()
	return p.finish()
}
