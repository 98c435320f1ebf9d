package report

import (
	"reflect"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
)

// An attempt of a program that stored neither breaks nor bounds comes to the same, by
// its evidence.
func TestReconstruct(t *testing.T) {
	for _, x := range histories.Examples() {
		e := settle.Evidence{
			History: x.History, Input: token.Exactly(2000), Output: token.Range{Low: x.History.Output / 2, Point: x.History.Output, High: x.History.Output + 99},
			Bases: settle.Bases{Input: token.Reported, Output: token.Counted},
		}
		b, err := books.Keep(e.History)
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.Posting(b)
		if err != nil {
			t.Fatal(err)
		}
		row := func() *ledger.Row {
			return &ledger.Row{
				Attempt: ledger.Attempt{Stream: ledger.ID{1}, Number: 1, Provider: "openai", Model: "gpt-5.5", At: time.UnixMilli(1)},
				Current: ledger.Revision{Bill: *p.Bill, Outcomes: p.Outcomes, Broken: p.Broken, Evidence: p.Evidence},
			}
		}
		var now, old attempt
		if err := now.read(row()); err != nil {
			t.Fatal(err)
		}
		before := row()
		before.Current.Broken, before.Current.Bill.Bounds = nil, nil
		if err := old.read(before); err != nil {
			t.Fatal(err)
		}
		now.row, old.row = nil, nil
		if !reflect.DeepEqual(now, old) || now.bounds == nil {
			t.Errorf("%s: %+v, was %+v", x.Name, old, now)
		}
	}
}
