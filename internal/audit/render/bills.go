package render

import (
	"fmt"
	"strings"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

// reconciled answers whether bills agree.
func reconciled(b *report.Bills) string {
	var answer string
	switch compared := fmt.Sprintf("%s of what was paid (%s) is of days whose bill was compared", percent(b.Share), dollars(b.Compared)); b.State {
	case report.StateReconciled:
		answer = "yes: the bills of all days were compared, and agree"
	case report.StatePartly:
		answer = "in part: " + compared + ", and agrees"
		if b.Compared.Sign() == 0 { // a bill by requests was not a complete one
			answer = "in part: of no day the whole bill was compared"
		}
	case report.StateUnexplained:
		answer = "no: " + compared + ", and some is unexplained"
	default:
		return "no: no bill of these days was compared"
	}
	if !b.Latest.IsZero() {
		answer += "; last on " + stamp(b.Latest)
	}
	if n := b.Reconciled.Count; n > 0 {
		answer += fmt.Sprintf("; %s corrected by a bill (%s)", plural(n, "attempt"), dollars(b.Reconciled.USD))
	}
	return answer
}

func unexplained(b *report.Bills) string {
	text := dollars(b.Unexplained)
	if len(b.Parts) > 0 {
		text += ": " + partsOf(b.Parts)
	}
	return text
}

func partsOf(all []report.BillPart) string {
	var parts []string
	for _, p := range all {
		name := clean(p.Name)
		if name == "" {
			name = "not split"
		}
		parts = append(parts, name+" "+dollars(p.USD))
	}
	return strings.Join(parts, ", ")
}

// bills are the days on which a bill differs.
func bills(b *report.Bills) section {
	s := section{id: "bills", title: "What bills have beyond the books",
		lead: "By day (UTC), as recoup reconcile and the bills of single requests have posted it. It is in no other figure. A negative amount is one that the bill has less.",
		grid: &grid{caption: "Bills less books", columns: []string{"day", "provider", "model", "tier", "made of", "unexplained"}, words: 5}}
	for i, d := range b.Days {
		if i == maxRows {
			s.notes = append(s.notes, fmt.Sprintf("%d more are in the JSON.", len(b.Days)-maxRows))
			break
		}
		model, tier := clean(d.Model), clean(d.Tier)
		if model == "" {
			model = "–"
		}
		s.grid.rows = append(s.grid.rows, []cell{word(d.Day), word(clean(d.Provider)), word(model), word(tier), word(partsOf(d.Parts)), money(d.USD)})
	}
	s.grid.total = []cell{word("all"), word(""), word(""), word(""), word(""), money(b.Unexplained)}
	return s
}
