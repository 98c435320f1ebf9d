package bucket

import (
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/pricing"
)

// negligible is what rounding leaves: vendors' amounts are rounded, or binary fractions.
func negligible(s pricing.Sum) bool {
	const micro = pricing.Picodollars(1_000_000)
	if s.Sign() < 0 {
		s = pricing.Sum{}.Minus(s)
	}
	return s.Minus(pricing.Sum{}.Add(micro)).Sign() < 0
}

// price gives parts their price, and names what is left of a bill's money. It returns
// what the cell should cost by its tokens.
func (c *comparing) price(at *cell) (expected pricing.Sum, err error) {
	rates, sure := at.books.rates, !at.books.mixed
	if !rates.Known() {
		rates, _ = c.prices.Rates(pricing.Query{Provider: c.s.Provider, Model: at.model, At: noon(at.day), ServiceTier: at.tier})
	}
	expected = at.books.USD
	open := -1 // a part of which the price isn't known
	for i := range at.parts {
		p := &at.parts[i]
		if p.Name != Lag {
			if p.USD, err = cost(rates, p.Tokens); err != nil {
				return expected, err
			}
			if p.Tokens.Size() > 0 && (!rates.Known() || !sure) {
				open = i
			}
		}
		expected = expected.Plus(p.USD)
	}
	if !at.priced {
		return expected, nil
	}
	left := at.billed.USD.Minus(expected)
	switch {
	case negligible(left):
	case open >= 0:
		at.parts[open].USD = at.parts[open].USD.Plus(left)
	default:
		at.parts = append(at.parts, Part{Name: Price, USD: left, Text: "the bill's tokens cost something else than in the books"})
	}
	return at.billed.USD, nil
}

func noon(day string) time.Time {
	t, _ := time.Parse(time.DateOnly, day) // as it was formatted
	return t.Add(12 * time.Hour)
}

// cost is what tokens cost, with their signs. What has no rate costs nothing.
func cost(rates pricing.Rates, t vendor.Tokens) (sum pricing.Sum, err error) {
	for kind, n := range t.Kinds() {
		rate, ok := rates.Of(kind)
		if !ok || n == 0 {
			continue
		}
		amount, err := rate.Times(max(n, -n))
		if err != nil {
			return sum, err
		}
		if n < 0 {
			amount = -amount
		}
		sum = sum.Add(amount)
	}
	return sum, nil
}

// beyond is what of a cell the books don't have.
func beyond(parts []Part) (sum pricing.Sum) {
	for _, p := range parts {
		if p.Name != Lag {
			sum = sum.Plus(p.USD)
		}
	}
	return sum
}
