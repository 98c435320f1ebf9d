package gateway

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// The operator sees the streams of all callers. It observes them and can stop
// them, and never owns one: to read an answer from here neither keeps it alive nor
// counts as its delivery.

const viaAdmin = "admin"

// operatorRoutes adds to the admin plane what asks for the operator's token.
func (g *Gateway) operatorRoutes(e *echo.Echo, guard echo.MiddlewareFunc) {
	e.GET("/api/v1/streams", g.adminList, guard)
	e.GET("/api/v1/streams/:id", g.ofAny(g.respondHeld), guard)
	e.GET("/api/v1/streams/:id/body", g.adminRead, guard)
	e.POST("/api/v1/streams/:id/cancel", g.ofAny(g.cancelHeld), guard)
	e.GET("/api/v1/calls", g.lastCalls, guard)
	if g.books.Ledger != nil {
		e.GET("/api/v1/backup", g.backup, guard)
	}
	if g.keys != nil {
		e.GET("/api/v1/keys", g.listKeys, guard)
		e.POST("/api/v1/keys", g.createKey, guard)
		e.POST("/api/v1/keys/:id/revoke", g.revokeKey, guard)
	}
}

// adminList is GET /api/v1/streams: those of all callers, newest first.
func (g *Gateway) adminList(c echo.Context) error {
	return g.list(c, func(page listing) ([]streamlog.Info, error) { return g.log.ListAll(page.before, page.limit, page.want) })
}

// findAny returns the stream that a request names, whoever's it is.
func (g *Gateway) findAny(c echo.Context) (*stream, error) {
	id, err := streamlog.ParseID(c.Param("id"))
	if err != nil {
		return nil, errNoStream
	}
	l, err := g.log.GetAny(id)
	if err != nil {
		if err = logError(err); err == error(errStreamNotFound) {
			err = errNoStream
		}
		return nil, err
	}
	s, err := g.hold(l)
	if err != nil {
		return nil, logError(err)
	}
	return s, nil
}

var errNoStream = &httpError{status: http.StatusNotFound, code: errStreamNotFound.code, message: "No such stream. Check the id; an answer is kept for the retention only."}

// ofAny answers with what does says of the stream that the request names.
func (g *Gateway) ofAny(does func(echo.Context, *stream) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		s, err := g.findAny(c)
		if err != nil {
			return err
		}
		defer s.release()
		return does(c, s)
	}
}

// adminRead is GET /api/v1/streams/:id/body: replay, then tail, as readStream
// with ?observe=1.
func (g *Gateway) adminRead(c echo.Context) error {
	s, err := g.findAny(c)
	if err != nil {
		return err
	}
	conn, err := g.connect(c, &connection{stream: s, via: viaAdmin, observe: true})
	if err != nil {
		return err
	}
	return conn.serve(c)
}
