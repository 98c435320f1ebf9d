package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

const (
	databaseName = "ledger"
	lockName     = "ledger.lock"
	tailEntries  = 1000 // before the head, that Open verifies

	scrubbedByOpen = 256 << 20 // bytes of tables, the newest; the rest is read later
)

// Open opens the ledger in dir, or makes one. It is ErrLocked if another process
// has it, and ErrDamaged if entries that the anchor knows of are missing or not
// what they were, if the anchor is missing or unreadable, or if the last entries
// are not a chain. Then nothing was changed, and Verify of OpenReadOnly says more.
func Open(dir string, opts Options) (*Ledger, error) {
	l, err := prepare(dir, opts)
	if err != nil {
		return nil, err
	}
	if err := l.openForWriting(); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: open %s: %w", dir, err), l.release())
	}
	l.writing.Go(l.write)
	l.writing.Go(l.scrubRest)
	return l, nil
}

// prepare makes the directory, and locks it.
func prepare(dir string, opts Options) (*Ledger, error) {
	l := unlocked(dir, opts)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: data directory: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, dir), f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("ledger: lock %s: %w", dir, err), f.Close())
	}
	l.lockFile = f
	return l, nil
}

// unlocked is a ledger of which nothing is open.
func unlocked(dir string, opts Options) *Ledger {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	l := &Ledger{opts: opts, dir: dir, closing: make(chan struct{}), logger: badgerfile.NewLogger(opts.Logger)}
	l.queue.filled.L = &l.queue.mu
	return l
}

// badgerOptions: values stand in the LSM tree, since a failed sync of the value log
// is returned by nobody.
func (l *Ledger) badgerOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(16 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(16 << 20).
		WithCompression(options.Snappy).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithLogger(l.logger)
}

// openForWriting opens the database, makes sure that it has all that the anchor
// says, and anchors its head.
func (l *Ledger) openForWriting() error {
	anchored, slot, anchorErr := readAnchor(l.dir)
	if anchorErr != nil && !errors.Is(anchorErr, errNoAnchor) && !l.opts.Reanchor {
		return anchorErr
	}
	db := filepath.Join(l.dir, databaseName)
	fresh, err := isFresh(db)
	if err != nil {
		return err
	}
	if fresh && anchored.Seq > 0 {
		return damagedf("the anchor is at entry %d, and there is no database", anchored.Seq)
	}
	if err := makeDatabase(db, fresh); err != nil {
		return err
	}
	tables, err := checkDatabase(db)
	if err != nil {
		return err
	}
	if l.unscrubbed, err = scrub(tables, scrubbedByOpen); err != nil {
		return err
	}
	if l.db, err = badger.Open(l.badgerOptions(db)); err != nil {
		l.db = nil
		return err
	}
	if err := l.checkFormat(fresh); err != nil {
		return err
	}
	if err := l.load(); err != nil {
		return err
	}
	if err := l.checkTail(anchored, anchorErr); err != nil {
		return err
	}
	return l.reanchor(slot)
}

// checkTail verifies the last entries against the anchor, or all of the chain if
// there is none.
func (l *Ledger) checkTail(anchored Head, anchorErr error) error {
	switch {
	case anchorErr == nil:
		return l.checkAnchored(anchored)
	case l.head.Seq == 0 && errors.Is(anchorErr, errNoAnchor):
		return nil
	case !l.opts.Reanchor:
		return damagedf("%d entries, and %v in %s: a lost tail can't be told from none", l.head.Seq, anchorErr, filepath.Join(l.dir, anchorName))
	}
	l.opts.Logger.Warn("the ledger's anchor is made anew", "was", anchorErr, "entries", l.head.Seq)
	return l.checkChain(Head{})
}

