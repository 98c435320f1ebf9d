package badgerfile

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// image makes a database with a table, and with logs of what is in memory only, as a
// process leaves them that is killed.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	o := badger.DefaultOptions(dir).WithLogger(NewLogger(slog.New(slog.DiscardHandler))).WithCompression(options.None).
		WithMemTableSize(1 << 20).WithValueThreshold(1 << 10).WithValueLogFileSize(4 << 20)
	for range 2 {
		db, err := badger.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			err = errors.Join(err, db.Update(func(txn *badger.Txn) error {
				return errors.Join(txn.Set(fmt.Appendf(nil, "%04d", i), bytes.Repeat([]byte{'x'}, 50)), txn.Set(fmt.Appendf(nil, "v%04d", i), bytes.Repeat([]byte{'y'}, 2000)))
			}))
		}
		killed := filepath.Join(t.TempDir(), "killed")
		if err := errors.Join(err, os.CopyFS(killed, os.DirFS(dir)), db.Close()); err != nil {
			t.Fatal(err)
		}
		if tables, err := Manifest(killed); err != nil {
			t.Fatal(err)
		} else if len(tables) > 0 {
			return killed
		}
	}
	t.Fatal("no tables")
	return ""
}

func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %v, %v", pattern, all, err)
	}
	return all[len(all)-1]
}

func edit(change func([]byte) []byte) func(string) error {
	return func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, change(b), 0o600)
	}
}

func flipAt(at int) func(string) error {
	return edit(func(b []byte) []byte {
		b[at] ^= 1
		return b
	})
}

func TestCopy(t *testing.T) {
	for _, c := range []struct {
		name, file string
		damage     func(path string) error
		want       string // what is said of the file
		closed     bool
	}{
		{"nothing", "*.mem", func(string) error { return nil }, "", false},
		{"an entry of the write-ahead log", "*.mem", flipAt(3000), "can't be read from here on", false},
		{"its first entry's length", "*.mem", flipAt(logHeader + 3), "can't be read from here on", false},
		{"a byte behind its end", "*.mem", flipAt(1 << 20), ", byte 1048576: can't be read from here on", false},
		{"the key that it says", "*.mem", flipAt(7), ", byte 0: says that it is encrypted", false},
		{"most of it", "*.mem", func(path string) error { return os.Truncate(path, 5) }, ", byte 0: can't be read", false},
		{"a value", "*.vlog", flipAt(5000), "can't be read from here on", false},
		{"a table's block", "*.sst", flipAt(10), ", byte 0: a block of keys", false},
		{"a table", "*.sst", os.Remove, "missing, and the manifest lists it", true},
		{"the manifest", badger.ManifestFilename, flipAt(20), "damaged, so what it lists can't be told", true},
		{"no manifest", badger.ManifestFilename, os.Remove, "MANIFEST: missing", true},
		{"the key registry", badger.KeyRegistryFileName, flipAt(registryIV), ", byte 16: isn't what was written", true},
		{"a cut key registry", badger.KeyRegistryFileName, func(path string) error { return os.Truncate(path, 20) }, "isn't what was written", true},
		{"a length in the key registry", badger.KeyRegistryFileName, edit(func(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0) }), ", byte 28: isn't what was written", true},
	} {
		from := image(t)
		path := only(t, from, c.file)
		if err := c.damage(path); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "copy")
		s, err := Copy(t.Context(), from, to, false)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, d := range s.Damages {
			said = append(said, d.String())
		}
		if all := strings.Join(said, "\n"); (all == "") != (c.want == "") || !strings.Contains(all, path) && c.want != "" || !strings.Contains(all, c.want) || (s.Closed != nil) != c.closed {
			t.Errorf("%s: %q, closed by %v; want %q", c.name, said, s.Closed, c.want)
		}
		if s.Closed != nil {
			continue
		}
		db, err := badger.Open(badger.DefaultOptions(to).WithLogger(NewLogger(slog.New(slog.DiscardHandler))).WithMemTableSize(1 << 20).WithValueThreshold(1 << 10).WithValueLogFileSize(4 << 20))
		if err != nil {
			t.Errorf("%s: the copy can't be opened: %v", c.name, err)
			continue
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "LOCK")
	release, live, err := Hold(path)
	if live || err != nil {
		t.Fatalf("no lock file: %v, %v", live, err)
	}
	release()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if release, live, err = Hold(path); live || err != nil {
		t.Fatalf("free: %v, %v", live, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("it is not held: %v", err)
	}
	release()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Errorf("it is held still: %v", err)
	}
	if release, live, err = Hold(path); !live || err != nil {
		t.Errorf("taken: %v, %v", live, err)
	}
	release()
}

func TestCheckRoom(t *testing.T) {
	from := t.TempDir()
	if err := CheckRoom(from, t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := CheckRoom(from, filepath.Join(from, "none")); err == nil {
		t.Error("a directory that isn't there")
	}
}
