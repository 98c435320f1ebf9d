package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Request is what the handler is asked.
type Request struct {
	Statement vendor.Statement `json:"statement"`
	Post      bool             `json:"post"`
}

// maxBody bounds a statement: it has sums, not rows.
const maxBody = 32 << 20

// Handler answers POST /api/v1/reconcile/statement: a Request, with its Result. Errors are
// {"error": {"code", "message"}}.
func Handler(books *ledger.Ledger, prices func() *pricing.Book, logger *slog.Logger) http.Handler {
	var one sync.Mutex                                                    // at a time, or two of the same would each post half
	compare := func(ctx context.Context, req *Request) (*Result, error) { // answers are written without the lock, however slowly they are read
		one.Lock()
		defer one.Unlock()
		return Compare(ctx, Sources{books, prices(), time.Now()}, &req.Statement, req.Post)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Request
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		in.DisallowUnknownFields()
		if err := in.Decode(&req); err != nil {
			fail(w, http.StatusBadRequest, "invalid_statement", err)
			return
		}
		result, err := compare(r.Context(), &req)
		switch {
		case errors.Is(err, ErrInvalid):
			fail(w, http.StatusBadRequest, "invalid_statement", err)
			return
		case err != nil:
			logger.Error("reconcile", "error", err)
			fail(w, http.StatusInternalServerError, "books_failed", err)
			return
		}
		logger.Info("compared with a provider's bill by buckets", "provider", result.Provider, "from", result.From, "to", result.To,
			"state", result.State, "adjustment_usd", result.Adjustment.String(), "posted", result.Posted)
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
