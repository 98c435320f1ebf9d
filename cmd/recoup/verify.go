package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/cmd/recoup/internal/config"
	"github.com/recoup-gateway/recoup/internal/audit/proof"
	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/token"
)

// Exit codes of verify: 0, proved.
const (
	exitDamaged = 1
	exitUnread  = 2 // which is that of a wrong call too: nothing is known either way
)

// verifyFlags are those of verify.
type verifyFlags struct {
	dir, keyFile, scratch, format string
	prices                        *config.Loader
}

func (p *program) verifyCommand() *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify",
		Short: "Read back all that is in a data directory, and prove it",
		Long: `Read back all that is in a data directory and prove it: checksums of files,
streams without gaps, the chain of the books up to its anchor, delivered + wasted +
lost = billed, money as rate × tokens, and what providers reported, read a second
time from the answers that are still retained. Rates are looked up in the price book that
the configuration makes (--prices, RECOUP_PRICES, or prices in --config).

Nothing in the directory is changed. It may be in use, read-only, or left by a
process that was killed: what is opened is a copy, in --scratch, of the books or of
one stretch of the stream log at a time.

It exits with 0 if all is proved, with 1 if something is damaged, which it names by
stream or file and byte, and with 2 if it could not be read or was called wrongly.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, p) },
	}
	dataDirFlag(c, &f.dir)
	f.prices = p.pricesLoader(c.Flags())
	c.Flags().StringVar(&f.keyFile, "encryption-key-file", "", "`file` with the key of the stream log (default: "+config.Env("encryption_key_file")+")")
	c.Flags().StringVar(&f.scratch, "scratch", "", "`directory` for copies (default: that for temporary files)")
	c.Flags().StringVar(&f.format, "format", formatTable, "table or json")
	return c
}

func (f *verifyFlags) run(c *cobra.Command, p *program) error {
	if err := checkFormat(f.format); err != nil {
		return &exitCode{exitUnread, err}
	}
	ctx, cancel := untilSignal(c.Context())
	defer cancel()
	o := proof.VerifyOptions{Dir: p.dataDir(f.dir), Scratch: f.scratch}
	var err error
	if o.Book, err = f.prices.LoadPrices(); err != nil {
		return &exitCode{exitUnread, err}
	}
	if path := firstText(f.keyFile, p.getenv(config.Env("encryption_key_file"))); path != "" {
		if o.EncryptionKey, err = config.ReadKey(path); err != nil {
			return &exitCode{exitUnread, err}
		}
	}
	o.Files = func() []proof.Damage { return checkFiles(o.Dir) }
	if err := hasData(o.Dir); err != nil {
		return &exitCode{exitUnread, err}
	}
	show := newProgress(c.ErrOrStderr())
	o.Progress = show.step
	result, err := proof.Verify(ctx, o)
	show.end()
	if err != nil {
		return &exitCode{exitUnread, err}
	}
	if err := writeProof(c.OutOrStdout(), result, f.format); err != nil {
		return &exitCode{exitUnread, err}
	}
	if !result.Proved {
		return &exitCode{exitDamaged, fmt.Errorf("%s is damaged in %d places", o.Dir, result.Damages)}
	}
	return nil
}

// dataDirFlag adds --data-dir to a command that reads one.
func dataDirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "data-dir", "", "`directory` of the gateway's data (default: "+config.Env("data_dir")+", else ./recoup-data)")
}

func (p *program) dataDir(flag string) string {
	return firstText(flag, p.getenv(config.Env("data_dir")), "recoup-data")
}

// checkFiles looks at the small files of a data directory.
func checkFiles(dir string) []proof.Damage {
	var all []proof.Damage
	wrong := func(name string, err error) {
		path := filepath.Join(dir, name)
		all = append(all, proof.Damage{File: path, What: err.Error(), Text: path + ": " + err.Error()})
	}
	secret, err := os.ReadFile(filepath.Join(dir, secretName))
	if err == nil {
		_, err = checkSecret(dir, secret)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		wrong(secretName, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, factorsFile))
	if err == nil {
		err = decodeFactors(data, &token.Factors{})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		wrong(factorsFile, err)
	}
	if _, err := gatewaykeys.Open(dir, slog.New(slog.DiscardHandler)); err != nil {
		wrong("gateway-keys.json", err)
	}
	return all
}

func writeProof(w io.Writer, p *proof.Proof, format string) error {
	if format == formatJSON {
		return writeJSON(w, p)
	}
	b := &textOut{w: w}
	for _, d := range p.Damaged {
		b.line("%s: %s", d.Part, printable(d.Text, 1000))
	}
	if more := p.Damages - uint64(len(p.Damaged)); more > 0 {
		b.line("and %d more", more)
	}
	verdict := "proved"
	if !p.Proved {
		verdict = fmt.Sprintf("DAMAGED in %d places", p.Damages)
	}
	b.line("%s: %s, in %v", p.Dir, verdict, p.Took.Round(time.Millisecond))
	if p.Live {
		b.line("  in use      by a process while it was read: what came after that is not in this")
	}
	b.line("  files       %s, %s", count(int64(p.Files.Number), "file"), humanize.IBytes(uint64(p.Files.Bytes)))
	b.line("  stream log  %s in %s, %s of them without an end yet; %s, %s", count(int64(p.Log.Streams), "stream"), count(int64(p.Log.Buckets), "bucket"),
		humanize.Comma(int64(p.Log.Open)), count(int64(p.Log.Events), "event"), humanize.IBytes(p.Log.Bytes))
	l := p.Ledger
	if !l.Found {
		b.line("  books       there are none")
		return b.err
	}
	b.line("  books       %s up to %d, anchored at %d; %s, %s pending, %s revised; %s", count(int64(l.Entries), "entry"), l.Head, l.Anchor,
		count(int64(l.Attempts), "attempt"), humanize.Comma(int64(l.Pending)), humanize.Comma(int64(l.Revised)), count(int64(l.Totals), "balance"))
	if l.Summarised > 0 {
		b.line("              of %s only the sums of their months remain: these are proved, the attempts can't be any more", count(int64(l.Summarised), "attempt"))
	}
	if l.Adrift > 0 {
		b.line("              %s not settled, and there is no stream log: the next start settles them as damaged", count(int64(l.Adrift), "attempt"))
	}
	m := p.Money
	b.line("  money       %s recomputed, %s unpriced; rates of %s are in this price book", count(int64(m.Recomputed), "attempt"),
		humanize.Comma(int64(m.Unpriced)), humanize.Comma(int64(m.ByBook)))
	for version, n := range m.OtherBooks {
		b.line("              %s by price book %s, which this program doesn't have: recomputed by the rates stored with them", count(int64(n), "attempt"), version)
	}
	u := p.Usage
	b.line("  usage       %s read again from the answers, %s estimated since nothing was reported, %s unread", count(int64(u.Reread), "attempt"),
		humanize.Comma(int64(u.Estimated)), humanize.Comma(int64(u.Unread)))
	b.line("              %s can't be reproduced any more: the content has expired", count(int64(u.Gone), "attempt"))
	b.line("  head        %d %s", l.Head, l.Hash)
	return b.err
}

// textOut writes lines until that fails.
type textOut struct {
	w   io.Writer
	err error
}

func (t *textOut) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

// count is a number of things.
func count(n int64, thing string) string {
	switch {
	case n == 1:
	case thing == "entry":
		thing = "entries"
	default:
		thing += "s"
	}
	return humanize.Comma(n) + " " + thing
}

// progress says on a terminal what is being read, once that has taken a second. On
// anything else it is silent.
type progress struct {
	w     io.Writer
	began time.Time
	mu    sync.Mutex
	shown time.Time
	bytes int64
}

func newProgress(w io.Writer) *progress {
	if !isTerminal(w) {
		w = nil
	}
	return &progress{w: w, began: time.Now()}
}

const progressAfter = time.Second

// step notes that so many more bytes were read.
func (p *progress) step(what string, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += bytes
	now := time.Now()
	if p.w == nil || now.Sub(p.began) < progressAfter || now.Sub(p.shown) < progressAfter/10 {
		return
	}
	p.shown = now
	fmt.Fprintf(p.w, "\r\x1b[K%s: %s read, %v", what, humanize.IBytes(uint64(p.bytes)), now.Sub(p.began).Round(time.Second))
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
