package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// cases is what this test reads of a file of promtool's.
type cases struct {
	RuleFiles []string `yaml:"rule_files"`
	Tests     []struct {
		Alerts []struct {
			Name     string `yaml:"alertname"`
			Expected []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
		Expressions []struct {
			Expr     string `yaml:"expr"`
			Expected []any  `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	} `yaml:"tests"`
}

// testFiles are promtool's.
func testFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(prometheusDir, "tests", "*.test.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of tests, %v", len(files), err)
	}
	return files
}

// Each alert has a case in which it fires and one in which it doesn't, and each
// recorded series one in which it has a value.
func TestAllIsTested(t *testing.T) {
	fires, silent, recorded := map[string]bool{}, map[string]bool{}, ""
	for _, file := range testFiles(t) {
		var c cases
		if err := yaml.Unmarshal([]byte(read(t, file)), &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(c.RuleFiles) != 2 {
			t.Errorf("%s is about %q", file, c.RuleFiles)
		}
		for _, test := range c.Tests {
			for _, a := range test.Alerts {
				if len(a.Expected) > 0 {
					fires[a.Name] = true
				} else {
					silent[a.Name] = true
				}
			}
			for _, e := range test.Expressions {
				if len(e.Expected) > 0 {
					recorded += e.Expr + "\n"
				}
			}
		}
	}
	for _, a := range Alerts(Defaults()) {
		if !fires[a.Name] || !silent[a.Name] {
			t.Errorf("%s: tested that it fires: %v, that it doesn't: %v", a.Name, fires[a.Name], silent[a.Name])
		}
		delete(fires, a.Name)
	}
	for name := range fires {
		t.Errorf("%s is tested and not there", name)
	}
	for _, r := range all(RecordingFile()) {
		if !strings.Contains(recorded, r.Record) {
			t.Errorf("%s is not tested", r.Record)
		}
	}
}

// needPromtool skips where nobody asked for Prometheus.
func needPromtool(t *testing.T) {
	t.Helper()
	if os.Getenv("RECOUP_PROMETHEUS") != "1" {
		t.Skip("RECOUP_PROMETHEUS=1 is not set: promtool isn't asked")
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatalf("RECOUP_PROMETHEUS=1 is set, and there is no promtool: %v", err)
	}
}

func promtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPromtoolChecksRules(t *testing.T) {
	needPromtool(t)
	for _, name := range []string{recordingName, alertsName} {
		promtool(t, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(prometheusDir, name))
	}
	// Lint is fatal indeed.
	twice := filepath.Join(t.TempDir(), "twice.yaml")
	rule := "      - {record: a, expr: up}\n"
	if err := os.WriteFile(twice, []byte("groups:\n  - name: g\n    rules:\n"+rule+rule), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), "promtool", "check", "rules", "--lint=all", "--lint-fatal", twice).Run(); err == nil {
		t.Error("promtool has nothing against the same rule twice")
	}
}

// Prometheus 2 refuses a configuration with the settings of native histograms,
// which are Prometheus 3's; so they are taken out, and nothing else is.
func TestPromtoolChecksConfiguration(t *testing.T) {
	needPromtool(t)
	dir := t.TempDir()
	for _, name := range []string{recordingName, alertsName} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, prometheusDir, name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := read(t, prometheusDir, "prometheus.yml")
	for _, setting := range []string{"    scrape_native_histograms: true\n", "    always_scrape_classic_histograms: true\n"} {
		if strings.Count(text, setting) != 1 {
			t.Fatalf("prometheus.yml doesn't have %q once", setting)
		}
		text = strings.Replace(text, setting, "", 1)
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := promtool(t, "check", "config", "--lint=all", "--lint-fatal", file); strings.Count(out, "rules found") != 2 {
		t.Errorf("it doesn't read both files of rules:\n%s", out)
	}
}

func TestPromtoolTestsRules(t *testing.T) {
	needPromtool(t)
	for _, file := range testFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			promtool(t, "test", "rules", file)
		})
	}
}
