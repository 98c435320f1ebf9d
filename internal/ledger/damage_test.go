package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// written makes books of twelve attempts, the third of which was revised, and
// closes them.
func written(t testing.TB) (dir string) {
	dir = t.TempDir()
	l := open(t, dir)
	for n := 1; n <= 12; n++ {
		post(t, l, example(n))
	}
	post(t, l, revised(3, 1)) // entries 25 to 27
	if posted, err := l.PostMiss(Miss{Stream: stream(99), Provider: "openai", Model: "gpt-5.5", Reason: "ended", At: example(1).Attempt.At}); !posted || err != nil {
		t.Fatal(posted, err)
	}
	if posted, err := l.PostUnexplained(Unexplained{Provider: "openai", Day: "2026-11-23", Amount: 5}); !posted || err != nil {
		t.Fatal(posted, err)
	}
	shut(t, l)
	return dir
}

// findings is what Verify says of books that nobody has open.
func findings(t *testing.T, dir string) []string {
	t.Helper()
	before := files(t, dir)
	l, err := OpenReadOnly(dir, Options{Logger: quiet})
	if err != nil {
		return []string{"open: " + err.Error()}
	}
	var found []string
	_, err = l.Verify(context.Background(), func(d Damage) { found = append(found, d.String()) })
	if (len(found) > 0) != errors.Is(err, ErrDamaged) || len(found) == 0 && err != nil {
		t.Errorf("%d findings, error %v", len(found), err)
	}
	if _, err := l.Post(example(50)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("post: %v", err)
	}
	shut(t, l)
	if after := files(t, dir); !slices.Equal(before, after) {
		t.Errorf("verifying changed files: %v, were %v", after, before)
	}
	return found
}

