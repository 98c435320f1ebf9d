package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/metrics.md")

// TestDocumentation: docs/metrics.md lists what there is. Run with -update after
// changing the catalogue.
func TestDocumentation(t *testing.T) {
	path := filepath.Join("..", "docs", "metrics.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- catalogue: generated -->\n", "<!-- /catalogue -->\n"
	before, rest, ok := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the catalogue", path)
	}
	fresh := before + begin + document() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if fresh != string(data) {
		t.Errorf("%s is behind: run go test ./metrics -update", path)
	}
}

// document is the catalogue in Markdown.
func document() string {
	var b strings.Builder
	for _, group := range []Group{Books, Traffic, Storage, GenAI} {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | unit | labels | |\n| --- | --- | --- | --- | --- |\n", group)
		for _, d := range catalogue {
			if d.Group == group {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", d.Name, typeOf(d), d.Unit, quoted(d.Labels), explain(d))
			}
		}
	}
	b.WriteString("\n## Labels\n\n| label | values |\n| --- | --- |\n")
	for _, l := range Labels() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", l.Name, l.Values)
	}
	return b.String() + "\n"
}

func typeOf(d Definition) string {
	if d.Native {
		return string(d.Type) + ", classic and native"
	}
	return string(d.Type)
}

func explain(d Definition) string {
	text := d.Help
	if d.Buckets != nil {
		text += " Classic buckets: " + strings.Trim(fmt.Sprint(d.Buckets), "[]") + "."
	}
	if d.Exemplar != "" {
		text += " *Exemplar:* " + d.Exemplar + "."
	}
	return text
}

func quoted(labels []string) string {
	var all []string
	for _, l := range labels {
		all = append(all, "`"+l+"`")
	}
	return strings.Join(all, ", ")
}

// TestCatalogueIsInOrder: names follow Prometheus' rules for their type and unit,
// once each; labels are documented; what is read at a scrape and what is an
// instrument is all of it.
func TestCatalogueIsInOrder(t *testing.T) {
	name := regexp.MustCompile(`^(recoup|gen_ai)_[a-z0-9_]+$`)
	suffixes := map[string][]string{
		Tokens: {"_tokens"}, Dollars: {"_usd", "_usd_upper"}, Seconds: {"_seconds"}, Bytes: {"_bytes"}, Events: {"_events"}, Streams: {"_streams"}, One: {"_info"},
	}
	known := map[string]bool{}
	for _, l := range Labels() {
		if known[l.Name] || l.Values == "" {
			t.Errorf("label %s is there twice, or has no values", l.Name)
		}
		known[l.Name] = true
	}
	seen := map[string]bool{}
	for _, d := range catalogue {
		if seen[d.Name] || !name.MatchString(d.Name) || d.Help == "" || d.Group == "" {
			t.Errorf("%+v", d)
		}
		seen[d.Name] = true
		base, total := strings.CutSuffix(d.Name, "_total")
		if total != (d.Type == Counter) {
			t.Errorf("%s is a %s", d.Name, d.Type)
		}
		if list := suffixes[d.Unit]; list != nil && !slices.ContainsFunc(list, func(s string) bool { return strings.HasSuffix(base, s) }) {
			t.Errorf("%s is in %s", d.Name, d.Unit)
		}
		if (d.Type == Histogram) != (d.Buckets != nil) || !slices.IsSorted(d.Buckets) {
			t.Errorf("%s: buckets %v", d.Name, d.Buckets)
		}
		for _, l := range d.Labels {
			if !known[l] {
				t.Errorf("%s: label %s is not documented", d.Name, l)
			}
		}
	}
	for _, name := range scraped {
		if !seen[name] {
			t.Errorf("%s is not in the catalogue", name)
		}
	}
}
