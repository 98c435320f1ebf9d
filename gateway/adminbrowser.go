package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// A browser on the operator's machine reaches the admin plane as the operator does, and
// runs what other sites have written. They could have it send a request that changes
// something, and, where no token is asked for and a name of theirs leads to this
// machine, read what it answers.

var (
	errOtherSite = &httpError{status: http.StatusForbidden, code: "other_site", message: "A page of another site sent this. Open the console of this gateway itself."}
	errOtherHost = &httpError{status: http.StatusForbidden, code: "other_host",
		message: "Without a token the admin plane answers by its address or as localhost only, since other names may lead here from elsewhere. Use one of those, or set admin_token_file."}
)

// notStored keeps what the API answers out of caches.
func notStored(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if strings.HasPrefix(c.Request().URL.Path, "/api/") {
			h := c.Response().Header()
			h.Set("Cache-Control", "no-store")
			h.Set("X-Content-Type-Options", "nosniff")
		}
		return next(c)
	}
}

// ownSite refuses requests that change something and that a page of another site sent.
func ownSite() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if protection.Check(c.Request()) != nil {
				return errOtherSite
			}
			return next(c)
		}
	}
}

// ownHost refuses, where no token is asked for, requests for a host by another name
// than can only be this one's.
func ownHost(token string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if token == "" && !localName(c.Request().Host) {
				return errOtherHost
			}
			return next(c)
		}
	}
}

// localName reports whether no other site can have this name.
func localName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
