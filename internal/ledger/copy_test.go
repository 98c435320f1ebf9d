package ledger

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// copied is what is found wrong with a copy of a directory's books.
func copied(t *testing.T, dir string) (found []string, r Report, c Copied) {
	t.Helper()
	before := files(t, dir)
	l, c, err := OpenCopy(t.Context(), dir, t.TempDir(), Options{Logger: quiet})
	for _, d := range c.Damages {
		found = append(found, d.String())
	}
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		return append(found, err.Error()), r, c
	}
	r, err = l.Verify(context.Background(), func(d Damage) { found = append(found, d.String()) })
	if err != nil && !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	copies := l.dir
	shut(t, l)
	if _, err := os.Stat(copies); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy is left: %v", err)
	}
	if after := files(t, dir); !slices.Equal(before, after) {
		t.Errorf("files changed: %v, were %v", after, before)
	}
	return found, r, c
}

func swap(a, b uint64) func(*badger.Txn) error {
	return func(txn *badger.Txn) error {
		x, err := get(txn, entryKey(a))
		y, err2 := get(txn, entryKey(b))
		return errors.Join(err, err2, txn.Set(entryKey(a), y), txn.Set(entryKey(b), x))
	}
}

// Badger makes the checksums of what is edited here.
func TestCopyFindsForgery(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(*badger.Txn) error
		want   string
	}{
		{"none", func(*badger.Txn) error { return nil }, ""},
		{"swapped entries", swap(5, 7), "entry 5, attempt "},
		{"deleted entry", remove(entryKey(6)), "entry 6: missing"},
		{"forged entry, checksum and hash made anew", rehash(6, `"t":600`, `"t":601`), "entry 7, "},
		{"forged last entry", rehash(29, `"p":5`, `"p":6`), "entry 29: isn't the one that was anchored"},
	} {
		dir := written(t)
		edit(t, dir, c.damage)
		found, r, _ := copied(t, dir)
		if (len(found) > 0) != (c.want != "") || !strings.Contains(strings.Join(found, "\n"), c.want) {
			t.Errorf("%s: %q, not %q", c.name, found, c.want)
		}
		if c.want == "" && (r.Entries != 29 || r.Attempts != 12) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// image copies what a process that dies now would leave.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Cut at any place, the books lack what the anchor knows of, or a file says that it
// is cut.
func TestCopyFindsCutTail(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for n := range 40 {
		post(t, l, example(n+1))
	}
	live := image(t, dir)
	shut(t, l)
	for _, base := range []string{live, dir} {
		if found, r, _ := copied(t, base); len(found) > 0 || r.Entries != 80 {
			t.Fatalf("%q, %+v", found, r)
		}
		paths, err := filepath.Glob(filepath.Join(base, databaseName, "*.*"))
		if err != nil {
			t.Fatal(err)
		}
		cuts := 0
		for _, path := range append(paths, filepath.Join(base, databaseName, badger.ManifestFilename)) {
			if ext := filepath.Ext(path); ext == ".vlog" {
				continue // nothing is in it
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			written := len(strings.TrimRight(string(content), "\x00"))
			for _, at := range []int{0, 1, written / 3, written / 2, written - 100, written - 1} {
				if at < 0 {
					continue
				}
				cut := image(t, base)
				rel, _ := filepath.Rel(base, path)
				if err := os.Truncate(filepath.Join(cut, rel), int64(at)); err != nil {
					t.Fatal(err)
				}
				cuts++
				if found, _, _ := copied(t, cut); len(found) == 0 {
					t.Errorf("%s cut to %d of %d bytes: nothing is found", rel, at, written)
				}
			}
		}
		if cuts < 6 {
			t.Errorf("only %d cuts", cuts)
		}
	}
}

func TestCopyOfBooksInUse(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	post(t, l, example(1))
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found, r, c := copied(t, dir)
	if len(found) > 0 || !c.Live || r.Entries != 2 || r.Anchor != r.Head {
		t.Errorf("%q, %+v, %+v", found, r, c)
	}
	post(t, l, example(2))
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Errorf("%v, %v", after, err)
	}
}

func TestCopyOfNothing(t *testing.T) {
	if _, _, err := OpenCopy(t.Context(), t.TempDir(), t.TempDir(), Options{Logger: quiet}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
