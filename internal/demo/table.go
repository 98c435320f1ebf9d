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
	p.causes(r)
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

func (p *page) story(r *Report) {
	of := func(fates ...fate) int { return count(func(r role) bool { return slices.Contains(fates, r.fate) }) }
	p.heading("What happened")
	fmt.Fprintf(p, `%d agents worked through the gateway, some in several rounds, with %d requests in all.
  %2d  were cut off by a deploy, in mid-answer: %d came back to the same answer, %d never came
      back, and %d had sent no key to come back with, and asked again
  %2d  cancelled; %d had a provider that failed, and asked again
  %2d  were reading when the gateway itself was killed and started again; they asked again
  %2d  finished undisturbed
Shortened for this demo: an answer nobody reads is given up after %v (usually 60s), and
kept for %v after its end (usually 15m).
`, size(), r.ProviderBill.Requests, count(func(r role) bool { return r.fate.cut() }), of(byKey, byID), of(away, graced), of(keyless),
		of(cancels), of(upstream), of(killed), of(steady), OrphanGrace, Retention)
}

// money is the table that a manager reads.
func (p *page) money(r *Report) {
	p.heading("Where the money went")
	var rows []table.Row
	paid := r.Billed.USD
	for _, part := range []struct{ outcome, words string }{
		{"", "Paid to the provider"},
		{"delivered", "  for answers that were used"},
		{"wasted", "  answer unusable: read, but not to its end"},
		{"lost", "  never received by anyone"},
	} {
		usd, tokens := paid, r.Billed.OutputTokens
		if part.outcome != "" {
			usd, tokens = r.of(part.outcome)
		}
		rows = append(rows, table.Row{part.words, dollars(usd), percent(usd, paid), humanize.Comma(tokens)})
	}
	cost := overhead{}
	for _, o := range r.Overhead {
		cost.Tokens += o.Tokens
		cost.USD = cost.USD.Plus(o.USD)
	}
	rows = append(rows,
		table.Row{"Avoided by resumes, not bought twice (estimate)", "+" + dollars(r.Saved.USD), percent(r.Saved.USD, paid), humanize.Comma(r.Saved.OutputTokens)},
		table.Row{"Caused by the gateway (part of what was paid)", dollars(pricing.Sum{}.Minus(cost.USD)), percent(cost.USD, paid), humanize.Comma(cost.Tokens)},
		table.Row{"Net: avoided less caused", signed(r.Net), percent(r.Net, paid), humanize.Comma(r.Saved.OutputTokens - cost.Tokens)},
	)
	p.table(1, table.Row{"", "US dollars", "of paid", "output tokens"}, rows)
	fmt.Fprintf(p, `Dollars include the input, tokens don't; parts are rounded each by itself.
Avoided: without the gateway, whoever came back would have asked again from the start, for what
it had been given live, with its input from the provider's cache. With fresh input: %s.
`, dollars(r.Saved.Upper))
	for _, o := range []struct{ kind, words string }{
		{"crash", "answers that died with the gateway, input included"},
		{"unclaimed", "text that it let be written on for agents that never came back"}, {"retry", "asked again by the gateway itself"},
	} {
		if had := r.Overhead[o.kind]; had != (overhead{}) {
			fmt.Fprintf(p, "Caused by the gateway: %s for %s.\n", dollars(had.USD), o.words)
		}
	}
	if r.Missed.Calls > 0 {
		fmt.Fprintf(p, "Missed: %s bought an answer again that could have been continued, had it sent a key; the\nfirst had cost about %s, which is in the waste above.\n",
			plural(r.Missed.Calls, "agent", "agents"), dollars(r.Missed.USD))
	}
}

// of is the money, input included, and the output tokens of an outcome.
func (r *Report) of(outcome string) (usd pricing.Sum, tokens int64) {
	for _, a := range r.accounts {
		if a.Outcome == outcome {
			usd = usd.Plus(a.USD)
			if a.Direction == "output" {
				tokens += a.Tokens
			}
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
		m, delivered := r.ByModel[id], r.delivered(id)
		rates = append(rates, outputRate(id))
		name, mark := id, ""
		if isPlaceholder(id) {
			mark, placeholder = " *", true
		}
		each := "-"
		if delivered > 0 {
			each = fmt.Sprintf("$%.4f", m.USD.Dollars()/float64(delivered)*1000)
		}
		rows = append(rows, table.Row{name, "$" + outputRate(id).String() + mark, humanize.Comma(m.OutputTokens), humanize.Comma(delivered), dollars(m.USD), each, dollars(m.SavedUSD)})
	}
	p.table(1, table.Row{"", "output per 1M", "billed", "used", "paid", "paid per 1K used", "avoided"}, rows)
	if len(rates) == 2 && rates[1] > 0 {
		fmt.Fprintf(p, "The output of a lost answer costs %.0f times as much on %s as on %s:\n1,500 tokens are %s or %s.\n",
			float64(rates[0])/float64(rates[1]), rows[0][0], rows[1][0], answerOf(rates[0]), answerOf(rates[1]))
	}
	if placeholder {
		fmt.Fprintln(p, "* a placeholder, not a published price.")
	}
	fmt.Fprintln(p, "Per 1K used: all that was paid, input and waste included, per 1,000 tokens that were used.")
}

// dearest are the models, that with the highest price of output first.
func (r *Report) dearest() (ids []string) {
	for id := range r.ByModel {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(outputRate(b), outputRate(a)), cmp.Compare(a, b))
	})
	return ids
}

