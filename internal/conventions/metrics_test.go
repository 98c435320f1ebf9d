package conventions

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The operator's page lists the metrics that there are, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	names := func(pattern string, paths ...string) []string {
		t.Helper()
		var found []string
		for _, path := range paths {
			content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(content, -1) {
				found = append(found, string(m[1]))
			}
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	exported := names(`= +"(recoup_[a-z_]+)"`, "metrics/metrics.go", "metrics/books.go")
	documented := names("`(recoup_[a-z_]+)`", "docs/operations.md", "docs/books.md")
	if len(exported) == 0 || !slices.Equal(exported, documented) {
		t.Errorf("the catalogue has\n%q\ndocs/operations.md and docs/books.md have\n%q", exported, documented)
	}
}
