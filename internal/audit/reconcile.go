package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Reconciliation is what a bill made of the books.
type Reconciliation struct {
	Provider string `json:"provider"`
	Lines    int    `json:"lines"`

	// Attempts that the bill speaks of: those that the provider had reported, and
	// those of which some part had been estimated.
	Reported  int `json:"attempts_reported"`
	Estimated int `json:"attempts_estimated"`

	// Difference is how many tokens bill and books were apart, attempt by attempt,
	// without signs; Unexplained how many of them still are.
	Difference  int64 `json:"difference_tokens"`
	Revisions   int   `json:"posted_revisions"`
	Unexplained int64 `json:"unexplained_tokens"`

	UnexplainedUSD pricing.Sum `json:"unexplained_usd"`   // of the unexplained tokens, with signs: what the bill has more
	Findings       []Finding   `json:"findings"`          // what is unexplained
	NotPosted      []string    `json:"days_not_posted"`   // of a complete bill: days of which it has a part only
	OutOfBounds    []Finding   `json:"out_of_bounds"`     // explained, but not as estimated
	LeftOut        int         `json:"findings_left_out"` // of either, beyond the first maxFindings
}

// Reconcile compares a provider's bill with the books, attempt by attempt, and
// posts what it says of those that had been estimated. The price book knows by which
// names models go, and what a line costs that is of no attempt. Attempts that have not been
// posted yet are missing in the books: wait for them before.
//
// The errors are ErrInvalid, those of the ledger, and ctx's. After an error, what
// was posted stays; the same bill goes on from there.
func Reconcile(ctx context.Context, books *ledger.Ledger, prices *pricing.Book, bill Bill) (Reconciliation, error) {
	if err := bill.check(); err != nil {
		return Reconciliation{}, err
	}
	r := &reconciling{books: books, prices: prices, bill: &bill, matched: map[ledger.AttemptID]bool{}, beyond: map[place]map[string]pricing.Sum{}}
	r.result = Reconciliation{Provider: bill.Provider, Lines: len(bill.Lines), Findings: []Finding{}, OutOfBounds: []Finding{}, NotPosted: []string{}}
	if err := r.run(ctx); err != nil {
		return r.result, fmt.Errorf("audit: reconcile: %w", err)
	}
	return r.result, nil
}

// reconciling is a reconciliation under way.
type reconciling struct {
	books   *ledger.Ledger
	prices  *pricing.Book
	bill    *Bill
	result  Reconciliation
	matched map[ledger.AttemptID]bool        // attempts that have their line
	beyond  map[place]map[string]pricing.Sum // what is unexplained, by finding; empty: the bill agrees there
}

// place is where an unexplained amount is posted.
type place struct{ model, tier, day string }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.day, q.day), cmp.Compare(p.model, q.model), cmp.Compare(p.tier, q.tier))
}

func (r *reconciling) run(ctx context.Context) error {
	var unknown []*Line
	for i := range r.bill.Lines {
		if err := ctx.Err(); err != nil {
			return err
		}
		l := &r.bill.Lines[i]
		row, found, again, err := r.byID(l)
		switch {
		case err != nil:
			return err
		case found:
			err = r.compare(row, l)
		case again:
			err = r.extra(BilledTwice, l)
		default:
			unknown = append(unknown, l)
		}
		if err != nil {
			return err
		}
	}
	left, err := r.byTime(ctx, unknown, r.compare)
	if err != nil {
		return err
	}
	for _, l := range left {
		if err := r.extra(NotInBooks, l); err != nil {
			return err
		}
	}
	if !r.bill.Complete {
		return nil
	}
	if err := r.absent(ctx); err != nil {
		return err
	}
	return r.post(ctx)
}

// compare holds an attempt against its line.
func (r *reconciling) compare(row ledger.Row, l *Line) error {
	booked, billed := tokensOf(row.Current.Bill), l.tokens()
	r.compared(r.placeOf(row))
	if !estimated(row) {
		r.result.Reported++
		if booked == billed {
			return nil
		}
		amount, err := difference(row, l)
		if err != nil {
			return err
		}
		r.unexplained(r.finding(Differs, row, billed), r.placeOf(row), amount)
		return nil
	}
	r.result.Estimated++
	r.result.Difference += billed.minus(booked).size()
	if err := r.checkBounds(row, billed); err != nil {
		return err
	}
	return r.revise(row, l)
}

