package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	statpanel "github.com/grafana/grafana-foundation-sdk/go/stat"
	tablepanel "github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// look gives the panel what its kind needs.
func (p panel) look(d *dashboard.Panel) {
	switch p.kind {
	case stat:
		d.Options = statOptions(len(p.queries))
	case bars:
		d.Options = barOptions()
		if p.limits.below == "" {
			d.FieldConfig.Defaults.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdFixed, FixedColor: new("blue")}
		}
	case table:
		d.Options = tableOptions(p.queries[0].legend)
		d.FieldConfig.Defaults.Custom = tablepanel.FieldConfig{Align: common.FieldTextAlignmentAuto}
		d.Transformations = columns(p.queries)
	case heat:
		d.Options = heatOptions(p.unit)
	case lines, stacked:
		d.Type = string(lines)
		d.Options = lineOptions()
		d.FieldConfig.Defaults.Custom = p.graph()
		d.FieldConfig.Defaults.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdPaletteClassicByName}
	}
}

// latest is the value that is shown of a series.
var latest = common.ReduceDataOptions{Calcs: []string{"lastNotNull"}, Fields: new(""), Values: new(false)}

// statOptions are for values without a curve: what changes has a panel below.
func statOptions(queries int) *statpanel.Options {
	o := statpanel.NewOptions()
	o.GraphMode = common.BigValueGraphModeNone
	o.ReduceOptions = latest
	o.Orientation = common.VizOrientationHorizontal
	o.TextMode = common.BigValueTextModeValue
	if queries > 1 {
		o.TextMode = common.BigValueTextModeValueAndName
	}
	return o
}

func barOptions() *bargauge.Options {
	o := bargauge.NewOptions()
	o.DisplayMode = common.BarGaugeDisplayModeBasic
	o.Orientation = common.VizOrientationHorizontal
	o.ReduceOptions = latest
	return o
}

func tableOptions(sortBy string) *tablepanel.Options {
	o := tablepanel.NewOptions()
	o.Footer.Reducer = []string{}
	o.SortBy = []common.TableSortByFieldState{{DisplayName: sortBy, Desc: new(true)}}
	return o
}

// columns puts the queries of a table side by side, under their legends.
func columns(queries []query) []dashboard.DataTransformerConfig {
	names := map[string]string{}
	for i, q := range queries {
		name := "Value #" + string(rune('A'+i))
		if len(queries) == 1 {
			name = "Value"
		}
		names[name] = q.legend
	}
	return []dashboard.DataTransformerConfig{
		{Id: "merge", Options: map[string]any{}},
		{Id: "organize", Options: map[string]any{"excludeByName": map[string]bool{"Time": true}, "indexByName": map[string]int{}, "renameByName": names}},
	}
}

// heatOptions are for buckets that Prometheus counted.
func heatOptions(unit string) *heatmap.Options {
	o := heatmap.NewOptions()
	o.Color.Mode = new(heatmap.HeatmapColorModeScheme)
	o.YAxis.Unit = &unit
	o.YAxis.AxisPlacement = new(common.AxisPlacementLeft)
	o.Tooltip.Mode = common.TooltipDisplayModeSingle
	o.Tooltip.YHistogram = new(false)
	o.CellValues = &heatmap.CellValues{Unit: new(count)}
	return o
}

// lineOptions are the one style of legend and tooltip.
func lineOptions() *timeseries.Options {
	return &timeseries.Options{
		Legend: common.VizLegendOptions{
			DisplayMode: common.LegendDisplayModeList, Placement: common.LegendPlacementBottom, ShowLegend: true, Calcs: []string{"lastNotNull"},
		},
		Tooltip: common.VizTooltipOptions{Mode: common.TooltipDisplayModeMulti, Sort: common.SortOrderDescending},
	}
}

func (p panel) graph() *timeseries.FieldConfig {
	g := &timeseries.FieldConfig{
		DrawStyle: new(common.GraphDrawStyleLine), LineWidth: new(1.0), FillOpacity: new(10.0), ShowPoints: new(common.VisibilityModeNever),
		AxisSoftMin: new(0.0), ThresholdsStyle: &common.GraphThresholdsStyleConfig{Mode: common.GraphThresholdsStyleModeOff},
	}
	if p.kind == stacked {
		g.FillOpacity = new(60.0)
		g.Stacking = &common.StackingConfig{Mode: new(common.StackingModeNormal), Group: new("A")}
	}
	if len(p.limits.at) > 0 {
		g.ThresholdsStyle.Mode = common.GraphThresholdsStyleModeDashed
	}
	return g
}
