package grafana

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/recoup-gateway/recoup/dashboards"
	"github.com/recoup-gateway/recoup/metrics"
)

// Windows that stand for Grafana's, which no parser knows.
const (
	standRate  = "61s"
	standRange = "7h"
)

// builtIn are Grafana's own variables.
var builtIn = map[string]string{"__rate_interval": standRate, "__range": standRange}

// parsed is an expression of a dashboard that asks Prometheus.
type parsed struct {
	dashboards.Expression
	name string
	expr metricsql.Expr
}

// expressions are those of panels and annotations, and the selectors of variables.
func expressions(t *testing.T) []parsed {
	t.Helper()
	listed, err := dashboards.Expressions()
	if err != nil {
		t.Fatal(err)
	}
	var all []parsed
	for _, e := range listed {
		p := parsed{Expression: e, name: e.Dashboard + ": " + e.Panel + " " + e.RefID}
		p.Expr = e.Resolve(builtIn)
		if e.Kind == dashboards.Variable {
			m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(p.Expr)
			if m == nil {
				if p.Expr != "label_names()" {
					t.Errorf("%s: %s", p.name, p.Expr)
				}
				continue
			}
			p.Expr = "max by (" + m[2] + ") (" + m[1] + ")"
		}
		p.Expr = strings.ReplaceAll(p.Expr, "($tag)", "(tag_team)")
		if p.expr, err = metricsql.Parse(p.Expr); err != nil {
			t.Errorf("%s: %v\n%s", p.name, err, p.Expr)
			continue
		}
		all = append(all, p)
	}
	if len(all) < 100 {
		t.Fatalf("only %d expressions", len(all))
	}
	return all
}

// isRuntime tells the metrics of Go, of the process and of the scrape from ours.
func isRuntime(name string) bool {
	return name == "up" || strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}

// definitionOf finds a metric in the catalogue by the name of a series of it.
func definitionOf(name string) (metrics.Definition, bool) {
	for _, d := range metrics.Catalogue() {
		if d.Type != metrics.Histogram && d.Name == name || d.Type == metrics.Histogram && slices.Contains(parts(d.Name), name) {
			return d, true
		}
	}
	return metrics.Definition{}, false
}

// selectors are the metrics that an expression selects, with their filters.
func selectors(e metricsql.Expr) []*metricsql.MetricExpr {
	var all []*metricsql.MetricExpr
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		if m, ok := e.(*metricsql.MetricExpr); ok {
			all = append(all, m)
		}
	})
	return all
}

// namesOf are the metrics of a selector: one, or those of a pattern of names.
func namesOf(m *metricsql.MetricExpr) []string {
	for _, f := range m.LabelFilterss[0] {
		if f.Label == "__name__" {
			return strings.Split(f.Value, "|")
		}
	}
	return nil
}

// labelExists reports whether a series of this name has this label.
func labelExists(series, label string) bool {
	if label == "job" || label == "instance" || label == "__name__" {
		return true
	}
	if isRuntime(series) {
		return series == "go_gc_duration_seconds" && label == "quantile"
	}
	d, _ := definitionOf(series)
	return slices.Contains(d.Labels, label) || label == "le" && strings.HasSuffix(series, "_bucket") ||
		strings.HasPrefix(label, metrics.TagPrefix) && slices.Contains(d.Labels, metrics.TagPrefix+"…")
}

// Every metric exists, every filter is by a label that it has, and every metric is
// of the chosen gateways, providers and models.
func TestSelectors(t *testing.T) {
	for _, p := range expressions(t) {
		for _, m := range selectors(p.expr) {
			names := namesOf(m)
			if len(names) == 0 || len(m.LabelFilterss) != 1 {
				t.Errorf("%s: a selector without a name", p.name)
			}
			filtered := map[string]string{}
			for _, f := range m.LabelFilterss[0] {
				filtered[f.Label] = f.Value
			}
			for _, name := range names {
				if _, ok := definitionOf(name); !ok && !isRuntime(name) {
					t.Errorf("%s: there is no %s", p.name, name)
				}
				for label := range filtered {
					if !labelExists(name, label) {
						t.Errorf("%s: %s has no label %s", p.name, name, label)
					}
				}
				if p.Kind != dashboards.Variable {
					checkFilters(t, p.name, name, filtered)
				}
			}
		}
	}
}

func checkFilters(t *testing.T, where, series string, filtered map[string]string) {
	t.Helper()
	for label, values := range map[string][]string{
		"job": {"$job"}, "instance": {"$instance"}, "provider": {"$provider"},
		"model": {"$model", "$large", "$small"}, "gen_ai_request_model": {"$model"},
	} {
		if labelExists(series, label) && !slices.Contains(values, filtered[label]) {
			t.Errorf("%s: %s is not filtered by %s: %q", where, series, label, filtered[label])
		}
	}
}

// What is summed by a label has it, and a legend names labels that are there.
func TestLabels(t *testing.T) {
	legends := map[string]string{}
	for uid, d := range all(t) {
		for _, p := range d.Panels {
			if p.Panel == nil {
				continue
			}
			for _, target := range p.Panel.Targets {
				var q struct{ RefID, LegendFormat string }
				unmarshal(t, mustJSON(t, target), &q)
				legends[uid+": "+*p.Panel.Title+" "+q.RefID] = q.LegendFormat
			}
		}
	}
	for _, p := range expressions(t) {
		grouped := map[string]bool{}
		metricsql.VisitAll(p.expr, func(e metricsql.Expr) {
			a, ok := e.(*metricsql.AggrFuncExpr)
			if !ok || a.Modifier.Op == "" {
				return
			}
			for _, label := range a.Modifier.Args {
				grouped[label] = true
				for _, m := range selectors(a) {
					for _, name := range namesOf(m) {
						if !labelExists(name, label) && p.Kind != dashboards.Variable {
							t.Errorf("%s: %s has no label %s", p.name, name, label)
						}
					}
				}
			}
		})
		for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(legends[p.name], -1) {
			if !grouped[m[1]] {
				t.Errorf("%s: the legend %q names a label that isn't there", p.name, legends[p.name])
			}
		}
	}
}

