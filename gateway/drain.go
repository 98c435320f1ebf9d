package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

const (
	firstReadSize = 4 << 10 // what most events fit in; grows when a read fills it
	maxReadSize   = 64 << 10
	maxPart       = 1 << 20 // an event larger than this is stored in parts
)

// drain sends the request and reads the answer to its end into the log. It is
// the gateway's, not a client's: only the policy for orphans, a cancel or a
// shutdown ends it early.
func (g *Gateway) drain(s *stream, call *call, req *http.Request) {
	t := timing{sent: time.Now()}
	g.metrics.UpstreamRequests.WithLabelValues(s.header.Provider).Inc()
	idle := newWatchdog(g.cfg().UpstreamIdleTimeout, s.stopDrain)
	defer idle.stop()
	e := g.receive(s, call, sending{req, idle, &t})
	if idle.fired() && e.State != streamlog.Completed {
		e = streamlog.End{State: streamlog.Interrupted, Cause: causeUpstream, Detail: fmt.Sprintf("the provider was silent for %v", idle.after)}
	}
	e = s.verdict(e)
	if err := g.end(s.log, e, s.attempt); err != nil {
		g.logger.Error("a stream's end was not stored; it will be recovered at the next start", append(logAttrs(&s.header), "error", err)...)
	}
	g.endAttempt(s, e, t) // before anybody settles it: its span waits for the bill
	s.drained(e)
	g.settle(s.log)
	g.mu.Lock()
	close(g.ended)
	g.ended = make(chan struct{})
	g.mu.Unlock()
}

// verdict corrects how an attempt ended by why it was stopped.
func (s *stream) verdict(e streamlog.End) streamlog.End {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.State == streamlog.Completed || s.stopped == "":
	case s.stopped == stopShutdown:
		e = streamlog.End{State: streamlog.Interrupted, Cause: stopShutdown, Detail: "the gateway was shut down", ResponseID: e.ResponseID, Model: e.Model}
	default:
		e = streamlog.End{State: streamlog.Cancelled, Cause: s.stopped, ResponseID: e.ResponseID, Model: e.Model}
	}
	return e
}

// sending is a request on its way, and what is noted of it.
type sending struct {
	request *http.Request
	idle    *watchdog
	timing  *timing
}

// receive makes the call and stores what comes.
func (g *Gateway) receive(s *stream, call *call, x sending) streamlog.End {
	resp, attempt, err := g.exchange(s, call, x.request)
	if err != nil {
		return unanswered(err)
	}
	defer resp.Body.Close()
	body, plain := decode(resp)
	call.body, call.plain = nil, nil // sent
	removeHopByHop(resp.Header)
	resp.Header.Del("Set-Cookie") // a credential, of sorts: it is not ours to keep
	contentType := resp.Header.Get("Content-Type")
	framing := call.request.Framing(contentType, maxPart)
	if framing != nil {
		// Interrupted, a body of a known length would look complete if that is
		// reached; and keepalives would not fit into it.
		resp.Header.Del("Content-Length")
	}
	head := streamlog.Head{Attempt: attempt, Status: resp.StatusCode, Header: resp.Header, RequestID: requestID(resp.Header), At: time.Now()}
	if err := s.log.SetHead(head); err != nil {
		return storeFailed(err)
	}
	ok := resp.StatusCode >= 200 && resp.StatusCode < 300
	if ok {
		g.answered(pair{s.header.Provider, g.label(s.header.Provider, s.header.Model)})
	}
	a := &answer{gw: g, stream: s, ok: ok, opaque: !plain, streamed: framing != nil, timing: x.timing, seen: call.provider.Dialect.Observe(call.request, contentType)}
	dialect.ReadHead(a.seen, resp.Header)
	a.json = isJSON(contentType)
	a.unnamed = ok && framing != nil && (s.header.Endpoint == endpointResponses || s.header.Endpoint == endpointInteractions)
	if ok && plain {
		a.events = framing
		_, a.frames = framing.(*dialect.EventStreamSplitter)
	}
	e := a.read(body, x.idle)
	e.ResponseID, e.Model = a.seen.ResponseID(), a.seen.Model()
	x.timing.reasons = a.seen.FinishReasons()
	return e
}

