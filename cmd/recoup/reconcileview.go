package main

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/pricing"
)

// signed is a figure of a difference.
func signed(n int64) string {
	if n > 0 {
		return "+" + humanize.Comma(n)
	}
	return humanize.Comma(n)
}

func signedDollars(s pricing.Sum) string {
	if s.Sign() > 0 {
		return "+" + s.String()
	}
	return s.String()
}

func writeReconciled(w io.Writer, r *bucket.Result, post bool) error {
	fmt.Fprintf(w, "%s, %s to %s (UTC), %s in the books\n\n", r.Provider, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339), count(r.Attempts, "attempt"))
	t := newTable("", "requests", "input", "output", "$")
	rightAligned(t, 2, 5)
	for _, s := range []struct {
		name string
		side bucket.Side
	}{{"the bill", r.Billed}, {"the books", r.Booked}} {
		t.AppendRow(table.Row{s.name, humanize.Comma(s.side.Requests), humanize.Comma(s.side.Tokens.AllInput()), humanize.Comma(s.side.Tokens.Output), s.side.USD})
	}
	for _, p := range r.Parts {
		t.AppendRow(table.Row{"of the difference: " + p.Name, signed(p.Requests), signed(p.Tokens.AllInput()), signed(p.Tokens.Output), signedDollars(p.USD)})
	}
	fmt.Fprintln(w, t.Render())
	if len(r.Cells) > 0 {
		t := newTable("day", "model", "tier", "part", "requests", "input", "output", "$", "why")
		rightAligned(t, 5, 8)
		for _, c := range r.Cells {
			for _, p := range c.Parts {
				t.AppendRow(table.Row{c.Day, printable(c.Model, 40), printable(c.Tier, 12), p.Name, signed(p.Requests),
					signed(p.Tokens.AllInput()), signed(p.Tokens.Output), signedDollars(p.USD), p.Text})
			}
		}
		fmt.Fprintf(w, "\nWhat the bill has more (+) or less (-):\n%s\n", t.Render())
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", printable(note, 500))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", verdict(r, post))
	return err
}

func modelDays(n int) string {
	if n == 1 {
		return "1 model and day"
	}
	return fmt.Sprintf("%d models and days", n)
}

func verdict(r *bucket.Result, post bool) string {
	state := fmt.Sprintf("The books and the bill agree, on %s.", modelDays(r.Agreed))
	if r.Agreed == 0 {
		state = "The books and the bill agree: neither has anything."
	}
	if r.State != bucket.Reconciled {
		state = fmt.Sprintf("Of %s %d differ, by $%s.", modelDays(len(r.Cells)+r.Agreed), len(r.Cells), r.Adjustment)
	}
	switch {
	case r.State == bucket.Reconciled && r.Agreed+r.Posted+r.Recorded == 0 && r.Standing.Sign() == 0:
		return state
	case post && r.Posted+r.Recorded == 0:
		return state + " Nothing was posted: the books have it already."
	case post && r.Posted == 0:
		return fmt.Sprintf("%s That is in the books now, of %s.", state, modelDays(r.Recorded))
	case post:
		return fmt.Sprintf("%s Posted: %s.", state, count(int64(r.Posted), "adjustment"))
	case r.State == bucket.Reconciled && r.Standing.Sign() == 0:
		return state + " To have that in the books, for audits: --post."
	case r.Standing == r.Adjustment && r.Standing.Sign() != 0: // nothing may also be what was never compared
		return state + " The books have that as unexplained already."
	}
	return fmt.Sprintf("%s Nothing was posted: --post does. The books have $%s as unexplained.", state, r.Standing)
}
