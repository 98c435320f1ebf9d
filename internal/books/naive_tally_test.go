package books_test

import (
	"math/big"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// tally is what the model says of settled books.
type tally struct {
	outcomes          map[[2]string][2]int64
	input             string
	savedOut, savedIn int64
	claim, upper      int64
	overhead          map[string][2]int64
	received          int64
	uncertain         int64
	breaks, resumes   int64
}

func (n *naive) price(i int64, bill pricing.Picodollars) int64 {
	upTo := func(k int64) *big.Int {
		x := new(big.Int).Mul(big.NewInt(int64(bill)), big.NewInt(k))
		return x.Quo(x, big.NewInt(n.h.Output))
	}
	return new(big.Int).Sub(upTo(i+1), upTo(i)).Int64()
}

func (n *naive) outcome(i int64) [2]string {
	var first, any bool
	if e := n.eventOf(i); e >= 0 {
		for c := range n.events[e].given {
			any = true
			first = first || c.ordinal == 0
		}
	}
	switch {
	case any && n.told && first:
		return [2]string{"delivered", "live"}
	case any && n.told:
		return [2]string{"delivered", "resumed"}
	case any && n.cause == "cancelled":
		return [2]string{"delivered", "cancelled"}
	case any:
		return [2]string{"wasted", n.cause}
	case i >= n.r() && !n.whole() && n.seen(n.total) > 0 && n.h.Streamed &&
		(n.ender == "cancelled" || n.ender == "abandoned" || n.ender == "superseded"):
		return [2]string{"lost", "tail"}
	}
	return [2]string{"lost", n.cause}
}

func (n *naive) tally(bill, input pricing.Picodollars) tally {
	t := tally{outcomes: map[[2]string][2]int64{}, overhead: map[string][2]int64{}, received: n.r(), input: "lost"}
	var bad, alone [2]int64
	for i := range n.h.Output {
		o, p := n.outcome(i), n.price(i, bill)
		if n.doubtful(i) {
			t.uncertain++
		}
		t.outcomes[o] = [2]int64{t.outcomes[o][0] + 1, t.outcomes[o][1] + p}
		if o[0] == "delivered" || o[0] == "wasted" && t.input == "lost" {
			t.input = o[0]
		}
		if o[0] == "delivered" {
			continue
		}
		bad[0], bad[1] = bad[0]+1, bad[1]+p
		e := n.eventOf(i)
		if e >= 0 && n.events[e].owner == nil {
			alone[0], alone[1] = alone[0]+1, alone[1]+p
		}
	}
	if n.told {
		t.input = "delivered"
	}
	if t.input != "delivered" {
		bad[1] += int64(input)
	}
	kind := ""
	switch k := len(n.left) - 1; {
	case n.died, !n.told && k >= 0 && n.left[k].cause != books.Client:
		kind = "crash"
	case n.h.Retry:
		kind = "retry"
	case !n.told && n.h.Streamed && n.h.OnCancel != books.BilledInFull:
		kind, bad = "unclaimed", alone
	}
	if kind != "" && bad != [2]int64{} {
		t.overhead[kind] = bad
	}
	for _, g := range n.left {
		t.breaks++
		if g.next != nil && g.next.start <= g.upTo {
			t.resumes++
		}
	}
	n.save(&t, bill)
	return t
}

// doubtful says if nobody but a connection that a kill ended may have had a token.
func (n *naive) doubtful(i int64) bool {
	e := n.eventOf(i)
	if e < 0 {
		return false
	}
	for c := range n.events[e].doubt {
		others := len(n.events[e].given)
		if n.events[e].given[c] {
			others--
		}
		if others == 0 {
			return true
		}
	}
	return false
}

func (n *naive) save(t *tally, bill pricing.Picodollars) {
	if !n.told {
		return
	}
	var inputs, paid int64
	rate := func(k token.Kind) int64 { r, _ := n.h.Rates.Of(k); return int64(r) }
	for kind, q := range n.h.Input {
		if !kind.IsTool() {
			inputs += q
			paid += q * rate(kind)
		}
	}
	breaks := 0
	for _, g := range n.left {
		if g.cause != books.Client || g.next == nil || g.next.start > g.upTo || g.pushed && g.who.upTo > n.h.Terminal {
			continue
		}
		w := n.live(g.who)
		t.savedOut += w
		if w == 0 {
			continue
		}
		t.savedIn += inputs
		if breaks++; breaks <= 2 {
			t.upper += inputs * rate(token.Input)
		}
		hit := int64(0)
		if g.next.came-g.at <= 5*60*1000 {
			switch {
			case n.h.Caching == pricing.CachingAuto && inputs >= 1024:
				hit = inputs - inputs%128
			case n.h.Caching == pricing.CachingMarked:
				hit = min(inputs, n.h.Marked)
			}
		}
		t.claim += min(inputs*rate(token.Input), hit*rate(token.CacheRead)+(inputs-hit)*rate(token.Input))
	}
	t.claim = min(t.claim, paid)
	t.savedOut = min(t.savedOut, n.h.Output)
	for i := range t.savedOut {
		t.claim += n.price(i, bill)
		t.upper += n.price(i, bill)
	}
}

// live is W of a connection.
func (n *naive) live(c *reader) (w int64) {
	if !n.h.Streamed {
		if n.ran[c] {
			return n.h.Output
		}
		return 0
	}
	all := true // since event 0
	for e := range n.events {
		mine := n.events[e].owner == c && n.events[e].given[c]
		all = all && mine
		for i := n.tau(e); mine && i < n.tau(e+1); i++ {
			if n.seen(e+1) == 0 || i >= min(n.h.Hidden, n.r()) || all {
				w++
			}
		}
	}
	return w
}

func (n *naive) pending() int64 {
	switch {
	case n.done:
		return 0
	case n.over:
		return n.h.Output
	}
	return n.tau(len(n.events))
}