// unanswered is the end of an attempt that the provider did not answer. Where no
// connection could be made, it never got the request, and bills nothing.
func unanswered(err error) streamlog.End {
	e := streamlog.End{State: streamlog.Failed, Cause: causeUpstream, Detail: fmt.Sprintf("no response: %v", err)}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" || errors.Is(err, errUnsent) {
		e.Cause = causeUnreachable
	}
	return e
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

func requestID(h http.Header) string {
	for _, name := range []string{"X-Request-Id", "Request-Id", "Apim-Request-Id", "X-Amzn-Requestid"} { // the third is Azure's
		if id := h.Get(name); id != "" {
			return id
		}
	}
	return ""
}

func storeFailed(err error) streamlog.End {
	e := streamlog.End{State: streamlog.Interrupted, Cause: causeCrash, Detail: err.Error()}
	if errors.Is(err, streamlog.ErrDiskFull) {
		e.Cause = causeDiskFull
	}
	return e
}

// answer is a response body on its way into the log.
type answer struct {
	gw       *Gateway
	stream   *stream
	ok       bool            // the status says success
	opaque   bool            // in a content coding that the gateway can't read
	streamed bool            // the body is a stream of events, or was to be
	json     bool            // the body says that it is JSON
	events   dialect.Framing // nil: the body is no stream of events
	seen     dialect.Observer
	batch    []streamlog.Event
	inPart   bool             // the last part's event goes on
	frames   bool             // they are those of an AWS event stream
	closing  *streamlog.Event // completes the answer if nothing follows; it waits for that
	held     []byte           // the newest read of a body that is no stream of events: it may be the last

	complete bool // the terminal event is in the log
	failed   bool // a failure event is
	unnamed  bool // the provider's id of the answer is wanted, and didn't come yet

	timing   *timing
	came     time.Time           // when events came last
	interval prometheus.Observer // of these times
	chunks   *metrics.Chunks     // likewise
}

// read stores the body and says how it ended.
func (a *answer) read(body io.Reader, idle *watchdog) streamlog.End {
	buf := make([]byte, firstReadSize)
	for {
		n, err := body.Read(buf)
		idle.reset()
		if n > 0 {
			if err := a.take(buf[:n]); err != nil {
				return storeFailed(err)
			}
			if n == len(buf) && n < maxReadSize {
				buf = make([]byte, min(4*n, maxReadSize))
			}
		}
		if err != nil {
			if storeErr := a.finish(err == io.EOF); storeErr != nil {
				return storeFailed(storeErr)
			}
			return a.verdict(err)
		}
	}
}

// verdict says what a body is that ended with err.
func (a *answer) verdict(err error) streamlog.End {
	whole := err == io.EOF
	switch {
	case a.complete:
		return streamlog.End{State: streamlog.Completed, Clean: true}
	case a.failed:
		// Nobody takes an error for an answer. Where the provider ended its body well after it, an abort could only
		// hide the error: some clients drop what they have not read yet when a connection breaks.
		return streamlog.End{State: streamlog.Failed, Cause: causeUpstream, Detail: "the provider sent an error in its answer", Clean: whole && (a.events == nil || !a.json || a.seen.Whole())}
	case a.ok && a.opaque && a.streamed && whole:
		return streamlog.End{State: streamlog.Interrupted, Cause: causeUpstream, Detail: "the provider used a content coding that it was not asked for, so nobody can tell whether the answer is whole"}
	case !a.ok:
		return streamlog.End{State: streamlog.Failed, Cause: causeUpstream, Detail: "the provider answered with an error", Clean: whole}
	case whole:
		return streamlog.End{State: streamlog.Interrupted, Cause: causeUpstream, Detail: "the provider ended the stream without its terminal event"}
	}
	return streamlog.End{State: streamlog.Interrupted, Cause: causeUpstream, Detail: err.Error()}
}

// take stores what was read.
func (a *answer) take(p []byte) error {
	a.batch = a.batch[:0]
	if a.events == nil {
		held := a.held
		a.held = append([]byte(nil), p...)
		if held == nil {
			return nil
		}
		a.look(held)
		a.batch = append(a.batch, streamlog.Event{Data: held, Text: true})
		return a.store()
	}
	for _, part := range a.events.Feed(p) {
		a.part(part)
	}
	return a.store()
}

// look reads a piece of a body that is no stream of events.
func (a *answer) look(p []byte) {
	if !a.opaque && a.seen.Event(p)&dialect.Failure != 0 {
		a.failed = true
	}
}

