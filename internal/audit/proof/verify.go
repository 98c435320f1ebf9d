package proof

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/pricing"
)

// VerifyOptions say what Verify reads, and how.
type VerifyOptions struct {
	Dir           string
	Scratch       string // directory for copies; empty: that for temporary files
	EncryptionKey []byte
	Book          *pricing.Book
	Files         func() []Damage // looks at what else is in the directory; nil: nobody does
	Progress      func(what string, bytes int64)
}

// Verify reads back all that is in a data directory and proves it: files, the stream
// log, the books, the money in them by the rates stored with it, and what providers
// reported, read again from the answers that are still there.
//
// Nothing in the directory is changed. It may be read-only, in use, or left by a
// killed process: what is opened are copies. The log is read before the books, so
// that what is settled in it must be in them. Memory is bounded by the streams of one
// bucket and by the accounts; what is to be compared later waits in a file.
//
// What is wrong is in the Proof. The error says that something could not be read at
// all, which proves neither.
func Verify(ctx context.Context, o VerifyOptions) (*Proof, error) {
	v := &verifying{
		ctx: ctx, o: o, pending: map[ledger.AttemptID]bool{},
		p: &Proof{Dir: o.Dir, Began: time.Now().UTC(), Damaged: []Damage{}, Money: MoneyProof{OtherBooks: map[string]uint64{}}},
	}
	if _, err := os.Stat(o.Dir); err != nil {
		return v.p, fmt.Errorf("verify: %w", err)
	}
	scratch, err := os.MkdirTemp(o.Scratch, "recoup-verify-")
	if err != nil {
		return v.p, fmt.Errorf("verify: %w", err)
	}
	v.scratch = scratch
	err = v.run()
	if v.facts != nil {
		err = errors.Join(err, v.facts.close())
	}
	err = errors.Join(err, os.RemoveAll(scratch))
	v.p.Took = time.Since(v.p.Began)
	v.p.Proved = err == nil && v.p.Damages == 0
	return v.p, err
}

type verifying struct {
	ctx     context.Context
	o       VerifyOptions
	p       *Proof
	scratch string
	facts   *facts
	pending map[ledger.AttemptID]bool // billed, without outcomes
	closed  time.Time                 // attempts from before can have been summarised
}

func (v *verifying) run() (err error) {
	if v.o.Files != nil {
		for _, d := range v.o.Files() {
			d.Part = "files"
			v.p.add(d)
		}
	}
	if v.facts, err = newFacts(v.scratch); err != nil {
		return err
	}
	if err := v.guard("log", v.log); err != nil {
		return err
	}
	return v.guard("ledger", v.ledger)
}

// guard makes a panic in a library that reads damaged files a damage. A page of a
// file that can't be read is one too.
func (v *verifying) guard(part string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			v.p.add(Damage{Part: part, What: fmt.Sprintf("to read it back ended in: %v", cause)})
		}
	}()
	return fn()
}

func (v *verifying) progress(what string) func(int64) {
	return func(bytes int64) {
		if v.o.Progress != nil {
			v.o.Progress(what, bytes)
		}
	}
}

// log verifies the stream log, and notes what of each stream is to be compared with
// the books.
func (v *verifying) log() error {
	r, err := streamlog.Verify(v.ctx, v.o.Dir, streamlog.VerifyOptions{
		Scratch: v.scratch, EncryptionKey: v.o.EncryptionKey,
		Report: v.p.addLog, See: v.see, Progress: v.progress("stream log"),
	})
	v.p.Live = v.p.Live || r.Live
	v.p.Files.Number += r.Files
	v.p.Files.Bytes += r.Bytes
	v.p.Log = LogProof{Buckets: r.Buckets, Groups: r.Groups, Streams: r.Streams, Open: r.Open, Events: r.Events, Bytes: r.Content}
	return err
}

func (v *verifying) see(s streamlog.Settling) error {
	v.progress("stream log")(0)
	f, err := factOf(s)
	if err != nil {
		return err
	}
	return v.facts.write(f)
}

// ledger verifies the books.
func (v *verifying) ledger() error {
	l, c, err := ledger.OpenCopy(v.ctx, v.o.Dir, v.scratch, ledger.Options{Logger: slog.New(slog.DiscardHandler)})
	v.p.Live = v.p.Live || c.Live
	v.p.Files.Number += c.Files
	v.p.Files.Bytes += c.Bytes
	v.progress("books")(c.Bytes)
	for _, d := range c.Damages {
		v.addLedger(d)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return v.noLedger(c)
	case errors.Is(err, ledger.ErrDamaged):
		v.p.Ledger.Found = true
		v.p.add(Damage{Part: "ledger", What: "the books can't be opened: " + strings.TrimPrefix(err.Error(), "ledger: ")})
		return nil
	case err != nil:
		return err
	}
	err = v.books(l)
	return errors.Join(err, l.Close())
}

// noLedger is right only where nothing was ever booked.
func (v *verifying) noLedger(ledger.Copied) error {
	return v.facts.each(func(f fact) error {
		if f.Settled && f.Billed {
			v.p.add(Damage{Part: "ledger", Stream: f.Stream.String(), What: "stream " + f.Stream.String() + " is settled, and there are no books"})
		}
		return nil
	})
}

func (v *verifying) addLedger(d ledger.Damage) {
	out := Damage{Part: "ledger", File: d.File, Entry: d.Seq, What: d.What, Text: d.String()}
	if (d.Attempt != ledger.AttemptID{}) {
		out.Stream, out.Attempt = d.Attempt.Stream.String(), d.Attempt.String()
	}
	if d.File != "" && d.Byte >= 0 {
		out.Byte = &d.Byte
	}
	v.p.add(out)
}

// books verifies what is in the opened books.
func (v *verifying) books(l *ledger.Ledger) error {
	r, err := l.Verify(v.ctx, v.addLedger)
	if err != nil && !errors.Is(err, ledger.ErrDamaged) {
		return err
	}
	v.closed = r.Closed
	v.p.Ledger = LedgerProof{
		Found: true, Head: r.Head.Seq, Hash: fmt.Sprintf("%x", r.Head.Hash), Anchor: r.Anchor.Seq,
		Entries: r.Entries, Attempts: r.Attempts, Pending: r.Pending, Revised: r.Revised, Summarised: r.Summarised,
	}
	t := &tallying{v: v, sums: map[account]tokensAndMoney{}}
	if err := l.Attempts(v.ctx, 0, t.row); unreadable(err) {
		v.p.add(Damage{Part: "ledger", What: err.Error()})
	} else if err != nil {
		return err
	} else if err := t.compare(l); err != nil {
		return err
	}
	return v.compareFacts(l)
}

// unreadable: the books have something else than what leads there.
func unreadable(err error) bool {
	return errors.Is(err, ledger.ErrDamaged) || errors.Is(err, ledger.ErrNotFound)
}

func (v *verifying) damageOf(part string, id ledger.AttemptID, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	v.p.add(Damage{Part: part, Stream: id.Stream.String(), Attempt: id.String(), What: what, Text: "attempt " + id.String() + ": " + what})
}
