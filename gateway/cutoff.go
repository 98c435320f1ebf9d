package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// cutOff tells a client why its answer breaks off, where a broken connection would not say that it does.
func (cn *connection) cutOff(w io.Writer, rc *http.ResponseController, head *streamlog.Head, why error) {
	var e *httpError
	if head.Status != http.StatusOK || head.Header.Get("Content-Encoding") != "" || !errors.As(why, &e) {
		return
	}
	d, _ := dialect.Named(cn.stream.header.Dialect)
	if last := dialect.CutOff(d, head.Header.Get("Content-Type"), dialect.Error{Status: e.status, Code: e.code, Message: e.message}); len(last) > 0 {
		_ = cn.send(w, rc, last) // the client may be gone
	}
}

// abort ends a response so that no client takes it for complete.
func abort(c echo.Context) error {
	if c.Request().ProtoAtLeast(1, 1) {
		panic(http.ErrAbortHandler)
	}
	// In HTTP/1.0 the end of the connection is the end of the body; only a
	// reset says that something went wrong.
	conn, _, err := http.NewResponseController(c.Response().Writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return conn.Close()
}
