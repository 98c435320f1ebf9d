package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestAnOrphanHasOneClaimant at a time, and another one after that.
func TestAnOrphanHasOneClaimant(t *testing.T) {
	s := newSite(t)
	first := s.orphan(chatPath, chatBody, auto)
	second := s.call(chatPath, chatBody, auto).read(20)
	if second.id != first.id || second.Header.Get("Recoup-Resumed") != "auto" {
		t.Fatalf("%s: %q", second.id, second.Header.Get("Recoup-Resumed"))
	}
	resumed, id, _ := s.again(chatPath, chatBody, auto)
	if resumed != "no; reason=owner-attached" || id == first.id {
		t.Errorf("beside the claimant: %q", resumed)
	}
	second.leave()
	third := s.call(chatPath, chatBody, auto).read(20)
	if third.id != first.id || third.Header.Get("Recoup-Resumed") != "auto" {
		t.Errorf("after the claimant: %q", third.Header.Get("Recoup-Resumed"))
	}
	s.releaseStalled()
	third.rest()
	if n := s.claims(first.id); n != 2 {
		t.Errorf("%d claims, want 2", n)
	}
}

// TestTheNewestOrphanIsAdopted first, then the one before it.
func TestTheNewestOrphanIsAdopted(t *testing.T) {
	s := newSite(t)
	var both []*reader // at once, or the second would continue the first
	for range 2 {
		s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
		both = append(both, s.call(chatPath, chatBody, auto).read(10))
	}
	older, newer := both[0].id, both[1].id
	both[1].leave()
	both[0].leave() // the last to break off is not the newest
	s.waitStalled(2)
	s.sim.Release()
	s.awaitState(older, streamlog.Completed)
	s.awaitState(newer, streamlog.Completed)
	for _, want := range []string{newer, older} {
		if _, id, _ := s.again(chatPath, chatBody, auto); id != want {
			t.Errorf("adopted %s, want %s of %s, %s", id, want, older, newer)
		}
	}
	if resumed, _, _ := s.again(chatPath, chatBody, auto); resumed != "no; reason=ended" {
		t.Errorf("when both are delivered: %q", resumed)
	}
}

// TestParallelCallsStayApart: equal calls at once are as many calls, whatever may
// be adopted; and of as many orphans each goes to one of those that come.
func TestParallelCallsStayApart(t *testing.T) {
	const n = 50
	s := newSite(t, func(s *site) { s.config.Resume = gateway.ResumeAuto })
	for range n {
		s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	}
	all := func(read func(*reader)) (ids map[string]bool) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids = map[string]bool{}
		for range n {
			wg.Go(func() {
				r := s.call(chatPath, chatBody, nil)
				read(r)
				mu.Lock()
				defer mu.Unlock()
				ids[r.id] = true
			})
		}
		wg.Wait()
		return ids
	}
	// All are there at once, and break off.
	var together sync.WaitGroup
	together.Add(n)
	first := all(func(r *reader) {
		r.read(10)
		together.Done()
		together.Wait()
		r.leave()
	})
	if len(first) != n || s.sim.Calls() != n {
		t.Fatalf("%d streams, %d calls", len(first), s.sim.Calls())
	}
	s.waitStalled(n)
	s.sim.Release()
	for id := range first {
		s.awaitState(id, streamlog.Completed)
	}
	var again sync.WaitGroup
	again.Add(n)
	second := all(func(r *reader) {
		again.Done()
		again.Wait()
		r.rest()
	})
	for id := range second {
		if !first[id] {
			t.Errorf("stream %s is new", id)
		}
	}
	if len(second) != n || s.sim.Calls() != n {
		t.Errorf("%d streams, %d calls", len(second), s.sim.Calls())
	}
}

// TestTwoClaimsAtOnce: of calls that come together, one has the orphan.
func TestTwoClaimsAtOnce(t *testing.T) {
	s := newSite(t)
	for round := range 20 {
		body := strings.Replace(chatBody, "hello", fmt.Sprint("hello ", round), 1)
		s.sim.Reset()
		first := s.orphan(chatPath, body, auto)
		s.releaseStalled()
		s.awaitState(first.id, streamlog.Completed)
		var wg sync.WaitGroup
		ids := make([]string, 4)
		for i := range ids {
			wg.Go(func() {
				r := s.call(chatPath, body, auto)
				ids[i] = r.id
				r.rest()
			})
		}
		wg.Wait()
		adopted := 0
		for _, id := range ids {
			if id == first.id {
				adopted++
			}
		}
		if adopted != 1 || s.sim.Calls() != len(ids) {
			t.Fatalf("%d of %d adopted it, %d calls", adopted, len(ids), s.sim.Calls())
		}
	}
}

