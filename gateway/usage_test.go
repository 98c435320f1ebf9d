package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

var names = regexp.MustCompile(`"(id|system_fingerprint)":"[^"]*"|"created":\d+`)

// anonymous is a body without what differs between two equal answers.
func anonymous(body []byte) []byte { return names.ReplaceAll(body, nil) }

// TestUsageIsAskedForAndHidden: a client that didn't ask for the usage report is
// not shown one, on the first connection and on any other, and the books have it
// nevertheless.
func TestUsageIsAskedForAndHidden(t *testing.T) {
	s := newSite(t)
	answer := simulator.Script{Text: "What is asked for is what is shown.", Input: 77}
	for _, options := range []string{``, `"stream_options":null,`, `"stream_options":{"include_usage":false},`} {
		body := strings.Replace(bookBody, `"messages"`, options+`"messages"`, 1)
		s.sim.Next(answer)
		want := s.direct(chatPath, body, nil)
		s.sim.Next(answer)
		resp, got := s.must(200, http.MethodPost, chatPath, body, nil)
		sameBytes(t, options, anonymous(got), anonymous(want))
		if bytes.Contains(got, []byte("usage")) {
			t.Errorf("%s: the client is shown a usage report", options)
		}
		id := resp.Header.Get("Recoup-Stream-Id")
		s.awaitConnections(id, 0)
		if b := s.books(id); b.Input.Tokens != 77 || b.Input.Basis != "reported" || b.Output.Basis != "reported" {
			t.Errorf("%s: booked as %+v", options, b)
		}
		_, again := s.must(200, http.MethodGet, "/recoup/streams/"+id, "", nil)
		sameBytes(t, "read again", again, got)
		events := eventsOf(got)
		half := &reader{got: bytes.Join(events[:len(events)/2], nil)}
		_, rest := s.must(200, http.MethodGet, "/recoup/streams/"+id+"?offset="+half.cursor(), "", nil)
		sameBytes(t, "read on", append(half.got, rest...), got)
	}
	s.sim.Next(answer)
	want := s.direct(chatPath, chatBody, nil)
	s.sim.Next(answer)
	_, got := s.must(200, http.MethodPost, chatPath, chatBody, nil)
	sameBytes(t, "asked for", anonymous(got), anonymous(want))
}

// TestUsageIsRefused: a provider that doesn't know the option gets the call as
// the client made it, and the next ones at once.
func TestUsageIsRefused(t *testing.T) {
	s := newSite(t)
	refuses := script(simulator.Script{RejectStreamUsage: true})
	resp, _ := s.must(200, http.MethodPost, chatPath, bookBody, refuses)
	if n := s.sim.Calls(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
	id := resp.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	if i := s.getInfo(id); len(i.Attempts) != 2 || !i.Attempts[0].UsageInjected || i.Attempts[1].UsageInjected {
		t.Errorf("attempts %+v", i.Attempts)
	}
	if b := s.books(id); b.Output.Basis != "counted" || b.Output.Tokens != simulator.DefaultTokens || b.Input.Basis != "bounded" {
		t.Errorf("booked as %+v", b)
	}
	s.must(200, http.MethodPost, chatPath, bookBody, refuses)
	if n := s.sim.Calls(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}

	bad := strings.Replace(bookBody, "gpt-5.5", "gpt-5", 1)
	_, got := s.must(400, http.MethodPost, chatPath, bad, script(simulator.Script{Status: 400, Error: simulator.ErrorBody{Message: "no such tool"}}))
	if !bytes.Contains(got, []byte("no such tool")) || s.sim.Calls() != 5 {
		t.Errorf("after %d calls: %s", s.sim.Calls(), got)
	}
	_, got = s.must(200, http.MethodPost, chatPath, bad, nil)
	if s.sim.Calls() != 6 || bytes.Contains(got, []byte("usage")) {
		t.Errorf("%d calls, want 6; a bad call says nothing about the option", s.sim.Calls())
	}
}

// TestUsageIsNotAskedForWhereItIsOff tells what reaches the provider.
func TestUsageIsNotAskedForWhereItIsOff(t *testing.T) {
	s := newSite(t, func(s *site) {
		p := s.config.Providers["openai"]
		p.IncludeUsage = false
		s.config.Providers["openai"] = p
	})
	s.must(200, http.MethodPost, chatPath, bookBody, nil)
	s.direct(chatPath, bookBody, nil)
	if bill := s.sim.Bill(); bill[0].BodySHA256 != bill[1].BodySHA256 {
		t.Error("the provider got another body than the client sent")
	}
}

// TestMissedResumes: a call that buys again what an earlier one broke off is
// counted, with what that had cost.
func TestMissedResumes(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.OrphanGrace = time.Hour })
	again := func(h header) (resumed string) {
		resp, _ := s.must(200, http.MethodPost, chatPath, bookBody, h)
		s.awaitConnections(resp.Header.Get("Recoup-Stream-Id"), 0)
		return resp.Header.Get("Recoup-Resumed")
	}
	leave := func(h header) string {
		s.sim.Next(simulator.Script{Tokens: 100, Input: 1000, StallAfterEvents: role + 20})
		r := s.call(chatPath, bookBody, h).read(role + 20)
		r.leave()
		return r.id
	}

	gone := leave(nil) // not reclaimable: cancelled at once
	s.awaitState(gone, streamlog.Cancelled)
	if got := again(nil); got != "no; reason=not-opted-in" {
		t.Errorf("after one that was cancelled: %q", got)
	}
	if got := again(nil); got != "no" {
		t.Errorf("the third: %q", got)
	}

	kept := leave(header{"Recoup-On-Disconnect": "continue"})
	if got := again(nil); got != "no; reason=not-opted-in" {
		t.Errorf("after one that goes on: %q", got)
	}
	if info := s.awaitState(kept, streamlog.Cancelled); info.End.Cause != "superseded" {
		t.Errorf("it ended by %q", info.End.Cause)
	}

	held := leave(header{"Idempotency-Key": "k"}) // somebody may come back for this one
	if got := again(header{"Idempotency-Key": "another"}); got != "no; reason=not-opted-in" {
		t.Errorf("after one with a key: %q", got)
	}
	s.releaseStalled()
	s.awaitState(held, streamlog.Completed)

	ignored := leave(nil)
	s.awaitState(ignored, streamlog.Cancelled)
	if got := again(header{"Recoup-Resume": "never"}); got != "no" {
		t.Errorf("one that never resumes: %q", got)
	}

	s.expire()
	if b := s.books(kept); !strings.HasPrefix(b.String(), "wasted/superseded 20;") {
		t.Errorf("superseded: %s", b)
	}
	if b := s.books(held); !strings.HasPrefix(b.String(), "wasted/abandoned 20, lost/abandoned 80, overhead/unclaimed 80 $") {
		t.Errorf("abandoned: %s", b)
	}
	if _, err := s.registry.Gather(); err != nil {
		t.Error(err)
	}
	calls := 0
	for _, m := range s.ledger.Totals().Missed {
		if calls += int(m.Calls); m.Reason != "not-opted-in" || m.Model != "gpt-5.5" {
			t.Errorf("missed: %+v", m)
		}
	}
	if calls != 3 {
		t.Errorf("%d missed resumes, want 3", calls)
	}
}

