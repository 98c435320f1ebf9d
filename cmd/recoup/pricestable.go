package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

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
		KnownFrom      time.Time      `json:"known_from,omitzero"`
		Hours          string         `json:"time_of_day,omitzero"`
		Source         string         `json:"source"`
		Origin         string         `json:"from"`
		Discount       string         `json:"discount,omitzero"`
		Notes          string         `json:"notes,omitzero"`
	}
	out := struct {
		Version string `json:"version"`
		Rows    []row  `json:"rows"`
	}{Version: version, Rows: []row{}}
	for _, r := range rows {
		out.Rows = append(out.Rows, row{
			r.Provider, r.Model, r.Aliases, r.Status, append([]pricesTier{}, tiersOf(r)...), r.RegionalUplift,
			r.From, r.To, r.KnownFrom, r.Hours, r.Source, r.Origin.String(), r.Discount, r.Notes,
		})
	}
	return writeJSON(w, out)
}

type pricesKind struct {
	kind   token.Kind
	header string
}

// pricesKinds are the columns of rates.
var pricesKinds = []pricesKind{
	{token.Input, "input"}, {token.CacheRead, "cached"}, {token.CacheWrite5m, "write 5m"},
	{token.CacheWrite1h, "write 1h"}, {token.Output, "output"},
}

func writePrices(w io.Writer, version string, rows []pricing.Row, details bool) error {
	t := newTable()
	header := table.Row{"provider", "model", "tier"}
	for _, k := range pricesKinds {
		header = append(header, k.header)
	}
	t.AppendHeader(append(header, "from", "to", "when", "known", "status"))
	rightAligned(t, 4, 3+len(pricesKinds))
	var notes strings.Builder
	footnotes := 0
	for _, r := range rows {
		status := string(r.Status)
		if r.Status != pricing.List {
			footnotes++
			status = fmt.Sprintf("%s [%d]", r.Status, footnotes)
			fmt.Fprintf(&notes, "[%d] %s, %s: %s\n", footnotes, r.Model, r.Status, cmp.Or(r.Notes, r.Source, "from "+r.Origin.String()))
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
		line := table.Row{r.Provider, r.Model, tierName(t)}
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

func tierName(t pricesTier) string {
	if t.Above > 0 {
		return "input > " + humanize.Comma(t.Above)
	}
	return string(t.Tier)
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
		fmt.Fprintf(b, "%s\n  from: %s\n", what, r.Origin)
		if source := strings.Join(slices.DeleteFunc([]string{r.Source, r.SourceDate}, func(s string) bool { return s == "" }), ", "); source != "" {
			fmt.Fprintf(b, "  source: %s\n", source)
		}
		for _, kind := range kindsOf(r.Standard.PerToken) {
			if rate := r.Standard.PerToken[kind]; !slices.ContainsFunc(pricesKinds, func(k pricesKind) bool { return k.kind == kind }) {
				fmt.Fprintf(b, "  %s: %s\n", kind, cmp.Or(rateText(kind, rate), "not known"))
			}
		}
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
