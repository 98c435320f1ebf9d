package gateway

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/providers"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// The CLIENT span of an attempt goes on after the client has left, and ends when the
// books have its bill: so its usage is on it once, and is what was booked. Its end is
// that of the attempt.

// unbilled are the spans of attempts that have ended and whose bill is not posted yet.
type unbilled struct {
	mu        sync.Mutex
	spans     map[streamlog.ID]endedSpan
	recovered map[streamlog.ID]trace.SpanContext // of streams that are not settled yet: the recovery's span
}

type endedSpan struct {
	span trace.Span
	at   time.Time
}

// maxUnbilled bounds how many wait: if the ledger takes nothing, they would be all.
const maxUnbilled = 10_000

// add keeps a span until its bill is posted.
func (u *unbilled) add(id streamlog.ID, span trace.Span, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.spans == nil {
		u.spans = map[streamlog.ID]endedSpan{}
	}
	if len(u.spans) >= maxUnbilled {
		span.End(trace.WithTimestamp(at))
		return
	}
	u.spans[id] = endedSpan{span, at}
}

// take returns a stream's span, if there is one: to whoever comes first.
func (u *unbilled) take(id streamlog.ID) (endedSpan, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e, ok := u.spans[id]
	delete(u.spans, id)
	return e, ok
}

// recovers notes that an attempt's own span died with its gateway.
func (u *unbilled) recovers(id streamlog.ID, span trace.Span) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.recovered == nil {
		u.recovered = map[streamlog.ID]trace.SpanContext{}
	}
	u.recovered[id] = span.SpanContext()
}

// forget is for when a stream is settled: nothing more is said of it.
func (u *unbilled) forget(id streamlog.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.recovered, id)
}

// end ends all that are left: their bills are for the next process to post.
func (u *unbilled) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, e := range u.spans {
		e.span.End(trace.WithTimestamp(e.at))
		delete(u.spans, id)
	}
}

// beginSpans begins the two spans of a stream's first call and notes in its header
// where they are.
func (g *Gateway) beginSpans(c echo.Context, call *call, h *streamlog.Header) (server, attempt trace.Span) {
	if tracedOf(c) == nil {
		return noSpan, noSpan
	}
	id := metrics.AttrStreamID.String(h.ID.String())
	attributes := append([]attribute.KeyValue{id}, metrics.TagAttributes(h.Tags, g.cfg().SpanTags)...)
	server = g.beginSpan(c, h.Endpoint, trace.WithAttributes(attributes...))
	_, attempt = g.tracer.Start(trace.ContextWithSpan(context.Background(), server), operationOf(h)+" "+metrics.Text(h.Asked(), maxSpanModel),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(append(attributes, inferenceAttributes(call)...)...))
	sc := server.SpanContext()
	h.Traceparent, h.Tracestate, h.AttemptSpan = traceparent(sc), sc.TraceState().String(), attempt.SpanContext().SpanID().String()
	return server, attempt
}

const maxSpanModel = 100

// inferenceAttributes describe a call as it is made.
func inferenceAttributes(call *call) []attribute.KeyValue {
	base, h := call.provider.BaseURL, &call.header
	attributes := []attribute.KeyValue{
		metrics.AttrOperation.String(operationOf(h)), metrics.AttrProvider.String(genAIProvider(&call.provider)),
		metrics.AttrProviderOf.String(h.Provider), metrics.AttrRequestModel.String(metrics.Text(h.Asked(), maxSpanModel)),
		metrics.AttrServerAddress.String(base.Hostname()), metrics.AttrServerPort.Int(portOf(base.Port(), base.Scheme)),
	}
	if h.Streamed {
		attributes = append(attributes, metrics.AttrRequestStream.Bool(true))
	}
	if h.MaxTokens > 0 {
		attributes = append(attributes, metrics.AttrRequestTokens.Int64(h.MaxTokens))
	}
	return attributes
}

func portOf(port, scheme string) int {
	n, err := strconv.Atoi(port)
	switch {
	case err == nil:
		return n
	case scheme == "http":
		return 80
	}
	return 443
}

// genAIProvider is what the GenAI conventions call a provider: where they have no name
// for it, what it is called in the configuration.
func genAIProvider(p *Provider) string {
	if p.GenAI != "" {
		return p.GenAI
	}
	if known, ok := providers.Named(p.Name); ok && known.GenAI != "" {
		return known.GenAI
	}
	return p.Name
}

// genAIProvider is that of a provider which may no longer be configured.
func (g *Gateway) genAIProvider(name string) string {
	p, ok := g.cfg().Providers[name]
	if !ok {
		p.Name = name
	}
	return genAIProvider(&p)
}

// operationOf is what the GenAI conventions call what a call does.
func operationOf(h *streamlog.Header) string {
	switch {
	case h.Dialect == dialect.Gemini.Name():
		return metrics.OperationGenerate
	case h.Endpoint == endpointCompletions:
		return metrics.OperationComplete
	}
	return metrics.OperationChat
}

