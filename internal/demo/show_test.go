package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asGateway makes this test binary a gateway that doesn't come up.
const asGateway = "RECOUP_TEST_DEMO_GATEWAY"

func TestMain(m *testing.M) {
	switch os.Getenv(asGateway) {
	case "":
		goleak.VerifyTestMain(m)
	case "fails":
		fmt.Fprintln(os.Stderr, "no such luck")
		os.Exit(1)
	case "waits":
		fmt.Fprintln(os.Stderr, `{"level":"INFO","msg":"starting"}`)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// options are of a demo that doesn't get far; what it leaves behind fails the test.
func options(t *testing.T, gateway string) Options {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Cleanup(func() {
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return Options{Progress: io.Discard, Serve: func(...string) *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = []string{asGateway + "=" + gateway, "GORACE=atexit_sleep_ms=0"}
		return c
	}}
}

func TestGatewayThatDoesNotComeUp(t *testing.T) {
	_, err := Run(t.Context(), options(t, "fails"))
	if err == nil || !strings.Contains(err.Error(), "it ended before it was ready") || !strings.Contains(err.Error(), "no such luck") {
		t.Error(err)
	}
}

func TestGatewayThatIsNotWaitedFor(t *testing.T) {
	reason := errors.New("somebody pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if _, err := Run(ctx, options(t, "waits")); !errors.Is(err, reason) {
		t.Error(err)
	}
}

func TestDataDirectoryThatIsInUse(t *testing.T) {
	o := options(t, "fails")
	o.DataDir = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.DataDir, "books"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Error(err)
	}
}

func TestBarrier(t *testing.T) {
	b := newBarrier(2)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.all(over); !errors.Is(err, context.Canceled) {
		t.Errorf("with nobody there: %v", err)
	}
	passed := make(chan error, 2)
	for range 2 {
		go func() { passed <- b.reach(t.Context()) }()
	}
	if err := b.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-passed:
		t.Fatalf("somebody passed before it was lifted: %v", err)
	default:
	}
	b.lift()
	for range 2 {
		if err := <-passed; err != nil {
			t.Error(err)
		}
	}
}

func TestJournalFindsTheAddresses(t *testing.T) {
	j := &journal{ready: make(chan struct{})}
	for _, piece := range []string{
		`{"level":"WARN","msg":"careful"}` + "\n" + `{"level":"INFO","msg":"recoup is re`,
		`ady","url":"http://a","admin_url":"http://b"}` + "\n",
		"panic: no\n",
	} {
		if _, err := io.WriteString(j, piece); err != nil {
			t.Fatal(err)
		}
	}
	<-j.ready
	if url, admin := j.urls(); url != "http://a" || admin != "http://b" {
		t.Errorf("%s, %s", url, admin)
	}
	if got := j.String(); got != `{"level":"WARN","msg":"careful"}`+"\npanic: no" {
		t.Errorf("kept %s", got)
	}
}

// An agent knows whether what it read is whole, and where it stands.
func TestAnswers(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Recoup-Stream-Id", "abc")
		switch r.URL.Path {
		case chatPath:
			_, _ = io.WriteString(w, "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n")
		case "/recoup/streams/abc":
			if r.URL.Query().Get("offset") == "0000000000000001_0000000000000010" {
				_, _ = io.WriteString(w, "data: {}\n\n")
			}
		case "/cut":
			_, _ = io.WriteString(w, "data: {}\n\ndata:")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, "go away", http.StatusTeapot)
		}
	}))
	defer srv.Close()
	c := newClient(srv.URL, "sk-test")
	defer c.close()
	ask := func(path string) *answer {
		t.Helper()
		a, err := c.do(t.Context(), http.MethodPost, path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	whole := ask(chatPath)
	if err := whole.whole(); err != nil || whole.events != 3 || whole.bytes != 34 {
		t.Errorf("%v after %d events, %d bytes", err, whole.events, whole.bytes)
	}
	begun := ask(chatPath)
	if err := begun.upTo(1); err != nil || begun.bytes != 10 {
		t.Errorf("%v after %d bytes", err, begun.bytes)
	}
	begun.end()
	rest, err := c.rest(t.Context(), begun)
	if err != nil {
		t.Fatal(err)
	}
	if err := rest.whole(); err == nil || rest.events != 1 {
		t.Errorf("without its end it is whole: %v, %d events", err, rest.events)
	}
	if err := ask("/cut").whole(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("broken off: %v", err)
	}
	if err := ask(chatPath).upTo(4); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("more than there is: %v", err)
	}
	var no *refused
	if _, err := c.do(t.Context(), http.MethodGet, "/other", nil, nil); !errors.As(err, &no) || !strings.Contains(no.text, "418") {
		t.Errorf("refused: %v", err)
	}
}
