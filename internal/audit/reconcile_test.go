package audit_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestReportedAttemptsEqualTheBill(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, requestID: "req_1"})
	s.post(attempt{n: 2, requestID: "req_2"})
	got := s.reconcile(whole(line("req_1", 2000, 1500, noon), line("req_2", 2000, 1500, noon)))
	s.expect(got, audit.Reconciliation{Reported: 2})
	s.balanced(audit.Tokens{Input: 4000, Output: 3000})
	s.standsUnexplained("0") // that it was compared is in the books
	n := 0
	if err := s.books.Unexplained(t.Context(), func(u ledger.Unexplained) error {
		if n++; !u.Agrees() || u.Day != noon.Format(time.DateOnly) || u.Model != "gpt-5.5" {
			t.Errorf("%+v", u)
		}
		return nil
	}); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// A token off is named, and the books stay what the provider reported.
func TestOffByOne(t *testing.T) {
	s := newSite(t)
	id := s.post(attempt{n: 1, requestID: "req_1"})
	bill := whole(line("req_1", 2000, 1501, noon))
	for range 2 {
		got := s.reconcile(bill)
		s.expect(got, audit.Reconciliation{Reported: 1, Difference: 1, Unexplained: 1}, audit.Differs)
		for _, part := range []string{id.String() + "/1", "req_1", "output +1 tokens"} {
			if !strings.Contains(got.Findings[0].Text, part) {
				t.Errorf("no %q in %q", part, got.Findings[0].Text)
			}
		}
		if got.UnexplainedUSD.String() != "0.00003" {
			t.Errorf("unexplained: $%s", got.UnexplainedUSD)
		}
	}
	if row := s.row(id); len(row.Earlier) != 0 || row.Current.Bill.Output.Tokens != 1500 {
		t.Errorf("it was overwritten: %+v", row)
	}
	s.standsUnexplained("0.00003")
	s.reconcile(whole(line("req_1", 2000, 1500, noon)))
	s.standsUnexplained("0")
}

func (s *site) standsUnexplained(want string) {
	s.Helper()
	u := s.books.Totals().Unexplained
	if len(u) != 1 || u[0].Amount.String() != want {
		s.Errorf("unexplained %+v, want $%s", u, want)
	}
	sum, err := audit.Sum(s.Context(), s.books)
	accounts := pricing.Sum{}
	for _, a := range sum.Accounts {
		accounts = accounts.Plus(a.USD)
	}
	if err != nil || sum.Unexplained.String() != want || sum.Billed.USD != accounts || sum.Imbalance != 0 {
		s.Errorf("billed $%s and unexplained $%s, the accounts come to $%s, out of balance by %d; %v", sum.Billed.USD, sum.Unexplained, accounts, sum.Imbalance, err)
	}
}

// An estimate becomes what was billed, with its outcomes: example 4 of the design.
func TestEstimateBecomesTheBill(t *testing.T) {
	s := newSite(t)
	id := s.post(attempt{n: 1, requestID: "req_1", facts: graced})
	s.balanced(audit.Tokens{Input: 1900, Output: 1000})
	bill := whole(line("req_1", 2000, 1012, noon))
	s.expect(s.reconcile(bill), audit.Reconciliation{Estimated: 1, Difference: 112, Revisions: 1})
	row := s.row(id)
	if row.Current.Number != 1 || row.Current.Reason != ledger.Reconciled || row.Current.Bill.OutputBasis != token.Reconciled || row.Current.Bill.InputBasis != token.Reconciled {
		t.Errorf("revision %+v", row.Current)
	}
	sum := s.balanced(audit.Tokens{Input: 2000, Output: 1012})
	if sum.Outcomes.Wasted[ledger.Abandoned] != 600 || sum.Outcomes.Lost[ledger.Abandoned] != 400 || sum.Outcomes.Lost[ledger.Tail] != 12 {
		t.Errorf("outcomes %+v", sum.Outcomes)
	}
	if usd, net := sum.Billed.USD.String(), sum.Net.String(); usd != "0.04036" || net != "-0.012" || sum.Overhead[ledger.OverheadUnclaimed].Tokens != 400 {
		t.Errorf("paid $%s, net $%s, overhead %+v", usd, net, sum.Overhead)
	}
	if sum.Basis != token.Reconciled || sum.Evidence["reconciled"].OutputTokens != 1012 || sum.Evidence["reconciled"].Attempts != 1 {
		t.Errorf("basis %s, evidence %+v", sum.Basis, sum.Evidence["reconciled"])
	}
	// The same again changes nothing; another bill is a correction of the first.
	s.expect(s.reconcile(bill), audit.Reconciliation{Estimated: 1})
	s.expect(s.reconcile(whole(line("req_1", 2000, 1000, noon))), audit.Reconciliation{Estimated: 1, Difference: 12, Revisions: 1})
	if row := s.row(id); len(row.Earlier) != 2 {
		t.Errorf("%d revisions", len(row.Earlier)+1)
	}
	s.balanced(audit.Tokens{Input: 2000, Output: 1000})
}

