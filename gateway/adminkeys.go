package gateway

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
)

// createdKey is a key as it is shown once.
type createdKey struct {
	gatewaykeys.Key
	Secret string `json:"key"`
}

const maxKeyBody = 64 << 10

// createKey is POST /api/v1/keys.
func (g *Gateway) createKey(c echo.Context) error {
	var n gatewaykeys.New
	in := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, maxKeyBody))
	in.DisallowUnknownFields()
	if err := in.Decode(&n); err != nil {
		return badRequest("invalid_json", "Want {\"name\": …} with tags, resume and expires if need be: %v.", err)
	}
	k, secret, err := g.keys.Create(n)
	if err != nil {
		return keyError(err)
	}
	g.logger.Info("gateway key created", "key", k.ID, "name", k.Name)
	return c.JSON(http.StatusCreated, createdKey{k, secret})
}

// listKeys is GET /api/v1/keys.
func (g *Gateway) listKeys(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string][]gatewaykeys.Key{"keys": g.keys.List()})
}

// revokeKey is POST /api/v1/keys/:id/revoke.
func (g *Gateway) revokeKey(c echo.Context) error {
	k, err := g.keys.Revoke(c.Param("id"))
	if err != nil {
		return keyError(err)
	}
	g.logger.Info("gateway key revoked", "key", k.ID, "name", k.Name)
	return c.JSON(http.StatusOK, k)
}

func keyError(err error) error {
	switch {
	case errors.Is(err, gatewaykeys.ErrInvalid):
		return badRequest("invalid_key", "%v.", err)
	case errors.Is(err, gatewaykeys.ErrUnknown):
		return &httpError{status: http.StatusNotFound, code: "key_not_found", message: "No such key. Want the id of one, key_…, as recoup keys list shows it."}
	}
	return &httpError{status: http.StatusServiceUnavailable, code: "keys_unavailable", message: "The keys can't be stored now.", retryAfter: 10, err: err}
}
