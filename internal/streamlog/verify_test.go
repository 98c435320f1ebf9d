package streamlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// verified is what Verify says of a directory, and which of its streams it showed.
func verified(t *testing.T, dir string, key []byte) (found []string, shown map[ID][]byte, v Verified) {
	t.Helper()
	shown = map[ID][]byte{}
	v, err := Verify(t.Context(), dir, VerifyOptions{
		Scratch: t.TempDir(), EncryptionKey: key, Report: func(d Damage) { found = append(found, d.String()) },
		See: func(s Settling) error {
			id := s.Header().ID
			return ignoreDamage(s.History(func(e Entry) error {
				if e.Event != nil {
					shown[id] = append(shown[id], e.Event.Data...)
				}
				return nil
			}))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if int(v.Damages) != len(found) {
		t.Errorf("%d damages, %d were reported", v.Damages, len(found))
	}
	return found, shown, v
}

func ignoreDamage(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}

func TestVerifyWhole(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	for name, opts := range map[string]Options{"plain": {Retention: time.Hour}, "encrypted": {Retention: time.Hour, EncryptionKey: key}} {
		dir := t.TempDir()
		l := openLog(t, dir, opts)
		want := map[ID][]byte{}
		var streams []*Stream
		for i := range 10 {
			s := create(t, l)
			want[s.Header().ID] = appendEvents(t, s, 0, 30+i*20)
			if i%2 == 0 {
				finish(t, s)
			}
			streams = append(streams, s)
		}
		check := func(when, dir string, live bool, open uint64) {
			found, shown, v := verified(t, dir, opts.EncryptionKey)
			if len(found) > 0 || v.Live != live || v.Streams != 10 || v.Open != open {
				t.Errorf("%s, %s: %+v, %q", name, when, v, found)
			}
			for id, body := range want {
				if !bytes.Equal(shown[id], body) {
					t.Errorf("%s, %s: stream %s has %d bytes, not %d", name, when, id, len(shown[id]), len(body))
				}
			}
		}
		check("in use", dir, true, 5)
		check("killed", crash(t, dir), false, 5)
		for _, s := range streams {
			s.Release()
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		check("closed", dir, false, 5)
		if opts.EncryptionKey != nil {
			_, err := Verify(t.Context(), dir, VerifyOptions{Scratch: t.TempDir(), Report: func(d Damage) { t.Error(d) }})
			if err == nil || !strings.Contains(err.Error(), "another encryption key, or with none") {
				t.Errorf("without the key: %v", err)
			}
		}
	}
	if found, _, v := verified(t, t.TempDir(), nil); len(found) > 0 || v != (Verified{}) {
		t.Errorf("nothing there: %+v, %q", v, found)
	}
}

// Checksums are made anew here, by Badger, and of frames by us.
func TestVerifyFindsForgery(t *testing.T) {
	var id, other ID
	dir := t.TempDir()
	l := openLog(t, dir, Options{Retention: time.Hour})
	for _, p := range []*ID{&id, &other} {
		s := create(t, l)
		*p = s.Header().ID
		appendEvents(t, s, 0, 200)
		finish(t, s)
		s.Release()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		damage func(*badger.Txn) error
		want   string
	}{
		{"none", func(*badger.Txn) error { return nil }, ""},
		{"an edited event", func(txn *badger.Txn) error { return forgeBlock(txn, id) }, "stream " + id.String() + ", event 200"},
		{"a missing block", func(txn *badger.Txn) error { return deleteBlock(txn, id, false, 1) }, "stream " + id.String()},
		{"a missing group", func(txn *badger.Txn) error { return txn.Delete(journalKey(3)) }, "groups 3 to 3 of the journal are missing"},
		{"a missing summary", func(txn *badger.Txn) error { return txn.Delete(headKey(id)) }, "stream " + id.String() + ", event 0, byte 0: the journal has records of it"},
		{"another's summary", func(txn *badger.Txn) error { return moveValue(txn, headKey(other), headKey(id)) }, "summary of stream " + other.String()},
		{"not the caller's", func(txn *badger.Txn) error { return txn.Delete(principalKey(alice, id)) }, "it can't be found by its caller"},
		{"open again", func(txn *badger.Txn) error { return txn.Set(openKey(id), nil) }, "it has an end, and stands among those without"},
	} {
		forged := crash(t, dir)
		onlyBucket(t, forged, c.damage)
		found, _, v := verified(t, forged, nil)
		if (len(found) > 0) != (c.want != "") || !strings.Contains(strings.Join(found, "\n"), c.want) {
			t.Errorf("%s: %q, not %q; %+v", c.name, found, c.want, v)
		}
	}
}

// forgeBlock edits an event, and makes a block of it again.
func forgeBlock(txn *badger.Txn, id ID) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: append([]byte{prefixContent}, id[:]...)})
	defer it.Close()
	it.Rewind()
	item := it.Item()
	var blk block
	if err := value(item, func(v []byte) (err error) {
		blk, err = openBlock(v)
		return err
	}); err != nil {
		return err
	}
	var payload []byte
	for _, r := range blk.records {
		r.body = bytes.Replace(r.body, []byte("word 5"), []byte("WORD 5"), 1)
		payload = appendRecord(payload, r)
	}
	return txn.Set(item.KeyCopy(nil), appendBlock(nil, blk.from, blk.to, payload, false))
}

func moveValue(txn *badger.Txn, from, to []byte) error {
	item, err := txn.Get(from)
	if err != nil {
		return err
	}
	v, err := item.ValueCopy(nil)
	return errors.Join(err, txn.Set(to, v))
}

// A directory that nothing may be written to is read like any other.
func TestVerifyReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Options{Retention: time.Hour})
	s := create(t, l)
	appendEvents(t, s, 0, 50)
	image := crash(t, dir)
	s.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(image, func(path string, d os.DirEntry, err error) error {
		mode := os.FileMode(0o400)
		if err == nil && d.IsDir() {
			mode = 0o500
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
	if err != nil {
		t.Fatal(err)
	}
	if found, _, v := verified(t, image, nil); len(found) > 0 || v.Streams != 1 || v.Events != 50 {
		t.Errorf("%+v, %q", v, found)
	}
}

// Of two equal calls at once, the later one may be the first whose index is written.
func TestVerifyEqualCallsAtOnce(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Options{Retention: time.Hour})
	h := Header{Principal: alice, Key: Hash{2}, Fingerprint: Hash{3}, Provider: "openai", Dialect: "openai", Endpoint: "/v1/chat/completions", Model: "m"}
	var streams []*Stream
	for range 2 {
		s, err := l.Prepare(h, nil)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	for _, i := range []int{1, 0} {
		if err := streams[i].Open(); err != nil {
			t.Fatal(err)
		}
		finish(t, streams[i])
		streams[i].Release()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if found, _, v := verified(t, dir, nil); len(found) > 0 || v.Streams != 2 {
		t.Errorf("%+v, %q", v, found)
	}
}