// endAttempt notes on an attempt's span how it ended, and keeps the span until its
// bill is posted.
func (g *Gateway) endAttempt(s *stream, e streamlog.End, t timing) {
	info := s.log.Info()
	errorType := attemptError(e, info.Head)
	g.metrics.GenAI.Ended(trace.ContextWithSpan(context.Background(), s.attempt), g.inference(info), time.Since(t.sent).Seconds(), errorType)
	if !s.attempt.IsRecording() {
		return
	}
	if t.first > 0 && s.header.Streamed {
		s.attempt.SetAttributes(metrics.AttrFirstChunk.Float64(t.first.Seconds()))
	}
	var reasons []string
	for _, r := range t.reasons {
		reasons = append(reasons, metrics.Text(r, maxSpanModel))
	}
	if e.State != streamlog.Completed {
		reasons = append(reasons, metrics.FinishError)
	}
	if len(reasons) > 0 {
		s.attempt.SetAttributes(metrics.AttrFinishReasons.StringSlice(reasons))
	}
	fail(s.attempt, errorType)
	g.awaitBill(s.header.ID, s.attempt, e.At)
}

// timing is what the drain has seen of an attempt beside its bytes.
type timing struct {
	sent    time.Time
	first   time.Duration // from then to the first event; 0: there was none
	reasons []string      // why the provider says that its answer ended
}

// awaitBill keeps a span until the bill is posted; without books it is done now.
func (g *Gateway) awaitBill(id streamlog.ID, span trace.Span, at time.Time) {
	if g.settler == nil && g.prices.Load() != nil { // all is set up, and there are no books
		span.End(trace.WithTimestamp(at))
		return
	}
	g.unbilled.add(id, span, at)
}

// attemptError is the type of error of an attempt. That nobody wanted an answer any
// more is none.
func attemptError(e streamlog.End, head *streamlog.Head) string {
	if e.State == streamlog.Completed || e.State == streamlog.Cancelled {
		return ""
	}
	return errorType(e, head)
}

func endAttributes(e streamlog.End, head *streamlog.Head) []attribute.KeyValue {
	attributes := []attribute.KeyValue{metrics.AttrStreamState.String(string(e.State))}
	for key, v := range map[attribute.Key]string{
		metrics.AttrStreamCause: e.Cause, metrics.AttrResponseID: e.ResponseID, metrics.AttrResponseModel: e.Model,
	} {
		if v != "" {
			attributes = append(attributes, key.String(metrics.Text(v, maxUserAgent)))
		}
	}
	if head != nil {
		attributes = append(attributes, metrics.AttrHTTPStatus.Int(head.Status))
		if head.RequestID != "" {
			attributes = append(attributes, metrics.AttrRequestID.String(metrics.Text(head.RequestID, maxUserAgent)))
		}
	}
	return attributes
}

// recoverySpan begins the span of what a killed gateway left: the attempt's own span
// died with it. It has the attempt's bill.
func (g *Gateway) recoverySpan(s *streamlog.Stream) trace.Span {
	if !g.traces {
		return noSpan
	}
	h := s.Header()
	_, span := g.tracer.Start(context.Background(), metrics.SpanRecover, trace.WithLinks(linksTo(&h)...),
		trace.WithAttributes(metrics.AttrStreamID.String(h.ID.String()), metrics.AttrProviderOf.String(h.Provider), metrics.AttrRequestModel.String(metrics.Text(h.Asked(), maxSpanModel))))
	g.unbilled.add(h.ID, span, time.Now())
	g.unbilled.recovers(h.ID, span)
	return span
}

// inference is what GenAI metrics say of a stream's attempt.
func (g *Gateway) inference(i streamlog.Info) metrics.Inference {
	h := &i.Header
	in := metrics.Inference{Operation: operationOf(h), Provider: g.genAIProvider(h.Provider), RequestModel: g.label(h.Provider, h.Model)}
	in.ResponseModel = in.RequestModel
	if i.End != nil && i.End.Model != "" {
		in.ResponseModel = g.label(h.Provider, i.End.Model)
	}
	return in
}

// propagate writes the trace context for the provider into a request's headers, if it
// is to have any: a third party would learn who asked what together.
func propagate(h http.Header, p Provider, span trace.Span) {
	if !p.PropagateTrace {
		for _, name := range traceHeaders {
			h.Del(name)
		}
		return
	}
	if span.SpanContext().IsValid() {
		h.Del("Tracestate") // of a context that was none
		propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), span), propagation.HeaderCarrier(h))
	}
}

// traceHeaders are those by which traces go on from one service to the next.
var traceHeaders = []string{"Traceparent", "Tracestate", "Baggage"}
