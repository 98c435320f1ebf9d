package settle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// TestNonsense: whatever providers report and clients allow, it can be booked.
func TestNonsense(t *testing.T) {
	tools := func(n int, name string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`"%s_%02d_requests":1`, name, i))
		}
		return `{"prompt_tokens":20,"completion_tokens":1,"server_tool_use":{` + strings.Join(parts, ",") + `}}`
	}
	s := newSite(t)
	for _, c := range []struct{ name, usage, want string }{
		{"a bill of millions", `{"prompt_tokens":20,"completion_tokens":1099511627776}`, "delivered/live 1, input delivered/live 100 (bounded, counted)"},
		{"input beyond all contexts", `{"prompt_tokens":1099511627776,"completion_tokens":1}`, "delivered/live 1, input delivered/live 100 (bounded, counted)"},
		{"parts beyond the whole", `{"prompt_tokens":20,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":50,"audio_tokens":90},"completion_tokens_details":{"reasoning_tokens":70,"audio_tokens":80}}`,
			"delivered/live 1, input delivered/live 20 (reported, reported)"},
		{"more tools than a bill has lines", tools(100, "search"), "delivered/live 1, input delivered/live 120 (reported, reported)"},
		{"names that are none", tools(2, `\u0000`+strings.Repeat("x", 2000)), "delivered/live 1, input delivered/live 22 (reported, reported)"},
		{"nothing of everything", `{"prompt_tokens":0,"completion_tokens":0}`, "input delivered/live 0 (reported, reported)"},
	} {
		p := s.stream()
		conn := p.owner()
		p.head(200).words(1).finish(0, noUsage)
		p.event(streamlog.Event{}, `data: {"id":"c","choices":[],"usage":`+c.usage+"}\n\n")
		p.leave(conn, p.events, "done").completed()
		s.settler.Flush()
		if got := p.booked(); got != c.want && !strings.Contains(c.want, "bounded") {
			t.Errorf("%s: booked\n %s, want\n %s", c.name, got, c.want)
		} else if !strings.HasPrefix(got, strings.Split(c.want, ",")[0]) { // estimates get better on the way
			t.Errorf("%s: booked %s", c.name, got)
		}
	}
	p := s.stream(func(h *streamlog.Header) { h.MaxTokens, h.Choices = 1<<62, 1<<40 })
	p.must(p.log.SetHead(streamlog.Head{Attempt: 1, Status: 503, RequestID: strings.Repeat("r", 5000), At: time.Now()}))
	p.end(streamlog.Failed, "upstream")
	s.settler.Flush()
	p.want("input lost/upstream 0 (bounded, bounded)")
	if n := s.log.Stats().Unsettled; len(s.settler.failed)+len(s.settler.queue) > 0 {
		t.Errorf("%d are unsettled", n)
	}
	if _, err := s.ledger.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// TestAnotherBook: prices may change between the bill and its outcomes, and so
