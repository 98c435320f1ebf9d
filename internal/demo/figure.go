package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/recoup-gateway/recoup/pricing"
)

// dollars is an amount to a hundredth of a cent, for tables.
func dollars(s pricing.Sum) string {
	if s.Sign() < 0 {
		return fmt.Sprintf("-$%.4f", -s.Dollars())
	}
	return fmt.Sprintf("$%.4f", s.Dollars())
}

// signed is dollars with a sign in any case.
func signed(s pricing.Sum) string {
	if s.Sign() > 0 {
		return "+" + dollars(s)
	}
	return dollars(s)
}

// exactly are amounts with all their decimals, the same number of them each.
func exactly(sums ...pricing.Sum) (all []string) {
	most := 0
	for _, s := range sums {
		_, decimals, _ := strings.Cut(s.String(), ".")
		most = max(most, len(decimals))
	}
	for _, s := range sums {
		whole, decimals, _ := strings.Cut(s.String(), ".")
		if most > 0 {
			whole += "." + decimals + strings.Repeat("0", most-len(decimals))
		}
		all = append(all, "$"+whole)
	}
	return all
}

func percent(part, whole pricing.Sum) string {
	if whole.Sign() == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*part.Dollars()/whole.Dollars())
}

// signedPercent is percent with a sign in any case.
func signedPercent(part, whole pricing.Sum) string {
	if part.Sign() > 0 && whole.Sign() != 0 {
		return "+" + percent(part, whole)
	}
	return percent(part, whole)
}

// signedTokens are tokens with a sign in any case.
func signedTokens(n int64) string {
	if n > 0 {
		return "+" + humanize.Comma(n)
	}
	return humanize.Comma(n)
}

func plural(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strings.TrimSpace(humanize.Comma(n) + " " + more)
}

func now() time.Time { return time.Now() }
