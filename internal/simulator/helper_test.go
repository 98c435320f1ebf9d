package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	chatPath     = "/v1/chat/completions"
	messagesPath = "/v1/messages"
	// Bodies of 40 bytes and more, so that the input estimate isn't trivial.
	chatStream     = `{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"hi"}]}`
	chatUsage      = `{"model":"gpt-5.5","stream":true,"stream_options":{"include_usage":true},"messages":[]}`
	chatWhole      = `{"model":"gpt-5.5","messages":[{"role":"user","content":"hi"}]}`
	messagesStream = `{"model":"claude-sonnet-4-5","max_tokens":4096,"stream":true,"messages":[]}`
	messagesWhole  = `{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[]}`
)

// fixture is a simulator that listens, and a client that hides nothing.
type fixture struct {
	*simulator.Simulator
	t      testing.TB
	url    string
	server *simulator.Server
	client *http.Client
}

func start(t testing.TB, opts simulator.Options) *fixture {
	t.Helper()
	sim := simulator.New(opts)
	server, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &fixture{sim, t, server.URL, server, &http.Client{Transport: transport}}
}

// ctx bounds a wait that a defect would make endless.
func ctx(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

func (f *fixture) request(c context.Context, path, body string) *http.Request {
	f.t.Helper()
	r, err := http.NewRequestWithContext(c, http.MethodPost, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk-test")
	r.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, messagesPath) {
		r.Header.Set("Anthropic-Version", "2023-06-01")
	}
	return r
}

func (f *fixture) open(r *http.Request) *http.Response {
	f.t.Helper()
	resp, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// post reads the whole body; err is that of reading it.
func (f *fixture) post(path, body string) (*http.Response, []byte, error) {
	f.t.Helper()
	resp := f.open(f.request(ctx(f.t), path, body))
	got, err := io.ReadAll(resp.Body)
	return resp, got, err
}

// ok is post where nothing may fail.
func (f *fixture) ok(path, body string) []byte {
	f.t.Helper()
	resp, got, err := f.post(path, body)
	if err != nil || resp.StatusCode != http.StatusOK {
		f.t.Fatalf("POST %s: status %d, %v: %s", path, resp.StatusCode, err, got)
	}
	return got
}

// last waits until the bill is final and returns its newest entry.
func (f *fixture) last() simulator.Entry {
	f.t.Helper()
	if err := f.WaitIdle(ctx(f.t)); err != nil {
		f.t.Fatal(err)
	}
	bill := f.Bill()
	if len(bill) == 0 {
		f.t.Fatal("the bill is empty")
	}
	return bill[len(bill)-1]
}

// event is one SSE block.
type event struct {
	name, data string
}

// events parses a body strictly: every block ends with a blank line and has
// the lines in the order that the real providers send.
func events(t testing.TB, body []byte, eol string) []event {
	t.Helper()
	var out []event
	blocks := strings.Split(string(body), eol+eol)
	if blocks[len(blocks)-1] != "" {
		t.Fatalf("body ends inside an event: %q", blocks[len(blocks)-1])
	}
	for _, block := range blocks[:len(blocks)-1] {
		if strings.HasPrefix(block, ":") {
			continue
		}
		var e event
		if name, rest, ok := strings.Cut(block, eol); ok {
			if e.name, ok = strings.CutPrefix(name, "event: "); !ok {
				t.Fatalf("event line is %q", name)
			}
			block = rest
		}
		data, ok := strings.CutPrefix(block, "data: ")
		if !ok || strings.ContainsAny(data, "\r\n") {
			t.Fatalf("data line is %q", block)
		}
		e.data = data
		out = append(out, e)
	}
	return out
}

func decode[T any](t testing.TB, data string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// words counts the tokens of a generated text by other means than its maker.
func words(text string) int { return len(strings.Fields(text)) }

// recordings finds the recorded streams, or skips the test.
func recordings(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("RECOUP_STREAMS")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Fatal("no go.mod above the package")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "streams")
	}
	if _, err := os.Stat(filepath.Join(dir, "index.csv")); err != nil {
		t.Skipf("no recorded streams: %v", err)
	}
	return dir
}

func readN(t testing.TB, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func contains(t testing.TB, body []byte, want ...string) {
	t.Helper()
	for _, w := range want {
		if !bytes.Contains(body, []byte(w)) {
			t.Errorf("%q is missing in %.2000s", w, body)
		}
	}
}
