package grafana

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// Units. Money is in dollars, tokens are counts.
const (
	usd     = units.Dollars
	count   = units.Short
	share   = units.PercentUnit
	seconds = units.Seconds
	bytes   = units.BytesIEC
	hours   = units.Hours
)

// Colours. They mean that a limit is kept or not; plain is where none is meant.
const (
	good  = "green"
	warn  = "orange"
	bad   = "red"
	plain = "text"
)

// kind is what a panel looks like.
type kind string

const (
	stat    kind = "stat"       // one value for each query
	lines   kind = "timeseries" // over time
	stacked kind = "stacked"    // over time, adding up
	bars    kind = "bargauge"   // a value for each series
	table   kind = "table"      // a row for each set of labels, a column for each query
	heat    kind = "heatmap"    // buckets over time
)

// decimals is a number of decimals, or Grafana's choice by the size of the value.
type decimals int

const (
	auto  decimals = 0
	whole decimals = -1
	cents decimals = 4 // hundredths of a cent: a small model's answer costs that much
)

// A limit is a value from which on a colour holds.
type limit struct {
	from  float64
	color string
}

// limits are what is meant to hold: the colour below the first limit, and the
// limits.
type limits struct {
	below string
	at    []limit
}

// atMost are limits of what should be small: from warnAt on, from badAt on.
func atMost(warnAt, badAt float64) limits {
	return limits{good, []limit{{warnAt, warn}, {badAt, bad}}}
}

// mustBeZero is for what has no good value but 0, give or take what a float or a
// rounded bill can be off by.
func mustBeZero(tolerance float64) limits {
	return limits{bad, []limit{{-tolerance, good}, {tolerance, bad}}}
}

// A panel is one figure, or a few that belong together.
type panel struct {
	kind     kind
	title    string
	about    string // what it is, and what to do when it is bad
	unit     string
	decimals decimals
	queries  []query
	limits   limits
	none     string // what to say where there is no value
	width    uint32
	minStep  string // the least step, and so the least rate window
	ceiling  float64
	words    []valueMapping // for values
	paint    []painted      // series that have a colour of their own
	links    []dataLink
}

// painted is a series whose very name says how good it is.
type painted struct{ series, color string }

// outcomes as they are painted.
var outcomes = []painted{{"delivered", good}, {"wasted", warn}, {"lost", bad}}

// A query of a panel. What it says of units and the like goes before what the
// panel says.
type query struct {
	expr      string
	legend    string
	exemplars bool // ask for exemplars too
	now       bool // one value, as of now; stats, bars and tables are by themselves
	unit      string
	decimals  decimals
	limits    limits
	words     []valueMapping
}

// words that stand for values.
func wordFor(value, word string) dashboard.ValueMapping {
	m := dashboard.NewValueMap()
	m.Options[value] = dashboard.ValueMappingResult{Text: &word}
	return dashboard.ValueMapping{ValueMap: m}
}

// wordForUndefined is for a share of nothing.
func wordForUndefined(word string) dashboard.ValueMapping {
	m := dashboard.NewSpecialValueMap()
	m.Options.Match = dashboard.SpecialValueMatchNullAndNan
	m.Options.Result = dashboard.ValueMappingResult{Text: &word, Color: new(plain)}
	return dashboard.ValueMapping{SpecialValueMap: m}
}

// wordFrom is for values that are so large that they are as good as endless.
func wordFrom(value float64, word string) dashboard.ValueMapping {
	m := dashboard.NewRangeMap()
	m.Options.From = &value
	m.Options.Result = dashboard.ValueMappingResult{Text: &word, Color: new(good)}
	return dashboard.ValueMapping{RangeMap: m}
}

// prom is the chosen Prometheus.
func prom() *common.DataSourceRef {
	return &common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")}
}

