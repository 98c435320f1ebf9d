package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
	"github.com/recoup-gateway/recoup/pricing"
)

// pricesFlags are those of the commands that look at the price book.
type pricesFlags struct {
	loader   *config.Loader
	format   string
	provider string
	status   string
	at       string
	knownAt  string
}

func (p *program) pricesCommand() *cobra.Command {
	f := &pricesFlags{}
	c := &cobra.Command{
		Use:   "prices [MODEL]",
		Short: "The price book that answers are priced by: list, show, compare, check, import",
		Long: `The price book that answers are priced by: that of the program, with the prices that
the configuration lays over it (--prices, RECOUP_PRICES, or prices in --config).

Without a command, it is printed: all of it, or one model with what it is based on.
Rates are in dollars per million tokens. A dash is a rate that the model has not, a
question mark one that it has but the book doesn't know.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return f.show(c, args[0])
			}
			return f.list(c)
		},
	}
	f.loader = p.pricesLoader(c.PersistentFlags())
	f.filters(c)
	list := &cobra.Command{
		Use: "list", Short: "List the book's prices, or those that hold at a time", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.list(c) },
	}
	show := &cobra.Command{
		Use: "show MODEL", Short: "Show a model's prices, and where each rate comes from", Args: cobra.ExactArgs(1),
		Long: `Show what a model costs at a time, with the place that each rate comes from, and then all
its prices with their sources. MODEL may be any id of it that requests may have.`,
		RunE: func(c *cobra.Command, args []string) error { return f.show(c, args[0]) },
	}
	f.filters(list)
	f.filters(show)
	list.Flags().StringVar(&f.status, "status", "", "only prices of this status: list, promo, negotiated, placeholder")
	c.AddCommand(list, show, f.diffCommand(), f.lintCommand(), f.importCommand(), p.repriceCommand(f))
	return c
}

// pricesLoader reads the prices of the configuration: of its flags, fs gets those that
// say what prices there are.
func (p *program) pricesLoader(fs *pflag.FlagSet) *config.Loader {
	all := pflag.NewFlagSet("recoup", pflag.ContinueOnError)
	l := config.NewLoader(all, p.environ)
	fs.AddFlag(all.Lookup("config"))
	fs.AddFlag(all.Lookup("prices"))
	return l
}

func (f *pricesFlags) filters(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", formatTable, "table or json")
	c.Flags().StringVar(&f.provider, "provider", "", "only this provider, as the gateway names it")
	c.Flags().StringVar(&f.at, "at", "", "only prices that hold at this `time`: a day, a month, a time, or now")
	c.Flags().StringVar(&f.knownAt, "known-at", "", "as they were known at this `time`")
}

// moment reads a time of a flag; empty is zero.
func moment(flag, text string) (time.Time, error) {
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		return time.Now().UTC(), nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s: %q: want a day, a month or a time, such as 2026-10-01, 2026-10 or 2026-10-01T16:00:00Z", flag, text)
}

func (f *pricesFlags) moments() (at, known time.Time, err error) {
	at, err = moment("at", f.at)
	known, err2 := moment("known-at", f.knownAt)
	return at, known, errors.Join(err, err2)
}

// rows are the book's that the flags ask for.
func (f *pricesFlags) rows(book *pricing.Book) ([]pricing.Row, error) {
	at, known, err := f.moments()
	if err := errors.Join(err, checkFormat(f.format)); err != nil {
		return nil, err
	}
	rows := book.Rows(f.provider)
	if len(rows) == 0 {
		return nil, fmt.Errorf("prices: no provider %q in the price book; it has %s", f.provider, strings.Join(providersOf(book.Rows("")), ", "))
	}
	if !known.IsZero() {
		rows = slices.DeleteFunc(rows, func(r pricing.Row) bool { return r.KnownFrom.After(known) })
	}
	if !at.IsZero() {
		rows = slices.DeleteFunc(rows, func(r pricing.Row) bool {
			holds, ok := book.At(r.Provider, r.Model, at, known)
			return !ok || !holds.Is(&r)
		})
	}
	if f.status != "" {
		rows = slices.DeleteFunc(rows, func(r pricing.Row) bool { return string(r.Status) != f.status })
	}
	return rows, nil
}

func (f *pricesFlags) list(c *cobra.Command) error {
	book, err := f.loader.LoadPrices()
	if err != nil {
		return err
	}
	rows, err := f.rows(book)
	if err != nil {
		return err
	}
	if f.format == formatJSON {
		return writePricesJSON(c.OutOrStdout(), book.Version(), rows)
	}
	return writePrices(c.OutOrStdout(), book.Version(), rows, false)
}

// providersOf are the providers of rows, in their order.
func providersOf(rows []pricing.Row) []string {
	var names []string
	for _, r := range rows {
		if !slices.Contains(names, r.Provider) {
			names = append(names, r.Provider)
		}
	}
	return names
}

// rowsOf are those of rows that are of a model.
func rowsOf(book *pricing.Book, rows []pricing.Row, model string) ([]pricing.Row, error) {
	found := slices.DeleteFunc(slices.Clone(rows), func(r pricing.Row) bool {
		id, ok := book.Resolve(r.Provider, model)
		return !ok || id != r.Model
	})
	if len(found) > 0 {
		return found, nil
	}
	message := fmt.Sprintf("prices: no model %q in the price book", model)
	if near := nearest(model, rows); len(near) > 0 {
		message += "; near it are " + strings.Join(near, ", ")
	}
	return nil, fmt.Errorf("%s; recoup prices lists all", message)
}

// nearest are up to five models whose ids are like model, the nearest first.
func nearest(model string, rows []pricing.Row) []string {
	away := map[string]int{}
	var ids []string
	for _, r := range rows {
		if _, seen := away[r.Model]; seen {
			continue
		}
		away[r.Model] = distance(strings.ToLower(model), r.Model)
		if 3*away[r.Model] <= max(len(model), len(r.Model)) {
			ids = append(ids, r.Model)
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return cmp.Compare(away[a], away[b]) })
	return ids[:min(5, len(ids))]
}

// distance is the number of bytes to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
