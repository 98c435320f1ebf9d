package render

import (
	"fmt"
	"strings"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

// page is a report as people read it.
type page struct {
	title    string
	subtitle []string
	sections []section
}

// section is a part of a page.
type section struct {
	id, title string
	lead      string
	grid      *grid
	notes     []string
}

// grid is a table. Its first columns, with words, head the rows.
type grid struct {
	caption string
	columns []string
	words   int
	rows    [][]cell
	total   []cell // or nil
}

// texts are the cells as text: in each column the amounts have the same number of
// decimals, so that they stand under each other.
func (g *grid) texts() (rows [][]string, total []string) {
	all := g.rows
	if g.total != nil {
		all = append(all[:len(all):len(all)], g.total)
	}
	decimals := make([]int, len(g.columns))
	for _, row := range all {
		for i, c := range row {
			if c.money {
				_, fraction, _ := strings.Cut(c.text, ".")
				decimals[i] = max(decimals[i], len(fraction), 2)
			}
		}
	}
	for _, row := range all {
		var texts []string
		for i, c := range row {
			if c.money {
				c.text = sign(padded(c.text, decimals[i]))
			}
			texts = append(texts, c.text)
		}
		rows = append(rows, texts)
	}
	if g.total != nil {
		total, rows = rows[len(rows)-1], rows[:len(rows)-1]
	}
	return rows, total
}

// newPage puts a report into words: first what it all came to, then the parts.
func newPage(r *report.Report) *page {
	p := &page{title: "Token audit", subtitle: headline(r)}
	if r.Incident != nil {
		p.title = fmt.Sprintf("Incident %d: %s", r.Incident.Number, clean(r.Incident.Name))
	}
	p.sections = append(p.sections, summary(r), certainty(r))
	if len(r.By) != 1 || r.By[0] != report.ByCause && r.By[0] != report.ByModel && r.By[0] != report.ByHour && r.By[0] != report.Tag(r.TeamTag) {
		p.sections = append(p.sections, groups("groups", "By "+strings.Join(names(r), ", "), names(r), r.Groups, r))
	}
	if r.Summarised != nil {
		p.sections = append(p.sections, summarised(r.Summarised))
	}
	p.sections = append(p.sections,
		groups("by-cause", "By cause", []string{"cause"}, r.ByCause, r),
		groups("by-model", "By model", []string{"model"}, r.ByModel, r),
		groups("by-tag", "By tag "+clean(r.TeamTag), []string{clean(r.TeamTag)}, r.ByTag, r),
		groups("by-hour", "By hour (UTC)", []string{"hour"}, r.ByHour, r))
	if len(r.Bills.Days) > 0 {
		p.sections = append(p.sections, bills(&r.Bills))
	}
	p.sections = append(p.sections, auto(r), streams(r), siblings(r), words(r))
	return p
}

func names(r *report.Report) (all []string) {
	for _, d := range r.By {
		all = append(all, clean(strings.TrimPrefix(string(d), "tag:")))
	}
	return all
}

// period is from when to when; books without an attempt leave what wasn't asked for open.
func period(r *report.Report) string {
	since, until := r.Window.Since, r.Window.Until
	switch {
	case r.Incident != nil && until.IsZero():
		return fmt.Sprintf("From %s to now (it is open)", stamp(since))
	case since.IsZero() && until.IsZero():
		return "All there is"
	case since.IsZero():
		return "Until " + stamp(until)
	case until.IsZero():
		return fmt.Sprintf("From %s on", stamp(since))
	}
	return fmt.Sprintf("From %s to %s", stamp(since), stamp(until))
}

// headline says what the report is of.
func headline(r *report.Report) []string {
	lines := []string{fmt.Sprintf("%s: %s.", period(r), r.Window.Rule)}
	if r.Summarised != nil {
		lines = append(lines, missing(r.Summarised))
	}
	i := r.Incident
	if i == nil {
		return lines
	}
	how := "Declared."
	if i.Found {
		how = fmt.Sprintf("Found by itself; likely cause: %s. %s.", kindWords(i.Kind, i.Provider), clean2(i.Why))
	} else if i.Kind != "" {
		how = "Declared as " + kindWords(i.Kind, i.Provider) + "."
	}
	lines = append(lines, strings.TrimSpace(how))
	if len(i.Labels) > 0 {
		lines = append(lines, "Labels: "+labels(i.Labels)+".")
	}
	switch i.State {
	case report.Open:
		lines = append(lines, "Open: these figures are provisional.")
	case report.Provisional:
		text := "Provisional: the gateway has not found yet that all of it is settled."
		if r.Total.Pending > 0 {
			text = "Provisional: " + plural(r.Total.Pending, "attempt") + " not settled in the books; more may be running."
		}
		lines = append(lines, text)
	case report.FinalState:
		lines = append(lines, fmt.Sprintf("Final since %s: these figures don't change any more.", stamp(i.FinalAt)))
	}
	if r.Later != nil {
		lines = append(lines, fmt.Sprintf("Later corrections of the books are not in them: as the books stand now, the cost is %s, of %s paid.",
			dollars(r.Later.Cost.Point), dollars(r.Later.Paid.Point)))
	}
	return lines
}

func kindWords(kind, provider string) string {
	switch kind {
	case "client_deploy":
		return "a client's deploy"
	case "provider_failure":
		return strings.TrimSpace("a failure of the provider " + clean(provider))
	case "gateway_restart":
		return "a restart of the gateway"
	case "network":
		return "the network"
	}
	return clean(kind)
}

// summary is the first table: what it cost, what was avoided, and what was paid.
func summary(r *report.Report) section {
	t := &r.Total
	row := func(what string, tokens int64, usd cell, note string) []cell {
		return []cell{word(what), usd, count(tokens), word(note)}
	}
	between := ""
	if !t.Cost.Exact() {
		between = fmt.Sprintf("between %s and %s", dollars(t.Cost.Low), dollars(t.Cost.High))
	}
	rows := [][]cell{
		row("Cost: paid for nothing", t.Unusable.OutputTokens+t.NeverReceived.OutputTokens, money(t.Cost.Point), between),
		row("  paid, but the answer is unusable", t.Unusable.OutputTokens, money(t.Unusable.USD), withInput(t.Unusable)),
		row("  paid, but never received", t.NeverReceived.OutputTokens, money(t.NeverReceived.USD), withInput(t.NeverReceived)),
		row("  of both, caused by the gateway", t.Overhead.Tokens, money(t.Overhead.USD), kinds(r.Overhead)),
		row("Avoided by resumes (estimate)", t.Avoided.OutputTokens, money(t.Avoided.USD), "at most "+dollars(t.Avoided.Upper)),
		row("Net: avoided less caused by the gateway", t.Avoided.OutputTokens-t.Overhead.Tokens, money(t.Net), ""),
		row("Total paid", t.Delivered.OutputTokens+t.Unusable.OutputTokens+t.NeverReceived.OutputTokens+t.Open.OutputTokens, money(t.Paid.Point), paidNote(t)),
		row("  = delivered", t.Delivered.OutputTokens, money(t.Delivered.OutputUSD), ""),
		row("  + unusable", t.Unusable.OutputTokens, money(t.Unusable.OutputUSD), ""),
		row("  + never received", t.NeverReceived.OutputTokens, money(t.NeverReceived.OutputUSD), ""),
	}
	if t.Open.OutputTokens != 0 || t.Open.OutputUSD.Sign() != 0 || t.Pending > 0 {
		rows = append(rows, row("  + pending", t.Open.OutputTokens, money(t.Open.OutputUSD), plural(t.Pending, "attempt")+" may still be resumed"))
	}
	rows = append(rows, []cell{word("  + input"), money(t.Input.USD), none(), word(fmt.Sprintf("%s input tokens", count(t.Input.Tokens).text))})
	lead := fmt.Sprintf("%s; %s broken off; %s resumed.", plural(t.Attempts, "attempt"), count(t.Broken).text, count(t.Resumed).text)
	if t.Attempts == 0 {
		lead = "No attempts: nothing was broken in this time."
		if r.Incident == nil {
			lead = "No attempts in this window."
		}
		if r.Summarised != nil {
			lead = "The books have no attempts of it any more."
		}
	}
	return section{id: "summary", title: "What it cost", lead: lead,
		grid: &grid{caption: "Cost, savings and what was paid", columns: []string{"figure", "US dollars", "output tokens", "remark"}, words: 1, rows: rows},
		notes: []string{"Unusable and never received have their input with them where they are a cost; in the sum of what was paid, all input is one row. " +
			"Caused by the gateway is a part of the cost, not to be added. Avoided is what clients would have paid again without the gateway."}}
}

func withInput(p report.Part) string {
	if p.InputUSD.Sign() == 0 {
		return ""
	}
	return dollars(p.InputUSD) + " of it for input"
}

func paidNote(t *report.Figures) string {
	if t.Paid.Exact() {
		return ""
	}
	return fmt.Sprintf("between %s and %s", dollars(t.Paid.Low), dollars(t.Paid.High))
}

func kinds(all []report.Named) string {
	var parts []string
	for _, n := range all {
		parts = append(parts, fmt.Sprintf("%s %s", n.Name, dollars(n.USD)))
	}
	return strings.Join(parts, ", ")
}

// certainty is the second table: what the figures rest on.
func certainty(r *report.Report) section {
	c, b := &r.Certain, &r.Bills
	rows := [][]cell{
		{word("Reported or billed by providers"), word(ofPaid(c.ReportedShare, &c.Reported))},
		{word("Estimated"), word(estimated(c))},
		{word("Reconciled with a bill"), word(reconciled(b))},
		{word("Unexplained: bills less books"), word(unexplained(b))},
		{word("Top cause of the cost"), word(topText(r.TopCause, causeWords))},
		{word("Top of the tag " + clean(r.TeamTag)), word(topText(r.TopTeam, tagWords))},
		{word("Not covered"), word(uncovered(r))},
		{word("Price book"), word(priceBooks(r))},
		{word("Ledger head"), word(fmt.Sprintf("entry %d, %s", r.Head.Entry, r.Head.Hash))},
	}
	return section{id: "certainty", title: "What it rests on",
		grid: &grid{caption: "Evidence and coverage", columns: []string{"question", "answer"}, words: 2, rows: rows}}
}

func ofPaid(share string, a *report.Money) string {
	if share == "" {
		return "–"
	}
	return fmt.Sprintf("%s of what was paid: %s", percent(share), dollars(a.USD))
}

func estimated(c *report.Certainty) string {
	s := ofPaid(c.EstimatedShare, &c.Estimated)
	if !c.Paid.Exact() {
		s += fmt.Sprintf("; all together was paid between %s and %s", dollars(c.Paid.Low), dollars(c.Paid.High))
	}
	if c.Uncertain > 0 {
		s += fmt.Sprintf("; of %s tokens it is open whether they were received before a crash", count(c.Uncertain).text)
	}
	return s
}

func topText(t *report.Top, words func(string) string) string {
	if t == nil {
		return "–"
	}
	return fmt.Sprintf("%s: %s, %s of the cost", words(t.Name), dollars(t.USD), percent(t.Share))
}

func tagWords(v string) string {
	if v == "" {
		return "untagged"
	}
	return clean(v)
}

func uncovered(r *report.Report) string {
	var parts []string
	u := &r.Uncovered
	switch {
	case !u.Known:
		parts = append(parts, "calls that were passed through: only a running gateway counts them")
	case len(u.Calls) == 0:
		parts = append(parts, fmt.Sprintf("no call was passed through since the gateway's start (%s)", stamp(u.Since)))
	default:
		var calls []string
		for _, c := range u.Calls {
			calls = append(calls, fmt.Sprintf("%s %s %s", count(c.Calls).text, clean(c.Provider), clean(c.Endpoint)))
		}
		parts = append(parts, fmt.Sprintf("calls passed through since the gateway's start (%s), not in this window alone: %s", stamp(u.Since), strings.Join(calls, ", ")))
	}
	if u.Running > 0 {
		parts = append(parts, plural(u.Running, "stream")+" that run or are not settled")
	}
	if n := r.Total.Unpriced; n > 0 {
		parts = append(parts, plural(n, "attempt")+" without a price, for all or for a part: their money is missing")
	}
	if r.Summarised != nil {
		parts = append(parts, plural(r.Summarised.Attempts, "attempt")+" of months that were summarised")
	}
	if len(r.Bills.WithoutBill) > 0 {
		var all []string
		for _, p := range r.Bills.WithoutBill {
			all = append(all, clean(p))
		}
		parts = append(parts, "providers without a bill to compare: "+strings.Join(all, ", "))
	}
	return strings.Join(parts, "; ")
}

func priceBooks(r *report.Report) string {
	var parts []string
	for _, b := range r.Prices {
		v := clean(b.Version)
		if v == "" {
			v = "none"
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", v, plural(b.Attempts, "attempt")))
	}
	if len(parts) == 0 {
		return "–"
	}
	text := strings.Join(parts, ", ")
	if len(r.Placeholders) > 0 {
		var all []string
		for _, m := range r.Placeholders {
			all = append(all, clean(m))
		}
		text += "; a placeholder, not a published price: " + strings.Join(all, ", ")
	}
	return text
}
