package report_test

import (
	"testing"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/pricing"
)

// A report that is made while months are summarised has an attempt in its figures, or says
// that it is gone, never both.
func TestWhileMonthsAreSummarised(t *testing.T) {
	s := newSite(t)
	clean := histories.Examples()[0].History
	s.post(one{n: 1, at: noon.AddDate(0, -2, 0), history: clean})
	s.post(one{n: 2, at: noon, history: clean})
	cut := false
	r, err := report.Make(t.Context(), report.Sources{Ledger: s.ledger, Prices: pricing.Embedded(), Uncovered: func() report.Uncovered {
		if !cut { // the attempts have been read
			cut = true
			if done, err := s.ledger.Summarise(t.Context(), noon); err != nil || done.Attempts != 1 {
				t.Errorf("%+v, %v", done, err)
			}
		}
		return report.Uncovered{}
	}}, report.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Summarised == nil || r.Summarised.Attempts != 1 || r.Total.Attempts != 1 || r.Total.Paid.Point.String() != "0.055" {
		t.Errorf("%+v; %+v are gone", r.Total, r.Summarised)
	}
}
