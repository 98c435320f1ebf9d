package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// What a call can say in Recoup-On-Disconnect.
const (
	disconnectContinue = "continue"
	disconnectCancel   = "cancel"
)

// call is a generating call before it is known whether it makes a stream or
// resumes one.
type call struct {
	provider Provider
	caller   caller
	path     string // to send to the provider
	body     []byte // as it is sent
	plain    []byte // as the client sent it, where that is something else
	request  dialect.Request
	header   streamlog.Header

	adopt string // viaRetry or viaAuto: it may continue an orphan of the same content; empty: it may not
	never bool   // it says that it continues nothing
	ids   bool   // it wants events numbered
}

// target is where a generating call goes.
type target struct {
	provider       Provider
	path, endpoint string
}

// generate handles a call that a provider would bill: it continues the stream
// that its key names, or one that it may adopt, or makes a new one.
func (g *Gateway) generate(c echo.Context, to target, seen seenCall) error {
	seen.PassThrough, seen.Endpoint = false, to.endpoint
	call, err := g.readCall(c, to.provider, to.path, to.endpoint)
	if err != nil {
		g.saw(seen, err)
		return err
	}
	conn, err := g.connectCall(c, call)
	seen.of(g, call, conn)
	g.saw(seen, err)
	if err != nil {
		return err
	}
	return conn.serve(c)
}

// connectCall connects to the stream that the call's key names, without a key to one
// that it may adopt, or to a new one.
// Calls with the same key wait for each other: the second must find what the
// first has made.
func (g *Gateway) connectCall(c echo.Context, call *call) (*connection, error) {
	if call.header.Key.IsZero() {
		conn, err := g.adopt(c, call)
		if conn != nil || err != nil {
			return conn, err
		}
		return g.admitNew(c, call, "")
	}
	lock := g.admitting.of(call.header.Key[0])
	lock.Lock()
	defer lock.Unlock()
	conn, reason, err := g.resumeByKey(c, call)
	if conn != nil || err != nil {
		return conn, err
	}
	return g.admitNew(c, call, reason)
}

// admitNew makes a stream for a call that continues none; reason says why, where
// it might have.
func (g *Gateway) admitNew(c echo.Context, call *call, reason string) (*connection, error) {
	if !call.never {
		if miss := g.repeats(call); reason == "" {
			reason = miss
		}
	}
	if reason == "" && call.adopt != "" && call.header.Key.IsZero() {
		var err error
		if reason, err = g.whyNew(call); err != nil {
			return nil, err
		}
	}
	g.askForUsage(call)
	conn, err := g.admit(c, call)
	if err == nil {
		conn.reason = reason
	}
	return conn, err
}