// checkAnchored compares the chain with the anchor. The database may be ahead of it,
// by what was committed when the process died before it wrote the anchor.
func (l *Ledger) checkAnchored(anchored Head) error {
	if l.head.Seq < anchored.Seq {
		return damagedf("%d entries at the end are lost: the anchor is at entry %d, the last one here is %d",
			anchored.Seq-l.head.Seq, anchored.Seq, l.head.Seq)
	}
	if anchored.Seq > 0 {
		at, err := l.hashOf(anchored.Seq)
		if err != nil {
			return err
		}
		if at != anchored.Hash {
			return damagedf("entry %d isn't the one that was anchored", anchored.Seq)
		}
	}
	from := Head{}
	if anchored.Seq > tailEntries {
		from.Seq = anchored.Seq - tailEntries
		var err error
		if from.Hash, err = l.hashOf(from.Seq); err != nil {
			return err
		}
	}
	return l.checkChain(from)
}

// scrubRest checks what Open left, beside the work. With damage the ledger takes
// nothing more.
func (l *Ledger) scrubRest() {
	for len(l.unscrubbed) > 0 {
		if l.interrupted(context.Background()) != nil {
			return
		}
		var err error
		if l.unscrubbed, err = scrub(l.unscrubbed, 1); err != nil {
			l.opts.Logger.Error("the ledger's tables are damaged or unreadable; it takes nothing more", "error", err)
			l.queue.fail(err)
			return
		}
	}
}

// reanchor opens the anchor and makes it say what the head is.
func (l *Ledger) reanchor(slot int) (err error) {
	if l.anchor, err = openAnchor(l.dir, slot); err != nil {
		return err
	}
	if err := l.anchor.write(l.head); err != nil {
		return err
	}
	return syncDir(l.dir) // the file may be new
}

// suffixMaking is of a file beside a database that isn't complete: a process that
// dies meanwhile leaves something that Badger may refuse to open, and that nothing
// is in.
const suffixMaking = ".creating"

// isFresh says if there is no database, or one that was never completed.
func isFresh(db string) (bool, error) {
	if _, err := os.Stat(db + suffixMaking); err == nil {
		return true, nil
	}
	_, err := os.Stat(db)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ledger: database: %w", err)
	}
	return false, nil
}

func makeDatabase(db string, fresh bool) error {
	if !fresh {
		return nil
	}
	if err := os.WriteFile(db+suffixMaking, nil, 0o600); err != nil {
		return fmt.Errorf("ledger: new database: %w", err)
	}
	if err := os.RemoveAll(db); err != nil {
		return fmt.Errorf("ledger: new database: %w", err)
	}
	return nil
}

// checkFormat writes the format of a fresh database, and reads that of another.
func (l *Ledger) checkFormat(fresh bool) error {
	if fresh {
		err := l.db.Update(func(txn *badger.Txn) error {
			return txn.Set(metaFormat, binary.BigEndian.AppendUint32(nil, formatVersion))
		})
		if err == nil {
			err = os.Remove(filepath.Join(l.dir, databaseName) + suffixMaking)
		}
		if err != nil {
			return fmt.Errorf("new database: %w", err)
		}
		return nil
	}
	return l.db.View(func(txn *badger.Txn) error {
		v, err := get(txn, metaFormat)
		switch {
		case err != nil:
			return err
		case v == nil:
			return damagedf("no format")
		case len(v) != 4 || binary.BigEndian.Uint32(v) != formatVersion:
			return fmt.Errorf("format %x, this program reads %08x", v, formatVersion)
		}
		return nil
	})
}

// load reads the head and the tallies.
func (l *Ledger) load() error {
	return l.db.View(func(txn *badger.Txn) error {
		head, err := lastEntry(txn)
		if err != nil {
			return err
		}
		stored, err := storedTallies(txn)
		if err != nil {
			return err
		}
		l.head = head
		l.tallies.set(stored)
		return nil
	})
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("ledger: sync %s: %w", dir, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("ledger: sync %s: %w", dir, err)
	}
	return nil
}
