package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// PrincipalForTest is the principal of a bearer token.
func PrincipalForTest(secret []byte, token string) streamlog.Hash {
	return hasher{secret}.principal(&http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}})
}

// StreamsForTest is the number of streams that are drained or read.
func (g *Gateway) StreamsForTest() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.streams)
}

// RouteForTest is the name of the provider that a path is for.
func RouteForTest(providers map[string]Provider, path string) (string, string, error) {
	p, rest, err := route(providers, &http.Request{URL: &url.URL{Path: path}, Header: http.Header{}})
	return p.Name, rest, err
}

// LiveForTest is the number of streams whose provider is still answering.
func (g *Gateway) LiveForTest() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.streams {
		if s.live() {
			n++
		}
	}
	return n
}

// SettleForTest settles what can be settled now.
func (g *Gateway) SettleForTest() { g.settler.Flush() }

// ConnectionsForTest is the number of connections that read a stream.
func (g *Gateway) ConnectionsForTest(id streamlog.ID) int {
	s := g.running(id)
	if s == nil {
		return 0
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connected)
}

// TrustForTest makes the gateway trust a provider's certificate.
func (g *Gateway) TrustForTest(roots *x509.CertPool) {
	g.transport.TLSClientConfig = &tls.Config{RootCAs: roots}
}

// DialForTest has providers reached by dial.
func (g *Gateway) DialForTest(dial func(context.Context, string, string) (net.Conn, error)) {
	g.transport.DialContext = dial
}
