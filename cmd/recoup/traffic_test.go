package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/demo"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// briskly is a pace at which a deploy still finds answers to cut off.
var briskly = demo.Pace{Interval: 3 * time.Millisecond, Away: 40 * time.Millisecond, Rest: time.Millisecond, Retry: 5 * time.Millisecond}

// demoProvider is a simulated provider, and the configuration of a gateway that has
// it as one more provider, as docker-compose.yml does.
func demoProvider(t *testing.T) (*simulator.Simulator, string) {
	t.Helper()
	sim := simulator.New(simulator.Options{})
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(t.TempDir(), "recoup.yaml")
	write(t, path, "providers: {demo: {base_url: '"+server.URL+"', dialect: openai, on_cancel: billing_stops}}\nretention: 3s\norphan_grace: 1s\n")
	return sim, path
}

// generated are the lines of a bill that are for answers.
func generated(sim *simulator.Simulator) (lines []simulator.Entry) {
	for _, e := range sim.Bill() {
		if e.Method == http.MethodPost {
			lines = append(lines, e)
		}
	}
	return lines
}

// audited is what the traffic's test reads of /api/v1/audit.
type audited struct {
	Imbalance int64 `json:"imbalance_tokens"`
	Pending   int   `json:"pending_attempts"`
	Outcomes  struct {
		Delivered, Wasted, Lost map[string]int64
		Pending                 int64
	} `json:"outcomes"`
	Evidence map[string]struct {
		Attempts int `json:"attempts"`
	} `json:"evidence"`
}

func auditOf(t *testing.T, admin string) (a audited, attempts int) {
	t.Helper()
	_, body := get(t, admin+"/api/v1/audit")
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	for _, part := range a.Evidence {
		attempts += part.Attempts
	}
	return a, attempts
}

// Agents, provider and books agree on how often the provider was asked: those who
// came back did not ask it again.
func TestTraffic(t *testing.T) {
	t.Parallel()
	const jobs = 120
	sim, config := demoProvider(t)
	p := serve(t, t.TempDir(), "--config="+config)
	tally := traffic(t, sim, demo.TrafficOptions{Gateway: p.url + "/demo", Agents: 8, Seed: 1, Jobs: jobs})
	lines := generated(sim)
	if int64(len(lines)) != tally.Bought || tally.Bought < jobs || tally.Cut > 0 {
		t.Errorf("the provider has %d lines: %+v", len(lines), tally)
	}
	if tally.Resumed == 0 || tally.Left == 0 || tally.Cancelled == 0 {
		t.Errorf("what was to happen did not: %+v", tally)
	}
	ends, models := map[simulator.End]int{}, map[string]int{}
	for _, e := range lines {
		ends[e.End]++
		models[e.Model]++
		if e.Path != "/v1/chat/completions" || !e.Streamed {
			t.Errorf("a request for %s", e.Path)
		}
	}
	if ends[simulator.EndCompleted] == 0 || ends[simulator.EndGone] == 0 || ends[simulator.EndError] == 0 || ends[simulator.EndRejected] == 0 {
		t.Errorf("answers ended as %v", ends)
	}
	if models["gpt-5.5"] == 0 || models["gpt-5.5-mini"] == 0 || len(models) != 2 {
		t.Errorf("models %v", models)
	}

	var a audited
	var attempts int
	until(t, "all is settled", func() bool {
		a, attempts = auditOf(t, p.admin)
		return a.Pending == 0 && a.Outcomes.Pending == 0 && attempts >= len(lines)
	})
	if attempts != len(lines) {
		t.Errorf("the books have %d attempts, the provider %d lines", attempts, len(lines))
	}
	if a.Imbalance != 0 || a.Outcomes.Delivered["live"] == 0 || a.Outcomes.Delivered["resumed"] == 0 || a.Outcomes.Delivered["cancelled"] == 0 ||
		a.Outcomes.Wasted["upstream"] == 0 || a.Outcomes.Wasted["abandoned"] == 0 {
		t.Errorf("%+v", a)
	}
	_, metrics := get(t, p.admin+"/metrics")
	contains(t, metrics, `recoup_upstream_requests_total{provider="demo"}`, `recoup_resumes_total{model="gpt-5.5-mini",provider="demo",result="completed",via="key"}`)
	p.stop(t)
}

// A deploy cuts many off, and their answers are read to the end all the same. The
// provider is asked no more often than there are connections that asked for it.
func TestTrafficThroughDeploys(t *testing.T) {
	t.Parallel()
	const jobs = 40
	sim, config := demoProvider(t)
	p := serve(t, t.TempDir(), "--config="+config)
	tally := traffic(t, sim, demo.TrafficOptions{Gateway: p.url + "/demo", Agents: 8, DeployEvery: 500 * time.Millisecond, Seed: 2, Jobs: jobs})
	lines := int64(len(generated(sim)))
	if tally.Cut == 0 || lines < tally.Bought || lines > tally.Bought+tally.Cut {
		t.Errorf("the provider has %d lines: %+v", lines, tally)
	}
	if tally.Resumed == 0 || tally.Read+tally.Left+tally.Cancelled < jobs {
		t.Errorf("%+v", tally)
	}
	p.stop(t)
}

// traffic returns when all jobs are done, and the provider is.
func traffic(t *testing.T, sim *simulator.Simulator, o demo.TrafficOptions) demo.Tally {
	t.Helper()
	o.Pace, o.Logger = briskly, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	tally, err := demo.Traffic(ctx, o)
	if err != nil || tally.Jobs != int64(o.Jobs) || tally.GivenUp > 0 {
		t.Fatalf("%+v, %v", tally, err)
	}
	if err := sim.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	return tally
}

// The command waits for a gateway that isn't there, goes on when it was stopped and
// started again, and ends with SIGTERM.
func TestTrafficCommand(t *testing.T) {
	t.Parallel()
	sim, config := demoProvider(t)
	data, address := t.TempDir(), freeAddress(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], "demo", "traffic", "--gateway=http://"+address+"/demo", "--agents=3", "--deploy-every=0s")
	c.Env = []string{asCommand + "=1", "GORACE=atexit_sleep_ms=0"}
	waits, answers := newPrinted("the gateway does not answer, waiting"), newPrinted("the gateway answers")
	var stdout strings.Builder
	c.Stdout, c.Stderr = &stdout, io.MultiWriter(waits, answers)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	after := func(log *printed) {
		t.Helper()
		select {
		case <-log.came:
		case err := <-ended:
			t.Fatalf("%v\n%s", err, log)
		}
	}
	after(waits)
	p := serve(t, data, "--listen="+address, "--config="+config, "--drain-timeout=0s")
	after(answers)
	if err := sim.WaitCalls(ctx, 3); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	calls := sim.Calls()
	p = serve(t, data, "--listen="+address, "--config="+config, "--drain-timeout=0s")
	if err := sim.WaitCalls(ctx, calls+3); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, answers)
	}
	contains(t, stdout.String(), "answers read to the end; ", " calls bought from the provider, ")
	p.stop(t)
}

func TestTrafficRefuses(t *testing.T) {
	for flag, want := range map[string]string{
		"--gateway=8484": "want http://host:port", "--agents=0": "want at least 1", "--deploy-every=-1s": "want 0s or more",
	} {
		code, stderr := fails(t, "demo", "traffic", flag)
		if code != exitFailed {
			t.Errorf("%s: exit code %d", flag, code)
		}
		contains(t, stderr, "recoup: demo traffic: ", want)
	}
}

// freeAddress is one on which nobody listens yet.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
