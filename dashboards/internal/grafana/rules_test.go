package grafana

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// all are the dashboards as they are committed, by uid.
func all(t *testing.T) map[string]classic {
	t.Helper()
	set := map[string]classic{}
	for _, b := range boards() {
		set[b.uid] = committed(t, b.uid)
	}
	if len(set) != len(boards()) {
		t.Fatal("two dashboards have one uid")
	}
	return set
}

func TestDashboards(t *testing.T) {
	titles := map[string]bool{}
	for uid, d := range all(t) {
		if *d.Uid != uid || d.Id != nil || len(uid) > 40 {
			t.Errorf("%s: uid %q, id %v", uid, *d.Uid, d.Id)
		}
		if titles[*d.Title] || *d.Description == "" {
			t.Errorf("%s: title %q, description %q", uid, *d.Title, *d.Description)
		}
		titles[*d.Title] = true
		if *d.Editable || !slices.Equal(d.Tags, []string{"recoup"}) || *d.Timezone != "browser" || *d.Refresh == "" || d.SchemaVersion != 42 {
			t.Errorf("%s: editable %v, tags %v, timezone %s, refresh %q, schema %d", uid, *d.Editable, d.Tags, *d.Timezone, *d.Refresh, d.SchemaVersion)
		}
		for _, v := range []string{"datasource", "job", "instance", "provider", "model"} {
			if !hasVariable(d, v) {
				t.Errorf("%s has no variable %s", uid, v)
			}
		}
	}
}

func hasVariable(d classic, name string) bool {
	return slices.ContainsFunc(d.Templating.List, func(v dashboard.VariableModel) bool { return v.Name == name })
}

// Lists are read anew with the range of time, from the chosen data source, each
// depending on those before it.
func TestVariables(t *testing.T) {
	for uid, d := range all(t) {
		var before []string
		for _, v := range d.Templating.List {
			if v.Type == dashboard.VariableTypeQuery {
				if *v.Refresh != dashboard.VariableRefreshOnTimeRangeChanged || *v.Datasource.Uid != "${datasource}" {
					t.Errorf("%s: variable %s: refresh %d, data source %s", uid, v.Name, *v.Refresh, *v.Datasource.Uid)
				}
				for _, use := range uses(*v.Query.String) {
					if !slices.Contains(before, use) {
						t.Errorf("%s: variable %s depends on %s, which is not before it", uid, v.Name, use)
					}
				}
				if *v.IncludeAll && (!*v.Multi || *v.AllValue == "") {
					t.Errorf("%s: variable %s: all of it is not a pattern", uid, v.Name)
				}
			}
			if *v.Label == "" || slices.Contains(before, v.Name) {
				t.Errorf("%s: variable %s: label %q", uid, v.Name, *v.Label)
			}
			before = append(before, v.Name)
		}
	}
}

// eachPanel calls fn with every panel that is not a row.
func eachPanel(t *testing.T, fn func(uid string, p dashboard.Panel)) {
	t.Helper()
	n := 0
	for uid, d := range all(t) {
		for _, p := range d.Panels {
			if p.Panel != nil {
				n++
				fn(uid, *p.Panel)
			}
		}
	}
	if n == 0 {
		t.Fatal("no panels")
	}
}

// Rows have no panels inside: those below them are theirs while they are open.
func TestRows(t *testing.T) {
	for uid, d := range all(t) {
		titles := map[string]bool{}
		for _, p := range d.Panels {
			if r := p.RowPanel; r != nil {
				if r.Collapsed || len(r.Panels) > 0 || titles[*r.Title] {
					t.Errorf("%s: row %q is closed, has panels inside, or is there twice", uid, *r.Title)
				}
				titles[*r.Title] = true
			}
		}
	}
}

func TestPanels(t *testing.T) {
	titles := map[string]bool{}
	eachPanel(t, func(uid string, p dashboard.Panel) {
		name := uid + ": " + *p.Title
		if *p.Title == "" || titles[name] {
			t.Errorf("%s: no title, or there twice", name)
		}
		titles[name] = true
		// What it is takes a sentence, what to do another.
		if n := strings.Count(*p.Description, ". "); n < 1 || !strings.HasSuffix(*p.Description, ".") {
			t.Errorf("%s: description %q", name, *p.Description)
		}
		f := p.FieldConfig.Defaults
		if *f.Unit == "" || *f.NoValue == "" {
			t.Errorf("%s: unit %q, no value %q", name, *f.Unit, *f.NoValue)
		}
		checkThresholds(t, name, f.Thresholds)
		if *p.Datasource.Type != "prometheus" || *p.Datasource.Uid != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: data source %v, %d queries", name, *p.Datasource.Uid, len(p.Targets))
		}
		checkTargets(t, name, p)
	})
}