// What is known of the hidden part moves what was received: it is a part of that.
func TestHiddenPartOfTheBill(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, requestID: "req_1", facts: func(e *settle.Evidence) {
		graced(e)
		received := int64(1100)
		e.History.Hidden, e.History.Output, e.History.Received = 100, 1100, &received
		e.Output = token.Range{Low: 980, Point: 1100, High: 4096}
	}})
	l := line("req_1", 2000, 1312, noon)
	l.Hidden = token.Known(300)
	s.expect(s.reconcile(whole(l)), audit.Reconciliation{Estimated: 1, Difference: 312, Revisions: 1})
	sum := s.balanced(audit.Tokens{Input: 2000, Output: 1312})
	// 300 hidden and 600 visible were written; 400 visible came to nobody.
	if sum.Outcomes.Wasted[ledger.Abandoned] != 900 || sum.Outcomes.Lost[ledger.Abandoned] != 400 || sum.Outcomes.Lost[ledger.Tail] != 12 {
		t.Errorf("outcomes %+v", sum.Outcomes)
	}
}

func TestEstimateOutOfBounds(t *testing.T) {
	for _, tt := range []struct {
		name          string
		input, output int64
	}{
		{"output too low", 2000, 979}, {"output too high", 2000, 4097}, {"input too high", 8001, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.post(attempt{n: 1, requestID: "req_1", facts: graced})
			bill := whole(line("req_1", tt.input, tt.output, noon))
			first := s.reconcile(bill)
			if first.Revisions != 1 || first.Unexplained != 0 || len(first.OutOfBounds) != 1 {
				t.Errorf("%+v", first)
			}
			again := s.reconcile(bill)
			s.expect(again, audit.Reconciliation{Estimated: 1}, audit.OutOfBounds)
			if text := again.OutOfBounds[0].Text; !strings.Contains(text, "estimated 980 to 4096") || !strings.Contains(text, "estimated 0 to 8000") {
				t.Errorf("%q", text)
			}
			s.balanced(audit.Tokens{Input: tt.input, Output: tt.output})
		})
	}
}

// What a complete bill doesn't have was not billed: an estimate is nothing then,
// and what the provider reported is not explained. A part of a bill says neither.
func TestMissingLines(t *testing.T) {
	s := newSite(t)
	free := s.post(attempt{n: 1, requestID: "req_1", facts: graced})
	s.post(attempt{n: 2, requestID: "req_2"})
	part := whole()
	part.Complete = false
	s.expect(s.reconcile(part), audit.Reconciliation{})
	for _, want := range []audit.Reconciliation{
		{Reported: 1, Estimated: 1, Difference: 2900 + 3500, Revisions: 1, Unexplained: 3500},
		{Reported: 1, Estimated: 1, Difference: 3500, Unexplained: 3500},
	} {
		s.expect(s.reconcile(whole()), want, audit.NotOnBill)
	}
	if b := s.row(free).Current.Bill; b.Output.Tokens != 0 || len(b.Input) != 0 {
		t.Errorf("it was free, and stands as %+v", b)
	}
	s.balanced(audit.Tokens{Input: 2000, Output: 1500})
	s.standsUnexplained("-0.055")
}

func TestExtraLines(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, requestID: "req_1"})
	priced := line("req_9", 10, 20, noon)
	priced.USD = "0.5"
	rejected := line("req_8", 0, 0, noon)
	got := s.reconcile(whole(line("req_1", 2000, 1500, noon), line("req_1", 2000, 1500, noon), priced, rejected))
	s.expect(got, audit.Reconciliation{Reported: 1, Difference: 3530, Unexplained: 3530}, audit.BilledTwice, audit.NotInBooks)
	if got.UnexplainedUSD.String() != "0.555" {
		t.Errorf("unexplained: $%s", got.UnexplainedUSD)
	}
}

// The bill of an attempt can be revised while it is still open what becomes of its
// tokens. The outcomes come later, and are those of the revised bill.
func TestPendingAttempt(t *testing.T) {
	s := newSite(t)
	id := s.post(attempt{n: 1, requestID: "req_1", facts: graced, pending: true})
	s.expect(s.reconcile(whole(line("req_1", 2000, 1012, noon))), audit.Reconciliation{Estimated: 1, Difference: 112, Revisions: 1})
	row := s.row(id)
	if row.Current.Outcomes != nil || row.Current.Bill.Output.Tokens != 1012 || row.Current.Number != 1 {
		t.Fatalf("%+v", row.Current)
	}
	if sum := s.balanced(audit.Tokens{Input: 2000, Output: 1012}); sum.Outcomes.Pending != 1012 || sum.Pending != 1 {
		t.Errorf("pending: %d tokens, %d attempts", sum.Outcomes.Pending, sum.Pending)
	}
	s.settle(row)
	if sum := s.balanced(audit.Tokens{Input: 2000, Output: 1012}); sum.Outcomes.Pending != 0 || sum.Outcomes.Lost[ledger.Tail] != 12 {
		t.Errorf("outcomes %+v", sum.Outcomes)
	}
}

