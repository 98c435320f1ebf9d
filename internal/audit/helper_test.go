package audit_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/books"
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

const model = "gpt-5.5"

// site is a real ledger in a directory of its own.
type site struct {
	*testing.T
	books *ledger.Ledger
}

func newSite(t *testing.T) *site {
	t.Helper()
	l := ledgertest.Open(t, t.TempDir())
	return &site{t, l}
}

// attempt is one as the tests post it: 2,000 input tokens and an answer that came
// whole, in reply to request req_n.
type attempt struct {
	n         byte
	requestID string // "": none is known
	at        time.Time
	pending   bool // still readable: no outcomes
	facts     func(*settle.Evidence)
}

// post posts an attempt as the settling does.
func (s *site) post(a attempt) ledger.ID {
	s.Helper()
	if a.at.IsZero() {
		a.at = noon.Add(time.Duration(a.n) * time.Minute)
	}
	e := completed(a.at)
	if a.facts != nil {
		a.facts(&e)
	}
	if a.pending {
		e.History.Steps = e.History.Steps[:len(e.History.Steps)-1]
	}
	b, err := books.Keep(e.History)
	if err != nil || b.Settled == a.pending {
		s.Fatalf("attempt %d: settled %v, %v", a.n, b.Settled, err)
	}
	p, err := e.Posting(b)
	if err != nil {
		s.Fatal(err)
	}
	id := ledger.ID{15: a.n}
	p.Attempt = ledger.Attempt{
		Stream: id, Number: 1, Provider: "openai", Model: model, AskedModel: "gpt-5.5-2026-04-23", RequestID: a.requestID, At: a.at, Ended: a.at.Add(time.Second),
	}
	if posted, err := s.books.Post(p); err != nil || !posted {
		s.Fatalf("attempt %d: %v, %v", a.n, posted, err)
	}
	return id
}

// completed is the evidence of an answer of 1,500 tokens of which the provider
// reported the usage.
func completed(at time.Time) settle.Evidence {
	rates, _ := pricing.Embedded().Rates(pricing.Query{Provider: "openai", Model: model, At: at, KnownAt: at})
	return settle.Evidence{
		History: books.History{
			Facts: books.Facts{
				Input: map[token.Kind]int64{token.Input: 2000}, Rates: rates, Caching: rates.Caching(),
				Output: 1500, Events: 3, Visible: []int64{0, 1500, 1500}, Terminal: 2, Streamed: true, OnCancel: books.BillingStops, Reclaimable: true,
			},
			Steps: []books.Step{
				{At: at, Do: books.Attach, Conn: 1},
				{At: at, Do: books.Recv, N: 3},
				{At: at, Do: books.Write, Conn: 1, To: 3},
			},
		},
		Input: token.Exactly(2000), Output: token.Exactly(1500),
		Bases: settle.Bases{Input: token.Reported, Output: token.Reported},
	}
}

// graced makes of it the example 4 of the design: 600 written, 1,000 received,
// nobody came back. What the provider bills is estimated.
func graced(e *settle.Evidence) {
	f := &e.History.Facts
	received := int64(1000)
	f.Output, f.Received, f.Visible, f.Terminal = 1000, &received, []int64{0, 600, 1000}, books.NoTerminal
	f.Input = map[token.Kind]int64{token.Input: 1900}
	at := e.History.Steps[0].At
	e.History.Steps = []books.Step{
		{At: at, Do: books.Attach, Conn: 1},
		{At: at, Do: books.Recv, N: 2},
		{At: at, Do: books.Write, Conn: 1, To: 2},
		{At: at, Do: books.Detach, Conn: 1, Cause: books.Client},
		{At: at, Do: books.Recv, N: 1},
		{At: at, Do: books.Grace},
		{At: at, Do: books.Retention},
	}
	e.Input, e.Output = token.Range{Point: 1900, High: 8000}, token.Range{Low: 980, Point: 1000, High: 4096}
	e.Bases = settle.Bases{Input: token.Bounded, Output: token.Counted}
}

// line is what the provider bills for the attempts above.
func line(requestID string, input, output int64, at time.Time) audit.Line {
	return audit.Line{
		RequestID: requestID, Model: "gpt-5.5-2026-04-23", Input: map[token.Kind]int64{token.Input: input}, Output: output,
		Hidden: token.Known(0), Started: at, Ended: at.Add(time.Second),
	}
}

// whole is a complete bill of the day.
func whole(lines ...audit.Line) audit.Bill {
	return audit.Bill{Provider: "openai", Complete: true, From: noon.Add(-12 * time.Hour), To: noon.Add(12 * time.Hour), Lines: lines}
}

func (s *site) reconcile(b audit.Bill) audit.Reconciliation {
	s.Helper()
	r, err := audit.Reconcile(s.Context(), s.books, pricing.Embedded(), b)
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *site) row(id ledger.ID) ledger.Row {
	s.Helper()
	row, err := s.books.Get(id, 1)
	if err != nil {
		s.Fatal(err)
	}
	return row
}

// expect compares the counts of a reconciliation, and what its findings are.
func (s *site) expect(got audit.Reconciliation, want audit.Reconciliation, findings ...string) {
	s.Helper()
	var whats []string
	for _, f := range append(got.Findings, got.OutOfBounds...) {
		whats = append(whats, f.What)
	}
	if len(whats) != len(findings) {
		s.Errorf("findings %v, want %v: %+v", whats, findings, got)
	}
	for i := range min(len(whats), len(findings)) {
		if whats[i] != findings[i] {
			s.Errorf("findings %v, want %v: %+v", whats, findings, got)
		}
	}
	if got.Reported != want.Reported || got.Estimated != want.Estimated || got.Difference != want.Difference ||
		got.Revisions != want.Revisions || got.Unexplained != want.Unexplained {
		s.Errorf("got %+v, want %+v", got, want)
	}
}

// balanced checks that the books balance, and what the bill comes to.
func (s *site) balanced(want audit.Tokens) *audit.Summary {
	s.Helper()
	sum, err := audit.Sum(s.Context(), s.books)
	if err != nil {
		s.Fatal(err)
	}
	tokens := sum.Outcomes.Pending
	for _, causes := range []map[string]int64{sum.Outcomes.Delivered, sum.Outcomes.Wasted, sum.Outcomes.Lost} {
		for _, n := range causes {
			tokens += n
		}
	}
	if sum.Imbalance != 0 || tokens != sum.Billed.OutputTokens {
		s.Errorf("imbalance %d; %d tokens have an outcome or are pending, of %d", sum.Imbalance, tokens, sum.Billed.OutputTokens)
	}
	if got := (audit.Tokens{Input: sum.Billed.InputTokens, Output: sum.Billed.OutputTokens}); got != want {
		s.Errorf("billed %+v, want %+v", got, want)
	}
	return sum
}
