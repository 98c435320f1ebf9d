package gateway

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

const relayBatch = 64 << 10 // bytes that one write to a client takes

// connection is one client response that reads a stream.
type connection struct {
	stream   *stream // this holds a reference
	via      string
	start    uint64 // index of the first event
	explicit bool   // the client named it: it has all before
	observe  bool   // reads without owning
	whole    bool   // wants events as one JSON body
	ids      bool   // wants events numbered
	reason   string // why it does not continue an earlier call

	span trace.Span    // of the request
	gap  time.Duration // since the break that it resumes; set by attach

	conn   *streamlog.Conn
	reader *streamlog.Reader

	terminal atomic.Bool // the terminal event was written
	resumes  bool        // set by attach: this is the resume of a break

	// owned by serve
	inPart   bool               // the last event goes on
	view     *dialect.UsageView // nil: the client is shown the events as they are
	wrote    bool               // since the last look of the keepalive
	out      []byte
	deadline time.Time
	given    time.Time           // when events were written last
	interval prometheus.Observer // of these times
}

// open begins to read and makes the connection known to the stream.
// Its span begins then, if it isn't there already.
func (cn *connection) open(begin func() trace.Span) (err error) {
	if cn.reader, err = cn.stream.log.Reader(cn.start); err != nil {
		return err
	}
	info := cn.stream.log.Info()
	cn.terminal.Store(info.Terminal && cn.start > info.Completing)
	if err := cn.stream.attach(cn, begin); err != nil {
		cn.reader.Close()
		return err
	}
	return nil
}

// serve writes the stream to the client: what is stored, then what comes. It
// gives back the connection's reference.
func (cn *connection) serve(c echo.Context) (err error) {
	s := cn.stream
	cause := leftGateway // what it is if this panics
	defer func() {
		cn.reader.Close()
		s.detach(cn, cause)
		cn.endSpan(statusOf(c, err), cause)
		s.release()
	}()
	head, err := cn.awaitHead(c)
	if err != nil {
		cause = leftOf(err)
		return err
	}
	if cn.whole && isEventStream(true, head) {
		err = cn.serveWhole(c, head)
	} else {
		cn.writeHead(c, head)
		err = cn.relay(c, head)
	}
	cause = leftOf(err)
	if err == nil || !c.Response().Committed {
		return err
	}
	return abort(c)
}

// errClientGone ends a relay whose client has left.
var errClientGone = errors.New("gateway: the client has left")

// errInterrupted ends a relay whose stream has no proper end.
type errInterrupted struct{ end *streamlog.End }

func (e errInterrupted) Error() string { return "gateway: the stream has no proper end" }

// leftOf is how a connection ended whose relay ended with err.
func leftOf(err error) string {
	var in errInterrupted
	var he *httpError
	switch {
	case errors.As(err, &in):
		switch in.end.Cause {
		case stopShutdown, causeCrash, causeDiskFull:
			return leftGateway
		}
		return leftDone
	case err == nil, errors.As(err, &he) && he.code != errDraining.code:
		return leftDone
	case errors.Is(err, errClientGone):
		return leftClient
	case errors.Is(err, os.ErrDeadlineExceeded):
		return leftSlow
	}
	return leftGateway
}

// awaitHead waits for the provider's response head.
func (cn *connection) awaitHead(c echo.Context) (*streamlog.Head, error) {
	for {
		info := cn.stream.log.Info()
		if info.Head != nil {
			return info.Head, nil
		}
		if info.End != nil {
			return nil, cn.noResponse(info.End)
		}
		if err := cn.stream.gw.log.Err(); err != nil {
			return nil, logError(err)
		}
		select {
		case <-cn.reader.Ready():
		case <-c.Request().Context().Done():
			return nil, errClientGone
		}
	}
}

