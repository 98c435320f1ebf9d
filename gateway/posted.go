package gateway

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// posted emits what follows from a posting, which is durable by now.
func (g *Gateway) posted(p settle.Posted) {
	h := &p.Info.Header
	span := g.unbilled.billed(h, p)
	if p.Billed {
		g.metrics.GenAI.Billed(trace.ContextWithSpanContext(context.Background(), span), g.inference(p.Info), p.Usage)
	}
	if p.Settled {
		g.settledSpan(h, p)
		g.losses.note(pair{h.Provider, p.Model}, p, span)
	}
	if p.Settled || p.Evidence == nil { // nothing more comes of it
		g.unbilled.forget(h.ID)
	}
}

// billed ends the span that waits for a stream's bill. It returns where the attempt is
// to be seen: in the span that the gateway which settles it has exported, if there is
// one, since those of one that was killed may never have been.
func (u *unbilled) billed(h *streamlog.Header, p settle.Posted) trace.SpanContext {
	if ended, ok := u.take(h.ID); ok {
		ended.span.SetAttributes(billAttributes(p)...)
		ended.span.End(trace.WithTimestamp(ended.at))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if sc, ok := u.recovered[h.ID]; ok {
		return sc
	}
	_, attempt := spansOf(h)
	return attempt
}

// billAttributes are what the provider reports, and what was booked.
func billAttributes(p settle.Posted) []attribute.KeyValue {
	if p.Evidence == nil {
		return nil
	}
	var attributes []attribute.KeyValue
	known := func(key attribute.Key, n int64, ok bool) {
		if ok {
			attributes = append(attributes, key.Int64(n))
		}
	}
	u := p.Usage
	n, ok := u.InputTotal().Get()
	known(metrics.AttrUsageInput, n, ok)
	n, ok = u.Output.Get()
	known(metrics.AttrUsageOutput, n, ok)
	n = u.CacheRead.Or(0)
	known(metrics.AttrUsageCacheRead, n, n > 0)
	n = u.CacheWrite5m.Or(0) + u.CacheWrite1h.Or(0)
	known(metrics.AttrUsageCacheWrite, n, n > 0)
	n = u.Reasoning.Or(0)
	known(metrics.AttrUsageReasoning, n, n > 0)

	e := p.Evidence
	attributes = append(attributes, metrics.AttrBilledInput.Int64(e.Input.Point), metrics.AttrBilledOutput.Int64(e.Output.Point), metrics.AttrBilledBasis.String(string(e.Bases.Output)))
	if e.Unpriced != "" {
		return append(attributes, metrics.AttrUnpriced.String(e.Unpriced))
	}
	return append(attributes, metrics.AttrBilledCost.Float64((p.Books.InputAmount + p.Books.OutputAmount).Dollars()))
}

// settledSpan says what became of a stream's tokens: in the trace of its call, or
// linked to it if that is long over.
func (g *Gateway) settledSpan(h *streamlog.Header, p settle.Posted) {
	_, attempt := spansOf(h)
	if !g.traces || !attempt.IsValid() {
		return
	}
	ctx, name := trace.ContextWithRemoteSpanContext(context.Background(), attempt), metrics.SpanSettle
	id := trace.WithAttributes(metrics.AttrStreamID.String(h.ID.String()))
	options := []trace.SpanStartOption{id}
	if p.Over {
		ctx, name = context.Background(), metrics.SpanExpire
		options = append(options, trace.WithLinks(linksTo(h)...))
	} else if !attempt.IsSampled() {
		return // a parent that is remote does not bind every sampler
	}
	_, span := g.tracer.Start(ctx, name, options...)
	span.SetAttributes(outcomeAttributes(p)...)
	span.End()
}

func outcomeAttributes(p settle.Posted) []attribute.KeyValue {
	tokens := map[string]int64{}
	var loss pricing.Picodollars
	var causes []string
	if p.Books.InputOutcome != ledger.Delivered {
		loss = p.Books.InputAmount
	}
	for _, o := range p.Books.Outcomes {
		tokens[o.Outcome] += o.Tokens
		if o.Outcome != ledger.Delivered && o.Tokens > 0 {
			loss += o.Amount
			causes = append(causes, o.Cause)
		}
	}
	var overhead pricing.Picodollars
	for _, o := range p.Books.Overhead {
		overhead += o.Amount
	}
	slices.Sort(causes)
	saved := p.Books.Saved
	return []attribute.KeyValue{
		metrics.AttrDeliveredN.Int64(tokens[ledger.Delivered]), metrics.AttrWasted.Int64(tokens[ledger.Wasted]), metrics.AttrLost.Int64(tokens[ledger.Lost]),
		metrics.AttrLossCauses.StringSlice(slices.Compact(causes)), metrics.AttrLossCost.Float64(loss.Dollars()),
		metrics.AttrSavedOutput.Int64(saved.OutputTokens), metrics.AttrSavedCost.Float64((saved.Input + saved.Output).Dollars()), metrics.AttrOverhead.Float64(overhead.Dollars()),
	}
}

// losses are the newest exemplars of tokens and money that were lost or wasted: they
// lead to the call.
type losses struct {
	mu     sync.Mutex
	newest map[string]*metrics.Exemplar
}

// note keeps what was lost of an attempt.
func (l *losses) note(of pair, p settle.Posted, attempt trace.SpanContext) {
	if !attempt.IsSampled() {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest == nil {
		l.newest = map[string]*metrics.Exemplar{}
	}
	estimated := basis(p.Evidence.Bases.Output.Estimated())
	for _, o := range p.Books.Outcomes {
		if o.Outcome == ledger.Delivered || o.Tokens == 0 {
			continue
		}
		l.newest[seriesKey(metrics.NameOutputTokens, of.provider, of.model, o.Outcome, o.Cause, estimated)] = metrics.NewExemplar(float64(o.Tokens), attempt, now)
		l.newest[seriesKey(metrics.NameCost, of.provider, of.model, output, o.Outcome, o.Cause, estimated)] = metrics.NewExemplar(o.Amount.Dollars(), attempt, now)
	}
}

// all are the exemplars by the keys of their series.
func (l *losses) all() map[string]*metrics.Exemplar {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.newest)
}
