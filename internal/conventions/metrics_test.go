package conventions

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/metrics"
)

var metricName = regexp.MustCompile(`\brecoup_[a-z_]+[a-z]\b`)

// Every metric that a page speaks of exists. That every one is documented, and
// right, is for the tests of the catalogue.
func TestPagesKnowTheMetrics(t *testing.T) {
	known := map[string]bool{}
	for _, d := range metrics.Catalogue() {
		known[d.Name] = true
	}
	var pages []string
	for _, dir := range []string{"docs", "README.md", "CHANGELOG.md"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".md" {
				pages = append(pages, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mentioned := 0
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(content) {
			for _, name := range metricName.FindAllString(string(line), -1) {
				if strings.Contains(string(line), ":"+name) {
					continue // of a recorded series, job:recoup_…
				}
				mentioned++
				base := name
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					base = strings.TrimSuffix(base, suffix)
				}
				if !known[name] && !known[base] && !slices.ContainsFunc(metrics.Catalogue(), func(d metrics.Definition) bool { return strings.HasPrefix(d.Name, name+"_") }) {
					t.Errorf("%s: there is no metric %s", page, name)
				}
			}
		}
	}
	if mentioned == 0 {
		t.Error("no page speaks of a metric")
	}
}
