package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/recoup-gateway/recoup/internal/adminapi"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

// Declared is an incident as somebody declares it.
type Declared struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Kind   string            `json:"kind,omitempty"` // the likely cause, if it is known
	Start  time.Time         `json:"start,omitzero"` // zero: now
	End    time.Time         `json:"end,omitzero"`   // zero: it goes on
}

// Closed is the end of an incident.
type Closed struct {
	End time.Time `json:"end,omitzero"` // zero: now
}

const maxDeclared = 64 << 10

func (h *handler) listIncidents(w http.ResponseWriter, r *http.Request) {
	list := struct {
		Incidents []report.Incident `json:"incidents"`
	}{[]report.Incident{}}
	err := h.Ledger.Incidents(r.Context(), func(i ledger.Incident) error {
		list.Incidents = append(list.Incidents, report.Describe(i))
		return nil
	})
	if err != nil {
		h.failed(w, err)
		return
	}
	adminapi.Answer(w, http.StatusOK, list)
}

func (h *handler) openIncident(w http.ResponseWriter, r *http.Request) {
	var d Declared
	if !h.decode(w, r, &d) {
		return
	}
	if d.Start.IsZero() {
		d.Start = time.Now()
	}
	i, err := h.Ledger.OpenIncident(ledger.Incident{
		Name: d.Name, Labels: d.Labels, Kind: d.Kind, Start: milliseconds(d.Start), End: milliseconds(d.End),
	})
	if err != nil {
		h.failed(w, err)
		return
	}
	h.Logger.Info("an incident was declared", "incident", i.Number, "name", i.Name)
	adminapi.Answer(w, http.StatusCreated, report.Describe(i))
}

// milliseconds is a time as the books keep it.
func milliseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// find is the incident that a path names.
func (h *handler) find(r *http.Request) (ledger.Incident, error) {
	n, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return ledger.Incident{}, ledger.ErrNotFound
	}
	return h.Ledger.Incident(n)
}

func (h *handler) showIncident(w http.ResponseWriter, r *http.Request) {
	i, err := h.find(r)
	if err != nil {
		h.failed(w, err)
		return
	}
	adminapi.Answer(w, http.StatusOK, report.Describe(i))
}

func (h *handler) closeIncident(w http.ResponseWriter, r *http.Request) {
	var c Closed
	if !h.decode(w, r, &c) {
		return
	}
	i, err := h.find(r)
	if err == nil && !i.End.IsZero() {
		adminapi.Fail(w, http.StatusConflict, "incident_closed", fmt.Errorf("incident %d has ended at %s", i.Number, i.End.Format(time.RFC3339)))
		return
	}
	if err == nil {
		if i.End = milliseconds(c.End); c.End.IsZero() {
			i.End = milliseconds(time.Now())
		}
		if c.End.IsZero() && !i.End.After(i.Start) {
			i.End = i.Start.Add(time.Millisecond) // it was opened just now
		}
		_, err = h.Ledger.ChangeIncident(i)
	}
	if err != nil {
		h.failed(w, err)
		return
	}
	h.Logger.Info("an incident was closed", "incident", i.Number, "name", i.Name)
	adminapi.Answer(w, http.StatusOK, report.Describe(i))
}

// decode reads the body of a request; it may be empty where all of it can be left out.
func (h *handler) decode(w http.ResponseWriter, r *http.Request, v any) bool {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDeclared))
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		adminapi.Fail(w, http.StatusBadRequest, "invalid_incident", fmt.Errorf("the body can't be read: %w", err))
		return false
	}
	return true
}
