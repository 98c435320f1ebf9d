package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sections of a runbook.
var sections = []string{"What it means", "What it costs", "Look first", "Do", "Ignore it when"}

// The index of the runbooks has the alerts and the recorded series that there are.
// Run with -update after changing them.
func TestIndex(t *testing.T) {
	text := read(t, runbooksDir, "README.md")
	fresh := text
	for name, content := range map[string]string{"alerts": alertTable(), "recorded": recordedTable()} {
		begin, end := "<!-- "+name+": generated -->\n", "<!-- /"+name+" -->\n"
		before, rest, ok := strings.Cut(fresh, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("the index has no part for %s", name)
		}
		fresh = before + begin + content + end + after
	}
	if *update {
		if err := os.WriteFile(filepath.Join(runbooksDir, "README.md"), []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if fresh != text {
		t.Error("docs/runbooks/README.md is behind: run go test ./dashboards/internal/rules -update")
	}
}

func alertTable() string {
	var b strings.Builder
	b.WriteString("| alert | severity | raised when |\n| --- | --- | --- |\n")
	for _, a := range Alerts(Defaults()) {
		fmt.Fprintf(&b, "| [`%s`](%s.md) | %s | %s |\n", a.Name, a.Name, a.Severity, a.When)
	}
	return b.String()
}

func recordedTable() string {
	var b strings.Builder
	b.WriteString("| series | |\n| --- | --- |\n")
	for _, r := range all(RecordingFile()) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Record, r.Says)
	}
	return b.String()
}

// Each alert leads to its page, which has all sections and the alert's own words;
// and there is no other page.
func TestRunbooks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(runbooksDir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, p := range pages {
		left[filepath.Base(p)] = true
	}
	delete(left, "README.md")
	for _, r := range all(AlertFile(Defaults())) {
		name, ok := strings.CutPrefix(r.Annotations.RunbookURL, runbooks)
		if !ok || !left[name] {
			t.Errorf("%s leads to %s", r.Alert, r.Annotations.RunbookURL)
			continue
		}
		delete(left, name)
		text := read(t, runbooksDir, name)
		severity := string(r.Labels.Severity)
		head := fmt.Sprintf("# %s\n\n%s **%s**\n", r.Alert, r.Annotations.Summary, strings.ToUpper(severity[:1])+severity[1:])
		if !strings.HasPrefix(text, head) {
			t.Errorf("%s begins otherwise than\n%s", name, head)
		}
		var got []string
		for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, sections) {
			t.Errorf("%s has the sections %q", name, got)
		}
	}
	for name := range left {
		t.Errorf("docs/runbooks/%s belongs to no alert", name)
	}
}

// What a page tells one to ask can be asked, and what it links to is there.
func TestRunbooksQueriesAndLinks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(runbooksDir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, page := range pages {
		text := read(t, page)
		for _, m := range regexp.MustCompile("(?s)```promql\n(.*?)```\n").FindAllStringSubmatch(text, -1) {
			queries++
			for _, p := range problems(m[1]) {
				t.Errorf("%s: %s: %s", filepath.Base(page), m[1], p)
			}
		}
		defs := definitions()
		for _, name := range regexp.MustCompile(`\brecoup_[a-z_]+\b`).FindAllString(text, -1) {
			recorded := slices.ContainsFunc(all(RecordingFile()), func(r Rule) bool { return strings.Contains(r.Record, ":"+name+":") })
			if _, ok := defs[name]; !ok && !recorded {
				t.Errorf("%s speaks of %s, which isn't there", filepath.Base(page), name)
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			if err := resolves(filepath.Dir(page), filepath.Base(page), m[1]); err != nil {
				t.Errorf("%s: %v", filepath.Base(page), err)
			}
		}
	}
	if queries < len(pages) {
		t.Errorf("%d queries in %d pages", queries, len(pages))
	}
}

// resolves reports why a link of a page leads nowhere.
func resolves(dir, page, link string) error {
	name, anchor, _ := strings.Cut(link, "#")
	if name == "" {
		name = page
	}
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil || anchor == "" {
		return err
	}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		if slug(m[1]) == anchor {
			return nil
		}
	}
	return fmt.Errorf("%s has no heading for #%s", name, anchor)
}

// slug is a heading as GitHub links to it.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
			return r
		}
		return -1
	}, strings.ToLower(heading))
}
