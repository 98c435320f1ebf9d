package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/internal/export"
)

// exportFlags are those of export.
type exportFlags struct {
	operator     operator
	what, format string
	since, until string
	dataDir      string
}

func (p *program) exportCommand() *cobra.Command {
	f := &exportFlags{}
	c := &cobra.Command{
		Use:   "export --format csv|jsonl",
		Short: "Write the books out as a table, with FOCUS's column names where they apply",
		Long: `Write the books out as a table: postings, with a row for each kind of token and outcome of
each attempt; streams, with a row for each; or adjustments, what providers' bills have beyond
the books by day. The columns are FOCUS's where their meaning is the same, else their names
begin with x_; docs/export.md has all of them.

It asks the running gateway. With --data-dir it reads the directory, which may be in use,
read-only, or left by a gateway that was killed; nothing is changed in it. What was written
when the exit code is not 0 is not the whole table.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, p) },
	}
	f.operator.flags(c)
	c.Flags().StringVar(&f.format, "format", "", "csv or jsonl")
	c.Flags().StringVar(&f.what, "what", export.Postings, "postings, streams or adjustments")
	c.Flags().StringVar(&f.since, "since", "", "attempts accepted at this `time` or later: a day, a month or a time")
	c.Flags().StringVar(&f.until, "until", "", "and before this `time`")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "`directory` of a gateway, in place of a running one")
	return c
}

func (f *exportFlags) run(c *cobra.Command, p *program) error {
	since, err := moment("since", f.since)
	until, err2 := moment("until", f.until)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	req := export.Request{What: f.what, Format: f.format, Since: since, Until: until}
	if err := req.Check(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if f.dataDir == "" {
		r, err := p.operatorRemote(f.operator)
		if err != nil {
			return err
		}
		return remoteExport(c, r, req)
	}
	books, err := p.openForReading(c.Context(), f.dataDir)
	if err != nil {
		return err
	}
	missing, err := export.Missing(c.Context(), books, req)
	if err == nil {
		err = export.Write(c.Context(), books, req, c.OutOrStdout())
	}
	notInRows(c, missing)
	return errors.Join(err, books.Close())
}

// notInRows says what the table can't have, where it isn't in the table's way.
func notInRows(c *cobra.Command, missing string) {
	if missing != "" {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "export:", printable(missing, 1000))
	}
}

func remoteExport(c *cobra.Command, r *remote, req export.Request) error {
	q := url.Values{"what": {req.What}, "format": {req.Format}}
	for name, t := range map[string]time.Time{"since": req.Since, "until": req.Until} {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339))
		}
	}
	resp, err := r.do(c.Context(), http.MethodGet, "/api/v1/export?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get(export.SchemaHeader); got != req.Schema() {
		return fmt.Errorf("export: the gateway has the schema %q, and this program knows %q", got, req.Schema())
	}
	if _, err := io.Copy(c.OutOrStdout(), resp.Body); err != nil {
		return fmt.Errorf("export: broken off, what was written is not the whole table: %w", err)
	}
	notInRows(c, resp.Header.Get(export.MissingHeader))
	return nil
}
