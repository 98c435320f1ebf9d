package settle

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestOutcomes: what happened to a stream, as its log has it, and what is posted.
func TestOutcomes(t *testing.T) {
	kill := streamlog.Mark{Kind: streamlog.MarkKill}
	for _, c := range []struct {
		name string
		act  func(p *play)
		want string
	}{
		{"clean", func(p *play) {
			c := p.owner()
			p.head(200).words(5).finish(20, 5).leave(c, p.events, "done").completed()
		}, "delivered/live 5, input delivered/live 20 (reported, reported)"},
		{"no usage is reported", func(p *play) {
			c := p.owner()
			p.head(200).words(5).finish(0, noUsage).leave(c, p.events, "done").completed()
		}, "delivered/live 5, input delivered/live 100 (bounded, counted)"},
		{"the provider fails", func(p *play) {
			c := p.owner()
			p.head(200).words(5).leave(c, 3, "client").end(streamlog.Interrupted, "upstream")
		}, "wasted/upstream 3, lost/upstream 2, input wasted/upstream 100 (bounded, counted)"},
		{"it fails while the owner still reads", func(p *play) {
			c := p.owner()
			p.head(200).words(5).end(streamlog.Failed, "upstream").leave(c, 5, "done")
		}, "wasted/upstream 5, input wasted/upstream 100 (bounded, counted)"},
		{"nobody came back", func(p *play) {
			c := p.owner()
			p.head(200).words(3).leave(c, 2, "client").words(1).mark(streamlog.Mark{Kind: streamlog.MarkCancel, Cause: "grace"}).end(streamlog.Cancelled, "grace")
		}, "wasted/abandoned 2, lost/abandoned 2, input wasted/abandoned 100 (bounded, counted)"},
		{"nobody wanted it", func(p *play) {
			c := p.owner()
			p.head(200).words(3).leave(c, 2, "client").finish(20, 3).completed()
		}, "wasted/abandoned 2, lost/abandoned 1, input wasted/abandoned 20 (reported, reported)"},
		{"another call replaced it", func(p *play) {
			c := p.owner()
			p.head(200).words(3).leave(c, 2, "client").end(streamlog.Cancelled, "superseded")
		}, "wasted/superseded 2, lost/superseded 1, input wasted/superseded 100 (bounded, counted)"},
		{"cancelled, while the owner still reads", func(p *play) {
			c := p.owner()
			p.head(200).words(5).end(streamlog.Cancelled, "cancelled").leave(c, 4, "client")
		}, "delivered/cancelled 4, lost/cancelled 1, input delivered/cancelled 100 (bounded, counted)"},
		{"cancelled when it was complete, and nobody had it", func(p *play) {
			c := p.owner()
			p.head(200).words(5).leave(c, 2, "client").finish(20, 5).completed().mark(streamlog.Mark{Kind: streamlog.MarkCancel, Cause: "cancelled"})
		}, "delivered/cancelled 2, lost/cancelled 3, input delivered/cancelled 20 (reported, reported)"},
		{"a cancel that came too late", func(p *play) {
			c := p.owner()
			p.head(200).words(5).mark(streamlog.Mark{Kind: streamlog.MarkCancel, Cause: "cancelled"}).finish(20, 5).leave(c, p.events, "done").completed()
		}, "delivered/live 5, input delivered/live 20 (reported, reported)"},
		{"shut down", func(p *play) {
			c := p.owner()
			p.head(200).words(5).end(streamlog.Interrupted, "shutdown").leave(c, 4, "gateway")
		}, "wasted/crash 4, lost/crash 1, input wasted/crash 100 (bounded, counted)"},
		{"no room", func(p *play) {
			c := p.owner()
			p.head(200).words(5).leave(c, 5, "gateway").end(streamlog.Interrupted, "disk_full")
		}, "wasted/crash 5, input wasted/crash 100 (bounded, counted)"},
		{"killed: the marks say what was written", func(p *play) {
			c := p.owner()
			p.head(200).words(3)
			c.Delivered(3)
			p.words(2) // which bring the mark along
			p.mark(kill).end(streamlog.Interrupted, "crash")
		}, "wasted/crash 3, lost/crash 2, input wasted/crash 100 (bounded, counted)"},
		{"killed: an offset proves what was written", func(p *play) {
			c := p.owner()
			p.head(200).words(3)
			c.Delivered(3)
			p.words(2).mark(kill).end(streamlog.Interrupted, "crash")
			again := p.attach(streamlog.Attachment{Index: 4, Via: "id", Explicit: true})
			p.leave(again, 4, "client")
		}, "wasted/crash 4, lost/crash 1, input wasted/crash 100 (bounded, counted)"},
		{"taken over", func(p *play) {
			first := p.owner()
			p.head(200).words(2)
			first.Delivered(2)
			second := p.attach(streamlog.Attachment{Via: "key"})
			p.words(1).finish(20, 3)
			p.leave(second, p.events, "done").leave(first, 2, "client").completed()
		}, "delivered/live 2, delivered/resumed 1, input delivered/live 20 (reported, reported)"},
		{"only looked at", func(p *play) {
			c := p.owner()
			p.head(200).words(3).leave(c, 1, "client").finish(20, 3)
			o := p.attach(streamlog.Attachment{Via: "id", Observe: true})
			p.leave(o, p.events, "done").completed()
		}, "wasted/abandoned 1, lost/abandoned 2, input wasted/abandoned 20 (reported, reported)"},
		{"no answer came", func(p *play) {
			c := p.owner()
			p.leave(c, 0, "done").end(streamlog.Failed, "upstream")
		}, "input lost/upstream 0 (bounded, bounded)"},
		{"the provider broke", func(p *play) {
			c := p.owner()
			p.head(500).event(streamlog.Event{}, "oops").leave(c, 1, "done").end(streamlog.Failed, "upstream")
		}, "input lost/upstream 0 (bounded, bounded)"},
		{"in a coding that can't be read", func(p *play) {
			c := p.owner()
			p.head(200, "Content-Encoding", "br").event(streamlog.Event{Text: true, Terminal: true}, "\x00\x01").leave(c, 1, "done").completed()
		}, "input delivered/live 100 (bounded, bounded)"},
		{"an event in parts", func(p *play) {
			c := p.owner()
			half := `data: {"id":"c","choices":[{"index":0,"delta":{"content":" the the`
			p.head(200).words(1).event(streamlog.Event{More: true}, half).event(streamlog.Event{Text: true}, ` the"},"finish_reason":null}]}`+"\n\n")
			p.words(1).leave(c, 2, "client").end(streamlog.Interrupted, "upstream")
		}, "wasted/upstream 4, lost/upstream 1, input wasted/upstream 100 (bounded, counted)"},
		{"usage as it runs", func(p *play) {
			c := p.owner()
			p.head(200).words(1).event(streamlog.Event{Text: true}, `data: {"id":"c","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}],"usage":{"prompt_tokens":30,"completion_tokens":7,"total_tokens":37}}`+"\n\n")
			p.leave(c, 2, "client").end(streamlog.Interrupted, "upstream")
		}, "wasted/upstream 7, input wasted/upstream 30 (partial, partial)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			p := s.stream()
			c.act(p)
			s.expire()
			p.want(c.want)
			if n := s.log.Stats().Unsettled; n > 1 {
				t.Errorf("%d streams are unsettled", n)
			}
			if _, err := s.ledger.Verify(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNothingIsBilled: what a provider refuses, or never gets, has no row.
func TestNothingIsBilled(t *testing.T) {
	s := newSite(t)
	refused, unreached := s.stream(), s.stream()
	c := refused.owner()
	refused.head(429).event(streamlog.Event{}, "{}").leave(c, 1, "done").end(streamlog.Failed, "upstream")
	c = unreached.owner()
	unreached.leave(c, 0, "done").end(streamlog.Failed, "unreachable")
	s.settler.Flush()
	for _, p := range []*play{refused, unreached} {
		if rows, err := s.ledger.Of(ledger.ID(p.id)); err != nil || len(rows) != 0 {
			t.Errorf("%+v, %v", rows, err)
		}
		if v, err := s.settler.View(p.log); v != nil || err != nil {
			t.Errorf("view %+v, %v", v, err)
		}
	}
}

// TestLabels: what an attempt is called, and why it has no price.
func TestLabels(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ asked, answered, label, unpriced string }{
		{"gpt-5.5", "gpt-5.5-2026-04-23", "gpt-5.5", ""},
		{"gpt-5.5", "prod-deployment-7", "gpt-5.5", ""}, // Azure and its like
		{"gpt-5.5", "gpt-5-mini-2025-08-07", "gpt-5-mini", ""},
		{"mine", "mine", Other, "unknown_model"},
	} {
		p := s.stream(func(h *streamlog.Header) { h.Model = c.asked })
		conn := p.owner()
		p.head(200).event(streamlog.Event{Text: true}, `data: {"id":"c","model":"`+c.answered+`","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}]}`+"\n\n")
		p.finish(10, 1).leave(conn, p.events, "done").completed()
		s.settler.Flush()
		if row := p.row(); row.Model != c.label || row.Current.Bill.Unpriced != c.unpriced || row.AskedModel != c.asked {
			t.Errorf("%s answered by %s: %s, %q", c.asked, c.answered, row.Model, row.Current.Bill.Unpriced)
		}
	}
}

// TestStillRead: an owner who reads past the retention is waited for, without
// looking again and again; the bill does not wait.
func TestStillRead(t *testing.T) {
	s := newSite(t)
	p := s.stream()
	c := p.owner()
	p.head(200).words(5).finish(20, 5).completed()
	s.expire()
	s.log.SetRetention(0)
	p.want("pending 5 (reported, reported)")
	s.settler.mu.Lock()
	if len(s.settler.queue)+len(s.settler.later) != 0 {
		t.Errorf("it waits in %v or %v, but only its reader can settle it", s.settler.queue, s.settler.later)
	}
	s.settler.mu.Unlock()
	open := 0
	s.settler.Unsettled(func(o Open) {
		if open++; o.Tokens != 5 || o.Orphan || o.Model != "gpt-5.5" {
			t.Errorf("open: %+v", o)
		}
	})
	if open != 1 {
		t.Errorf("%d streams are open", open)
	}
	p.leave(c, p.events, "done")
	s.settler.Flush()
	p.want("delivered/live 5, input delivered/live 20 (reported, reported)")
}

// TestRevisedWhilePending: outcomes follow the bill as it stands then.
func TestRevisedWhilePending(t *testing.T) {
	s := newSite(t)
	p := s.stream()
	c := p.owner()
	p.head(200).words(4).leave(c, 3, "client").end(streamlog.Interrupted, "upstream")
	s.settler.Flush()
	p.want("pending 4 (bounded, counted)")
	row := p.row()
	var e Evidence
	if err := json.Unmarshal(row.Current.Evidence, &e); err != nil {
		t.Fatal(err)
	}
	e.History.Output, e.Output.Point, e.Bases.Output = 6, 6, "reconciled"
	b, err := e.reckon(false)
	if err != nil {
		t.Fatal(err)
	}
	posting, err := e.Posting(b)
	if err != nil {
		t.Fatal(err)
	}
	posting.Attempt, posting.Revision, posting.Reason = row.Attempt, 1, ledger.Reconciled
	if _, err := s.ledger.Post(posting); err != nil {
		t.Fatal(err)
	}
	s.expire()
	p.want("wasted/upstream 3, lost/upstream 3, input wasted/upstream 100 (bounded, reconciled)")
}

// TestLostLog: a bill whose stream can't be read any more is settled by what
// stood behind it.
func TestLostLog(t *testing.T) {
	s := newSite(t)
	p := s.stream()
	c := p.owner()
	p.head(200).words(4).leave(c, 3, "client").end(streamlog.Interrupted, "upstream")
	s.settler.Flush()
	for range 2 {
		if err := s.settler.settleLost(lost(p.id)); err != nil {
			t.Fatal(err)
		}
	}
	p.want("wasted/damaged 3, lost/damaged 1, input wasted/damaged 100 (bounded, counted)")
}

// TestTheNextProcess settles what one left: ended and unposted, billed and
// pending, and settled but not noted.
func TestTheNextProcess(t *testing.T) {
	s := newSite(t)
	var plays []*play
	for range 300 {
		p := s.stream()
		c := p.owner()
		p.head(200).words(2).finish(20, 2)
		p.must(func() error { c.Delivered(1); return c.Detach("client") }())
		_, err := p.log.Finish(streamlog.End{State: streamlog.Completed})
		p.must(err)
		plays = append(plays, p)
	}
	for _, p := range plays[:100] {
		s.settler.Look(p.id)
	}
	s.settler.Flush()
	s.close()
	s.open()
	s.expire()
	for deadline := time.Now().Add(20 * time.Second); s.log.Stats().Unsettled > 0 && time.Now().Before(deadline); {
		s.expire()
	}
	if n := s.log.Stats().Unsettled; n != 0 {
		t.Fatalf("%d are unsettled", n)
	}
	for _, p := range plays {
		p.site = s
		p.want("wasted/abandoned 1, lost/abandoned 1, input wasted/abandoned 20 (reported, reported)")
	}
}

// TestMisses: a call that repeats an earlier one is counted once it is known
// what that had cost, and only if nobody had its answer after all.
func TestMisses(t *testing.T) {
	s := newSite(t)
	repeat := func(of *play) *play {
		p := s.stream(func(h *streamlog.Header) { h.Missed = &streamlog.Missed{Stream: of.id, Reason: "not-opted-in"} })
		c := p.owner()
		return p.head(200).words(1).finish(20, 1).leave(c, p.events, "done").completed()
	}
	broken := func() *play {
		p := s.stream()
		c := p.owner()
		return p.head(200).words(3).leave(c, 1, "client").finish(20, 3)
	}
	calls := func() (n int64, usd string) {
		for _, m := range s.ledger.Totals().Missed {
			n, usd = m.Calls, m.Amount.String()
		}
		return n, usd
	}
	running, had := broken(), broken()
	repeat(running)
	repeat(had)
	s.settler.Flush()
	if n, _ := calls(); n != 0 {
		t.Errorf("%d misses before it is known what they cost", n)
	}
	running.completed()
	had.completed()
	c := had.attach(streamlog.Attachment{Via: "id"})
	had.leave(c, had.events, "done")
	s.expire()
	s.settler.Flush()
	if n, usd := calls(); n != 1 || usd != "0.00019" {
		t.Errorf("%d misses, $%s", n, usd)
	}
}

// TestIdentity: at every moment each billed token has one outcome, or is pending.
func TestIdentity(t *testing.T) {
	s := newSite(t)
	p := s.stream()
	check := func(when string, tokens int64) {
		t.Helper()
		v, err := s.settler.View(p.log)
		if err != nil {
			t.Fatal(err)
		}
		sum := v.Books.Pending
		for _, o := range v.Books.Outcomes {
			sum += o.Tokens
		}
		if sum != tokens || v.Evidence.History.Output != tokens {
			t.Errorf("%s: %d in outcomes and pending, %d billed, want %d", when, sum, v.Evidence.History.Output, tokens)
		}
	}
	c := p.owner()
	p.head(200)
	check("head", 0)
	p.words(3)
	check("three words", 3)
	p.leave(c, 2, "client")
	check("a break", 3)
	p.words(2)
	again := p.attach(streamlog.Attachment{Via: "key"})
	check("a resume", 5)
	p.finish(20, 6)
	check("complete", 6)
	p.completed()
	check("ended", 6)
	p.leave(again, p.events, "done")
	check("delivered", 6)
	s.settler.Flush()
	check("settled", 6)
	p.want("delivered/live 2, delivered/resumed 4, input delivered/resumed 20 (reported, reported)")
}
