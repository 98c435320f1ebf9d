package report

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// notOptedIn is the reason of a miss that opting into auto would have been a resume.
const notOptedIn = "not-opted-in"

// missed adds what calls bought again: of a window those made in it, of an incident
// those that repeat an attempt which it broke.
func (c *computing) missed(ctx context.Context) error {
	reasons := map[string]*Named{}
	err := c.Ledger.Misses(ctx, func(m ledger.Miss) error {
		selected, err := c.repeats(m)
		if selected {
			c.miss(reasons, m)
		}
		return err
	})
	c.r.Auto.ByReason = sortedNames(reasons)
	return err
}

// repeats says if a missed resume belongs to the report.
func (c *computing) repeats(m ledger.Miss) (bool, error) {
	i := c.q.Incident
	switch {
	case i == nil:
		return !m.At.Before(c.q.Since) && (c.q.Until.IsZero() || m.At.Before(c.q.Until)), nil
	case m.At.Before(i.Start): // what it repeats had been broken before
		return false, nil
	}
	rows, err := c.Ledger.Of(m.Orphan)
	for n := range rows {
		a := attempt{}
		if err := a.read(&rows[n]); err != nil {
			return false, err
		}
		if _, ok := a.brokenIn(i); ok {
			return true, nil
		}
	}
	return false, err
}

func (c *computing) miss(reasons map[string]*Named, m ledger.Miss) {
	n := named(reasons, m.Reason)
	n.Count++
	n.USD = n.USD.Add(m.Amount)
	if m.Reason == notOptedIn {
		c.r.Auto.Calls++
		c.r.Auto.USD = c.r.Auto.USD.Add(m.Amount)
	}
}

// used is what was billed for a model, by kind.
type used struct {
	kinds [16]kindTokens
	n     int
	paid  pricing.Sum
}

type kindTokens struct {
	kind   token.Kind
	tokens int64
}

func (u *used) add(a *attempt) {
	u.paid = u.paid.Add(a.paid)
	b := &a.row.Current.Bill
	for _, l := range b.Input {
		u.count(l.Kind, l.Tokens)
	}
	u.count(token.Output, b.Output.Tokens)
}

func (u *used) count(kind token.Kind, tokens int64) {
	if kind.IsTool() {
		return
	}
	for i := range u.n {
		if u.kinds[i].kind == kind {
			u.kinds[i].tokens += tokens
			return
		}
	}
	if u.n < len(u.kinds) {
		u.kinds[u.n] = kindTokens{kind, tokens}
		u.n++
	}
}

// at is what all of it costs at some rates.
func (u *used) at(rates pricing.Rates) (sum pricing.Sum) {
	for _, k := range u.kinds[:u.n] {
		rate, _ := rates.Of(k.kind)
		for left := k.tokens; left > 0; left -= maxTimes {
			amount, err := rate.Times(min(left, maxTimes))
			if err != nil {
				return pricing.Sum{}
			}
			sum = sum.Add(amount)
		}
	}
	return sum
}

// maxTimes is how many tokens are priced at once: far from an overflow.
const maxTimes = 1 << 28

// siblings are what the same tokens had cost on the next cheaper model of the same
// family, of those with a price that somebody publishes.
func (c *computing) siblings() []Sibling {
	all := []Sibling{}
	if c.Prices == nil {
		return all
	}
	at := c.r.Window.Until
	if at.IsZero() {
		at = c.last
	}
	for _, of := range slices.SortedFunc(maps.Keys(c.tokens), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		s, ok := c.sibling(of[0], of[1], at)
		if !ok {
			continue
		}
		rates, _ := c.Prices.Rates(pricing.Query{Provider: s.Provider, Model: s.Sibling, At: at})
		s.Provider, s.Paid, s.USD = of[0], c.tokens[of].paid, c.tokens[of].at(rates)
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Sibling) int { return b.Paid.Minus(a.Paid).Sign() })
	return all
}

// placeholders are the models of which the price book has no published price.
func (c *computing) placeholders() []string {
	all := []string{}
	if c.Prices == nil {
		return all
	}
	for of := range c.tokens {
		rates, _ := c.Prices.Rates(pricing.Query{Provider: of[0], Model: of[1], At: c.last})
		if rates.Status == pricing.Placeholder && !slices.Contains(all, of[1]) {
			all = append(all, of[1])
		}
	}
	slices.Sort(all)
	return all
}

func (c *computing) sibling(provider, model string, at time.Time) (Sibling, bool) {
	own, _ := c.Prices.Rates(pricing.Query{Provider: provider, Model: model, At: at})
	if !own.Known() {
		return Sibling{}, false
	}
	type candidate struct {
		id     string
		rates  pricing.Rates
		output pricing.Rate
	}
	ownIn, _ := own.Of(token.Input)
	ownOut, _ := own.Of(token.Output)
	var best *candidate
	for _, id := range c.Prices.Models(own.Provider) {
		rates, _ := c.Prices.Rates(pricing.Query{Provider: own.Provider, Model: id, At: at})
		if !rates.Known() || rates.Status == pricing.Placeholder || family(id) != family(own.Model) {
			continue
		}
		in, _ := rates.Of(token.Input)
		out, _ := rates.Of(token.Output)
		if in > ownIn || out >= ownOut {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(best.output, out), cmp.Compare(id, best.id)) < 0 {
			best = &candidate{id, rates, out}
		}
	}
	if best == nil {
		return Sibling{}, false
	}
	return Sibling{Provider: own.Provider, Model: model, Sibling: best.id, Status: string(best.rates.Status), Version: best.rates.Version}, true
}

// family is what models of one maker have in common: what stands before the first
// hyphen of their id.
func family(id string) string {
	name, _, _ := strings.Cut(id, "-")
	return name
}
