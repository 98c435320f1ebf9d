package gateway_test

import (
	"bytes"
	"context"
	"errors"

	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// A site is a gateway in front of a simulated provider, both on loopback.
type site struct {
	t        testing.TB
	dir      string
	sim      *simulator.Simulator
	provider string // URL
	config   gateway.Config
	logOpts  streamlog.Options

	log      *streamlog.Log
	ledger   *ledger.Ledger
	factors  *token.Factors
	gateway  *gateway.Gateway
	server   *httptest.Server
	registry *prometheus.Registry
	client   *http.Client
	jam      *jam
	wrap     func(http.Handler) http.Handler // nil: nothing stands between
	logs     io.Writer                       // nil: the test's output
	tracing  *metrics.Tracing
	tags     []string // that are labels
	keys     *gatewaykeys.Store
}

type option func(*site)

// newSite starts a gateway with its own data directory and a provider; both end
// with the test.
func newSite(t testing.TB, opts ...option) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), sim: simulator.New(simulator.Options{}), config: gateway.Defaults(), factors: &token.Factors{}}
	s.logOpts = streamlog.Options{Retention: time.Minute}
	provider, err := s.sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.provider = provider.URL
	base, err := url.Parse(provider.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.config.Providers = map[string]gateway.Provider{
		"openai":    {Name: "openai", BaseURL: base, Dialect: dialect.OpenAI, OnCancel: gateway.BillingStops, IncludeUsage: true},
		"anthropic": {Name: "anthropic", BaseURL: base, Dialect: dialect.Anthropic, OnCancel: gateway.BillingStops, IncludeUsage: true},
		"gemini":    {Name: "gemini", BaseURL: base, Dialect: dialect.Gemini, OnCancel: gateway.BilledInFull},
		"cohere":    {Name: "cohere", BaseURL: base, Dialect: dialect.Cohere, OnCancel: gateway.Unknown},
		"bedrock":   {Name: "bedrock", BaseURL: base, Dialect: dialect.Bedrock, OnCancel: gateway.BilledInFull},
		"full":      {Name: "full", BaseURL: base, Dialect: dialect.OpenAI, OnCancel: gateway.BilledInFull, IncludeUsage: true},
	}
	for _, o := range opts {
		o(s)
	}
	s.start()
	t.Cleanup(func() {
		s.stop()
		if err := provider.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) start() {
	s.t.Helper()
	logger := slog.New(slog.NewTextHandler(quiet{s.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if s.logs != nil {
		logger = slog.New(slog.NewJSONHandler(s.logs, nil))
	}
	s.logOpts.Logger = logger
	var err error
	if s.log, err = streamlog.Open(s.dir, s.logOpts); err != nil {
		s.t.Fatal(err)
	}
	if s.ledger, err = ledger.Open(s.dir, ledger.Options{Logger: logger}); err != nil {
		s.t.Fatal(err)
	}
	s.registry = prometheus.NewRegistry()
	m, err := metrics.New(s.registry, metrics.Options{Version: "test", LabelTags: s.tags})
	if err != nil {
		s.t.Fatal(err)
	}
	s.gateway, err = gateway.New(gateway.Options{
		Config: s.config, Log: s.log, Logger: logger, Secret: []byte("0123456789abcdef"),
		Metrics: m, Keys: s.keys, Tracing: s.tracing, LabelTags: s.tags,
		Books: &gateway.Books{Ledger: s.ledger, Prices: pricing.Embedded(), Factors: s.factors},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	handler := s.gateway.Handler()
	if s.wrap != nil {
		handler = s.wrap(handler)
	}
	s.server = httptest.NewServer(handler)
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
}

// stop ends the gateway as a shutdown whose time is up does.
func (s *site) stop() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.gateway.Drain(ctx) // it says what it interrupted
	s.client.CloseIdleConnections()
	s.server.Close()
	s.gateway.Close()
	if n := s.ledger.Stats().ImbalanceTokens; n != 0 {
		s.t.Errorf("the books are out of balance by %d tokens", n)
	}
	if err := errors.Join(s.ledger.Close(), s.log.Close()); err != nil {
		s.t.Error(err)
	}
}

// restart stops the gateway and starts another one on the same data.
func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// quiet writes what is logged to the test's output.
type quiet struct{ t testing.TB }

func (q quiet) Write(p []byte) (int, error) {
	q.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

type header map[string]string

const (
	chatPath     = "/v1/chat/completions"
	messagesPath = "/v1/messages"

	responsesPath   = "/v1/responses"
	responsesBody   = `{"model":"gpt-5.5","stream":true,"input":"hello"}`
	completionsPath = "/v1/completions"
	completionsBody = `{"model":"gpt-5.5","stream":true,"stream_options":{"include_usage":true},"prompt":"hello"}`

	chatBody     = `{"model":"gpt-5.5","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hello"}]}`
	messagesBody = `{"model":"claude-opus-4-8","stream":true,"max_tokens":4096,"messages":[{"role":"user","content":"hello"}]}`
)

func (s *site) request(method, path, body string, h header) *http.Request {
	s.t.Helper()
	req, err := http.NewRequest(method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-alice")
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, messagesPath) {
		req.Header.Set("Anthropic-Version", "2023-06-01")
	}
	for k, v := range h {
		req.Header.Set(k, v)
	}
	return req
}

// do sends a request and returns the response, whose body the caller closes.
func (s *site) do(method, path, body string, h header) *http.Response {
	s.t.Helper()
	resp, err := s.client.Do(s.request(method, path, body, h))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// all sends a request and reads the whole response.
func (s *site) all(method, path, body string, h header) (*http.Response, []byte, error) {
	s.t.Helper()
	resp := s.do(method, path, body, h)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp, data, err
}

// must is all for responses that have to be whole and of a status.
func (s *site) must(status int, method, path, body string, h header) (*http.Response, []byte) {
	s.t.Helper()
	resp, data, err := s.all(method, path, body, h)
	if err != nil || resp.StatusCode != status {
		s.t.Fatalf("%s %s: %d, %v, want %d\n%s", method, path, resp.StatusCode, err, status, data)
	}
	return resp, data
}

// direct asks the provider itself.
func (s *site) direct(path, body string, h header) []byte {
	s.t.Helper()
	req := s.request(http.MethodPost, path, body, h)
	u, err := url.Parse(s.provider)
	if err != nil {
		s.t.Fatal(err)
	}
	req.URL.Host, req.Host = u.Host, u.Host
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// awaitState waits until a stream is in a state, by what its status says.
func (s *site) awaitState(id string, want streamlog.State) streamlog.Info {
	s.t.Helper()
	parsed, err := streamlog.ParseID(id)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	st := s.get(parsed)
	defer st.Release()
	r, err := st.Reader(st.Info().Events)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	for {
		if info := st.Info(); info.State == want {
			return info
		} else if info.End != nil {
			s.t.Fatalf("stream is %s (%s: %s), want %s", info.State, info.End.Cause, info.End.Detail, want)
		}
		select {
		case <-r.Ready():
		case <-ctx.Done():
			s.t.Fatalf("stream still is %s, want %s", st.Info().State, want)
		}
	}
}

// get opens a stream of the test's own caller, past the HTTP surface.
func (s *site) get(id streamlog.ID) *streamlog.Stream {
	s.t.Helper()
	l, err := s.log.Get(principalOf(s), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

func principalOf(s *site) streamlog.Hash {
	return gateway.PrincipalForTest([]byte("0123456789abcdef"), "sk-alice")
}

// readUntil reads from r until n bytes are there.
func readUntil(t testing.TB, r io.Reader, n int) []byte {
	t.Helper()
	buf := make([]byte, n)
	got, err := io.ReadFull(r, buf)
	if err != nil {
		t.Fatalf("after %d of %d bytes: %v", got, n, err)
	}
	return buf
}

// sameBytes fails the test with the first difference.
func sameBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("%s: %d bytes, want %d; they differ at %d: %q, want %q", what, len(got), len(want), i, excerpt(got, i), excerpt(want, i))
}

func excerpt(b []byte, i int) []byte { return b[max(0, min(i-20, len(b))):min(len(b), i+40)] }

// aborted reports whether err is what a client sees of a body that was cut.
func aborted(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

func script(v simulator.Script) header { return header{"X-Simulator-Script": v.Header()} }

func with(h header, more ...string) header {
	out := header{}
	for k, v := range h {
		out[k] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// eventsOf cuts a body into its events; what is left at the end is one too.
func eventsOf(data []byte) (events [][]byte) {
	sp := dialect.NewSSE(1 << 30)
	for _, p := range sp.Feed(data) {
		events = append(events, bytes.Clone(p.Data))
	}
	for _, p := range sp.Flush() {
		events = append(events, bytes.Clone(p.Data))
	}
	return events
}

// expectMetric compares metrics with their text form, without those counters that
// have counted nothing.
func (s *site) expectMetric(want string, names ...string) {
	s.t.Helper()
	counted := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := s.registry.Gather()
		for _, f := range families {
			f.Metric = slices.DeleteFunc(f.Metric, func(m *dto.Metric) bool { return m.Counter != nil && m.Counter.GetValue() == 0 })
		}
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return len(f.Metric) == 0 }), err
	})
	if err := testutil.GatherAndCompare(counted, strings.NewReader(want), names...); err != nil {
		s.t.Error(err)
	}
}
