package reprice

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Handler answers POST /api/v1/prices/reprice: a Request, with its Result, by the book
// that is in use. Errors are {"error": {"code", "message"}}.
func Handler(books *ledger.Ledger, book func() *pricing.Book, logger *slog.Logger) http.Handler {
	var one sync.Mutex // at a time, or each would find half of what there is
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Request
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
		in.DisallowUnknownFields()
		err := in.Decode(&req)
		switch {
		case err == nil && req.Since.IsZero():
			err = errors.New("want since, the time from which attempts are looked at")
		case err == nil && !req.Until.IsZero() && !req.Since.Before(req.Until):
			err = errors.New("until is not after since")
		}
		if err != nil {
			fail(w, http.StatusBadRequest, "invalid_request", err)
			return
		}
		one.Lock()
		defer one.Unlock()
		result, err := Run(r.Context(), books, book(), req)
		if err != nil {
			logger.Error("reprice", "error", err, "posted", result.Posted)
			fail(w, http.StatusInternalServerError, "books_failed", err)
			return
		}
		logger.Info("attempts were compared with the price book", "version", result.Version, "attempts", result.Attempts,
			"difference_usd", result.Difference.String(), "posted", result.Posted)
		answer(w, http.StatusOK, result)
	})
}

func fail(w http.ResponseWriter, status int, code string, err error) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": err.Error()}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have left
}
