package report_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// A report knows of which days a bill was compared, and what these bills have more.
func TestBills(t *testing.T) {
	s := newSite(t)
	clean := histories.Examples()[0].History // $0.0550
	s.post(one{n: 1, at: noon, history: clean})
	s.post(one{n: 2, at: noon.AddDate(0, 0, 1), history: clean})
	s.post(one{n: 3, at: noon.AddDate(0, 0, 1), history: clean, provider: "groq"})
	expect := func(state, share, unexplained string, without int) report.Bills {
		t.Helper()
		b := s.report(report.Query{}).Bills
		if b.State != state || b.Share != share || b.Unexplained.String() != unexplained || len(b.WithoutBill) != without || b.Latest.IsZero() != (state == report.StateNone) {
			t.Errorf("%+v, want %s, %s compared, %s unexplained, %d without", b, state, share, unexplained, without)
		}
		return b
	}
	compared := func(u ledger.Unexplained) {
		t.Helper()
		u.Model = "gpt-5.5"
		if _, err := s.ledger.PostUnexplained(u); err != nil {
			t.Fatal(err)
		}
	}
	compared(ledger.Unexplained{Provider: "openai", Day: "2026-11-22"}) // a day of none of them
	expect(report.StateNone, "0.0000", "0", 2)
	compared(ledger.Unexplained{Provider: "openai", Day: "2026-11-23"})
	expect(report.StatePartly, "0.3333", "0", 1)
	compared(ledger.Unexplained{Provider: "openai", Day: "2026-11-24"})
	compared(ledger.Unexplained{Provider: "groq", Day: "2026-11-24"})
	expect(report.StateReconciled, "1.0000", "0", 0)

	compared(ledger.Unexplained{Provider: "openai", Day: "2026-11-24", Parts: map[string]pricing.Picodollars{"price": 1, "bypassed": -1}})
	expect(report.StateUnexplained, "1.0000", "0", 0) // what evens out doesn't agree
	compared(ledger.Unexplained{Provider: "openai", Day: "2026-11-24", Amount: 5, Parts: map[string]pricing.Picodollars{"price": 6, "lag": -1}})
	compared(ledger.Unexplained{Provider: "groq", Day: "2026-11-24", Amount: 2}) // before parts were kept
	b := expect(report.StateUnexplained, "1.0000", "0.000000000007", 0)
	parts := map[string]string{}
	for _, p := range b.Parts {
		parts[p.Name] = p.USD.String()
	}
	if len(b.Days) != 2 || len(parts) != 3 || parts["price"] != "0.000000000006" || parts["lag"] != "-0.000000000001" || parts[""] != "0.000000000002" {
		t.Errorf("%+v", b)
	}
	if b := s.report(report.Query{Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)}).Bills; b.State != report.StateReconciled {
		t.Errorf("of the first day: %+v", b)
	}
	compared(ledger.Unexplained{Provider: "openai", Day: "2026-11-20", Amount: 3}) // before the first call
	expect(report.StateUnexplained, "1.0000", "0.00000000001", 0)
}

// Of an incident that is final the figures stay, and a bill that comes later is known.
func TestBillOfFinalIncident(t *testing.T) {
	s := newSite(t)
	midnight := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	s.post(one{n: 1, at: midnight.Add(-2 * time.Second), history: histories.Examples()[5].History}) // breaks on the day after
	i, err := s.ledger.OpenIncident(ledger.Incident{Name: "deploy", Start: midnight, End: midnight.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	provisional := s.report(report.Query{Incident: &i})
	if provisional.Total.Attempts != 1 || provisional.Bills.State != report.StateNone {
		t.Fatalf("%+v %+v", provisional.Total, provisional.Bills)
	}
	if i.Figures, err = provisional.Stored(ledger.MaxEvidence); err != nil {
		t.Fatal(err)
	}
	i.Final = midnight.AddDate(0, 0, 1)
	if _, err := s.ledger.PostUnexplained(ledger.Unexplained{Provider: "openai", Day: "2026-11-23"}); err != nil {
		t.Fatal(err)
	}
	final := s.report(report.Query{Incident: &i})
	if final.Bills.State != report.StateReconciled || final.Total.Cost != provisional.Total.Cost || final.Later != nil {
		t.Errorf("%+v, cost %+v", final.Bills, final.Total.Cost)
	}
}

// Reports that older versions stored called it reconciled when a bill had corrected an
// attempt: which days were compared nobody knew, and once their month is summarised nobody will.
func TestBillOfSummarisedIncident(t *testing.T) {
	s := newSite(t)
	at := time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC)
	s.post(one{n: 1, at: at, history: histories.Examples()[5].History})
	i, err := s.ledger.OpenIncident(ledger.Incident{Name: "deploy", Start: at, End: at.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	i.Figures, i.Final = json.RawMessage(`{"reconciliation": {"state": "reconciled", "reconciled": {"count": 1, "usd": "0.0403"}}}`), at.AddDate(0, 0, 1)
	for _, summarised := range []bool{false, true} {
		if summarised {
			if done, err := s.ledger.Summarise(t.Context(), at.AddDate(0, 1, 0)); err != nil || done.Attempts != 1 {
				t.Fatal(done, err)
			}
		}
		want := report.StateNone // as the books stand
		if summarised {
			want = report.StatePartly
		}
		if b := s.report(report.Query{Incident: &i}).Bills; b.State != want {
			t.Errorf("summarised %v: %+v, want %s", summarised, b, want)
		}
	}
}

// What a bill has corrected stays so when its price is learnt later.
func TestCorrectedAndRepriced(t *testing.T) {
	s := newSite(t)
	o := one{n: 1, at: noon, history: histories.Examples()[5].History}
	s.post(o)
	o.bases = settle.Bases{Input: token.Reconciled, Output: token.Reconciled}
	for n, reason := range []string{ledger.Reconciled, ledger.PriceVariance} {
		p, err := o.posting()
		if err != nil {
			t.Fatal(err)
		}
		p.Attempt, p.Revision, p.Reason = ledger.Attempt{Stream: streamOf(1), Number: 1}, n+1, reason
		if _, err := s.ledger.Post(p); err != nil {
			t.Fatal(err)
		}
		if b := s.report(report.Query{}).Bills; b.Reconciled.Count != 1 || b.Reconciled.USD.String() != "0.04036" || len(b.WithoutBill) != 0 {
			t.Errorf("%s: %+v", reason, b)
		}
	}
}
