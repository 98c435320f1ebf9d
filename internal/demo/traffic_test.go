package demo

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What is played is by the seed, in the shares of the roles.
func TestJobs(t *testing.T) {
	const n = 400
	drawn, same := map[fate]int{}, 0
	for number := 1; number <= n; number++ {
		p := job(regulars, number, 1, "a-")
		drawn[p.fate]++
		again := job(regulars, number, 1, "b-")
		if p.model != again.model || p.fate != again.fate || p.answer != again.answer || p.stop != again.stop || p.provider.Header() != again.provider.Header() {
			t.Fatalf("job %d is another: %+v, %+v", number, p.role, again.role)
		}
		if bytes.Equal(p.bodies[0], again.bodies[0]) || (&agent{plan: p}).key(0) == (&agent{plan: again}).key(0) && p.fate != keyless {
			t.Fatalf("job %d of two runs is one call", number)
		}
		if other := job(regulars, number, 2, "a-"); other.fate == p.fate && other.answer == p.answer {
			same++
		}
		if events := p.answer / perEvent; p.stop < 1 || p.stop >= events {
			t.Errorf("job %d is met at event %d of %d", number, p.stop, events)
		}
	}
	if same > n/50 {
		t.Errorf("another seed has %d of %d jobs in common", same, n)
	}
	total := 0
	for _, r := range regulars {
		total += r.agents
	}
	shares := map[fate]int{}
	for _, r := range regulars {
		shares[r.fate] += r.agents
	}
	for f, share := range shares {
		if want := n * share / total; drawn[f] < want/2 || drawn[f] > 2*want {
			t.Errorf("%s is drawn %d times, and has a share of %d", f, drawn[f], want)
		}
	}
}

func TestTrafficRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"gateway:8484": "want http://host:port", "ftp://gateway": "want http://host:port", "": "want http://host:port", "http://gateway": "0 agents: want at least 1",
	} {
		if _, err := Traffic(t.Context(), TrafficOptions{Gateway: url}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

var hurried = Pace{Interval: time.Microsecond, Away: time.Millisecond, Rest: time.Millisecond, Retry: time.Millisecond}

// A call that always fails is given up, and the next one made.
func TestTrafficGivesUp(t *testing.T) {
	var calls atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			calls.Add(1)
			http.Error(w, "no such luck", http.StatusBadGateway)
		}
	}))
	t.Cleanup(gateway.Close)
	var log bytes.Buffer
	tally, err := Traffic(t.Context(), TrafficOptions{
		Gateway: gateway.URL, Agents: 1, Jobs: 3, Pace: hurried, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil || tally.Jobs != 3 || tally.GivenUp != 3 || tally.Read != 0 || calls.Load() < 3*maxTries {
		t.Errorf("%+v, %v after %d calls", tally, err, calls.Load())
	}
	if n := strings.Count(log.String(), "an answer is given up"); n != 3 || !strings.Contains(log.String(), "no such luck") {
		t.Errorf("%d are given up:\n%s", n, &log)
	}
}

// It waits for a gateway that isn't there, says so once, and ends with its context.
func TestTrafficWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 10 {
			cancel()
		}
		http.Error(w, "draining", http.StatusServiceUnavailable)
	}))
	t.Cleanup(gateway.Close)
	var log bytes.Buffer
	tally, err := Traffic(ctx, TrafficOptions{Gateway: gateway.URL, Agents: 2, Pace: hurried, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil || tally != (Tally{}) {
		t.Errorf("%+v, %v", tally, err)
	}
	if n := strings.Count(log.String(), "the gateway does not answer, waiting"); n != 1 || !strings.Contains(log.String(), "draining") {
		t.Errorf("said %d times:\n%s", n, &log)
	}
}

func TestDeploys(t *testing.T) {
	d := newDeploys()
	defer d.end()
	before, stop := d.until(t.Context())
	defer stop()
	d.deploy()
	<-before.Done()
	if !errors.Is(context.Cause(before), errDeploy) {
		t.Error(context.Cause(before))
	}
	after, stop := d.until(t.Context())
	defer stop()
	if after.Err() != nil {
		t.Error("a deploy cuts off who came after it")
	}
}
