package render_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/ledger/ledgertest"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// nasty is what a client may call itself.
const nasty = "<script>alert(1)</script>|`=\x1b[31m\n" + `","x`

// busy are books of two hours: the worked examples again and again, by three teams and
// one that is nasty, some of it estimated, some pending.
func busy(t *testing.T) *ledger.Ledger {
	t.Helper()
	l := ledgertest.Open(t, t.TempDir())
	examples := histories.Examples()
	for n := range 120 {
		at := noon.Add(time.Duration(n) * time.Minute)
		h := examples[n%len(examples)].History
		steps := append([]books.Step(nil), h.Steps...)
		for i := range steps {
			steps[i].At = at.Add(time.Duration(i) * time.Second)
		}
		if n%17 == 3 { // it is still being read
			steps = steps[:3]
		}
		h.Steps = steps
		e := settle.Evidence{History: h, Bases: settle.Bases{Input: token.Reported, Output: token.Reported}, Input: token.Exactly(2000), Output: token.Exactly(h.Output)}
		if n%5 == 1 {
			e.Bases.Output, e.Output = token.Counted, token.Range{Low: h.Output * 9 / 10, Point: h.Output, High: h.Output + 900}
		}
		b, err := books.Keep(e.History)
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.Posting(b)
		if err != nil {
			t.Fatal(err)
		}
		p.Attempt = ledger.Attempt{
			Stream: ledger.ID{1, 15: byte(n)}, Number: 1, Provider: []string{"openai", "groq"}[n%2], Model: []string{"gpt-5.5", "gpt-5-mini", "gpt-5.5-mini"}[n%3],
			At: at, Ended: at.Add(20 * time.Second), Tags: map[string]string{"team": []string{"search", "chat", "", nasty}[n%4]},
		}
		if _, err := l.Post(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.PostMiss(ledger.Miss{Stream: ledger.ID{9}, Orphan: ledger.ID{1, 15: 5}, Provider: "openai", Model: "gpt-5.5", Reason: "not-opted-in", At: noon.Add(time.Hour), Amount: 40_360_000_000}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.PostUnexplained(ledger.Unexplained{Provider: "openai", Model: "gpt-5.5", Tier: nasty, Day: "2026-11-23", Amount: -1,
		Parts: map[string]pricing.Picodollars{"bypassed": 2_000_000_000_000, "on_cancel": -2_000_000_000_001}}); err != nil {
		t.Fatal(err)
	}
	return l
}

func made(t *testing.T, l *ledger.Ledger, q report.Query) *report.Report {
	t.Helper()
	r, err := report.Make(t.Context(), report.Sources{Ledger: l, Prices: pricing.Embedded(), Uncovered: func() report.Uncovered {
		return report.Uncovered{Known: true, Since: noon, Calls: []report.Passed{{Provider: "openai", Endpoint: "/v1/models", Calls: 12}}, Running: 2}
	}}, q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reports are one of a window and one of an incident.
func reports(t *testing.T) map[string]*report.Report {
	t.Helper()
	l := busy(t)
	i, err := l.OpenIncident(ledger.Incident{Name: "deploy 4711 " + nasty, Labels: map[string]string{"version": nasty}, Start: noon.Add(30 * time.Minute), End: noon.Add(50 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*report.Report{
		"window":   made(t, l, report.Query{By: []report.Dimension{report.ByModel, report.Tag("team")}}),
		"incident": made(t, l, report.Query{Incident: &i}),
		"empty":    made(t, l, report.Query{Since: noon.Add(-2 * time.Hour), Until: noon.Add(-time.Hour)}),
	}
}
