package report_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
)

func TestParseBy(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "model": "model", "model, tag:team,cause": "model tag:team cause", "provider,hour": "provider hour",
		"models": "want model, provider, cause, hour or tag:NAME", "tag:": "want the name of a tag", "model,model": "twice", ",": "want model",
	} {
		by, err := report.ParseBy(in)
		var got []string
		for _, d := range by {
			got = append(got, string(d))
		}
		if err != nil {
			if !errors.Is(err, report.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", in, err, want)
			}
		} else if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %q", in, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]time.Time{
		"": {}, "now": noon, "90m": noon.Add(-90 * time.Minute), "2d": noon.AddDate(0, 0, -2), "2026-11-23": noon.Add(-12 * time.Hour),
		"2026-11-23T12:00": noon, "2026-11-23T13:00:00+01:00": noon, "2026-11-23 12:00:00": noon, "2026-11-23T12:00:00.5Z": noon.Add(500 * time.Millisecond),
	} {
		if got, err := report.ParseTime(in, noon); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"yesterday", "-1h", "23.11.2026", "2026-13-01", "d", "-2d", "1xd", "99999999d", "0000-01-01", "9999-12-31T23:59:59-01:00"} {
		if got, err := report.ParseTime(in, noon); !errors.Is(err, report.ErrInvalid) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestRefused(t *testing.T) {
	s := newSite(t)
	for what, q := range map[string]report.Query{
		"reversed": {Since: noon.Add(time.Hour), Until: noon},
		"empty":    {Since: noon, Until: noon},
		"window":   {Since: noon, Incident: &ledger.Incident{Start: noon}},
	} {
		if _, err := report.Make(t.Context(), report.Sources{Ledger: s.ledger}, q); !errors.Is(err, report.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r := s.report(report.Query{})
	if r.Total.Attempts != 0 || len(r.Groups) != 0 || r.Total.Paid.Point.Sign() != 0 || len(r.Timeline.Buckets) != 0 {
		t.Errorf("of empty books: %+v", r)
	}
	r = s.report(report.Query{Incident: &ledger.Incident{Number: 1, Name: "x", Start: noon}})
	if r.Incident.State != report.Open || r.Total.Attempts != 0 {
		t.Errorf("of empty books: %+v", r.Incident)
	}
}
