package ledger

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

// checkDatabase looks at a database before Badger does, and returns its tables, the
// newest first. It is ErrDamaged if Badger would delete some, or end the process. Of
// each table it reads as much as Badger itself does when it opens it; scrub reads the
// rest.
func checkDatabase(dir string) ([]badgerfile.Table, error) {
	tables, err := badgerfile.Manifest(dir)
	if err != nil {
		return nil, fileError(err)
	}
	for _, t := range tables {
		if err := t.CheckEnds(); err != nil {
			return nil, fileError(err)
		}
	}
	return tables, nil
}

// scrub checks the blocks of tables until limit bytes are read, and returns those
// that are left. To Badger a key in a damaged block isn't there, so an attempt would
// look as if it had never been posted. A table that is gone was compacted.
func scrub(tables []badgerfile.Table, limit int64) ([]badgerfile.Table, error) {
	for len(tables) > 0 && limit > 0 {
		size, damaged, err := tables[0].CheckBlocks()
		if damaged > 0 {
			return tables, damagedf("table %s: %d of its blocks", tables[0].Path, damaged)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return tables, fileError(err)
		}
		limit -= size
		tables = tables[1:]
	}
	return tables, nil
}

// fileError makes an error of badgerfile one of this package.
func fileError(err error) error {
	if errors.Is(err, badgerfile.ErrDamaged) {
		return damagedf("%w", err)
	}
	return fmt.Errorf("ledger: %w", err)
}
