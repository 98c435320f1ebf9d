package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"

	"github.com/recoup-gateway/recoup/metrics"
)

// What every scrape adds.
var scraped = []string{"job", "instance"}

// definitions are what rules may read, by name: the catalogue (a histogram as its
// parts), the recorded series, and what Prometheus and the process have.
func definitions() map[string]metrics.Definition {
	defs := map[string]metrics.Definition{}
	for _, d := range metrics.Catalogue() {
		if d.Type != metrics.Histogram {
			defs[d.Name] = d
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			p := d
			p.Type = metrics.Counter
			if part == "_bucket" {
				p.Labels = append(slices.Clone(d.Labels), "le")
			}
			defs[d.Name+part] = p
		}
	}
	for _, r := range all(RecordingFile()) {
		defs[r.Record] = metrics.Definition{Name: r.Record, Type: metrics.Gauge, Labels: level(r.Record)}
	}
	defs[up] = metrics.Definition{Name: up, Type: metrics.Gauge}
	for _, name := range []string{processStart, "process_resident_memory_bytes"} {
		defs[name] = metrics.Definition{Name: name, Type: metrics.Gauge}
	}
	return defs
}

// level are the labels that the name of a recorded series says it has.
func level(record string) []string {
	labels, _, _ := strings.Cut(record, ":")
	return strings.Split(labels, "_")
}

// problems says what is wrong with an expression: that it doesn't parse, or reads
// what isn't there.
func problems(expr string) (found []string) {
	parsed, err := metricsql.Parse(expr)
	if err != nil {
		return []string{err.Error()}
	}
	defs, counted := definitions(), map[*metricsql.MetricExpr]bool{}
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		f, ok := e.(*metricsql.FuncExpr)
		if !ok || !slices.Contains([]string{"rate", "increase", "irate"}, f.Name) {
			return
		}
		if r, ok := f.Args[0].(*metricsql.RollupExpr); ok {
			if m, ok := r.Expr.(*metricsql.MetricExpr); ok {
				counted[m] = true
			}
		}
	})
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			found = append(found, problemsOf(e, defs, counted[e])...)
		case *metricsql.AggrFuncExpr:
			found = append(found, problemsOfLabels(e, defs)...)
		}
	})
	return found
}

// problemsOf are those of one selector; counted: it is within a rate.
func problemsOf(m *metricsql.MetricExpr, defs map[string]metrics.Definition, counted bool) (found []string) {
	for _, filters := range m.LabelFilterss {
		name := filters[0].Value
		d, ok := defs[name]
		if !ok || filters[0].Label != "__name__" || filters[0].IsRegexp {
			return append(found, fmt.Sprintf("there is no metric %s", name))
		}
		if (d.Type == metrics.Counter) != counted {
			found = append(found, fmt.Sprintf("%s is a %s, within a rate: %v", name, d.Type, counted))
		}
		for _, f := range filters[1:] {
			if !slices.Contains(d.Labels, f.Label) {
				if !slices.Contains(scraped, f.Label) {
					found = append(found, fmt.Sprintf("%s has no label %s", name, f.Label))
				}
				continue
			}
			for value := range strings.SplitSeq(f.Value, "|") {
				if !has(f.Label, value) {
					found = append(found, fmt.Sprintf("the label %s of %s is never %q", f.Label, name, value))
				}
			}
		}
	}
	return found
}

// has reports whether the documentation of a label names a value. Of statuses
// it can't, and of providers and models it doesn't.
func has(label, value string) bool {
	all := metrics.Labels()
	i := slices.IndexFunc(all, func(l metrics.Label) bool { return l.Name == label })
	open := label == "provider" || label == "model" || value != "" && value[0] >= '4' && value[0] <= '5'
	return open || i >= 0 && strings.Contains(all[i].Values, "`"+value+"`")
}

// problemsOfLabels are labels that an aggregation keeps and that nothing in it has.
func problemsOfLabels(a *metricsql.AggrFuncExpr, defs map[string]metrics.Definition) (found []string) {
	if a.Modifier.Op == "without" {
		return nil
	}
	there := slices.Clone(scraped)
	for _, arg := range a.Args {
		metricsql.VisitAll(arg, func(e metricsql.Expr) {
			if m, ok := e.(*metricsql.MetricExpr); ok {
				there = append(there, defs[m.LabelFilterss[0][0].Value].Labels...)
			}
		})
	}
	for _, label := range a.Modifier.Args {
		if !slices.Contains(there, label) {
			found = append(found, fmt.Sprintf("nothing in %s has the label %s", a.AppendString(nil), label))
		}
	}
	return found
}

func TestExpressions(t *testing.T) {
	for _, r := range append(all(RecordingFile()), all(AlertFile(Defaults()))...) {
		for _, p := range problems(r.Expr) {
			t.Errorf("%s%s: %s", r.Record, r.Alert, p)
		}
	}
}

// The check sees what it is for.
func TestProblems(t *testing.T) {
	for expr, want := range map[string]string{
		"sum by (job (up)":                                        "",
		"recoup_cost_usd":                                         "there is no metric recoup_cost_usd",
		"recoup_cost_usd_total > 1":                               "recoup_cost_usd_total is a counter, within a rate: false",
		"rate(recoup_at_risk_usd[5m])":                            "recoup_at_risk_usd is a gauge, within a rate: true",
		`recoup_at_risk_usd{tenant="a"}`:                          "recoup_at_risk_usd has no label tenant",
		`rate(recoup_cost_usd_total{outcome=~"lost|stolen"}[5m])`: `the label outcome of recoup_cost_usd_total is never "stolen"`,
		"sum by (cause) (recoup_at_risk_usd)":                     "nothing in sum(recoup_at_risk_usd) by(cause) has the label cause",
		"sum by (le) (rate(recoup_commit_seconds_sum[5m]))":       "nothing in sum(rate(recoup_commit_seconds_sum[5m])) by(le) has the label le",
	} {
		got := problems(expr)
		if len(got) != 1 || want != "" && got[0] != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

// A recorded series has the labels that its name says, and somebody reads it.
func TestRecorded(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range all(RecordingFile()) {
		if seen[r.Record] {
			t.Errorf("%s is there twice", r.Record)
		}
		seen[r.Record] = true
		if parts := strings.Split(r.Record, ":"); len(parts) != 3 || !strings.HasPrefix(parts[1], "recoup_") || r.Alert != "" {
			t.Errorf("%q is not called level:metric:operation", r.Record)
		}
		if r.Says == "" {
			t.Errorf("%s: nothing says what it is", r.Record)
		}
		parsed, err := metricsql.Parse(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		sums := 0
		metricsql.VisitAll(parsed, func(e metricsql.Expr) {
			a, ok := e.(*metricsql.AggrFuncExpr)
			if !ok {
				return
			}
			sums++
			by := slices.DeleteFunc(slices.Clone(a.Modifier.Args), func(l string) bool { return l == "le" })
			if a.Modifier.Op != "by" || !slices.Equal(by, level(r.Record)) {
				t.Errorf("%s sums %s %v", r.Record, a.Modifier.Op, by)
			}
		})
		if sums == 0 {
			t.Errorf("%s sums nothing", r.Record)
		}
	}
}
