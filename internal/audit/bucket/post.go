package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// post compares with what stands in the books for these days, and makes it what was
// found.
func (c *comparing) post(ctx context.Context, really bool) error {
	amounts, err := c.amounts(ctx)
	if err != nil || !really {
		return err
	}
	var all []ledger.Unexplained
	for k, sum := range amounts {
		amount, err := sum.Picodollars()
		if err != nil {
			return fmt.Errorf("%w: %s of %s: %w", ErrInvalid, k.model, k.day, err)
		}
		all = append(all, ledger.Unexplained{Provider: c.s.Provider, Model: k.model, Tier: k.tier, Day: k.day, Amount: amount})
	}
	// The oldest first: if its month is closed, nothing is posted.
	slices.SortFunc(all, func(a, b ledger.Unexplained) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Tier, b.Tier))
	})
	for _, u := range all {
		posted, err := c.books.PostUnexplained(u)
		if errors.Is(err, ledger.ErrSummarised) {
			err = fmt.Errorf("%w: %s: %w", ErrInvalid, u.Day, err)
		}
		if err != nil {
			return err
		}
		if posted {
			c.r.Posted++
		}
	}
	return nil
}

// amounts are those that should stand: also nothing, where something did.
func (c *comparing) amounts(ctx context.Context) (map[key]pricing.Sum, error) {
	amounts := map[key]pricing.Sum{}
	for _, at := range c.r.Cells {
		k := key{c.label(at.Model), at.Tier, at.Day}
		amounts[k] = amounts[k].Plus(at.Adjustment)
	}
	first, last := c.s.From.UTC().Format(time.DateOnly), c.s.To.UTC().Add(-1).Format(time.DateOnly)
	err := c.books.Unexplained(ctx, func(u ledger.Unexplained) error {
		if u.Provider != c.s.Provider || u.Day < first || last < u.Day {
			return nil
		}
		c.r.Standing = c.r.Standing.Add(u.Amount)
		k := key{u.Model, u.Tier, u.Day}
		if _, ok := amounts[k]; !ok {
			amounts[k] = pricing.Sum{}
		}
		return nil
	})
	return amounts, err
}

// label is the account's name for a model.
func (c *comparing) label(model string) string {
	if id, ok := c.prices.Resolve(c.s.Provider, model); ok {
		return id
	}
	return other
}
