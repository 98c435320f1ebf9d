package gateway

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// A client that falls back from events to one JSON body gets the body made of the
// events that are in the log. It has it when the answer is whole, and never half.

// serveWhole waits for the end of a stream of events and writes its answer as one
// body.
func (cn *connection) serveWhole(c echo.Context, head *streamlog.Head) error {
	answer := dialect.NewAssembly(cn.stream.header.Endpoint)
	if err := cn.gather(c, answer.Event); err != nil {
		return err
	}
	body, err := answer.Body()
	if err != nil {
		cn.stream.setUnfit()
		return &httpError{status: http.StatusInternalServerError, code: "answer_not_assembled", err: err,
			message: "The stored stream of events can't be made one JSON body. Ask for it with stream: true, or make another call."}
	}
	h := c.Response().Header()
	maps.Copy(h, head.Header)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	setStreamHeaders(h, cn)
	c.Response().WriteHeader(head.Status)
	w := c.Response().Writer
	if err := cn.send(w, http.NewResponseController(w), body); err != nil {
		return err
	}
	cn.terminal.Store(true)
	cn.conn.Delivered(cn.reader.Index())
	return nil
}

// gather gives each whole event to take, until the answer has ended well.
func (cn *connection) gather(c echo.Context, take func([]byte)) error {
	var parts []byte // of an event that goes on
	for {
		events, err := cn.reader.Read(relayBatch)
		switch {
		case err == nil:
			for _, e := range events {
				switch {
				case e.More:
					parts = append(parts, e.Data...)
				case len(parts) > 0:
					take(append(parts, e.Data...))
					parts = nil
				default:
					take(e.Data)
				}
			}
		case errors.Is(err, streamlog.ErrWait):
			select {
			case <-cn.reader.Ready():
			case <-c.Request().Context().Done():
				return errClientGone
			}
		case err == io.EOF:
			if end := cn.stream.log.Info().End; end.State != streamlog.Completed {
				return cn.noAnswer(end)
			}
			return nil
		default:
			return logError(err)
		}
	}
}

// noAnswer is the response where events ended before their answer did. SDKs repeat
// a 502 by themselves, and that makes a new call: this one is not offered again.
func (cn *connection) noAnswer(end *streamlog.End) error {
	if end.Cause == causeUpstream {
		return &httpError{status: http.StatusBadGateway, code: "answer_interrupted", retryAfter: 1, err: errInterrupted{end}, message: fmt.Sprintf(
			"The provider %q did not finish its answer. Make the call again.", cn.stream.header.Provider)}
	}
	err := cn.noResponse(end)
	if he := (*httpError)(nil); errors.As(err, &he) {
		own := *he // it may be one for all
		own.err = errInterrupted{end}
		return &own
	}
	return err
}

// setUnfit notes that no body can be made of the stream, so that no other call is
// given it.
func (s *stream) setUnfit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unfit = true
}
