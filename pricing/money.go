package pricing

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// ErrOverflow is the error of amounts that are too large for their type.
var ErrOverflow = errors.New("pricing: amount out of range")

// Decimals of the two units.
const (
	dollarDecimals = 12 // of a dollar: a Picodollar
	rateDecimals   = 6  // of a dollar per million tokens: a Picodollar per token
)

// Picodollars is an amount of money in 1e-12 dollars. As text and in JSON it is an
// exact decimal number of dollars, "0.055", in JSON as a string.
type Picodollars int64

// ParseDollars reads a decimal number of dollars: digits, at most one point with
// digits on both its sides, and perhaps a minus; at most 12 decimals.
func ParseDollars(s string) (Picodollars, error) {
	n, err := parseDecimal(s, dollarDecimals)
	return Picodollars(n), err
}

// String is the exact number of dollars, with no more decimals than it takes.
func (p Picodollars) String() string { return formatDecimal(int64(p), dollarDecimals) }

// Dollars is the nearest float, for gauges and counters. Don't calculate with it.
func (p Picodollars) Dollars() float64 { return float64(p) / 1e12 }

// Plus returns p + q, or ErrOverflow.
func (p Picodollars) Plus(q Picodollars) (Picodollars, error) {
	sum := p + q
	if (sum > p) != (q > 0) && q != 0 {
		return 0, fmt.Errorf("%w: %v + %v", ErrOverflow, p, q)
	}
	return sum, nil
}

// MarshalText implements encoding.TextMarshaler.
func (p Picodollars) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Picodollars) UnmarshalText(text []byte) (err error) {
	*p, err = ParseDollars(string(text))
	return err
}

// Stretch is what the stretch [a, b) of a bill for g tokens costs:
// ⌊bill·b/g⌋ − ⌊bill·a/g⌋, so adjacent stretches make and lose nothing. Positions
// outside of [0, g] are those at its ends. It is 0 for g ≤ 0. The stretches of a
// negative bill, a reversal, are those of the positive one, negated.
func Stretch(bill Picodollars, a, b, g int64) Picodollars {
	if g <= 0 {
		return 0
	}
	return upTo(bill, b, g) - upTo(bill, a, g)
}

// upTo is bill·n/g, rounded towards 0.
func upTo(bill Picodollars, n, g int64) Picodollars {
	n = min(max(n, 0), g)
	magnitude := uint64(bill)
	if bill < 0 {
		magnitude = -magnitude
	}
	hi, lo := bits.Mul64(magnitude, uint64(n))
	q, _ := bits.Div64(hi, lo, uint64(g)) // n ≤ g, so q ≤ magnitude
	if bill < 0 {
		return -Picodollars(q)
	}
	return Picodollars(q)
}

// Rate is a price in Picodollars per token; for tools, per use. As text and in JSON
// it is in dollars per million, "0.075", in JSON as a string.
type Rate int64

// unstated is a rate that exists but isn't known, so that no fallback applies. As
// text it is empty.
const unstated Rate = -1

// ParseRate reads dollars per million tokens, a decimal number that is not negative,
// with at most 6 decimals.
func ParseRate(s string) (Rate, error) {
	n, err := parseDecimal(s, rateDecimals)
	if err == nil && n < 0 {
		return 0, fmt.Errorf("pricing: a negative rate: %q", s)
	}
	return Rate(n), err
}

// Times is the price of n tokens, or ErrOverflow.
func (r Rate) Times(n int64) (Picodollars, error) {
	if n < 0 || r < 0 {
		return 0, fmt.Errorf("%w: %d tokens at %v per million", ErrOverflow, n, r)
	}
	hi, lo := bits.Mul64(uint64(r), uint64(n))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %d tokens at %v per million", ErrOverflow, n, r)
	}
	return Picodollars(lo), nil
}

// String is in dollars per million tokens.
func (r Rate) String() string {
	if r == unstated {
		return ""
	}
	return formatDecimal(int64(r), rateDecimals)
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = unstated
		return nil
	}
	*r, err = ParseRate(string(text))
	return err
}

// parseDecimal reads s in units of 10^-decimals, exactly or not at all.
func parseDecimal(s string, decimals int) (int64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if !isDigits(whole) || point && !isDigits(fraction) {
		return 0, fmt.Errorf("pricing: %q is no decimal number", s)
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > decimals {
		return 0, fmt.Errorf("pricing: %q has more than %d decimals", s, decimals)
	}
	digits = whole + fraction + strings.Repeat("0", decimals-len(fraction))
	if negative {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil { // of digits only the range can be wrong
		return 0, fmt.Errorf("%w: %q", ErrOverflow, s)
	}
	return n, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func formatDecimal(n int64, decimals int) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	if len(s) <= decimals {
		s = strings.Repeat("0", decimals+1-len(s)) + s
	}
	point := len(s) - decimals
	fraction := strings.TrimRight(s[point:], "0")
	if fraction == "" {
		return sign + s[:point]
	}
	return sign + s[:point] + "." + fraction
}
