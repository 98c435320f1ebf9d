package gateway

import (
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// label is what a model is called in metrics: its id in the price book, else
// "other", so that their number is bounded.
func (g *Gateway) label(provider, model string) string {
	if id, ok := g.prices.Load().Resolve(provider, model); ok {
		return id
	}
	return settle.Other
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
	_, cost, _ := g.settler.Guess(h.Provider, h.Model, bytes)
	return cost
}

// scrape yields what is read when it is scraped: of the log, the ledger's totals,
// and what these don't have yet.
func (g *Gateway) scrape(yield metrics.Yield) {
	b := &g.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin()
	st := g.log.Stats()
	b.add(1, metrics.NamePriceBook, g.prices.Load().Version())
	b.add(float64(st.QueuedBytes), metrics.NameAppendQueueBytes)
	b.add(float64(st.DiskBytes), metrics.NameLogBytes)
	b.add(float64(st.FreeBytes), metrics.NameLogFreeBytes)
	b.add(float64(st.Unsettled), metrics.NameUnsettled)
	b.add(truth(g.log.Err() != nil), metrics.NameFailed, "log")
	running, lag := g.underWay()
	b.add(float64(lag), metrics.NameDeliveryLag)
	if g.settler != nil {
		for p := range g.pairs.all() {
			b.pair(p)
		}
		t := g.books.Ledger.Totals()
		b.outcomes(t)
		b.memos(t)
		b.corrections(t)
		b.tagged(t, g.labelTags)
		books := g.books.Ledger.Stats()
		b.add(float64(books.ImbalanceTokens), metrics.NameLedgerImbalance)
		b.add(truth(books.Err != nil), metrics.NameFailed, "ledger")
		g.unsettled(b, running)
	}
	b.show(yield, g.losses.all())
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// outcomes are what became of tokens and money.
func (b *board) outcomes(t ledger.Totals) {
	for _, v := range t.Output {
		b.pair(pair{v.Provider, v.Model})
		b.add(float64(v.Tokens), metrics.NameOutputTokens, v.Provider, v.Model, v.Outcome, v.Cause, basis(v.Estimated))
	}
	for _, v := range t.Input {
		b.pair(pair{v.Provider, v.Model})
		b.add(float64(v.Tokens), metrics.NameInputTokens, v.Provider, v.Model, string(v.Kind), v.Outcome, basis(v.Estimated))
	}
	for _, v := range t.Cost {
		b.add(v.Amount.Dollars(), metrics.NameCost, v.Provider, v.Model, v.Direction, v.Outcome, v.Cause, basis(v.Estimated))
	}
}

// memos are what resumes saved, what the gateway caused, and what was missed.
func (b *board) memos(t ledger.Totals) {
	for _, v := range t.Saved {
		b.add(float64(v.Tokens), metrics.NameSavedTokens, v.Provider, v.Model, v.Direction)
		b.add(v.Amount.Dollars(), metrics.NameSaved, v.Provider, v.Model, v.Direction)
		b.add(v.Upper.Dollars(), metrics.NameSavedUpper, v.Provider, v.Model, v.Direction)
	}
	for _, v := range t.Overhead {
		b.add(float64(v.Tokens), metrics.NameOverheadTokens, v.Provider, v.Model, v.Kind)
		b.add(v.Amount.Dollars(), metrics.NameOverhead, v.Provider, v.Model, v.Kind)
	}
	for _, v := range t.Missed {
		b.add(float64(v.Calls), metrics.NameMissed, v.Provider, v.Model, v.Reason)
		b.add(v.Amount.Dollars(), metrics.NameMissedCost, v.Provider, v.Model, v.Reason)
	}
}

// corrections are what was booked otherwise before, or could not be booked.
func (b *board) corrections(t ledger.Totals) {
	for _, v := range t.Unpriced {
		b.add(float64(v.Attempts), metrics.NameUnpriced, v.Reason)
	}
	for _, v := range t.Adjustments {
		if v.Of == adjustedOutcomes {
			b.add(float64(v.Tokens), metrics.NameAdjustedTokens, v.Reason, v.Sign)
			b.add(v.Amount.Dollars(), metrics.NameAdjustedCost, v.Reason, v.Sign)
		}
	}
	for _, v := range t.Unexplained {
		b.add(v.Amount.Dollars(), metrics.NameUnexplained, v.Provider)
	}
}

// tagged are tokens and money by the tags that are labels now. What was counted by
// others as well is added up over those.
func (b *board) tagged(t ledger.Totals, tags []string) {
	if len(tags) == 0 {
		return
	}
	for _, v := range t.Tagged {
		labels := []string{v.Provider, v.Outcome}
		for _, tag := range tags {
			labels = append(labels, v.Labels[tag])
		}
		b.add(float64(v.Tokens), metrics.NameTaggedOutputTokens, labels...)
		b.add(v.Amount.Dollars(), metrics.NameTaggedCost, labels...)
	}
}

// unsettled is what has no outcome yet: of streams under way as far as their
// bytes tell, of those that have ended as billed.
func (g *Gateway) unsettled(b *board, running map[group]int64) {
	add := func(p pair, tokens int64, cost pricing.Picodollars, orphan bool) {
		b.pair(p)
		b.add(float64(tokens), metrics.NamePendingTokens, p.provider, p.model)
		if orphan {
			b.add(float64(tokens), metrics.NameAtRiskTokens, p.provider, p.model)
			b.add(cost.Dollars(), metrics.NameAtRisk, p.provider, p.model)
		}
	}
	for of, bytes := range running {
		tokens, cost, _ := g.settler.Guess(of.provider, of.model, bytes)
		add(pair{of.provider, g.label(of.provider, of.model)}, tokens, cost, of.orphan)
	}
	g.settler.Unsettled(func(o settle.Open) {
		add(pair{o.Provider, o.Model}, o.Tokens, o.Amount, o.Orphan)
	})
}

// group is streams under way that are alike.
type group struct {
	pair   // with the model as it was asked for
	orphan bool
}

// underWay is how many bytes streams under way have received, by group, and how many
// events the owner who is furthest behind has not been given yet.
func (g *Gateway) underWay() (received map[group]int64, lag uint64) {
	received = map[group]int64{}
	for _, s := range g.held() {
		is := s.glance()
		lag = max(lag, is.behind)
		if is.live {
			received[group{pair{s.header.Provider, s.header.Model}, is.orphan}] += is.bytes
		}
	}
	return received, lag
}
