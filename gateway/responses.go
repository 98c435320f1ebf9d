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
// responses in the background; the gateway of each whose stream it has drained.

const routeResponse = "/v1/responses/{id}"

// streamedResponse returns the id of the response whose events a request wants.
func streamedResponse(r *http.Request, p Provider, path string) (id string, ok bool) {
	if r.Method != http.MethodGet || p.Dialect != dialect.OpenAI {
		return "", false
	}
	dir, last := pathpkg.Split(path)
	if last == "" || !strings.HasSuffix(dir, "/responses/") {
		return "", false
	}
	id, err := url.PathUnescape(last)
	return id, err == nil && wantsEvents(r)
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
func (g *Gateway) followResponse(c echo.Context, p Provider, id string) (*connection, error) {
	s, err := g.responseStream(c, p, id)
	if s == nil || err != nil {
		return nil, err
	}
	cn := &connection{stream: s, via: viaID}
	if q := c.QueryParams(); q.Has("starting_after") {
		cn.explicit = true
		if cn.start, err = startingAfter(q.Get("starting_after"), s.log); err != nil {
			s.release()
			return nil, err
		}
	}
	return g.attach(c, cn, routeResponse)
}

// responseStream returns the stream of a response, or nil if the log has none of which
// events can be given. One in the background that did not come to its end here is the
// provider's: it has the rest.
func (g *Gateway) responseStream(c echo.Context, p Provider, id string) (*stream, error) {
	who, err := g.identify(c)
	if err != nil {
		return nil, err
	}
	if who.mayRead() != nil {
		return nil, nil // for its key, the log has none
	}
	l, err := g.log.ByResponse(who.principal, id)
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
	ours := s.header.Provider == p.Name && s.header.Endpoint == endpointResponses && head != nil && isEventStream(s.header.Streamed, head)
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
	reader, err := l.Reader(0)
	if err != nil {
		return 0, logError(err)
	}
	defer reader.Close()
	numbers, inPart := new(dialect.Sequence), false
	for {
		events, err := reader.Read(relayBatch)
		switch {
		case errors.Is(err, streamlog.ErrWait), err == io.EOF:
			return 0, badRequest("invalid_starting_after", "The response has no event with the sequence_number %d yet.", after)
		case err != nil:
			return 0, logError(err)
		}
		for _, e := range events {
			n, ok := numbers.Event(e.Data, !inPart, !e.More)
			switch inPart = e.More; {
			case ok && n == after:
				return e.Index + 1, nil
			case ok && n > after:
				return e.Index, nil
			}
		}
	}
}