// readCall reads and checks what the client sent.
func (g *Gateway) readCall(c echo.Context, p Provider, path, endpoint string) (*call, error) {
	r, cfg := c.Request(), g.cfg()
	who, err := g.identify(c)
	if err != nil {
		return nil, err
	}
	resume := cfg.resumePolicy(&p, who)
	body, err := readBody(c, cfg.MaxBodyBytes)
	if err != nil {
		return nil, err
	}
	req, err := p.Dialect.Parse(endpoint, body)
	if err != nil {
		return nil, requestError(err)
	}
	req = dialect.Locate(p.Dialect, req, path, r.URL.RawQuery)
	if p.Deployments && req.Model != "" {
		req.Model, req.Deployment = "", req.Model
	}
	t, err := tags(ownHeader(r.Header, "Recoup-Tags"))
	if err == nil {
		t, err = who.tagged(t)
	}
	if err != nil {
		return nil, badRequest("invalid_tags", "%v", err)
	}
	onDisconnect := ownHeader(r.Header, "Recoup-On-Disconnect")
	if onDisconnect != "" && onDisconnect != disconnectContinue && onDisconnect != disconnectCancel {
		return nil, badRequest("invalid_on_disconnect", "Recoup-On-Disconnect: want continue or cancel.")
	}
	call := &call{provider: p, caller: who, path: path, body: body, request: req}
	h := &call.header
	h.Principal = who.principal
	if key := ownHeader(r.Header, "Idempotency-Key"); key != "" && resume != ResumeOff {
		h.Key = g.hash.sum("key", h.Principal.String(), key)
	}
	h.Provider, h.Dialect, h.Endpoint, h.Model = p.Name, p.Dialect.Name(), req.Endpoint, req.Model
	h.Deployment = req.Deployment
	h.Streamed, h.Choices, h.Tags = req.Stream, req.Choices, t
	h.BodyBytes, h.MaxTokens, h.ServiceTier = int64(len(body)), req.MaxTokens, req.ServiceTier
	h.Traceparent, h.Tracestate = traceOf(r.Header)
	if err := g.fingerprint(call, r.Header); err != nil {
		return nil, err
	}
	h.Policy = streamlog.Policy{
		OnCancel:     string(p.OnCancel),
		Reclaimable:  !h.Key.IsZero() || onDisconnect == disconnectContinue && resume != ResumeOff,
		OnDisconnect: onDisconnect,
		Background:   req.Background,
		BillsFilter:  p.BillsFilter,
	}
	if req.Background {
		h.Policy.OnCancel = string(BilledInFull) // the provider goes on, whoever leaves
	}
	if call.ids, err = eventIDs(r.Header); err != nil {
		return nil, err
	}
	return call, call.readResume(r.Header, resume)
}

// fingerprint says which calls are equal to this one: of the same caller, for the same thing.
func (g *Gateway) fingerprint(call *call, said http.Header) error {
	canonical, unlimited, err := dialect.Canonicals(call.body)
	if err != nil {
		return badRequest("invalid_json", "The request body is not valid JSON: %v.", err)
	}
	h, p := &call.header, &call.provider
	of := func(body []byte) streamlog.Hash {
		return g.hash.sum("fingerprint", append([]string{h.Principal.String(), p.Name, call.request.Address(),
			said.Get("Anthropic-Version"), strings.Join(said.Values("Anthropic-Beta"), ","), string(body)}, dialect.Selectors(p.Dialect, said)...)...)
	}
	h.Fingerprint = of(canonical)
	if h.Crossing = h.Fingerprint; len(unlimited) != len(canonical) {
		h.Crossing = of(unlimited)
	}
	return nil
}

func readBody(c echo.Context, limit int64) ([]byte, error) {
	r := c.Request()
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &httpError{status: http.StatusRequestEntityTooLarge, code: "request_too_large", message: fmt.Sprintf(
			"The request body is larger than %d bytes. Send less, or raise max_body_bytes of the gateway.", limit)}
	case err != nil:
		return nil, &httpError{status: http.StatusBadRequest, code: "request_cut", message: "The request body could not be read to its end.", err: err}
	}
	if err := r.Context().Err(); err != nil {
		return nil, errClientGone // nothing was bought yet, and nobody is there to have it
	}
	return body, nil
}

func requestError(err error) error {
	var bad *dialect.BadRequest
	if errors.As(err, &bad) {
		return &httpError{status: http.StatusBadRequest, code: "invalid_request", message: bad.Message, param: bad.Param}
	}
	return err
}

// Why a call does not continue the earlier one with its key, or of its content.
// See missed.go for those that are counted.
const (
	reasonEnded    = "ended"          // that one was interrupted, failed, was cancelled or is damaged; without a key, also delivered
	reasonExpired  = "expired"        // its answer is no longer kept
	reasonAttached = "owner-attached" // its answer is being read
)

// resumeByKey connects to the stream that the call's key names. It returns no
// connection if the key names a new stream, and why, if it was seen before.
func (g *Gateway) resumeByKey(c echo.Context, call *call) (conn *connection, reason string, err error) {
	s, reason, err := g.byKey(call)
	if s == nil || err != nil {
		return nil, reason, err
	}
	conn, err = g.connect(c, &connection{stream: s, via: viaKey, whole: s.header.Streamed && !call.header.Streamed})
	if errors.Is(err, errDead) {
		return nil, reasonEnded, nil
	}
	return conn, "", err
}

