package reprice

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/pricing"
)

// Request says which attempts are compared with a book.
type Request struct {
	Since time.Time `json:"since"`          // accepted then, or later
	Until time.Time `json:"until,omitzero"` // and before; zero: no end
	Post  bool      `json:"post,omitempty"`
}

// Result is what a book says of the attempts.
type Result struct {
	Version    string      `json:"price_version"` // of the book
	Attempts   int         `json:"attempts"`      // that were looked at
	Changes    []Change    `json:"changes"`       // those that would cost something else
	Unpriced   int         `json:"unpriced"`      // attempts that the book has no price for either
	Lost       int         `json:"no_longer_priced"`
	Difference pricing.Sum `json:"difference_usd"`
	Posted     int         `json:"posted_revisions"`
	Again      []Day       `json:"compare_again"` // days with changes, whose bills were compared before
}

// Day is one (UTC) of a provider.
type Day struct {
	Provider string `json:"provider"`
	Day      string `json:"day"`
}

// Change is what attempts of one model at one price would cost at another.
type Change struct {
	Provider   string         `json:"provider"`
	Model      string         `json:"model"`
	Tier       pricing.Tier   `json:"tier"`
	Before     string         `json:"before_version"`
	After      string         `json:"after_version"`
	Status     pricing.Status `json:"status"`
	From       string         `json:"from"` // where the new price was written
	Attempts   int            `json:"attempts"`
	BeforeUSD  pricing.Sum    `json:"before_usd"`
	AfterUSD   pricing.Sum    `json:"after_usd"`
	Difference pricing.Sum    `json:"difference_usd"`
}

// far is beyond every attempt, and what the ledger can have in a key.
var far = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// tries is how often an attempt is looked at again because something else was posted
// for it meanwhile.
const tries = 5

// Run compares the attempts with a book, and posts the differences if that is asked
// for. What was posted before an error stays; the same request goes on from there.
func Run(ctx context.Context, books *ledger.Ledger, book *pricing.Book, req Request) (Result, error) {
	r := &running{books: books, book: book, post: req.Post, now: time.Now(), result: Result{Version: book.Version(), Changes: []Change{}, Again: []Day{}}, days: map[Day]bool{}}
	if req.Until.IsZero() {
		req.Until = far
	}
	// Postings don't wait for the end of a read: attempts are taken in between.
	for from := req.Since; ; {
		page, next, err := r.page(ctx, from, req.Until)
		if err != nil {
			return r.result, fmt.Errorf("reprice: %w", err)
		}
		for _, row := range page {
			if err := r.attempt(row); err != nil {
				return r.result, fmt.Errorf("reprice: %w", err)
			}
		}
		if next.IsZero() {
			break
		}
		from = next
	}
	slices.SortFunc(r.result.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Tier, b.Tier),
			cmp.Compare(a.Before, b.Before), cmp.Compare(a.From, b.From))
	})
	err := r.again(ctx)
	return r.result, err
}

// again names the days on which what bills had beyond the books was worked out with
// the prices before.
func (r *running) again(ctx context.Context) error {
	if len(r.days) == 0 {
		return nil
	}
	compared := map[Day]bool{}
	err := r.books.Unexplained(ctx, func(u ledger.Unexplained) error {
		if on := (Day{u.Provider, u.Day}); r.days[on] && !compared[on] {
			compared[on] = true
			r.result.Again = append(r.result.Again, on)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reprice: %w", err)
	}
	slices.SortFunc(r.result.Again, func(a, b Day) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Day, b.Day))
	})
	return nil
}

// running is a comparison under way.
type running struct {
	books  *ledger.Ledger
	book   *pricing.Book
	post   bool
	now    time.Time // what is known only later doesn't count
	result Result
	days   map[Day]bool // with changes
}

// pageSize bounds the rows in memory, but for those of one millisecond.
const pageSize = 1000

// page reads the next attempts; next is zero if there are no more.
func (r *running) page(ctx context.Context, from, until time.Time) (rows []ledger.Row, next time.Time, err error) {
	err = r.books.Between(ctx, from, until, func(row ledger.Row) error {
		if len(rows) >= pageSize && row.At.After(rows[len(rows)-1].At) {
			next = row.At
			return ledger.ErrStop
		}
		rows = append(rows, row)
		return nil
	})
	return rows, next, err
}

// attempt compares one attempt.
func (r *running) attempt(row ledger.Row) error {
	r.result.Attempts++
	for range tries {
		done, err := r.try(row)
		if done || err != nil {
			return err
		}
		if row, err = r.books.Get(row.Stream, row.Number); err != nil {
			return err
		}
	}
	return fmt.Errorf("attempt %s: something is posted for it all the time", row.ID())
}

// try is false if something else has been posted for the attempt meanwhile.
func (r *running) try(row ledger.Row) (done bool, err error) {
	q, before, err := settle.Query(row)
	if err != nil {
		return false, err
	}
	q.KnownAt = r.now
	rates, reason := r.book.Rates(q)
	if reason != "" {
		if before.Known() {
			r.result.Lost++
		} else {
			r.result.Unpriced++
		}
		return true, nil
	}
	posting, differs, err := settle.Reprice(row, rates)
	if err != nil || !differs {
		return err == nil, err
	}
	if r.post {
		posted, err := r.books.Post(posting)
		if err != nil {
			now, getErr := r.books.Get(row.Stream, row.Number)
			if getErr == nil && (now.Current.Number != row.Current.Number || (now.Current.Outcomes == nil) != (row.Current.Outcomes == nil)) {
				return false, nil
			}
			return false, fmt.Errorf("attempt %s: %w", row.ID(), err)
		}
		if posted {
			r.result.Posted++
		}
	}
	r.note(row, q, before, rates, *posting.Bill)
	return true, nil
}

// note adds an attempt to the changes.
func (r *running) note(row ledger.Row, q pricing.Query, before, after pricing.Rates, bill ledger.Bill) {
	c := Change{
		Provider: row.Provider, Model: row.Model, Tier: after.Tier, Before: before.Version, After: after.Version, Status: after.Status,
	}
	if place, ok := r.book.At(q.Provider, q.Model, q.At, q.KnownAt); ok {
		c.From = place.Origin.String()
	}
	i := slices.IndexFunc(r.result.Changes, func(o Change) bool {
		return o.Provider == c.Provider && o.Model == c.Model && o.Tier == c.Tier && o.Before == c.Before && o.From == c.From
	})
	if i < 0 {
		i = len(r.result.Changes)
		r.result.Changes = append(r.result.Changes, c)
	}
	r.days[Day{row.Provider, row.At.UTC().Format(time.DateOnly)}] = true
	at := &r.result.Changes[i]
	was, now := total(row.Current.Bill), total(bill)
	at.Attempts++
	at.BeforeUSD, at.AfterUSD = at.BeforeUSD.Plus(was), at.AfterUSD.Plus(now)
	at.Difference = at.AfterUSD.Minus(at.BeforeUSD)
	r.result.Difference = r.result.Difference.Plus(now).Minus(was)
}

// total is all that a bill comes to.
func total(b ledger.Bill) pricing.Sum {
	sum := pricing.Sum{}.Add(b.Output.Amount)
	for _, l := range b.Input {
		sum = sum.Add(l.Amount)
	}
	return sum
}
