package render

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/pricing"
)

// The pictures are geometry in the units of their viewBox; what a colour is, the style
// of the page says.

// rect is a bar, or a part of one.
type rect struct {
	X, Y, W, H float64
	Class      string
}

// label is a text in a picture.
type label struct {
	X, Y   float64
	Anchor string
	Text   string
}

// chart is a picture.
type chart struct {
	ID, Title, Desc string
	W, H            float64
	Rects           []rect
	Lines           []rect // of the grid
	Labels          []label
}

// Sizes of the timeline.
const (
	lineWidth, lineHeight = 720, 240
	plotLeft, plotRight   = 64, 712
	plotTop, plotBottom   = 14, 198
)

// round keeps geometry short, and the same on every machine.
func round(x float64) float64 { return math.Round(x*100) / 100 }

// timelineChart is tokens by outcome, stacked, with the incident shaded behind.
func timelineChart(r *report.Report) *chart {
	t := &r.Timeline
	most := int64(0)
	for _, b := range t.Buckets {
		most = max(most, b.Tokens())
	}
	if most == 0 {
		return nil
	}
	top := ceiling(most)
	c := &chart{ID: "timeline", Title: "Output tokens over time, by outcome", W: lineWidth, H: lineHeight,
		Desc: fmt.Sprintf("From %s, in steps of %v; at most %s tokens in one step. The figures are in the table below.", stamp(t.From), stepOf(t), humanize.Comma(most))}
	width := float64(plotRight-plotLeft) / float64(len(t.Buckets))
	at := func(when time.Time) float64 {
		steps := float64(when.Sub(t.From)) / float64(stepOf(t))
		return round(min(max(plotLeft+steps*width, plotLeft), plotRight))
	}
	if i := r.Incident; i != nil {
		end := float64(plotRight)
		if !i.End.IsZero() { // whole steps: what broke in it stands in them
			end = at(i.End.Add(stepOf(t) - 1).Truncate(stepOf(t)))
		}
		x := at(i.Start.Truncate(stepOf(t)))
		c.Rects = append(c.Rects, rect{x, plotTop, round(max(end-x, 2)), plotBottom - plotTop, "incident"})
		c.Desc += fmt.Sprintf(" Shaded: the incident, from %s to %s.", stamp(i.Start), stamp(i.End))
	}
	for n := range int64(3) {
		v := top * n / 2
		y := round(plotBottom - float64(plotBottom-plotTop)*float64(v)/float64(top))
		c.Lines = append(c.Lines, rect{plotLeft, y, plotRight - plotLeft, 0, "grid"})
		c.Labels = append(c.Labels, label{plotLeft - 6, y + 4, "end", humanize.Comma(v)})
	}
	for i, b := range t.Buckets {
		y := float64(plotBottom)
		for _, part := range []struct {
			n     int64
			class string
		}{{b.Delivered, "delivered"}, {b.Pending, "pending"}, {b.Unusable, "unusable"}, {b.NeverReceived, "lost"}} {
			if part.n == 0 {
				continue
			}
			h := float64(plotBottom-plotTop) * float64(part.n) / float64(top)
			y -= h
			c.Rects = append(c.Rects, rect{round(plotLeft + float64(i)*width + width*0.08), round(y), round(width * 0.84), round(h), part.class})
		}
	}
	c.Labels = append(c.Labels, times(t)...)
	return c
}

func stepOf(t *report.Timeline) time.Duration {
	if t.Step > 0 {
		return t.Step
	}
	if len(t.Buckets) > 1 { // of a stored report
		return t.Buckets[1].At.Sub(t.Buckets[0].At)
	}
	return max(time.Duration(t.Seconds)*time.Second, time.Millisecond)
}

// times are the labels below a timeline.
func times(t *report.Timeline) []label {
	layout := "15:04:05"
	switch all := stepOf(t) * time.Duration(len(t.Buckets)); {
	case all > 3*24*time.Hour:
		layout = time.DateOnly
	case all > 2*time.Hour:
		layout = "01-02 15:04"
	}
	n := len(t.Buckets)
	end := t.Buckets[n-1].At.Add(stepOf(t))
	middle := t.From.Add(end.Sub(t.From) / 2)
	return []label{
		{plotLeft, plotBottom + 20, "start", t.From.UTC().Format(layout)},
		{(plotLeft + plotRight) / 2, plotBottom + 20, "middle", middle.UTC().Format(layout) + " UTC"},
		{plotRight, plotBottom + 20, "end", end.UTC().Format(layout)},
	}
}

// ceiling is a round even number that is at least n.
func ceiling(n int64) int64 {
	for unit := int64(2); ; unit *= 10 {
		for _, m := range []int64{1, 2, 3, 4, 5, 6, 8} {
			if unit*m >= n {
				return unit * m
			}
		}
	}
}

// bars are a bar chart: each bar is a picture of its own, with its name and amount in
// the page, where they fit any width.
type bars struct {
	ID, Title, Note string
	Bars            []bar
}

// bar is one of them: its parts are beside each other.
type bar struct {
	ID, Name, Value, Desc string
	Rects                 []rect

	parts  []barPart
	amount pricing.Sum
}

type barPart struct {
	amount pricing.Sum
	class  string
	words  string
}

const (
	barWidth, barHeight = 720, 16
	maxBars             = 12
)

// newBars draws bars to one scale.
func newBars(id, title, note string, all []bar) *bars {
	if len(all) > maxBars {
		note += fmt.Sprintf(" The %d largest of %d.", maxBars, len(all))
		all = all[:maxBars]
	}
	most := 0.0
	for _, b := range all {
		most = max(most, b.amount.Dollars())
	}
	if most <= 0 {
		return nil
	}
	for i := range all {
		b := &all[i]
		b.ID, b.Value = fmt.Sprintf("%s-%d", id, i+1), dollars(b.amount)
		b.Rects = append(b.Rects, rect{0, 0, barWidth, barHeight, "track"})
		x := 0.0
		var words []string
		for _, p := range b.parts {
			w := barWidth * p.amount.Dollars() / most
			if w > 0 {
				b.Rects = append(b.Rects, rect{round(x), 0, round(w), barHeight, p.class})
				words = append(words, p.words+" "+dollars(p.amount))
			}
			x += w
		}
		b.Desc = strings.Join(words, ", ")
	}
	return &bars{id, title, note, all}
}

func causeBars(r *report.Report) *bars {
	var all []bar
	for _, g := range r.ByCause {
		if g.Cost.Point.Sign() > 0 {
			all = append(all, bar{Name: causeWords(g.Key[0]) + unpricedMark(&g.Figures), amount: g.Cost.Point, parts: []barPart{
				{g.Unusable.USD, "unusable", "unusable"}, {g.NeverReceived.USD, "lost", "never received"},
			}})
		}
	}
	return newBars("causes", "Cost by cause", "What was paid for nothing, with its input. The figures are in the table By cause.", all)
}

func modelBars(r *report.Report) *bars {
	var all []bar
	for _, g := range r.ByModel {
		all = append(all, bar{Name: clean(g.Key[0]) + mark(report.ByModel, g.Key[0], r) + unpricedMark(&g.Figures), amount: g.Paid.Point, parts: []barPart{
			{g.Delivered.OutputUSD, "delivered", "delivered"}, {g.Open.OutputUSD, "pending", "pending"}, {g.Unusable.OutputUSD, "unusable", "unusable"},
			{g.NeverReceived.OutputUSD, "lost", "never received"}, {g.Input.USD, "input", "input"},
		}})
	}
	return newBars("models", "Paid by model", "By what became of the output, and for input. The figures are in the table By model.", all)
}
