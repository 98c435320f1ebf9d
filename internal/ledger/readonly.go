package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

// OpenReadOnly opens the ledger in dir to be read and verified, and changes nothing
// in it. It opens damaged books too, unless Badger can't read them at all
// (ErrDamaged): Verify says what is wrong. Posting is ErrReadOnly. What a killed
// process left, Badger would have to mend first; then a copy of the database, in
// the directory for temporary files, is mended and read. It is ErrLocked while another
// process has the ledger, and fs.ErrNotExist if there is none.
func OpenReadOnly(dir string, opts Options) (*Ledger, error) {
	db := filepath.Join(dir, databaseName)
	if _, err := os.Stat(filepath.Join(db, badger.ManifestFilename)); err != nil {
		return nil, fmt.Errorf("ledger: open %s: %w", dir, err)
	}
	l, err := prepare(dir, opts)
	if err != nil {
		return nil, err
	}
	l.readOnly = true
	if err := l.openForReading(db); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: open %s: %w", dir, err), l.release())
	}
	return l, nil
}

func (l *Ledger) openForReading(db string) error {
	if _, err := checkDatabase(db); err != nil {
		return err
	}
	l.anchored, _, l.noAnchor = readAnchor(l.dir)
	// A log of what is in memory only: Badger leaves none when it is closed, and
	// doesn't read one without cutting it to its length.
	unclean, err := filepath.Glob(filepath.Join(db, "*.mem"))
	if err != nil {
		return err
	}
	if len(unclean) > 0 {
		err = l.openCopy(db)
	} else {
		l.db, err = badger.Open(l.badgerOptions(db).WithReadOnly(true))
	}
	if err != nil {
		l.db = nil // Badger returns one of which nothing is
		return err
	}
	if err := l.checkFormat(false); err != nil {
		return err
	}
	if err := l.load(); err != nil {
		return err
	}
	return l.readCut()
}

// openCopy opens a copy of the database, which Badger may mend.
func (l *Ledger) openCopy(db string) error {
	dir, err := os.MkdirTemp("", "recoup-ledger-")
	if err != nil {
		return fmt.Errorf("copy to read: %w", err)
	}
	l.cleanUp = func() error { return os.RemoveAll(dir) }
	if err := badgerfile.CheckRoom(db, dir); err != nil {
		return err
	}
	snapshot, err := badgerfile.Copy(context.Background(), db, dir, false)
	if err == nil {
		err = snapshot.Closed
	}
	if err != nil {
		return fileError(err)
	}
	l.db, err = badger.Open(l.badgerOptions(dir).WithSyncWrites(false))
	return err
}