// noResponse is the answer where the provider gave none.
func (cn *connection) noResponse(e *streamlog.End) error {
	switch {
	case e.Cause == stopShutdown || e.Cause == causeCrash || e.Cause == causeDiskFull:
		return errCutByShutdown
	case e.State == streamlog.Cancelled:
		return &httpError{status: 499, code: "stream_cancelled", message: "The call was cancelled before the provider answered."}
	}
	return &httpError{status: http.StatusBadGateway, code: "provider_unreachable", message: fmt.Sprintf(
		"The provider %q could not be reached. Check its base_url and the network.", cn.stream.header.Provider), retryAfter: 1}
}

// writeHead sends the provider's response head with the gateway's own headers.
func (cn *connection) writeHead(c echo.Context, head *streamlog.Head) {
	h := c.Response().Header()
	maps.Copy(h, head.Header)
	if cn.start > 0 {
		h.Del("Content-Length")
	}
	typed(h)
	setStreamHeaders(h, cn)
	if hidesUsage(cn.stream.log.Info()) {
		cn.view = dialect.NewUsageView()
	}
	cn.ids = cn.ids && isEventStream(cn.stream.header.Streamed, head)
	c.Response().WriteHeader(head.Status)
	// A client must have the head when the provider sent it, not with the body.
	_ = http.NewResponseController(c.Response().Writer).Flush()
}

// hidesUsage reports whether the answer holds a usage report that the gateway
// asked for and the client did not.
func hidesUsage(i streamlog.Info) bool {
	n := len(i.Attempts)
	return n > 0 && i.Attempts[n-1].UsageInjected && i.Head != nil && isEventStream(i.Header.Streamed, i.Head)
}

// isEventStream reports whether an answer is a stream of events that the gateway
// can read.
func isEventStream(asked bool, head *streamlog.Head) bool {
	sse := dialect.Request{Stream: asked}.SSE(head.Header.Get("Content-Type"))
	return sse && head.Status == http.StatusOK && head.Header.Get("Content-Encoding") == ""
}

// setStreamHeaders describes the stream as it is now.
func setStreamHeaders(h http.Header, cn *connection) {
	info := cn.stream.log.Info()
	h.Set("Recoup-Stream-Id", info.Header.ID.String())
	h.Set("Recoup-Stream-Status", string(info.State))
	resumed := cn.via
	switch cn.via {
	case viaFirst:
		resumed = "no"
	case viaAdmin:
		resumed = viaID
	}
	if cn.reason != "" {
		resumed += "; reason=" + cn.reason
	}
	h.Set("Recoup-Resumed", resumed)
	h.Set("Stream-Next-Offset", formatCursor(info.Events, info.Bytes))
	h.Set("Stream-Up-To-Date", fmt.Sprint(cn.start == info.Events))
	if info.End != nil {
		h.Set("Stream-Closed", "true")
	}
}

// relay writes events until the stream ends, nil, or cannot go on.
func (cn *connection) relay(c echo.Context, head *streamlog.Head) error {
	w := c.Response().Writer
	rc := http.NewResponseController(w)
	// Without a write deadline of the server's own, the next request on this
	// connection would inherit this one's.
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	tick, stop := cn.keepalives(head)
	defer stop()
	for {
		events, err := cn.reader.Read(relayBatch)
		switch {
		case err == nil:
			if err := cn.write(w, rc, events); err != nil {
				return err
			}
		case errors.Is(err, streamlog.ErrWait):
			if err := cn.wait(c, w, rc, tick); err != nil {
				return err
			}
		case err == io.EOF:
			if end := cn.stream.log.Info().End; !end.Clean {
				if end.State != streamlog.Failed { // of which the provider has told the client
					cn.cutOff(w, rc, head, cn.noAnswer(end))
				}
				return errInterrupted{end}
			}
			return nil
		default:
			cn.stream.gw.logger.Error("a stream can't be read", append(logAttrs(&cn.stream.header), "error", err)...)
			cn.cutOff(w, rc, head, logError(err))
			return err
		}
	}
}