// part looks at an event, or a part of a large one.
func (a *answer) part(p dialect.Part) {
	a.closed(false)
	sign := dialect.Plain
	switch {
	case !a.inPart && p.Whole:
		sign = a.seen.Event(p.Data)
	case p.Whole || p.More:
		sign = a.seen.Large(p.Data, !a.inPart, p.Whole)
	}
	a.inPart = p.More
	e := streamlog.Event{Data: p.Data, More: p.More, Terminal: sign&dialect.Terminal != 0, Text: sign&dialect.Text != 0}
	a.complete = a.complete || e.Terminal
	a.failed = a.failed || sign&dialect.Failure != 0
	if sign&dialect.Closing != 0 {
		e.Data = bytes.Clone(e.Data)
		a.closing = &e
		return
	}
	a.batch = append(a.batch, e)
}

// closed lets go of an event that may have been the last one.
func (a *answer) closed(last bool) {
	if a.closing == nil {
		return
	}
	a.closing.Terminal = last
	a.complete = a.complete || last
	a.batch = append(a.batch, *a.closing)
	a.closing = nil
}

// finish stores what was held back. A body that is no stream of events is
// complete with its last byte; an event without its blank line never is.
func (a *answer) finish(whole bool) error {
	a.batch = a.batch[:0]
	if a.events == nil {
		if a.held == nil && !(whole && a.ok) {
			return nil
		}
		a.look(a.held)
		a.complete = whole && a.ok && !a.failed && !(a.opaque && a.streamed) && (a.opaque || !a.json || a.seen.Whole())
		a.batch = append(a.batch, streamlog.Event{Data: a.held, Text: true, Terminal: a.complete})
		return a.store()
	}
	for _, part := range a.events.Flush() {
		if a.frames && !a.inPart {
			whole = false
			continue // of half a frame no client can make anything, and it would swallow what tells it so
		}
		a.part(part)
	}
	a.closed(whole)
	return a.store()
}

// store puts the batch into the log and returns when it is committed. Whoever has
// read the id of the answer can come back by it, so that is stored first.
func (a *answer) store() error {
	if len(a.batch) == 0 {
		return nil
	}
	if a.unnamed && a.seen.ResponseID() != "" {
		a.unnamed = false
		if err := a.stream.log.Named(a.seen.ResponseID()); err != nil {
			return err
		}
	}
	if err := a.stream.log.Append(a.batch); err != nil {
		return err
	}
	size := 0
	for _, e := range a.batch {
		size += len(e.Data)
	}
	a.stream.received(size, a.complete)
	a.timed()
	return nil
}

// timed notes when events came.
func (a *answer) timed() {
	s, now := a.stream, time.Now()
	switch {
	case a.came.IsZero():
		if !a.ok {
			break // an error is no answer's first event
		}
		a.timing.first = now.Sub(a.timing.sent)
		span := s.attempt.SpanContext()
		metrics.Observe(a.gw.metrics.TimeToFirstEvent.WithLabelValues(s.header.Provider, atUpstream), now.Sub(s.header.Accepted).Seconds(), span)
		if !a.streamed {
			break
		}
		a.interval = a.gw.metrics.InterEvent.WithLabelValues(s.header.Provider, atUpstream)
		in := a.gw.inference(streamlog.Info{Header: s.header, End: &streamlog.End{Model: a.seen.Model()}})
		a.chunks = a.gw.metrics.GenAI.Chunks(in)
		a.chunks.First(trace.ContextWithSpanContext(context.Background(), span), a.timing.first.Seconds())
	case a.chunks != nil:
		gap := now.Sub(a.came).Seconds()
		a.interval.Observe(gap)
		a.chunks.Next(gap)
	}
	a.came = now
}

// watchdog calls a function when nothing resets it for some time.
type watchdog struct {
	after  time.Duration
	timer  *time.Timer
	barked atomic.Bool
}

func newWatchdog(after time.Duration, fn func()) *watchdog {
	w := &watchdog{after: after}
	w.timer = time.AfterFunc(after, func() {
		w.barked.Store(true)
		fn()
	})
	return w
}

func (w *watchdog) reset()      { w.timer.Reset(w.after) }
func (w *watchdog) stop()       { w.timer.Stop() }
func (w *watchdog) fired() bool { return w.barked.Load() }
