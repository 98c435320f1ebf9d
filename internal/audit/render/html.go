package render

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pageView is a page as the template sees it.
type pageView struct {
	Title    string
	Subtitle []string
	Heroes   []hero
	Line     *chartView
	Bars     []barsView
	Sections []sectionView
	Note     string
}

// hero is a figure that is seen first.
type hero struct{ Name, Value, More string }

type chartView struct {
	*chart
	Legend []legend
	Grid   *gridView // the figures
}

type barsView struct {
	*bars
	Legend []legend
}

type legend struct{ Class, Text string }

type sectionView struct {
	ID, Title, Lead string
	Grid            *gridView
	Notes           []string
}

type gridView struct {
	Caption string
	Columns []columnView
	Rows    []rowView
	Total   []cellView
}

type columnView struct {
	Name   string
	Number bool
}

type rowView struct {
	Part  bool // of the figure above
	Cells []cellView
}

type cellView struct {
	Text   string
	Number bool
	Head   bool
}

// Whole says if it is one word, such as an id or a model, that isn't broken at its hyphens.
func (c cellView) Whole() bool {
	return len(c.Text) <= maxWhole && !strings.ContainsAny(c.Text, " \t\n")
}

const maxWhole = 30 // longer than a model, shorter than a stream

func writeHTML(w io.Writer, r *report.Report) error {
	p := newPage(r)
	t := &r.Total
	v := pageView{Title: p.title, Subtitle: p.subtitle, Heroes: []hero{
		{"Cost: paid for nothing", dollars(t.Cost.Point), rangeText(t.Cost)},
		{"Net: avoided less caused by the gateway", dollars(t.Net), "avoided (estimate) " + dollars(t.Avoided.USD)},
		{"Total paid", dollars(t.Paid.Point), rangeText(t.Paid)},
	}}
	outcomes := []legend{{"delivered", "delivered"}, {"pending", "pending"}, {"unusable", "unusable"}, {"lost", "never received"}}
	if c := timelineChart(r); c != nil {
		l := outcomes
		if r.Incident != nil {
			l = append(l[:len(l):len(l)], legend{"incident", "the incident"})
		}
		v.Line = &chartView{c, l, gridOf(timelineGrid(r))}
	}
	if c := causeBars(r); c != nil {
		v.Bars = append(v.Bars, barsView{c, outcomes[2:]})
	}
	if c := modelBars(r); c != nil {
		v.Bars = append(v.Bars, barsView{c, append(outcomes[:len(outcomes):len(outcomes)], legend{"input", "input"})})
	}
	for _, s := range p.sections {
		v.Sections = append(v.Sections, sectionView{s.id, s.title, s.lead, gridOf(s.grid), s.notes})
	}
	v.Note = fmt.Sprintf("Made by Recoup from the ledger, up to entry %d (%s). Money in US dollars, exact. Times in UTC.", r.Head.Entry, r.Head.Hash)
	if err := pageTemplate.Execute(w, v); err != nil {
		return fmt.Errorf("audit: print: %w", err)
	}
	return nil
}

func rangeText(r report.Range) string {
	if r.Exact() {
		return "exact"
	}
	return fmt.Sprintf("between %s and %s", dollars(r.Low), dollars(r.High))
}

// timelineGrid has the figures of the timeline, but for steps in which there was nothing.
func timelineGrid(r *report.Report) *grid {
	g := &grid{caption: "Output tokens over time, placed by " + r.Timeline.Place, columns: []string{"from", "delivered", "pending", "unusable", "never received"}, words: 1}
	for _, b := range r.Timeline.Buckets {
		if b.Tokens() > 0 {
			g.rows = append(g.rows, []cell{word(stamp(b.At)), count(b.Delivered), count(b.Pending), count(b.Unusable), count(b.NeverReceived)})
		}
	}
	return g
}

func gridOf(g *grid) *gridView {
	if g == nil {
		return nil
	}
	v := &gridView{Caption: g.caption}
	for i, name := range g.columns {
		v.Columns = append(v.Columns, columnView{name, isNumber(g, i)})
	}
	rows, total := g.texts()
	cells := func(texts []string) (all []cellView) {
		for i, s := range texts {
			all = append(all, cellView{strings.TrimLeft(s, " "), isNumber(g, i), i == 0})
		}
		return all
	}
	for _, texts := range rows {
		v.Rows = append(v.Rows, rowView{strings.HasPrefix(texts[0], "  "), cells(texts)})
	}
	if total != nil {
		v.Total = cells(total)
	}
	return v
}