// write sends events and notes that they were written.
func (cn *connection) write(w io.Writer, rc *http.ResponseController, events []streamlog.Event) error {
	if data := cn.bytes(events); len(data) > 0 {
		if err := cn.send(w, rc, data); err != nil {
			return err
		}
	}
	last := events[len(events)-1]
	to := last.Index
	if !last.More {
		to++
	}
	cn.timed()
	for _, e := range events {
		if e.Terminal {
			cn.terminal.Store(true)
		}
	}
	cn.conn.Delivered(to)
	return nil
}

// timed notes when the first connection was given events. One that comes later is
// given what there is as fast as it takes it.
func (cn *connection) timed() {
	if cn.via != viaFirst {
		return
	}
	s, now := cn.stream, time.Now()
	if cn.given.IsZero() {
		if head := s.log.Info().Head; head == nil || head.Status/100 != 2 {
			return // an error is no answer's first event
		}
		metrics.Observe(s.gw.metrics.TimeToFirstEvent.WithLabelValues(s.header.Provider, atClient), now.Sub(s.header.Accepted).Seconds(), cn.span.SpanContext())
	} else if s.header.Streamed {
		if cn.interval == nil {
			cn.interval = s.gw.metrics.InterEvent.WithLabelValues(s.header.Provider, atClient)
		}
		cn.interval.Observe(now.Sub(cn.given).Seconds())
	}
	cn.given = now
}

// Where the time of an event is taken.
const (
	atUpstream = "upstream"
	atClient   = "client"
)

// bytes are what the client is to see of events. They are valid until the next
// call.
func (cn *connection) bytes(events []streamlog.Event) []byte {
	if len(events) == 1 && cn.view == nil && !cn.ids {
		return events[0].Data
	}
	cn.out = cn.out[:0]
	for i, e := range events {
		data := e.Data
		if cn.view != nil && !e.More && !cn.inPart { // one in parts is too large to be what is looked for
			data = cn.view.Event(data)
		}
		if cn.ids && !cn.inPart {
			cn.out, data = appendID(cn.out, &events[i], data)
		}
		cn.inPart = e.More
		cn.out = append(cn.out, data...)
	}
	return cn.out
}

// send writes to the client, which must take it within the write timeout.
func (cn *connection) send(w io.Writer, rc *http.ResponseController, data []byte) error {
	timeout := cn.stream.gw.cfg().WriteTimeout
	// A deadline need not be exact: setting it for every event would cost more
	// than the write.
	if now := time.Now(); cn.deadline.Sub(now) < timeout*3/4 {
		cn.deadline = now.Add(timeout)
		if err := rc.SetWriteDeadline(cn.deadline); err != nil {
			return fmt.Errorf("%w: %w", errClientGone, err)
		}
	}
	_, err := w.Write(data)
	if err == nil {
		err = rc.Flush()
	}
	cn.wrote = true
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}

// wait blocks until there may be more to read.
func (cn *connection) wait(c echo.Context, w io.Writer, rc *http.ResponseController, tick <-chan time.Time) error {
	select {
	case <-cn.reader.Ready():
	case <-c.Request().Context().Done():
		return errClientGone
	case <-tick:
		if !cn.wrote {
			d, _ := dialect.Named(cn.stream.header.Dialect)
			if err := cn.send(w, rc, d.Keepalive()); err != nil {
				return err
			}
		}
		cn.wrote = false
	}
	return nil
}

// keepalives ticks twice per keepalive interval, if this response may have
// keepalives at all: they belong to event streams, of dialects that have any.
func (cn *connection) keepalives(head *streamlog.Head) (<-chan time.Time, func()) {
	interval := cn.stream.gw.cfg().Keepalive
	d, _ := dialect.Named(cn.stream.header.Dialect)
	if interval == 0 || d == nil || len(d.Keepalive()) == 0 || !isEventStream(cn.stream.header.Streamed, head) {
		return nil, func() {}
	}
	t := time.NewTicker(max(interval/2, time.Millisecond))
	return t.C, t.Stop
}
