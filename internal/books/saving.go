package books

import (
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Saving is what resumes avoided, an estimate: a client without the gateway would have
// asked again from the start, once for each.
type Saving struct {
	InputTokens, OutputTokens int64
	Input, Output             pricing.Picodollars
}

// Amount is the saving in money.
func (s Saving) Amount() pricing.Picodollars { return s.Input + s.Output }

// How providers' caches work, as far as the claim assumes hits.
const (
	cacheLife  = 5 * time.Minute // from the break to the return
	cacheBlock = 128             // tokens
	cacheLeast = 1024            // tokens
	upperLimit = 2               // breaks, of which the upper counts the input
)

// save works out the claim and the upper.
func (a *Account) save(b *Books) error {
	if !a.delivered {
		return nil
	}
	var live int64
	var breaks []*broken
	for _, k := range a.breaks {
		if !a.qualifies(k) {
			continue
		}
		if w := a.live(k.conn); w > 0 {
			live += w
			breaks = append(breaks, k)
		}
	}
	f := &a.history.Facts
	live = min(live, f.Output)
	b.Saved.OutputTokens, b.Upper.OutputTokens = live, live
	b.Saved.Output = pricing.Stretch(b.OutputAmount, 0, live, f.Output)
	b.Upper.Output = b.Saved.Output

	b.Saved.InputTokens = int64(len(breaks)) * f.inputTokens()
	b.Upper.InputTokens = int64(min(len(breaks), upperLimit)) * f.inputTokens()
	return a.saveInput(b, breaks)
}

// qualifies says if a break was resumed and the client would have asked again.
func (a *Account) qualifies(k *broken) bool {
	if k.cause != Client || k.next == nil || k.next.start > k.pos {
		return false
	}
	return !k.taken || !a.has(k.conn) // the older side may have got it itself
}

// live is W: what was generated while c owned and was written to it.
func (a *Account) live(c *conn) int64 {
	if !a.history.Streamed {
		if c.ran {
			return a.history.Output
		}
		return 0
	}
	events := c.reign.and(c.owned)
	sum := a.pos.tokens(events).total()
	first, ok := a.pos.firstVisible()
	if !ok || events.covers(span{0, int64(first) + 1}) {
		return sum
	}
	if events.covers(span{int64(first), int64(first) + 1}) {
		sum -= a.pos.hidden
	}
	return sum
}

// saveInput prices the input that was not asked for again.
func (a *Account) saveInput(b *Books, breaks []*broken) error {
	f := &a.history.Facts
	if len(breaks) == 0 || !f.Rates.Known() {
		return nil
	}
	var paid pricing.Picodollars
	for _, l := range b.Input {
		if !l.Kind.IsTool() {
			paid += l.Amount // part of b.InputAmount
		}
	}
	fresh, err := f.fresh(f.inputTokens())
	if err != nil {
		return err
	}
	for i, k := range breaks {
		claim, err := f.asCacheHit(k.next.at.UnixMilli() - k.at.UnixMilli())
		if err != nil {
			return err
		}
		b.Saved.Input += min(claim, fresh, paid-b.Saved.Input)
		if i < upperLimit {
			if b.Upper.Input, err = b.Upper.Input.Plus(fresh); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Facts) fresh(tokens int64) (pricing.Picodollars, error) {
	rate, _ := f.Rates.Of(token.Input)
	return rate.Times(tokens)
}

// asCacheHit is the price of the input for a client that returns so many milliseconds
// after the break.
func (f *Facts) asCacheHit(after int64) (pricing.Picodollars, error) {
	input, hit := f.inputTokens(), int64(0)
	switch {
	case after > cacheLife.Milliseconds():
	case f.Caching == pricing.CachingAuto && input >= cacheLeast:
		hit = input / cacheBlock * cacheBlock
	case f.Caching == pricing.CachingMarked:
		hit = min(f.Marked, input)
	}
	rate, _ := f.Rates.Of(token.CacheRead)
	cached, err := rate.Times(hit)
	if err != nil {
		return 0, err
	}
	rest, err := f.fresh(input - hit)
	if err != nil {
		return 0, err
	}
	return cached.Plus(rest)
}