// TestWholeAnswersAreNotSuperseded: cancelling a call for one JSON body stops no bill,
// so it goes on, and its answer and its usage are there.
func TestWholeAnswersAreNotSuperseded(t *testing.T) {
	s := newSite(t)
	body := strings.Replace(bookBody, `"stream":true,`, "", 1)
	s.sim.Next(simulator.Script{Tokens: 100, StallHead: true})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if resp, err := s.client.Do(s.request(http.MethodPost, chatPath, body, nil).WithContext(ctx)); err == nil {
			resp.Body.Close()
		}
	}()
	s.waitStalled(1)
	page := struct{ Streams []struct{ ID string } }{}
	_, data := s.must(200, http.MethodGet, "/recoup/streams", "", nil)
	if err := json.Unmarshal(data, &page); err != nil || len(page.Streams) != 1 {
		t.Fatalf("%v: %s", err, data)
	}
	cancel()
	<-gone
	s.awaitConnections(page.Streams[0].ID, 0)
	if resp, _ := s.must(200, http.MethodPost, chatPath, body, nil); resp.Header.Get("Recoup-Resumed") != "no; reason=not-opted-in" {
		t.Errorf("resumed: %q", resp.Header.Get("Recoup-Resumed"))
	}
	s.releaseStalled()
	s.awaitState(page.Streams[0].ID, streamlog.Completed)
}

// TestTooLateIsMissed: a client that comes back after the grace buys again.
func TestTooLateIsMissed(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.OrphanGrace = 10 * time.Millisecond })
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: role + 20})
	r := s.call(chatPath, bookBody, keyed).read(role + 20)
	r.leave()
	s.awaitState(r.id, streamlog.Cancelled)
	resp, _ := s.must(200, http.MethodPost, chatPath, bookBody, keyed)
	if got := resp.Header.Get("Recoup-Resumed"); got != "no; reason=ended" {
		t.Errorf("resumed: %q", got)
	}
	s.awaitConnections(resp.Header.Get("Recoup-Stream-Id"), 0)
	s.expire()
	if m := s.ledger.Totals().Missed; len(m) != 1 || m[0].Calls != 1 || m[0].Reason != "ended" || m[0].Amount.Sign() <= 0 {
		t.Errorf("missed: %+v", m)
	}
}
