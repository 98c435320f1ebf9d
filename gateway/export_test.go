package gateway

import (
	"net/http"

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