func (r *Report) delivered(model string) (tokens int64) {
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

func outputRate(model string) pricing.Rate {
	rate, _ := ratesOf(model).Of(token.Output)
	return rate
}

func isPlaceholder(model string) bool { return ratesOf(model).Status == pricing.Placeholder }

// answerOf is what an answer of 1,500 tokens costs.
func answerOf(rate pricing.Rate) string {
	amount, _ := rate.Times(1500) // of a price list: no overflow
	return dollars(pricing.Sum{}.Add(amount))
}

// becauses are outcomes and causes in words, in the order in which they are shown.
var becauses = []struct{ outcome, cause, words string }{
	{"delivered", "live", "used: read as it came"},
	{"delivered", "resumed", "used: read after coming back"},
	{"delivered", "cancelled", "used: read before the agent cancelled"},
	{"wasted", "abandoned", "unusable: the agent did not come back to it"},
	{"wasted", "upstream", "unusable: the provider failed"},
	{"wasted", "crash", "unusable: the gateway was killed"},
	{"wasted", "superseded", "unusable: asked again instead of continued"},
	{"wasted", "cancelled", "unusable: cancelled"},
	{"wasted", "damaged", "unusable: damaged on disk"},
	{"lost", "abandoned", "never received: the agent did not come back for it"},
	{"lost", "upstream", "never received: the provider failed"},
	{"lost", "crash", "never received: the gateway was killed"},
	{"lost", "superseded", "never received: asked again instead of continued"},
	{"lost", "cancelled", "never received: cancelled"},
	{"lost", "tail", "never received: written before the provider stopped"},
	{"lost", "damaged", "never received: damaged on disk"},
}

func (p *page) causes(r *Report) {
	p.heading("What became of it, and why")
	var rows []table.Row
	for _, b := range becauses {
		var usd pricing.Sum
		var tokens int64
		for _, a := range r.accounts {
			if a.Outcome != b.outcome || a.Cause != b.cause {
				continue
			}
			usd = usd.Plus(a.USD)
			if a.Direction == "output" {
				tokens += a.Tokens
			}
		}
		if usd.Sign() > 0 || tokens > 0 {
			rows = append(rows, table.Row{b.words, dollars(usd), percent(usd, r.Billed.USD), humanize.Comma(tokens)})
		}
	}
	p.table(1, table.Row{"", "US dollars", "of paid", "output tokens"}, rows)
	fmt.Fprintln(p, "The input of a request stands where most of its output does.")
}

// bills puts the provider's bill beside the books.
func (p *page) bills(r *Report) {
	p.heading("The provider's bill, which the gateway did not write, beside the books")
	row := func(name string, requests int, b billed) table.Row {
		return table.Row{name, requests, humanize.Comma(b.InputTokens), humanize.Comma(b.OutputTokens), exactly(b.USD)}
	}
	p.table(1, table.Row{"", "requests", "input tokens", "output tokens", "US dollars"}, []table.Row{
		row("the provider's bill", r.ProviderBill.Requests, r.ProviderBill.billed),
		row("the books by themselves", r.before.attempts(), r.before.Billed),
		row("the books after the bill was compared", r.attempts, r.Billed),
	})
}

func (p *page) conclusion(r *Report) {
	c := r.Reconciliation
	wrong := r.wrong()
	if len(wrong) == 0 {
		fmt.Fprintf(p, `%s reported by the provider itself, and agreed unaided. %s broken off before
that, and had been estimated from the text: %s over and under, all within the bounds
that were stated, and corrected.
`, plural(int64(c.Reported), "request was", "requests were"), plural(int64(c.Estimated), "was", "were"), plural(c.Difference, "token", "tokens"))
		p.heading("The books balance and agree with the provider's bill, request by request, to the token.")
		return
	}
	p.heading("The books and the provider's bill do NOT agree:")
	for _, w := range wrong {
		fmt.Fprintf(p, "  - %s\n", w)
	}
}
