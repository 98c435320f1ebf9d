package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func (f *pricesFlags) show(c *cobra.Command, model string) error {
	book, err := f.loader.LoadPrices()
	if err != nil {
		return err
	}
	at, known, err := f.moments()
	if err != nil {
		return err
	}
	wanted := *f
	if f.format != formatJSON {
		wanted.at = "" // the table has what holds, and then all there is
	}
	rows, err := wanted.rows(book)
	if err != nil {
		return err
	}
	if rows, err = rowsOf(book, rows, model); err != nil {
		return err
	}
	if f.format == formatJSON {
		return writePricesJSON(c.OutOrStdout(), book.Version(), rows)
	}
	if at.IsZero() {
		at = time.Now().UTC()
	}
	for _, provider := range providersOf(rows) {
		if err := writeOrigins(c.OutOrStdout(), book, pricing.Query{Provider: provider, Model: model, At: at, KnownAt: known}); err != nil {
			return err
		}
	}
	return writePrices(c.OutOrStdout(), book.Version(), rows, true)
}

// writeOrigins says which rates a model has at a time, and where each is from.
func writeOrigins(w io.Writer, book *pricing.Book, q pricing.Query) error {
	row, ok := book.At(q.Provider, q.Model, q.At, q.KnownAt)
	if !ok {
		_, err := fmt.Fprintf(w, "%s of %s has no price at %s\n\n", q.Model, q.Provider, q.At.Format(time.RFC3339))
		return err
	}
	t := newTable("tier", "kind", "rate", "from")
	rightAligned(t, 3, 3)
	from := row.Origin.String()
	if row.Discount != "" {
		from += ", " + row.Source
	}
	for _, tier := range tiersOf(row) {
		for _, kind := range kindsOf(tier.Rates) {
			rate, origin := tier.Rates[kind], from
			if rate.String() == "" {
				origin = row.Origin.String() + " doesn't state it: unpriced"
			}
			t.AppendRow(table.Row{tierName(tier), kind, cmp.Or(rateText(kind, rate), "?"), origin})
		}
	}
	_, err := fmt.Fprintf(w, "%s of %s at %s, %s\n%s\n\n", row.Model, q.Provider, q.At.Format(time.RFC3339), row.Status, t.Render())
	return err
}

// kindsOf are the kinds of rates: input first, tools last.
func kindsOf(rates map[token.Kind]pricing.Rate) []token.Kind {
	place := func(k token.Kind) int {
		i := slices.Index(pricing.Kinds(), k)
		if i < 0 {
			return len(pricing.Kinds())
		}
		return i
	}
	var kinds []token.Kind
	for kind := range rates {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b token.Kind) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(string(a), string(b)))
	})
	return kinds
}

// rateText is a rate, in dollars per million tokens, or per use of a tool.
func rateText(kind token.Kind, rate pricing.Rate) string {
	if text := rate.String(); text == "" || !kind.IsTool() {
		return text
	}
	return pricing.Picodollars(rate).String() + " a use"
}
