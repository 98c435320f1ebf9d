package audit

import (
	"context"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

const oneDay = 24 * time.Hour

// partial finds the days of which the bill has a part only, though the books have calls
// in the rest. What is unexplained is kept by day, so the next part would take back what
// this one shows, and all of the day would seem to be compared.
func (r *reconciling) partial(ctx context.Context) error {
	from, to := r.bill.From.UTC(), r.bill.To.UTC()
	end := to.Truncate(oneDay)
	if end.Before(to) {
		end = end.Add(oneDay)
	}
	for _, rest := range [][2]time.Time{{from.Truncate(oneDay), from}, {to, end}} {
		on := rest[0].Format(time.DateOnly)
		if !rest[0].Before(rest[1]) || slices.Contains(r.result.NotPosted, on) {
			continue
		}
		err := r.books.Between(ctx, rest[0], rest[1], func(row ledger.Row) error {
			if row.Provider != r.bill.Provider || r.matched[row.ID()] {
				return nil
			}
			r.result.NotPosted = append(r.result.NotPosted, on)
			return ledger.ErrStop
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// placeOf is where a bill by days has it too.
func (r *reconciling) placeOf(row ledger.Row) place {
	return place{row.Model, vendor.Tier(row.ServiceTier), r.day(row.At)}
}

// days are the first and the last of a complete bill.
func (r *reconciling) days() (first, last string) {
	return r.bill.From.UTC().Format(time.DateOnly), r.bill.To.Add(-1).UTC().Format(time.DateOnly)
}

// day is the day of t in UTC. Clocks differ: what a bill has of a moment before or after
// its time is of its first or last day, for the days beside have bills of their own.
func (r *reconciling) day(t time.Time) string {
	first, last := r.days()
	if t.IsZero() {
		return first
	}
	return min(max(t.UTC().Format(time.DateOnly), first), last)
}
