package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/render"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

type auditFlags struct {
	program  *program
	operator operator
	dataDir  string
	prices   *config.Loader
	format   string
	asked    audit.Asked
}

func (p *program) auditCommand() *cobra.Command {
	f := &auditFlags{program: p}
	c := &cobra.Command{
		Use:   "audit",
		Short: "What was paid in a time, or for an incident, what of it reached nobody, and why",
		Long: `What was paid in a time, or for an incident, what of it reached nobody, and why.

A time selects the calls that were accepted in it, from --since on, before --until:
2026-11-23, 2026-11-23T12:00:00Z, or how long ago, as 90m or 2d. Without, it is all
there is. An incident selects the calls whose answers were broken off in it.

It asks the gateway on this machine, or that of --admin-url. With --data-dir it reads
the books themselves, and writes nothing: also those of a gateway that has died, or
that runs. Then what a cheaper model costs is by the prices of the configuration.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.asked.Since, "since", "", "`time` from which on calls were accepted (default: the first)")
	fs.StringVar(&f.asked.Until, "until", "", "`time` before which they were (default: after the last)")
	fs.StringVar(&f.asked.Incident, "incident", "", "`number` of an incident, in place of a time")
	fs.StringVar(&f.asked.By, "by", "", "`groupings`: model, provider, cause, hour, tag:NAME, or several with commas")
	fs.StringVar(&f.format, "format", "table", strings.Join(render.Formats(), ", "))
	fs.StringVar(&f.dataDir, "data-dir", "", "`directory` of a gateway's data, to read the books there")
	f.prices = f.program.pricesLoader(fs)
	fs.StringVar(&f.operator.url, "admin", "", "`URL`, as --admin-url")
	f.operator.flags(c)
	c.MarkFlagsMutuallyExclusive("data-dir", "admin-url", "admin")
	return c
}

func (f *auditFlags) run(c *cobra.Command) error {
	if err := render.Check(f.format); err != nil {
		return fmt.Errorf("--%w", err)
	}
	// What can't be answered is refused before anybody is asked.
	if _, err := audit.Query(nil, audit.Asked{Since: f.asked.Since, Until: f.asked.Until, By: f.asked.By}, time.Now()); err != nil {
		return err
	}
	if f.asked.Incident != "" && f.asked.Since+f.asked.Until != "" {
		return errors.New("an incident has its own window: want --incident, or --since and --until")
	}
	if f.dataDir != "" {
		return f.offline(c)
	}
	return f.online(c)
}

// online asks a gateway that runs.
func (f *auditFlags) online(c *cobra.Command) error {
	r, err := f.program.operatorRemote(f.operator)
	if err != nil {
		return err
	}
	q := url.Values{"format": {f.format}}
	for name, v := range map[string]string{"since": f.asked.Since, "until": f.asked.Until, "incident": f.asked.Incident, "by": f.asked.By} {
		if v != "" {
			q.Set(name, v)
		}
	}
	bar := newProgressBar(c.ErrOrStderr(), "the gateway audits")
	resp, err := r.do(c.Context(), http.MethodGet, "/api/v1/audit?"+q.Encode(), nil)
	var data []byte
	if err == nil {
		defer resp.Body.Close()
		data, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	}
	bar.end()
	if err != nil {
		return err
	}
	_, err = c.OutOrStdout().Write(data)
	return err
}

// offline reads the books of a data directory.
func (f *auditFlags) offline(c *cobra.Command) (err error) {
	book, err := f.prices.LoadPrices()
	if err != nil {
		return err
	}
	books, err := f.program.openForReading(c.Context(), f.dataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	q, err := audit.Query(books, f.asked, time.Now())
	if err != nil {
		return err
	}
	bar := newProgressBar(c.ErrOrStderr(), "reading the books")
	q.Progress = bar.set
	r, err := makeReport(c.Context(), books, book, q)
	bar.end()
	if err != nil {
		return err
	}
	return render.Write(c.OutOrStdout(), r, f.format, render.Options{Colour: inColour(c.OutOrStdout())})
}

func makeReport(ctx context.Context, books *ledger.Ledger, prices *pricing.Book, q report.Query) (*report.Report, error) {
	return report.Make(ctx, report.Sources{Ledger: books, Prices: prices}, q)
}
