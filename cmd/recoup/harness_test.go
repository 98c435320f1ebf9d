package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asCommand makes this test binary the command itself, for the tests that need
// a real process.
const asCommand = "BE_THE_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// journal is standard error: log records in JSON, and other lines.
type journal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	partial []byte
	records []map[string]any
	more    chan struct{} // closed and replaced at each record
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(p)
	j.partial = append(j.partial, p...)
	for {
		line, rest, ok := bytes.Cut(j.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		j.partial = rest
		record := map[string]any{}
		if json.Unmarshal(line, &record) == nil {
			j.records = append(j.records, record)
			close(j.more)
			j.more = make(chan struct{})
		}
	}
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// await returns the next record with this message, and forgets those before it.
func (j *journal) await(t *testing.T, message string) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		j.mu.Lock()
		more := j.more
		for i, r := range j.records {
			if r["msg"] == message {
				j.records = j.records[i+1:]
				j.mu.Unlock()
				return r
			}
		}
		j.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("no %q in the log:\n%s", message, j)
		}
	}
}

// process is a run of serve within the test.
type process struct {
	url, admin string
	dir        string
	signals    chan os.Signal
	log        *journal
	exit       chan int
}

// serve runs `recoup serve` in dir until it is ready.
func serve(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return serveWith(t, nil, dir, args...)
}

// serveWith is serve in an environment.
func serveWith(t *testing.T, environ []string, dir string, args ...string) *process {
	t.Helper()
	return serveAs(t, program{environ: environ}, dir, args...)
}

// serveAs is serve, of a program with its environment and clock.
func serveAs(t *testing.T, run program, dir string, args ...string) *process {
	t.Helper()
	p := &process{dir: dir, signals: make(chan os.Signal, 4), log: newJournal(), exit: make(chan int, 1)}
	args = append([]string{"serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data-dir=" + dir, "--log-format=json", "--min-free=0"}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.stdout, run.stderr, run.signals = io.Discard, p.log, p.signals
		p.exit <- run.run(ctx, args)
	}()
	t.Cleanup(func() {
		select { // whatever the test left undone, at once
		case p.signals <- syscall.SIGTERM:
		default:
		}
		cancel()
		<-ended
	})
	ready := p.log.await(t, "recoup is ready")
	p.url, p.admin = ready["url"].(string), ready["admin_url"].(string)
	return p
}

// awaitExit returns the exit code.
func (p *process) awaitExit(t *testing.T) int {
	t.Helper()
	select {
	case code := <-p.exit:
		return code
	case <-time.After(patience):
		t.Fatalf("it goes on:\n%s", p.log)
		return 0
	}
}

// stop ends the process and expects that nothing is wrong.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signals <- syscall.SIGTERM
	if code := p.awaitExit(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.log)
	}
}

// fails runs the command in a process of its own to its end, and returns exit
// code and standard error.
func fails(t *testing.T, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stderr bytes.Buffer
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = []string{asCommand + "=1"}
	c.Stderr = &stderr
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), stderr.String()
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// provider answers chat completions with two events, the second of which waits
// until finish is closed.
type provider struct {
	*httptest.Server
	finish chan struct{}
}

const (
	firstEvent = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}` + "\n\n"
	restEvents = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
)

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{finish: make(chan struct{})}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, firstEvent)
		w.(http.Flusher).Flush()
		select {
		case <-p.finish:
			_, _ = io.WriteString(w, restEvents)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// call starts a streamed chat completion and reads its first event.
func (p *process) call(t *testing.T) (*http.Response, *bufio.Reader) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/v1/chat/completions",
		strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		return resp, nil
	}
	body := bufio.NewReader(resp.Body)
	got := make([]byte, len(firstEvent))
	if _, err := io.ReadFull(body, got); err != nil || string(got) != firstEvent {
		t.Fatalf("first event %q, %v", got, err)
	}
	return resp, body
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// attr is an attribute of a log record as text.
func attr(record map[string]any, name string) string { return fmt.Sprint(record[name]) }
