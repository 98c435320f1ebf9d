package gateway

import (
	"crypto/subtle"
	"log"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// AdminOptions say what the admin plane offers.
type AdminOptions struct {
	Gatherer prometheus.Gatherer
	Token    string // bearer token for all but health, metrics and the console; empty: none is asked for
	Pprof    bool
	API      http.Handler // what /api/v1/ answers with; nil: nothing
	Console  http.Handler // what /console/ answers with, which has no data; nil: nothing

	// Operator is the bearer token for what shows answers, stops them or makes keys, which
	// without one is not there, and for all of the API that can change the books.
	Operator string
}

// Admin is the admin plane: health, metrics, what goes on now, and what o adds.
func (g *Gateway) Admin(o AdminOptions) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = g.handleError
	e.Use(notStored, ownSite())
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", g.ready)
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})))
	if o.Operator != "" {
		g.operatorRoutes(e, bearer(o.Operator))
	}
	read := []echo.MiddlewareFunc{ownHost(o.Token), bearer(o.Token)}
	e.GET("/api/v1/events", g.watchEvents, read...)
	e.GET("/api/v1/streams/:id/story", g.adminStory, read...)
	if o.API != nil {
		e.Any("/api/v1/*", echo.WrapHandler(o.API), ownHost(o.Token), o.guard)
	}
	if o.Console != nil {
		e.GET("/console", func(c echo.Context) error { return c.Redirect(http.StatusMovedPermanently, "/console/") })
		e.GET("/console/*", echo.WrapHandler(http.StripPrefix("/console", o.Console)))
	}
	if o.Pprof {
		p := e.Group("/debug/pprof", read...)
		p.GET("/cmdline", echo.WrapHandler(http.HandlerFunc(pprof.Cmdline)))
		p.GET("/profile", echo.WrapHandler(http.HandlerFunc(pprof.Profile)))
		p.GET("/symbol", echo.WrapHandler(http.HandlerFunc(pprof.Symbol)))
		p.GET("/trace", echo.WrapHandler(http.HandlerFunc(pprof.Trace)))
		p.GET("/*", echo.WrapHandler(http.HandlerFunc(pprof.Index)))
	}
	return e
}

// ready says whether calls should be sent here.
func (g *Gateway) ready(c echo.Context) error {
	switch err := g.log.Err(); {
	case g.isDraining():
		return c.String(http.StatusServiceUnavailable, "draining\n")
	case err != nil:
		return c.String(http.StatusServiceUnavailable, "the stream log has failed\n")
	case g.settler != nil && g.books.Ledger.Stats().Err != nil:
		return c.String(http.StatusServiceUnavailable, "the ledger has failed\n")
	case g.log.Full():
		return c.String(http.StatusServiceUnavailable, "not enough free disk space\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

// guard asks for the token that a call of the API takes: the operator's for what can
// change the books, since not all who reach the plane need be operators.
func (o AdminOptions) guard(next echo.HandlerFunc) echo.HandlerFunc {
	read, write := bearer(o.Token)(next), bearer(o.Operator)(next)
	return func(c echo.Context) error {
		if r := c.Request(); r.Method != http.MethodGet && r.Method != http.MethodHead && o.Operator != "" {
			return write(c)
		}
		return read(c)
	}
}

// bearer refuses requests without the token, if there is one.
func bearer(token string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			given := strings.TrimPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
			if token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
				return &httpError{status: http.StatusUnauthorized, code: "admin_token", message: "This needs the admin token: Authorization: Bearer …"}
			}
			return next(c)
		}
	}
}

// slogError lets the standard library log into l.
func slogError(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelWarn) }