// may what a model is called; what was posted stays.
func TestAnotherBook(t *testing.T) {
	book := func(model string) *pricing.Book {
		b, err := pricing.Parse(strings.NewReader("provider,model,input,output,source_date\nopenai," + model + ",1,7,2026-01-01\n"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s := newSite(t)
	for _, c := range []struct {
		model         string
		before, after *pricing.Book
	}{
		{"gpt-5.5", pricing.Embedded(), book("other-model")},
		{"gpt-9", book("other-model"), book("gpt-9")},
		{"gpt-9", book("gpt-9"), book("gpt-5.5")},
	} {
		s.settler.SetBook(c.before)
		p := s.stream(func(h *streamlog.Header) { h.Model = c.model })
		conn := p.owner()
		p.head(200).event(streamlog.Event{Text: true}, `data: {"id":"c","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}]}`+"\n\n")
		p.leave(conn, 1, "client").finish(2000, 1).completed()
		s.settler.Flush()
		label := p.row().Model
		s.settler.SetBook(c.after)
		s.expire()
		p.want("wasted/abandoned 1, input wasted/abandoned 2000 (reported, reported)")
		if now := p.row().Model; now != label {
			t.Errorf("%s was posted as %s, and is %s", c.model, label, now)
		}
	}
}

// TestMissedAgain: a crash may hide that a call is settled, and a bill be revised
// meanwhile. The miss was posted, and stays.
func TestMissedAgain(t *testing.T) {
	s := newSite(t)
	orphan := s.stream()
	c := orphan.owner()
	orphan.head(200).words(3).leave(c, 1, "client").finish(20, 3).completed()
	repeat := s.stream(func(h *streamlog.Header) {
		h.Model, h.Missed = "gpt-5.5", &streamlog.Missed{Stream: orphan.id, Reason: "ended"}
	})
	c = repeat.owner()
	repeat.head(200).event(streamlog.Event{Text: true}, `data: {"id":"c","model":"prod-7","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}]}`+"\n\n")
	repeat.finish(20, 1).leave(c, repeat.events, "done").completed()
	s.settler.Flush()
	s.settler.Unsettled(func(o Open) {
		if o.Provider != "openai" || o.Model != "gpt-5.5" {
			t.Errorf("open, and counted as %+v", o)
		}
	})
	s.expire()
	s.settler.Flush()
	row := orphan.row()
	var e Evidence
	orphan.must(e.decode(row.Current.Evidence))
	e.History.Output, e.Output = 9, token.Exactly(9)
	b, err := e.reckon(true)
	orphan.must(err)
	posting, err := e.Posting(b)
	orphan.must(err)
	posting.Attempt, posting.Revision, posting.Reason = row.Attempt, 1, ledger.Reconciled
	_, err = s.ledger.Post(posting)
	orphan.must(err)
	if left, err := s.settler.settle(repeat.log); left != nil || err != nil {
		t.Errorf("left %+v, %v", left, err)
	}
	misses := 0
	orphan.must(s.ledger.Misses(t.Context(), func(m ledger.Miss) error {
		if misses++; m.Model != "gpt-5.5" || m.Amount == 0 {
			t.Errorf("%+v", m)
		}
		return nil
	}))
	if misses != 1 {
		t.Errorf("%d misses", misses)
	}
}

// TestMissedBeforeItIsTold: a call may be settled while nobody has told yet that
// the one it repeats has ended.
func TestMissedBeforeItIsTold(t *testing.T) {
	s := newSite(t)
	orphan := s.stream()
	c := orphan.owner()
	orphan.head(200).words(3).leave(c, 1, "client").finish(20, 3)
	repeat := s.stream(func(h *streamlog.Header) { h.Missed = &streamlog.Missed{Stream: orphan.id, Reason: "ended"} })
	c = repeat.owner()
	repeat.head(200).words(1).finish(20, 1).leave(c, repeat.events, "done")
	s.settler.Flush()
	_, err := orphan.log.Finish(streamlog.End{State: streamlog.Completed})
	orphan.must(err)
	repeat.completed()
	s.settler.Flush()
	if n := len(s.ledger.Totals().Missed); n != 0 {
		t.Fatal("missed, and it isn't known at what cost")
	}
	s.settler.Look(orphan.id)
	s.expire()
	s.settler.Flush()
	if missed := s.ledger.Totals().Missed; len(missed) != 1 || missed[0].Amount.String() != "0.00019" {
		t.Errorf("missed: %+v", missed)
	}
	if n := len(s.settler.missed); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

// TestFails: what could not be settled is tried again, also when somebody waited
// for it; and nobody waits forever.
func TestFails(t *testing.T) {
	s := newSite(t)
	p := s.stream()
	c := p.owner()
	p.head(200).words(1).finish(20, 1).leave(c, p.events, "done")
	s.settler.Flush()
	working := s.settler.ledger
	broken, err := ledger.Open(t.TempDir(), ledger.Options{})
	p.must(err)
	p.must(broken.Close())
	s.settler.ledger = broken
	p.completed()
	s.settler.Flush()
	s.settler.ledger = working
	s.settler.mu.Lock()
	if len(s.settler.queue) != 1 || s.settler.queue[0].id != p.id {
		t.Errorf("waiting for another try: %v", s.settler.queue)
	}
	s.settler.mu.Unlock()
	s.settler.Flush()
	p.want("delivered/live 1, input delivered/live 20 (reported, reported)")
	s.settler.Close()
	s.settler.Look(p.id)
	s.settler.Flush()
	if n := len(s.settler.state) + len(s.settler.held); n != 0 {
		t.Errorf("%d are waiting for nobody", n)
	}
}

// TestTime: each stream is settled when its own retention is over, in whatever
// order they ended.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.log.SetRetention(10 * time.Minute)
		long, short := s.stream(), s.stream()
		for _, p := range []*play{short, long} {
			c := p.owner()
			p.head(200).words(3).leave(c, 1, "client").finish(20, 3)
		}
		end := func(p *play, after time.Duration) {
			<-time.After(after)
			_, err := p.log.Finish(streamlog.End{State: streamlog.Completed})
			p.must(err)
		}
		end(short, time.Minute)
		end(long, 8*time.Minute)
		s.settler.Look(long.id)
		<-time.After(time.Second)
		s.settler.Look(short.id)
		<-time.After(time.Second)
		short.want("pending 3 (reported, reported)")
		long.want("pending 3 (reported, reported)")
		<-time.After(3 * time.Minute)
		const settled = "wasted/abandoned 1, lost/abandoned 2, input wasted/abandoned 20 (reported, reported)"
		short.want(settled)
		long.want("pending 3 (reported, reported)")
		<-time.After(8 * time.Minute)
		long.want(settled)
	})
}

// TestTimeOfALoneStream: it is settled when its retention is over, though nothing else
// happens that would have anybody look.
func TestTimeOfALoneStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.log.SetRetention(5 * time.Second)
		p := s.stream()
		c := p.owner()
		p.head(200).words(3).leave(c, 1, "client").finish(20, 3)
		_, err := p.log.Finish(streamlog.End{State: streamlog.Completed})
		p.must(err)
		s.settler.Look(p.id)
		<-time.After(time.Second)
		p.want("pending 3 (reported, reported)")
		<-time.After(5 * time.Second)
		row, err := s.ledger.Get(ledger.ID(p.id), 1)
		if err != nil || row.Current.Outcomes == nil {
			t.Errorf("it is not settled: %+v, %v", row, err)
		}
	})
}

