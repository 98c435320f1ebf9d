package demo_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/demo"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// agentEnv makes this test binary an agent.
const agentEnv = "RECOUP_TEST_DEMO_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(agentEnv) != "" {
		if err := demo.Agent(context.Background(), os.Args[1:], os.Stdout); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// open puts a gateway together, with a handler of the test's own around its
// data plane.
func open(around func(http.Handler) http.Handler) func(string, gateway.Config) (*demo.Gateway, error) {
	return func(dir string, c gateway.Config) (*demo.Gateway, error) {
		log, err := streamlog.Open(dir, streamlog.Options{Retention: time.Minute})
		if err != nil {
			return nil, err
		}
		registry := prometheus.NewRegistry()
		g, err := gateway.New(gateway.Options{
			Config: c, Log: log, Logger: slog.New(slog.DiscardHandler), Secret: []byte("0123456789abcdef"),
			Metrics: metrics.New(registry, "test", func() metrics.Log { return metrics.Log{} }),
		})
		if err != nil {
			return nil, errors.Join(err, log.Close())
		}
		return &demo.Gateway{
			Data:  around(g.Handler()),
			Admin: g.Admin(gateway.AdminOptions{Gatherer: registry}),
			Drain: g.Drain, Close: log.Close,
		}, nil
	}
}

func unchanged(h http.Handler) http.Handler { return h }

