// Package badgerfile looks at the files of a Badger database before Badger opens it,
// and listens to what Badger only logs.
//
// Badger takes its files for sound. Where they aren't, it
//
//   - deletes the tables that its manifest doesn't list, as leftovers of a killed
//     process; so a manifest that was cut off or is gone takes tables with it.
//   - ends the process, at every start, over a table that lacks its end or its last
//     block: it reads these in goroutines of its own, without checking.
//   - ends the process over a block that says it has more entries than fit: it reads
//     their number before it looks at the CRC.
//   - takes a key in another damaged block for absent, without an error.
//
// Hence Manifest refuses a manifest that ends within an entry, or is missing though
// there are tables; Table.CheckEnds looks at a table's index, its CRC and its last
// block, which is what Badger reads when it opens it; Table.CheckBlocks reads it all
// and looks at every block. Blocks may be as they are or compressed with Snappy; with
// another compression they count as damaged. Of encrypted tables only the index and
// its CRC can be looked at.
//
// Nothing is changed or mended. The write-ahead and value logs are not looked at, and
// who can write to the directory can forge all of it: CRCs are no signatures.
package badgerfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// ErrDamaged is every error that says what is wrong with a file. Its text is not in
// them: who opens the database puts its own before.
var ErrDamaged = errors.New("badgerfile: damaged")

type damage struct{ error }

func (damage) Is(target error) bool { return target == ErrDamaged }
func (d damage) Unwrap() error      { return d.error }

func damagedf(format string, args ...any) error { return damage{fmt.Errorf(format, args...)} }

// Manifest returns the tables that the manifest in dir lists, the newest first; none
// if there is no database yet. It is ErrDamaged if Badger would delete others for it.
func Manifest(dir string) ([]Table, error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		tables, err := fs.Glob(os.DirFS(dir), "*.sst")
		if err == nil && len(tables) > 0 {
			err = damagedf("no %s", path)
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	defer f.Close()
	manifest, sound, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, damagedf("%s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat manifest: %w", err)
	}
	if info.Size() != sound {
		return nil, damagedf("%s ends within an entry", path)
	}
	var tables []Table
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(manifest.Tables))) {
		m := manifest.Tables[id]
		tables = append(tables, Table{table.NewFilename(id, dir), m.Compression == options.Snappy, m.KeyID != 0})
	}
	return tables, nil
}
