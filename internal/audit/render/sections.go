package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/pricing"
)

func sumOf(p pricing.Picodollars) pricing.Sum { return pricing.Sum{}.Add(p) }

// figures are the cells that every group has.
func figures(f *report.Figures) []cell {
	return []cell{
		count(f.Attempts), money(f.Cost.Point), money(f.Paid.Point), count(f.Delivered.OutputTokens), count(f.Unusable.OutputTokens),
		count(f.NeverReceived.OutputTokens), money(f.Avoided.USD), money(f.Net),
	}
}

var figureColumns = []string{"attempts", "cost", "paid", "delivered", "unusable", "never received", "avoided", "net"}

// maxRows is how many groups a page shows; the other formats have all.
const maxRows = 200

func groups(id, title string, keys []string, all []report.Group, r *report.Report) section {
	g := &grid{caption: title, columns: append(slices.Clone(keys), figureColumns...), words: len(keys)}
	s := section{id: id, title: title, grid: g}
	dims := r.By
	switch id {
	case "by-cause":
		dims = []report.Dimension{report.ByCause}
	case "by-model":
		dims = []report.Dimension{report.ByModel}
	case "by-tag":
		dims = []report.Dimension{report.Tag(r.TeamTag)}
	case "by-hour":
		dims = []report.Dimension{report.ByHour}
	}
	unpriced := false
	for i := range all {
		if i == maxRows {
			s.notes = append(s.notes, fmt.Sprintf("%d more groups are in the CSV and the JSON.", len(all)-maxRows))
			break
		}
		var row []cell
		for j, v := range all[i].Key {
			if all[i].Rest {
				row = append(row, word("all others"))
				continue
			}
			row = append(row, word(keyWords(dims[j], v)+mark(dims[j], v, r)))
		}
		row[len(row)-1].text += unpricedMark(&all[i].Figures)
		unpriced = unpriced || all[i].Unpriced > 0
		g.rows = append(g.rows, append(row, figures(&all[i].Figures)...))
	}
	g.total = []cell{word("all")}
	for range len(keys) - 1 {
		g.total = append(g.total, word(""))
	}
	total := &r.Total
	if id == "groups" && r.GroupsTotal != nil {
		total = r.GroupsTotal
		s.notes = append(s.notes, asNow(r))
	}
	g.total = append(g.total, figures(total)...)
	if len(r.Placeholders) > 0 && slices.Contains(dims, report.ByModel) {
		s.notes = append(s.notes, placeholderNote)
	}
	if unpriced {
		s.notes = append(s.notes, "† Has attempts without a price, for all or for a part: their money is missing.")
	}
	if slices.Contains(dims, report.ByCause) {
		s.notes = append(s.notes, "An attempt can have tokens of several causes. It is counted, with what its resumes avoided, where its input is.")
	}
	return s
}

const placeholderNote = "* A placeholder, not a published price."

// mark is behind a model whose price is no published one.
func mark(d report.Dimension, v string, r *report.Report) string {
	if d == report.ByModel && slices.Contains(r.Placeholders, v) {
		return " *"
	}
	return ""
}

// unpricedMark is behind a group of which money is missing.
func unpricedMark(f *report.Figures) string {
	if f.Unpriced > 0 {
		return " †"
	}
	return ""
}

func keyWords(d report.Dimension, v string) string {
	switch {
	case d == report.ByCause:
		return causeWords(v)
	case strings.HasPrefix(string(d), "tag:"):
		return tagWords(v)
	}
	return clean(v)
}

var causes = map[string]string{
	"live": "read as it came", "resumed": "read after coming back", "cancelled": "cancelled by the client", "damaged": "damaged on disk",
	"upstream": "the provider failed", "crash": "the gateway went down", "superseded": "replaced by a new call", "abandoned": "nobody came back",
	"tail": "billed until the provider stopped", "pending": "not settled",
}

func causeWords(cause string) string {
	if w := causes[cause]; w != "" {
		return cause + " (" + w + ")"
	}
	return clean(cause)
}

// auto is what opting into auto would have saved.
func auto(r *report.Report) section {
	s := section{id: "auto", title: "What opting into auto would have saved"}
	s.lead = "No call bought an answer again that the gateway had."
	if len(r.Auto.ByReason) == 0 {
		return s
	}
	s.lead = fmt.Sprintf("%s asked again for an answer that the gateway had, and nobody had said that they may have it (resume: auto, or a key): "+
		"their first answers had cost %s. That is the most it would have saved, and it is in what was paid.", plural(r.Auto.Calls, "call"), dollars(r.Auto.USD))
	s.grid = &grid{caption: "Missed resumes", columns: []string{"why it was missed", "calls", "first answers"}, words: 1}
	for _, n := range r.Auto.ByReason {
		s.grid.rows = append(s.grid.rows, []cell{word(clean(n.Name)), count(n.Count), money(n.USD)})
	}
	return s
}

// streams are those that cost most.
func streams(r *report.Report) section {
	s := section{id: "streams", title: "The streams that cost most", lead: "By cost, then by what was paid."}
	if len(r.Streams) == 0 {
		s.lead = "None."
		return s
	}
	s.grid = &grid{caption: s.title, columns: []string{"stream", "model", "what happened", "cause", "cost", "paid", "output tokens"}, words: 4}
	for i := range r.Streams {
		x := &r.Streams[i]
		s.grid.rows = append(s.grid.rows, []cell{
			word(x.ID), word(clean(x.Model) + mark(report.ByModel, x.Model, r)), word(story(x)), word(clean(x.Cause)), money(sumOf(x.Cost)), money(sumOf(x.Paid)), count(x.Output),
		})
	}
	return s
}

func story(x *report.Stream) string {
	var parts []string
	for i, e := range x.Story {
		if i == 0 {
			parts = append(parts, fmt.Sprintf("%s %s", stamp(e.At), e.What))
			continue
		}
		parts = append(parts, fmt.Sprintf("+%.1f s %s", x.Ago(e).Seconds(), e.What))
	}
	return strings.Join(parts, "; ")
}

// siblings are an assumption, and say so.
func siblings(r *report.Report) section {
	s := section{id: "siblings", title: "The same tokens on a cheaper model (an assumption)",
		lead: "As if the other model had answered with as many tokens, and as well: the next cheaper one of the same family, of those with a published price."}
	if len(r.Siblings) == 0 {
		s.lead = "No cheaper model of the same family has a published price."
		return s
	}
	s.grid = &grid{caption: s.title, columns: []string{"model", "cheaper sibling", "its price", "paid", "on the sibling"}, words: 3}
	for _, x := range r.Siblings {
		s.grid.rows = append(s.grid.rows, []cell{word(clean(x.Model) + mark(report.ByModel, x.Model, r)), word(clean(x.Sibling)), word(x.Status), money(x.Paid), money(x.USD)})
	}
	return s
}

// words explains what is said above.
func words(*report.Report) section {
	return section{id: "words", title: "Words", notes: []string{
		"Delivered: somebody got it, in an answer that was got to its end, or it was written before a stop. Unusable: written to a client that never got the end of the answer. Never received: billed, and written to nobody.",
		"Net is avoided less what the gateway caused. It can be negative. Money is exact to the picodollar; an estimate is the figure that is booked, with the least and the most that it may be.",
	}}
}

func labels(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, clean(k)+"="+clean(m[k]))
	}
	return strings.Join(parts, ", ")
}

// clean2 is clean for a sentence.
func clean2(s string) string {
	var parts []string
	for _, w := range strings.Fields(s) {
		parts = append(parts, clean(w))
	}
	return strings.Join(parts, " ")
}
