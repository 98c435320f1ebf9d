package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// before is the newest revision of an attempt that is not from a bill: what the
// gateway knew by itself.
func before(row ledger.Row) ledger.Revision {
	rev := row.Current
	for i := len(row.Earlier) - 1; i >= 0 && (rev.Reason == ledger.Reconciled || rev.Reason == ledger.PriceVariance); i-- {
		rev = row.Earlier[i]
	}
	return rev
}

// estimated says if the provider has not itself reported all of an attempt.
func estimated(row ledger.Row) bool {
	b := before(row).Bill
	return b.InputBasis.Estimated() || b.OutputBasis.Estimated()
}

func tokensOf(b ledger.Bill) Tokens {
	t := Tokens{Output: b.Output.Tokens}
	for _, l := range b.Input {
		if !l.Kind.IsTool() {
			t.Input += l.Tokens
		}
	}
	return t
}

func decode(rev ledger.Revision) (e settle.Evidence, err error) {
	if err := json.Unmarshal(rev.Evidence, &e); err != nil {
		return e, fmt.Errorf("evidence: %w", err)
	}
	return e, nil
}

// checkBounds holds a bill against the estimate that there was. One that bills
// nothing says nothing of what was generated.
func (r *reconciling) checkBounds(row ledger.Row, billed Tokens) error {
	if billed == (Tokens{}) {
		return nil
	}
	first := before(row)
	e, err := decode(first)
	if err != nil {
		return fmt.Errorf("attempt %s: %w", row.ID(), err)
	}
	if within(billed.Input, e.Input) && within(billed.Output, e.Output) {
		return nil
	}
	f := r.finding(OutOfBounds, row, billed)
	f.Booked, f.InputBounds, f.OutputBounds = tokensOf(first.Bill), &e.Input, &e.Output
	r.tell(&r.result.OutOfBounds, f)
	return nil
}

func within(n int64, r token.Range) bool { return r.Low <= n && n <= r.High }

// tries is how often a revision is begun again because the attempt has been
// settled, or revised by someone else, in the meantime.
const tries = 5

// revise makes an attempt what its line says, unless it is that already.
func (r *reconciling) revise(row ledger.Row, l *Line) error {
	for range tries {
		same, err := isAs(row, l)
		if err != nil || same {
			return err
		}
		posting, err := revision(row, l)
		if err != nil {
			return fmt.Errorf("attempt %s: %w", row.ID(), err)
		}
		posted, err := r.books.Post(posting)
		if err == nil {
			if posted {
				r.result.Revisions++
			}
			return nil
		}
		was := row.Current
		if row, _ = r.books.Get(row.Stream, row.Number); row.Current.Number == was.Number && (row.Current.Outcomes == nil) == (was.Outcomes == nil) {
			return fmt.Errorf("attempt %s: %w", row.ID(), err) // nothing has come in between
		}
	}
	return fmt.Errorf("attempt %s: it is revised all the time", row.ID())
}

// isAs says if an attempt has been revised to what its line says.
func isAs(row ledger.Row, l *Line) (bool, error) {
	reconciled := row.Current.Reason == ledger.Reconciled || row.Current.Bill.OutputBasis == token.Reconciled // and repriced since
	if !reconciled || tokensOf(row.Current.Bill) != l.tokens() {
		return false, nil
	}
	e, err := decode(row.Current)
	if err != nil {
		return false, fmt.Errorf("attempt %s: %w", row.ID(), err)
	}
	want := corrected(e, l)
	if want.History.Hidden != e.History.Hidden || len(want.History.Input) != len(nonzero(e.History.Input)) {
		return false, nil
	}
	for kind, n := range want.History.Input {
		if e.History.Input[kind] != n {
			return false, nil
		}
	}
	return true, nil
}

