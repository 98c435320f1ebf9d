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
	names := func(pattern string, path ...string) []string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(content, -1) {
			found = append(found, string(m[1]))
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	exported := names(`= +"(recoup_[a-z_]+)"`, "metrics", "metrics.go")
	documented := names("`(recoup_[a-z_]+)`", "docs", "operations.md")
	if len(exported) == 0 || !slices.Equal(exported, documented) {
		t.Errorf("metrics/metrics.go has\n%q\ndocs/operations.md has\n%q", exported, documented)
	}
}
