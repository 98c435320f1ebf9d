package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// ErrInvalid is in the error of a query that can't be answered.
var ErrInvalid = errors.New("audit")

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// Query asks for a report.
type Query struct {
	// Since and Until are a window: attempts accepted from Since on, before Until. The
	// zero times are the first attempt and after the last.
	Since, Until time.Time
	Incident     *ledger.Incident // or attempts that were broken in it
	By           []Dimension      // the grouping that is asked for; none: the usual ones

	// Progress is told how much is done, from 0 to 1; nil: nobody wants to know.
	Progress func(done float64)
}

// Dimension is something that attempts are grouped by: "model", "provider", "cause",
// "hour", or "tag:" and the name of a tag.
type Dimension string

// The dimensions that need no name.
const (
	ByModel    Dimension = "model"
	ByProvider Dimension = "provider"
	ByCause    Dimension = "cause"
	ByHour     Dimension = "hour"
)

const tagPrefix = "tag:"

// Tag is the grouping by a tag of the calls.
func Tag(name string) Dimension { return Dimension(tagPrefix + name) }

// tag is the name of the tag that d groups by.
func (d Dimension) tag() (name string, ok bool) { return strings.CutPrefix(string(d), tagPrefix) }

const maxDimensions = 6

// ParseBy reads groupings, separated by commas.
func ParseBy(s string) (by []Dimension, err error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	for _, word := range strings.Split(s, ",") {
		d := Dimension(strings.TrimSpace(word))
		name, isTag := d.tag()
		switch {
		case isTag && name == "":
			return nil, invalidf("by %q: want the name of a tag, as in tag:team", word)
		case !isTag && !slices.Contains([]Dimension{ByModel, ByProvider, ByCause, ByHour}, d):
			return nil, invalidf("by %q: want model, provider, cause, hour or tag:NAME, or several of them with commas", word)
		case slices.Contains(by, d):
			return nil, invalidf("by %q: it is there twice", word)
		}
		by = append(by, d)
	}
	if len(by) > maxDimensions {
		return nil, invalidf("by: %d groupings at once, at most %d", len(by), maxDimensions)
	}
	return by, nil
}

// ParseTime reads a time: RFC 3339, a day or a day and a time (UTC), "now", or how
// long ago, as "90m" or "2d". "" is the zero time.
func ParseTime(s string, now time.Time) (time.Time, error) {
	switch s {
	case "":
		return time.Time{}, nil
	case "now":
		return now.UTC(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil && t.UTC().Year() > 0 && t.UTC().Year() < 10_000 { // JSON has no others
			return t.UTC(), nil
		}
	}
	ago, days := strings.CutSuffix(s, "d")
	if days {
		var n int
		if _, err := fmt.Sscanf(ago+"\n", "%d\n", &n); err == nil && n >= 0 && n < 10_000 {
			return now.UTC().AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.UTC().Add(-d), nil
	}
	return time.Time{}, invalidf("time %q: want 2026-11-23, 2026-11-23T12:00:00Z, or how long ago, as 90m or 2d", s)
}

// Check says why a query can't be answered: ErrInvalid.
func (q *Query) Check() error {
	switch {
	case q.Incident != nil && (!q.Since.IsZero() || !q.Until.IsZero()):
		return invalidf("an incident has its own window: want it, or since and until")
	case !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until):
		return invalidf("the window is reversed or empty: since %s, until %s", stamp(q.Since), stamp(q.Until))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
