package books

import (
	"fmt"
	"maps"
	"slices"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Outcomes.
const (
	Delivered = "delivered"
	Wasted    = "wasted" // paid, answer unusable
	Lost      = "lost"   // paid, never received
)

// Causes of outcomes. Cancelled is one of all three.
const (
	Live       = "live"    // delivered to the first connection
	Resumed    = "resumed" // delivered to a later one only
	Cancelled  = "cancelled"
	Damaged    = "damaged"
	Upstream   = "upstream"
	Crash      = "crash" // also a kind of overhead
	Superseded = "superseded"
	Abandoned  = "abandoned"
	Tail       = "tail" // lost only: billed beyond the last event received
)

// Books are what became of an attempt's bill. Until they are Settled there are no
// outcomes, savings and overhead: all that is known of the output is Pending.
type Books struct {
	Settled bool

	Outcomes     []Outcome // of the output; none twice, none without tokens
	Input        []Line    // by kind, in order of their names; none without a quantity
	InputOutcome string    // Delivered, Wasted or Lost; "" until settled

	InputAmount, OutputAmount, Bill pricing.Picodollars
	// Unpriced: there is no rate for something that was billed. Its amount is 0; all
	// are if there are no rates at all. Tokens are complete.
	Unpriced bool

	Saved    Saving     // the claim
	Upper    Saving     // the most it could be
	Overhead []Overhead // none or one
	Net      pricing.Picodollars

	Received int64 // R
	Pending  int64
	// Uncertain tokens are those of which a kill left open whether they were written,
	// and which no later owner got.
	Uncertain int64

	Breaks  map[string]int64 // by cause; nil if none. A take-over that ended while the older was connected is none
	Resumes int64            // owners that went on where a break was, or before
	Broken  []Broken         // those breaks, and what else broke the answer off, by time; nil if nothing did
}

// Outcome is what became of some output tokens, and why.
type Outcome struct {
	Outcome, Cause string
	Tokens         int64
	Amount         pricing.Picodollars
}

// Line is a kind of the input.
type Line struct {
	Kind   token.Kind
	Tokens int64 // uses, for a tool
	Amount pricing.Picodollars
}

// Keep goes through a history and returns the attempt's books. If nothing in it ends
// them they are not Settled, and not to be posted yet. The error is ErrInvalid or
// pricing.ErrOverflow.
func Keep(h History) (Books, error) {
	a, err := Open(h)
	if err != nil {
		return Books{}, err
	}
	for a.Next() {
	}
	return a.Books()
}

// Books are the books as they are after the steps taken so far. The error is
// pricing.ErrOverflow.
func (a *Account) Books() (Books, error) {
	b := Books{Settled: a.settled, Received: a.pos.received, Pending: a.Pending()}
	if err := b.price(&a.history.Facts); err != nil {
		return Books{}, fmt.Errorf("books: %w", err)
	}
	b.count(a.breaks)
	b.Broken = a.broken()
	if !a.settled {
		return b, nil
	}
	b.Outcomes = a.outcomes(b.OutputAmount)
	b.InputOutcome = a.inputOutcome(b.Outcomes)
	b.Uncertain = a.uncertain()
	if err := a.save(&b); err != nil {
		return Books{}, fmt.Errorf("books: %w", err)
	}
	if err := a.burden(&b); err != nil {
		return Books{}, fmt.Errorf("books: %w", err)
	}
	return b, nil
}

// price works out the bill.
func (b *Books) price(f *Facts) (err error) {
	known := f.Rates.Known()
	amount := func(kind token.Kind, n int64, sum *pricing.Picodollars) (pricing.Picodollars, error) {
		rate, ok := f.Rates.Of(kind)
		if n != 0 && (!ok || !known) {
			b.Unpriced = true
		}
		if !ok || !known {
			return 0, nil
		}
		p, err := rate.Times(n)
		if err == nil {
			*sum, err = sum.Plus(p)
		}
		return p, err
	}
	for _, kind := range slices.Sorted(maps.Keys(f.Input)) {
		if n := f.Input[kind]; n != 0 {
			p, err := amount(kind, n, &b.InputAmount)
			if err != nil {
				return err
			}
			b.Input = append(b.Input, Line{kind, n, p})
		}
	}
	hidden := min(f.Hidden, f.Output)
	audio := min(f.AudioOut, f.Output-hidden)
	if _, err = amount(token.Reasoning, hidden, &b.OutputAmount); err != nil {
		return err
	}
	if _, err = amount(token.AudioOut, audio, &b.OutputAmount); err != nil {
		return err
	}
	if _, err = amount(token.Output, f.Output-hidden-audio, &b.OutputAmount); err != nil {
		return err
	}
	b.Bill, err = b.InputAmount.Plus(b.OutputAmount)
	return err
}

func (b *Books) count(breaks []*broken) {
	for _, k := range breaks {
		if b.Breaks == nil {
			b.Breaks = make(map[string]int64)
		}
		b.Breaks[k.cause]++
		if k.next != nil && k.next.start <= k.pos {
			b.Resumes++
		}
	}
}

// outcomes gives each token its outcome. Those that decide the input's come first.
func (a *Account) outcomes(bill pricing.Picodollars) (rows []Outcome) {
	book := func(outcome, cause string, tokens spans) {
		if n := tokens.total(); n > 0 {
			rows = append(rows, Outcome{outcome, cause, n, a.cost(bill, tokens)})
		}
	}
	live, resumed := a.split()
	lost := spans{{0, a.history.Output}}.minus(live).minus(resumed)
	tail := lost.and(spans{{a.tailFrom(), a.history.Output}})
	switch {
	case a.delivered:
		book(Delivered, Live, live)
		book(Delivered, Resumed, resumed)
	case a.cause == Cancelled:
		book(Delivered, Cancelled, live.or(resumed))
	default:
		book(Wasted, a.cause, live.or(resumed))
	}
	book(Lost, a.cause, lost.minus(tail))
	book(Lost, Tail, tail)
	return rows
}

// split is what was written to the first connection, and to later ones only.
func (a *Account) split() (live, resumed spans) {
	for _, c := range a.conns {
		if tokens := a.pos.tokens(c.owned); c.first {
			live = tokens
		} else {
			resumed = resumed.or(tokens)
		}
	}
	return live, resumed.minus(live)
}

// tailFrom is the position of the first token that would be lost as tail: there is one
// only if the gateway cut an answer of which something visible had come.
func (a *Account) tailFrom() int64 {
	switch a.cut {
	case Cancelled, Abandoned, Superseded:
		if !a.pos.complete && a.pos.shown > 0 {
			return a.pos.received
		}
	}
	return a.history.Output
}

// cost is what some tokens of the output cost.
func (a *Account) cost(bill pricing.Picodollars, tokens spans) (sum pricing.Picodollars) {
	for _, t := range tokens {
		sum += pricing.Stretch(bill, t.from, t.to, a.history.Output) // a part of bill
	}
	return sum
}

func (a *Account) inputOutcome(outcomes []Outcome) string {
	if a.delivered {
		return Delivered
	}
	if len(outcomes) > 0 {
		return outcomes[0].Outcome
	}
	return Lost
}

// uncertain counts what a kill left open and no other owner has.
func (a *Account) uncertain() int64 {
	var open spans
	for _, c := range a.conns {
		if c.doubt.empty() {
			continue
		}
		doubt := a.pos.tokens(spans{c.doubt})
		for _, o := range a.conns {
			if o != c {
				doubt = doubt.minus(a.pos.tokens(o.owned))
			}
		}
		open = open.or(doubt)
	}
	return open.total()
}
