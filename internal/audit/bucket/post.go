package bucket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/pricing"
)

// post compares with what stands in the books for these days, and makes it what was
// found: also that nothing was, which says that there was a bill.
func (c *comparing) post(ctx context.Context, really bool) error {
	all, standing, err := c.adjustments(ctx)
	if err != nil || !really {
		return err
	}
	// The oldest first: if its month is closed, nothing is posted.
	keys := slices.SortedFunc(maps.Keys(all), key.compare)
	us := make([]ledger.Unexplained, len(keys))
	for i, k := range keys {
		if us[i], err = all[k].unexplained(c.s.Provider, k); err != nil {
			return err
		}
	}
	for i, u := range us {
		posted, err := c.books.PostUnexplained(u)
		if errors.Is(err, ledger.ErrSummarised) {
			err = fmt.Errorf("%w: %s: %w", ErrInvalid, u.Day, err)
		}
		switch {
		case err != nil:
			return err
		case posted && u.Amount != standing[keys[i]]:
			c.r.Posted++
		case posted:
			c.r.Recorded++
		}
	}
	return nil
}

// adjustment is what the bill has beyond the books, by the names of its parts.
type adjustment map[string]pricing.Sum

// adjustments are those that should stand, of all that was compared, and of what
// stands though it wasn't; and the amounts that stand now.
func (c *comparing) adjustments(ctx context.Context) (all map[key]adjustment, standing map[key]pricing.Picodollars, err error) {
	all, standing = map[key]adjustment{}, map[key]pricing.Picodollars{}
	at := func(k key) adjustment {
		if all[k] == nil {
			all[k] = adjustment{}
		}
		return all[k]
	}
	for k := range c.cells {
		at(key{c.label(k.model), k.tier, k.day})
	}
	for _, cell := range c.r.Cells {
		a := at(key{c.label(cell.Model), cell.Tier, cell.Day})
		for _, p := range cell.Parts {
			if p.Name != Lag { // which evens out
				a[p.Name] = a[p.Name].Plus(p.USD)
			}
		}
	}
	first, last := c.s.From.UTC().Format(time.DateOnly), c.s.To.UTC().Add(-1).Format(time.DateOnly)
	err = c.books.Unexplained(ctx, func(u ledger.Unexplained) error {
		if u.Provider != c.s.Provider || u.Day < first || last < u.Day {
			return nil
		}
		c.r.Standing = c.r.Standing.Add(u.Amount)
		k := key{u.Model, u.Tier, u.Day}
		at(k)
		standing[k] = u.Amount
		return nil
	})
	return all, standing, err
}

// unexplained is an adjustment as the ledger takes it.
func (a adjustment) unexplained(provider string, k key) (ledger.Unexplained, error) {
	u, err := ledger.Beyond(a)
	if err != nil {
		return u, fmt.Errorf("%w: %s of %s: %w", ErrInvalid, k.model, k.day, err)
	}
	u.Provider, u.Model, u.Tier, u.Day = provider, k.model, k.tier, k.day
	return u, nil
}

// label is the account's name for a model.
func (c *comparing) label(model string) string {
	if id, ok := c.prices.Resolve(c.s.Provider, model); ok {
		return id
	}
	return settle.Other
}
