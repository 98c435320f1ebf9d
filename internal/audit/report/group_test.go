package report

import (
	"errors"
	"fmt"
	"testing"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Somebody who puts the number of each call into the tag team takes no report from
// anybody: beyond so many teams all others are one group. Who asks for that grouping is told.
func TestMoreGroupsThanThereCanBe(t *testing.T) {
	usual, asked := newGrouping(Tag("team")), newGrouping(Tag("team"))
	usual.most, asked.most, asked.asked = 3, 3, true
	var refused error
	for i := range 10 {
		row := &ledger.Row{Attempt: ledger.Attempt{Tags: map[string]string{"team": fmt.Sprint(i)}}}
		row.Current.Bill.Output = ledger.Line{Kind: "output", Tokens: int64(i), Amount: pricing.Picodollars(i)}
		var a attempt
		if err := errors.Join(a.read(row), usual.add(&a)); err != nil {
			t.Fatal(err)
		}
		refused = errors.Join(refused, asked.add(&a))
	}
	if !errors.Is(refused, ErrInvalid) {
		t.Errorf("asked for: %v", refused)
	}
	groups := usual.done()
	var attempts int64
	var paid pricing.Sum
	for i := range groups {
		attempts, paid = attempts+groups[i].Attempts, paid.Plus(groups[i].Paid.Point)
	}
	if len(groups) != 4 || !groups[0].Rest || groups[0].Attempts != 7 || groups[1].Rest || attempts != 10 || paid != (pricing.Sum{}.Add(45)) {
		t.Errorf("%+v", groups)
	}
	if top := top(groups, Figures{}); top != nil {
		t.Errorf("nothing cost anything, and %+v has the most", top)
	}
}
