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

// exactly is an amount with all its decimals.
func exactly(s pricing.Sum) string { return "$" + s.String() }

func percent(part, whole pricing.Sum) string {
	if whole.Sign() == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*part.Dollars()/whole.Dollars())
}

func plural(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strings.TrimSpace(humanize.Comma(n) + " " + more)
}

func now() time.Time { return time.Now() }
