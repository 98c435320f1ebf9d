package main

import (
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Names of books in prices diff.
const (
	embeddedBook  = "embedded"
	effectiveBook = "effective"
)

func (f *pricesFlags) diffCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff [BOOK [BOOK]]",
		Short: "Compare the prices of two books at a time",
		Long: `Compare the prices of two books at a time: what each rate is in both, and by how much they
differ. A BOOK is embedded (that of the program), effective (with the configured prices
laid over it), or files with prices, comma-separated, that are laid over the embedded one.

Without books embedded is compared with effective, with one embedded with that. The exit
code is 0 whether they differ or not.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return f.diff(c, args) },
	}
	c.Flags().StringVar(&f.format, "format", formatTable, "table or json")
	c.Flags().StringVar(&f.provider, "provider", "", "only this provider, as the gateway names it")
	c.Flags().StringVar(&f.at, "at", "", "prices that hold at this `time` (default now)")
	return c
}

// priceChange is a rate that differs between two books; an empty one is not there.
type priceChange struct {
	Provider string       `json:"provider"`
	Model    string       `json:"model"`
	Tier     pricing.Tier `json:"tier"`
	Kind     token.Kind   `json:"kind"`
	Before   string       `json:"before,omitzero"` // dollars per million tokens, or per use of a tool
	After    string       `json:"after,omitzero"`
	Percent  string       `json:"percent,omitzero"`
	From     string       `json:"from,omitzero"` // of what it is after
}

func (f *pricesFlags) diff(c *cobra.Command, args []string) error {
	at, err := moment("at", f.at)
	if err == nil {
		err = checkFormat(f.format)
	}
	if err != nil {
		return err
	}
	if at.IsZero() {
		at = time.Now().UTC()
	}
	switch len(args) {
	case 0:
		args = []string{embeddedBook, effectiveBook}
	case 1:
		args = []string{embeddedBook, args[0]}
	}
	var books [2]*pricing.Book
	for i, name := range args {
		if books[i], err = f.bookNamed(name); err != nil {
			return err
		}
	}
	changes := changesBetween(books[0], books[1], f.provider, at)
	if f.format == formatJSON {
		return writeJSON(c.OutOrStdout(), map[string]any{"before": books[0].Version(), "after": books[1].Version(), "at": at, "changes": append([]priceChange{}, changes...)})
	}
	return writeChanges(c.OutOrStdout(), books, at, changes)
}

func (f *pricesFlags) bookNamed(name string) (*pricing.Book, error) {
	switch name {
	case embeddedBook:
		return pricing.Embedded(), nil
	case effectiveBook:
		return f.loader.LoadPrices()
	}
	return config.ReadPrices(pricing.Embedded(), strings.Split(name, ",")...)
}

// changesBetween compares what two books say of one time, model by model.
func changesBetween(before, after *pricing.Book, provider string, at time.Time) (changes []priceChange) {
	type name struct{ provider, model string }
	var names []name
	for _, row := range append(before.Rows(provider), after.Rows(provider)...) {
		if n := (name{row.Provider, row.Model}); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, n := range names {
		old, _ := before.At(n.provider, n.model, at, time.Time{})
		now, _ := after.At(n.provider, n.model, at, time.Time{})
		changes = append(changes, changesOf(n.provider, n.model, old, now)...)
	}
	return changes
}

func changesOf(provider, model string, old, now pricing.Row) (changes []priceChange) {
	rates := func(r pricing.Row) map[pricing.Tier]map[token.Kind]pricing.Rate {
		all := map[pricing.Tier]map[token.Kind]pricing.Rate{}
		for _, t := range tiersOf(r) {
			all[t.Tier] = t.Rates
		}
		return all
	}
	a, b := rates(old), rates(now)
	for _, tier := range []pricing.Tier{pricing.Standard, pricing.Long, pricing.Batch, pricing.Flex, pricing.Priority} {
		both := map[token.Kind]pricing.Rate{}
		for _, side := range []map[token.Kind]pricing.Rate{a[tier], b[tier]} {
			for kind := range side {
				both[kind] = 0
			}
		}
		for _, kind := range kindsOf(both) {
			c := priceChange{Provider: provider, Model: model, Tier: tier, Kind: kind}
			before, okBefore := a[tier][kind]
			after, okAfter := b[tier][kind]
			c.Before, c.After = rateText(kind, before), rateText(kind, after)
			if !okBefore {
				c.Before = ""
			}
			if !okAfter {
				c.After = ""
			} else {
				c.From = now.Origin.String()
			}
			if c.Before == c.After {
				continue
			}
			if c.Before != "" && c.After != "" && before > 0 {
				change := big.NewRat(int64(after)-int64(before), int64(before))
				c.Percent = change.Mul(change, big.NewRat(100, 1)).FloatString(1)
			}
			changes = append(changes, c)
		}
	}
	return changes
}

func writeChanges(w io.Writer, books [2]*pricing.Book, at time.Time, changes []priceChange) error {
	title := fmt.Sprintf("price book %s, then %s, at %s, dollars per million tokens\n", books[0].Version(), books[1].Version(), at.Format(time.RFC3339))
	if len(changes) == 0 {
		_, err := fmt.Fprintf(w, "%sno difference\n", title)
		return err
	}
	t := newTable("provider", "model", "tier", "kind", "before", "after", "%", "from")
	rightAligned(t, 5, 7)
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	for _, c := range changes {
		t.AppendRow(table.Row{c.Provider, c.Model, c.Tier, c.Kind, dash(c.Before), dash(c.After), c.Percent, c.From})
	}
	_, err := fmt.Fprintf(w, "%s%s\n", title, t.Render())
	return err
}
