package streamlog

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

// checkTables looks at a bucket's manifest and tables before Badger does. It is
// ErrDamaged if Badger would delete some, or end the process, at every start. A
// damaged block elsewhere costs what it held; hurt counts those.
func checkTables(dir string) (hurt int, err error) {
	tables, err := badgerfile.Manifest(dir)
	if err != nil {
		return 0, fileError(err)
	}
	for _, t := range tables {
		_, damaged, err := t.CheckBlocks()
		if errors.Is(err, fs.ErrNotExist) {
			return hurt, fmt.Errorf("%w: table %s is missing", ErrDamaged, t.Path)
		}
		if err != nil {
			return hurt, fileError(err)
		}
		hurt += damaged
	}
	return hurt, nil
}

// fileError makes an error of badgerfile one of this package.
func fileError(err error) error {
	if errors.Is(err, badgerfile.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("streamlog: %w", err)
}
