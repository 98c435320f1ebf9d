package gateway_test

import (
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
