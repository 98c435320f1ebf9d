package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// ErrNotEmpty is the error of a directory that is not empty, as one to restore to has to be.
var ErrNotEmpty = errors.New("ledger: the directory is not empty")

// Restore makes a ledger in dir, which must be empty or not exist, of what Backup
// wrote: it posts the entries again, and derives indexes and totals from them. All of
// it is verified before it is a ledger. Until then Open takes what is there for a
// database that was never completed, and Restore may begin anew; if something is wrong,
// nothing is left. The error is ErrDamaged, with the byte, if the backup isn't whole.
func Restore(ctx context.Context, r io.Reader, dir string, opts Options) (Report, error) {
	var report Report
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	made, err := checkEmpty(dir)
	if err != nil {
		return report, err
	}
	l, err := prepare(dir, opts)
	if err != nil {
		return report, err
	}
	db := filepath.Join(dir, databaseName)
	err = makeDatabase(db, true)
	if err == nil {
		err = os.RemoveAll(filepath.Join(dir, anchorName)) // of a try that was cut off
	}
	if err == nil {
		report, err = l.restore(ctx, r, db)
	}
	if err = errors.Join(err, l.release()); err == nil {
		err = completed(dir)
	}
	if err != nil {
		return report, errors.Join(err, discard(dir, made))
	}
	return report, nil
}

// restorable are the files that a restore that was cut off leaves.
var restorable = map[string]bool{databaseName: true, databaseName + suffixMaking: true, anchorName: true, lockName: true}

// checkEmpty says if the directory has yet to be made.
func checkEmpty(dir string) (missing bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ledger: restore: %w", err)
	}
	_, unfinished := os.Stat(filepath.Join(dir, databaseName) + suffixMaking)
	for _, e := range entries {
		if unfinished != nil || !restorable[e.Name()] {
			return false, fmt.Errorf("%w: %s has %s", ErrNotEmpty, dir, e.Name())
		}
	}
	return false, nil
}

// completed makes it a ledger.
func completed(dir string) error {
	if err := syncDir(filepath.Join(dir, databaseName)); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, databaseName) + suffixMaking); err != nil {
		return fmt.Errorf("ledger: restore: %w", err)
	}
	return syncDir(dir)
}

// discard removes what a failed restore has made: the mark of it last, but for the
// directory.
func discard(dir string, made bool) error {
	var errs []error
	for _, name := range []string{databaseName, anchorName, lockName, databaseName + suffixMaking} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	if made {
		errs = append(errs, os.Remove(dir))
	}
	return errors.Join(errs...)
}

// restore fills the database, anchors its head, and verifies it.
func (l *Ledger) restore(ctx context.Context, r io.Reader, db string) (report Report, err error) {
	if l.db, err = badger.Open(l.badgerOptions(db).WithSyncWrites(false)); err != nil {
		l.db = nil
		return report, fmt.Errorf("ledger: restore: %w", err)
	}
	rb := &rebuilding{ctx: ctx, l: l, totals: sums{}}
	err = rb.set(metaFormat, []byte{0, 0, 0, formatVersion})
	if err == nil {
		l.head, err = readBackup(r, rb.start, rb.entry)
	}
	if err == nil {
		err = rb.finish()
	}
	if rb.txn != nil {
		rb.txn.Discard()
	}
	if err == nil {
		err = l.db.Sync()
	}
	if err == nil {
		err = l.load()
	}
	if err == nil {
		err = l.reanchor(0)
	}
	if err != nil {
		return report, err
	}
	return l.Verify(ctx, nil)
}

// rebuilding makes a database of entries.
type rebuilding struct {
	ctx    context.Context
	l      *Ledger
	txn    *badger.Txn
	n      int // entries in the transaction
	base   Head
	bare   uint64 // up to this entry attempts have no extracts
	totals sums
}

// perTransaction is how many entries, or tallies, a transaction has.
const perTransaction = 200

func (r *rebuilding) set(key, value []byte) error {
	if r.txn == nil {
		r.txn = r.l.db.NewTransaction(true)
	}
	return r.txn.Set(key, value)
}

