package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

// ready runs `recoup ready` in this environment.
func ready(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	p := program{environ: environ, stdout: &out, stderr: &log}
	code = p.run(t.Context(), append([]string{"ready"}, args...))
	return code, out.String(), log.String()
}

func TestReady(t *testing.T) {
	upstream := newProvider(t)
	p := serve(t, t.TempDir(), "--provider=openai="+upstream.URL)
	address := strings.TrimPrefix(p.admin, "http://")
	_, port, _ := strings.Cut(address, ":")
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
	}{
		{"by its URL", nil, []string{"--admin-url=" + p.admin}},
		{"by its URL with a slash", nil, []string{"--admin-url=" + p.admin + "/"}},
		{"by the environment", []string{"RECOUP_ADMIN_LISTEN=" + address}, nil},
		{"of all addresses, the own one", []string{"RECOUP_ADMIN_LISTEN=0.0.0.0:" + port}, nil},
		{"likewise", []string{"RECOUP_ADMIN_LISTEN=:" + port}, nil},
	} {
		if code, stdout, stderr := ready(t, tt.environ, tt.args...); code != 0 || stdout != "ready\n" || stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q", tt.name, code, stdout, stderr)
		}
	}

	// While a stream still runs, the gateway serves, and is not ready.
	p.call(t)
	p.signals <- syscall.SIGTERM
	p.log.await(t, "stopping")
	until(t, "readiness says no", func() bool {
		code, stdout, stderr := ready(t, nil, "--admin-url="+p.admin)
		return code == exitFailed && stdout == "" && stderr == "recoup: not ready: "+p.admin+"/readyz: 503 Service Unavailable: draining\n"
	})
	close(upstream.finish)
	if code := p.awaitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	code, _, stderr := ready(t, nil, "--admin-url="+p.admin)
	if code != exitFailed {
		t.Errorf("exit code %d when nobody listens", code)
	}
	contains(t, stderr, "recoup: not ready: ", "connection refused")
}

// One that hangs, one that sends elsewhere, and one that can't be asked.
func TestNotReady(t *testing.T) {
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hangs.Close)
	elsewhere := httptest.NewServer(http.RedirectHandler(hangs.URL, http.StatusFound))
	t.Cleanup(elsewhere.Close)
	for url, want := range map[string]string{
		hangs.URL:        "context deadline exceeded",
		elsewhere.URL:    "302 Found",
		"127.0.0.1:8485": `--admin-url: "127.0.0.1:8485": want http://host:port`,
	} {
		code, stdout, stderr := ready(t, nil, "--admin-url="+url, "--timeout=100ms")
		if code != exitFailed || stdout != "" {
			t.Errorf("%s: exit code %d, %q", url, code, stdout)
		}
		contains(t, stderr, want)
	}
}

func TestLocalAdmin(t *testing.T) {
	for address, want := range map[string]string{
		"":               "http://127.0.0.1:8485",
		"0.0.0.0:1":      "http://127.0.0.1:1",
		"[::]:1":         "http://127.0.0.1:1",
		":1":             "http://127.0.0.1:1",
		"127.0.0.2:1":    "http://127.0.0.2:1",
		"[::1]:1":        "http://[::1]:1",
		"localhost:1":    "http://localhost:1",
		"gateway.svc:81": "http://gateway.svc:81",
		"nonsense":       "http://127.0.0.1:8485",
	} {
		p := program{environ: []string{"PATH=/", "RECOUP_ADMIN_LISTEN=" + address}}
		if got := p.localAdmin(); got != want {
			t.Errorf("%q: %s, want %s", address, got, want)
		}
	}
}
