package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDashboardsAreWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	run := func() (int, string) {
		var out bytes.Buffer
		p := program{stdout: &out, stderr: &out}
		code := p.run(t.Context(), []string{"dashboards", dir})
		return code, out.String()
	}
	code, out := run()
	if code != 0 {
		t.Fatal(out)
	}
	for path := range strings.FieldsSeq(out) {
		got, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("..", "..", "dashboards", path))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from what is in the repository, %v", path, err)
		}
	}
	for _, name := range []string{"grafana/recoup-incident.json", "prometheus/recoup-alerts.rules.yaml", "provisioning/datasources/recoup.yaml"} {
		if !strings.Contains(out, name+"\n") {
			t.Errorf("%s was not written: %s", name, out)
		}
	}
	if code, out := run(); code != exitFailed || !strings.Contains(out, "choose a new directory") {
		t.Errorf("%d, %s", code, out)
	}
}
