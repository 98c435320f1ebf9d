package demo

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// WriteTable writes the report for people, in at most 100 columns. With colour,
// headings are bold.
func (r *Report) WriteTable(w io.Writer, colour bool) error {
	p := &page{colour: colour}
	p.story(r)
	p.money(r)
	p.models(r)
	p.bills(r)
	p.conclusion(r)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("demo: print: %w", err)
	}
	return nil
}

type page struct {
	strings.Builder
	colour bool
}

func (p *page) heading(s string) {
	if p.colour {
		s = "\x1b[1m" + s + "\x1b[0m"
	}
	fmt.Fprintf(p, "\n%s\n", s)
}

// table writes one. The first columns are words, the others numbers.
func (p *page) table(words int, header table.Row, rows []table.Row) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	t.AppendRows(rows)
	var columns []table.ColumnConfig
	for i := words + 1; i <= len(header); i++ {
		columns = append(columns, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	fmt.Fprintln(p, t.Render())
}

// of is how many agents had one of the fates.
func of(fates ...fate) int {
	return count(func(r role) bool { return slices.Contains(fates, r.fate) })
}

func (p *page) story(r *Report) {
	p.heading("What happened")
	again := of(keyless, killed, upstream)
	fmt.Fprintf(p, `%d agents worked through the gateway. A deploy cut %d of them off in mid-answer:
  %2d  came back to the same answer
  %2d  never came back (%d answers were completed unread, %d were given up)
  %2d  had sent no key to come back with, and asked again
Of the other %d:
  %2d  were reading when the gateway itself was killed and started again, and asked again
  %2d  had a provider that failed, and asked again
  %2d  cancelled
  %2d  finished undisturbed
That took %d requests: one for each agent, %d more after tool calls, %d to ask again.
Shortened for this demo: an answer that nobody reads is given up after %v (usually 60s), and
kept for %v after its end (usually 15m).
`, size(), count(func(r role) bool { return r.fate.cut() }), of(byKey, byID), of(away, graced), of(away), of(graced), of(keyless),
		count(func(r role) bool { return !r.fate.cut() }), of(killed), of(upstream), of(cancels), of(steady),
		r.ProviderBill.Requests, r.ProviderBill.Requests-size()-again, again, OrphanGrace, Retention)
}

// parts are outcomes and their causes in words, in the order in which they are
// shown, and who is to blame. What is due to the gateway is what it has as overhead.
var parts = []struct {
	outcome, words string
	causes         []because
}{
	{"delivered", "used", []because{
		{"live", "read as it came", ""},
		{"resumed", "read after coming back", ""},
		{"cancelled", "read before the agent cancelled", ""},
	}},
	{"wasted", "unusable: read, but not to its end", []because{
		{"abandoned", "the agent did not come back to it", "agent"},
		{"upstream", "the provider failed", "provider"},
		{"crash", "the gateway was killed", "gateway"},
		{"superseded", "asked again instead of continued", "agent"},
		{"cancelled", "cancelled", "agent"},
		{"damaged", "damaged on disk", "disk"},
	}},
	{"lost", "never received by anyone", []because{
		{"abandoned", "written on while nobody came back", "gateway"},
		{"upstream", "the provider failed", "provider"},
		{"crash", "the gateway was killed", "gateway"},
		{"superseded", "asked again instead of continued", "agent"},
		{"cancelled", "cancelled", "agent"},
		{"tail", "billed until the provider stopped", "provider"},
		{"damaged", "damaged on disk", "disk"},
	}},
	{"pending", "no outcome yet", nil},
}

type because struct{ cause, words, blame string }

// money is the table that a manager reads: what was paid, what became of it, and
// what the gateway did about it.
func (p *page) money(r *Report) {
	p.heading("Where the money went")
	paid := r.Billed.USD
	row := func(words, blame string, usd pricing.Sum, tokens int64) table.Row {
		return table.Row{words, blame, dollars(usd), percent(usd, paid), humanize.Comma(tokens)}
	}
	rows := []table.Row{row("Paid to the provider", "", paid, r.Billed.OutputTokens)}
	for _, part := range parts {
		usd, tokens := r.became(part.outcome, "")
		if part.outcome == "pending" && tokens == 0 {
			continue
		}
		rows = append(rows, row("  "+part.words, "", usd, tokens))
		for _, b := range part.causes {
			if usd, tokens := r.became(part.outcome, b.cause); usd.Sign() > 0 || tokens > 0 {
				rows = append(rows, row("    "+b.words, b.blame, usd, tokens))
			}
		}
	}
	cost := overhead{}
	for _, o := range r.Overhead {
		cost.Tokens += o.Tokens
		cost.USD = cost.USD.Plus(o.USD)
	}
	effect := func(words string, usd pricing.Sum, tokens int64) table.Row {
		return table.Row{words, "", signed(usd), signedPercent(usd, paid), signedTokens(tokens)}
	}
	rows = append(rows,
		effect("Avoided by resumes (estimate)", r.Saved.USD, r.Saved.OutputTokens),
		effect("Caused by the gateway (part of paid)", pricing.Sum{}.Minus(cost.USD), -cost.Tokens),
		effect("Net: avoided less caused", r.Net, r.Saved.OutputTokens-cost.Tokens),
	)
	p.table(2, table.Row{"", "due to", "US dollars", "of paid", "output tokens"}, rows)
	p.comments(r)
}

// comments say how the figures of the money table come about.
func (p *page) comments(r *Report) {
	fmt.Fprintf(p, `Dollars include the input, on the row of most of its request's output. Each figure is rounded by
itself, so sums can be off in the last digit.
Avoided: the %d that came back had read %s tokens when they were cut off, and read the other
%s later. Without the gateway they would have begun anew, and paid those %s twice, and their
input too: counted here at the price of cached input. At its full price it would be %s.
Written on: the gateway lets an answer go on for a while, in case its agent comes back.
`, of(byKey, byID), humanize.Comma(r.Saved.OutputTokens), humanize.Comma(r.Outcomes.Delivered["resumed"]),
		humanize.Comma(r.Saved.OutputTokens), dollars(r.Saved.Upper))
	if r.Missed.Calls > 0 {
		fmt.Fprintf(p, `Missed: of the %d that asked again, %d could have had its first answer instead, had it sent a key; the
others' were dead. That one cost about %s, which is in paid above, and not in the net.
`, of(keyless, killed, upstream), r.Missed.Calls, dollars(r.Missed.USD))
	}
}

// became is the money, input included, and the output tokens of an outcome with a
// cause, or with any: "".
func (r *Report) became(outcome, cause string) (usd pricing.Sum, tokens int64) {
	for _, a := range r.accounts {
		if a.Outcome != outcome || cause != "" && a.Cause != cause {
			continue
		}
		usd = usd.Plus(a.USD)
		if a.Direction == "output" {
			tokens += a.Tokens
		}
	}
	return usd, tokens
}

// models shows what a token costs where.
func (p *page) models(r *Report) {
	p.heading("By model (output tokens)")
	var rows []table.Row
	var rates []pricing.Rate
	placeholder := false
	for _, id := range r.dearest() {
		m, used := r.ByModel[id], r.used(id)
		rates = append(rates, rateOf(id, token.Output))
		mark := ""
		if isPlaceholder(id) {
			mark, placeholder = " *", true
		}
		each := "-"
		if used > 0 {
			each = fmt.Sprintf("$%.4f", m.USD.Dollars()/float64(used)*1000)
		}
		price := fmt.Sprintf("$%s / $%s%s", rateOf(id, token.Input), rateOf(id, token.Output), mark)
		rows = append(rows, table.Row{id, price, humanize.Comma(m.OutputTokens), humanize.Comma(used), dollars(m.USD), each, dollars(m.SavedUSD)})
	}
	p.table(1, table.Row{"", "in / out per 1M", "billed", "used", "paid", "paid per 1K used", "avoided"}, rows)
	if len(rates) == 2 && rates[1] > 0 {
		fmt.Fprintf(p, "By the price of output alone, a lost answer costs %.0f times as much on %s as on %s:\nfor 1,500 tokens %s or %s.\n",
			float64(rates[0])/float64(rates[1]), rows[0][0], rows[1][0], answerOf(rates[0]), answerOf(rates[1]))
	}
	fmt.Fprintln(p, "Paid per 1K used: all that was paid, input and waste included, for 1,000 output tokens used.")
	if placeholder {
		fmt.Fprintln(p, "* a placeholder, not a published price.")
	}
}

// dearest are the models, that with the highest price of output first.
func (r *Report) dearest() (ids []string) {
	for id := range r.ByModel {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(rateOf(b, token.Output), rateOf(a, token.Output)), cmp.Compare(a, b))
	})
	return ids
}

