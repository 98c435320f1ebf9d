package providers

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of docs/providers.md")

// The documentation has the table as it is. Run with -update after changing it.
func TestDocumentation(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "providers.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fresh := string(data)
	for name, content := range map[string]string{"table": summary(), "providers": sections()} {
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
	if fresh != string(data) {
		t.Errorf("%s is behind: run go test ./internal/providers -update", path)
	}
}

// words are how the documentation says what a configuration says.
var words = map[string]string{billingStops: "billing stops", billedInFull: "billed in full", unknown: "unknown"}

func said(term string) string {
	if w, ok := words[term]; ok {
		return w
	}
	return term
}

func links(all []Link) string {
	var out []string
	for _, l := range all {
		out = append(out, "["+l.Text+"]("+l.URL+")")
	}
	return strings.Join(out, ", ")
}

func (p Provider) baseURL() string {
	if p.BaseURL != "" {
		return p.BaseURL
	}
	return p.Example
}

func summary() string {
	var b strings.Builder
	b.WriteString("| provider | name | `base_url` | dialect | when a stream is cut | evidence | read |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, p := range All() {
		evidence := string(p.Evidence.Grade)
		if l := links(p.Evidence.Links); l != "" {
			evidence += ": " + l
		}
		fmt.Fprintf(&b, "| [%s](#%s) | `%s` | `%s` | %s | %s | %s | %s |\n",
			p.Title, anchor(p.Title), p.Name, p.baseURL(), said(p.Dialect), said(p.OnCancel), evidence, p.Evidence.Read)
	}
	return b.String()
}

// anchor is what a heading is linked by.
func anchor(title string) string {
	keep := func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(title))
}

func sections() string {
	var b strings.Builder
	for _, p := range All() {
		fmt.Fprintf(&b, "### %s\n\n", p.Title)
		line := func(what, text string) {
			if text != "" {
				fmt.Fprintf(&b, "- *%s*: %s\n", what, strings.TrimSuffix(text, ".")+".")
			}
		}
		line("Credentials", p.Credentials)
		usage := p.Usage
		if p.Unasked {
			usage = strings.TrimSuffix(usage, ".") + ". Streams are not asked for it (`include_usage: false`)"
		}
		line("Usage", usage)
		line("Refusals and failures", p.Failures)
		line("Not known", p.Open)
		line("Sources", links(p.Links))
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
