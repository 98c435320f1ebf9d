package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// asChild makes this test binary one of the child processes.
const asChild = "BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	role := os.Getenv(asChild)
	if role == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := UntilEOF(context.Background(), os.Stdin)
	if err := child(ctx, role, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		cancel()
		os.Exit(1)
	}
	cancel()
}

func child(ctx context.Context, role string, args []string) error {
	switch role {
	case RoleProvider:
		return RunProvider(ctx, os.Stderr)
	case RoleProxy:
		return RunProxy(ctx, os.Stderr, args[0])
	case RoleGateway, RoleUnbooked:
		return runGateway(ctx, args[0], args[1])
	case "forger":
		return runForger(ctx)
	}
	return errors.New("broken on purpose: " + role)
}

// runGateway is the least that makes a gateway; the command brings the real one.
func runGateway(ctx context.Context, provider, dir string) error {
	base, err := url.Parse(provider)
	if err != nil {
		return err
	}
	l, err := streamlog.Open(dir, streamlog.Options{Retention: time.Minute})
	if err != nil {
		return err
	}
	cfg := gateway.Defaults()
	cfg.Providers = map[string]gateway.Provider{"openai": {Name: "openai", BaseURL: base, Dialect: dialect.OpenAI, OnCancel: gateway.BillingStops}}
	m, err := metrics.New(prometheus.NewRegistry(), metrics.Options{Version: "test"})
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Options{
		Config: cfg, Log: l, Logger: slog.New(slog.DiscardHandler), Secret: []byte("0123456789abcdef"),
		Metrics: m,
	})
	if err != nil {
		return err
	}
	return serveUntil(ctx, g.Handler(), func() error {
		expired, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.Drain(expired) // nobody is waited for
		return l.Close()
	})
}

// runForger is a provider that answers each call with other bytes.
func runForger(ctx context.Context) error {
	n := 0
	return serveUntil(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		for k := range 20 {
			_, _ = fmt.Fprintf(w, "data: %d %d\n\n", n, k)
		}
	}), func() error { return nil })
}

func serveUntil(ctx context.Context, h http.Handler, stop func() error) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	if err := announce(os.Stderr, "http://"+ln.Addr().String()); err != nil {
		return err
	}
	<-ctx.Done()
	err = errors.Join(srv.Close(), stop())
	<-served
	return err
}

// children makes commands of this test binary; as replaces roles.
func children(t *testing.T, as map[string]string) func(string, ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(role string, args ...string) *exec.Cmd {
		if other, ok := as[role]; ok {
			role = other
		}
		cmd := exec.Command(self, args...)
		cmd.Env = append(os.Environ(), asChild+"="+role)
		return cmd
	}
}

// tiny is a plan of a few seconds.
func tiny() plan {
	return plan{
		rounds: 1, record: true, appendStreams: 80, appendTime: 40 * time.Millisecond, replays: 5, replayStreams: 4, flatRounds: 1, long: 1000, few: 20, many: 40,
		flatOutStreams: 4, flatOutEvents: 200, flatOutRepeat: 2, pacedStreams: 8, pacedTime: 200 * time.Millisecond, idleStreams: 10,
	}
}

// noLeftovers fails the test if a run has left files.
func noLeftovers(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the temporary directory: %v, %v", left, err)
		}
	})
}

func TestAppendsAreMeasuredAndReadBack(t *testing.T) {
	noLeftovers(t)
	rep, err := run(t.Context(), Options{Only: []string{PartAppend}}, tiny())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Append) != 8 {
		t.Fatalf("%d results, want 5 engines and 3 of them synced", len(rep.Append))
	}
	for _, a := range rep.Append {
		if a.EventsPerSecond <= 0 || a.DiskPerByte <= 0 {
			t.Errorf("%s, sync %t: %+v", a.Engine, a.SyncWrites, a)
		}
	}
	if want := int64(8 * 80 / sampleEvery); rep.Verified.Streams != want {
		t.Errorf("%d streams read back, want %d", rep.Verified.Streams, want)
	}
}

func TestStoredStreamsAreReadAndFlat(t *testing.T) {
	noLeftovers(t)
	rep, err := run(t.Context(), Options{Only: []string{PartReplay, PartFlat}}, tiny())
	if err != nil {
		t.Fatal(err)
	}
	if rep.Replay.P50 <= 0 || rep.Replay.P99 < rep.Replay.P50 {
		t.Errorf("replay: %+v", rep.Replay)
	}
	if len(rep.Flat) != 4 {
		t.Errorf("flat: %+v", rep.Flat)
	}
	if want := int64(5*replayEvents + 2*flatReads*storedEvents); rep.Verified.Events != want {
		t.Errorf("%d events compared, want %d", rep.Verified.Events, want)
	}
}

