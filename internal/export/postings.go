package export

import (
	"context"
	"fmt"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Entries: what a row is.
const (
	entryCharge   = "charge"
	entryReversal = "reversal" // of a charge of the same revision
)

const pending = "pending" // an outcome that is not known yet

// posting is what a row is made of.
type posting struct {
	row      *ledger.Row
	revision *ledger.Revision
	entry    string
	posted   time.Time
	reason   string // of the correction

	kind           token.Kind
	outcome, cause string
	basis          token.Basis
	tokens         int64
	amount         pricing.Picodollars
	variance       pricing.Picodollars
	list           pricing.Picodollars // at list price
	listed         bool                // there is one
	listRate       pricing.Rate        // of all tokens of the row; -1: none
	rate           pricing.Rate        // likewise, as paid
	rates          pricing.Rates
}

const noRate pricing.Rate = -1

func writePostings(ctx context.Context, books *ledger.Ledger, r Request, out writer) error {
	if err := out.header(names(postingColumns)); err != nil {
		return err
	}
	row := make([]cell, 0, len(postingColumns))
	var of charges
	return books.Between(ctx, r.Since, r.Until, func(attempt ledger.Row) error {
		return of.each(&attempt, func(p *posting) error {
			row = cells(postingColumns, p, row)
			return out.row(row)
		})
	})
}

// charges makes the rows of an attempt.
type charges struct{ rows []posting }

// each calls fn with the rows of an attempt: each revision's charges, and before the
// next one the same with their signs turned.
func (c *charges) each(attempt *ledger.Row, fn func(*posting) error) error {
	revisions := len(attempt.Earlier) + 1
	for n := range revisions {
		rev := &attempt.Current
		if n < len(attempt.Earlier) {
			rev = &attempt.Earlier[n]
		}
		if err := c.of(attempt, rev); err != nil {
			return fmt.Errorf("attempt %s: %w", attempt.ID(), err)
		}
		for i := range c.rows {
			if err := fn(&c.rows[i]); err != nil {
				return err
			}
		}
		if n == revisions-1 {
			break
		}
		next := &attempt.Current
		if n+1 < len(attempt.Earlier) {
			next = &attempt.Earlier[n+1]
		}
		for i := range c.rows {
			if err := fn(c.rows[i].reversed(next)); err != nil {
				return err
			}
		}
	}
	return nil
}

// reversed is the row that takes p back, by the revision that follows.
func (p posting) reversed(by *ledger.Revision) *posting {
	p.entry, p.posted, p.reason = entryReversal, by.Posted, by.Reason
	p.tokens, p.amount, p.variance, p.list = -p.tokens, -p.amount, -p.variance, -p.list
	return &p
}

// of makes the charges of a revision.
func (c *charges) of(attempt *ledger.Row, rev *ledger.Revision) error {
	c.rows = c.rows[:0]
	priced, err := settle.PricedBy(rev.Evidence)
	if err != nil {
		return err
	}
	list := listRates(attempt, rev, priced.Rates)
	base := posting{
		row: attempt, revision: rev, entry: entryCharge, posted: rev.Posted, reason: rev.Reason, rates: priced.Rates,
		rate: noRate, listRate: noRate,
	}
	for _, l := range rev.Bill.Input {
		p := base
		p.kind, p.tokens, p.amount, p.variance, p.basis = l.Kind, l.Tokens, l.Amount, l.Variance, rev.Bill.InputBasis
		p.outcome = pending
		if o := rev.Outcomes; o != nil {
			p.outcome, p.cause = o.Input, o.InputCause
		}
		if rate, ok := priced.Rates.Of(l.Kind); ok {
			p.rate = rate
		}
		if rate, ok := list.Of(l.Kind); ok {
			if p.list, err = rate.Times(l.Tokens); err != nil {
				return err
			}
			p.listRate, p.listed = rate, true
		}
		c.rows = append(c.rows, p)
	}
	return c.output(base, rev, priced, list)
}

// output makes the rows of the output: one for each outcome. Shares of the variance
// and of the list cost are cut as those of the bill are, so they make and lose nothing.
func (c *charges) output(base posting, rev *ledger.Revision, priced settle.Priced, list pricing.Rates) error {
	bill := rev.Bill.Output
	base.kind, base.basis = token.Output, rev.Bill.OutputBasis
	base.rate = outputRate(priced, priced.Rates)
	base.listRate = outputRate(priced, list)
	listCost, listed, err := outputCost(bill.Tokens, priced, list)
	if err != nil {
		return err
	}
	base.listed = listed
	if rev.Outcomes == nil {
		if bill.Tokens == 0 && bill.Amount == 0 {
			return nil
		}
		base.outcome, base.tokens, base.amount, base.variance, base.list = pending, bill.Tokens, bill.Amount, bill.Variance, listCost
		c.rows = append(c.rows, base)
		return nil
	}
	from := int64(0)
	for _, o := range rev.Outcomes.Output {
		p := base
		p.outcome, p.cause, p.tokens, p.amount = o.Outcome, o.Cause, o.Tokens, o.Amount
		p.variance = pricing.Stretch(bill.Variance, from, from+o.Tokens, bill.Tokens)
		p.list = pricing.Stretch(listCost, from, from+o.Tokens, bill.Tokens)
		from += o.Tokens
		c.rows = append(c.rows, p)
	}
	return nil
}

// listRates are the list price of an attempt: what it was posted by, unless that was
// negotiated; then what the program's own book says of the same time.
func listRates(attempt *ledger.Row, rev *ledger.Revision, posted pricing.Rates) pricing.Rates {
	if posted.Status != pricing.Negotiated {
		return posted
	}
	q := settle.QueryOf(*attempt, posted, rev.Bill)
	rates, _ := pricing.Embedded().Rates(q)
	return rates
}

// outputRate is the rate of all of the output, if it has one.
func outputRate(f settle.Priced, rates pricing.Rates) pricing.Rate {
	rate, ok := rates.Of(token.Output)
	for kind, n := range map[token.Kind]int64{token.Reasoning: f.Hidden, token.AudioOut: f.AudioOut} {
		other, known := rates.Of(kind)
		ok = ok && (n == 0 || known && other == rate)
	}
	if !ok {
		return noRate
	}
	return rate
}

// outputCost is what the output costs at some rates.
func outputCost(tokens int64, f settle.Priced, rates pricing.Rates) (sum pricing.Picodollars, ok bool, err error) {
	hidden := min(f.Hidden, tokens)
	audio := min(f.AudioOut, tokens-hidden)
	for _, part := range []struct {
		kind token.Kind
		n    int64
	}{{token.Reasoning, hidden}, {token.AudioOut, audio}, {token.Output, tokens - hidden - audio}} {
		if part.n == 0 {
			continue
		}
		rate, known := rates.Of(part.kind)
		if !known {
			return 0, false, nil
		}
		amount, err := rate.Times(part.n)
		if err == nil {
			sum, err = sum.Plus(amount)
		}
		if err != nil {
			return 0, false, err
		}
	}
	return sum, rates.Known(), nil
}
