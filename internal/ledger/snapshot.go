package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// snapshotTries is how often a snapshot is begun anew because the books were written
// meanwhile.
const snapshotTries = 10

// OpenSnapshot is OpenReadOnly for books that another process writes, or in a
// directory where no lock can be made: it reads a copy, in the directory for
// temporary files, which has at least all that was anchored when it began. It takes
// as much room as the ledger, until it is closed.
func OpenSnapshot(dir string, opts Options) (*Ledger, error) {
	db := filepath.Join(dir, databaseName)
	if _, err := os.Stat(filepath.Join(db, badger.ManifestFilename)); err != nil {
		return nil, fmt.Errorf("ledger: open %s: %w", dir, err)
	}
	var last error
	for range snapshotTries {
		l := unlocked(dir, opts)
		l.readOnly = true
		err := l.openSnapshot(db)
		if err == nil {
			return l, nil
		}
		last = errors.Join(err, l.release())
		if !errors.Is(err, errMoved) {
			break
		}
	}
	return nil, fmt.Errorf("ledger: open %s: %w", dir, last)
}

// errMoved: what was copied is not of one moment.
var errMoved = errors.New("the books were written while they were copied")

// openSnapshot copies the database and reads the copy. The order matters: what leaves
// a file for another, as from the log into a table, is then copied twice, not missed.
func (l *Ledger) openSnapshot(db string) error {
	anchored, _, anchorErr := readAnchor(l.dir)
	l.anchored, l.noAnchor = anchored, anchorErr
	dir, err := os.MkdirTemp("", "recoup-ledger-")
	if err != nil {
		return fmt.Errorf("copy to read: %w", err)
	}
	l.cleanUp = func() error { return os.RemoveAll(dir) }
	for _, pattern := range []string{"*.mem", "*.vlog", "DISCARD", "KEYREGISTRY", badger.ManifestFilename, "*.sst"} {
		files, err := filepath.Glob(filepath.Join(db, pattern))
		if err != nil {
			return err
		}
		for _, path := range files {
			err := copySparse(path, filepath.Join(dir, filepath.Base(path)))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // merged into others meanwhile
				return fmt.Errorf("copy to read: %w", err)
			}
		}
	}
	if _, err := checkDatabase(dir); err != nil {
		return errors.Join(errMoved, err)
	}
	if l.db, err = badger.Open(l.badgerOptions(dir).WithSyncWrites(false)); err != nil {
		l.db = nil
		return errors.Join(errMoved, err)
	}
	if err := l.checkFormat(false); err != nil {
		return err
	}
	if err := l.load(); err != nil {
		return errors.Join(errMoved, err)
	}
	if anchorErr != nil {
		return nil // Verify says so
	}
	if err := l.checkAnchored(anchored); err != nil {
		return errors.Join(errMoved, err)
	}
	return nil
}
