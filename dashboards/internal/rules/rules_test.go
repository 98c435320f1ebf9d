package rules

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/recoup-gateway/recoup/dashboards"
)

var update = flag.Bool("update", false, "write the files of rules, and the table of alerts")

// Places, from this package.
var (
	prometheusDir = filepath.Join("..", "..", "prometheus")
	runbooksDir   = filepath.Join("..", "..", "..", "docs", "runbooks")
)

const (
	recordingName = "recoup-recording.rules.yaml"
	alertsName    = "recoup-alerts.rules.yaml"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The committed files are what the code says, byte by byte. Run with -update
// after changing it.
func TestFiles(t *testing.T) {
	for _, f := range []struct {
		name, about string
		file        File
	}{
		{recordingName, "Series that the alerts use, and that are worth keeping for long.", RecordingFile()},
		{alertsName, "Alerts of Recoup.", AlertFile(Defaults())},
	} {
		fresh, err := f.file.YAML(f.about)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(filepath.Join(prometheusDir, f.name), fresh, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		embedded, err := dashboards.Prometheus.ReadFile("prometheus/" + f.name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fresh, embedded) {
			t.Errorf("%s is behind: run go test ./dashboards/internal/rules -update", f.name)
		}
	}
}

// Written and read again, by a reader that knows no other members, the rules are
// the same.
func TestFilesRoundTrip(t *testing.T) {
	for _, want := range []File{RecordingFile(), AlertFile(Defaults())} {
		text, err := want.YAML("")
		if err != nil {
			t.Fatal(err)
		}
		var got File
		if err := yaml.UnmarshalWithOptions(text, &got, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprintf("%q", flat(want)), fmt.Sprintf("%q", flat(got)); a != b {
			t.Errorf("wrote\n%s\nread\n%s", a, b)
		}
	}
}

// flat is a file as texts.
func flat(f File) (texts []string) {
	for _, g := range f.Groups {
		texts = append(texts, g.Name, g.Interval)
		for _, r := range g.Rules {
			texts = append(texts, r.Record, r.Alert, r.Expr, r.For)
			if r.Labels != nil {
				texts = append(texts, string(r.Labels.Severity), r.Annotations.Summary, r.Annotations.Description, r.Annotations.RunbookURL)
			}
		}
	}
	return texts
}

// all are the rules of a file.
func all(f File) (rules []Rule) {
	for _, g := range f.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

func TestAlertsAreComplete(t *testing.T) {
	var (
		name     = regexp.MustCompile(`^Recoup([A-Z][a-z]+)+$`)
		duration = regexp.MustCompile(`^\d+[mh]$`)
		seen     = map[string]bool{}
	)
	for _, r := range all(AlertFile(Defaults())) {
		if !name.MatchString(r.Alert) || r.Record != "" {
			t.Errorf("an alert is called %q and records %q", r.Alert, r.Record)
		}
		if seen[r.Alert] {
			t.Errorf("%s is there twice", r.Alert)
		}
		seen[r.Alert] = true
		if r.Expr == "" || !duration.MatchString(r.For) {
			t.Errorf("%s: expression %q, for %q", r.Alert, r.Expr, r.For)
		}
		if !slices.Contains([]Severity{Critical, Warning, Info}, r.Labels.Severity) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels.Severity)
		}
		if s := r.Annotations.Summary; s == "" || strings.Contains(s, "{{") || !strings.HasSuffix(s, ".") {
			t.Errorf("%s: summary %q: want a sentence that is the same for all instances", r.Alert, s)
		}
		if !strings.Contains(r.Annotations.Description, "{{") {
			t.Errorf("%s: its description says nothing of the instance: %q", r.Alert, r.Annotations.Description)
		}
	}
	for _, a := range Alerts(Defaults()) {
		if a.When == "" {
			t.Errorf("%s: nothing says when it fires", a.Name)
		}
		delete(seen, a.Name)
	}
	if len(seen) > 0 {
		t.Errorf("not documented: %v", seen)
	}
}

// A threshold is in the expression of an alert, and not left over: with all
// changed, all expressions with a number of ours change.
func TestThresholdsAreUsed(t *testing.T) {
	text := func(th Thresholds) string {
		y, err := AlertFile(th).YAML("")
		if err != nil {
			t.Fatal(err)
		}
		return string(y)
	}
	was := text(Defaults())
	for name, change := range map[string]func(*Thresholds){
		"Job":             func(t *Thresholds) { t.Job = "gateways" },
		"LossPerHour":     func(t *Thresholds) { t.LossPerHour++ },
		"SlowLossPerHour": func(t *Thresholds) { t.SlowLossPerHour++ },
		"AtRisk":          func(t *Thresholds) { t.AtRisk++ },
		"MissedPerDay":    func(t *Thresholds) { t.MissedPerDay++ },
		"GatewayPerHour":  func(t *Thresholds) { t.GatewayPerHour++ },
		"Unexplained":     func(t *Thresholds) { t.Unexplained++ },
		"ResumesFailed":   func(t *Thresholds) { t.ResumesFailed /= 2 },
		"MinResumes":      func(t *Thresholds) { t.MinResumes++ },
		"ProviderErrors":  func(t *Thresholds) { t.ProviderErrors /= 2 },
		"MinRequests":     func(t *Thresholds) { t.MinRequests++ },
		"SlowReaders":     func(t *Thresholds) { t.SlowReaders++ },
		"LogUsed":         func(t *Thresholds) { t.LogUsed /= 2 },
		"LogFullWithin":   func(t *Thresholds) { t.LogFullWithin *= 2 },
		"CommitSeconds":   func(t *Thresholds) { t.CommitSeconds *= 2 },
		"Retention":       func(t *Thresholds) { t.Retention *= 2 },
		"Unsettled":       func(t *Thresholds) { t.Unsettled++ },
		"Restarts":        func(t *Thresholds) { t.Restarts++ },
		"DownFor":         func(t *Thresholds) { t.DownFor *= 2 },
	} {
		th := Defaults()
		change(&th)
		if text(th) == was {
			t.Errorf("%s changes nothing", name)
		}
	}
}
