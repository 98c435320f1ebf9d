package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// find returns the stream that a request under /recoup/streams names.
func (g *Gateway) find(c echo.Context) (*stream, error) {
	id, err := streamlog.ParseID(c.Param("id"))
	if err != nil {
		return nil, errStreamNotFound
	}
	who, err := g.identify(c)
	if err != nil {
		return nil, err
	}
	l, err := g.log.Get(who.principal, id)
	if err != nil {
		return nil, logError(err)
	}
	s, err := g.hold(l)
	if err != nil {
		return nil, logError(err)
	}
	return s, nil
}

// findReadable is find for who may also read the answer.
func (g *Gateway) findReadable(c echo.Context) (*stream, error) {
	if who, err := g.identify(c); err != nil {
		return nil, err
	} else if err := who.mayRead(); err != nil {
		return nil, err
	}
	return g.find(c)
}

// connect opens cn, which begins where the request says. It takes over cn's
// reference to its stream.
func (g *Gateway) connect(c echo.Context, cn *connection) (_ *connection, err error) {
	s := cn.stream
	if !cn.adopts() && !cn.whole { // those have not named a stream, or want all of it
		cn.start, cn.explicit, err = start(c.Request(), s.log)
	}
	if err == nil {
		cn.ids, err = eventIDs(c.Request().Header)
	}
	if err != nil {
		s.release()
		return nil, err
	}
	route := c.Path()
	if cn.via != viaID && cn.via != viaAdmin {
		route = s.header.Endpoint
	}
	if cn.adopts() && !s.canBeAdopted() { // before there is a span of it
		s.release()
		return nil, errNoOrphan
	}
	return g.attach(c, cn, route)
}

// attach opens a connection that was asked for by a route. It takes over the
// reference that the connection holds.
func (g *Gateway) attach(c echo.Context, cn *connection, route string) (*connection, error) {
	s := cn.stream
	err := cn.open(func() trace.Span { return g.fetchSpan(c, cn, route) })
	switch {
	case err == nil:
		return cn, nil
	case errors.Is(err, errDead), errors.Is(err, errNoOrphan):
		s.release()
		return nil, err
	}
	s.release()
	return nil, logError(err)
}

// readStream is GET /recoup/streams/:id: replay, then tail.
func (g *Gateway) readStream(c echo.Context) error {
	s, err := g.findReadable(c)
	if err != nil {
		g.countFailedResume(err)
		return err
	}
	conn, err := g.connect(c, &connection{stream: s, via: viaID, observe: c.QueryParam("observe") == "1"})
	if err != nil {
		return err
	}
	return conn.serve(c)
}

func (g *Gateway) countFailedResume(err error) {
	switch err {
	case error(errStreamNotFound):
		g.metrics.Resumes.WithLabelValues(unknownProvider, metrics.Other, viaID, resumeNotFound).Inc()
	case error(errStreamExpired):
		g.metrics.Resumes.WithLabelValues(unknownProvider, metrics.Other, viaID, resumeExpired).Inc()
	}
}

// headStream is HEAD /recoup/streams/:id: what a GET would begin with. It is
// not a reader.
func (g *Gateway) headStream(c echo.Context) error {
	s, err := g.findReadable(c)
	if err != nil {
		return err
	}
	defer s.release()
	from, _, err := start(c.Request(), s.log)
	if err != nil {
		return err
	}
	h, status := c.Response().Header(), http.StatusOK
	if head := s.log.Info().Head; head != nil {
		status = head.Status
		for _, name := range []string{"Content-Type", "Content-Encoding"} {
			if v := head.Header.Get(name); v != "" {
				h.Set(name, v)
			}
		}
	}
	setStreamHeaders(h, &connection{stream: s, via: viaID, start: from})
	return c.NoContent(status)
}

// streamJSON is a stream as the API shows it.
type streamJSON struct {
	ID         streamlog.ID      `json:"id"`
	State      streamlog.State   `json:"state"`
	Cause      string            `json:"cause,omitempty"`
	Detail     string            `json:"detail,omitempty"`
	Provider   string            `json:"provider"`
	Dialect    string            `json:"dialect"`
	Endpoint   string            `json:"endpoint"`
	Model      string            `json:"model"`
	Streamed   bool              `json:"streamed"`
	Resumable  bool              `json:"reclaimable"`
	Tags       map[string]string `json:"tags,omitempty"`
	Status     int               `json:"http_status,omitempty"`
	RequestID  string            `json:"provider_request_id,omitempty"`
	ResponseID string            `json:"provider_response_id,omitempty"`
	Events     uint64            `json:"events"`
	Bytes      uint64            `json:"bytes"`
	Terminal   bool              `json:"terminal_event"`
	NextOffset string            `json:"next_offset"`
	Accepted   time.Time         `json:"accepted"`
	FirstEvent *time.Time        `json:"first_event,omitempty"`
	LastEvent  *time.Time        `json:"last_event,omitempty"`
	Ended      *time.Time        `json:"ended,omitempty"`
	Expires    *time.Time        `json:"expires,omitempty"`
	*connectionsJSON
	Books *booksJSON `json:"books,omitempty"` // left out of lists, and where nothing is billed
}

// connectionsJSON says who reads a stream. It is left out of lists.
type connectionsJSON struct {
	Connections []connectionJSON `json:"connections"`
	Delivered   bool             `json:"delivered"`
}

type connectionJSON struct {
	Via      string `json:"via"`
	Owner    bool   `json:"owner"`
	From     uint64 `json:"from"`
	Position uint64 `json:"position"`
}

