package audit_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
)

// What is summarised is in the sum as before.
func TestSumOfSummarisedMonths(t *testing.T) {
	s := newSite(t)
	for n := range byte(6) {
		a := attempt{n: n + 1, at: noon.AddDate(0, -2*int(5-n), 0)}
		if n == 1 {
			a.facts = func(e *settle.Evidence) { e.Bases.Output = token.Bounded }
		}
		s.post(a)
	}
	if _, err := s.books.PostUnexplained(ledger.Unexplained{Provider: "openai", Day: "2026-01-05", Amount: 17}); err != nil {
		t.Fatal(err)
	}
	before, err := audit.Sum(t.Context(), s.books)
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.books.Summarise(t.Context(), noon.AddDate(0, -3, 0))
	if err != nil || done.Attempts != 4 {
		t.Fatalf("%+v, %v", done, err)
	}
	after, err := audit.Sum(t.Context(), s.books)
	if err != nil {
		t.Fatal(err)
	}
	if after.Summarised != 4 {
		t.Errorf("%d attempts are summarised", after.Summarised)
	}
	after.Summarised = 0
	if !reflect.DeepEqual(before, after) {
		t.Errorf("the sum is\n%+v, was\n%+v; evidence %+v, was %+v", after, before, after.Evidence["reported"], before.Evidence["reported"])
	}
}

// hooked calls a function when somebody asks whether it is over.
type hooked struct {
	context.Context
	asked func()
}

func (h hooked) Done() <-chan struct{} {
	h.asked()
	return h.Context.Done()
}

// Whoever sums up while a month is summarised has its attempts once.
func TestSumWhileSummarised(t *testing.T) {
	s := newSite(t)
	for n := range byte(3) {
		s.post(attempt{n: n + 1, at: noon.AddDate(0, -3, int(n))})
	}
	cut := false
	sum, err := audit.Sum(hooked{t.Context(), func() {
		if !cut {
			cut = true
			if done, err := s.books.Summarise(t.Context(), noon); err != nil || done.Attempts != 3 {
				t.Errorf("%+v, %v", done, err)
			}
		}
	}}, s.books)
	if err != nil || !cut || sum.Summarised != 3 || sum.Evidence["reported"].Attempts != 3 || sum.Evidence["reported"].USD.String() != "0.165" {
		t.Errorf("%+v, reported %+v, %v", sum, sum.Evidence["reported"], err)
	}
}
