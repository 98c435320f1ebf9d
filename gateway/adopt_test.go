package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

var (
	auto    = header{"Recoup-Resume": "auto"}
	retried = header{"X-Stainless-Retry-Count": "1"}
)

// orphan makes a call, reads some of its answer and leaves. The provider is silent
// until it is released.
func (s *site) orphan(path, body string, h header) *reader {
	s.t.Helper()
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	r := s.call(path, body, h).read(10)
	r.leave()
	return r
}

// again makes a call and reads its answer to the end.
func (s *site) again(path, body string, h header) (resumed, id string, data []byte) {
	s.t.Helper()
	resp, data := s.must(200, http.MethodPost, path, body, h)
	id = resp.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	return resp.Header.Get("Recoup-Resumed"), id, data
}

// TestAdoption: which equal call is given the answer of an orphan, and what one is
// told that isn't.
func TestAdoption(t *testing.T) {
	respelt := `{"messages":[{"content":"h\u0065llo","role":"user"}],  "stream":true,"max_tokens":4096,"model":"claude-opus-4-8"}`
	for _, c := range []struct {
		name          string
		config        func(*gateway.Config)
		first, second header
		body          string // of the second; empty: the same
		finished      bool   // the provider is done when the second comes
		want          string // empty: it has the answer, by auto
	}{
		{name: "the caller says so", first: auto, second: auto},
		{name: "with X- in front", first: header{"X-Recoup-Resume": "auto"}, second: header{"X-Recoup-Resume": "auto"}},
		{name: "when the provider is done", first: auto, second: auto, finished: true},
		{name: "in another spelling", first: auto, second: auto, body: respelt},
		{name: "the operator says so", config: func(c *gateway.Config) { c.Resume = gateway.ResumeAuto }},
		{name: "the operator says so of the provider", config: func(c *gateway.Config) { resumeOf(c, gateway.ResumeAuto) }},
		{name: "only the second says so, and the first goes on", first: header{"Recoup-On-Disconnect": "continue"}, second: auto},
		{name: "the first had a key", first: header{"Idempotency-Key": "k"}, second: auto},
		{name: "an SDK's own retry", first: auto, second: with(auto, "X-Stainless-Retry-Count", "2"), want: "retry"},
		{name: "nobody says so", first: auto, want: "no; reason=not-opted-in"},
		{name: "no retry", first: auto, second: header{"X-Stainless-Retry-Count": "0"}, want: "no; reason=not-opted-in"},
		{name: "never, whatever the operator says", config: func(c *gateway.Config) { c.Resume = gateway.ResumeAuto }, second: header{"Recoup-Resume": "never"}, want: "no"},
		{name: "off for the provider", config: func(c *gateway.Config) { resumeOf(c, gateway.ResumeOff) }, first: auto, second: with(auto, "X-Stainless-Retry-Count", "1"), want: "no; reason=not-opted-in"},
		{name: "a key of its own", first: auto, second: with(auto, "Idempotency-Key", "another"), want: "no; reason=not-opted-in"},
		{name: "another caller", first: auto, second: with(auto, "Authorization", "Bearer sk-mallory"), want: "no"},
		{name: "another question", first: auto, second: auto, body: strings.Replace(messagesBody, "hello", "bye", 1), want: "no"},
		{name: "another limit", first: auto, second: auto, body: strings.Replace(messagesBody, "4096", "4095", 1), want: "no"},
		{name: "another version", first: auto, second: with(auto, "Anthropic-Version", "2026-10-21"), want: "no"},
		{name: "another beta", first: auto, second: with(auto, "Anthropic-Beta", "x"), want: "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site) {
				if c.config != nil {
					c.config(&s.config)
				}
			})
			if c.body == "" {
				c.body = messagesBody
			}
			first := s.orphan(messagesPath, messagesBody, c.first)
			switch {
			case c.finished:
				s.releaseStalled()
				s.awaitState(first.id, streamlog.Completed)
			case c.want == "" || c.want == "retry":
				s.waitStalled(1)
				s.releaseOnce(first.id)
			}
			resumed, id, data := s.again(messagesPath, c.body, c.second)
			if c.want == "" {
				c.want = "auto"
			}
			if resumed != c.want {
				t.Errorf("Recoup-Resumed %q, want %q", resumed, c.want)
			}
			if strings.HasPrefix(c.want, "no") {
				if n := s.sim.Calls(); n != 2 || id == first.id {
					t.Errorf("%d calls", n)
				}
				return
			}
			if n := s.sim.Calls(); n != 1 || id != first.id {
				t.Errorf("%d calls, stream %s, want %s", n, id, first.id)
			}
			_, whole := s.must(200, http.MethodGet, "/recoup/streams/"+id, "", nil)
			sameBytes(t, "the adopted answer", data, whole)
			sameBytes(t, "what was there before", data[:len(first.got)], first.got)
			if completed, all := s.resumes(c.want); completed != 1 || all != 1 {
				t.Errorf("%v of %v resumes completed by %s", completed, all, c.want)
			}
			if marks := fmt.Sprint(s.marks(id)[:3]); marks != "[attach at 0 first detach client attach at 0 "+c.want+"]" {
				t.Errorf("marks %s", marks)
			}
			if n := s.claims(id); n != 1 {
				t.Errorf("%d claims", n)
			}
		})
	}
}

func resumeOf(c *gateway.Config, r gateway.Resume) {
	p := c.Providers["anthropic"]
	p.Resume = r
	c.Providers["anthropic"] = p
}

