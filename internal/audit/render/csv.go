package render

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

// csvFigures are the columns of every group, and what stands there.
var csvFigures = []struct {
	name string
	of   func(*report.Figures) string
}{
	{"attempts", func(f *report.Figures) string { return number(f.Attempts) }},
	{"pending_attempts", func(f *report.Figures) string { return number(f.Pending) }},
	{"broken_attempts", func(f *report.Figures) string { return number(f.Broken) }},
	{"resumed_attempts", func(f *report.Figures) string { return number(f.Resumed) }},
	{"unpriced_attempts", func(f *report.Figures) string { return number(f.Unpriced) }},
	{"cost_usd", func(f *report.Figures) string { return f.Cost.Point.String() }},
	{"cost_usd_low", func(f *report.Figures) string { return f.Cost.Low.String() }},
	{"cost_usd_high", func(f *report.Figures) string { return f.Cost.High.String() }},
	{"paid_usd", func(f *report.Figures) string { return f.Paid.Point.String() }},
	{"paid_usd_low", func(f *report.Figures) string { return f.Paid.Low.String() }},
	{"paid_usd_high", func(f *report.Figures) string { return f.Paid.High.String() }},
	{"delivered_tokens", func(f *report.Figures) string { return number(f.Delivered.OutputTokens) }},
	{"delivered_usd", func(f *report.Figures) string { return f.Delivered.OutputUSD.String() }},
	{"unusable_tokens", func(f *report.Figures) string { return number(f.Unusable.OutputTokens) }},
	{"unusable_usd", func(f *report.Figures) string { return f.Unusable.OutputUSD.String() }},
	{"unusable_input_usd", func(f *report.Figures) string { return f.Unusable.InputUSD.String() }},
	{"never_received_tokens", func(f *report.Figures) string { return number(f.NeverReceived.OutputTokens) }},
	{"never_received_usd", func(f *report.Figures) string { return f.NeverReceived.OutputUSD.String() }},
	{"never_received_input_usd", func(f *report.Figures) string { return f.NeverReceived.InputUSD.String() }},
	{"pending_tokens", func(f *report.Figures) string { return number(f.Open.OutputTokens) }},
	{"pending_usd", func(f *report.Figures) string { return f.Open.OutputUSD.String() }},
	{"input_tokens", func(f *report.Figures) string { return number(f.Input.Tokens) }},
	{"input_usd", func(f *report.Figures) string { return f.Input.USD.String() }},
	{"avoided_output_tokens", func(f *report.Figures) string { return number(f.Avoided.OutputTokens) }},
	{"avoided_usd", func(f *report.Figures) string { return f.Avoided.USD.String() }},
	{"avoided_usd_upper", func(f *report.Figures) string { return f.Avoided.Upper.String() }},
	{"caused_by_gateway_tokens", func(f *report.Figures) string { return number(f.Overhead.Tokens) }},
	{"caused_by_gateway_usd", func(f *report.Figures) string { return f.Overhead.USD.String() }},
	{"net_usd", func(f *report.Figures) string { return f.Net.String() }},
	{"reported_usd", func(f *report.Figures) string { return f.Reported.USD.String() }},
	{"estimated_usd", func(f *report.Figures) string { return f.Estimated.USD.String() }},
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// writeCSV writes a row for each group.
func writeCSV(w io.Writer, r *report.Report) error {
	out := csv.NewWriter(w)
	var header []string
	for _, d := range r.By {
		header = append(header, harmless(string(d)))
	}
	for _, f := range csvFigures {
		header = append(header, f.name)
	}
	rows := [][]string{header}
	for i := range r.Groups {
		var row []string
		for _, v := range r.Groups[i].Key {
			if r.Groups[i].Rest {
				v = "all others"
			}
			row = append(row, harmless(v))
		}
		for _, f := range csvFigures {
			row = append(row, f.of(&r.Groups[i].Figures))
		}
		rows = append(rows, row)
	}
	// What is not in the rows is said after them, without a figure to add up.
	note := func(text string) {
		row := make([]string, len(header))
		row[0] = text
		rows = append(rows, row)
	}
	if r.GroupsTotal != nil {
		note(asNow(r))
	}
	if r.Summarised != nil {
		note(missing(r.Summarised))
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("audit: print: %w", err)
	}
	return nil
}

// harmless is a client's text that no spreadsheet takes for a formula, and no terminal
// for a command.
func harmless(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '·'
		}
		return r
	}, s)
	if s != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(s)[0]) {
		return "'" + s
	}
	return s
}