// files lists a directory's files, their sizes and times.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "LOCK") { // Badger's, made anew each time
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, fmt.Sprint(path, info.Size(), info.ModTime()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// change edits the value of a key.
func change(key []byte, from, to string) func(*badger.Txn) error {
	return func(txn *badger.Txn) error {
		v, err := get(txn, key)
		if err != nil || !bytes.Contains(v, []byte(from)) {
			return fmt.Errorf("%q is not in %q: %w", from, v, err)
		}
		return txn.Set(key, bytes.Replace(v, []byte(from), []byte(to), 1))
	}
}

func remove(keys ...[]byte) func(*badger.Txn) error {
	return func(txn *badger.Txn) (err error) {
		for _, key := range keys {
			if v, err2 := get(txn, key); v == nil || err2 != nil {
				return fmt.Errorf("key %x isn't there: %w", key, err2)
			}
			err = errors.Join(err, txn.Delete(key))
		}
		return err
	}
}

// rehash edits an entry as someone does who knows how the hash is made.
func rehash(seq uint64, from, to string) func(*badger.Txn) error {
	return func(txn *badger.Txn) error {
		before, err := get(txn, entryKey(seq-1))
		if err != nil {
			return err
		}
		prev, _, _ := cutEntry(before)
		v, err := get(txn, entryKey(seq))
		if err != nil {
			return err
		}
		_, body, _ := cutEntry(v)
		body = bytes.ReplaceAll(body, []byte(from), []byte(to))
		h := chain(prev, seq, body)
		return txn.Set(entryKey(seq), append(h[:], body...))
	}
}

// prefixed sets what is stored under the only key with this prefix.
func prefixed(prefix string, value []byte) func(*badger.Txn) error {
	return func(txn *badger.Txn) error {
		var keys [][]byte
		err := eachIn(txn, scan{prefix: []byte(prefix)}, func(key, _ []byte) error {
			keys = append(keys, bytes.Clone(key))
			return nil
		})
		if err != nil || len(keys) == 0 {
			return fmt.Errorf("no key with %q: %w", prefix, err)
		}
		if value == nil {
			return txn.Delete(keys[0])
		}
		return txn.Set(keys[0], value)
	}
}

// TestDamage damages books that nobody has open, in every way that keeps Badger
// content, and looks at who notices.
func TestDamage(t *testing.T) {
	third := example(3).Attempt
	for _, c := range []struct {
		name   string
		damage func(*badger.Txn) error
		want   string // in what Verify says
		open   string // in what Open says; "": the head is fine and so it opens
	}{
		{"lost tail", remove(entryKey(29), entryKey(28)), "entry 28: 2 entries at the end are lost: the anchor is at entry 29",
			"2 entries at the end are lost: the anchor is at entry 29, the last one here is 27"},
		{"edited row", change(entryKey(6), `"t":600`, `"t":601`), "entry 6, attempt " + third.ID().String() + ": it, its hash or the hash before", "entry 6, "},
		{"edited row and hash", rehash(6, `"t":600`, `"t":601`), "entry 6, attempt " + third.ID().String() + ": doesn't balance: 1 tokens", "entry 7, "},
		{"edited last row and hash", rehash(29, `"p":5`, `"p":6`), "entry 29", "entry 29 isn't the one that was anchored"},
		{"deleted row", remove(entryKey(6)), "entry 6: missing", "entries 6 to 6 are missing"},
		{"first rows deleted", remove(entryKey(1), entryKey(2)), "entry 1: missing, as are all up to 2", "entries 1 to 2 are missing"},
		{"short row", func(txn *badger.Txn) error { return txn.Set(entryKey(6), []byte("x")) }, "entry 6: has 1 bytes", "with 1 bytes"},
		{"row that is no entry", rehash(6, `"k"`, `k`), "entry 6: ledger: damaged: entry: invalid character", "entry 7, "},
		{"edited total", prefixed("Co", tally{count: 7}.encode()), `total ["Co`, ""},
		{"deleted total", prefixed("Co", nil), `total ["Co`, ""},
		{"edited balance", prefixed("B", tally{count: 7}.encode()), `total ["B`, ""},
		{"unreadable total", prefixed("Co", []byte("x")), "tally", "tally"},
		{"deleted record", remove(attemptKey(third.ID())), "attempt " + third.ID().String() + ": revision 0, of 0 in", ""},
		{"edited record", func(txn *badger.Txn) error {
			return txn.Set(attemptKey(third.ID()), record{{bill: 5, outcomes: 6}}.encode())
		}, "attempt " + third.ID().String() + ": the attempt's record has no reversal for revision 0", ""},
		{"record of nothing", func(txn *badger.Txn) error {
			return txn.Set(attemptKey(AttemptID{stream(70), 1}), record{{bill: 5}}.encode())
		}, "entries of attempts: 27 in the chain, 28 in the index", ""},
		{"deleted time", remove(acceptedKey(millis(third.At), third.ID())), "entry 5, attempt " + third.ID().String() + ": can't be found by its key", ""},
		{"deleted request id", remove(requestKey("openai", "req_3", third.ID())), "entry 5, attempt " + third.ID().String() + ": can't be found", ""},
		{"another request id", func(txn *badger.Txn) error { return txn.Set(requestKey("openai", "req_0", third.ID()), nil) }, "attempts by request id: 12 in the chain, 13", ""},
		{"deleted miss", remove(missKey(stream(99))), "can't be found by its key", ""},
		{"deleted unexplained", remove(textKey(prefixUnexplained, "openai", "", "", "2026-11-23")), "unexplained amounts: the chain has 1", ""},
		{"a bill twice", twice(third.ID()), "the attempt has another bill for revision 0: entry 5", "30, "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := written(t)
			edit(t, dir, c.damage)
			found := findings(t, dir)
			if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("verify says %q, not %q", found, c.want)
			}
			l, err := Open(dir, Options{Logger: quiet})
			if err == nil {
				shut(t, l)
			}
			if c.open == "" != (err == nil) || err != nil && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.open)) {
				t.Errorf("open: %v", err)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		if found := findings(t, written(t)); len(found) > 0 {
			t.Error(found)
		}
	})
}

// twice appends a well-made second copy of an attempt's first bill to the chain.
func twice(id AttemptID) func(*badger.Txn) error {
	return func(txn *badger.Txn) error {
		r, err := readRecord(txn, id)
		if err != nil {
			return err
		}
		v, err := get(txn, entryKey(r[0].bill))
		if err != nil {
			return err
		}
		head, err := lastEntry(txn)
		if err != nil {
			return err
		}
		_, body, _ := cutEntry(v)
		h := Hash{1} // its maker doesn't even know the hash
		return txn.Set(entryKey(head.Seq+1), append(h[:], body...))
	}
}