// extra is a line that no attempt explains. One that bills nothing needs none.
func (r *reconciling) extra(what string, l *Line) error {
	if l.tokens() == (Tokens{}) {
		return nil
	}
	amount, err := r.priced(l)
	if err != nil {
		return err
	}
	f := Finding{What: what, RequestID: l.RequestID, Model: l.Model, Billed: l.tokens()}
	r.unexplained(f, place{r.label(l.Model), "", r.day(l.Started)}, amount)
	return nil
}

// absent are the attempts that a complete bill doesn't have. What was estimated
// has cost nothing.
func (r *reconciling) absent(ctx context.Context) error {
	var ids []ledger.AttemptID // a year's attempts with all that is known of them fill the memory
	err := r.books.Between(ctx, r.bill.From, r.bill.To, func(row ledger.Row) error {
		if row.Provider == r.bill.Provider && !r.matched[row.ID()] {
			ids = append(ids, row.ID())
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := r.books.Get(id.Stream, id.Number)
		if errors.Is(err, ledger.ErrNotFound) { // its month was closed meanwhile
			err = fmt.Errorf("%w: attempt %s", ledger.ErrSummarised, id)
		}
		if err != nil {
			return err
		}
		booked := tokensOf(row.Current.Bill)
		r.compared(r.placeOf(row))
		if estimated(row) {
			r.result.Estimated++
			r.result.Difference += booked.size()
			if err := r.revise(row, &Line{Hidden: token.Known(0)}); err != nil {
				return err
			}
			continue
		}
		r.result.Reported++
		if booked == (Tokens{}) {
			continue
		}
		r.unexplained(r.finding(NotOnBill, row, Tokens{}), r.placeOf(row), pricing.Sum{}.Minus(amountOf(row.Current.Bill)))
	}
	return nil
}

func (r *reconciling) finding(what string, row ledger.Row, billed Tokens) Finding {
	return Finding{
		What: what, Attempt: row.ID().String(), RequestID: row.RequestID, Model: row.Model,
		Billed: billed, Booked: tokensOf(row.Current.Bill),
	}
}

func (r *reconciling) unexplained(f Finding, at place, amount pricing.Sum) {
	tokens := f.Billed.minus(f.Booked).size()
	r.result.Difference += tokens
	r.result.Unexplained += tokens
	r.tell(&r.result.Findings, f)
	r.result.UnexplainedUSD = r.result.UnexplainedUSD.Plus(amount)
	if r.beyond[at] == nil {
		r.beyond[at] = map[string]pricing.Sum{}
	}
	r.beyond[at][f.What] = r.beyond[at][f.What].Plus(amount)
}

// maxFindings bounds what is named: a bill of another project has a million.
const maxFindings = 10_000

// tell names a finding, unless there are too many to be read. Sums have them all.
func (r *reconciling) tell(all *[]Finding, f Finding) {
	if len(*all) >= maxFindings {
		r.result.LeftOut++
		return
	}
	*all = append(*all, f.sentence())
}

// compared notes where the bill speaks of something, if that is one of its days.
func (r *reconciling) compared(at place) {
	if first, last := r.days(); r.beyond[at] == nil && first <= at.day && at.day <= last {
		r.beyond[at] = map[string]pricing.Sum{}
	}
}

// post makes the books say what is unexplained of the bill's days, and that
// nothing else of them is any more.
func (r *reconciling) post(ctx context.Context) error {
	if err := r.partial(ctx); err != nil {
		return err
	}
	err := r.books.Unexplained(ctx, func(u ledger.Unexplained) error {
		if u.Provider == r.bill.Provider {
			r.compared(place{u.Model, u.Tier, u.Day})
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, at := range slices.SortedFunc(maps.Keys(r.beyond), place.compare) {
		if slices.Contains(r.result.NotPosted, at.day) {
			continue
		}
		u, err := ledger.Beyond(r.beyond[at])
		if err != nil {
			return fmt.Errorf("%w: %s of %s: %w", ErrInvalid, at.model, at.day, err)
		}
		u.Provider, u.Model, u.Tier, u.Day = r.bill.Provider, at.model, at.tier, at.day
		if _, err := r.books.PostUnexplained(u); err != nil {
			return err
		}
	}
	return nil
}

// label is the account's name for a line's model.
func (r *reconciling) label(model string) string {
	if id, ok := r.prices.Resolve(r.bill.Provider, model); ok {
		return id
	}
	return other
}

// other is the label of models that the price book doesn't know.
const other = "other"
