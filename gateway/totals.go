package gateway

import (
	"maps"
	"slices"
	"sync"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// label is what a model is called in metrics: its id in the price book, else
// "other", so that their number is bounded.
func (g *Gateway) label(provider, model string) string {
	if id, ok := g.prices.Resolve(provider, model); ok {
		return id
	}
	return settle.Other
}

// pair is a provider and the label of a model.
type pair struct{ provider, model string }

// pairs are those that a provider has answered for. All their series exist from
// then on, so that a rate can be taken of the first loss.
type pairs struct {
	mu   sync.Mutex
	seen map[pair]bool
}

func (p *pairs) add(provider, model string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[pair]bool{}
	}
	p.seen[pair{provider, model}] = true
}

func (p *pairs) all() map[pair]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[pair]bool, len(p.seen))
	maps.Copy(all, p.seen)
	return all
}

const (
	adjustedOutcomes = "outcomes" // of the ledger's adjustments, those of what became of tokens

	reported  = "reported"
	estimated = "estimated"
	input     = "input"
	output    = "output"
)

func basis(isEstimate bool) string {
	if isEstimate {
		return estimated
	}
	return reported
}

// cost is about what so many bytes of an answer cost: 0 where no books are kept.
func (g *Gateway) cost(h *streamlog.Header, bytes int64) pricing.Picodollars {
	if g.settler == nil {
		return 0
	}
	_, cost := g.settler.Guess(h.Provider, h.Model, bytes)
	return cost
}

// totals yields what the ledger has, and what it hasn't yet.
func (g *Gateway) totals(yield metrics.Yield) {
	yield(metrics.NamePriceBook, 1, g.prices.Version())
	if g.settler == nil {
		return
	}
	t := g.books.Ledger.Totals()
	seen := g.pairs.all()
	known := map[pair]bool{}
	once := func(provider, model string) {
		p := pair{provider, model}
		if !known[p] {
			known[p] = true
			seen[p] = true
		}
	}
	values := map[[6]string]float64{} // of the series that exist from the start
	for _, v := range t.Output {
		once(v.Provider, v.Model)
		values[[6]string{metrics.NameOutputTokens, v.Provider, v.Model, v.Outcome, v.Cause, basis(v.Estimated)}] = float64(v.Tokens)
	}
	for p := range seen {
		for _, outcome := range []string{ledger.Delivered, ledger.Wasted, ledger.Lost} {
			for _, cause := range ledger.Causes(outcome) {
				for _, b := range []string{reported, estimated} {
					key := [6]string{metrics.NameOutputTokens, p.provider, p.model, outcome, cause, b}
					values[key] += 0
				}
			}
		}
	}
	for k, v := range values {
		yield(k[0], v, k[1:]...)
	}
	for _, v := range t.Input {
		yield(metrics.NameInputTokens, float64(v.Tokens), v.Provider, v.Model, string(v.Kind), v.Outcome, basis(v.Estimated))
	}
	for _, v := range t.Cost {
		yield(metrics.NameCost, v.Amount.Dollars(), v.Provider, v.Model, v.Direction, v.Outcome, v.Cause, basis(v.Estimated))
	}
	g.memos(t, seen, yield)
	g.corrections(t, yield)
	g.unsettled(yield)
}

// memos are what resumes saved, what the gateway caused, and what was missed.
func (g *Gateway) memos(t ledger.Totals, seen map[pair]bool, yield metrics.Yield) {
	type series struct {
		pair
		by string
	}
	saved, over := map[series]ledger.SavedTotal{}, map[series]ledger.OverheadTotal{}
	for p := range seen {
		saved[series{p, input}], saved[series{p, output}] = ledger.SavedTotal{}, ledger.SavedTotal{}
		for _, kind := range []string{ledger.OverheadUnclaimed, ledger.OverheadRetry, ledger.OverheadCrash} {
			over[series{p, kind}] = ledger.OverheadTotal{}
		}
	}
	for _, v := range t.Saved {
		saved[series{pair{v.Provider, v.Model}, v.Direction}] = v
	}
	for _, v := range t.Overhead {
		over[series{pair{v.Provider, v.Model}, v.Kind}] = v
	}
	for k, v := range saved {
		yield(metrics.NameSavedTokens, float64(v.Tokens), k.provider, k.model, k.by)
		yield(metrics.NameSaved, v.Amount.Dollars(), k.provider, k.model, k.by)
		yield(metrics.NameSavedUpper, v.Upper.Dollars(), k.provider, k.model, k.by)
	}
	for k, v := range over {
		yield(metrics.NameOverheadTokens, float64(v.Tokens), k.provider, k.model, k.by)
		yield(metrics.NameOverhead, v.Amount.Dollars(), k.provider, k.model, k.by)
	}
	for _, v := range t.Missed {
		yield(metrics.NameMissed, float64(v.Calls), v.Provider, v.Model, v.Reason)
		yield(metrics.NameMissedCost, v.Amount.Dollars(), v.Provider, v.Model, v.Reason)
	}
}

// corrections are what was booked otherwise before, or could not be booked.
func (g *Gateway) corrections(t ledger.Totals, yield metrics.Yield) {
	for _, v := range t.Unpriced {
		yield(metrics.NameUnpriced, float64(v.Attempts), v.Reason)
	}
	for _, v := range t.Adjustments {
		if v.Of == adjustedOutcomes {
			yield(metrics.NameAdjustedTokens, float64(v.Tokens), v.Reason, v.Sign)
			yield(metrics.NameAdjustedCost, v.Amount.Dollars(), v.Reason, v.Sign)
		}
	}
	for _, v := range t.Unexplained {
		yield(metrics.NameUnexplained, v.Amount.Dollars(), v.Provider)
	}
	yield(metrics.NameLedgerImbalance, float64(g.books.Ledger.Stats().ImbalanceTokens))
}

// unsettled is what has no outcome yet: of streams under way as far as their
// bytes tell, of those that have ended as billed.
func (g *Gateway) unsettled(yield metrics.Yield) {
	pending := map[pair]*open{}
	of := func(provider, model string) *open {
		p := pair{provider, model}
		if pending[p] == nil {
			pending[p] = &open{}
		}
		return pending[p]
	}
	for p := range g.pairs.all() {
		of(p.provider, p.model)
	}
	g.mu.Lock()
	running := slices.Collect(maps.Values(g.streams))
	g.mu.Unlock()
	for _, s := range running {
		if !s.live() {
			continue
		}
		tokens, cost := g.settler.Guess(s.header.Provider, s.header.Model, int64(s.log.Info().Bytes))
		of(s.header.Provider, g.label(s.header.Provider, s.header.Model)).add(tokens, cost.Dollars(), s.isOrphan())
	}
	g.settler.Unsettled(func(o settle.Open) {
		of(o.Provider, o.Model).add(o.Tokens, o.Amount.Dollars(), o.Orphan)
	})
	for p, o := range pending {
		yield(metrics.NamePendingTokens, float64(o.tokens), p.provider, p.model)
		yield(metrics.NameAtRiskTokens, float64(o.atRisk), p.provider, p.model)
		yield(metrics.NameAtRisk, o.cost, p.provider, p.model)
	}
}

// open is what is pending of a pair.
type open struct {
	tokens, atRisk int64
	cost           float64 // of what is at risk, in dollars
}

func (o *open) add(tokens int64, cost float64, orphan bool) {
	o.tokens += tokens
	if orphan {
		o.atRisk += tokens
		o.cost += cost
	}
}
