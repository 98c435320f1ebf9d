package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// httpError is an answer of the gateway's own. Message is for the caller; err,
// if any, for the log.
type httpError struct {
	status     int
	code       string
	message    string
	param      string
	retryAfter int // seconds; 0: the call is not worth repeating as it is
	err        error
}

func (e *httpError) Error() string {
	if e.err != nil {
		return fmt.Sprintf("%d %s: %s: %v", e.status, e.code, e.message, e.err)
	}
	return fmt.Sprintf("%d %s: %s", e.status, e.code, e.message)
}

func (e *httpError) Unwrap() error { return e.err }

func badRequest(code, format string, args ...any) *httpError {
	return &httpError{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}

var (
	errStreamNotFound = &httpError{status: http.StatusNotFound, code: "stream_not_found", message: "No such stream. Check the id, and that you send the same credential as the call that made it."}
	errStreamExpired  = &httpError{status: http.StatusGone, code: "stream_expired", message: "The stream has expired: its answer is no longer kept. Make the call again."}
	errDraining       = &httpError{status: http.StatusServiceUnavailable, code: "gateway_draining", message: "The gateway is shutting down. Try again shortly.", retryAfter: 1}

	errCutByShutdown = &httpError{status: http.StatusServiceUnavailable, code: "gateway_interrupted", message: "The gateway could not finish the call. Make it again.", retryAfter: 1}
)

// logError turns an error of the stream log into an answer.
func logError(err error) error {
	switch {
	case errors.Is(err, streamlog.ErrNotFound):
		return errStreamNotFound
	case errors.Is(err, streamlog.ErrExpired):
		return errStreamExpired
	case errors.Is(err, streamlog.ErrDamaged):
		return &httpError{status: http.StatusInternalServerError, code: "stream_damaged", message: "The stored answer is damaged and can't be replayed. Make the call again.", err: err}
	case errors.Is(err, streamlog.ErrDiskFull):
		return &httpError{status: http.StatusServiceUnavailable, code: "gateway_disk_full", message: "The gateway has no room to store another answer.", retryAfter: 10, err: err}
	}
	return &httpError{status: http.StatusServiceUnavailable, code: "gateway_log_unavailable", message: "The gateway can't store or read answers now.", retryAfter: 10, err: err}
}

// handleError writes err in the shape of the dialect that the request speaks.
func (g *Gateway) handleError(err error, c echo.Context) {
	var e *httpError
	var he *echo.HTTPError
	switch {
	case errors.As(err, &e):
	case errors.Is(err, errClientGone):
		e = &httpError{status: statusClientGone, code: "client_gone", message: "The client has left."}
	case errors.As(err, &he):
		e = &httpError{status: he.Code, code: "gateway_error", message: fmt.Sprint(he.Message), err: he.Internal}
	default:
		e = &httpError{status: http.StatusInternalServerError, code: "gateway_error", message: "The gateway failed.", err: err}
	}
	if e.err != nil {
		g.logger.Warn("call refused", "path", c.Path(), "status", e.status, "code", e.code, "error", e.err, traceAttrOf(c))
	}
	if c.Response().Committed {
		return
	}
	d := dialectOf(c)
	own := dialect.Error{Status: e.status, Code: e.code, Message: e.message, Param: e.param}
	contentType, body := d.Error(own)
	h := c.Response().Header()
	if name, value := dialect.ErrorHeader(d, own); name != "" {
		h.Set(name, value)
	}
	h.Set("Content-Type", contentType)
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.retryAfter))
	} else {
		h.Set("X-Should-Retry", "false")
	}
	c.Response().WriteHeader(e.status)
	if c.Request().Method != http.MethodHead {
		// The client may be gone; there is nobody else to tell.
		_, _ = c.Response().Write(body)
	}
}

const dialectKey = "recoup.dialect"

// dialectOf tells which dialect a request's errors should have: that of its
// provider once this is known, else what its headers suggest.
func dialectOf(c echo.Context) dialect.Dialect {
	if d, ok := c.Get(dialectKey).(dialect.Dialect); ok && d != nil {
		return d
	}
	h := c.Request().Header
	first, _, _ := strings.Cut(strings.TrimPrefix(c.Request().URL.Path, "/"), "/")
	switch {
	case slices.Contains(bareBedrock, first):
		return dialect.Bedrock
	case h.Get("Anthropic-Version") != "":
		return dialect.Anthropic
	case h.Get("X-Goog-Api-Key") != "" || strings.HasPrefix(c.Request().URL.Path, "/v1beta"):
		return dialect.Gemini
	}
	return dialect.OpenAI
}

// statusClientGone is the status of a response that nobody is there to have.
const statusClientGone = 499

// errorTypeGateway is the type of errors that are the gateway's own.
const errorTypeGateway = "gateway"

// errorType is the metric label for how an attempt failed, and error.type of its span.
func errorType(e streamlog.End, head *streamlog.Head) string {
	switch {
	case e.State == streamlog.Cancelled:
		return "cancelled"
	case e.Cause == causeUnreachable:
		return "no_response"
	case e.Cause != causeUpstream:
		return errorTypeGateway
	case head == nil:
		return "no_response"
	case head.Status >= 400:
		return strconv.Itoa(head.Status)
	case e.State == streamlog.Failed:
		return "error_event"
	}
	return "cut"
}
