package gateway

import (
	"net/http"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// PrincipalForTest is the principal of a bearer token.
func PrincipalForTest(secret []byte, token string) streamlog.Hash {
	return hasher{secret}.principal(&http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}})
}