// TestAdoptionAfterARestart: what was complete and undelivered is still there, for
// one; what was delivered is not.
func TestAdoptionAfterARestart(t *testing.T) {
	s := newSite(t)
	other := strings.Replace(chatBody, "hello", "bye", 1)
	s.again(chatPath, other, auto)
	first := s.orphan(chatPath, chatBody, auto)
	missed := s.orphan(messagesPath, messagesBody, auto)
	s.waitStalled(2)
	s.sim.Release()
	s.awaitState(first.id, streamlog.Completed)
	s.awaitState(missed.id, streamlog.Completed)
	s.restart()
	if resumed, id, _ := s.again(chatPath, chatBody, auto); resumed != "auto" || id != first.id {
		t.Errorf("after a restart: %q", resumed)
	}
	if resumed, _, _ := s.again(chatPath, chatBody, auto); resumed != "no; reason=ended" {
		t.Errorf("the second: %q", resumed)
	}
	if resumed, _, _ := s.again(chatPath, other, auto); resumed != "no; reason=ended" {
		t.Errorf("one that was delivered: %q", resumed)
	}
	if resumed, _, _ := s.again(messagesPath, messagesBody, nil); resumed != "no; reason=not-opted-in" {
		t.Errorf("one that is not opted in: %q", resumed)
	}
	if resumed, id, _ := s.again(messagesPath, messagesBody, auto); resumed != "auto" || id != missed.id {
		t.Errorf("after that was missed: %q", resumed)
	}
	if n := s.sim.Calls(); n != 6 {
		t.Errorf("%d calls", n)
	}
}

// TestResumeHeadersAreChecked before anything is bought.
func TestResumeHeadersAreChecked(t *testing.T) {
	s := newSite(t)
	for _, h := range []header{{"Recoup-Resume": "always"}, {"X-Recoup-Resume": "AUTO"}, {"Recoup-Event-Ids": "yes"}} {
		s.must(400, http.MethodPost, chatPath, chatBody, h)
	}
	if n := s.sim.Calls(); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestAdoptedIsBooked: as any resume is, with what it saved.
func TestAdoptedIsBooked(t *testing.T) {
	s := newSite(t, func(s *site) {
		s.logOpts.Retention = time.Hour
		s.config.OrphanGrace = time.Hour
	})
	s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, StallAfterEvents: role + 600})
	r := s.call(chatPath, bookBody, auto).read(role + 600)
	r.leave()
	again := s.call(chatPath, bookBody, auto)
	s.release(0)
	again.rest()
	s.expire()
	s.reconcile()
	s.sameBill()
	const want = "delivered/live 600, delivered/resumed 900; paid $0.055; saved 600+2000 $0.01936 (upper $0.028); net $0.01936"
	if got := s.books(r.id); again.id != r.id || !got.Settled || got.String() != want {
		t.Errorf("settled: %v\n got  %s\n want %s", got.Settled, got, want)
	}
	if m := s.ledger.Totals().Missed; len(m) != 0 {
		t.Errorf("missed: %+v", m)
	}
}

// TestCallersByHeader: where the operator says so, a header tells who is calling,
// and the credential does not.
func TestCallersByHeader(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.PrincipalHeader = "X-Agent-Id" })
	agent := func(name, key string) header {
		return header{"X-Agent-Id": name, "Authorization": "Bearer " + key, "Idempotency-Key": "k"}
	}
	resumed, id, data := s.again(chatPath, chatBody, agent("a", "sk-1"))
	if resumed != "no" {
		t.Errorf("the first: %q", resumed)
	}
	if resumed, again, same := s.again(chatPath, chatBody, agent("a", "sk-2")); resumed != "key" || again != id || string(same) != string(data) {
		t.Errorf("with a new credential: %q", resumed)
	}
	if resumed, _, _ := s.again(chatPath, chatBody, agent("b", "sk-1")); resumed != "no" {
		t.Errorf("another agent with the same credential: %q", resumed)
	}
	s.must(404, http.MethodGet, "/recoup/streams/"+id, "", header{"X-Agent-Id": "b"})
	s.must(200, http.MethodGet, "/recoup/streams/"+id, "", header{"X-Agent-Id": "a", "Authorization": ""})
	calls := s.sim.Calls()
	for method, path := range map[string]string{http.MethodPost: chatPath, http.MethodGet: "/recoup/streams/" + id} {
		resp, body := s.must(400, method, path, chatBody, nil)
		if !strings.Contains(string(body), "X-Agent-Id") || resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s without the header: %s", path, body)
		}
	}
	s.must(400, http.MethodGet, "/recoup/streams", "", nil)
	if n := s.sim.Calls(); n != calls {
		t.Errorf("%d calls", n)
	}
	plain := newSite(t) // where it isn't set, such a header says nothing
	plain.again(chatPath, chatBody, agent("a", "sk-1"))
	if resumed, _, _ := plain.again(chatPath, chatBody, agent("a", "sk-2")); resumed != "no" {
		t.Errorf("without the setting: %q", resumed)
	}
}

// TestAHalfOpenConnection, whose client is gone without a word, does not block who
// comes back by key; nor is its answer adopted from under it.
func TestAHalfOpenConnection(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.WriteTimeout = time.Hour })
	s.sim.Next(simulator.Script{Tokens: 3000, PadLineBytes: 10_000}) // more than any buffer takes
	h := with(auto, "Idempotency-Key", "k")
	stuck := s.do(http.MethodPost, chatPath, chatBody, h)
	defer stuck.Body.Close()
	id := stuck.Header.Get("Recoup-Stream-Id")
	s.awaitState(id, streamlog.Completed)
	if resumed, other, _ := s.again(chatPath, chatBody, auto); resumed != "no; reason=owner-attached" || other == id {
		t.Errorf("by content: %q", resumed)
	}
	resp, data, err := s.all(http.MethodPost, chatPath, chatBody, h)
	if err != nil || resp.Header.Get("Recoup-Resumed") != "key" || resp.Header.Get("Recoup-Stream-Id") != id {
		t.Fatalf("by key: %v, %v", resp.Header, err)
	}
	rest, err := io.ReadAll(stuck.Body)
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "the one that was stuck", rest, data)
}
