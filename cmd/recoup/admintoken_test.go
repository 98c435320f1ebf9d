package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exposed runs serve with an admin plane on all addresses, and returns it with the
// URL at which this machine reaches it.
func exposed(t *testing.T, dir string, args ...string) (*process, string) {
	t.Helper()
	p := serve(t, dir, append([]string{"--admin-listen=0.0.0.0:0"}, args...)...)
	return p, "http://127.0.0.1:" + p.admin[strings.LastIndexByte(p.admin, ':')+1:]
}

// audit asks for what the token guards.
func auditStatus(t *testing.T, admin, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+"/api/v1/audit", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestExposedAdminPlaneHasAToken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin-token")
	p, admin := exposed(t, dir)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) != 2*adminTokenBytes {
		t.Errorf("a token of %d characters", len(token))
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if code, _ := get(t, admin+path); code != http.StatusOK {
			t.Errorf("%s: %d without a token", path, code)
		}
	}
	for given, want := range map[string]int{"": http.StatusUnauthorized, "no-" + token: http.StatusUnauthorized, token: http.StatusOK} {
		if code := auditStatus(t, admin, given); code != want {
			t.Errorf("the audit with %q: %d, want %d", given, code, want)
		}
	}
	contains(t, p.log.String(), `"msg":"the admin plane asks for the token in this file","file":"`+path+`","made_now":true`)
	if strings.Contains(p.log.String(), token) {
		t.Error("the token is in the log")
	}
	p.stop(t)

	// It stays the same.
	p, admin = exposed(t, dir)
	if code := auditStatus(t, admin, token); code != http.StatusOK {
		t.Errorf("with the token of the first start: %d", code)
	}
	contains(t, p.log.String(), `"made_now":false`)
	p.stop(t)

	// A configured one wins, and on loopback there is none.
	other := filepath.Join(t.TempDir(), "token")
	write(t, other, "0123456789abcdef-configured")
	p, admin = exposed(t, dir, "--admin-token-file="+other)
	if mine, configured := auditStatus(t, admin, token), auditStatus(t, admin, "0123456789abcdef-configured"); mine != http.StatusUnauthorized || configured != http.StatusOK {
		t.Errorf("the own token %d, the configured one %d", mine, configured)
	}
	p.stop(t)
	p = serve(t, dir)
	if code := auditStatus(t, p.admin, ""); code != http.StatusOK {
		t.Errorf("on loopback without a token: %d", code)
	}
	p.stop(t)
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A file that is damaged isn't taken for one that is missing: whoever knows the
// token would be locked out without a word.
func TestDamagedAdminToken(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "admin-token"), "short\n")
	code, stderr := fails(t, "serve", "--listen=127.0.0.1:0", "--admin-listen=0.0.0.0:0", "--data-dir="+dir, "--min-free=0", "--log-level=error")
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	contains(t, stderr, "recoup: data_dir: the admin token: "+dir+"/admin-token: no token in it", "at least 16 printable characters", "remove the file")
}
