package dashboards

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
)

// Kind is how Grafana asks for an expression.
type Kind string

// The kinds of expressions.
const (
	Instant    Kind = "instant"    // of a panel: one value, now
	Range      Kind = "range"      // of a panel: values over the range of time
	Variable   Kind = "variable"   // label_values(series, label), or label_names()
	Annotation Kind = "annotation" // over the range of time
)

// An Expression is a query of a dashboard, with Grafana's variables still in it.
type Expression struct {
	Dashboard string // uid
	Panel     string // title of the panel; of a variable or an annotation its name
	RefID     string // of a panel's query
	Kind      Kind
	Expr      string
	MinStep   string // of a panel: the least $__interval, such as 5m; "": none
	Exemplars bool   // exemplars are asked for too
}

// A Template is a template variable of a dashboard.
type Template struct {
	Dashboard string // uid
	Name      string
	Type      string // datasource, query or textbox
	Default   string // what it is to begin with, as it comes in an expression
}

// Expressions returns each query of each dashboard: of panels, in their order, then
// of variables, then of annotations that ask Prometheus.
func Expressions() ([]Expression, error) {
	var all []Expression
	err := each(func(b board) {
		for _, p := range b.Panels {
			for _, t := range p.Targets {
				e := Expression{Dashboard: b.UID, Panel: p.Title, RefID: t.RefID, Kind: Range, Expr: t.Expr, MinStep: p.Interval, Exemplars: t.Exemplar}
				if t.Instant {
					e.Kind = Instant
				}
				all = append(all, e)
			}
		}
		for _, v := range b.Templating.List {
			if v.Type == "query" {
				all = append(all, Expression{Dashboard: b.UID, Panel: v.Name, Kind: Variable, Expr: v.Query})
			}
		}
		for _, a := range b.Annotations.List {
			if a.Expr != "" {
				all = append(all, Expression{Dashboard: b.UID, Panel: a.Name, Kind: Annotation, Expr: a.Expr, MinStep: a.Step})
			}
		}
	})
	return all, err
}

// Templates returns the template variables of all dashboards.
func Templates() ([]Template, error) {
	var all []Template
	err := each(func(b board) {
		for _, v := range b.Templating.List {
			t := Template{Dashboard: b.UID, Name: v.Name, Type: v.Type, Default: v.AllValue}
			if s, ok := v.Current.Value.(string); ok && t.Default == "" {
				t.Default = s
			}
			all = append(all, t)
		}
	})
	return all, err
}

// variable is a use of one: $name, ${name} or ${name:format}.
var variable = regexp.MustCompile(`\$(?:(\w+)|\{(\w+)(?::\w+)?\})`)

// Resolve returns the expression with variables replaced by their values, built-in
// ones such as __rate_interval too. Those without a value stay.
func (e Expression) Resolve(values map[string]string) string {
	return variable.ReplaceAllStringFunc(e.Expr, func(use string) string {
		m := variable.FindStringSubmatch(use)
		if v, ok := values[cmp.Or(m[1], m[2])]; ok {
			return v
		}
		return use
	})
}

// board is what this package reads of a dashboard.
type board struct {
	UID    string
	Panels []struct {
		Title    string
		Interval string
		Targets  []struct {
			RefID    string
			Expr     string
			Instant  bool
			Exemplar bool
		}
	}
	Templating struct {
		List []struct {
			Name     string
			Type     string
			Query    string
			AllValue string
			Current  struct{ Value any }
		}
	}
	Annotations struct {
		List []struct {
			Name string
			Expr string
			Step string
		}
	}
}

// each calls fn with every dashboard, by name of file.
func each(fn func(board)) error {
	names, err := fs.Glob(Grafana, "grafana/*.json")
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := Grafana.ReadFile(name)
		if err != nil {
			return err
		}
		var b board
		if err := json.Unmarshal(data, &b); err != nil {
			return fmt.Errorf("dashboards: %s: %w", name, err)
		}
		fn(b)
	}
	return nil
}
