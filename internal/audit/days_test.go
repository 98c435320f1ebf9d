package audit_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// byDay is what stands unexplained, and that a bill agrees, by day.
func (s *site) byDay() map[string]string {
	s.Helper()
	days := map[string]string{}
	err := s.books.Unexplained(s.Context(), func(u ledger.Unexplained) error {
		days[u.Day] += u.Amount.String() + " "
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return days
}

// A bill of the morning and one of the afternoon say nothing of the whole day, nor take
// back what another has shown: only a bill of all of a day's calls is posted.
func TestPartsOfADay(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, requestID: "req_1", at: noon.Add(-time.Hour)})
	s.post(attempt{n: 2, requestID: "req_2", at: noon.Add(time.Hour)})
	off := line("req_1", 2000, 1501, noon.Add(-time.Hour)) // by a token
	day, next := noon.Add(-12*time.Hour), noon.Add(12*time.Hour)
	part := func(from, to time.Time, lines ...audit.Line) audit.Reconciliation {
		t.Helper()
		return s.reconcile(audit.Bill{Provider: "openai", Complete: true, From: from, To: to, Lines: lines})
	}
	today := []string{"2026-11-23"}
	morning, afternoon := part(day, noon, off), part(noon, next, line("req_2", 2000, 1500, noon.Add(time.Hour)))
	if !slices.Equal(morning.NotPosted, today) || !slices.Equal(afternoon.NotPosted, today) || morning.UnexplainedUSD.String() != "0.00003" {
		t.Errorf("morning %+v, afternoon %+v", morning, afternoon)
	}
	if days := s.byDay(); len(days) != 0 {
		t.Errorf("posted: %v", days)
	}
	all := part(day, next, off, line("req_2", 2000, 1500, noon.Add(time.Hour)))
	if days := s.byDay(); len(all.NotPosted) != 0 || days["2026-11-23"] != "0.00003 " {
		t.Errorf("posted: %v, %+v", days, all)
	}
	part(noon, next, line("req_2", 2000, 1500, noon.Add(time.Hour)))
	if days := s.byDay(); days["2026-11-23"] != "0.00003 " {
		t.Errorf("the afternoon took back the morning's: %v", days)
	}
	// Nothing was called in the rest of the time.
	if few := part(noon.Add(-2*time.Hour), noon.Add(2*time.Hour), off, line("req_2", 2000, 1500, noon.Add(time.Hour))); len(few.NotPosted) != 0 {
		t.Errorf("%+v", few)
	}
}

// What a clock puts a moment before the bill's day is of that day: the day before has a
// bill of its own.
func TestClockBesideMidnight(t *testing.T) {
	s := newSite(t)
	midnight := noon.Add(-12 * time.Hour)
	yesterday := audit.Bill{Provider: "openai", Complete: true, From: midnight.AddDate(0, 0, -1), To: midnight}
	stranger := line("req_8", 0, 1000, midnight.Add(-2*time.Hour))
	yesterday.Lines = []audit.Line{stranger}
	s.reconcile(yesterday)
	early := line("req_9", 0, 1, midnight.Add(-time.Millisecond))
	s.reconcile(whole(early))
	if days := s.byDay(); days["2026-11-22"] != "0.03 " || days["2026-11-23"] != "0.00003 " {
		t.Errorf("%v", days)
	}
}

// A line that has no time has a price, as one at the bill's has.
func TestPriceOfALineWithoutTime(t *testing.T) {
	s := newSite(t)
	bill := whole(line("req_9", 2000, 1500, time.Time{}))
	if got := s.reconcile(bill); got.UnexplainedUSD.String() != "0.055" {
		t.Errorf("unexplained: $%s", got.UnexplainedUSD)
	}
	bill.Complete, bill.From, bill.To = false, time.Time{}, time.Time{}
	if got := s.reconcile(bill); got.UnexplainedUSD.Sign() <= 0 {
		t.Errorf("unexplained: $%s", got.UnexplainedUSD)
	}
}

// Bills that can't be are refused before anything is posted.
func TestAbsurdLines(t *testing.T) {
	s := newSite(t)
	id := s.post(attempt{n: 1, requestID: "req_1", facts: graced})
	for name, spoil := range map[string]func(*audit.Line){
		"of the year 5": func(l *audit.Line) { l.Started = time.Date(5, 1, 1, 0, 0, 0, 0, time.UTC) },
		"of tomorrow":   func(l *audit.Line) { l.Started = noon.AddDate(0, 0, 2) },
		"of all tokens": func(l *audit.Line) { l.Output = 1 << 40 },
		"of all input":  func(l *audit.Line) { l.Input = map[token.Kind]int64{token.Input: 1 << 40} },
	} {
		second := line("req_2", 1, 1, noon)
		spoil(&second)
		_, err := audit.Reconcile(t.Context(), s.books, pricing.Embedded(), whole(line("req_1", 2000, 1012, noon), second))
		if !errors.Is(err, audit.ErrInvalid) || s.row(id).Current.Number != 0 || len(s.byDay()) != 0 {
			t.Errorf("%s: %v, and posted %+v, %v", name, err, s.row(id).Current.Bill, s.byDay())
		}
	}
}

// A bill of somebody else's project has more findings than anybody reads: the first are
// named, the sums have all.
func TestManyFindings(t *testing.T) {
	s := newSite(t)
	var lines []audit.Line
	for range 10_007 {
		lines = append(lines, line("", 0, 1, noon))
	}
	got := s.reconcile(audit.Bill{Provider: "openai", Lines: lines})
	if len(got.Findings) != 10_000 || got.LeftOut != 7 || got.Unexplained != 10_007 || got.UnexplainedUSD.String() != "0.30021" {
		t.Errorf("%d findings, %d left out, %d tokens, $%s", len(got.Findings), got.LeftOut, got.Unexplained, got.UnexplainedUSD)
	}
}