// used are the output tokens of a model that were.
func (r *Report) used(model string) (tokens int64) {
	for _, a := range r.accounts {
		if a.Model == model && a.Direction == "output" && a.Outcome == "delivered" {
			tokens += a.Tokens
		}
	}
	return tokens
}

func ratesOf(model string) pricing.Rates {
	rates, _ := pricing.Embedded().Rates(pricing.Query{Provider: providerName, Model: model, At: now(), KnownAt: now()})
	return rates
}

func rateOf(model string, kind token.Kind) pricing.Rate {
	rate, _ := ratesOf(model).Of(kind)
	return rate
}

func isPlaceholder(model string) bool { return ratesOf(model).Status == pricing.Placeholder }

// answerOf is what an answer of 1,500 tokens costs.
func answerOf(rate pricing.Rate) string {
	amount, _ := rate.Times(1500) // of a price list: no overflow
	return dollars(pricing.Sum{}.Add(amount))
}

// bills puts the provider's bill beside the books.
func (p *page) bills(r *Report) {
	p.heading("The provider's bill, which the gateway did not write, beside the books")
	amounts := exactly(r.ProviderBill.USD, r.before.Billed.USD, r.Billed.USD)
	row := func(name string, requests int, b billed, amount string) table.Row {
		return table.Row{name, requests, humanize.Comma(b.InputTokens), humanize.Comma(b.OutputTokens), amount}
	}
	p.table(1, table.Row{"", "requests", "input tokens", "output tokens", "US dollars"}, []table.Row{
		row("the provider's bill", r.ProviderBill.Requests, r.ProviderBill.billed, amounts[0]),
		row("the books before reconciliation", r.before.attempts(), r.before.Billed, amounts[1]),
		row("the books after reconciliation", r.attempts, r.Billed, amounts[2]),
	})
}

