package report_test

import (
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

// Times at which nobody will be there any more are times too: an incident that ends
// then selects what was broken since its start.
func TestFarTimes(t *testing.T) {
	s := newSite(t)
	s.post(one{n: 1, at: noon, history: histories.Examples()[5].History}) // nobody came back
	never := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	for what, q := range map[string]report.Query{
		"an incident that never ends":   {Incident: &ledger.Incident{Number: 1, Name: "x", Start: noon.Add(-time.Hour), End: never}},
		"one since 1970":                {Incident: &ledger.Incident{Number: 1, Name: "x", Start: time.UnixMilli(1), End: never}},
		"one since 1970 that goes on":   {Incident: &ledger.Incident{Number: 1, Name: "x", Start: time.UnixMilli(1)}},
		"a window of all times":         {Since: time.UnixMilli(1), Until: never},
		"a window from before the year": {Since: time.Date(-9, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		r := s.report(q)
		if r.Total.Attempts != 1 || r.Total.Cost.Point.String() != "0.04036" || len(r.Timeline.Buckets) > 4000 {
			t.Errorf("%s: %d attempts, cost %s, %d steps", what, r.Total.Attempts, r.Total.Cost.Point, len(r.Timeline.Buckets))
		}
	}
}
