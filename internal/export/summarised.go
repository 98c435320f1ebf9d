package export

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Missing says in a line what of a request no row can have: attempts, or what bills had
// beyond them, of months of which only the sums remain; "" if there is nothing.
func Missing(ctx context.Context, books *ledger.Ledger, r Request) (string, error) {
	var months []string
	var attempts int64
	var billed pricing.Sum
	err := books.Summaries(ctx, func(s ledger.Summary) error {
		if !s.Touches(r.Since, r.Until) {
			return nil
		}
		some := r.What != Adjustments && s.Attempts > 0
		for _, p := range s.Lines {
			if r.has(p.Account) {
				billed, some = billed.Plus(p.Amount), true
			}
		}
		if some && !slices.Contains(months, s.Month) {
			months = append(months, s.Month)
		}
		attempts += s.Attempts
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	if len(months) == 0 {
		return "", nil
	}
	what := fmt.Sprintf("%d attempts", attempts)
	switch {
	case r.What == Adjustments:
		what = "adjustments"
	case attempts == 1:
		what = "1 attempt"
	}
	return fmt.Sprintf("not in the rows: %s of %s, of which only the sums of the whole months remain; they came to %s USD",
		what, strings.Join(months, ", "), billed), nil
}

// has says if the rows that are asked for are of an account.
func (r *Request) has(account string) bool {
	if r.What == Adjustments {
		return account == "unexplained"
	}
	return strings.HasPrefix(account, "input/") || strings.HasPrefix(account, "output/")
}
