package report

import (
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

const (
	maxBuckets = 96   // that a timeline has, unless not even the longest step makes them that few
	maxLong    = 3800 // then: of four weeks, as long as a Duration can be

	// An incident has as much around it as it took, but no more than that.
	maxAround = 366 * 24 * time.Hour
)

var steps = []time.Duration{
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour,
}

// timeline is one that is being added up.
type timeline struct {
	t Timeline
}

// newTimeline is a timeline of a window; of an incident with something before and after.
func newTimeline(w Window, incident bool, last time.Time) timeline {
	t := Timeline{Place: "when the call was accepted", Buckets: []Bucket{}}
	from, to := w.Since, w.Until
	if incident {
		t.Place = "when the answer was broken in the incident, else when the call was accepted"
		if to.IsZero() {
			to = last.Add(time.Millisecond)
		}
		if !from.Before(to) {
			to = from.Add(time.Millisecond)
		}
		around := min(max(to.Sub(from), time.Second), maxAround)
		from, to = from.Add(-around), to.Add(around)
	}
	if from.IsZero() || !from.Before(to) {
		return timeline{t}
	}
	t.Step = steps[len(steps)-1]
	for _, s := range steps {
		if to.Sub(from.Truncate(s)) <= s*maxBuckets {
			t.Step = s
			break
		}
	}
	t.Seconds, t.From = int64(t.Step/time.Second), from.Truncate(t.Step)
	for at := t.From; at.Before(to) && len(t.Buckets) < maxLong; at = at.Add(t.Step) {
		t.Buckets = append(t.Buckets, Bucket{At: at})
	}
	return timeline{t}
}

// end is the time behind the last bucket; zero where there is none.
func (l *timeline) end() time.Time {
	if len(l.t.Buckets) == 0 {
		return time.Time{}
	}
	return l.t.From.Add(l.t.Step * time.Duration(len(l.t.Buckets)))
}

func (l *timeline) add(a *attempt, at time.Time) {
	if len(l.t.Buckets) == 0 || at.Before(l.t.From) {
		return
	}
	i := int(at.Sub(l.t.From) / l.t.Step)
	if i >= len(l.t.Buckets) {
		return
	}
	b := &l.t.Buckets[i]
	for j := range a.pieces {
		p := &a.pieces[j]
		switch {
		case p.input:
		case p.outcome == ledger.Delivered:
			b.Delivered += p.tokens
		case p.outcome == ledger.Wasted:
			b.Unusable += p.tokens
		case p.outcome == ledger.Lost:
			b.NeverReceived += p.tokens
		default:
			b.Pending += p.tokens
		}
	}
}

func (l *timeline) done() Timeline { return l.t }
