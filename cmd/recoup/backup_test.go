package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/token"
)

// command runs the program in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{stdout: &out, stderr: &errs}
	return p.run(t.Context(), args), out.String(), errs.String()
}

// TestBackupAndRestore backs up a running gateway while it takes calls, and its
// directory afterwards, and restores both; a gateway goes on with the restored books.
func TestBackupAndRestore(t *testing.T) {
	sim := simulator.New(simulator.Options{Default: simulator.Script{Tokens: 20, Usage: simulator.UsageAlways}})
	provider, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(adminToken), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--provider=openai=" + provider.URL, "--provider=anthropic=" + provider.URL, "--admin-token-file=" + token}
	c := serve(t, t.TempDir(), args...)
	verifyTraffic(t, c.url, 24)
	if status, body := get(t, c.admin+"/api/v1/backup"); status != http.StatusUnauthorized || !strings.Contains(body, "admin_token") {
		t.Errorf("without a token: %d %s", status, body)
	}
	backups := t.TempDir()
	code, out, errs := command(t, "backup", backups, "--admin-url", c.admin, "--admin-token-file", token)
	if code != 0 || !strings.Contains(out, "the books up to ") {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	live, err := filepath.Glob(filepath.Join(backups, "*"))
	if err != nil || len(live) != 1 || !strings.HasPrefix(filepath.Base(live[0]), "recoup-books-") {
		t.Fatalf("%v, %v", live, err)
	}
	inUse := filepath.Join(backups, "in-use")
	if code, _, errs := command(t, "backup", inUse, "--data-dir", c.dir); code != 0 {
		t.Errorf("of a directory in use: %s", errs)
	}
	c.stop(t)
	stopped := filepath.Join(backups, "stopped")
	if code, _, errs := command(t, "backup", stopped, "--data-dir", c.dir); code != 0 {
		t.Errorf("of a directory: %s", errs)
	}
	for _, file := range []string{live[0], inUse, stopped} {
		dir := filepath.Join(t.TempDir(), "restored")
		code, out, errs := command(t, "restore", file, "--data-dir", dir)
		if code != 0 || !strings.Contains(out, "verified up to ") {
			t.Fatalf("%s: %d: %s%s", file, code, out, errs)
		}
		if code, out, errs := command(t, "verify", "--data-dir", dir); code != 0 || !strings.Contains(out, "proved") {
			t.Errorf("%s: %d: %s%s", file, code, out, errs)
		}
		if code, _, errs := command(t, "restore", file, "--data-dir", dir); code != exitFailed || !strings.Contains(errs, "not empty") {
			t.Errorf("onto itself: %d: %s", code, errs)
		}
		again := serve(t, dir, args...)
		awaitNothingPending(t, again.admin)
		verifyTraffic(t, again.url, 8)
		again.stop(t)
		if p := prove(t, dir); !p.Proved || p.Ledger.Attempts < 8 {
			t.Errorf("%+v: %v", p.Ledger, texts(p))
		}
	}
	content, err := os.ReadFile(stopped)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(stopped, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, "restore", stopped, "--data-dir", filepath.Join(t.TempDir(), "x")); code != exitFailed || !strings.Contains(errs, "at byte ") {
		t.Errorf("a damaged backup: %d: %s", code, errs)
	}
	if code, _, errs := command(t, "backup", filepath.Join(backups, "none"), "--data-dir", t.TempDir()); code != exitFailed || !strings.Contains(errs, "no such file") {
		t.Errorf("of nothing: %d: %s", code, errs)
	}
	if left, err := filepath.Glob(filepath.Join(backups, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// awaitNothingPending returns when all that is billed has its outcomes.
func awaitNothingPending(t *testing.T, admin string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+"/api/v1/audit", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+adminToken)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var sum audit.Summary
		err = json.NewDecoder(resp.Body).Decode(&sum)
		resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK && sum.Pending == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d attempts are pending: %s, %v", sum.Pending, resp.Status, err)
		}
	}
}

const adminToken = "an-admin-token-of-this-test"

// TestVerifyExitCodes: 1 is for damage alone.
func TestVerifyExitCodes(t *testing.T) {
	for _, args := range [][]string{{"verify", "--data-dir", filepath.Join(t.TempDir(), "none")}, {"verify", "x"}, {"verify", "--format", "xml"}, {"verify", "--encryption-key-file", "/none"}} {
		if code, _, errs := command(t, args...); code != exitUnread {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
	}
	dir := t.TempDir()
	if code, out, errs := command(t, "verify", "--data-dir", dir); code != exitUnread || out != "" || !strings.Contains(errs, "neither books nor a log") {
		t.Errorf("an empty directory: %d: %s%s", code, out, errs)
	}
	if err := os.WriteFile(filepath.Join(dir, secretName), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "verify", "--data-dir", dir)
	if code != exitDamaged || !strings.Contains(out, "DAMAGED in 1 places") || !strings.Contains(errs, "is damaged in 1 places") {
		t.Errorf("a damaged secret: %d: %s%s", code, out, errs)
	}
}

// TestLedgerRetention: a gateway summarises the months that are older, and its
// counters stay what they were.
func TestLedgerRetention(t *testing.T) {
	dir := t.TempDir()
	books, err := ledger.Open(dir, ledger.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		postOld(t, books, n, time.Now().AddDate(0, n-20, 0))
	}
	totals := books.Totals()
	if err := books.Close(); err != nil {
		t.Fatal(err)
	}
	c := serve(t, dir, "--ledger-retention=9600h")
	done := c.log.await(t, "months of the books were summarised")
	_, metrics := get(t, c.admin+"/metrics")
	contains(t, metrics, `recoup_output_tokens_total{basis="reported",cause="live",model="gpt-5.5",outcome="delivered",provider="openai"} 2000`)
	c.stop(t)
	p := prove(t, dir)
	if !p.Proved || p.Ledger.Summarised == 0 || p.Ledger.Summarised+p.Ledger.Attempts != 20 || attr(done, "attempts") == "0" {
		t.Errorf("%+v: %v", p.Ledger, texts(p))
	}
	if books, err = ledger.OpenReadOnly(dir, ledger.Options{}); err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	if now := books.Totals(); len(now.Output) != 1 || now.Output[0] != totals.Output[0] {
		t.Errorf("totals %+v, were %+v", now.Output, totals.Output)
	}
}

// postOld posts the n-th attempt.
func postOld(t *testing.T, books *ledger.Ledger, n int, at time.Time) {
	t.Helper()
	p := ledger.Posting{
		Attempt: ledger.Attempt{Stream: ledger.ID{1, byte(n)}, Number: 1, Provider: "openai", Model: "gpt-5.5", At: at},
		Bill: &ledger.Bill{
			Output: ledger.Line{Kind: token.Output, Tokens: 100}, InputBasis: token.Reported, OutputBasis: token.Reported, Unpriced: "no_rate",
		},
		Outcomes: &ledger.Outcomes{Output: []ledger.Outcome{{Outcome: ledger.Delivered, Cause: ledger.Live, Tokens: 100}}, Input: ledger.Delivered},
		Evidence: []byte(`{"history":{"g":100}}`),
	}
	if _, err := books.Post(p); err != nil {
		t.Fatal(err)
	}
}
