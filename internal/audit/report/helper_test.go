package report_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/audit/report"
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

// site is a real ledger in a directory of its own.
type site struct {
	testing.TB
	dir    string
	ledger *ledger.Ledger
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	return &site{t, dir, ledgertest.Open(t, dir)}
}

// one is an attempt to post: the n-th, with what happened to it.
type one struct {
	n        int
	at       time.Time
	provider string // "": openai
	model    string // "": gpt-5.5
	tags     map[string]string
	history  books.History
	bases    settle.Bases
	output   token.Range // zero: exact
}

// shifted is a history that begins at another time.
func shifted(h books.History, at time.Time) books.History {
	steps := append([]books.Step(nil), h.Steps...)
	if len(steps) > 0 {
		first := steps[0].At
		for i := range steps {
			steps[i].At = at.Add(steps[i].At.Sub(first))
		}
	}
	h.Steps = steps
	return h
}

func streamOf(n int) ledger.ID {
	return ledger.ID{0: 1, 10: byte(n >> 24), 11: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

// posting is what the settling posts of it.
func (o *one) posting() (ledger.Posting, error) {
	o.history = shifted(o.history, o.at)
	e := settle.Evidence{History: o.history, Bases: o.bases, Output: o.output}
	if o.bases == (settle.Bases{}) {
		e.Bases = settle.Bases{Input: token.Reported, Output: token.Reported}
	}
	if e.Output == (token.Range{}) {
		e.Output = token.Exactly(o.history.Output)
	}
	total := int64(0)
	for kind, n := range o.history.Input {
		if !kind.IsTool() {
			total += n
		}
	}
	e.Input = token.Exactly(total)
	b, err := books.Keep(e.History)
	if err != nil {
		return ledger.Posting{}, err
	}
	p, err := e.Posting(b)
	if o.provider == "" {
		o.provider = "openai"
	}
	if o.model == "" {
		o.model = "gpt-5.5"
	}
	p.Attempt = ledger.Attempt{
		Stream: streamOf(o.n), Number: 1, Provider: o.provider, Model: o.model, Tags: o.tags, At: o.at, Ended: o.at.Add(20 * time.Second), Principal: ledger.ID{1},
	}
	return p, err
}

func (s *site) post(o one) {
	s.Helper()
	p, err := o.posting()
	if err == nil {
		_, err = s.ledger.Post(p)
	}
	if err != nil {
		s.Fatalf("attempt %d: %v", o.n, err)
	}
}

func (s *site) report(q report.Query) *report.Report {
	s.Helper()
	r, err := report.Make(s.Context(), report.Sources{Ledger: s.ledger, Prices: pricing.Embedded()}, q)
	if err != nil {
		s.Fatal(err)
	}
	return r
}
