package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// upstreamRequest makes the request that goes to the provider: the client's,
// without what concerns only the connection or the gateway.
func (g *Gateway) upstreamRequest(ctx context.Context, r *http.Request, call *call) *http.Request {
	u := *call.provider.BaseURL
	out := (&http.Request{Method: http.MethodPost, URL: &u, Host: u.Host, Header: r.Header.Clone()}).WithContext(ctx)
	setPath(out.URL, call.path)
	u.RawQuery, u.ForceQuery = r.URL.RawQuery, r.URL.ForceQuery
	removeHopByHop(out.Header)
	for _, name := range ownHeaders {
		out.Header.Del(name)
		out.Header.Del("X-" + name)
	}
	out.Header.Set("Accept-Encoding", "identity")
	out.Header.Del("Content-Length")
	out.Header.Del("Expect") // the body is here; asking first would only cost a round trip, or a second
	if out.Header.Get("User-Agent") == "" {
		out.Header["User-Agent"] = nil // or net/http would say its own
	}
	call.provider.authorize(out.Header, out.URL, call.caller)
	sendOnce(out.Header)
	setBody(out, call)
	return out
}

// sendOnce keeps net/http from sending a request again when a connection dies
// under it, as it does for one with an Idempotency-Key. Providers know of no
// such key and would bill twice, so the transport must not find it under the
// name that it looks for.
func sendOnce(h http.Header) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if v, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = v
		}
	}
}

// sentBody lets go of a request's body once it is sent: the transport keeps the
// request for as long as the answer takes.
type sentBody struct{ *bytes.Reader }

func (b *sentBody) Close() error {
	b.Reader = bytes.NewReader(nil)
	return nil
}

// setPath appends an escaped path to the path of the base URL, as it is.
func setPath(u *url.URL, path string) {
	escaped := strings.TrimSuffix(u.EscapedPath(), "/") + path
	plain, err := url.PathUnescape(escaped)
	if err != nil { // route has looked at it already
		plain = escaped
	}
	u.Path, u.RawPath = plain, escaped
}

var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// removeHopByHop removes the headers that are about one connection only.
func removeHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// decode returns the body without its content encoding. Providers are asked for
// none; of those that use one nevertheless, gzip is taken off, so that the log
// holds what a client can read. Anything else stays as it is, and is then no
// stream of events to the gateway, only bytes.
func decode(resp *http.Response) (body io.Reader, plain bool) {
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
		return resp.Body, true
	case "gzip", "x-gzip":
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		return &lazyGzip{from: resp.Body}, true
	}
	return resp.Body, false
}

// lazyGzip begins to decompress with the first Read, so that the response head
// need not wait for the first byte of the body.
type lazyGzip struct {
	from io.Reader
	zip  *gzip.Reader
}

func (z *lazyGzip) Read(p []byte) (n int, err error) {
	if z.zip == nil {
		if z.zip, err = gzip.NewReader(z.from); err != nil {
			if err == io.EOF {
				return 0, io.EOF
			}
			return 0, fmt.Errorf("gateway: gzip: %w", err)
		}
	}
	return z.zip.Read(p)
}
