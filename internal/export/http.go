package export

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/recoup-gateway/recoup/internal/adminapi"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

// SchemaHeader is the response's header with the schema.
const SchemaHeader = "Recoup-Export-Schema"

// MissingHeader is the response's header with what Missing says, if that is anything.
const MissingHeader = "Recoup-Export-Missing"

// Handler answers GET /api/v1/export?format=&what=&since=&until= with the table. An
// error before its first byte is {"error": {"code", "message"}}; one after it aborts the
// body, so that half a table never looks like a whole one.
func Handler(books *ledger.Ledger, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := parse(r.URL.Query())
		if err != nil {
			adminapi.Fail(w, http.StatusBadRequest, "invalid_request", err)
			return
		}
		missing, err := Missing(r.Context(), books, req)
		if err != nil {
			logger.Error("an export could not begin", "error", err)
			adminapi.Fail(w, http.StatusInternalServerError, "books_failed", err)
			return
		}
		if missing != "" {
			w.Header().Set(MissingHeader, missing)
		}
		contentType := "application/x-ndjson"
		if req.Format == CSV {
			contentType = "text/csv; charset=utf-8; header=present"
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set(SchemaHeader, req.Schema())
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "recoup-"+req.What+"."+req.Format))
		if err := Write(r.Context(), books, req, w); err != nil {
			logger.Error("an export was broken off", "error", err)
			panic(http.ErrAbortHandler)
		}
	})
}

func parse(q url.Values) (r Request, err error) {
	r = Request{What: q.Get("what"), Format: q.Get("format")}
	for name, values := range q {
		if len(values) > 1 {
			return r, fmt.Errorf("%s is there %d times: want one", name, len(values))
		}
		switch name {
		case "what", "format":
		case "since":
			r.Since, err = parseTime(name, q.Get(name))
		case "until":
			r.Until, err = parseTime(name, q.Get(name))
		default:
			err = fmt.Errorf("unknown parameter %q: want format, what, since, until", name)
		}
		if err != nil {
			return r, err
		}
	}
	return r, r.Check()
}

// parseTime reads a day, a month or a time.
func parseTime(name, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: %q: want a day, a month or a time, such as 2026-10-01, 2026-10 or 2026-10-01T16:00:00Z", name, text)
}
