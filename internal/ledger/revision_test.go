package ledger

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// revised is a later bill of example: ten tokens more, all of them tail.
func revised(n, revision int) Posting {
	p := example(n)
	p.Revision, p.Reason = revision, Reconciled
	p.Bill.Output.Tokens += int64(10 * revision)
	p.Bill.Output.Amount += pricing.Picodollars(300_000_000 * revision)
	p.Bill.OutputBasis = token.Reconciled
	p.Outcomes.Output[1].Tokens += int64(10 * revision)
	p.Outcomes.Output[1].Amount += pricing.Picodollars(300_000_000 * revision)
	p.Evidence = json.RawMessage(`{"report":1}`)
	return p
}

func TestRevisions(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	post(t, l, example(1))
	before := sorted(l.Totals())
	if _, err := l.Post(revised(1, 2)); !errors.Is(err, ErrRevision) {
		t.Errorf("one revision left out: %v", err)
	}
	if _, err := l.Post(revised(2, 1)); !errors.Is(err, ErrRevision) {
		t.Errorf("no first posting: %v", err)
	}
	bare := revised(1, 1)
	bare.Outcomes = nil
	if _, err := l.Post(bare); !errors.Is(err, ErrInvalid) {
		t.Errorf("a settled attempt would be pending again: %v", err)
	}
	bare = revised(1, 1)
	bare.Bill = nil
	if _, err := l.Post(bare); !errors.Is(err, ErrNoBill) {
		t.Errorf("no bill: %v", err)
	}
	post(t, l, revised(1, 1))
	post(t, l, revised(1, 2))
	for _, p := range []Posting{example(1), revised(1, 1), revised(1, 2)} { // all of them are known
		if posted, err := l.Post(p); posted || err != nil {
			t.Errorf("revision %d again: %v, %v", p.Revision, posted, err)
		}
	}
	shut(t, l)
	l = open(t, dir)

	row, err := l.Get(stream(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	if row.Current.Number != 2 || row.Current.Reason != Reconciled || len(row.Earlier) != 2 || row.Earlier[0].Reason != "" {
		t.Errorf("%+v", row)
	}
	same(t, "attempt", row.Attempt, example(1).Attempt)
	same(t, "first", row.Earlier[0].Bill, *example(1).Bill)
	same(t, "second", row.Earlier[1].Outcomes, revised(1, 1).Outcomes)
	same(t, "current", row.Current.Outcomes, revised(1, 2).Outcomes)
	same(t, "evidence", string(row.Current.Evidence), `{"report":1}`)

	after := sorted(l.Totals())
	same(t, "adjustments", after.Adjustments, []AdjustmentTotal{{"outcomes", Reconciled, "plus", 20, pricing.Sum{}.Add(600_000_000)}})
	after.Adjustments = nil
	same(t, "counters", after, before)
	if b := balanceOf(l, "output/lost/tail"); b.Tokens != 32 || b.Amount != (pricing.Sum{}).Add(960_000_000) {
		t.Errorf("%+v", b)
	}
	if b := balanceOf(l, "overhead/unclaimed"); b.Tokens != 400 {
		t.Errorf("%+v", b)
	}
	if r := verify(t, l); r.Entries != 8 || r.Revised != 1 || r.Attempts != 1 {
		t.Errorf("%+v", r)
	}
}

// balanceOf is an account's balance of output.
func balanceOf(l *Ledger, account string) (b Balance) {
	for _, one := range l.Balances() {
		if one.Account == account && one.Kind == token.Output {
			b = one
		}
	}
	return b
}

// The provider's bill shows the failed attempt as free: the sixth example.
func TestReversalToNothing(t *testing.T) {
	l := open(t, t.TempDir())
	post(t, l, resumed(1))
	p := resumed(1)
	p.Revision, p.Reason, p.Bill = 1, Reconciled, &Bill{OutputBasis: token.Reconciled, InputBasis: token.Reconciled}
	p.Outcomes = &Outcomes{Input: Delivered}
	post(t, l, p)
	for _, b := range l.Balances() {
		if b.Tokens != 0 || b.Amount.Sign() != 0 {
			t.Errorf("%+v", b)
		}
	}
	same(t, "adjustments", sorted(l.Totals()).Adjustments, []AdjustmentTotal{
		{"outcomes", Reconciled, "minus", 3500, pricing.Sum{}.Add(55_000_000_000)},
		{"saved", Reconciled, "minus", 2600, pricing.Sum{}.Add(19_360_000_000)},
		{"saved_upper", Reconciled, "minus", 2600, pricing.Sum{}.Add(28_000_000_000)},
	})
	verify(t, l)
}

// The usage comes before the attempt is settled: outcomes are counted once, as of
// the bill that stands then.
func TestRevisionWhilePending(t *testing.T) {
	l := open(t, t.TempDir())
	first, second := example(1), revised(1, 1)
	first.Outcomes, second.Outcomes, second.Reason = nil, nil, LateUsage
	post(t, l, first)
	post(t, l, second)
	if b := balanceOf(l, "pending"); b.Tokens != 1022 {
		t.Errorf("%+v", b)
	}
	late := example(1)
	late.Bill = nil
	if _, err := l.Post(late); !errors.Is(err, ErrRevision) {
		t.Errorf("outcomes of a bill that was reversed: %v", err)
	}
	third := revised(1, 1)
	third.Bill, third.Reason = nil, LateUsage
	post(t, l, third)
	totals := l.Totals()
	if len(totals.Adjustments) != 0 || len(totals.Output) != 3 {
		t.Errorf("%+v", totals)
	}
	if b := balanceOf(l, "pending"); b.Tokens != 0 {
		t.Errorf("%+v", b)
	}
	if r := verify(t, l); r.Pending != 0 || r.Revised != 1 {
		t.Errorf("%+v", r)
	}
}

func TestPriceVariance(t *testing.T) {
	l := open(t, t.TempDir())
	post(t, l, resumed(1))
	p := resumed(1)
	p.Revision, p.Reason = 1, PriceVariance
	p.Bill.Output.Amount, p.Bill.Output.Variance = 46_000_000_000, 1_000_000_000
	p.Outcomes.Output[1].Amount += 1_000_000_000
	post(t, l, p)
	if b := balanceOf(l, accountPriceVariance); b.Amount != (pricing.Sum{}).Add(-1_000_000_000) || b.Tokens != 0 {
		t.Errorf("%+v", b)
	}
	verify(t, l)
}
