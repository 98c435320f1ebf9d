package gateway

import (
	"bufio"
	"context"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
)

// passedResponse is the response to a call that is passed through: the
// provider's, and nothing that net/http or echo would make of it.
type passedResponse struct {
	*echo.Response
	client *http.Request
}

// Unwrap is for http.ResponseController.
func (w *passedResponse) Unwrap() http.ResponseWriter { return w.Response }

// WriteHeader sends a head. Those of informational answers go past echo, which
// would take the first for the last, and not to a client of HTTP/1.0, which knows
// of none.
func (w *passedResponse) WriteHeader(code int) {
	if code < http.StatusOK && code != http.StatusSwitchingProtocols {
		if w.client.ProtoAtLeast(1, 1) {
			w.Writer.WriteHeader(code)
		}
		return
	}
	typed(w.Header())
	w.Response.WriteHeader(code)
}

// typed keeps net/http from guessing at the type of a body that has none.
func typed(h http.Header) {
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil
	}
}

// Hijack takes the client's connection over for a tunnel. It is closed when the
// call is cancelled: else one that neither sends nor reads would hold it open.
func (w *passedResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.Response.Hijack()
	if err == nil {
		context.AfterFunc(w.client.Context(), func() { _ = conn.Close() })
		w.Status, w.Committed = http.StatusSwitchingProtocols, true
	}
	return conn, buffered, err
}
