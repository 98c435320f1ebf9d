package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/token"
)

// counters are the counters of the books at /metrics, by name and labels.
type counters map[string]float64

var fromBooks = []string{"recoup_output_tokens_total", "recoup_input_tokens_total", "recoup_cost_usd_total", "recoup_overhead_usd_total"}

func scrape(t *testing.T, c *child) counters {
	t.Helper()
	resp, err := client.Get(c.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v\n%s", resp.Status, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if v := families["recoup_ledger_imbalance_tokens"].GetMetric(); len(v) != 1 || v[0].GetGauge().GetValue() != 0 {
		t.Errorf("imbalance: %v", v)
	}
	out := counters{}
	for _, name := range fromBooks {
		for _, m := range families[name].GetMetric() {
			out[name+labels(m)] = m.GetCounter().GetValue()
		}
	}
	return out
}

func labels(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.GetLabel() {
		fmt.Fprintf(&b, " %s=%s", l.GetName(), l.GetValue())
	}
	return b.String()
}

// goOn wants no counter to be less than before the process was killed, and
// returns what they are now.
func (before counters) goOn(t *testing.T, c *child) counters {
	t.Helper()
	now := scrape(t, c)
	for name, v := range before {
		if now[name] < v {
			t.Errorf("%s was %v, and is %v after the kill", name, v, now[name])
		}
	}
	return now
}

// checkBooks compares the books with the provider's bill when nothing more can
// come: each attempt once, and all of it explained.
func checkBooks(t *testing.T, dir, provider string, sim *simulator.Simulator) {
	t.Helper()
	if err := sim.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := serveChild(t, dir, provider, "--retention=1s", "--orphan-grace=1s")
	var sum audit.Summary
	for deadline := time.Now().Add(2 * patience); ; runtime.Gosched() {
		call(t, c, http.MethodGet, "/api/v1/audit", nil, &sum)
		if sum.Pending == 0 && unsettled(t, c) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d attempts are pending\n%s", sum.Pending, c.log)
		}
	}
	before := scrape(t, c)
	bill := billOf(sim)
	var r audit.Reconciliation
	call(t, c, http.MethodPost, "/api/v1/reconcile", bill, &r)
	if r.Unexplained != 0 || len(r.Findings) > 0 || len(r.OutOfBounds) > 0 {
		t.Errorf("the provider's bill and the books differ: %+v", r)
	}
	call(t, c, http.MethodGet, "/api/v1/audit", nil, &sum)
	var want audit.Tokens
	for _, e := range sim.Bill() {
		want.Input += int64(e.InputTotal())
		want.Output += int64(e.Billed)
	}
	if got := (audit.Tokens{Input: sum.Billed.InputTokens, Output: sum.Billed.OutputTokens}); got != want || sum.Imbalance != 0 {
		t.Errorf("booked %+v, out of balance by %d, the provider billed %+v", got, sum.Imbalance, want)
	}
	if after := before.goOn(t, c); len(after) == 0 {
		t.Error("no counters")
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	verify(t, dir, sim)
	t.Logf("%d lines on the bill, %d of attempts that reported, %d estimated; %d revisions for %d tokens", r.Lines, r.Reported, r.Estimated, r.Revisions, r.Difference)
}

// verify reads the ledger by itself: the chain is whole, and no request of the
// bill has two attempts.
func verify(t *testing.T, dir string, sim *simulator.Simulator) {
	t.Helper()
	books, err := ledger.OpenReadOnly(dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	if _, err := books.Verify(t.Context(), func(d ledger.Damage) { t.Errorf("damage: %s", d) }); err != nil {
		t.Error(err)
	}
	for _, e := range sim.Bill() {
		rows, err := books.ByRequestID("openai", e.RequestID)
		if err != nil || len(rows) > 1 { // none: the gateway died before it had the response's head, and the line was matched by its time
			t.Errorf("request %s (%s) has %d attempts, %v", e.RequestID, e.End, len(rows), err)
		}
		for _, row := range rows {
			if row.Current.Outcomes == nil {
				t.Errorf("attempt %s is not settled", row.ID())
			}
		}
	}
}

func billOf(sim *simulator.Simulator) audit.Bill {
	bill := audit.Bill{Provider: "openai", Complete: true, From: time.Now().Add(-24 * time.Hour), To: time.Now().Add(24 * time.Hour)}
	for _, e := range sim.Bill() {
		bill.Lines = append(bill.Lines, audit.Line{
			RequestID: e.RequestID, Model: e.Model, Started: e.Started, Ended: e.Ended,
			Input:  map[token.Kind]int64{token.Input: int64(e.Input), token.CacheRead: int64(e.CacheRead)},
			Output: int64(e.Billed), Hidden: token.Known(int64(e.Hidden)),
		})
	}
	return bill
}

// unsettled is how many streams the log still holds for the books.
func unsettled(t *testing.T, c *child) int {
	t.Helper()
	resp, err := client.Get(c.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := families["recoup_unsettled_streams"].GetMetric()
	if len(m) != 1 {
		t.Fatalf("recoup_unsettled_streams: %v", m)
	}
	return int(m[0].GetGauge().GetValue())
}

// call makes a call of the admin plane and reads its answer into out.
func call(t *testing.T, c *child, method, path string, in, out any) {
	t.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, c.admin+path, &body)
	if err != nil {
		t.Fatal(err)
	}
	if method != http.MethodGet {
		token, err := os.ReadFile(filepath.Join(c.dir, adminTokenName))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d, %v", method, path, resp.StatusCode, err)
	}
}

// TestStartOnDamagedBooks: books that are not what they were are not opened, and
// the message says what to do.
func TestStartOnDamagedBooks(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	provider, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	dir := t.TempDir()
	c := serveChild(t, dir, provider.URL)
	resp, err := client.Do(chatRequest(c.url, "0"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, c.log)
	}
	if err := os.Remove(filepath.Join(dir, "ledger.head")); err != nil {
		t.Fatal(err)
	}
	again := exec.Command(os.Args[0], "serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--min-free=0", "--data-dir="+dir)
	again.Env = []string{asCommand + "=1"}
	out, err := again.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "ledger") || !strings.Contains(string(out), "--data-dir") {
		t.Errorf("it ended with %v, and said:\n%s", err, out)
	}
	t.Logf("%s", out)
}
