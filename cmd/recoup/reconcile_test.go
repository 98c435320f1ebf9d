package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// billed is a gateway whose provider also reports usage and costs.
type billed struct {
	*process
	t        *testing.T
	sim      *simulator.Simulator
	upstream string
	ahead    atomic.Int64  // of the gateway's clock
	delay    time.Duration // of late calls, in the reports
	attempts int64         // that were made
}

const adminKey = "sk-admin-secret"

func newBilled(t *testing.T) *billed {
	t.Helper()
	b := &billed{t: t}
	b.sim = simulator.New(simulator.Options{
		Default: simulator.Script{Tokens: 40, Input: 200, Usage: simulator.UsageAlways},
		Price:   charge,
		Report: func(rows []simulator.Reported) []simulator.Reported {
			for i := range rows {
				b.spoil(&rows[i])
			}
			return rows
		},
	})
	srv, err := b.sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	b.upstream = srv.URL
	clock := func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
	b.process = serveAs(t, program{now: clock}, t.TempDir(), "--provider=openai="+b.upstream, "--provider=anthropic="+b.upstream, "--retention=1s", "--orphan-grace=1s")
	return b
}

// ask makes a call that is read to its end.
func (b *billed) ask(base, path, model string, script simulator.Script) {
	b.t.Helper()
	resp := b.open(base, path, model, script)
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s %v %s", model, resp.Status, err, body)
	}
}

// leave makes a call whose client goes away while the provider is silent.
func (b *billed) leave(path, model string, script simulator.Script) {
	b.t.Helper()
	resp := b.open(b.url, path, model, script)
	lines := bufio.NewScanner(resp.Body)
	for n := 0; n < script.StallAfterEvents && lines.Scan(); { // all that came, so that it is always the same
		if strings.HasPrefix(lines.Text(), "data:") {
			n++
		}
	}
	if err := errors.Join(lines.Err(), b.sim.WaitStalled(b.t.Context(), 1)); err != nil {
		b.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := b.sim.WaitIdle(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *billed) open(base, path, model string, script simulator.Script) *http.Response {
	b.t.Helper()
	body := fmt.Sprintf(`{"model":%q,"max_tokens":400,"stream":true,"messages":[{"role":"user","content":"Hi"}]}`, model)
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-ours")
	if strings.Contains(path, "messages") {
		req.Header.Set("X-Api-Key", "sk-ours")
		req.Header.Set("Anthropic-Version", "2023-06-01")
	}
	req.Header.Set(simulator.ScriptHeader, script.Header())
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

// settled waits until n attempts are, and the bill is final.
func (b *billed) settled(n int64) {
	b.t.Helper()
	if err := b.sim.WaitIdle(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * patience); ; runtime.Gosched() {
		var sum audit.Summary
		if _, body := get(b.t, b.admin+"/api/v1/audit"); json.Unmarshal([]byte(body), &sum) != nil {
			b.t.Fatal(body)
		}
		if sum.Evidence["reported"].Attempts+sum.Evidence["estimated"].Attempts == n && sum.Pending == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not settled: %+v\n%s", sum.Evidence, b.log)
		}
	}
}

// tryReconcile runs the command with this clock.
func (b *billed) tryReconcile(now time.Time, args ...string) ran {
	b.t.Helper()
	var stdout, stderr bytes.Buffer
	run := program{
		environ: []string{"RECOUP_DATA_DIR=" + b.dir, "RECOUP_ADMIN_LISTEN=" + strings.TrimPrefix(b.admin, "http://"), "OPENAI_ADMIN_KEY=" + adminKey, "ANTHROPIC_ADMIN_KEY=" + adminKey},
		stdout:  &stdout, stderr: &stderr, now: func() time.Time { return now },
	}
	code := run.run(b.t.Context(), append([]string{"reconcile"}, args...))
	return ran{code, stdout.String(), stderr.String()}
}

// reconcile runs the command with --format json.
func (b *billed) reconcile(now time.Time, args ...string) (r bucket.Result) {
	b.t.Helper()
	did := b.tryReconcile(now, append(args, "--format=json")...)
	if did.code != 0 || json.Unmarshal([]byte(did.stdout), &r) != nil {
		b.t.Fatalf("exit code %d: %s%s", did.code, did.stdout, did.stderr)
	}
	return r
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
