package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/recoup-gateway/recoup/internal/audit/report"
)

func writeMarkdown(w io.Writer, r *report.Report) error {
	var b strings.Builder
	p := newPage(r)
	fmt.Fprintf(&b, "# %s\n", escape(p.title))
	for _, line := range p.subtitle {
		fmt.Fprintf(&b, "\n%s\n", escape(line))
	}
	for _, s := range p.sections {
		fmt.Fprintf(&b, "\n## %s\n", escape(s.title))
		if s.lead != "" {
			fmt.Fprintf(&b, "\n%s\n", escape(s.lead))
		}
		if s.grid != nil {
			b.WriteByte('\n')
			markdownTable(&b, s.grid)
		}
		for _, n := range s.notes {
			fmt.Fprintf(&b, "\n%s\n", escape(n))
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("audit: print: %w", err)
	}
	return nil
}

func markdownTable(b *strings.Builder, g *grid) {
	rows, total := g.texts()
	line := func(texts []string) {
		for _, s := range texts {
			b.WriteString("| " + escape(strings.TrimLeft(s, " ")) + " ")
		}
		b.WriteString("|\n")
	}
	line(g.columns)
	for i := range g.columns {
		if isNumber(g, i) {
			b.WriteString("| ---: ")
		} else {
			b.WriteString("| --- ")
		}
	}
	b.WriteString("|\n")
	for _, texts := range rows {
		line(texts)
	}
	if total != nil {
		line(total)
	}
}

var special = strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", ">", "&gt;", "[", `\[`, "]", `\]`, "#", `\#`)

// escape takes the meaning from what Markdown gives one.
func escape(s string) string { return special.Replace(s) }
