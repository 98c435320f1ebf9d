package gateway

import (
	"maps"
	"strings"
	"sync"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
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

// yielder takes a value without an exemplar.
type yielder func(name string, value float64, labels ...string)

// totals yields what the ledger has, and what it hasn't yet.
func (g *Gateway) totals(sample func(metrics.Sample)) {
	yield := func(name string, value float64, labels ...string) {
		sample(metrics.Sample{Name: name, Labels: labels, Value: value})
	}
	yield(metrics.NamePriceBook, 1, g.prices.Version())
	st := g.log.Stats()
	yield(metrics.NameAppendQueueBytes, float64(st.QueuedBytes))
	yield(metrics.NameLogBytes, float64(st.DiskBytes))
	yield(metrics.NameLogFreeBytes, float64(st.FreeBytes))
	yield(metrics.NameUnsettled, float64(st.Unsettled))
	yield(metrics.NameDeliveryLag, float64(g.lag()))
	if g.settler == nil {
		return
	}
	t := g.books.Ledger.Totals()
	seen := g.pairs.all()
	for _, v := range t.Output {
		seen[pair{v.Provider, v.Model}] = true
	}
	for _, v := range t.Input {
		seen[pair{v.Provider, v.Model}] = true
	}
	values := zeros(seen)
	for _, v := range t.Output {
		values[series{metrics.NameOutputTokens, v.Provider, v.Model, v.Outcome, v.Cause, basis(v.Estimated)}] = float64(v.Tokens)
	}
	for _, v := range t.Input {
		values[series{metrics.NameInputTokens, v.Provider, v.Model, string(v.Kind), v.Outcome, basis(v.Estimated)}] = float64(v.Tokens)
	}
	for _, v := range t.Cost {
		values[series{metrics.NameCost, v.Provider, v.Model, v.Direction, v.Outcome, v.Cause, basis(v.Estimated)}] = v.Amount.Dollars()
	}
	for s, v := range values {
		labels := s[1:]
		if s[0] != metrics.NameCost { // which has one more
			labels = s[1:6]
		}
		sample(metrics.Sample{Name: s[0], Labels: labels, Value: v, Exemplar: g.losses.of(s)})
	}
	g.memos(t, seen, yield)
	g.tagged(t, yield)
	g.corrections(t, yield)
	g.unsettled(yield)
}

// series is a metric and its labels.
type series [7]string

// zeros are the series that a pair has from when it is first seen, so that a
// rate can be taken of the first loss.
func zeros(seen map[pair]bool) map[series]float64 {
	values := map[series]float64{}
	for p := range seen {
		for _, outcome := range []string{ledger.Delivered, ledger.Wasted, ledger.Lost} {
			for _, b := range []string{reported, estimated} {
				for _, kind := range []token.Kind{token.Input, token.CacheRead, token.CacheWrite5m, token.CacheWrite1h} {
					values[series{metrics.NameInputTokens, p.provider, p.model, string(kind), outcome, b}] = 0
				}
				for _, cause := range ledger.Causes(outcome) {
					values[series{metrics.NameOutputTokens, p.provider, p.model, outcome, cause, b}] = 0
					values[series{metrics.NameCost, p.provider, p.model, input, outcome, cause, b}] = 0
					values[series{metrics.NameCost, p.provider, p.model, output, outcome, cause, b}] = 0
				}
			}
		}
	}
	return values
}

// memos are what resumes saved, what the gateway caused, and what was missed.
func (g *Gateway) memos(t ledger.Totals, seen map[pair]bool, yield yielder) {
	type series struct {
		pair
		by string
	}
	saved, over, missed := map[series]ledger.SavedTotal{}, map[series]ledger.OverheadTotal{}, map[series]ledger.MissedTotal{}
	for p := range seen {
		saved[series{p, input}], saved[series{p, output}] = ledger.SavedTotal{}, ledger.SavedTotal{}
		for _, kind := range []string{ledger.OverheadUnclaimed, ledger.OverheadRetry, ledger.OverheadCrash} {
			over[series{p, kind}] = ledger.OverheadTotal{}
		}
		for _, reason := range []string{missNotOptedIn, missEnded} {
			missed[series{p, reason}] = ledger.MissedTotal{}
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
		missed[series{pair{v.Provider, v.Model}, v.Reason}] = v
	}
	for k, v := range missed {
		yield(metrics.NameMissed, float64(v.Calls), k.provider, k.model, k.by)
		yield(metrics.NameMissedCost, v.Amount.Dollars(), k.provider, k.model, k.by)
	}
}

// tagged are tokens and money by the tags that are labels now. What was counted by
// others as well is added up over those.
func (g *Gateway) tagged(t ledger.Totals, yield yielder) {
	if len(g.labelTags) == 0 {
		return
	}
	type sum struct {
		labels  []string
		tokens  int64
		dollars float64
	}
	sums := map[string]*sum{}
	for _, v := range t.Tagged {
		labels := []string{v.Provider, v.Model, v.Outcome}
		for _, tag := range g.labelTags {
			labels = append(labels, v.Labels[tag])
		}
		key := strings.Join(labels, "\x00")
		if sums[key] == nil {
			sums[key] = &sum{labels: labels}
		}
		sums[key].tokens += v.Tokens
		sums[key].dollars += v.Amount.Dollars()
	}
	for _, s := range sums {
		yield(metrics.NameTaggedOutputTokens, float64(s.tokens), s.labels...)
		yield(metrics.NameTaggedCost, s.dollars, s.labels...)
	}
}

// corrections are what was booked otherwise before, or could not be booked.
func (g *Gateway) corrections(t ledger.Totals, yield yielder) {
	unpriced, adjusted := map[string]float64{}, map[[2]string]ledger.AdjustmentTotal{}
	for _, reason := range pricing.Reasons() {
		unpriced[string(reason)] = 0
	}
	for _, v := range t.Unpriced {
		unpriced[v.Reason] = float64(v.Attempts)
	}
	for reason, n := range unpriced {
		yield(metrics.NameUnpriced, n, reason)
	}
	for _, reason := range []string{ledger.Reconciled, ledger.LateUsage, ledger.PriceVariance, ledger.Correction} {
		for _, sign := range []string{"plus", "minus"} {
			adjusted[[2]string{reason, sign}] = ledger.AdjustmentTotal{}
		}
	}
	for _, v := range t.Adjustments {
		if v.Of == adjustedOutcomes {
			adjusted[[2]string{v.Reason, v.Sign}] = v
		}
	}
	for k, v := range adjusted {
		yield(metrics.NameAdjustedTokens, float64(v.Tokens), k[0], k[1])
		yield(metrics.NameAdjustedCost, v.Amount.Dollars(), k[0], k[1])
	}
	for _, v := range t.Unexplained {
		yield(metrics.NameUnexplained, v.Amount.Dollars(), v.Provider)
	}
	yield(metrics.NameLedgerImbalance, float64(g.books.Ledger.Stats().ImbalanceTokens))
}

// unsettled is what has no outcome yet: of streams under way as far as their
// bytes tell, of those that have ended as billed.
func (g *Gateway) unsettled(yield yielder) {
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
	for _, s := range g.held() {
		if bytes, orphan, live := s.unfinished(); live {
			tokens, cost := g.settler.Guess(s.header.Provider, s.header.Model, bytes)
			of(s.header.Provider, g.label(s.header.Provider, s.header.Model)).add(tokens, cost.Dollars(), orphan)
		}
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

// lag is how many events the owner who is furthest behind has not been given yet.
func (g *Gateway) lag() (most uint64) {
	for _, s := range g.held() {
		most = max(most, s.behind())
	}
	return most
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
