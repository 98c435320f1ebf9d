package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

// wrapAt is how wide a column of words gets in a terminal.
const wrapAt = 72

func writeTable(w io.Writer, r *report.Report, o Options) error {
	var b strings.Builder
	p := newPage(r)
	heading := func(s string) {
		if o.Colour {
			s = "\x1b[1m" + s + "\x1b[0m"
		}
		b.WriteString(s + "\n")
	}
	heading(p.title)
	for _, line := range p.subtitle {
		b.WriteString(wrapped(line))
	}
	for _, s := range p.sections {
		b.WriteByte('\n')
		heading(s.title)
		if s.lead != "" {
			b.WriteString(wrapped(s.lead))
		}
		if s.grid != nil {
			b.WriteString(drawn(s.grid) + "\n")
		}
		for _, n := range s.notes {
			b.WriteString(wrapped(n))
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("audit: print: %w", err)
	}
	return nil
}

// wrapped is a text in lines without the blanks that fill them up.
func wrapped(s string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text.WrapSoft(s, 100), "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func drawn(g *grid) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header, t.Style().Format.Footer = text.FormatDefault, text.FormatDefault
	t.AppendHeader(row(g.columns))
	rows, total := g.texts()
	var columns []table.ColumnConfig
	for i := range g.columns {
		c := table.ColumnConfig{Number: i + 1, WidthMax: wrapAt, WidthMaxEnforcer: text.WrapSoft}
		if isNumber(g, i) {
			c.Align, c.AlignHeader, c.AlignFooter = text.AlignRight, text.AlignRight, text.AlignRight
		}
		columns = append(columns, c)
	}
	t.SetColumnConfigs(columns)
	for _, texts := range rows {
		t.AppendRow(row(texts))
	}
	if total != nil {
		t.AppendFooter(row(total))
	}
	return t.Render()
}

// isNumber says if a column has figures.
func isNumber(g *grid, column int) bool {
	for _, r := range g.rows {
		if column < len(r) {
			return r[column].number
		}
	}
	return column >= g.words
}

func row(texts []string) (r table.Row) {
	for _, s := range texts {
		r = append(r, s)
	}
	return r
}