func (r *rebuilding) commit() error {
	if r.txn == nil {
		return nil
	}
	err := r.txn.Commit()
	r.txn, r.n = nil, 0
	return err
}

func (r *rebuilding) start(h backupHeader) error {
	r.base, r.bare = h.Base, h.Bare
	return nil
}

// entry takes the next entry.
func (r *rebuilding) entry(at Head, body []byte) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	e, err := decodeEntry(body)
	if err != nil {
		return fmt.Errorf("entry %d: %w", at.Seq, err)
	}
	if err := r.set(entryKey(at.Seq), append(at.Hash[:], body...)); err != nil {
		return err
	}
	if err := r.lead(at.Seq, e); err != nil {
		return fmt.Errorf("entry %d: %w", at.Seq, err)
	}
	if r.n++; r.n >= perTransaction || len(body) > maxGroupBytes/4 {
		return r.commit()
	}
	return nil
}

// lead makes what leads to an entry, and adds up what it does.
func (r *rebuilding) lead(seq uint64, e *entry) error {
	switch e.Kind {
	case kindMiss, kindUnexplained, kindIncident:
		r.totals.add(entryDeltas(e, nil, nil))
		return r.set(leading(e)[0], encodeSeq(seq))
	case kindSummary:
		return nil
	case kindCut:
		if e.Cut == nil || e.Cut.Seq != r.base.Seq {
			return nil // an earlier one
		}
		return r.set(metaCut, encodeSeq(seq))
	}
	record, err := readRecord(r.txn, e.id())
	if err != nil {
		return err
	}
	var bill *Bill
	var before *entry
	switch {
	case e.Kind == kindBill && e.Revision == len(record):
		record = append(record, version{bill: seq})
		for _, key := range leading(e)[1:] {
			if e.Revision == 0 {
				err = errors.Join(err, r.set(key, nil))
			}
		}
	case e.Revision < 0 || e.Revision >= len(record):
		err = damagedf("revision %d of attempt %s, of which there are %d", e.Revision, e.id(), len(record))
	case e.Kind == kindOutcomes:
		record[e.Revision].outcomes = seq
		bill, before, err = r.follows(record, e.Revision)
	case e.Kind == kindReversal:
		record[e.Revision].reversal = seq
	default:
		err = damagedf("kind %q", e.Kind)
	}
	if err != nil {
		return err
	}
	r.totals.add(entryDeltas(e, bill, before))
	if err := r.set(attemptKey(e.id()), record.encode()); err != nil || e.Kind == kindReversal || seq <= r.bare {
		return err
	}
	row, err := readRow(r.txn, e.id(), nil)
	if err != nil {
		return err
	}
	return r.set(acceptedKey(millis(row.At), e.id()), encodeExtract(&row))
}

// follows reads what outcomes follow from.
func (r *rebuilding) follows(record record, revision int) (bill *Bill, before *entry, err error) {
	b, err := readEntry(r.txn, record[revision].bill)
	if err != nil {
		return nil, nil, err
	}
	if revision > 0 && record[revision-1].outcomes != 0 {
		before, err = readEntry(r.txn, record[revision-1].outcomes)
	}
	return b.bill(), before, err
}

// finish stores the totals: with what was summarised before the first entry.
func (r *rebuilding) finish() error {
	if r.txn == nil {
		r.txn = r.l.db.NewTransaction(true)
	}
	b, err := readBase(r.txn)
	if err != nil {
		return err
	}
	if b.Head != r.base {
		return damagedf("the backup begins at entry %d, and its entries say that what precedes %d was summarised", r.base.Seq+1, b.Seq+1)
	}
	summarised, err := b.sums(r.txn)
	if err != nil {
		return err
	}
	for key, t := range summarised {
		was := r.totals[key]
		r.totals[key] = tally{was.count + t.count, was.amount.Plus(t.amount)}
	}
	if b.cut != 0 {
		if err := r.set(metaRemoved, encodeSeq(b.Seq)); err != nil {
			return err
		}
	}
	for key, t := range r.totals {
		if err := r.set([]byte(key), t.encode()); err != nil {
			return err
		}
		if r.n++; r.n >= perTransaction {
			if err := r.commit(); err != nil {
				return err
			}
		}
	}
	return r.commit()
}
