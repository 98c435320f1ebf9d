package audit

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

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

const (
	maxWord  = 1 << 10 // bytes of a name, as in the ledger
	maxAhead = 366 * 24 * time.Hour
)

var declaredBody = adminapi.Body{What: "incident", Max: 64 << 10}

// check says what to declare instead.
func (d *Declared) check(now time.Time) error {
	if strings.TrimSpace(d.Name) == "" {
		return errors.New(`name: it has none: want one, such as "deploy 4711"`)
	}
	err := errors.Join(readable("name", d.Name), readable("kind", d.Kind))
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		if name == "" {
			return errors.New("labels: one has no name: want a name and a value")
		}
		err = errors.Join(err, readable("labels", name), readable("label "+name, d.Labels[name]))
	}
	if err == nil {
		err = conceivable("start", d.Start, now)
	}
	if err == nil && !d.End.IsZero() {
		err = ends(d.Start, d.End, now)
	}
	return err
}

// readable says if a word is one line of text.
func readable(what, s string) error {
	switch {
	case len(s) > maxWord:
		return fmt.Errorf("%.60s: %d bytes: want at most %d", what, len(s), maxWord)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%.60q: %.60q has a control character, such as a line break: leave it out", what, s)
	}
	return nil
}

// conceivable says if an incident can be at a time.
func conceivable(what string, t, now time.Time) error {
	if t.UnixMilli() <= 0 || t.Sub(now) > maxAhead {
		return fmt.Errorf("%s: %s: want a time from 1970 on, and at most a year ahead", what, t.UTC().Format(time.RFC3339))
	}
	return nil
}

// ends says if an incident can have that end.
func ends(start, end, now time.Time) error {
	if start, end := milliseconds(start), milliseconds(end); !end.After(start) {
		return fmt.Errorf("the incident ends at %s, and starts at %s: want an end after its start", end.Format(time.RFC3339Nano), start.Format(time.RFC3339Nano))
	}
	return conceivable("end", end, now)
}

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
	if !declaredBody.Read(w, r, &d) {
		return
	}
	now := time.Now()
	if d.Start.IsZero() {
		d.Start = now
	}
	if err := d.check(now); err != nil {
		adminapi.Fail(w, http.StatusBadRequest, "invalid_incident", err)
		return
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
	if !declaredBody.Read(w, r, &c) {
		return
	}
	h.closing.Lock()
	defer h.closing.Unlock()
	i, err := h.find(r)
	if err != nil {
		h.failed(w, err)
		return
	}
	if !i.End.IsZero() {
		adminapi.Fail(w, http.StatusConflict, "incident_closed", fmt.Errorf("incident %d has ended at %s", i.Number, i.End.Format(time.RFC3339)))
		return
	}
	now := time.Now()
	if i.End = milliseconds(c.End); c.End.IsZero() {
		if i.End = milliseconds(now); !i.End.After(i.Start) {
			i.End = i.Start.Add(time.Millisecond) // it was opened just now, or is still to begin
		}
	}
	if err := ends(i.Start, i.End, now); err != nil {
		adminapi.Fail(w, http.StatusBadRequest, "invalid_incident", err)
		return
	}
	if _, err = h.Ledger.ChangeIncident(i); err != nil {
		h.failed(w, err)
		return
	}
	h.Logger.Info("an incident was closed", "incident", i.Number, "name", i.Name)
	adminapi.Answer(w, http.StatusOK, report.Describe(i))
}