func (p *page) conclusion(r *Report) {
	if wrong := r.wrong(); len(wrong) > 0 {
		p.heading("The books and the provider's bill do NOT agree:")
		for _, w := range wrong {
			fmt.Fprintf(p, "  - %s\n", w)
		}
		return
	}
	c := r.Reconciliation
	more, fewer := r.corrected()
	fmt.Fprintf(p, `%3d requests agreed unaided, to the token: the provider itself had reported their tokens.
%3d were broken off before it could, and had been estimated from what was seen of them. The bounds
    that were stated held, and the bill corrected the estimates: %s added, %s taken away.
`, c.Reported, c.Estimated, plural(more, "token", "tokens"), humanize.Comma(fewer))
	if c.Estimated == of(killed, graced, cancels, keyless, upstream) {
		fmt.Fprintf(p, "    They are: %d that died with the gateway, %d given up, %d cancelled, %d without a key, %d failed.\n",
			of(killed), of(graced), of(cancels), of(keyless), of(upstream))
	}
	if r.opposite() {
		fmt.Fprintln(p, "    Tokens were off one way and dollars the other, as a token's price depends on its model.")
	}
	p.heading(fmt.Sprintf("The books balance and agree with the provider's bill, to the token: %d unaided, %d corrected.", c.Reported, c.Estimated))
}

// corrected is by how many tokens, input and output, the bill was above the books
// before, and below, attempt by attempt.
func (r *Report) corrected() (more, fewer int64) {
	d := r.Reconciliation.Difference
	net := r.Billed.InputTokens + r.Billed.OutputTokens - r.before.Billed.InputTokens - r.before.Billed.OutputTokens
	return (d + net) / 2, (d - net) / 2
}

// opposite says if the bill had more of some tokens than the books before, and
// fewer dollars, or the other way round.
func (r *Report) opposite() bool {
	sign := r.Billed.USD.Minus(r.before.Billed.USD).Sign()
	input, output := r.Billed.InputTokens-r.before.Billed.InputTokens, r.Billed.OutputTokens-r.before.Billed.OutputTokens
	return sign > 0 && min(input, output) < 0 || sign < 0 && max(input, output) > 0
}
