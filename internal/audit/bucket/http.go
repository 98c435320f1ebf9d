package bucket

import (
	"context"
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

// body is a statement: it has sums, not rows.
var body = adminapi.Body{What: "statement", Max: 32 << 20}

// Options are what the handler compares with.
type Options struct {
	Ledger *ledger.Ledger
	Prices func() *pricing.Book
	Now    func() time.Time // time.Now, but in tests
	Logger *slog.Logger
	One    sync.Locker // held for one bill at a time: two would each make stand what the other doesn't know
}

// Handler answers POST /api/v1/reconcile/statement: a Request, with its Result. Errors are
// {"error": {"code", "message"}}.
func Handler(o Options) http.Handler {
	compare := func(ctx context.Context, req *Request) (*Result, error) { // no longer than that: the answer may be read slowly
		o.One.Lock()
		defer o.One.Unlock()
		return Compare(ctx, Sources{o.Ledger, o.Prices(), o.Now()}, &req.Statement, req.Post)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Request
		if !body.Read(w, r, &req) {
			return
		}
		result, err := compare(r.Context(), &req)
		switch {
		case errors.Is(err, ErrInvalid):
			adminapi.Fail(w, http.StatusBadRequest, "invalid_statement", err)
			return
		case err != nil:
			o.Logger.Error("reconcile", "error", err)
			adminapi.Fail(w, http.StatusInternalServerError, "books_failed", err)
			return
		}
		o.Logger.Info("compared with a provider's bill by buckets", "provider", result.Provider, "from", result.From, "to", result.To,
			"state", result.State, "adjustment_usd", result.Adjustment.String(), "posted", result.Posted)
		adminapi.Answer(w, http.StatusOK, result)
	})
}