func (g *Gateway) describe(info streamlog.Info) streamJSON {
	h := info.Header
	j := streamJSON{
		ID: h.ID, State: info.State, Provider: h.Provider, Dialect: h.Dialect, Endpoint: h.Endpoint, Model: h.Asked(),
		Streamed: h.Streamed, Resumable: h.Policy.Reclaimable, Tags: h.Tags, Events: info.Events, Bytes: info.Bytes,
		Terminal: info.Terminal, NextOffset: formatCursor(info.Events, info.Bytes), Accepted: h.Accepted,
	}
	if info.Head != nil {
		j.Status, j.RequestID = info.Head.Status, info.Head.RequestID
	}
	if !info.First.IsZero() {
		j.FirstEvent, j.LastEvent = &info.First, &info.Last
	}
	if e := info.End; e != nil {
		expires := e.At.Add(g.log.Retention())
		j.Cause, j.Detail, j.ResponseID, j.Ended, j.Expires = e.Cause, e.Detail, e.ResponseID, &e.At, &expires
	}
	return j
}

// streamStatus is GET /recoup/streams/:id/status.
func (g *Gateway) streamStatus(c echo.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	defer s.release()
	return g.respondHeld(c, s)
}

// respondHeld answers with all that is known of a stream.
func (g *Gateway) respondHeld(c echo.Context, s *stream) error {
	j := g.describeHeld(s)
	if g.settler != nil {
		v, err := g.settler.View(s.log)
		if err == nil && v != nil {
			j.Books, err = describeBooks(v)
		}
		if err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, j)
}

func (g *Gateway) describeHeld(s *stream) streamJSON {
	j := g.describe(s.log.Info())
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := &connectionsJSON{Connections: []connectionJSON{}, Delivered: s.delivered}
	owner := s.owner()
	for _, cn := range s.connected {
		conns.Connections = append(conns.Connections, connectionJSON{Via: cn.via, Owner: cn == owner, From: cn.start, Position: cn.conn.Position()})
	}
	j.connectionsJSON = conns
	return j
}

// cancelStream is POST /recoup/streams/:id/cancel: the only way to say stop. It
// returns when the stream has ended; one that has ended before stays as it is.
func (g *Gateway) cancelStream(c echo.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	defer s.release()
	return g.cancelHeld(c, s)
}

// cancelHeld stops s and answers with how it ended.
func (g *Gateway) cancelHeld(c echo.Context, s *stream) error {
	s.waive()
	s.stop(stopCancelled)
	if err := g.awaitEnd(c, s); err != nil {
		return err
	}
	return g.respondHeld(c, s)
}

// awaitEnd waits for the end of a stream that is being stopped.
func (g *Gateway) awaitEnd(c echo.Context, s *stream) error {
	reader, err := s.log.Reader(s.log.Info().Events)
	if err != nil {
		return logError(err)
	}
	defer reader.Close()
	for s.isStopped() && s.log.Info().End == nil && g.log.Err() == nil {
		select {
		case <-reader.Ready():
		case <-c.Request().Context().Done():
			return nil
		}
	}
	return nil
}

const (
	defaultListLimit = 50
	maxListLimit     = 500
)

// listing is which part of a list is wanted.
type listing struct {
	before streamlog.ID
	limit  int
	want   func(streamlog.Info) bool
}

// listStreams is GET /recoup/streams: the caller's own, newest first.
func (g *Gateway) listStreams(c echo.Context) error {
	who, err := g.identify(c)
	if err != nil {
		return err
	}
	return g.list(c, func(page listing) ([]streamlog.Info, error) {
		return g.log.List(who.principal, page.before, page.limit, page.want)
	})
}

// list answers with the page that the request asks for.
func (g *Gateway) list(c echo.Context, read func(listing) ([]streamlog.Info, error)) error {
	asked, err := listingOf(c)
	if err != nil {
		return err
	}
	infos, err := read(asked)
	if err != nil {
		return logError(err)
	}
	page := struct {
		Streams    []streamJSON `json:"streams"`
		NextCursor string       `json:"next_cursor,omitempty"`
	}{Streams: []streamJSON{}}
	for _, i := range infos {
		page.Streams = append(page.Streams, g.describe(i))
	}
	if len(infos) == asked.limit {
		page.NextCursor = infos[asked.limit-1].Header.ID.String()
	}
	return c.JSON(http.StatusOK, page)
}

// listingOf reads ?limit=, ?state=, ?provider= and ?cursor=.
func listingOf(c echo.Context) (listing, error) {
	limit, state, provider := defaultListLimit, streamlog.State(c.QueryParam("state")), c.QueryParam("provider")
	if v := c.QueryParam("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxListLimit {
			return listing{}, badRequest("invalid_limit", "limit=%q: want a number from 1 to %d.", v, maxListLimit)
		}
		limit = n
	}
	switch state {
	case "", streamlog.Streaming, streamlog.Completed, streamlog.Interrupted, streamlog.Failed, streamlog.Cancelled:
	default:
		return listing{}, badRequest("invalid_state", "state=%q: want streaming, completed, interrupted, failed or cancelled.", state)
	}
	var before streamlog.ID
	if v := c.QueryParam("cursor"); v != "" {
		id, err := streamlog.ParseID(v)
		if err != nil {
			return listing{}, badRequest("invalid_cursor", "cursor=%q: want the next_cursor of an earlier page.", v)
		}
		before = id
	}
	return listing{before, limit, func(i streamlog.Info) bool {
		return (state == "" || i.State == state) && (provider == "" || i.Header.Provider == provider)
	}}, nil
}
