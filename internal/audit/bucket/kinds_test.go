package bucket_test

import (
	"errors"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// A bill by days and one by requests say the same of a day: what differs stands once,
// whichever comes last, also where one of them tells tiers and the other doesn't.
func TestBillsOfBothKinds(t *testing.T) {
	s := newSite(t)
	at := day.Add(12 * time.Hour)
	s.post(call{model: "gpt-5.5", at: at, tier: "default"})
	s.post(call{model: "gpt-5.4", at: at, tier: "priority"})
	s.more("gpt-5.5", at, vendor.Tokens{Output: 100}, 0)
	byRequests := audit.Bill{Provider: "openai", Complete: true, From: day, To: day.AddDate(0, 0, 1), Lines: []audit.Line{
		{RequestID: "req_1", Model: "gpt-5.5", Input: map[token.Kind]int64{token.Input: 2000}, Output: 1600, Started: at},
		{RequestID: "req_2", Model: "gpt-5.4", Input: map[token.Kind]int64{token.Input: 2000}, Output: 1500, Started: at},
	}}
	days := func() { s.compare(true) }
	requests := func() {
		if _, err := audit.Reconcile(t.Context(), s.books, pricing.Embedded(), byRequests); err != nil {
			t.Fatal(err)
		}
	}
	for n, one := range []struct {
		compare func()
		stands  string
		agree   int // a tier that one of them doesn't tell is of nothing
	}{
		{days, "0.003 unexplained 0.003", 1},
		{requests, "0.003 differs 0.003", 2},
		{requests, "0.003 differs 0.003", 2},
		{days, "0.003 unexplained 0.003", 2},
	} {
		one.compare()
		s.expectStands(one.agree, map[string]string{"23 gpt-5.5": one.stands})
		if all := s.books.Totals().Unexplained; len(all) != 1 || all[0].Amount.String() != "0.003" {
			t.Errorf("after %d: %+v", n, all)
		}
	}
}

// Where one amount is more than can be posted, none is.
func TestMoreThanCanBePosted(t *testing.T) {
	s := newSite(t)
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.post(call{model: "gpt-5.5", at: day.Add(25 * time.Hour)})
	s.dollars("gpt-5.5", day, "0.5")
	s.dollars("gpt-5.5", day.AddDate(0, 0, 1), "5000000")
	from := bucket.Sources{Books: s.books, Prices: pricing.Embedded(), Now: day.AddDate(0, 1, 0)}
	if r, err := bucket.Compare(t.Context(), from, s.statement(), true); !errors.Is(err, bucket.ErrInvalid) {
		t.Errorf("%+v, %v", r, err)
	}
	s.expectStands(0, map[string]string{})
}