// options are those of a quick demo; what it leaves behind fails the test.
func options(t *testing.T, out io.Writer) demo.Options {
	t.Helper()
	t.Setenv(agentEnv, "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // an agent's second of waiting at its end
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Cleanup(func() {
		left, err := os.ReadDir(tmp)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return demo.Options{
		Open: open(unchanged), Agent: []string{self}, Out: out, Once: true,
		Interval: 8 * time.Millisecond, Away: 40 * time.Millisecond,
	}
}

func TestDemoShowsWhatItClaims(t *testing.T) {
	var out strings.Builder
	if err := demo.Run(t.Context(), options(t, &out)); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	// The replay and what follows are the whole answer, of which the agents
	// that were killed and that read the rest each had a part.
	for _, want := range []string{
		`(?m)^   live      An answer is paid for when it is made`,
		`(?m)^   SIGKILL\. Process \d+ is dead \(signal: killed\)\. It had read \d+ events, \d+ bytes\.$`,
		`(?m)^   received  \d+, .*\d+ events$`,
		`Recoup-Resumed: key`,
		`(?m)^   replayed  An answer is paid for when it is made`,
		`(?m)^   GET       /recoup/streams/[0-9a-f-]+\?offset=\d{16}_\d{16}$`,
		`(?m)^   the whole answer +115 events +\d+ bytes$`,
		`(?m)^   by key    the second agent's (\d+) bytes equal the \d+ that the provider sent$`,
		`(?m)^   by id     the first agent's \d+ bytes and the third's \d+ together equal the \d+ that the provider sent$`,
		`(?m)^   called    once: the provider's bill has one line, of 111 output tokens$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("not shown: %s", want)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("escape sequences without a terminal")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// flip changes a byte of the nth response body to method.
type flip struct {
	next   http.Handler
	method string
	nth    int

	mu   sync.Mutex
	seen int
}

func (f *flip) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if r.Method == f.method && !strings.HasSuffix(r.URL.Path, "/status") {
		if f.seen++; f.seen == f.nth {
			w = &flippedWriter{ResponseWriter: w}
		}
	}
	f.mu.Unlock()
	f.next.ServeHTTP(w, r)
}

type flippedWriter struct {
	http.ResponseWriter
	done bool
}

func (w *flippedWriter) Write(b []byte) (int, error) {
	if !w.done {
		w.done = true
		b = append([]byte(nil), b...)
		b[len(b)/2] ^= 1
	}
	return w.ResponseWriter.Write(b)
}

func (w *flippedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// dropKey takes the key from all calls, so that each goes to the provider.
func dropKey(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Idempotency-Key")
		r.Header.Set("Recoup-On-Disconnect", "continue")
		next.ServeHTTP(w, r)
	})
}

func TestDemoFailsWhereItsClaimsDoNotHold(t *testing.T) {
	tests := map[string]struct {
		around func(http.Handler) http.Handler
		want   string
	}{
		"a byte of the resume by key": {func(h http.Handler) http.Handler { return &flip{next: h, method: http.MethodPost, nth: 2} }, "by key: "},
		"a byte of the tail by id":    {func(h http.Handler) http.Handler { return &flip{next: h, method: http.MethodGet, nth: 1} }, "by id: "},
		"a byte before the kill":      {func(h http.Handler) http.Handler { return &flip{next: h, method: http.MethodPost, nth: 1} }, "by id: "},
		"a second call":               {dropKey, "called: the provider was called 2 times"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			o := options(t, &out)
			o.Open = open(tt.around)
			err := demo.Run(t.Context(), o)
			if !errors.Is(err, demo.ErrFailed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want one with %q\n%s", err, tt.want, out.String())
			}
			if !strings.Contains(out.String(), "WRONG: ") {
				t.Errorf("not shown:\n%s", out.String())
			}
		})
	}
}

// cue is an output that calls do once, when text has been written to it.
type cue struct {
	text string
	do   func()

	mu  sync.Mutex
	all strings.Builder
}

func (c *cue) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Write(b)
	if c.do != nil && strings.Contains(c.all.String(), c.text) {
		c.do()
		c.do = nil
	}
	return len(b), nil
}

func (c *cue) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all.String()
}

// What is under way when the demo is ended is ended with it: agents, gateway,
// provider; options and TestMain look for what is left.
func TestDemoEndsWithItsContext(t *testing.T) {
	for _, at := range []string{"1. An agent", "that asked", "SIGKILL.", "3. A new agent", "replayed", "tail"} {
		t.Run(at, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			stopped := errors.New("stopped by the test")
			out := &cue{text: at, do: func() { cancel(stopped) }}
			if err := demo.Run(ctx, options(t, out)); !errors.Is(err, stopped) {
				t.Errorf("%v, want the context's cause\n%s", err, out)
			}
			if strings.Contains(out.String(), "WRONG") {
				t.Errorf("an end from outside is not a failure:\n%s", out)
			}
		})
	}
}

func TestDemoStaysUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	up := make(chan struct{})
	out := &cue{text: "/simulator/bill", do: func() { close(up) }}
	o := options(t, out)
	o.Once = false
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, o) }()
	select {
	case <-up:
	case err := <-ended:
		t.Fatalf("it did not stay: %v\n%s", err, out)
	}
	text := out.String()
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("not shown: %s\n%s", pattern, text)
		}
		return m[1]
	}
	if body := get(t, find(`curl -N .* '(http://[^']+\?offset=[0-9_]+)'`)); !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Errorf("by id: %q", body)
	}
	if body := get(t, find(`curl -s (\S+/metrics) `)); !strings.Contains(body, "\nrecoup_streams{") {
		t.Errorf("metrics: %q", body)
	}
	if body := get(t, find(`curl -s (\S+/simulator/bill)`)); !strings.Contains(body, `"billed":111`) {
		t.Errorf("bill: %q", body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, find(`curl -iN (\S+)`), strings.NewReader(find(`-d '([^']+)'`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-demo")
	req.Header.Set("Idempotency-Key", "mine:1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Recoup-Stream-Id") == "" {
		t.Errorf("the call to try: %d %v", resp.StatusCode, resp.Header)
	}
	cancel() // in mid-answer
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-demo")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v: %s", url, resp.StatusCode, err, body)
	}
	return string(body)
}

func TestDemoSaysWhatKeepsItFromBeginning(t *testing.T) {
	refused := errors.New("no gateway today")
	t.Run("the gateway", func(t *testing.T) {
		o := options(t, io.Discard)
		o.Open = func(string, gateway.Config) (*demo.Gateway, error) { return nil, refused }
		if err := demo.Run(t.Context(), o); !errors.Is(err, refused) {
			t.Error(err)
		}
	})
	t.Run("the agent's program", func(t *testing.T) {
		o := options(t, io.Discard)
		o.Agent = []string{"/nonexistent/agent"}
		if err := demo.Run(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("an agent that is refused", func(t *testing.T) {
		o := options(t, io.Discard)
		o.Open = open(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) })
		})
		if err := demo.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "403 Forbidden: not you") {
			t.Error(err)
		}
	})
	t.Run("an output that is closed", func(t *testing.T) {
		_, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := demo.Run(t.Context(), options(t, w)); !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
}
