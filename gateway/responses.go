package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	pathpkg "path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// OpenAI's SDKs can read on in a response that they have begun: they ask for it by its
// id, from the event on that has the next number. The provider answers that only of
// responses in the background; the gateway of each whose stream it has drained. Google's
// do so in an interaction, from the event on behind one that has an id.

// An asked is an answer that a request wants to read on in, by the id that the provider gave it.
type asked struct {
	endpoint string // that it was made by
	id       string
}

// route is the path, without the id.
func (a asked) route() string { return a.endpoint + "/{id}" }

// streamedResponse returns the answer whose events a request wants.
func streamedResponse(r *http.Request, p Provider, path string) (a asked, ok bool) {
	dir, last := pathpkg.Split(path)
	switch {
	case r.Method != http.MethodGet || last == "":
		return asked{}, false
	case p.Dialect == dialect.OpenAI && strings.HasSuffix(dir, "/responses/"):
		a.endpoint = endpointResponses
	case p.Dialect == dialect.Gemini && strings.HasSuffix(dir, "/interactions/"):
		a.endpoint = endpointInteractions
	default:
		return asked{}, false
	}
	var err error
	a.id, err = url.PathUnescape(last)
	return a, err == nil && wantsEvents(r)
}

// maxGetBody is more than the body of a GET ever needs.
const maxGetBody = 64 << 10

// wantsEvents reports whether a GET asks for a stream: in its query, or as OpenAI's SDK
// for Go says it, in a body. That can be read again.
func wantsEvents(r *http.Request) bool {
	if q := r.URL.Query(); q.Has("stream") || r.ContentLength <= 0 || r.ContentLength > maxGetBody {
		return q.Get("stream") == "true"
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false // what follows meets the same error
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	req, err := dialect.OpenAI.Parse(endpointResponses, body)
	return err == nil && req.Stream
}

// serve serves a connection, if there is one.
func serve(c echo.Context, conn *connection, err error) error {
	if err != nil {
		return err
	}
	return conn.serve(c)
}

// followResponse connects to the stream of a response, from the event on that the
// request names. It returns no connection where the provider is to answer: it may know
// the response, or must say itself that it doesn't.
func (g *Gateway) followResponse(c echo.Context, p Provider, a asked) (*connection, error) {
	s, err := g.responseStream(c, p, a)
	if s == nil || err != nil {
		return nil, err
	}
	cn := &connection{stream: s, via: viaID}
	found := true
	switch q := c.QueryParams(); {
	case a.endpoint == endpointResponses && q.Has("starting_after"):
		cn.explicit = true
		cn.start, err = startingAfter(q.Get("starting_after"), s.log)
	case a.endpoint == endpointInteractions && q.Get("last_event_id") != "":
		cn.explicit = true
		cn.start, found, err = behindEvent(q.Get("last_event_id"), s.log)
	}
	if !found || err != nil {
		s.release()
		return nil, err
	}
	return g.attach(c, cn, a.route())
}

// responseStream returns the stream of a response, or nil if the log has none of which
// events can be given. One in the background that did not come to its end here is the
// provider's: it has the rest.
func (g *Gateway) responseStream(c echo.Context, p Provider, a asked) (*stream, error) {
	who, err := g.identify(c)
	if err != nil {
		return nil, err
	}
	if who.mayRead() != nil {
		return nil, nil // for its key, the log has none
	}
	l, err := g.log.ByResponse(who.principal, a.id)
	switch {
	case errors.Is(err, streamlog.ErrNotFound), errors.Is(err, streamlog.ErrExpired), errors.Is(err, streamlog.ErrDamaged):
		return nil, nil
	case err != nil:
		return nil, logError(err)
	}
	s, err := g.hold(l)
	if err != nil {
		return nil, logError(err)
	}
	head := s.log.Info().Head
	ours := s.header.Provider == p.Name && s.header.Endpoint == a.endpoint && head != nil && isEventStream(s.header.Streamed, head)
	if !ours || s.header.Policy.Background && s.dead() {
		s.release()
		return nil, nil
	}
	return s, nil
}

// startingAfter finds the first event behind the one with a sequence number.
func startingAfter(given string, l *streamlog.Stream) (uint64, error) {
	after, err := index(given)
	if err != nil {
		return 0, badRequest("invalid_starting_after", "starting_after=%q is not the sequence_number of an event: want 0, 1, 2, …", given)
	}
	numbers := new(dialect.Sequence)
	at, found, err := find(l, func(e streamlog.Event, first bool) (uint64, bool) {
		n, ok := numbers.Event(e.Data, first, !e.More)
		if n == after {
			return e.Index + 1, ok
		}
		return e.Index, ok && n > after
	})
	if err == nil && !found {
		err = badRequest("invalid_starting_after", "The response has no event with the sequence_number %d yet.", after)
	}
	return at, err
}

// behindEvent finds the event behind the one that the provider gave a token to. Where there is
// none of that token, the provider may know it.
func behindEvent(token string, l *streamlog.Stream) (at uint64, found bool, err error) {
	ids := new(dialect.EventID)
	return find(l, func(e streamlog.Event, first bool) (uint64, bool) {
		return e.Index + 1, ids.Event(e.Data, first, !e.More) == token
	})
}

// find shows is the events that are there, or their parts, until it says where to begin.
func find(l *streamlog.Stream, is func(e streamlog.Event, first bool) (uint64, bool)) (at uint64, found bool, err error) {
	reader, err := l.Reader(0)
	if err != nil {
		return 0, false, logError(err)
	}
	defer reader.Close()
	for inPart := false; ; {
		events, err := reader.Read(relayBatch)
		switch {
		case errors.Is(err, streamlog.ErrWait), err == io.EOF:
			return 0, false, nil
		case err != nil:
			return 0, false, logError(err)
		}
		for _, e := range events {
			if at, found = is(e, !inPart); found {
				return at, true, nil
			}
			inPart = e.More
		}
	}
}