// TestMovedAway: a damaged part of the log may be moved away, with streams that
// were billed and not settled. Their bills don't stay pending; those of others do.
func TestMovedAway(t *testing.T) {
	s := newSite(t)
	broken := func() *play {
		p := s.stream()
		c := p.owner()
		return p.head(200).words(4).leave(c, 3, "client").end(streamlog.Interrupted, "upstream")
	}
	gone := broken()
	s.settler.Flush()
	s.close()
	buckets, err := filepath.Glob(filepath.Join(s.dir, "log", "*", "MANIFEST"))
	if err != nil || len(buckets) == 0 {
		t.Fatalf("%v, %v", buckets, err)
	}
	for _, manifest := range buckets {
		gone.must(os.RemoveAll(filepath.Dir(manifest)))
	}
	s.open()
	there := broken()
	s.settler.Flush()
	s.close()
	s.open()
	gone.must(s.settler.sweep(t.Context())) // if the search was not finished
	if lost, err := s.settler.lost(s.log.Unsettled()); lost || err != nil {
		t.Errorf("more is lost: %v, %v", lost, err)
	}
	gone.want("wasted/damaged 3, lost/damaged 1, input wasted/damaged 100 (bounded, counted)")
	there.want("pending 4 (bounded, counted)")
}

// TestForms: the ways in which answers come.
func TestForms(t *testing.T) {
	s := newSite(t)
	json := func(h *streamlog.Header) { h.Streamed = false }
	whole := `{"id":"c","model":"gpt-5.5","choices":[{"index":0,"message":{"content":"the the"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":7}}}`

	resumed := s.stream(json)
	c := resumed.owner()
	resumed.leave(c, 0, "client").head(200, "Content-Type", "application/json").event(streamlog.Event{Text: true}, whole[:50])
	resumed.event(streamlog.Event{Text: true, Terminal: true}, whole[50:]).completed()
	again := resumed.attach(streamlog.Attachment{Via: "key"})
	resumed.leave(again, resumed.events, "done")

	cut := s.stream(json)
	c = cut.owner()
	cut.head(200, "Content-Type", "application/json").event(streamlog.Event{Text: true}, whole[:50]).leave(c, 1, "done").end(streamlog.Interrupted, "upstream")

	retried := s.stream()
	c = retried.owner()
	retried.must(retried.log.Attempt(streamlog.Attempt{Number: 2, Started: time.Now()}))
	retried.must(retried.log.SetHead(streamlog.Head{Attempt: 2, Status: 200, Header: map[string][]string{"Content-Type": {"text/event-stream"}}, At: time.Now()}))
	retried.words(2).finish(20, 2).leave(c, retried.events, "done").completed()

	tools := s.stream()
	c = tools.owner()
	tools.head(200).words(1).finish(0, noUsage)
	tools.event(streamlog.Event{}, `data: {"id":"c","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":1,"server_tool_use":{"code_execution_requests":3}}}`+"\n\n")
	tools.leave(c, tools.events, "done").completed()

	s.settler.Flush()
	resumed.want("delivered/resumed 9, input delivered/resumed 20 (reported, reported)")
	if o := resumed.row().Current.Outcomes; o.Saved.OutputTokens != 9 || o.Saved.InputTokens != 20 {
		t.Errorf("saved %+v", o.Saved)
	}
	if o := cut.row().Current.Outcomes; o == nil || o.Input != ledger.Lost && o.Input != ledger.Wasted {
		t.Errorf("%s", cut.booked())
	}
	retried.want("delivered/live 2, input delivered/live 20 (reported, reported)")
	if n := retried.row().Number; n != 2 {
		t.Errorf("attempt %d", n)
	}
	tools.want("delivered/live 1, input delivered/live 23 (reported, reported)")
	if b := tools.row().Current.Bill; b.Unpriced != string(pricing.NoRate) || len(b.Input) != 2 {
		t.Errorf("%+v", b)
	}
}