// build makes the panel of Grafana's schema, without its place.
func (p panel) build() dashboard.Panel {
	d := dashboard.Panel{
		Type:        string(p.kind),
		Title:       &p.title,
		Description: &p.about,
		Datasource:  prom(),
		FieldConfig: &dashboard.FieldConfigSource{Defaults: p.fields(), Overrides: []dashboard.DashboardFieldConfigSourceOverrides{}},
	}
	if p.minStep != "" {
		d.Interval = &p.minStep
	}
	for i, q := range p.queries {
		ref := string(rune('A' + i))
		d.Targets = append(d.Targets, p.target(ref, q))
		if props := p.overrides(q); len(props) > 0 {
			matcher, of := "byFrameRefID", ref
			if p.kind == table { // where the queries have become columns
				matcher, of = "byName", q.legend
			}
			d.FieldConfig.Overrides = append(d.FieldConfig.Overrides, override(matcher, of, props))
		}
	}
	for _, s := range p.paint {
		color := dashboard.FieldColor{Mode: dashboard.FieldColorModeIdFixed, FixedColor: &s.color}
		d.FieldConfig.Overrides = append(d.FieldConfig.Overrides, override("byName", s.series, []dashboard.DynamicConfigValue{{Id: "color", Value: color}}))
	}
	p.look(&d)
	return d
}

func (p panel) target(ref string, q query) variants.Dataquery {
	now := q.now || p.kind == stat || p.kind == bars || p.kind == table
	t := prometheus.Dataquery{
		RefId: &ref, Datasource: prom(), Expr: q.expr, EditorMode: new(prometheus.QueryEditorModeCode),
		Instant: &now, Range: new(!now), Exemplar: new(q.exemplars && !now), LegendFormat: &q.legend,
		Format: new(prometheus.PromQueryFormatTimeSeries),
	}
	switch p.kind {
	case table:
		t.Format = new(prometheus.PromQueryFormatTable)
	case heat:
		t.Format = new(prometheus.PromQueryFormatHeatmap)
	}
	return t
}

// fields are what holds for all values of the panel.
func (p panel) fields() dashboard.FieldConfig {
	f := dashboard.FieldConfig{
		Unit: &p.unit, Decimals: p.decimals.value(), NoValue: &p.none,
		Thresholds: p.limits.build(), Mappings: p.words, Links: p.links,
		Color: &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdThresholds},
	}
	if p.none == "" {
		f.NoValue = new("no data")
	}
	if p.ceiling > 0 {
		f.Min, f.Max = new(0.0), &p.ceiling
	}
	return f
}

func (p panel) overrides(q query) []dashboard.DynamicConfigValue {
	var props []dashboard.DynamicConfigValue
	add := func(id string, value any) {
		props = append(props, dashboard.DynamicConfigValue{Id: id, Value: value})
	}
	if q.unit != "" {
		add("unit", q.unit)
	}
	if v := q.decimals.value(); v != nil {
		add("decimals", *v)
	}
	if q.limits.below != "" {
		add("thresholds", q.limits.build())
	}
	if len(q.words) > 0 {
		add("mappings", q.words)
	}
	return props
}

func override(matcher, what string, props []dashboard.DynamicConfigValue) dashboard.DashboardFieldConfigSourceOverrides {
	return dashboard.DashboardFieldConfigSourceOverrides{Matcher: dashboard.MatcherConfig{Id: matcher, Options: what}, Properties: props}
}

func (d decimals) value() *float64 {
	switch d {
	case auto:
		return nil
	case whole:
		return new(0.0)
	}
	return new(float64(d))
}

// build makes thresholds: one plain step where no limit is meant.
func (l limits) build() *dashboard.ThresholdsConfig {
	t := &dashboard.ThresholdsConfig{Mode: dashboard.ThresholdsModeAbsolute, Steps: []dashboard.Threshold{{Color: plain}}}
	if l.below != "" {
		t.Steps[0].Color = l.below
	}
	for _, at := range l.at {
		t.Steps = append(t.Steps, dashboard.Threshold{Value: new(at.from), Color: at.color})
	}
	return t
}

// check says what is missing of a panel.
func (p panel) check() error {
	switch {
	case p.title == "" || p.about == "" || p.unit == "" || len(p.queries) == 0 || p.width == 0:
		return fmt.Errorf("panel %q lacks a title, a description, a unit, a query or a width", p.title)
	case len(p.queries) > 26:
		return fmt.Errorf("panel %q has too many queries", p.title)
	}
	return nil
}