func checkTargets(t *testing.T, name string, p dashboard.Panel) {
	t.Helper()
	refs := map[string]bool{}
	for _, target := range p.Targets {
		q, ok := target.(prometheus.Dataquery)
		if pointer, isPointer := target.(*prometheus.Dataquery); isPointer {
			q, ok = *pointer, true
		}
		if !ok {
			t.Errorf("%s: a query is a %T", name, target)
			continue
		}
		if *q.Datasource.Uid != "${datasource}" || q.Expr == "" || *q.LegendFormat == "" || refs[*q.RefId] || *q.Instant == *q.Range {
			t.Errorf("%s: query %s: data source %s, legend %q, instant %v, range %v", name, *q.RefId, *q.Datasource.Uid, *q.LegendFormat, *q.Instant, *q.Range)
		}
		refs[*q.RefId] = true
		if overTime := p.Type == "timeseries" || p.Type == "heatmap"; *q.Range != overTime {
			t.Errorf("%s: query %s of a %s: range %v", name, *q.RefId, p.Type, *q.Range)
		}
	}
}

// A colour means a limit: steps rise, and the colours are those that mean
// something.
func checkThresholds(t *testing.T, name string, c *dashboard.ThresholdsConfig) {
	t.Helper()
	if c == nil || len(c.Steps) == 0 || c.Steps[0].Value != nil {
		t.Errorf("%s: no thresholds", name)
		return
	}
	for i, s := range c.Steps {
		if !slices.Contains([]string{good, warn, bad, plain}, s.Color) || len(c.Steps) == 1 && s.Color != plain {
			t.Errorf("%s: step %d is %s", name, i, s.Color)
		}
		if i > 1 && *s.Value <= *c.Steps[i-1].Value {
			t.Errorf("%s: step %d is not above the one before", name, i)
		}
	}
}

func TestGrid(t *testing.T) {
	for uid, d := range all(t) {
		taken := map[[2]uint32]uint32{}
		ids := map[uint32]bool{}
		for _, p := range d.Panels {
			var id uint32
			var pos *dashboard.GridPos
			if p.RowPanel != nil {
				id, pos = p.RowPanel.Id, p.RowPanel.GridPos
			} else {
				id, pos = *p.Panel.Id, p.Panel.GridPos
			}
			if ids[id] || pos.W == 0 || pos.H == 0 || pos.X+pos.W > 24 {
				t.Errorf("%s: panel %d is there twice, or at %+v", uid, id, *pos)
			}
			ids[id] = true
			for x := pos.X; x < pos.X+pos.W; x++ {
				for y := pos.Y; y < pos.Y+pos.H; y++ {
					if other, ok := taken[[2]uint32{x, y}]; ok {
						t.Fatalf("%s: panels %d and %d overlap", uid, id, other)
					}
					taken[[2]uint32{x, y}] = id
				}
			}
		}
	}
}

// The first line reads in the order in which somebody who was woken asks.
func TestTopLine(t *testing.T) {
	var titles []string
	for _, p := range all(t)[uidMoney].Panels {
		if p.Panel != nil && p.Panel.GridPos.Y == 0 {
			titles = append(titles, *p.Panel.Title)
		}
	}
	want := []string{"Losing now, per hour", "At risk", "Breaks resumed, and missed", "Net of 24 h", "Books: all must be 0", "Log full, and hours left"}
	if !slices.Equal(titles, want) {
		t.Errorf("the first line is %q", titles)
	}
}

// All time series have one style of legend.
func TestLegends(t *testing.T) {
	styles := map[string]bool{}
	eachPanel(t, func(_ string, p dashboard.Panel) {
		if p.Type == "timeseries" {
			styles[string(mustJSON(t, p.Options))] = true
		}
	})
	if len(styles) != 1 {
		t.Errorf("%d styles of legends: %v", len(styles), styles)
	}
}

// Placeholders of the import dialog stay as they are under file provisioning.
func TestNoInputs(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if m := regexp.MustCompile(`__inputs|__requires|\$\{DS_`).Find(f.Content); m != nil {
			t.Errorf("%s has %s", f.Name, m)
		}
	}
}
