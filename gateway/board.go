package gateway

import (
	"maps"
	"strings"
	"sync"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// pair is a provider and the label of a model.
type pair struct{ provider, model string }

// pairs are those that a provider has answered for. All their series exist from
// then on, so that a rate can be taken of the first loss.
type pairs struct {
	mu   sync.Mutex
	seen map[pair]bool
}

// add reports whether it is a new one.
func (p *pairs) add(of pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[pair]bool{}
	}
	known := p.seen[of]
	p.seen[of] = true
	return !known
}

func (p *pairs) all() map[pair]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.seen)
}

// answered notes that a provider has answered for a model.
func (g *Gateway) answered(p pair) {
	if !g.pairs.add(p) {
		return
	}
	for _, cause := range []string{leftClient, leftGateway, leftSlow} {
		g.metrics.Breaks.WithLabelValues(p.provider, p.model, cause)
	}
	for _, via := range []string{viaID, viaKey, viaRetry, viaAuto} {
		for _, result := range []string{resumeCompleted, resumeInterrupted} {
			g.metrics.Resumes.WithLabelValues(p.provider, p.model, via, result)
		}
	}
}

// expectFrom has the series of providers there before the first error.
func (g *Gateway) expectFrom(providers map[string]Provider) {
	for name, p := range providers {
		if p.Dialect == nil {
			continue
		}
		g.metrics.UpstreamRequests.WithLabelValues(name)
		for _, failure := range []string{"429", "500", "502", "503", "504", "529", "no_response", "error_event", "cut", "cancelled", errorTypeGateway} {
			g.metrics.UpstreamErrors.WithLabelValues(name, failure)
		}
	}
	for _, result := range []string{resumeNotFound, resumeExpired} {
		g.metrics.Resumes.WithLabelValues(unknownProvider, metrics.Other, viaID, result)
	}
}

// board is all series that are read when they are scraped. Once there, a series
// stays, at 0 if nothing is said of it: most of them always are, so what a scrape
// costs is what it costs to write them out.
type board struct {
	metrics *metrics.Metrics

	mu    sync.Mutex // held for the time of a scrape
	cells map[string]*cell
	order []*cell
	pairs map[pair]bool // those whose series are all there
}

type cell struct {
	key    string
	series *metrics.Series
	value  float64
}

// seriesKey names a series.
func seriesKey(name string, labels ...string) string {
	return name + "\x00" + strings.Join(labels, "\x00")
}

// begin takes all values back to 0.
func (b *board) begin() {
	if b.cells == nil {
		b.cells, b.pairs = map[string]*cell{}, map[pair]bool{}
		b.known()
	}
	for _, c := range b.order {
		c.value = 0
	}
}

// add adds to a series' value, and makes the series if need be.
func (b *board) add(value float64, name string, labels ...string) {
	key := seriesKey(name, labels...)
	c := b.cells[key]
	if c == nil {
		c = &cell{key: key, series: b.metrics.Series(name, labels...)}
		b.cells[key] = c
		b.order = append(b.order, c)
	}
	c.value += value
}

// known makes the series whose labels are known from the start.
func (b *board) known() {
	for _, reason := range pricing.Reasons() {
		b.add(0, metrics.NameUnpriced, string(reason))
	}
	for _, reason := range []string{ledger.Reconciled, ledger.LateUsage, ledger.PriceVariance, ledger.Correction} {
		for _, sign := range []string{"plus", "minus"} {
			b.add(0, metrics.NameAdjustedTokens, reason, sign)
			b.add(0, metrics.NameAdjustedCost, reason, sign)
		}
	}
}

// pair makes all series that a pair has.
func (b *board) pair(p pair) {
	if b.pairs[p] {
		return
	}
	b.pairs[p] = true
	for _, outcome := range []string{ledger.Delivered, ledger.Wasted, ledger.Lost} {
		for _, basis := range []string{reported, estimated} {
			for _, kind := range []token.Kind{token.Input, token.CacheRead, token.CacheWrite5m, token.CacheWrite1h} {
				b.add(0, metrics.NameInputTokens, p.provider, p.model, string(kind), outcome, basis)
			}
			for _, cause := range ledger.Causes(outcome) {
				b.add(0, metrics.NameOutputTokens, p.provider, p.model, outcome, cause, basis)
				b.add(0, metrics.NameCost, p.provider, p.model, input, outcome, cause, basis)
				b.add(0, metrics.NameCost, p.provider, p.model, output, outcome, cause, basis)
			}
		}
	}
	for name, values := range map[string][]string{
		metrics.NameSavedTokens: {input, output}, metrics.NameSaved: {input, output}, metrics.NameSavedUpper: {input, output},
		metrics.NameOverheadTokens: overheadKinds, metrics.NameOverhead: overheadKinds,
		metrics.NameMissed: missReasons, metrics.NameMissedCost: missReasons,
	} {
		for _, v := range values {
			b.add(0, name, p.provider, p.model, v)
		}
	}
	for _, name := range []string{metrics.NamePendingTokens, metrics.NameAtRiskTokens, metrics.NameAtRisk} {
		b.add(0, name, p.provider, p.model)
	}
}

var overheadKinds = []string{ledger.OverheadUnclaimed, ledger.OverheadRetry, ledger.OverheadCrash}

// show yields all series. Those that losses have an exemplar for have it.
func (b *board) show(yield metrics.Yield, exemplars map[string]*metrics.Exemplar) {
	for _, c := range b.order {
		yield(c.series, c.value, exemplars[c.key])
	}
}
