package report

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/pricing"
)

// pending is the outcome and the cause of what has none yet.
const pending = "pending"

// attempt is one, with what a report needs of it. It is used for all, one after the
// other.
type attempt struct {
	row      *ledger.Row
	outcomes *ledger.Outcomes // nil: pending
	broken   []ledger.Break
	bounds   *ledger.Bounds

	cause  string // that its input has
	pieces []piece
	tokens int64 // of the input
	paid   pricing.Picodollars
	cost   pricing.Picodollars

	down, up, costDown, costUp pricing.Picodollars // how far off the point paid and cost can be
}

// piece is a part of an attempt's bill with one outcome and one cause.
type piece struct {
	outcome, cause string
	input          bool
	estimated      bool
	tokens         int64
	amount         pricing.Picodollars
}

// read takes a row.
func (a *attempt) read(row *ledger.Row) error {
	c := &row.Current
	*a = attempt{row: row, outcomes: c.Outcomes, broken: c.Broken, bounds: c.Bill.Bounds, pieces: a.pieces[:0]}
	if c.Evidence != nil && c.Broken == nil && c.Bill.Bounds == nil {
		if err := a.reconstruct(c); err != nil {
			return fmt.Errorf("attempt %s: %w", row.ID(), err)
		}
	}
	a.cut()
	a.reach()
	return nil
}

// reconstruct finds out what a program that stored neither breaks nor bounds left to
// be found in the evidence.
func (a *attempt) reconstruct(c *ledger.Revision) error {
	var e settle.Evidence
	if err := json.Unmarshal(c.Evidence, &e); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	b, err := books.Keep(e.History)
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	a.broken, a.bounds = settle.Broken(b), e.Bounds()
	return nil
}

// cut makes the pieces.
func (a *attempt) cut() {
	b, o := &a.row.Current.Bill, a.outcomes
	outcome := pending
	if a.cause = pending; o != nil {
		outcome, a.cause = o.Input, o.InputCause
	}
	estimated := b.OutputBasis.Estimated()
	if o == nil {
		a.add(piece{pending, pending, false, estimated, b.Output.Tokens, b.Output.Amount})
	} else {
		most := int64(-1)
		for _, c := range o.Output {
			a.add(piece{c.Outcome, c.Cause, false, estimated, c.Tokens, c.Amount})
			if o.InputCause == "" && c.Tokens > most {
				a.cause, most = c.Cause, c.Tokens
			}
		}
	}
	in := piece{outcome, a.cause, true, b.InputBasis.Estimated(), 0, 0}
	for _, l := range b.Input {
		if !l.Kind.IsTool() {
			in.tokens += l.Tokens
		}
		in.amount += l.Amount
	}
	a.tokens = in.tokens
	a.add(in)
}

func (a *attempt) add(p piece) {
	a.pieces = append(a.pieces, p)
	a.paid += p.amount
	if p.outcome == ledger.Wasted || p.outcome == ledger.Lost {
		a.cost += p.amount
	}
}

// reach finds how far off the estimates may be. What a bill has more than the
// estimate was never received, unless somebody got the answer to its end. While an
// attempt is pending, all of it may come to nothing.
func (a *attempt) reach() {
	b := &a.row.Current.Bill
	if a.outcomes == nil {
		a.costUp = a.paid
	}
	if a.bounds == nil {
		return
	}
	in := a.pieces[len(a.pieces)-1].amount
	out := b.Output.Amount
	below := func(p, least pricing.Picodollars) pricing.Picodollars { return max(p-least, 0) }
	inDown, inUp := below(in, a.bounds.Input.From), below(a.bounds.Input.To, in)
	outDown, outUp := below(out, a.bounds.Output.From), below(a.bounds.Output.To, out)
	a.down, a.up = inDown+outDown, inUp+outUp
	if a.outcomes == nil {
		a.costUp += a.up
		return
	}
	if a.outcomes.Input != ledger.Delivered {
		a.costDown, a.costUp = inDown, inUp
	}
	if !a.complete() {
		lost := a.cost
		if a.outcomes.Input != ledger.Delivered {
			lost -= in
		}
		a.costDown += min(outDown, lost)
		a.costUp += outUp
	}
}

// complete says if somebody got the answer to its end.
func (a *attempt) complete() bool {
	for _, p := range a.pieces {
		if p.cause == ledger.Live || p.cause == ledger.Resumed {
			return true
		}
	}
	return false
}

// brokenIn says if an incident selects the attempt, and when it was broken in it first.
func (a *attempt) brokenIn(i *ledger.Incident) (time.Time, bool) {
	for _, k := range a.broken {
		if i.Selects(a.row.Provider, k) {
			return k.At, true
		}
	}
	return time.Time{}, false
}
