package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/reprice"
)

// repriceFlags are those of prices reprice.
type repriceFlags struct {
	prices       *pricesFlags
	operator     operator
	since, until string
	dataDir      string
	post         bool
	format       string
}

func (p *program) repriceCommand(prices *pricesFlags) *cobra.Command {
	f := &repriceFlags{prices: prices}
	c := &cobra.Command{
		Use:   "reprice --since TIME",
		Short: "Compare what is in the books with what the price book says now, and post the difference",
		Long: `Compare what attempts were posted at with what the price book says of them now, and show the
difference. With --post it is posted as price variance: each attempt that differs gets a
revision, the bill keeps the version of its first price.

It asks the running gateway, with the prices that it has loaded. With --data-dir it works on
the books of a gateway that is stopped, with the prices that are configured here.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, p) },
	}
	f.operator.flags(c)
	c.Flags().StringVar(&f.since, "since", "", "attempts accepted at this `time` or later: a day, a month or a time")
	c.Flags().StringVar(&f.until, "until", "", "and before this `time`")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "`directory` of a stopped gateway, in place of a running one")
	c.Flags().BoolVar(&f.post, "post", false, "post the difference")
	formatFlag(c, &f.format)
	return c
}

func (f *repriceFlags) run(c *cobra.Command, p *program) error {
	since, err := moment("since", f.since)
	until, err2 := moment("until", f.until)
	if err := errors.Join(err, err2, checkFormat(f.format)); err != nil {
		return err
	}
	switch {
	case since.IsZero():
		return errors.New("--since: want the time from which attempts are looked at, such as 2026-11-01")
	case !until.IsZero() && !since.Before(until):
		return errors.New("--until is not after --since")
	}
	req := reprice.Request{Since: since, Until: until, Post: f.post}
	var result reprice.Result
	if f.dataDir != "" {
		result, err = f.offline(c, p, req)
	} else {
		var r *remote
		if r, err = p.operatorRemote(f.operator); err == nil {
			_, err = r.ask(c.Context(), http.MethodPost, "/api/v1/prices/reprice", req, &result)
		}
	}
	if err != nil {
		return err
	}
	if f.format == formatJSON {
		return writeJSON(c.OutOrStdout(), result)
	}
	return writeRepriced(c.OutOrStdout(), result, f.post)
}

func (f *repriceFlags) offline(c *cobra.Command, p *program, req reprice.Request) (result reprice.Result, err error) {
	book, err := f.prices.loader.LoadPrices()
	if err != nil {
		return result, err
	}
	books, err := p.openBooks(c.Context(), f.dataDir, req.Post)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	return reprice.Run(c.Context(), books, book, req)
}

func writeRepriced(w io.Writer, r reprice.Result, post bool) error {
	fmt.Fprintf(w, "%s, by price book %s\n", count(int64(r.Attempts), "attempt"), r.Version)
	if len(r.Changes) > 0 {
		t := newTable("provider", "model", "tier", "attempts", "posted $", "now $", "difference $", "posted by", "now by", "status")
		rightAligned(t, 4, 7)
		for _, c := range r.Changes {
			t.AppendRow(table.Row{c.Provider, c.Model, c.Tier, c.Attempts, c.BeforeUSD, c.AfterUSD, c.Difference, c.Before, c.From, c.Status})
		}
		fmt.Fprintln(w, t.Render())
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "%s had a price, and this book has none for it: that stays as it is\n", count(int64(r.Lost), "attempt"))
	}
	if r.Unpriced > 0 {
		fmt.Fprintf(w, "%s without a price, in this book too\n", count(int64(r.Unpriced), "attempt"))
	}
	end := "nothing was posted; --post does"
	switch {
	case len(r.Changes) == 0:
		end = "no difference"
	case post:
		end = fmt.Sprintf("posted as price variance, in %s", count(int64(r.Posted), "revision"))
	}
	last := fmt.Sprintf("difference $%s: %s\n", r.Difference, end)
	if len(r.Again) > 0 && post {
		last += fmt.Sprintf("bills were compared before that, %s: until they are compared again (recoup reconcile), what is unexplained there is what was beyond the prices before\n", repricedDays(r.Again))
	}
	_, err := io.WriteString(w, last)
	return err
}

// repricedDays says which days of which providers.
func repricedDays(days []reprice.Day) string {
	var parts []string
	for i := 0; i < len(days); {
		first := i
		for i < len(days) && days[i].Provider == days[first].Provider {
			i++
		}
		part := days[first].Provider + " " + days[first].Day
		if n := i - first; n > 1 {
			part = fmt.Sprintf("%s to %s (%d days)", part, days[i-1].Day, n)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
