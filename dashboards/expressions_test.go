package dashboards

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// The dashboards are embedded under their uids, and each has queries of every kind
// that a test could ask a Prometheus for.
func TestExpressions(t *testing.T) {
	all, err := Expressions()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(Grafana, "grafana/*.json")
	if err != nil || len(names) != 3 {
		t.Fatalf("%d dashboards: %v", len(names), err)
	}
	for _, name := range names {
		uid := strings.TrimSuffix(strings.TrimPrefix(name, "grafana/"), ".json")
		for _, k := range []Kind{Instant, Range, Variable} {
			if !slices.ContainsFunc(all, func(e Expression) bool { return e.Dashboard == uid && e.Kind == k }) {
				t.Errorf("%s has no %s query", uid, k)
			}
		}
	}
	for _, e := range all {
		if e.Panel == "" || e.Expr == "" || (e.RefID == "") != (e.Kind == Variable || e.Kind == Annotation) {
			t.Errorf("an expression lacks something: %+v", e)
		}
	}
}

// With Grafana's own windows and what the templates are to begin with, nothing is
// left to replace but the data source and the tag.
func TestResolve(t *testing.T) {
	values := map[string]string{"__rate_interval": "1m", "__range": "1h", "tag": "tag_team"}
	templates, err := Templates()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range templates {
		if v.Default != "" {
			values[v.Name] = v.Default
		}
	}
	for name, want := range map[string]string{"job": ".+", "provider": ".*", "large": "gpt-5.5", "small": "gpt-5.5-mini"} {
		if values[name] != want {
			t.Errorf("%s is %q to begin with, not %q", name, values[name], want)
		}
	}
	all, err := Expressions()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if got := e.Resolve(values); strings.Contains(got, "$") {
			t.Errorf("%s: %s: %s", e.Dashboard, e.Panel, got)
		}
	}
}

func TestResolveForms(t *testing.T) {
	e := Expression{Expr: `a{b=~"$job"} + b{c="${job}"} + c{d="${job:regex}"} + rate(d[$__rate_interval]) + $jobs`}
	want := `a{b=~"x"} + b{c="x"} + c{d="x"} + rate(d[2m]) + $jobs`
	if got := e.Resolve(map[string]string{"job": "x", "__rate_interval": "2m"}); got != want {
		t.Errorf("%s", got)
	}
}
