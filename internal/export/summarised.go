package export

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Missing says in a line what of a request no row can have: attempts of months of
// which only the sums remain; "" if there are none.
func Missing(ctx context.Context, books *ledger.Ledger, r Request) (string, error) {
	var months []string
	var attempts int64
	var billed pricing.Sum
	err := books.Summaries(ctx, func(s ledger.Summary) error {
		if s.Attempts == 0 || !s.Touches(r.Since, r.Until) {
			return nil
		}
		attempts += s.Attempts
		if !slices.Contains(months, s.Month) {
			months = append(months, s.Month)
		}
		for _, p := range s.Lines {
			if strings.HasPrefix(p.Account, "input/") || strings.HasPrefix(p.Account, "output/") {
				billed = billed.Plus(p.Amount)
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	if attempts == 0 {
		return "", nil
	}
	what := "attempts"
	if attempts == 1 {
		what = "attempt"
	}
	return fmt.Sprintf("not in the rows: %d %s of %s, of which only the sums of the whole months remain; they came to %s USD",
		attempts, what, strings.Join(months, ", "), billed), nil
}