// windows are what each function over time may look back.
var windows = map[string][]string{
	"rate":     {standRate},
	"increase": {standRate, standRange, day},
	"deriv":    {"1h"},
}

// functions are PromQL's that are used: the parser knows more than Prometheus does.
var functions = []string{"abs", "clamp_max", "clamp_min", "histogram_quantile", "time"}

// A counter is only of use as a rate or an increase, and that of all series that
// are chosen. Rates look back as far as Grafana says.
func TestCounters(t *testing.T) {
	for _, p := range expressions(t) {
		if p.Kind == dashboards.Variable {
			continue
		}
		checkCounters(t, p.name, p.expr, false, false)
	}
}

func checkCounters(t *testing.T, where string, e metricsql.Expr, aggregated, rated bool) {
	t.Helper()
	switch e := e.(type) {
	case *metricsql.AggrFuncExpr:
		if !slices.Contains([]string{"sum", "max", "min", "count"}, e.Name) {
			t.Errorf("%s: %s", where, e.Name)
		}
		for _, arg := range e.Args {
			checkCounters(t, where, arg, true, rated)
		}
	case *metricsql.FuncExpr:
		_, overTime := windows[e.Name]
		if !overTime && !slices.Contains(functions, e.Name) {
			t.Errorf("%s: %s is not among the functions", where, e.Name)
		}
		for _, arg := range e.Args {
			if r, ok := arg.(*metricsql.RollupExpr); overTime && (!ok || r.Window == nil || !slices.Contains(windows[e.Name], string(r.Window.AppendString(nil)))) {
				t.Errorf("%s: %s", where, e.AppendString(nil))
			}
			checkCounters(t, where, arg, aggregated, e.Name == "rate" || e.Name == "increase")
		}
	case *metricsql.RollupExpr:
		checkCounters(t, where, e.Expr, aggregated, rated)
	case *metricsql.BinaryOpExpr:
		checkCounters(t, where, e.Left, aggregated, rated)
		checkCounters(t, where, e.Right, aggregated, rated)
	case *metricsql.MetricExpr:
		for _, name := range namesOf(e) {
			d, ours := definitionOf(name)
			counts := ours && d.Type != metrics.Gauge || strings.HasSuffix(name, "_total")
			if counts != rated || counts && !aggregated {
				t.Errorf("%s: %s: a counter %v, under a rate %v, in a sum %v", where, name, counts, rated, aggregated)
			}
		}
	}
}

// unused are metrics of the catalogue that no dashboard shows, and why. All are in
// docs/metrics.md.
var unused = map[string]string{}

func TestCatalogueIsShown(t *testing.T) {
	shown := map[string]bool{}
	for _, p := range expressions(t) {
		if p.Kind == dashboards.Variable {
			continue
		}
		for _, m := range selectors(p.expr) {
			for _, name := range namesOf(m) {
				d, _ := definitionOf(name)
				shown[d.Name] = true
			}
		}
	}
	for _, d := range metrics.Catalogue() {
		if _, known := unused[d.Name]; shown[d.Name] == known {
			t.Errorf("%s: shown %v, named as unused %v", d.Name, shown[d.Name], known)
		}
	}
}

// Variables that an expression uses exist in its dashboard.
func TestVariablesOfExpressions(t *testing.T) {
	set := all(t)
	listed, err := dashboards.Expressions()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range listed {
		for _, name := range uses(e.Resolve(builtIn)) {
			if !hasVariable(set[e.Dashboard], name) {
				t.Errorf("%s: %s: $%s is no variable", e.Dashboard, e.Panel, name)
			}
		}
	}
}

// Exemplars are asked for where there are some.
func TestExemplars(t *testing.T) {
	asked := map[string]bool{}
	for _, p := range expressions(t) {
		for _, m := range selectors(p.expr) {
			for _, name := range namesOf(m) {
				d, ok := definitionOf(name)
				if p.Exemplars && (!ok || d.Exemplar == "" || p.Kind != dashboards.Range) {
					t.Errorf("%s: %s has no exemplars", p.name, name)
				}
				asked[d.Name] = asked[d.Name] || p.Exemplars
			}
		}
	}
	for _, name := range []string{metrics.NameTimeToFirstEvent, metrics.NameResumeGap, metrics.NameBreaks, metrics.NameResumes, metrics.NameCost, metrics.NameOutputTokens, metrics.NameUpstreamErrors} {
		if !asked[name] {
			t.Errorf("nobody asks for exemplars of %s", name)
		}
	}
}

// Prometheus' own parser takes every expression, also those by a tag where there is
// none. Without promtool this is left to the parser that the other tests use.
func TestPrometheusParses(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboards\n  rules:\n")
	add := func(i int, expr string) {
		rules.WriteString("  - record: dashboards:expression" + strconv.Itoa(i) + "\n    expr: " + strconv.Quote(expr) + "\n")
	}
	for i, p := range expressions(t) {
		add(2*i, p.Expr)
		add(2*i+1, strings.ReplaceAll(p.Expr, "(tag_team)", "()"))
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "--lint=none", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
