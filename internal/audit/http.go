package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/recoup-gateway/recoup/internal/adminapi"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// maxBody bounds a bill, at about 200 bytes a line.
const maxBody = 64 << 20

// Options are what the audit in the admin plane is made from.
type Options struct {
	Ledger    *ledger.Ledger
	Prices    func() *pricing.Book
	Logger    *slog.Logger
	Uncovered func() report.Uncovered // what no book has; nil: it is not known
	// One is held for one bill at a time: two would each make stand what the other
	// doesn't know. nil: nothing else compares bills.
	One sync.Locker
}

// Handler serves the audit, to be mounted in the admin plane behind its token:
//
//	GET  /api/v1/audit                 the Summary of all there is; with any parameter a report:
//	     since, until                  a window, or
//	     incident                      the number of an incident
//	     by                            groupings
//	     format                        json, table, csv, markdown, html
//	POST /api/v1/reconcile             a Bill; answers with its Reconciliation
//	GET  /api/v1/incidents             all incidents
//	POST /api/v1/incidents             declares one
//	GET  /api/v1/incidents/{id}        one
//	POST /api/v1/incidents/{id}/close  ends it
//
// Errors are {"error": {"code", "message"}}: 400 for what can't be read or
// contradicts itself, 404 for an incident that isn't there, 409 for one that is over,
// 413 for a bill or an incident that is too large, 500 where the books failed.
func Handler(o Options) http.Handler {
	h := &handler{Options: o}
	if h.One == nil {
		h.One = &sync.Mutex{}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/audit", h.audit)
	mux.HandleFunc("POST /api/v1/reconcile", h.reconcile)
	mux.HandleFunc("GET /api/v1/incidents", h.listIncidents)
	mux.HandleFunc("POST /api/v1/incidents", h.openIncident)
	mux.HandleFunc("GET /api/v1/incidents/{id}", h.showIncident)
	mux.HandleFunc("POST /api/v1/incidents/{id}/close", h.closeIncident)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		adminapi.Fail(w, http.StatusNotFound, "not_found", fmt.Errorf("there is no %s %s here", r.Method, r.URL.Path))
	})
	return mux
}

type handler struct {
	Options
	closing sync.Mutex // of an incident: it has one end
}

func (h *handler) audit(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		h.report(w, r)
		return
	}
	s, err := Sum(r.Context(), h.Ledger)
	if err != nil {
		h.failed(w, err)
		return
	}
	adminapi.Answer(w, http.StatusOK, s)
}

func (h *handler) reconcile(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		adminapi.Fail(w, http.StatusRequestEntityTooLarge, "bill_too_large",
			fmt.Errorf("the bill is larger than %d MiB: give it in parts, without complete", maxBody>>20))
		return
	case err != nil:
		adminapi.Fail(w, http.StatusBadRequest, "invalid_bill", fmt.Errorf("the bill can't be read: %w", err))
		return
	}
	result, err := h.reconcileOne(r.Context(), data)
	if err != nil {
		h.failed(w, err)
		return
	}
	h.Logger.Info("reconciled with a provider's bill", "provider", result.Provider, "lines", result.Lines,
		"revisions", result.Revisions, "unexplained_tokens", result.Unexplained, "out_of_bounds", len(result.OutOfBounds))
	adminapi.Answer(w, http.StatusOK, result)
}

// reconcileOne holds the lock no longer than that: a bill may come, and the answer may
// be read, slowly. What a bill becomes in memory is some times as large, so it is there once.
func (h *handler) reconcileOne(ctx context.Context, data []byte) (Reconciliation, error) {
	h.One.Lock()
	defer h.One.Unlock()
	bill, err := readBill(data)
	if err != nil {
		return Reconciliation{}, err
	}
	return Reconcile(ctx, h.Ledger, h.Prices(), bill)
}

func readBill(data []byte) (bill Bill, err error) {
	if err := adminapi.Decode(bytes.NewReader(data), &bill); err != nil {
		return bill, fmt.Errorf("%w: it can't be read: %w", ErrInvalid, err)
	}
	return bill, nil
}

func (h *handler) failed(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrInvalid), errors.Is(err, ledger.ErrSummarised):
		adminapi.Fail(w, http.StatusBadRequest, "invalid_bill", err)
		return
	case errors.Is(err, report.ErrInvalid):
		adminapi.Fail(w, http.StatusBadRequest, "invalid_query", err)
		return
	case errors.Is(err, ledger.ErrInvalid):
		adminapi.Fail(w, http.StatusBadRequest, "invalid_incident", err)
		return
	case errors.Is(err, ledger.ErrNotFound):
		adminapi.Fail(w, http.StatusNotFound, "no_such_incident", errors.New("there is no such incident: GET /api/v1/incidents lists them"))
		return
	case errors.Is(err, ledger.ErrFinal):
		adminapi.Fail(w, http.StatusConflict, "incident_final", errors.New("the incident is final, and doesn't change any more"))
		return
	}
	h.Logger.Error("audit", "error", err)
	adminapi.Fail(w, http.StatusInternalServerError, "books_failed", err)
}