// corrected is the evidence with the figures of the bill.
//
// What was received moves with what is known now of the hidden part, which is a
// part of it; what was seen stays what it is.
func corrected(e settle.Evidence, l *Line) settle.Evidence {
	f := &e.History.Facts
	hidden := min(l.Hidden.Or(f.Hidden), l.Output)
	if f.Received != nil && f.Terminal == books.NoTerminal {
		received := min(max(*f.Received+hidden-f.Hidden, 0), l.Output)
		f.Received = &received
	}
	f.Input, f.Output, f.Hidden = nonzero(l.Input), l.Output, hidden
	e.Input, e.Output = token.Exactly(inputTotal(l.Input)), token.Exactly(l.Output)
	e.Bases = settle.Bases{Input: token.Reconciled, Output: token.Reconciled}
	return e
}

// revision is the posting that makes an attempt what its line says. Outcomes come
// along if there are some; else they follow from the settling, later.
func revision(row ledger.Row, l *Line) (ledger.Posting, error) {
	e, err := decode(row.Current)
	if err != nil {
		return ledger.Posting{}, err
	}
	e = corrected(e, l)
	settled := row.Current.Outcomes != nil
	b, err := books.Keep(e.History)
	if err == nil && settled && !b.Settled {
		return ledger.Posting{}, errors.New("its evidence doesn't settle it, but it is settled")
	}
	if err != nil {
		return ledger.Posting{}, err
	}
	p, err := e.Posting(b)
	if err != nil {
		return p, err
	}
	if !settled {
		p.Outcomes = nil
	}
	p.Attempt = ledger.Attempt{Stream: row.Stream, Number: row.Number}
	p.Revision, p.Reason = row.Current.Number+1, ledger.Reconciled
	p.Bill.PriceVersion, p.Bill.Unpriced = row.Current.Bill.PriceVersion, row.Current.Bill.Unpriced
	if p.Bill.ProviderCost = row.Current.Bill.ProviderCost; l.USD != "" {
		p.Bill.ProviderCost = l.USD
	}
	return p, nil
}

// amountOf is all that a bill comes to.
func amountOf(b ledger.Bill) pricing.Sum {
	sum := pricing.Sum{}.Add(b.Output.Amount)
	for _, l := range b.Input {
		sum = sum.Add(l.Amount)
	}
	return sum
}

// difference is what a line has more than an attempt, in money, at the rates
// that the attempt was posted with.
func difference(row ledger.Row, l *Line) (pricing.Sum, error) {
	e, err := decode(row.Current)
	if err != nil {
		return pricing.Sum{}, fmt.Errorf("attempt %s: %w", row.ID(), err)
	}
	billed, err := cost(e.History.Rates, l)
	if err != nil {
		return pricing.Sum{}, fmt.Errorf("attempt %s: %w", row.ID(), err)
	}
	return billed.Minus(amountOf(row.Current.Bill)), nil
}

// priced is what a line without an attempt costs: as it says itself, else by the
// price book.
func (r *reconciling) priced(l *Line) (pricing.Sum, error) {
	if l.USD != "" {
		amount, err := pricing.ParseDollars(l.USD)
		return pricing.Sum{}.Add(amount), err
	}
	at := l.Started
	for _, other := range []time.Time{r.bill.From, time.Now()} { // what has no time was billed at one of the bill's
		if at.IsZero() {
			at = other
		}
	}
	rates, _ := r.prices.Rates(pricing.Query{Provider: r.bill.Provider, Model: l.Model, At: at, InputTokens: inputTotal(l.Input)})
	return cost(rates, l) // 0 without rates: its tokens are named all the same
}

// cost is what a line costs at some rates. What has no rate costs nothing.
func cost(rates pricing.Rates, l *Line) (sum pricing.Sum, err error) {
	add := func(kind token.Kind, n int64) {
		rate, ok := rates.Of(kind)
		if !ok || err != nil {
			return
		}
		var amount pricing.Picodollars
		amount, err = rate.Times(n)
		sum = sum.Add(amount)
	}
	for kind, n := range l.Input {
		add(kind, n)
	}
	if add(token.Output, l.Output); err != nil {
		err = fmt.Errorf("%w: request %s (%s): %w", ErrInvalid, orNone(l.RequestID), l.Model, err)
	}
	return sum, err
}
