package gateway

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/pricing"
)

// minute is a reading of a gateway that loses a cent a minute, of whose log 10 MB of
// 1000 MB are taken in each.
func minute(start time.Time, n int64) reading {
	cent := pricing.Picodollars(10_000_000_000)
	return reading{
		at: start.Add(time.Duration(n) * readEvery), forNothing: pricing.Sum{}.Add(pricing.Picodollars(n) * cent), net: pricing.Sum{}.Add(-pricing.Picodollars(n) * cent),
		missed: n, unpriced: 2 * n, breaks: 3 * n, resumed: 4 * n, logTaken: 10e6 * n, logFree: 1000e6 - 10e6*n,
	}
}

// TestHistory: what is of a time is of that time, or since the start, and says so; and
// no more is remembered than it takes.
func TestHistory(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		last int64 // minute that was read
		now  time.Duration
		want string
	}{
		{"just started", 0, 10 * time.Second, `{"lately":{"since":"2026-03-01T00:00:00Z","window_seconds":300,"for_nothing_usd":"0.05"},` +
			`"day":{"since":"2026-03-01T00:00:00Z","window_seconds":86400,"net_usd":"-0.05","breaks":15,"resumed":20,"missed":5,"unpriced_attempts":10},` +
			`"log":{"since":"2026-03-01T00:00:00Z","window_seconds":3600,"full":0}}`},
		{"an hour", 60, time.Hour, `{"lately":{"since":"2026-03-01T00:55:00Z","window_seconds":300,"for_nothing_usd":"0.1"},` +
			`"day":{"since":"2026-03-01T00:00:00Z","window_seconds":86400,"net_usd":"-0.65","breaks":195,"resumed":260,"missed":65,"unpriced_attempts":130},` +
			`"log":{"since":"2026-03-01T00:00:00Z","window_seconds":3600,"full":0.6,"hours_left":0.6666666666666666}}`},
	} {
		var h history
		for n := range tt.last + 1 {
			h.add(minute(start, n))
		}
		now := minute(start, tt.last+5)
		now.at = start.Add(tt.now)
		if got, err := json.Marshal(h.line(now)); err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\n%s, want\n%s", tt.name, err, got, tt.want)
		}
	}
	var h history
	const days = 3 * 24 * 60
	for n := range int64(days) {
		h.add(minute(start, n))
	}
	if got, want := len(h.readings), 24*60+1; got != want {
		t.Errorf("%d readings are remembered, want %d", got, want)
	}
	now := minute(start, days-1)
	if got := h.line(now); !got.Day.Since.Equal(now.at.Add(-day)) || got.Day.Missed != 24*60 {
		t.Errorf("the day is %+v", got.Day)
	}
}

// TestLogNotFilling: a log that doesn't grow lasts a year, which is the most that is said.
func TestLogNotFilling(t *testing.T) {
	var h history
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for n := range int64(120) {
		r := minute(start, n)
		r.logFree = 1000e6 + n*1e6
		h.add(r)
	}
	if got := h.line(minute(start, 120)).Log.Hours; got == nil || *got != year {
		t.Errorf("%v hours are left", got)
	}
}