// releaseOnce lets the provider go on once somebody reads a stream.
func (s *site) releaseOnce(id string) {
	go func() {
		s.awaitConnections(id, 1)
		s.sim.Release()
	}()
}

// claims is how often the log says that an orphan was adopted.
func (s *site) claims(id string) (n int) {
	s.t.Helper()
	parsed, err := streamlog.ParseID(id)
	if err != nil {
		s.t.Fatal(err)
	}
	l := s.get(parsed)
	defer l.Release()
	err = l.History(func(e streamlog.Entry) error {
		if e.Mark != nil && e.Mark.Kind == streamlog.MarkClaim {
			n++
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestNotAdopted: no one is tied to an answer that is dead, or that somebody has.
func TestNotAdopted(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(s *site) string // returns the id
		want string
	}{
		{"delivered", func(s *site) string {
			_, id, _ := s.again(chatPath, chatBody, auto)
			return id
		}, "no; reason=ended"},
		{"cancelled", func(s *site) string {
			r := s.orphan(chatPath, chatBody, auto)
			s.must(200, http.MethodPost, "/recoup/streams/"+r.id+"/cancel", "", nil)
			return r.id
		}, "no; reason=ended"},
		{"cancelled when it was there", func(s *site) string {
			r := s.orphan(chatPath, chatBody, auto)
			s.releaseStalled()
			s.awaitState(r.id, streamlog.Completed)
			s.must(200, http.MethodPost, "/recoup/streams/"+r.id+"/cancel", "", nil)
			return r.id
		}, "no; reason=ended"},
		{"interrupted while nobody was there", func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20, CutAfterEvents: 40})
			r := s.call(chatPath, chatBody, auto).read(10)
			r.leave()
			s.releaseStalled()
			s.awaitState(r.id, streamlog.Interrupted)
			return r.id
		}, "no; reason=ended"},
		{"failed while nobody was there", func(s *site) string {
			s.sim.Next(simulator.Script{StallHead: true, Status: 500})
			return s.giveUp(auto)
		}, "no; reason=ended"},
		{"past the retention", func(s *site) string {
			r := s.orphan(chatPath, chatBody, auto)
			s.releaseStalled()
			s.awaitState(r.id, streamlog.Completed)
			s.log.SetRetention(0)
			return r.id
		}, "no; reason=expired"},
		{"grown old", func(s *site) string {
			s.config.OrphanGrace = 0
			if err := s.gateway.Reload(s.config); err != nil {
				s.t.Fatal(err)
			}
			r := s.orphan(chatPath, chatBody, auto)
			s.awaitState(r.id, streamlog.Cancelled)
			return r.id
		}, "no; reason=ended"},
		{"one JSON body, where events are wanted", func(s *site) string {
			s.sim.Next(simulator.Script{StallHead: true})
			ctx, cancel := context.WithCancel(s.t.Context())
			go func() {
				s.waitStalled(1)
				cancel()
			}()
			id := s.leaveEarly(ctx, strings.Replace(chatBody, `"stream":true,`, "", 1), auto)
			s.sim.Release()
			s.awaitState(id, streamlog.Completed)
			return id
		}, "no; reason=other-mode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			first := c.act(s)
			calls := s.sim.Calls()
			resumed, id, _ := s.again(chatPath, chatBody, auto)
			if resumed != c.want || id == first || s.sim.Calls() != calls+1 {
				t.Errorf("Recoup-Resumed %q, want %q; %d calls after %d", resumed, c.want, s.sim.Calls(), calls)
			}
		})
	}
}

// giveUp makes a call whose client leaves while the provider says nothing, and
// then lets the provider fail.
func (s *site) giveUp(h header) string {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	go func() {
		s.waitStalled(1)
		cancel()
	}()
	id := s.leaveEarly(ctx, chatBody, h)
	s.sim.Release()
	s.awaitState(id, streamlog.Failed)
	return id
}

// leaveEarly makes a call and leaves it when ctx ends, before there is a response.
func (s *site) leaveEarly(ctx context.Context, body string, h header) (id string) {
	s.t.Helper()
	resp, err := s.client.Do(s.request(http.MethodPost, chatPath, body, h).WithContext(ctx))
	if err == nil {
		resp.Body.Close()
		s.t.Fatal("there was a response")
	}
	list, err := s.log.List(principalOf(s), streamlog.ID{}, 1, func(streamlog.Info) bool { return true })
	if err != nil || len(list) != 1 {
		s.t.Fatalf("%d streams, %v", len(list), err)
	}
	id = list[0].Header.ID.String()
	s.awaitConnections(id, 0)
	return id
}

// TestAMarkedRetry: what an SDK repeats by itself, because its connection was gone
// before there was a response, is one call, whoever said nothing of resuming.
func TestAMarkedRetry(t *testing.T) {
	for _, body := range []string{chatBody, strings.Replace(chatBody, `"stream":true,`, "", 1)} {
		s := newSite(t)
		s.sim.Next(simulator.Script{Tokens: 30, StallHead: true})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			s.waitStalled(1)
			cancel()
		}()
		first := s.leaveEarly(ctx, body, nil)
		s.releaseOnce(first)
		resumed, id, _ := s.again(chatPath, body, retried)
		if resumed != "retry" || id != first || s.sim.Calls() != 1 {
			t.Errorf("Recoup-Resumed %q, %d calls", resumed, s.sim.Calls())
		}
	}
}
