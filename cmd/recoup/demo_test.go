package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
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

// TestDemo is the whole of it, as a user gives it: the object on standard output,
// the data kept, and nothing else left. It runs by itself: its agents come back within
// seconds, or are given up.
func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	c, tmp := demoCommand(t, "--once", "--format=json", "--data-dir="+dir)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	type amount struct {
		InputTokens  int64  `json:"input_tokens"`
		OutputTokens int64  `json:"output_tokens"`
		USD          string `json:"usd"`
	}
	var r struct {
		ProviderBill struct {
			Requests int
			amount
		} `json:"provider_bill"`
		Billed         amount
		Reconciliation struct {
			Reported    int   `json:"attempts_reported"`
			Estimated   int   `json:"attempts_estimated"`
			Difference  int64 `json:"difference_tokens"`
			Revisions   int   `json:"posted_revisions"`
			Unexplained int64 `json:"unexplained_tokens"`
		}
		Outcomes struct{ Delivered, Wasted, Lost map[string]int64 }
		Saved    amount
		Missed   struct{ Calls int }
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	// A request for each agent, and one more for each tool and each answer that was
	// bought again.
	if r.ProviderBill.Requests != 37 || r.Reconciliation.Reported+r.Reconciliation.Estimated != 37 || r.Billed != r.ProviderBill.amount {
		t.Errorf("provider %+v, books %+v, %+v", r.ProviderBill, r.Billed, r.Reconciliation)
	}
	// Two were given up, three died with the gateway, and one each was cancelled,
	// replaced, and failed.
	if n := r.Reconciliation; n.Estimated != 8 || n.Revisions != 8 || n.Difference == 0 || n.Unexplained != 0 {
		t.Errorf("%+v", n)
	}
	if r.Outcomes.Delivered["resumed"] == 0 || r.Outcomes.Delivered["cancelled"] == 0 || r.Outcomes.Wasted["crash"] == 0 ||
		r.Outcomes.Wasted["upstream"] == 0 || r.Outcomes.Lost["abandoned"] == 0 || r.Outcomes.Lost["tail"] == 0 {
		t.Errorf("%+v", r.Outcomes)
	}
	if r.Saved.OutputTokens == 0 || r.Missed.Calls != 1 {
		t.Errorf("saved %+v, missed %+v", r.Saved, r.Missed)
	}
	if _, err := os.Stat(filepath.Join(dir, "ledger")); err != nil {
		t.Errorf("the data is not kept: %v", err)
	}
	isEmpty(t, tmp)
}

// TestDemoFindsABillThatIsOff: one token too many, for an answer that the provider
// had reported, and the attempt is named.
func TestDemoFindsABillThatIsOff(t *testing.T) {
	t.Parallel()
	var once sync.Once
	o := demo.Options{
		BillExtraOn: func(r *http.Request) (extra int) {
			if r.Header.Get("Authorization") == "Bearer sk-agent-03" { // it reads its one answer to the end
				once.Do(func() { extra = 1 })
			}
			return extra
		},
		Serve: func(args ...string) *exec.Cmd {
			c := exec.Command(os.Args[0], append([]string{"demo", demoGateway, "--"}, args...)...)
			c.Env = []string{asCommand + "=1", "GORACE=" + os.Getenv("GORACE")}
			return c
		},
	}
	var stdout bytes.Buffer
	c := newDemoCommandWith(o)
	c.SetArgs([]string{"--once"})
	c.SetOut(&stdout)
	c.SetErr(io.Discard)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	if !errors.Is(err, demo.ErrFailed) {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	if named, _ := regexp.MatchString(`attempt [0-9a-f]{32}/1 \(request req_[0-9a-f]{32}, gpt-5.5-mini\): .* output \+1 tokens`, err.Error()); !named {
		t.Error(err)
	}
	contains(t, stdout.String(), "do NOT agree", "1 tokens of the provider's bill are unexplained")
}

func TestDemoCleansUpAtASignal(t *testing.T) {
	t.Parallel()
	c, tmp := demoCommand(t)
	journal := newPrinted("a deploy cuts 16 of them off")
	c.Stderr = journal
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-journal.came:
	case err := <-ended:
		t.Fatalf("%v\n%s", err, journal)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-ended // the code says how
	if code := c.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d\n%s", code, journal)
	}
	contains(t, journal.String(), "recoup: demo: terminated signal received\n")
	isEmpty(t, tmp)
}

// TestDemoStaysUp until a signal, which is then no failure.
func TestDemoStaysUp(t *testing.T) {
	t.Parallel()
	c, tmp := demoCommand(t)
	var stdout bytes.Buffer
	journal := newPrinted("/simulator/bill\n")
	c.Stdout, c.Stderr = &stdout, journal
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-journal.came:
	case err := <-ended:
		t.Fatalf("%v\n%s", err, journal)
	}
	_, rest, _ := strings.Cut(journal.String(), "console    ")
	url, _, _ := strings.Cut(rest, "\n")
	if status, body := get(t, url); status != http.StatusOK || !strings.Contains(body, "<title>Recoup console</title>") {
		t.Errorf("the console at %s: %d %s", url, status, body)
	}
	_, rest, _ = strings.Cut(journal.String(), "the audit  ")
	url, _, _ = strings.Cut(rest, "\n")
	status, body := get(t, url)
	if status != http.StatusOK || !strings.Contains(body, `"imbalance_tokens":0`) {
		t.Errorf("the audit at %s: %d %s", url, status, body)
	}
	var audit struct {
		Billed struct{ USD string }
	}
	if err := json.Unmarshal([]byte(body), &audit); err != nil {
		t.Fatal(err)
	}
	_, next := (&process{admin: strings.TrimSuffix(url, "/api/v1/audit")}).watch(t)
	for w, ok := next(); ok; w, ok = next() {
		if w.name != "overview" {
			continue
		}
		if paid := w.data.Figures.Paid; paid != audit.Billed.USD { // the bill has corrected some
			t.Errorf("the console says that %s was paid, the audit %s", paid, audit.Billed.USD)
		}
		break
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, journal)
	}
	contains(t, stdout.String(), "Where the money went", "The books balance and agree with the provider's bill")
	isEmpty(t, tmp)
}

// TestLeavingPeers: who leaves in the middle of a write doesn't end the command, and
// a closed output does.
func TestLeavingPeers(t *testing.T) {
	t.Parallel()
	ctx, stop := untilSignal(t.Context())
	defer stop()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	for range 100 {
		if _, err := w.WriteString("anybody?"); !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
	}
	select {
	case <-ctx.Done():
		t.Error(context.Cause(ctx))
	case <-time.After(100 * time.Millisecond): // a signal is delivered sooner
	}

	c, tmp := demoCommand(t, "--once")
	r, w, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	var stderr bytes.Buffer
	c.Stdout, c.Stderr = w, &stderr
	err = c.Run()
	w.Close()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("with a closed output: %v\n%s", err, stderr.String())
	}
	contains(t, stderr.String(), "broken pipe")
	isEmpty(t, tmp)
}

func TestDemoRefusesFormats(t *testing.T) {
	code, stderr := fails(t, "demo", "--format=xml")
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	contains(t, stderr, `"xml" is none of table, json`)
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
	if code, stdout, stderr := ready(t, nil, "--admin-url="+url+"/simulator"); code != 0 || stdout != "ready\n" {
		t.Errorf("its own health check: exit code %d, %q, %q", code, stdout, stderr)
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
