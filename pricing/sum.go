package pricing

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const picosPerDollar = 1_000_000_000_000

// Sum is a total of amounts, exact up to 9.2e18 dollars either way, which no total
// reaches: every posting there ever was at the largest amount would take 1e12 of them. The zero
// value is no money; sums can be compared with ==. As text and in JSON it is like
// Picodollars.
type Sum struct {
	dollars int64 // rounded down
	picos   int64 // 0 ≤ picos < picosPerDollar, on top
}

// Add returns s + p.
func (s Sum) Add(p Picodollars) Sum {
	return normalized(s.dollars+int64(p/picosPerDollar), s.picos+int64(p%picosPerDollar))
}

// Plus returns s + t.
func (s Sum) Plus(t Sum) Sum { return normalized(s.dollars+t.dollars, s.picos+t.picos) }

// Minus returns s − t.
func (s Sum) Minus(t Sum) Sum { return normalized(s.dollars-t.dollars, s.picos-t.picos) }

// normalized takes picos within one dollar of their range.
func normalized(dollars, picos int64) Sum {
	switch {
	case picos < 0:
		dollars, picos = dollars-1, picos+picosPerDollar
	case picos >= picosPerDollar:
		dollars, picos = dollars+1, picos-picosPerDollar
	}
	return Sum{dollars, picos}
}

// Sign is -1, 0 or +1.
func (s Sum) Sign() int {
	switch {
	case s.dollars < 0:
		return -1
	case s == Sum{}:
		return 0
	}
	return 1
}

// Picodollars is the sum as one amount, or ErrOverflow.
func (s Sum) Picodollars() (Picodollars, error) {
	const most = math.MaxInt64 / picosPerDollar
	if s.dollars < -most-1 || s.dollars > most {
		return 0, fmt.Errorf("%w: %v", ErrOverflow, s)
	}
	// Towards 0 first, or the least amounts would overflow on the way.
	dollars, picos := s.dollars, s.picos
	if dollars < 0 && picos > 0 {
		dollars, picos = dollars+1, picos-picosPerDollar
	}
	if dollars < -most {
		return 0, fmt.Errorf("%w: %v", ErrOverflow, s)
	}
	return Picodollars(dollars * picosPerDollar).Plus(Picodollars(picos))
}

// Dollars is about the nearest float, for gauges and counters. Don't calculate with it.
func (s Sum) Dollars() float64 {
	if s.dollars < 0 && s.picos > 0 { // or small negative sums would lose their digits
		return float64(s.dollars+1) + float64(s.picos-picosPerDollar)/picosPerDollar
	}
	return float64(s.dollars) + float64(s.picos)/picosPerDollar
}

// String is the exact number of dollars, with no more decimals than it takes.
func (s Sum) String() string {
	sign := ""
	if s.Sign() < 0 {
		sign, s = "-", Sum{}.Minus(s)
	}
	text := sign + strconv.FormatInt(s.dollars, 10)
	if s.picos == 0 {
		return text
	}
	return text + "." + strings.TrimRight(fmt.Sprintf("%012d", s.picos), "0")
}

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sum) UnmarshalText(text []byte) error {
	whole, fraction, point := strings.Cut(string(text), ".")
	dollars, err := parseDecimal(whole, 0)
	if err != nil {
		return err
	}
	var picos Picodollars
	if point {
		if picos, err = ParseDollars("0." + fraction); err != nil {
			return err
		}
	}
	if strings.HasPrefix(whole, "-") {
		picos = -picos
	}
	*s = Sum{dollars: dollars}.Add(picos)
	return nil
}