// byKey returns the stream that the call's key names, or nil and why if the key
// names a new one.
func (g *Gateway) byKey(call *call) (s *stream, reason string, err error) {
	l, err := g.log.ByKey(call.header.Principal, call.header.Key)
	switch {
	case errors.Is(err, streamlog.ErrNotFound):
		return nil, "", nil
	case errors.Is(err, streamlog.ErrExpired):
		return nil, reasonExpired, nil
	case errors.Is(err, streamlog.ErrDamaged):
		return nil, reasonEnded, nil
	case err != nil:
		return nil, "", logError(err)
	}
	switch s, err = g.hold(l); {
	case errors.Is(err, streamlog.ErrDamaged):
		return nil, reasonEnded, nil
	case err != nil:
		return nil, "", logError(err)
	}
	if s.dead() {
		s.release()
		return nil, reasonEnded, nil
	}
	if err := sameCall(s, call); err != nil {
		s.release()
		return nil, "", err
	}
	return s, "", nil
}

// sameCall refuses a key that comes with another call than the first time.
func sameCall(s *stream, call *call) error {
	e := &httpError{status: http.StatusUnprocessableEntity, code: "idempotency_key_reused"}
	b := brokenOff(&s.header, time.Time{})
	switch {
	case !b.equals(&call.header):
		e.message = "This Idempotency-Key was used for a call with another body, or of another model or method. Use a new key for a new call."
	case !b.serves(&call.header) && call.header.Streamed:
		e.message = "This Idempotency-Key was used for the same call without stream: true. Its answer is one JSON body, of which no events can be made. " +
			"Repeat the call as it was, or use a new key."
	case !b.serves(&call.header):
		e.message = "This Idempotency-Key was used for the same call with stream: true, whose events can't be made one JSON body. Repeat the call as it was, or use a new key."
	default:
		return nil
	}
	return e
}

// admit makes the stream: its opening record is durable before the provider is
// called, so nothing can be billed that the log doesn't know of.
func (g *Gateway) admit(c echo.Context, call *call) (*connection, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Request().Context()))
	s, server, err := g.register(c, call, cancel)
	if err != nil {
		cancel()
		return nil, err
	}
	conn := &connection{stream: s, via: viaFirst, ids: call.ids, span: server}
	if err := s.log.Open(); err != nil {
		cancel()
		g.unregister(s)
		fail(s.attempt, errorTypeGateway) // the provider was never asked
		s.attempt.End()
		return nil, logError(err)
	}
	err = conn.open(nil)
	req := g.upstreamRequest(ctx, c.Request(), call)
	propagate(req.Header, call.provider, s.attempt)
	go func() {
		defer g.drains.Done()
		defer s.release()
		defer cancel()
		g.drain(s, call, req)
	}()
	s.opened()
	if err != nil {
		s.stop(stopDisconnect)
		s.release()
		return nil, logError(err)
	}
	return conn, nil
}

// register makes a stream known before anything of it is stored, so that from
// then on a shutdown finds it, and a reader finds this one.
func (g *Gateway) register(c echo.Context, call *call, stopDrain context.CancelFunc) (s *stream, server trace.Span, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return nil, noSpan, errDraining
	}
	s = &stream{gw: g, attempt: noSpan, stopDrain: stopDrain, draining: true, refs: 2} // the drain's and the connection's
	server = noSpan
	if s.log, err = g.log.Prepare(call.header, func(h *streamlog.Header) { server, s.attempt = g.beginSpans(c, call, h) }); err != nil {
		return nil, noSpan, logError(err)
	}
	s.header = s.log.Header()
	g.streams[s.header.ID] = s
	g.drains.Add(1) // the drain's
	return s, server, nil
}

// unregister forgets a stream that could not be stored.
func (g *Gateway) unregister(s *stream) {
	g.mu.Lock()
	delete(g.streams, s.header.ID)
	close(g.ended)
	g.ended = make(chan struct{})
	g.mu.Unlock()
	g.drains.Done()
}
