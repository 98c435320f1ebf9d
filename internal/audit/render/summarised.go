package render

import (
	"fmt"
	"strings"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

// missing says what a report has not.
func missing(s *report.Summarised) string {
	var months []string
	for _, m := range s.Months {
		months = append(months, m.Month)
	}
	return fmt.Sprintf("Not in these figures: %s of %s, of which only the sums of the whole months remain: %s paid, of it %s for nothing.",
		plural(s.Attempts, "attempt"), strings.Join(months, ", "), dollars(s.Paid), dollars(s.Cost))
}

// asNow says that groups are not of the figures that a final incident has.
func asNow(r *report.Report) string {
	return fmt.Sprintf("This grouping is of the books as they stand now, which come to %s of cost and %s paid; the incident's final figures are %s and %s.",
		dollars(r.GroupsTotal.Cost.Point), dollars(r.GroupsTotal.Paid.Point), dollars(r.Total.Cost.Point), dollars(r.Total.Paid.Point))
}

// summarised are the months of which only sums remain.
func summarised(s *report.Summarised) section {
	g := &grid{caption: "Summarised months", words: 1,
		columns: []string{"month", "attempts", "cost", "paid", "delivered", "unusable", "never received", "input", "unexplained", "missed resumes"}}
	for _, m := range s.Months {
		g.rows = append(g.rows, []cell{word(m.Month), count(m.Attempts), money(m.Cost), money(m.Paid), money(m.Delivered.USD), money(m.Unusable.USD),
			money(m.NeverReceived.USD), money(m.Input.USD), money(m.Unexplained), count(m.Misses)})
	}
	return section{id: "summarised", title: "Months of which only sums remain", grid: g,
		lead: "They are older than ledger_retention, and in no other figure of this report. Each is the whole month, however much of it was asked for."}
}
