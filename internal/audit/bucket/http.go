package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/internal/adminapi"
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
// {"error": {"code", "message"}}. A day is over by now, which is time.Now but in tests.
func Handler(books *ledger.Ledger, prices func() *pricing.Book, now func() time.Time, logger *slog.Logger) http.Handler {
	var one sync.Mutex                                                    // at a time, or two of the same would each post half
	compare := func(ctx context.Context, req *Request) (*Result, error) { // no longer than that: the answer may be read slowly
		one.Lock()
		defer one.Unlock()
		return Compare(ctx, Sources{books, prices(), now()}, &req.Statement, req.Post)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Request
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		in.DisallowUnknownFields()
		if err := in.Decode(&req); err != nil {
			adminapi.Fail(w, http.StatusBadRequest, "invalid_statement", err)
			return
		}
		result, err := compare(r.Context(), &req)
		switch {
		case errors.Is(err, ErrInvalid):
			adminapi.Fail(w, http.StatusBadRequest, "invalid_statement", err)
			return
		case err != nil:
			logger.Error("reconcile", "error", err)
			adminapi.Fail(w, http.StatusInternalServerError, "books_failed", err)
			return
		}
		logger.Info("compared with a provider's bill by buckets", "provider", result.Provider, "from", result.From, "to", result.To,
			"state", result.State, "adjustment_usd", result.Adjustment.String(), "posted", result.Posted)
		adminapi.Answer(w, http.StatusOK, result)
	})
}
