package pricing

import (
	"fmt"
	"strings"
	"time"
)

// hours of the day, in UTC, for which a row holds. The zero value is all.
type hours struct {
	windows  []span
	weekdays bool // Monday to Friday only
}

// span is from inclusive, to exclusive, since midnight.
type span struct{ from, to time.Duration }

func (h hours) contain(t time.Time) bool {
	if len(h.windows) == 0 {
		return true
	}
	t = t.UTC()
	if day := t.Weekday(); h.weekdays && (day == time.Saturday || day == time.Sunday) {
		return false
	}
	hour, minute, second := t.Clock()
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	for _, w := range h.windows {
		if since >= w.from && since < w.to {
			return true
		}
	}
	return false
}

// parse reads "peak 01:00-04:00,06:00-10:00 UTC Mon-Fri" (without the days: all) or
// "00:30:00Z/16:30:00Z". "off-peak" is the row that holds when its peak doesn't: all
// hours, for a row with windows takes precedence.
func (h *hours) parse(s string) error {
	if s == "" || s == "off-peak" {
		return nil
	}
	if from, to, ok := strings.Cut(s, "/"); ok {
		return h.add("15:04:05Z", from, to)
	}
	fields := strings.Fields(s)
	if len(fields) == 4 && fields[3] == "Mon-Fri" {
		h.weekdays = true
		fields = fields[:3]
	}
	if len(fields) != 3 || fields[0] != "peak" || fields[2] != "UTC" {
		return fmt.Errorf("time_of_day: %q is not understood", s)
	}
	for w := range strings.SplitSeq(fields[1], ",") {
		from, to, _ := strings.Cut(w, "-")
		if err := h.add("15:04", from, to); err != nil {
			return err
		}
	}
	return nil
}

func (h *hours) add(layout, from, to string) error {
	begin, err := time.Parse(layout, from)
	if err != nil {
		return fmt.Errorf("time_of_day: %w", err)
	}
	end, err := time.Parse(layout, to)
	if err != nil {
		return fmt.Errorf("time_of_day: %w", err)
	}
	if !begin.Before(end) {
		return fmt.Errorf("time_of_day: %s is not before %s", from, to)
	}
	midnight := time.Date(begin.Year(), begin.Month(), begin.Day(), 0, 0, 0, 0, time.UTC)
	h.windows = append(h.windows, span{begin.Sub(midnight), end.Sub(midnight)})
	return nil
}

// meet says if some hours are in both. Days of the week don't tell them apart.
func (h hours) meet(other hours) bool {
	if len(h.windows) == 0 || len(other.windows) == 0 {
		return true
	}
	for _, a := range h.windows {
		for _, b := range other.windows {
			if a.from < b.to && b.from < a.to {
				return true
			}
		}
	}
	return false
}
