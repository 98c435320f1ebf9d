package reprice

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/recoup-gateway/recoup/internal/adminapi"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

var body = adminapi.Body{What: "request", Max: 4 << 10}

func (r *Request) check() error {
	switch {
	case r.Since.IsZero():
		return errors.New("want since, the time from which attempts are looked at")
	case !r.Until.IsZero() && !r.Since.Before(r.Until):
		return errors.New("until is not after since")
	}
	return nil
}

// Handler answers POST /api/v1/prices/reprice: a Request, with its Result, by the book
// that is in use. Errors are {"error": {"code", "message"}}. The locker is held for one
// at a time, or each would find half of what there is; so would a bill that is compared
// meanwhile.
func Handler(books *ledger.Ledger, book func() *pricing.Book, one sync.Locker, logger *slog.Logger) http.Handler {
	run := func(ctx context.Context, req Request) (Result, error) { // no longer than that: the answer may be read slowly
		one.Lock()
		defer one.Unlock()
		return Run(ctx, books, book(), req)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Request
		if !body.Read(w, r, &req) {
			return
		}
		if err := req.check(); err != nil {
			adminapi.Fail(w, http.StatusBadRequest, "invalid_request", err)
			return
		}
		result, err := run(r.Context(), req)
		if err != nil {
			logger.Error("reprice", "error", err, "posted", result.Posted)
			adminapi.Fail(w, http.StatusInternalServerError, "books_failed", err)
			return
		}
		logger.Info("attempts were compared with the price book", "version", result.Version, "attempts", result.Attempts,
			"difference_usd", result.Difference.String(), "posted", result.Posted)
		adminapi.Answer(w, http.StatusOK, result)
	})
}