func TestAnchor(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(path string) error
		verify string // what Verify says; "": nothing
		open   string // what Open says; "": it opens
		redo   string // what Open with Reanchor says
	}{
		{"missing", os.Remove, "no anchor", "29 entries, and no anchor in ", ""},
		{"empty", func(path string) error { return os.Truncate(path, 0) }, "no anchor", "29 entries, and no anchor in ", ""},
		{"both slots", func(path string) error { return errors.Join(scribble(path, 30), scribble(path, slotStride+30)) },
			"neither of its slots can be read", "neither of its slots can be read", ""},
		{"one slot", func(path string) error { return scribble(path, 30) }, "", "", ""},
		{"the other slot", func(path string) error { return scribble(path, slotStride+30) }, "", "", ""},
		{"ahead", func(path string) error { return forge(path, Head{Seq: 40}) }, "11 entries at the end are lost",
			"11 entries at the end are lost: the anchor is at entry 40, the last one here is 29", "11 entries"},
		{"another chain's", func(path string) error { return forge(path, Head{Seq: 29, Hash: Hash{1}}) }, "entry 29: isn't the one that was anchored",
			"entry 29 isn't the one that was anchored", "entry 29 isn't"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := written(t)
			if err := c.damage(filepath.Join(dir, anchorName)); err != nil {
				t.Fatal(err)
			}
			if found := strings.Join(findings(t, dir), "\n"); (found == "") != (c.verify == "") || !strings.Contains(strings.ReplaceAll(found, ", attempt 00000000000000000000000000000000/0", ""), c.verify) {
				t.Errorf("verify: %s", found)
			}
			opens(t, dir, false, c.open)
			opens(t, dir, true, c.redo)
			if c.redo == "" {
				opens(t, dir, false, "")
			}
		})
	}
}

// opens opens a directory for writing, and looks at the error.
func opens(t *testing.T, dir string, reanchor bool, want string) {
	t.Helper()
	l, err := Open(dir, Options{Logger: quiet, Reanchor: reanchor})
	if err == nil {
		verify(t, l)
		shut(t, l)
	}
	if (want == "") != (err == nil) || err != nil && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want)) {
		t.Errorf("open, reanchor %v: %v", reanchor, err)
	}
}

// scribble turns a byte of a file into another.
func scribble(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[at] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// forge writes a well-made anchor.
func forge(path string, h Head) error { return os.WriteFile(path, encodeSlot(h), 0o600) }

func TestNoDatabase(t *testing.T) {
	dir := written(t)
	if err := os.RemoveAll(filepath.Join(dir, databaseName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{Logger: quiet}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "the anchor is at entry 29, and there is no database") {
		t.Error(err)
	}
	if _, err := OpenReadOnly(dir, Options{Logger: quiet}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A process that was killed while it made the database leaves nothing of worth.
func TestHalfMadeDatabase(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, databaseName)
	if err := errors.Join(os.MkdirAll(db, 0o700), os.WriteFile(filepath.Join(db, badger.ManifestFilename), []byte("Bd"), 0o600),
		os.WriteFile(db+suffixMaking, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	post(t, open(t, dir), example(1))
}

// TestEveryEditIsFound turns one bit of one value, wherever that is, or removes a
// key.
func TestEveryEditIsFound(t *testing.T) {
	dir := written(t)
	edits := 60
	if os.Getenv("RECOUP_FULL") != "" {
		edits = 1000
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range edits {
		var key, value []byte
		edit(t, dir, func(txn *badger.Txn) error {
			var keys [][]byte
			if err := eachIn(txn, scan{}, func(key, _ []byte) error { keys = append(keys, bytes.Clone(key)); return nil }); err != nil {
				return err
			}
			key = keys[r.IntN(len(keys))]
			var err error
			if value, err = get(txn, key); err != nil {
				return err
			}
			if i%4 == 0 || len(value) == 0 {
				return txn.Delete(key)
			}
			bad := bytes.Clone(value)
			bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			return txn.Set(key, bad)
		})
		if l, err := OpenReadOnly(dir, Options{Logger: quiet}); err == nil {
			if _, err := l.Verify(t.Context(), nil); !errors.Is(err, ErrDamaged) {
				t.Errorf("edit %d, key %q, was %q: %v", i, key, value, err)
			}
			shut(t, l)
		}
		edit(t, dir, func(txn *badger.Txn) error { return txn.Set(key, value) })
	}
	if found := findings(t, dir); len(found) > 0 {
		t.Error(found)
	}
}
