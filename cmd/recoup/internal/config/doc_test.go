package config

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of docs/configuration.md")

// page is docs/configuration.md.
func page(t *testing.T) (path, text string) {
	t.Helper()
	path = filepath.Join("..", "..", "..", "..", "docs", "configuration.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(data)
}

// The documentation lists the keys, the defaults and the default providers
// that there are. Run with -update after changing them.
func TestDocumentation(t *testing.T) {
	path, text := page(t)
	fresh := text
	for name, content := range map[string]string{"keys": keyTable(), "providers": providerTable()} {
		begin, end := "<!-- "+name+": generated -->\n", "<!-- /"+name+" -->\n"
		before, rest, ok := strings.Cut(fresh, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no part for %s", path, name)
		}
		fresh = before + begin + content + end + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if fresh != text {
		t.Errorf("%s is behind: run go test ./cmd/recoup/internal/config -update", path)
	}
}

func keyTable() string {
	var b strings.Builder
	b.WriteString("| key | type | default | reloads | |\n| --- | --- | --- | --- | --- |\n")
	def := defaults()
	for _, k := range keys {
		value := "`" + k.kind.text(def) + "`"
		switch {
		case k.name == keyProviders:
			value = "see below"
		case value == "``":
			value = ""
		}
		reloads := ""
		if k.reloads {
			reloads = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.name, k.kind.name, value, reloads, k.help)
	}
	return b.String()
}

func providerTable() string {
	var b strings.Builder
	b.WriteString("| name | base_url | dialect | on_cancel |\n| --- | --- | --- | --- |\n")
	providers := defaultProviders()
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		p := providers[name]
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", name, p.BaseURL, dialectOf(p), p.OnCancel)
	}
	return b.String()
}

// The example file of the documentation has every key that needs no secret, and
// says what is the default anyway.
func TestDocumentedExample(t *testing.T) {
	_, text := page(t)
	_, rest, ok := strings.Cut(text, "```yaml\n")
	example, _, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("no example")
	}
	for _, k := range keys {
		if !strings.Contains(example, k.name+":") {
			t.Errorf("%s is not in the example", k.name)
		}
	}
	reloads, restarts := Changes(defaults(), mustLoad(t, sources{file: example}))
	if len(reloads)+len(restarts) > 0 {
		t.Errorf("the example differs from the defaults in %v %v", reloads, restarts)
	}
}
