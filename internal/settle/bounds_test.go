package settle

import (
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
)

// What an estimate may come to is posted in money too, at the rates of the bill.
func TestBounds(t *testing.T) {
	e := Evidence{
		History: histories.Stream(1000, histories.Attach(1), histories.Recv(10), histories.Do(books.Grace)),
		Input:   token.Range{Low: 0, Point: 2000, High: 8000}, Output: token.Range{Low: 980, Point: 1000, High: 4096},
		Bases: Bases{Input: token.Bounded, Output: token.Counted},
	}
	want := ledger.Bounds{
		Input:  ledger.Interval{Low: 0, High: 8000, From: 0, To: histories.Dollars("0.04")},
		Output: ledger.Interval{Low: 980, High: 4096, From: histories.Dollars("0.0294"), To: histories.Dollars("0.12288")},
	}
	if got := e.Bounds(); got == nil || *got != want {
		t.Errorf("bounds %+v, want %+v", got, want)
	}
	e.Input, e.Bases.Input = token.Exactly(2000), token.Reported
	want.Input = ledger.Interval{Low: 2000, High: 2000, From: histories.Dollars("0.01"), To: histories.Dollars("0.01")}
	if got := e.Bounds(); got == nil || *got != want {
		t.Errorf("of the output alone: %+v, want %+v", got, want)
	}
	e.Bases.Output = token.Reported
	if got := e.Bounds(); got != nil {
		t.Errorf("of an exact bill: %+v", got)
	}
}

// A posting says when its answer broke off: with the bill, as far as was known, and
// with the outcomes.
func TestBrokenIsPosted(t *testing.T) {
	s := newSite(t)
	p := s.stream()
	p.head(200)
	owner := p.owner()
	p.words(20)
	before := time.Now().Truncate(time.Millisecond)
	p.leave(owner, 10, "client")
	p.end(streamlog.Failed, "cut")
	s.settler.Flush()
	row := p.row()
	causes := func() (all []string) {
		for _, k := range p.row().Current.Broken {
			if k.At.Before(before.Add(-time.Second)) || k.At.After(time.Now().Add(time.Second)) {
				t.Errorf("broken at %v", k.At)
			}
			all = append(all, k.Cause)
		}
		return all
	}
	if got := causes(); len(got) != 2 || got[0] != books.Client || got[1] != books.Upstream || row.Current.Outcomes != nil {
		t.Errorf("broken by %v, outcomes %v", got, row.Current.Outcomes)
	}
	s.expire()
	if got := causes(); len(got) != 2 || p.row().Current.Outcomes == nil {
		t.Errorf("once it is settled: broken by %v", got)
	}
	if b := p.row().Current.Bill.Bounds; b == nil || b.Output.To < b.Output.From || b.Output.High == 0 {
		t.Errorf("bounds %+v", b)
	}
}
