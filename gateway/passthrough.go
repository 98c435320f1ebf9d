package gateway

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// passThrough relays a call that is not drained, untouched.
func (g *Gateway) passThrough(c echo.Context, p Provider, path string) error {
	g.metrics.Passthrough.WithLabelValues(p.Name, endpointLabel(path)).Inc()
	who, err := g.identify(c)
	if err != nil {
		return err
	}
	span := g.beginSpan(c, passthroughRoute(path))
	var failed error
	proxy := &httputil.ReverseProxy{
		Transport:     g.transport,
		FlushInterval: -1,
		Rewrite: func(pr *httputil.ProxyRequest) {
			u := *p.BaseURL
			pr.Out.URL, pr.Out.Host = &u, u.Host
			setPath(&u, path)
			u.RawQuery = pr.In.URL.RawQuery
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v, ok := pr.In.Header[name]; ok {
					pr.Out.Header[name] = v // ReverseProxy drops them; a drained call keeps them too
				}
			}
			p.authorize(pr.Out.Header, &u, who)
			sendOnce(pr.Out.Header)
			propagate(pr.Out.Header, p, span)
			for _, name := range ownHeaders {
				pr.Out.Header.Del(name)
				pr.Out.Header.Del("X-" + name)
			}
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
		ErrorLog:     slogError(g.logger),
	}
	proxy.ServeHTTP(c.Response(), c.Request())
	if failed == nil {
		return nil
	}
	if c.Request().Context().Err() != nil {
		return nil // the client left
	}
	return &httpError{status: http.StatusBadGateway, code: "provider_unreachable", retryAfter: 1, err: failed,
		message: fmt.Sprintf("The provider %q could not be reached. Check its base_url and the network.", p.Name)}
}

// passthroughRoute is a route of a closed set, for a span's name.
func passthroughRoute(path string) string {
	if label := endpointLabel(path); label != "other" {
		return "/v1/" + label
	}
	return "/*"
}

// endpointLabel is the closed set of endpoints that pass-through calls are
// counted by.
func endpointLabel(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if slices.Contains(bare, segment) {
			return segment
		}
	}
	return "other"
}
