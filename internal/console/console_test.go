package console_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/console"
)

func get(t *testing.T, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header = header
	w := httptest.NewRecorder()
	console.Handler().ServeHTTP(w, r)
	resp := w.Result()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

var (
	references = regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
	elsewhere  = regexp.MustCompile(`https?://[a-z0-9.-]+`)
)

// All that the page refers to is there, and each file has its type and the policy.
func TestFiles(t *testing.T) {
	types := map[string]string{"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
	seen, rest := []string{}, []string{"index.html"}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if slices.Contains(seen, name) {
			continue
		}
		seen = append(seen, name)
		resp, body := get(t, "/"+name, nil)
		if resp.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %s", name, resp.Status)
		}
		want := map[string]string{
			"Content-Type": types[name[strings.LastIndex(name, ".")+1:]], "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		}
		for header, v := range want {
			if got := resp.Header.Get(header); got != v {
				t.Errorf("%s: %s: %q, want %q", name, header, got, v)
			}
		}
		for _, url := range elsewhere.FindAllString(body, -1) {
			if url != "http://www.w3.org" { // the name of SVG
				t.Errorf("%s names %s", name, url)
			}
		}
		if again, _ := get(t, "/"+name, http.Header{"If-None-Match": {resp.Header.Get("ETag")}}); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %s", name, again.Status)
		}
		for _, m := range references.FindAllStringSubmatch(body, -1) {
			rest = append(rest, m[1]+m[2])
		}
	}
	if len(seen) < 10 {
		t.Errorf("the page refers to %v only", seen)
	}
}

// The page works under its policy: nothing is within the HTML, and no text is made
// into elements.
func TestNothingInline(t *testing.T) {
	_, page := get(t, "/", nil)
	for _, bad := range []string{"<style", " style=", "javascript:", "<script>"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if on := regexp.MustCompile(`\son[a-z]+=`).FindString(page); on != "" {
		t.Errorf("the page has%s", on)
	}
	for _, name := range []string{"main.js", "dom.js", "live.js", "firstline.js", "story.js", "audit.js", "dialogs.js", "chart.js", "gateway.js"} {
		_, code := get(t, "/"+name, nil)
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "localStorage", "document.cookie"} {
			if strings.Contains(code, bad) {
				t.Errorf("%s has %s", name, bad)
			}
		}
	}
}

func TestNotThere(t *testing.T) {
	for _, path := range []string{"/nothing.js", "/static/index.html", "/../console.go", "/console.go"} {
		resp, _ := get(t, path, nil)
		if resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
