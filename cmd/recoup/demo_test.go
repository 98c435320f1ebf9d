package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/recoup-gateway/recoup/internal/demo"
)

// printed is standard output, with a channel that is closed when text has come.
type printed struct {
	text string
	came chan struct{}

	mu  sync.Mutex
	all bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	had := strings.Contains(p.all.String(), p.text)
	p.all.Write(b)
	if !had && strings.Contains(p.all.String(), p.text) {
		close(p.came)
	}
	return len(b), nil
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

func newPrinted(text string) *printed { return &printed{text: text, came: make(chan struct{})} }

// demoCommand is the demo in a process of its own, with the directory where it
// may put temporary files.
func demoCommand(t *testing.T, args ...string) (c *exec.Cmd, tmp string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	tmp = t.TempDir()
	c = exec.CommandContext(ctx, os.Args[0], append([]string{"demo"}, args...)...)
	c.Env = []string{asCommand + "=1", "GORACE=atexit_sleep_ms=0", "TMPDIR=" + tmp}
	return c, tmp
}

func isEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemoOnceExitsWhenAllWasShown(t *testing.T) {
	t.Parallel()
	c, tmp := demoCommand(t, "--once")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	contains(t, string(out), "SIGKILL. Process ", "Recoup-Resumed: key", "by key ", "by id ", "once: the provider's bill has one line")
	isEmpty(t, tmp)
}

func TestDemoCleansUpAtASignal(t *testing.T) {
	t.Parallel()
	c, tmp := demoCommand(t)
	out, journal := newPrinted("SIGKILL. Process "), newJournal()
	c.Stdout, c.Stderr = out, journal
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-out.came:
	case err := <-ended:
		t.Fatalf("%v\n%s%s", err, out, journal)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-ended // the code says how
	if code := c.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d\n%s%s", code, out, journal)
	}
	contains(t, journal.String(), "recoup: demo: terminated signal received\n")
	isEmpty(t, tmp)
}

func TestAgentOfTheDemoNeedsItsArguments(t *testing.T) {
	var stderr bytes.Buffer
	p := program{stdout: newPrinted("-"), stderr: &stderr}
	if code := p.run(t.Context(), []string{"demo", agentCommand, http.MethodGet}); code != exitUsage {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	if err := demo.Agent(t.Context(), []string{http.MethodGet}, &stderr); err == nil {
		t.Error("no error without a URL")
	}
}

func TestSimulate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, journal, exit := newPrinted("/simulator/bill\n"), newJournal(), make(chan int, 1)
	go func() {
		p := program{stdout: out, stderr: journal}
		exit <- p.run(ctx, []string{"simulate", "--listen=127.0.0.1:0", "--tokens=5", "--interval=0s"})
	}()
	select {
	case <-out.came:
	case code := <-exit:
		t.Fatalf("exit code %d: %s", code, journal)
	}
	_, rest, _ := strings.Cut(out.String(), "--provider openai=")
	url, _, _ := strings.Cut(rest, " ")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions",
		strings.NewReader(`{"model":"gpt-5.5","messages":[{"role":"user","content":"Why?"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-any")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	if _, bill := get(t, url+"/simulator/bill"); !strings.Contains(bill, `"billed":5`) {
		t.Errorf("bill: %s", bill)
	}

	var stderr bytes.Buffer
	second := program{stdout: newPrinted("-"), stderr: &stderr}
	if code := second.run(ctx, []string{"simulate", "--listen", strings.TrimPrefix(url, "http://")}); code != exitFailed {
		t.Errorf("exit code %d on an address that is taken", code)
	}
	contains(t, stderr.String(), "is already in use", "--listen")

	cancel()
	if code := <-exit; code != 0 {
		t.Errorf("exit code %d: %s", code, journal)
	}
}
