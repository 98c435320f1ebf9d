package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// The SERVER span of a request begins when it is known which stream it is for: only
// then is it known what it links to, and whether it is sampled. It is backdated to
// the request's arrival. A request that gets no stream has its span at its end.

const tracedKey = "recoup.traced"

// noSpan is the span of what is not traced.
var noSpan = trace.SpanFromContext(context.Background())

// traced is a request that is, or would be, traced.
type traced struct {
	arrived time.Time
	caller  context.Context // has the caller's span, if it sent one
	route   string          // "": not known yet
	span    trace.Span      // nil until it begins
}

// trace makes a span of each request.
func (g *Gateway) trace(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		t := &traced{arrived: time.Now(), caller: propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(c.Request().Header))}
		c.Set(tracedKey, t)
		defer func() { // an aborted response comes here in a panic
			if t.span == nil {
				g.beginSpan(c, cmp.Or(t.route, c.Path()))
			}
			if t.span.IsRecording() {
				endServerSpan(t.span, statusOf(c, err), "")
			}
		}()
		return next(c)
	}
}

// tracedOf is how a request is traced; nil: it is not.
func tracedOf(c echo.Context) *traced {
	t, _ := c.Get(tracedKey).(*traced)
	return t
}

// beginSpan begins the SERVER span of a request.
func (g *Gateway) beginSpan(c echo.Context, route string, options ...trace.SpanStartOption) trace.Span {
	t := tracedOf(c)
	if t == nil {
		return noSpan
	}
	r := c.Request()
	method, name := r.Method, r.Method
	if !slices.Contains(methods, method) {
		method, name = "_OTHER", "HTTP" // as the conventions have it: anybody can invent one
	}
	route, _, _ = strings.Cut(route, "?") // the form of Gemini's streams
	options = append(options, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(t.arrived), trace.WithAttributes(
		metrics.AttrHTTPMethod.String(method), metrics.AttrHTTPRoute.String(route), metrics.AttrURLScheme.String("http"),
		metrics.AttrUserAgent.String(metrics.Text(r.UserAgent(), maxUserAgent))))
	_, t.span = g.tracer.Start(t.caller, name+" "+route, options...)
	return t.span
}

// routed notes the route of a request, for a span that begins at its end.
func routed(c echo.Context, route string) {
	if t := tracedOf(c); t != nil {
		t.route = route
	}
}

// methods are those that a span tells apart.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

const maxUserAgent = 256

// statusOf is the status that a response has, or will have for err.
func statusOf(c echo.Context, err error) int {
	var e *httpError
	var he *echo.HTTPError
	switch {
	case err == nil || c.Response().Committed:
		return c.Response().Status
	case errors.As(err, &e):
		return e.status
	case errors.Is(err, errClientGone):
		return statusClientGone
	case errors.As(err, &he):
		return he.Code
	}
	return http.StatusInternalServerError
}

// endServerSpan ends a SERVER span. What is wrong on the caller's side is no error of
// the server's, and a caller that leaves is none at all.
func endServerSpan(span trace.Span, status int, errorType string) {
	span.SetAttributes(metrics.AttrHTTPStatus.Int(status))
	if errorType == "" && status >= http.StatusInternalServerError {
		errorType = strconv.Itoa(status)
	}
	fail(span, errorType)
	span.End()
}

// fail marks a span as failed, unless errorType is empty.
func fail(span trace.Span, errorType string) {
	if errorType != "" {
		span.SetStatus(codes.Error, errorType)
		span.SetAttributes(metrics.AttrErrorType.String(errorType))
	}
}

// fetchSpan begins the SERVER span of a connection to a stream of an earlier call. It
// links to that call's two spans, so that it is sampled as they are, and reads an
// answer that was generated before: it has no usage.
func (g *Gateway) fetchSpan(c echo.Context, cn *connection, route string) trace.Span {
	if tracedOf(c) == nil {
		return noSpan
	}
	info := cn.stream.log.Info()
	attributes := []attribute.KeyValue{
		metrics.AttrStreamID.String(info.Header.ID.String()), metrics.AttrOperation.String(metrics.OperationFetch),
		metrics.AttrProvider.String(g.genAIProvider(info.Header.Provider)), metrics.AttrRequestModel.String(metrics.Text(info.Header.Asked(), maxSpanModel)),
		metrics.AttrResumed.String(cn.via), metrics.AttrOffset.Int64(int64(cn.start)), metrics.AttrObserve.Bool(cn.observe),
	}
	if info.End != nil && info.End.ResponseID != "" {
		attributes = append(attributes, metrics.AttrResponseID.String(info.End.ResponseID))
	}
	return g.beginSpan(c, route, trace.WithLinks(linksTo(&info.Header)...), trace.WithAttributes(attributes...))
}

// linksTo are the links to the two spans of a stream's first call.
func linksTo(h *streamlog.Header) []trace.Link {
	server, attempt := spansOf(h)
	if !server.IsValid() {
		return nil
	}
	return []trace.Link{
		{SpanContext: server, Attributes: []attribute.KeyValue{metrics.AttrLinkKind.String(metrics.LinkResumeOf)}},
		{SpanContext: attempt, Attributes: []attribute.KeyValue{metrics.AttrLinkKind.String(metrics.LinkOrigin)}},
	}
}

// spansOf are the contexts of the spans of a stream's first call and of its attempt,
// as they are stored with it; not valid if they weren't traced.
func spansOf(h *streamlog.Header) (server, attempt trace.SpanContext) {
	id, err := trace.SpanIDFromHex(h.AttemptSpan)
	if err != nil {
		return server, attempt
	}
	carrier := propagation.MapCarrier{"traceparent": h.Traceparent, "tracestate": h.Tracestate}
	server = trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	if !server.IsValid() {
		return server, attempt
	}
	return server, server.WithSpanID(id)
}

// endSpan ends a connection's span: how it ended, and what it was given.
func (cn *connection) endSpan(status int, cause string) {
	if !cn.span.IsRecording() {
		return
	}
	cn.span.SetAttributes(metrics.AttrEnded.String(cause), metrics.AttrDelivered.Int64(int64(cn.conn.Position())))
	if cn.gap > 0 {
		cn.span.SetAttributes(metrics.AttrGap.Float64(cn.gap.Seconds()))
	}
	failed := ""
	info := cn.stream.log.Info()
	switch {
	case cause == leftGateway:
		failed = errorTypeGateway
	case cause == leftDone && !cn.terminal.Load() && info.End != nil:
		failed = attemptError(*info.End, info.Head) // its client was given what the attempt came to
	}
	endServerSpan(cn.span, status, failed)
}

// logAttrs are what joins a log line to its stream and its trace.
func logAttrs(h *streamlog.Header) []any {
	return []any{slog.String("stream", h.ID.String()), traceAttr(h.Traceparent)}
}

// traceAttrOf joins a log line to the trace of a request.
func traceAttrOf(c echo.Context) slog.Attr {
	if t := tracedOf(c); t != nil && t.span != nil && t.span.SpanContext().IsValid() {
		return slog.String("trace_id", t.span.SpanContext().TraceID().String())
	}
	traceparent, _ := traceOf(c.Request().Header)
	return traceAttr(traceparent)
}

// traceparent writes a span's context in the W3C form.
func traceparent(sc trace.SpanContext) string {
	return fmt.Sprintf("00-%s-%s-%s", sc.TraceID(), sc.SpanID(), sc.TraceFlags())
}
