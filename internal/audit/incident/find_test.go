package incident_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/incident"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// scene is streams as the books have them.
type scene []incident.Stream

// open adds n streams of a caller that were accepted before noon and go on for long.
func (s *scene) open(n, caller int, provider string) {
	for i := range n {
		*s = append(*s, incident.Stream{
			Provider: provider, Principal: ledger.ID{byte(caller >> 8), byte(caller), 1}, At: noon.Add(-time.Duration(i+1) * time.Second), Ended: noon.Add(10 * time.Minute),
		})
	}
}

// breaks breaks the last n streams that are whole, evenly within a time.
func (s scene) breaks(n int, cause string, within time.Duration) {
	for i := len(s) - 1; i >= 0 && n > 0; i-- {
		if len(s[i].Broken) > 0 {
			continue
		}
		n--
		s[i].Broken = []ledger.Break{{At: noon.Add(within * time.Duration(n) / 100), Cause: cause}}
		if cause == ledger.Upstream {
			s[i].Ended = s[i].Broken[0].At
		}
	}
}

func TestFind(t *testing.T) {
	const slow = 100 * 100 * time.Millisecond // one each 100 ms
	for _, c := range []struct {
		name string
		make func(*scene)
		want string
	}{
		{"nothing", func(s *scene) { s.open(20, 1, "openai") }, ""},
		{"a deploy ends a process with all of its streams", func(s *scene) {
			s.open(18, 1, "openai")
			s.breaks(16, "client", slow)
		}, "client_deploy : 16 of 18 open streams broke within 1.5s"},
		{"a machine that loses its power", func(s *scene) {
			s.open(18, 1, "openai")
			s.breaks(18, "client", 0)
		}, "client_deploy : 18 of 18 open streams broke within 100ms"},
		{"of several callers, of one of whom all", func(s *scene) {
			s.open(20, 1, "openai")
			s.open(20, 2, "openai")
			s.breaks(32, "client", time.Second)
		}, "client_deploy : 32 of 40 open streams broke within 300ms"},
		{"of one caller among many", func(s *scene) {
			for caller := range 10 {
				s.open(20, caller+2, "openai")
			}
			s.open(12, 1, "openai")
			s.breaks(12, "client", slow)
		}, "client_deploy : 12 of 12 open streams of one caller broke within 1.1s"},
		{"of agents that have a key each", func(s *scene) {
			for caller := range 16 {
				s.open(1, caller, "openai")
			}
			s.breaks(15, "client", slow)
		}, "client_deploy : 15 of 16 open streams broke within 1.4s"},
		{"a burst of closed tabs, of one backend", func(s *scene) {
			s.open(100, 1, "openai")
			s.breaks(8, "client", slow)
		}, ""},
		{"a burst of closed tabs, of users with a key each", func(s *scene) {
			for caller := range 100 {
				s.open(1, caller, "openai")
			}
			s.breaks(12, "client", slow)
		}, ""},
		{"too few to say", func(s *scene) {
			s.open(4, 1, "openai")
			s.breaks(4, "client", slow)
		}, ""},
		{"spread over time", func(s *scene) {
			s.open(20, 1, "openai")
			s.breaks(18, "client", 100*20*time.Second)
		}, ""},
		{"as usual", func(s *scene) {
			s.open(10, 1, "openai")
			s.breaks(8, "client", slow)
			for i := range 2400 { // each second and a half, short ones
				at := noon.Add(-time.Hour).Add(time.Duration(i) * 1500 * time.Millisecond)
				*s = append(*s, incident.Stream{Provider: "openai", Principal: ledger.ID{9}, At: at.Add(-time.Second), Ended: at, Broken: []ledger.Break{{At: at, Cause: "client"}}})
			}
		}, ""},
		{"one agent that gives up after a second, and asks again", func(s *scene) {
			for i := range 9 {
				at := noon.Add(time.Duration(i) * time.Second)
				*s = append(*s, incident.Stream{Provider: "openai", Principal: ledger.ID{9}, At: at.Add(-time.Second), Ended: at, Broken: []ledger.Break{{At: at, Cause: "client"}}})
			}
		}, ""},
		{"one agent whose connection comes and goes", func(s *scene) {
			s.open(1, 1, "openai")
			for i := range 30 {
				(*s)[0].Broken = append((*s)[0].Broken, ledger.Break{At: noon.Add(time.Duration(i) * time.Second), Cause: "client"})
			}
		}, ""},
		{"a deploy of agents that had been broken before, and had come back", func(s *scene) {
			s.open(18, 1, "openai")
			for i := range *s {
				(*s)[i].At = noon.Add(-time.Hour)
			}
			s.breaks(12, "client", slow)
			for i := range 12 {
				(*s)[6+i].Broken = append([]ledger.Break{{At: noon.Add(-time.Duration(i+1) * 4 * time.Minute), Cause: "client"}}, (*s)[6+i].Broken...)
			}
		}, "client_deploy : 12 of 18 open streams broke within 1.1s"},
		{"a restart of the gateway", func(s *scene) {
			s.open(30, 1, "openai")
			s.breaks(3, "gateway", slow)
		}, "gateway_restart : 3 streams broke by the gateway's doing within 200ms"},
		{"one slow reader, and one that the gateway cut", func(s *scene) {
			s.open(5, 1, "openai")
			s.breaks(1, "gateway", slow)
			s.breaks(4, "slow_reader", slow)
		}, ""},
		{"a provider fails", func(s *scene) {
			s.open(9, 1, "groq")
			s.open(8, 1, "openai")
			s.breaks(6, ledger.Upstream, slow)
		}, "provider_failure openai: openai failed 6 of 8 streams within 500ms"},
		{"a provider fails some", func(s *scene) {
			s.open(80, 1, "openai")
			s.breaks(6, ledger.Upstream, slow)
		}, ""},
		{"clients and a provider at once", func(s *scene) {
			s.open(10, 1, "openai")
			s.breaks(10, ledger.Upstream, slow)
			s.open(12, 2, "groq")
			s.breaks(11, "client", slow)
		}, "network : 11 of 22 open streams broke within 1s; openai failed 10 of 10 streams within 900ms"},
		{"two providers at once", func(s *scene) {
			s.open(10, 1, "openai")
			s.breaks(10, ledger.Upstream, slow)
			s.open(10, 1, "groq")
			s.breaks(10, ledger.Upstream, slow)
		}, "network : groq failed 10 of 10 streams within 900ms; openai failed 10 of 10 streams within 900ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s scene
			c.make(&s)
			var got []string
			for _, f := range incident.DefaultRule().Find(s) {
				got = append(got, fmt.Sprintf("%s %s: %s", f.Kind, f.Provider, f.Why))
				if !f.Start.Equal(noon) || f.End.Sub(f.Start) > 2*time.Second {
					t.Errorf("from %v to %v", f.Start, f.End)
				}
			}
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			if !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", got, want)
			}
		})
	}
}

