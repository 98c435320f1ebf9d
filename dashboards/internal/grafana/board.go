package grafana

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// A board is a dashboard.
type board struct {
	uid, title, about string
	from              string // the range of time to begin with, to now
	refresh           string
	variables         []dashboard.VariableModel // beside the shared ones
	annotations       []dashboard.AnnotationQuery
	rows              []row
}

// A row is a part of a dashboard, under a title; the first has none.
type row struct {
	title string
	lines []line
}

// A line is panels side by side, of one height.
type line struct {
	height uint32
	panels []panel
}

// classic is a dashboard of the schema that all versions of Grafana take. The newer
// one, which the library would rather have used, begins with version 12.
type classic = dashboard.Dashboard //nolint:staticcheck // deprecated for the newer one, see above

// columnsWide is Grafana's grid.
const columnsWide = 24

// boards are all there are.
func boards() []board { return []board{money(), incident(), gateway()} }

// A File is a dashboard as it is committed.
type File struct {
	Name    string
	Content []byte
}

// Files makes all dashboards.
func Files() ([]File, error) {
	var all []File
	for _, b := range boards() {
		d, err := b.build()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.uid, err)
		}
		content, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.uid, err)
		}
		all = append(all, File{Name: b.uid + ".json", Content: append(content, '\n')})
	}
	return all, nil
}

// build makes the dashboard of Grafana's schema. It has no id: that is for the
// Grafana that it comes to.
func (b board) build() (*classic, error) {
	d := dashboard.NewDashboard()
	d.Uid, d.Title, d.Description = &b.uid, &b.title, &b.about
	d.Tags = []string{"recoup"}
	d.Editable = new(false)
	d.GraphTooltip = new(dashboard.DashboardCursorSyncCrosshair)
	d.Time = &dashboard.DashboardDashboardTime{From: b.from, To: "now"}
	d.Refresh = &b.refresh
	d.Version = new(uint32(1))
	d.Links = others(b.uid)
	d.Templating.List = append(shared(), b.variables...)
	d.Annotations.List = b.annotations
	if d.Annotations.List == nil {
		d.Annotations.List = []dashboard.AnnotationQuery{}
	}
	var err error
	d.Panels, err = b.place()
	return d, errors.Join(err, d.Validate())
}

// place numbers the panels and puts them on the grid, line below line.
func (b board) place() ([]dashboard.PanelOrRowPanel, error) {
	var all []dashboard.PanelOrRowPanel
	var errs []error
	var id, y uint32
	for _, r := range b.rows {
		if r.title != "" {
			id++
			head := &dashboard.RowPanel{Type: "row", Title: &r.title, Id: id, GridPos: &dashboard.GridPos{Y: y, W: columnsWide, H: 1}, Panels: []dashboard.Panel{}}
			all = append(all, dashboard.PanelOrRowPanel{RowPanel: head})
			y++
		}
		for _, l := range r.lines {
			var x uint32
			for _, p := range l.panels {
				errs = append(errs, p.check())
				id++
				d := p.build()
				d.Id = new(id)
				d.GridPos = &dashboard.GridPos{X: x, Y: y, W: p.width, H: l.height}
				all = append(all, dashboard.PanelOrRowPanel{Panel: &d})
				x += p.width
			}
			if x > columnsWide {
				errs = append(errs, fmt.Errorf("row %q: a line is %d wide", r.title, x))
			}
			y += l.height
		}
	}
	return all, errors.Join(errs...)
}
