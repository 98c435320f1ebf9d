package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/audit/vendor"
)

// reconcileFlags are those of reconcile.
type reconcileFlags struct {
	program      *program
	operator     operator
	loader       *config.Loader
	provider     string
	vendor       string
	baseURL      string
	since, until string
	projects     []string
	apiKeys      []string
	dataDir      string
	post         bool
	format       string
}

// adminKeys are the environment variables with the vendors' admin keys.
var adminKeys = map[string]string{vendor.OpenAI: "OPENAI_ADMIN_KEY", vendor.Anthropic: "ANTHROPIC_ADMIN_KEY"}

func (p *program) reconcileCommand() *cobra.Command {
	f := &reconcileFlags{program: p}
	c := &cobra.Command{
		Use:   "reconcile [FILE…]",
		Short: "Compare the books with what OpenAI or Anthropic report of usage and costs",
		Long: `Compare the books with what OpenAI or Anthropic report of usage and costs, by model, tier
and day (UTC), and split what differs into what it can be: calls that the bill has a day
later, estimates, calls that went around the gateway, cut streams that were billed on,
prices, and what is none of these. With --post the difference is posted: one amount for each
model and day, in place of what stood there. Without, nothing is changed.

Files are pages of the admin APIs (JSON), or exports of the consoles (CSV): of usage, of
costs, or both. Without files the reports are fetched, with the admin key that is in
OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY, from --since up to the last midnight.

It works on the running gateway's books. With --data-dir it reads those in a directory;
to post there, the gateway must be stopped. docs/reconcile.md explains each part.`,
		RunE: func(c *cobra.Command, files []string) error { return f.run(c, files) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.provider, "provider", "", "the provider's `name` in the gateway (default: openai or anthropic, as the files say)")
	fs.StringVar(&f.since, "since", "", "compare from this `day` on (with files default: all that is in them)")
	fs.StringVar(&f.until, "until", "", "and before this `day`")
	fs.StringSliceVar(&f.projects, "project", nil, "only what the report has of this project or workspace; repeatable")
	fs.StringSliceVar(&f.apiKeys, "api-key-id", nil, "only what it has of the API key with this `id`; repeatable")
	fs.BoolVar(&f.post, "post", false, "post the difference")
	fs.StringVar(&f.vendor, "vendor", "", "whose admin API is asked: openai or anthropic (default: as --provider)")
	fs.StringVar(&f.baseURL, "base-url", "", "`URL` of the admin API, in place of the vendor's")
	fs.StringVar(&f.dataDir, "data-dir", "", "`directory` of a gateway's data, in place of a running one")
	f.operator.flags(c)
	f.loader = p.pricesLoader(fs)
	formatFlag(c, &f.format)
	c.MarkFlagsMutuallyExclusive("data-dir", "admin-url")
	return c
}

func (f *reconcileFlags) run(c *cobra.Command, files []string) error {
	selection, err := f.selection()
	if err := errors.Join(err, checkFormat(f.format)); err != nil {
		return err
	}
	reading := vendor.NewReading(selection)
	if len(files) == 0 {
		err = f.fetch(c.Context(), reading)
	} else {
		err = readFiles(reading, files)
	}
	if err != nil {
		return err
	}
	statement, err := reading.Statement(f.provider)
	if err != nil {
		return err
	}
	if f.vendor != "" && f.vendor != statement.Vendor {
		return fmt.Errorf("the reports are of %s, and --vendor is %s", statement.Vendor, f.vendor)
	}
	var result bucket.Result
	if f.dataDir != "" {
		result, err = f.offline(c.Context(), statement)
	} else {
		result, err = f.online(c.Context(), statement)
	}
	if err != nil {
		return err
	}
	if f.format == formatJSON {
		return writeJSON(c.OutOrStdout(), result)
	}
	return writeReconciled(c.OutOrStdout(), &result, f.post)
}

func (f *reconcileFlags) selection() (s vendor.Selection, err error) {
	since, err := moment("since", f.since)
	until, err2 := moment("until", f.until)
	if err := errors.Join(err, err2); err != nil {
		return s, err
	}
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		return s, errors.New("--until is not after --since")
	}
	return vendor.Selection{Since: since, Until: until, Projects: f.projects, APIKeys: f.apiKeys}, nil
}

func readFiles(reading *vendor.Reading, files []string) error {
	for _, name := range files {
		in, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(reading.File(name, in), in.Close()); err != nil {
			return err
		}
	}
	return nil
}

// fetch asks the vendor's admin API.
func (f *reconcileFlags) fetch(ctx context.Context, r *vendor.Reading) error {
	if r.Until.IsZero() {
		r.Until = f.program.clock().UTC().Truncate(24 * time.Hour)
	}
	from := cmp.Or(f.vendor, f.provider)
	variable, known := adminKeys[from]
	switch {
	case from == "":
		return errors.New("want files, or --provider openai or anthropic to fetch the reports from there")
	case !known:
		return fmt.Errorf("of %q no admin API is known: want --vendor openai or --vendor anthropic, or files", from)
	case r.Since.IsZero():
		return errors.New("--since: want the day from which on to compare, such as 2026-11-01")
	case !r.Since.Before(r.Until):
		return fmt.Errorf("--since: there is no whole day (UTC) from then until %s", r.Until.Format(time.DateOnly))
	case !r.Since.Equal(r.Since.Truncate(24*time.Hour)) || !r.Until.Equal(r.Until.Truncate(24*time.Hour)):
		return errors.New("--since, --until: want days: the reports are fetched by days (UTC)")
	}
	key := f.program.getenv(variable)
	if key == "" {
		return fmt.Errorf("%s is not set: it wants the admin key, which is another than the one for calls; the owner of the organization makes it", variable)
	}
	if err := checkBaseURL(f.baseURL); err != nil {
		return err
	}
	client := &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ResponseHeaderTimeout: headTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key goes nowhere else
	}
	return r.Fetch(ctx, vendor.Source{Vendor: from, BaseURL: f.baseURL, Key: key, Client: client})
}

// checkBaseURL sees to it that the key isn't sent over a network in the clear.
func checkBaseURL(base string) error {
	if base == "" {
		return nil
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("--base-url: %q: want https://host", base)
	}
	if u.Scheme == "http" && !config.Loopback(u.Hostname()) {
		return fmt.Errorf("--base-url: %q: the admin key is sent there: want https", base)
	}
	return nil
}

func (f *reconcileFlags) online(ctx context.Context, s *vendor.Statement) (result bucket.Result, err error) {
	r, err := f.program.operatorRemote(f.operator)
	if err != nil {
		return result, err
	}
	_, err = r.ask(ctx, http.MethodPost, "/api/v1/reconcile/statement", bucket.Request{Statement: *s, Post: f.post}, &result)
	return result, err
}

func (f *reconcileFlags) offline(ctx context.Context, s *vendor.Statement) (result bucket.Result, err error) {
	prices, err := f.loader.LoadPrices()
	if err != nil {
		return result, err
	}
	books, err := f.program.openBooks(ctx, f.dataDir, f.post)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	got, err := bucket.Compare(ctx, bucket.Sources{Books: books, Prices: prices, Now: f.program.clock()}, s, f.post)
	if err != nil {
		return result, err
	}
	return *got, nil
}