// A deploy that takes longer than the window is one incident, with all that it broke, and
// without what breaks at any time.
func TestLongDeploy(t *testing.T) {
	for _, c := range []struct {
		name   string
		make   func(*scene)
		within time.Duration
		want   string
	}{
		{"one that drains for half a minute", func(s *scene) {
			s.open(30, 1, "openai")
			s.breaks(30, "client", 100*time.Second)
		}, 30 * time.Second, "30 of 30 open streams broke within 29s"},
		{"ten processes, one after the other", func(s *scene) {
			s.open(100, 1, "openai")
			for i := range 100 {
				at := noon.Add(time.Duration(i/10)*6*time.Second + time.Duration(i%10)*10*time.Millisecond)
				(*s)[i].Broken = []ledger.Break{{At: at, Cause: "client"}}
			}
		}, 55 * time.Second, "100 of 100 open streams broke within 54.1s"},
		{"one among tabs that are closed each 8 seconds", func(s *scene) {
			s.open(30, 1, "openai")
			s.breaks(30, "client", 50*time.Second)
			for i := range 700 {
				at := noon.Add(-time.Hour + time.Duration(i)*8*time.Second + time.Second)
				*s = append(*s, incident.Stream{Provider: "openai", Principal: ledger.ID{9}, At: at.Add(-4 * time.Second), Ended: at, Broken: []ledger.Break{{At: at, Cause: "client"}}})
			}
		}, 20 * time.Second, "31 of 31 open streams broke within 17s"},
		{"a provider that fails for a minute", func(s *scene) {
			s.open(60, 1, "openai")
			s.breaks(60, ledger.Upstream, 100*time.Second)
		}, 60 * time.Second, "openai failed 60 of 60 streams within 59s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s scene
			c.make(&s)
			all := incident.DefaultRule().Find(s)
			if len(all) != 1 || all[0].Start.Sub(noon).Abs() > time.Second || all[0].End.Sub(noon) > c.within || all[0].Why != c.want {
				t.Errorf("found %+v, want %s", all, c.want)
			}
		})
	}
}

// What goes on for an hour is no incident, also where nobody knows what is usual.
func TestTrickle(t *testing.T) {
	var s scene
	for i := range 3600 { // forty open at a time, of which one is closed each second
		at := noon.Add(time.Duration(i) * time.Second)
		one := incident.Stream{Provider: "openai", Principal: ledger.ID{9}, At: at.Add(-40 * time.Second), Ended: at}
		whole := one
		one.Broken = []ledger.Break{{At: at, Cause: "client"}}
		s = append(s, one, whole, whole, whole)
	}
	if all := incident.DefaultRule().Find(s); len(all) != 0 {
		t.Errorf("found %+v", all)
	}
}

// Each part of the rule can be set.
func TestRule(t *testing.T) {
	var s scene
	s.open(18, 1, "openai")
	s.breaks(16, "client", 100*time.Second)
	for name, c := range map[string]struct {
		rule incident.Rule
		want int
	}{
		"default": {incident.DefaultRule(), 1},
		"streams": {incident.Rule{Window: 10 * time.Second, Streams: 17, Share: 50, Times: 5}, 0},
		"share":   {incident.Rule{Window: 20 * time.Second, Streams: 5, Share: 90, Times: 5}, 0},
		"window":  {incident.Rule{Window: 500 * time.Millisecond, Streams: 5, Share: 50, Times: 5}, 0},
	} {
		if got := len(c.rule.Find(s)); got != c.want {
			t.Errorf("%s: %d found", name, got)
		}
	}
}
