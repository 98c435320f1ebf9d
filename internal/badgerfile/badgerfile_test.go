package badgerfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/klauspost/compress/s2"
)

// database makes a database with one table of many blocks, and closes it. Its path
// has a meaning as a pattern, which must not matter.
func database(t *testing.T, change func(badger.Options) badger.Options) (dir string, only Table) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "a[b]")
	db, err := badger.Open(change(badger.DefaultOptions(dir).WithLogger(NewLogger(slog.New(slog.DiscardHandler)))))
	if err != nil {
		t.Fatal(err)
	}
	wb := db.NewWriteBatch()
	for i := range 1000 {
		err = errors.Join(err, wb.Set(fmt.Appendf(nil, "%04d", i), bytes.Repeat([]byte{byte(i)}, 100)))
	}
	if err := errors.Join(err, wb.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := Manifest(dir)
	if err != nil || len(tables) != 1 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	return dir, tables[0]
}

func plain(o badger.Options) badger.Options  { return o.WithCompression(options.None) }
func snappy(o badger.Options) badger.Options { return o.WithCompression(options.Snappy) }
func encrypted(o badger.Options) badger.Options {
	return plain(o).WithEncryptionKey(bytes.Repeat([]byte{7}, 32)).WithIndexCacheSize(1 << 20)
}

func TestTables(t *testing.T) {
	for name, options := range map[string]func(badger.Options) badger.Options{"plain": plain, "snappy": snappy, "encrypted": encrypted} {
		_, table := database(t, options)
		whole, err := os.ReadFile(table.Path)
		if err != nil {
			t.Fatal(err)
		}
		first, last := extent{0, 100}, extent{0, 100}
		if all, ok := table.blocks(bytes.NewReader(whole), int64(len(whole))); !ok || !table.encrypted && len(all) < 3 {
			t.Fatalf("%s: blocks %v", name, all)
		} else if !table.encrypted {
			first, last = all[0], all[len(all)-1]
		}
		for _, c := range []struct {
			name    string
			damage  func(b []byte) []byte
			ends    string // what CheckEnds says of the table
			damaged int
			refused bool // by CheckBlocks
			blind   bool // not seen if it is encrypted
		}{
			{"whole", func(b []byte) []byte { return b }, "", 0, false, false},
			{"cut", func(b []byte) []byte { return b[:len(b)-1] }, "the end of table ", 1, true, false},
			{"empty", func([]byte) []byte { return nil }, "the end of table ", 1, true, false},
			{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }, "the end of table ", 1, true, false},
			{"index", func(b []byte) []byte { b[len(b)-40] ^= 1; return b }, "the end of table ", 1, true, false},
			{"first block", func(b []byte) []byte { b[first.at+first.n/2] ^= 1; return b }, "", 1, false, true},
			{"last block", func(b []byte) []byte { b[last.at+last.n/2] ^= 1; return b }, "the last block of table ", 1, true, true},
		} {
			if err := os.WriteFile(table.Path, c.damage(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.blind && table.encrypted {
				c.ends, c.damaged, c.refused = "", 0, false
			}
			if c.ends != "" {
				c.ends += table.Path
			}
			if err := table.CheckEnds(); errors.Is(err, ErrDamaged) != (c.ends != "") || err != nil && err.Error() != c.ends {
				t.Errorf("%s, %s: ends: %v", name, c.name, err)
			}
			if _, n, err := table.CheckBlocks(); n != c.damaged || errors.Is(err, ErrDamaged) != c.refused || !c.refused && err != nil {
				t.Errorf("%s, %s: %d blocks, %v", name, c.name, n, err)
			}
		}
		if err := os.Remove(table.Path); err != nil {
			t.Fatal(err)
		}
		if err := table.CheckEnds(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s, missing: ends: %v", name, err)
		}
		if _, _, err := table.CheckBlocks(); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s, missing: %v", name, err)
		}
	}
}

// Badger reads the number of entries before it looks at the CRC.
func TestEntriesBeyondTheBlock(t *testing.T) {
	for entries, want := range map[uint32]bool{2: true, 3: false} {
		block := binary.BigEndian.AppendUint32(make([]byte, 8), entries)
		block = binary.BigEndian.AppendUint32(block, 0) // no CRC
		_, plain := Table{}.checkBlock(block)
		_, snappy := Table{snappy: true}.checkBlock(s2.EncodeSnappy(nil, block))
		if plain != want || snappy != want {
			t.Errorf("%d entries: readable %v, with Snappy %v", entries, plain, snappy)
		}
	}
}

func TestManifest(t *testing.T) {
	if tables, err := Manifest(filepath.Join(t.TempDir(), "none")); len(tables) > 0 || err != nil {
		t.Errorf("no database: %v, %v", tables, err)
	}
	dir, _ := database(t, plain)
	path := filepath.Join(dir, badger.ManifestFilename)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for want, damage := range map[string]func() error{
		path + " ends within an entry": func() error { return os.Truncate(path, info.Size()-3) },
		"no " + path:                   func() error { return os.Rename(path, path+".away") },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := Manifest(dir); !errors.Is(err, ErrDamaged) || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
		os.Rename(path+".away", path) // where it was
	}
}