// Attempts of which no request id is known are found by their time and model, the
// nearest first.
func TestWithoutRequestID(t *testing.T) {
	s := newSite(t)
	headless := func(e *settle.Evidence) {
		graced(e)
		none := int64(0)
		e.History.Input, e.History.Output, e.History.Received, e.History.Visible, e.History.Events = map[token.Kind]int64{}, 0, &none, nil, 0
		e.History.Steps = []books.Step{{At: noon, Do: books.Attach, Conn: 1}, {At: noon, Do: books.Kill}}
		e.Input, e.Output = token.Range{High: 8000}, token.Range{High: 4096}
		e.Bases.Output = token.Bounded
	}
	early := s.post(attempt{n: 1, at: noon, facts: headless})
	late := s.post(attempt{n: 2, at: noon.Add(3 * time.Second), facts: headless})
	got := s.reconcile(whole(
		line("req_late", 2000, 77, noon.Add(2900*time.Millisecond)), line("req_early", 1000, 66, noon.Add(time.Second)),
		line("req_far", 1, 1, noon.Add(time.Minute))))
	s.expect(got, audit.Reconciliation{Estimated: 2, Difference: 2077 + 1066 + 2, Revisions: 2, Unexplained: 2}, audit.NotInBooks)
	if e, l := s.row(early).Current.Bill.Output.Tokens, s.row(late).Current.Bill.Output.Tokens; e != 66 || l != 77 {
		t.Errorf("early %d, late %d", e, l)
	}
	sum := s.balanced(audit.Tokens{Input: 3000, Output: 143})
	if sum.Outcomes.Lost[ledger.Crash] != 143 {
		t.Errorf("outcomes %+v", sum.Outcomes)
	}
	other := line("", 1, 1, noon)
	other.Model = "gpt-5.5-mini"
	s.expect(s.reconcile(audit.Bill{Provider: "openai", Lines: []audit.Line{other}}),
		audit.Reconciliation{Difference: 2, Unexplained: 2}, audit.NotInBooks)
}

func TestBillsThatAreRefused(t *testing.T) {
	s := newSite(t)
	for name, spoil := range map[string]func(*audit.Bill){
		"no provider":     func(b *audit.Bill) { b.Provider = "" },
		"no time":         func(b *audit.Bill) { b.From, b.To = b.To, b.From },
		"output as input": func(b *audit.Bill) { b.Lines[0].Input = map[token.Kind]int64{token.Reasoning: 1} },
		"negative":        func(b *audit.Bill) { b.Lines[0].Output = -1 },
		"all hidden":      func(b *audit.Bill) { b.Lines[0].Hidden = token.Known(1501) },
		"no name":         func(b *audit.Bill) { b.Lines[0].RequestID, b.Lines[0].Started = "", time.Time{} },
		"no money":        func(b *audit.Bill) { b.Lines[0].USD = "a lot" },
		"too much money":  func(b *audit.Bill) { b.Lines[0].USD = "5000000" },
	} {
		b := whole(line("req_1", 2000, 1500, noon))
		spoil(&b)
		if _, err := audit.Reconcile(t.Context(), s.books, pricing.Embedded(), b); !errors.Is(err, audit.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audit.Reconcile(ctx, s.books, pricing.Embedded(), whole(line("req_1", 1, 1, noon))); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
}

// A line that bills nothing makes an estimate nothing, whatever its bounds were.
func TestFreeOfCharge(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, requestID: "req_1", facts: graced})
	bill := whole(line("req_1", 0, 0, noon))
	s.expect(s.reconcile(bill), audit.Reconciliation{Estimated: 1, Difference: 2900, Revisions: 1})
	s.expect(s.reconcile(bill), audit.Reconciliation{Estimated: 1})
	s.balanced(audit.Tokens{})
}

// The same bill several times at once is posted once.
func TestReconcileAtOnce(t *testing.T) {
	s := newSite(t)
	id := s.post(attempt{n: 1, requestID: "req_1", facts: graced, pending: true})
	var revisions atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, err := audit.Reconcile(t.Context(), s.books, pricing.Embedded(), whole(line("req_1", 2000, 1012, noon)))
			if err != nil || r.Unexplained != 0 {
				t.Errorf("%+v, %v", r, err)
			}
			revisions.Add(int64(r.Revisions))
		})
	}
	wg.Wait()
	if n := revisions.Load(); n != 1 || len(s.row(id).Earlier) != 1 {
		t.Errorf("%d revisions, %d in the books", n, len(s.row(id).Earlier))
	}
	s.balanced(audit.Tokens{Input: 2000, Output: 1012})
}
