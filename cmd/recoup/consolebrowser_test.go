package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/demo"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// TestConsoleInBrowser opens the console of a gateway at work in a headless Chromium, at
// the width of a desk and of a phone, light and dark: it changes by itself, a stream is
// cancelled, stories and audits are reached, axe-core sees no violation, and nothing is
// asked of anybody else. It runs where RECOUP_BROWSER=1, as the audit's does;
// RECOUP_BROWSER_OUT is a directory for the pictures, to be looked at.
func TestConsoleInBrowser(t *testing.T) {
	if os.Getenv("RECOUP_BROWSER") != "1" {
		t.Skip("RECOUP_BROWSER=1 is not set: no browser is started")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("RECOUP_BROWSER=1 is set, and there is no chromium (apt-get install chromium): %v", err)
	}
	dir := browserDir(t)
	_, config := demoProvider(t)
	p := serve(t, t.TempDir(), "--config="+config, "--retention=20s")
	atWork(t, p)
	nasty := p.begin(t, "/demo/v1/chat/completions", `{"model":"<b onclick=alert(2)>gpt</b>","stream":true,"messages":[{"role":"user","content":"x"}]}`, map[string]string{
		"Authorization": "Bearer key", "Recoup-Tags": "team=<img src=x onerror=alert(1)>", simulator.ScriptHeader: simulator.Script{Tokens: 100_000, Interval: time.Second}.Header(),
	})
	reading(t, nasty.Body)
	for _, look := range []string{"light-1280", "dark-1280", "light-390", "dark-390"} {
		resp := p.begin(t, "/demo/v1/chat/completions", `{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"`+look+`"}]}`, map[string]string{
			"Authorization": "Bearer key", "Recoup-Tags": "cancel=me,for=" + look, simulator.ScriptHeader: simulator.Script{Tokens: 100_000, Interval: 200 * time.Millisecond}.Header(),
		})
		reading(t, resp.Body)
	}
	if got := p.command(t, nil, "incident", "open", "deploy <script>alert(3)</script> 4711"); got.code != 0 {
		t.Fatal(got.stderr)
	}
	token, err := os.ReadFile(filepath.Join(p.dir, adminTokenName))
	if err != nil {
		t.Fatal(err)
	}
	const guardedToken = "the-token-of-a-guarded-gateway"
	guard := filepath.Join(t.TempDir(), "token")
	write(t, guard, guardedToken)
	guarded := serve(t, t.TempDir(), "--admin-token-file="+guard)

	out := dir
	if wanted := os.Getenv("RECOUP_BROWSER_OUT"); wanted != "" {
		out = wanted
	}
	check := exec.CommandContext(t.Context(), "node", "check.js", chromium, out, p.admin, strings.TrimSpace(string(token)), guarded.admin, guardedToken)
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// browserDir is a directory with what drives a browser: the same as for the audit.
func browserDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	internal := filepath.Join("..", "..", "internal")
	for _, from := range []string{"audit/render/browser/package.json", "audit/render/browser/package-lock.json", "console/browser/check.js"} {
		data, err := os.ReadFile(filepath.Join(internal, filepath.FromSlash(from)))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// atWork has agents use p until the test ends.
func atWork(t *testing.T, p *process) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := demo.Traffic(ctx, demo.TrafficOptions{
			Gateway: p.url + "/demo", Agents: 10, DeployEvery: 4 * time.Second, Seed: 3, Logger: slog.New(slog.DiscardHandler),
			Pace: demo.Pace{Interval: 40 * time.Millisecond, Away: 900 * time.Millisecond, Rest: 300 * time.Millisecond, Retry: 100 * time.Millisecond},
		})
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// reading reads on, so that nobody takes the client for a slow one.
func reading(t *testing.T, body io.ReadCloser) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, body) // it is cancelled, or cut at the test's end
	}()
	t.Cleanup(func() {
		_ = body.Close()
		<-ended
	})
}
