package report_test

import (
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

// All there is has the call, too, that asked again and isn't in the books: it still runs, or
// was refused. And windows share out what was missed as they do attempts.
func TestMissedInWindows(t *testing.T) {
	s := newSite(t)
	s.post(one{n: 1, at: noon, history: histories.Examples()[5].History})
	again := noon.Add(time.Minute)
	if _, err := s.ledger.PostMiss(ledger.Miss{
		Stream: streamOf(2), Orphan: streamOf(1), Provider: "openai", Model: "gpt-5.5", Reason: "not-opted-in", At: again, Amount: 7,
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    report.Query
		want int64
	}{
		{report.Query{}, 1},
		{report.Query{Since: noon}, 1}, {report.Query{Until: again}, 0}, {report.Query{Since: again}, 1},
		{report.Query{Since: again.Add(time.Millisecond)}, 0}, {report.Query{Until: again.Add(time.Millisecond)}, 1},
	} {
		if r := s.report(c.q); r.Auto.Calls != c.want {
			t.Errorf("from %v to %v: %d missed", c.q.Since, c.q.Until, r.Auto.Calls)
		}
	}
}

// A window before there was anything isn't reversed.
func TestWindowBeforeTheBooks(t *testing.T) {
	s := newSite(t)
	s.post(one{n: 1, at: noon, history: histories.Examples()[5].History})
	if r := s.report(report.Query{Until: noon.AddDate(-1, 0, 0)}); r.Total.Attempts != 0 || r.Window.Until.Before(r.Window.Since) {
		t.Errorf("%+v: %+v", r.Window, r.Total)
	}
}
