package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func newPricesCommand() *cobra.Command {
	var format, provider string
	c := &cobra.Command{
		Use:   "prices [MODEL]",
		Short: "Print the price book that answers are priced by",
		Long: `Print the price book that answers are priced by: all of it, or one model with
what it is based on. MODEL may be any id of it that requests may have.

Rates are in dollars per million tokens. A dash is a rate that the model has not, a
question mark one that it has but the book doesn't know.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("--format: %q is none of table, json", format)
			}
			book := pricing.Embedded()
			rows := book.Rows(provider)
			if len(rows) == 0 {
				return fmt.Errorf("prices: no provider %q in the price book; it has %s", provider, strings.Join(providersOf(book.Rows("")), ", "))
			}
			if len(args) == 1 {
				var err error
				if rows, err = rowsOf(book, rows, args[0]); err != nil {
					return err
				}
			}
			if format == "json" {
				return writePricesJSON(c.OutOrStdout(), book.Version(), rows)
			}
			return writePrices(c.OutOrStdout(), book.Version(), rows, len(args) == 1)
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table or json")
	c.Flags().StringVar(&provider, "provider", "", "only this provider, as the book names it")
	return c
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

// pricesTier is a tier of a row, as it is printed.
type pricesTier struct {
	Tier  pricing.Tier                `json:"tier"`
	Above int64                       `json:"above_input_tokens,omitzero"`
	Rates map[token.Kind]pricing.Rate `json:"usd_per_million"`
}

func tiersOf(r pricing.Row) []pricesTier {
	var tiers []pricesTier
	for _, rates := range []pricing.Rates{r.Standard, r.Long, r.Batch, r.Flex, r.Priority} {
		if !rates.Known() {
			continue
		}
		t := pricesTier{Tier: rates.Tier, Rates: rates.PerToken}
		if rates.Tier == pricing.Long {
			t.Above = r.LongAbove
		}
		tiers = append(tiers, t)
	}
	return tiers
}

func writePricesJSON(w io.Writer, version string, rows []pricing.Row) error {
	type row struct {
		Provider       string         `json:"provider"`
		Model          string         `json:"model"`
		Aliases        []string       `json:"aliases,omitempty"`
		Status         pricing.Status `json:"status"`
		Tiers          []pricesTier   `json:"tiers"`
		RegionalUplift string         `json:"regional_uplift,omitzero"`
		ValidFrom      time.Time      `json:"valid_from,omitzero"`
		ValidTo        time.Time      `json:"valid_to,omitzero"`
		KnownFrom      time.Time      `json:"known_from"`
		Hours          string         `json:"time_of_day,omitzero"`
		Source         string         `json:"source"`
		Notes          string         `json:"notes,omitzero"`
	}
	out := struct {
		Version string `json:"version"`
		Rows    []row  `json:"rows"`
	}{Version: version}
	for _, r := range rows {
		out.Rows = append(out.Rows, row{
			r.Provider, r.Model, r.Aliases, r.Status, append([]pricesTier{}, tiersOf(r)...), r.RegionalUplift,
			r.From, r.To, r.KnownFrom, r.Hours, r.Source, r.Notes,
		})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// pricesKinds are the columns of rates.
var pricesKinds = []struct {
	kind   token.Kind
	header string
}{
	{token.Input, "input"}, {token.CacheRead, "cached"}, {token.CacheWrite5m, "write 5m"},
	{token.CacheWrite1h, "write 1h"}, {token.Output, "output"},
}

func writePrices(w io.Writer, version string, rows []pricing.Row, details bool) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	header := table.Row{"provider", "model", "tier"}
	for _, k := range pricesKinds {
		header = append(header, k.header)
	}
	t.AppendHeader(append(header, "from", "to", "when", "known", "status"))
	var columns []table.ColumnConfig
	for i := range pricesKinds {
		columns = append(columns, table.ColumnConfig{Number: 4 + i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	var notes strings.Builder
	footnotes := 0
	for _, r := range rows {
		status := string(r.Status)
		if r.Status != pricing.List {
			footnotes++
			status = fmt.Sprintf("%s [%d]", r.Status, footnotes)
			fmt.Fprintf(&notes, "[%d] %s, %s: %s\n", footnotes, r.Model, r.Status, r.Notes)
		}
		t.AppendRows(tableRows(r, status))
	}
	if details {
		writePricesDetails(&notes, rows)
	}
	_, err := fmt.Fprintf(w, "price book %s, dollars per million tokens\n%s\n%s", version, t.Render(), &notes)
	return err
}

// tableRows are the lines of a row: one for each tier.
func tableRows(r pricing.Row, status string) []table.Row {
	tiers := tiersOf(r)
	if len(tiers) == 0 {
		tiers = []pricesTier{{Tier: "unpriced"}}
	}
	var lines []table.Row
	for _, t := range tiers {
		name := string(t.Tier)
		if t.Above > 0 {
			name = "input > " + humanize.Comma(t.Above)
		}
		line := table.Row{r.Provider, r.Model, name}
		for _, k := range pricesKinds {
			cell := "-"
			if rate, ok := t.Rates[k.kind]; ok {
				cell = cmp.Or(rate.String(), "?")
			}
			line = append(line, cell)
		}
		// The details have times and hours in full; here they would make the
		// table wider than screens.
		when, _, _ := strings.Cut(r.Hours, " ")
		from, to := formatted(r.From, time.DateOnly), formatted(r.To, time.DateOnly)
		lines = append(lines, append(line, from, to, when, r.SourceDate, status))
	}
	return lines
}

// formatted is t, or nothing for an open end.
func formatted(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(layout)
}

// writePricesDetails says what the rows of a model are based on.
func writePricesDetails(b *strings.Builder, rows []pricing.Row) {
	for _, r := range rows {
		what := r.Model
		for _, part := range []struct{ name, value string }{{"from", formatted(r.From, time.RFC3339)}, {"to", formatted(r.To, time.RFC3339)}, {"when", r.Hours}} {
			if part.value != "" {
				what += " " + part.name + " " + part.value
			}
		}
		fmt.Fprintf(b, "%s\n  source: %s, %s\n", what, r.Source, r.SourceDate)
		if len(r.Aliases) > 0 {
			fmt.Fprintf(b, "  also called: %s\n", strings.Join(r.Aliases, ", "))
		}
		if r.RegionalUplift != "" {
			fmt.Fprintf(b, "  with data residency: %s times as much\n", r.RegionalUplift)
		}
		if r.Notes != "" && r.Status == pricing.List {
			fmt.Fprintf(b, "  note: %s\n", r.Notes)
		}
	}
}
