package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestBrokenFiles damages Badger's own files.
func TestBrokenFiles(t *testing.T) {
	for name, damage := range map[string]func(db string) error{
		"manifest cut": func(db string) error {
			path := filepath.Join(db, badger.ManifestFilename)
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()-3)
		},
		"manifest gone": func(db string) error { return os.Remove(filepath.Join(db, badger.ManifestFilename)) },
		"table cut":     onTables(func(path string, size int64) error { return os.Truncate(path, size-5) }),
		"table empty":   onTables(func(path string, _ int64) error { return os.Truncate(path, 0) }),
		"table gone":    onTables(func(path string, _ int64) error { return os.Remove(path) }),
		"index":         onTables(func(path string, size int64) error { return scribble(path, int(size)-40) }),
		"first block":   onTables(func(path string, _ int64) error { return scribble(path, 100) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := written(t)
			if err := damage(filepath.Join(dir, databaseName)); err != nil {
				t.Fatal(err)
			}
			if found := findings(t, dir); len(found) == 0 {
				t.Error("verify finds nothing")
			} else {
				t.Log(found[0])
			}
			l, err := Open(dir, Options{Logger: quiet})
			if err == nil {
				shut(t, l)
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("open: %v", err)
			}
		})
	}
}

func onTables(fn func(path string, size int64) error) func(string) error {
	return func(db string) error {
		tables, err := filepath.Glob(filepath.Join(db, "*.sst"))
		if err != nil || len(tables) == 0 {
			return fmt.Errorf("%d tables: %w", len(tables), err)
		}
		for _, path := range tables {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := fn(path, info.Size()); err != nil {
				return err
			}
		}
		return nil
	}
}
