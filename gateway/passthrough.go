package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"
)

// passing is a call that is passed through.
type passing struct {
	gw       *Gateway
	c        echo.Context
	provider Provider
	caller   caller
	path     string
	span     trace.Span
	cancel   context.CancelFunc // ends it
	client   *http.Request      // its body is upload
	upload   *noted
	answer   *noted // nil: there is none yet, or it is a tunnel
	closed   func() // for the tunnel that the connection was upgraded to; nil: it was not
	failed   error  // why there is no answer
}

// passThrough relays a call that is not drained, untouched.
func (g *Gateway) passThrough(c echo.Context, p Provider, path string) (err error) {
	g.metrics.Passthrough.WithLabelValues(p.Name, endpointLabel(path)).Inc()
	who, err := g.brings(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	x := &passing{gw: g, c: c, provider: p, caller: who, path: path, cancel: cancel, client: c.Request().WithContext(ctx)}
	x.span = g.beginSpan(c, passthroughRoute(path))
	x.upload = &noted{ReadCloser: x.client.Body}
	x.client.Body = x.upload
	if x.client.ContentLength != 0 {
		// Else the server would swallow what is left of the request before it
		// sends an answer that comes early. Where this is not supported, it does.
		_ = http.NewResponseController(c.Response().Writer).EnableFullDuplex()
	}
	proxy := &httputil.ReverseProxy{
		Transport:      g.sender(p, who),
		FlushInterval:  -1,
		Rewrite:        x.rewrite,
		ModifyResponse: x.answered,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.failed = err },
		ErrorLog:       slogError(g.logger),
	}
	defer func() {
		if x.closed != nil {
			x.closed()
		}
		if r := recover(); r != nil {
			err = x.broken(r)
		}
	}()
	proxy.ServeHTTP(&passedResponse{Response: c.Response(), client: x.client}, x.client)
	return x.failure()
}

// rewrite makes the request that goes to the provider.
func (x *passing) rewrite(pr *httputil.ProxyRequest) {
	u := *x.provider.BaseURL
	pr.Out.URL, pr.Out.Host = &u, u.Host
	setPath(&u, x.path)
	u.RawQuery, u.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := pr.In.Header[name]; ok {
			pr.Out.Header[name] = v // ReverseProxy drops them; a drained call keeps them too
		}
	}
	pr.Out.Trailer = pr.In.Trailer // ReverseProxy copies it before it is filled, at the body's end
	sendOnce(pr.Out.Header)
	propagate(pr.Out.Header, x.provider, x.span)
	for _, name := range ownHeaders {
		pr.Out.Header.Del(name)
		pr.Out.Header.Del("X-" + name)
	}
	x.provider.authorize(pr.Out.Header, &u, x.caller) // the last: no header may bring back what it takes out
}

// answered sees the head of the provider's answer.
func (x *passing) answered(resp *http.Response) (err error) {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		x.answer = &noted{ReadCloser: resp.Body}
		resp.Body = x.answer
		if len(resp.Trailer) > 0 {
			resp.Header.Del("Content-Length") // HTTP/2 has both, HTTP/1.1 only one
		}
		return nil
	}
	x.closed, err = x.gw.openTunnel(x.cancel)
	return err
}

// failure is what a client is told that got no answer; nil: it got one.
func (x *passing) failure() error {
	var own *httpError
	switch {
	case x.failed == nil:
		return nil
	case errors.As(x.failed, &own):
		return own
	case x.c.Response().Committed:
		return nil // an upgraded connection that broke at once
	case x.client.Context().Err() == nil && x.upload.failed():
		return &httpError{status: http.StatusBadRequest, code: "request_cut", message: "The request body could not be read to its end.", err: x.failed}
	case x.client.Context().Err() != nil && x.gw.isDraining():
		return errCutByShutdown
	case x.client.Context().Err() != nil:
		return errClientGone
	}
	return &httpError{status: http.StatusBadGateway, code: "provider_unreachable", retryAfter: 1, err: x.failed,
		message: fmt.Sprintf("The provider %q could not be reached. Check its base_url and the network.", x.provider.Name)}
}

// broken ends a response whose body broke off, so that no client takes it for
// whole.
func (x *passing) broken(reason any) error {
	if reason != http.ErrAbortHandler {
		panic(reason)
	}
	switch {
	case x.client.Context().Err() != nil && x.gw.isDraining():
		fail(x.span, errorTypeGateway)
	case x.client.Context().Err() == nil && x.answer != nil && x.answer.failed():
		fail(x.span, "cut")
	}
	return abort(x.c)
}

// noted is a body that knows whether reading it has failed.
type noted struct {
	io.ReadCloser
	broke atomic.Bool
}

func (n *noted) Read(p []byte) (int, error) {
	k, err := n.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		n.broke.Store(true)
	}
	return k, err
}

func (n *noted) failed() bool { return n.broke.Load() }

// passthroughRoute is a route of a closed set, for a span's name.
func passthroughRoute(path string) string {
	if label := endpointLabel(path); label != "other" {
		return "/v1/" + label
	}
	return "/*"
}

// asideBedrock are those of Bedrock's paths that generate nothing, or not as an answer.
var asideBedrock = []string{"count-tokens", "guardrail", "guardrail-checks", "async-invoke", "invoke-with-bidirectional-stream"}

// endpointLabel is the closed set of endpoints that pass-through calls are
// counted by.
func endpointLabel(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if slices.Contains(bare, segment) || slices.Contains(asideBedrock, segment) {
			return segment
		}
	}
	return "other"
}
