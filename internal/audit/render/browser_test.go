package render_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBrowser opens the HTML in a headless Chromium, at the width of a desk and of a
// phone, light and dark: no violation that axe-core sees, no request, no script, nothing
// wider than the window. It needs Chromium, Node and npm, and runs where
// RECOUP_BROWSER=1; RECOUP_BROWSER_OUT is a directory for the pictures, to be looked at.
func TestBrowser(t *testing.T) {
	if os.Getenv("RECOUP_BROWSER") != "1" {
		t.Skip("RECOUP_BROWSER=1 is not set: no browser is started")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("RECOUP_BROWSER=1 is set, and there is no chromium (apt-get install chromium): %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "check.js"} {
		data, err := os.ReadFile(filepath.Join("browser", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
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
	out := dir
	if wanted := os.Getenv("RECOUP_BROWSER_OUT"); wanted != "" {
		out = wanted
	}
	args := []string{"check.js", chromium, out}
	for name, r := range reports(t) {
		path := filepath.Join(dir, name+".html")
		if err := os.WriteFile(path, []byte(rendered(t, r, "html")), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	check := exec.CommandContext(t.Context(), "node", args...)
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
