package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/render"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

// reportParameters are what a report can be asked for with.
var reportParameters = []string{"since", "until", "incident", "by", "format"}

func (h *handler) report(w http.ResponseWriter, r *http.Request) {
	q, format, err := h.query(r.URL.Query())
	if err != nil {
		h.failed(w, err)
		return
	}
	made, err := report.Make(r.Context(), report.Sources{Ledger: h.Ledger, Prices: h.Prices(), Uncovered: h.Uncovered}, q)
	if err != nil {
		h.failed(w, err)
		return
	}
	var b bytes.Buffer
	if err := render.Write(&b, made, format, render.Options{}); err != nil {
		h.failed(w, err)
		return
	}
	w.Header().Set("Content-Type", render.ContentType(format))
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = b.WriteTo(w) // the client may have left
}

// query reads the parameters of a request.
func (h *handler) query(v url.Values) (q report.Query, format string, err error) {
	for name, values := range v {
		if !slices.Contains(reportParameters, name) {
			return q, "", fmt.Errorf("%w: there is no parameter %q: want %s", report.ErrInvalid, name, strings.Join(reportParameters, ", "))
		}
		if len(values) > 1 {
			return q, "", fmt.Errorf("%w: %s is there %d times", report.ErrInvalid, name, len(values))
		}
	}
	if format = v.Get("format"); format == "" {
		format = "json"
	}
	if err := render.Check(format); err != nil {
		return q, "", fmt.Errorf("%w: %w", report.ErrInvalid, err)
	}
	q, err = Query(h.Ledger, Asked{Since: v.Get("since"), Until: v.Get("until"), Incident: v.Get("incident"), By: v.Get("by")}, time.Now())
	return q, format, err
}

// Asked is a query as somebody writes it.
type Asked struct{ Since, Until, Incident, By string }

// Query reads what was asked for. The error is report.ErrInvalid, or that there is no
// such incident.
func Query(books *ledger.Ledger, a Asked, now time.Time) (q report.Query, err error) {
	if q.By, err = report.ParseBy(a.By); err != nil {
		return q, err
	}
	if q.Since, err = report.ParseTime(a.Since, now); err != nil {
		return q, fmt.Errorf("since: %w", err)
	}
	if q.Until, err = report.ParseTime(a.Until, now); err != nil {
		return q, fmt.Errorf("until: %w", err)
	}
	if a.Incident == "" {
		return q, q.Check()
	}
	n, err := strconv.Atoi(a.Incident)
	if err != nil {
		return q, fmt.Errorf("%w: incident %q: want its number, as recoup incident list has it", report.ErrInvalid, a.Incident)
	}
	i, err := books.Incident(n)
	if errors.Is(err, ledger.ErrNotFound) {
		return q, fmt.Errorf("%w: %s", err, newestIncidents(books))
	}
	q.Incident = &i
	return q, err
}

// newestIncidents says which there are, for who has the books of a gateway that is gone
// and can't ask it.
func newestIncidents(books *ledger.Ledger) string {
	const shown = 10
	var all []string
	err := books.Incidents(context.Background(), func(i ledger.Incident) error {
		all = append(all, fmt.Sprintf("%d %q", i.Number, i.Name))
		return nil
	})
	if err != nil {
		return "and which there are can't be read: " + err.Error()
	}
	if len(all) == 0 {
		return "the books have none"
	}
	slices.Reverse(all)
	return "the newest in the books: " + strings.Join(all[:min(len(all), shown)], ", ")
}