func TestRelayGoesThroughAllTargets(t *testing.T) {
	noLeftovers(t)
	rep, err := run(t.Context(), Options{Only: []string{PartRelay, PartIdle}, Command: children(t, nil)}, tiny())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Relay) != 6 {
		t.Fatalf("%d results, want 2 loads on 3 targets", len(rep.Relay))
	}
	for _, r := range rep.Relay {
		if r.EventsPerSecond <= 0 || r.Load == loadPaced && r.P50 <= 0 {
			t.Errorf("%s, %s: %+v", r.Load, r.Target, r)
		}
	}
	if want := int64(3 * (4*2 + 8)); rep.Verified.Streams != want {
		t.Errorf("%d streams came whole, want %d", rep.Verified.Streams, want)
	}
}

func TestBooks(t *testing.T) {
	noLeftovers(t)
	rep, err := run(t.Context(), Options{Only: []string{PartBooks}, Command: children(t, nil)}, tiny())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Books) != 2 || rep.Books[0].CPUPerThousand <= 0 || rep.Books[1].CPUPerThousand <= 0 || len(rep.Targets) != 1 {
		t.Errorf("%+v", rep)
	}
}

func TestWrongBytesFailTheRun(t *testing.T) {
	noLeftovers(t)
	p := tiny()
	p.flatOutEvents = 10
	_, err := run(t.Context(), Options{Only: []string{PartRelay}, Command: children(t, map[string]string{RoleProvider: "forger"})}, p)
	if !errors.Is(err, ErrDiffers) {
		t.Fatalf("a provider that never says the same twice: %v, want ErrDiffers", err)
	}
}

func TestAChildThatFailsIsNamed(t *testing.T) {
	noLeftovers(t)
	_, err := run(t.Context(), Options{Only: []string{PartRelay}, Command: children(t, map[string]string{RoleGateway: "nobody"})}, tiny())
	if err == nil || !strings.Contains(err.Error(), "start gateway") || !strings.Contains(err.Error(), "broken on purpose") {
		t.Fatalf("got %v, want who failed and what it said", err)
	}
}

func TestCancelEndsARun(t *testing.T) {
	noLeftovers(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	p := tiny()
	p.pacedTime = time.Minute
	_, err := run(ctx, Options{Only: []string{PartRelay}, Command: children(t, nil), Progress: func(format string, _ ...any) {
		if strings.HasPrefix(format, "relay") {
			cancel(stop)
		}
	}}, p)
	if !errors.Is(err, stop) {
		t.Fatalf("got %v, want the cause of the cancel", err)
	}
}

func TestUnknownPart(t *testing.T) {
	if _, err := Run(t.Context(), Options{Only: []string{"speed"}}); err == nil || !strings.Contains(err.Error(), `"speed"`) {
		t.Fatalf("got %v, want the part that there is not", err)
	}
}

func TestReportRenders(t *testing.T) {
	rep := &Report{Machine: Machine{CPUs: 2, OS: "linux", Arch: "amd64", Go: "go1"}, Quick: true, Rounds: 3}
	for _, a := range []struct {
		name      string
		synced    bool
		perSecond float64
	}{{nameFile, false, 1000}, {nameTxn, false, 100}, {nameLog, false, 700}, {nameTxn, true, 10}, {nameLog, true, 400}} {
		rep.Append = append(rep.Append, AppendResult{Engine: a.name, SyncWrites: a.synced, EventsPerSecond: a.perSecond,
			rounds: []appendRound{{perSecond: a.perSecond, cpu: 2, disk: .4}}})
	}
	rep.Replay = &ReplayResult{Events: 4000, P50: 7, P99: 9}
	rep.Targets = rep.targets()
	verdicts := map[string]bool{}
	for _, target := range rep.Targets {
		verdicts[target.What] = target.OK
	}
	if !verdicts["append, events/s against a file"] || verdicts["the same, with sync_writes"] || verdicts["replay of 4000 events, p50"] {
		t.Errorf("0.7 × a file is enough, 40 × a transaction is not, nor are 7 ms: %+v", rep.Targets)
	}
	var table, js bytes.Buffer
	if err := errors.Join(rep.WriteTable(&table), rep.WriteJSON(&js)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 CPUs", "quick", "0.70 ×", "recoup stream log", "missed", "7.00"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table.String())
		}
	}
	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || len(back.Append) != 5 || len(back.Targets) != len(rep.Targets) {
		t.Errorf("JSON: %v\n%s", err, js.String())
	}
	if len(rep.Missed()) != 2 {
		t.Errorf("missed: %+v", rep.Missed())
	}
}
