// Package render shows a report of internal/audit/report: as tables for a terminal,
// as JSON, CSV, Markdown, and as one HTML file that needs neither network nor script.
//
//	render.go    the formats
//	page.go      what the table, Markdown and HTML say, in the order in which they say it
//	sections.go  what comes after the first page
//	summarised.go  what is in no figure any more
//	cell.go      figures as text
//	table.go  markdown.go  csv.go  html.go
//	chart.go     the pictures of the HTML, as geometry
//	page.html    the template of the HTML
//
// Figures are those of the report, exact; nothing is added up here. The same report
// gives the same bytes.
package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

// Formats are the names of the formats.
func Formats() []string { return []string{"table", "json", "csv", "markdown", "html"} }

// Check says what is wrong with the name of a format.
func Check(format string) error {
	if slices.Contains(Formats(), format) {
		return nil
	}
	return fmt.Errorf("format %q: want %s", format, strings.Join(Formats(), ", "))
}

// ContentType is that of a format.
func ContentType(format string) string {
	switch format {
	case "json":
		return "application/json"
	case "csv":
		return "text/csv; charset=utf-8"
	case "markdown":
		return "text/markdown; charset=utf-8"
	case "html":
		return "text/html; charset=utf-8"
	}
	return "text/plain; charset=utf-8"
}

// Options are how a report is shown.
type Options struct {
	Colour bool // headings of a table are bold
}

// Write writes a report.
func Write(w io.Writer, r *report.Report, format string, o Options) error {
	if err := Check(format); err != nil {
		return err
	}
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case "csv":
		return writeCSV(w, r)
	case "markdown":
		return writeMarkdown(w, r)
	case "html":
		return writeHTML(w, r)
	}
	return writeTable(w, r, o)
}
