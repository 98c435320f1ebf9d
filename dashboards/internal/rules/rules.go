package rules

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/model"
)

// runbooks is where the page of an alert is, by its name.
const runbooks = "https://github.com/recoup-gateway/recoup/blob/main/docs/runbooks/"

// A Severity says how soon somebody has to look.
type Severity string

// Severities of alerts.
const (
	Critical Severity = "critical" // now: it wakes people
	Warning  Severity = "warning"  // today
	Info     Severity = "info"     // when there is time
)

// A File is a file of rules, as Prometheus reads it.
type File struct {
	Groups []Group `yaml:"groups"`
}

// A Group is evaluated together, in its order.
type Group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval,omitempty"` // "": as often as Prometheus evaluates by itself
	Rules    []Rule `yaml:"rules"`
}

// A Rule records a series or raises an alert.
type Rule struct {
	Record      string       `yaml:"record,omitempty"`
	Alert       string       `yaml:"alert,omitempty"`
	Expr        string       `yaml:"expr"`
	For         string       `yaml:"for,omitempty"`
	Labels      *Labels      `yaml:"labels,omitempty"`
	Annotations *Annotations `yaml:"annotations,omitempty"`
	Says        string       `yaml:"-"` // of a recorded series, for the documentation
}

// Labels are those that an alert adds.
type Labels struct {
	Severity Severity `yaml:"severity"`
}

// Annotations are the texts of an alert.
type Annotations struct {
	Summary     string `yaml:"summary"`     // the same for all of its instances
	Description string `yaml:"description"` // of this one, and what to do
	RunbookURL  string `yaml:"runbook_url"`
}

// An Alert is a rule, and what the documentation says of it.
type Alert struct {
	Name        string
	Severity    Severity
	Expr        string
	For         model.Duration // how long it must hold; 0: it fires at once
	When        string         // Expr and For in words, thresholds included
	Summary     string
	Description string
}

// rule is the alert as Prometheus reads it.
func (a Alert) rule() Rule {
	hold := "0m"
	if a.For > 0 {
		hold = a.For.String()
	}
	return Rule{
		Alert: a.Name, Expr: a.Expr, For: hold,
		Labels:      &Labels{a.Severity},
		Annotations: &Annotations{Summary: a.Summary, Description: a.Description, RunbookURL: runbooks + a.Name + ".md"},
	}
}

// Alerts are all there are, in the order of the documentation.
func Alerts(t Thresholds) []Alert {
	all := moneyAlerts(t)
	all = append(all, streamAlerts(t)...)
	return append(all, gatewayAlerts(t)...)
}

// AlertFile is recoup-alerts.rules.yaml.
func AlertFile(t Thresholds) File {
	return File{[]Group{
		{Name: "recoup-money", Rules: alertRules(moneyAlerts(t))},
		{Name: "recoup-streams", Rules: alertRules(streamAlerts(t))},
		{Name: "recoup-gateway", Rules: alertRules(gatewayAlerts(t))},
	}}
}

func alertRules(alerts []Alert) []Rule {
	rules := make([]Rule, len(alerts))
	for i, a := range alerts {
		rules[i] = a.rule()
	}
	return rules
}

// YAML is the file's text.
func (f File) YAML(about string) ([]byte, error) {
	body, err := yaml.MarshalWithOptions(f, yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("rules: write YAML: %w", err)
	}
	return fmt.Appendf(nil, "# %s\n"+
		"# Written from dashboards/internal/rules by `go test ./dashboards/internal/rules -update`.\n"+
		"# How to load it, and to change a threshold: docs/runbooks/README.md.\n%s", about, body), nil
}
