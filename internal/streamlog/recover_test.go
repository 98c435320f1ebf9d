package streamlog

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// image is what a crash left of streams whose records are in the journal alone:
// groups 1 to 3 hold the beginnings of streams 0, 1, 2; then each append has a
// group of its own.
type image struct {
	dir string
	ids []ID
}

// journalOnly makes streams and appends one event to streams[i] per i of order.
func journalOnly(t *testing.T, order ...int) image {
	t.Helper()
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	defer l.Close()
	var im image
	var streams []*Stream
	for range 3 {
		s := create(t, l)
		streams, im.ids = append(streams, s), append(im.ids, s.Header().ID)
	}
	for _, i := range order {
		if err := streams[i].Append([]Event{{Data: []byte{'a' + byte(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	im.dir = crash(t, dir)
	for _, s := range streams {
		s.Release()
	}
	return im
}

// recovered opens the image and returns what became of its streams, by number.
func (im image) recovered(t *testing.T) (l *Log, streams [3]*Stream) {
	t.Helper()
	l = openLog(t, im.dir, testOptions(t))
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, s := range l.Recovered() {
		for i, id := range im.ids {
			if s.Header().ID == id {
				streams[i] = s
			}
		}
	}
	return l, streams
}

func TestDamagedGroup(t *testing.T) {
	spoil := func(group uint64) func(*badger.Txn) error {
		return func(txn *badger.Txn) error { return txn.Set(journalKey(group), bytes.Repeat([]byte{1}, 2000)) }
	}
	remove := func(group uint64) func(*badger.Txn) error {
		return func(txn *badger.Txn) error { return txn.Delete(journalKey(group)) }
	}
	const whole, maybe, lost = "whole", "nothing says that it lost nothing", "a gap"
	for what, c := range map[string]struct {
		do   func(*badger.Txn) error
		want [3]string
		body [3]string
	}{
		"nothing":                  {remove(100), [3]string{whole, whole, whole}, [3]string{"aa", "b", "c"}},
		"a group, damaged":         {spoil(5), [3]string{whole, maybe, whole}, [3]string{"aa", "", "c"}},
		"a group, missing":         {remove(5), [3]string{whole, maybe, whole}, [3]string{"aa", "", "c"}},
		"a group with a later one": {spoil(4), [3]string{lost, whole, whole}, [3]string{"", "b", "c"}},
		"the last group, damaged":  {spoil(7), [3]string{maybe, maybe, maybe}, [3]string{"a", "b", "c"}},
	} {
		t.Run(what, func(t *testing.T) {
			im := journalOnly(t, 0, 1, 2, 0) // groups 4 to 7
			onlyBucket(t, im.dir, c.do)
			l, streams := im.recovered(t)
			for i, s := range streams {
				got, err := readAllCut(s)
				if info := s.Info(); err != ErrWait || string(got) != c.body[i] || (info.Damaged != nil) != (c.want[i] != whole) ||
					info.Damaged != nil && !errors.Is(info.Damaged, ErrDamaged) {
					t.Errorf("stream %d: %q, %v, %v; want %q, %s", i, got, err, info.Damaged, c.body[i], c.want[i])
				}
				finish(t, s)
				s.Release()
				if s, err = l.Get(alice, im.ids[i]); err != nil {
					t.Fatal(err)
				}
				s.Release()
			}
		})
	}
}

// An end is never lost without notice: the summary says how much there was.
func TestDamagedGroupOfAnEndedStream(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s := create(t, l) // group 1
	id := s.Header().ID
	appendEvents(t, s, 0, 5) // groups 2 to 6
	bystander := create(t, l)
	appendEvents(t, bystander, 0, 1)
	finish(t, s)
	im := image{dir: crash(t, dir), ids: []ID{id}}
	s.Release()
	bystander.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	onlyBucket(t, im.dir, func(txn *badger.Txn) error {
		return errors.Join(txn.Delete(journalKey(4)), deleteBlocks(txn, id))
	})
	l, _ = im.recovered(t)
	if _, err := l.Get(alice, id); !errors.Is(err, ErrDamaged) {
		t.Errorf("get: %v", err)
	}
	infos, err := l.List(alice, ID{}, 0, func(Info) bool { return true })
	if err != nil || len(infos) != 2 {
		t.Errorf("list: %d, %v", len(infos), err)
	}
}

func deleteBlocks(txn *badger.Txn, id ID) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: append([]byte{prefixContent}, id[:]...)})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := txn.Delete(it.Item().KeyCopy(nil)); err != nil {
			return err
		}
	}
	return nil
}

// A block that can't be read is written again from the journal, if that still has
// it; else the stream is damaged. Its neighbours are not.
func TestDamagedBlock(t *testing.T) {
	for _, journal := range []bool{true, false} {
		dir := t.TempDir()
		l := openLog(t, dir, testOptions(t))
		s, neighbour := create(t, l), create(t, l)
		id := s.Header().ID
		want := appendEvents(t, s, 0, 200)
		wantNeighbour := appendEvents(t, neighbour, 0, 200)
		dir2 := crash(t, dir)
		s.Release()
		neighbour.Release()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		onlyBucket(t, dir2, func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: append([]byte{prefixContent}, id[:]...)})
			defer it.Close()
			it.Seek(contentKey(id, 1<<63, 1<<63))
			if !it.Valid() {
				t.Fatal("no block")
			}
			err := txn.Set(it.Item().KeyCopy(nil), bytes.Repeat([]byte{1}, 2000))
			if !journal {
				err = errors.Join(err, txn.Set(metaCheckpoint, append(make([]byte, 7), 250, 0, 0, 0, 0, 0, 0, 0, 0)))
			}
			return err
		})
		l = openLog(t, dir2, testOptions(t))
		for _, s := range l.Recovered() {
			got, err := readAllCut(s)
			damaged := s.Info().Damaged
			switch {
			case s.Header().ID != id:
				if !bytes.Equal(got, wantNeighbour) || err != ErrWait || damaged != nil {
					t.Errorf("neighbour: %d of %d bytes, %v, %v", len(got), len(wantNeighbour), err, damaged)
				}
			case journal:
				if !bytes.Equal(got, want) || err != ErrWait || damaged != nil {
					t.Errorf("healed: %d of %d bytes, %v, %v", len(got), len(want), err, damaged)
				}
			default:
				if !errors.Is(damaged, ErrDamaged) || !bytes.HasPrefix(want, got) || len(got) == 0 {
					t.Errorf("damaged: %d of %d bytes, %v, %v", len(got), len(want), err, damaged)
				}
			}
			s.Release()
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A summary that can't be read costs its stream, and nothing else.
func TestDamagedSummary(t *testing.T) {
	im := journalOnly(t, 0, 1, 2)
	onlyBucket(t, im.dir, func(txn *badger.Txn) error {
		return errors.Join(txn.Set(headKey(im.ids[0]), []byte("{")), txn.Delete(headKey(im.ids[1])))
	})
	l, streams := im.recovered(t)
	if streams[0] != nil || streams[1] != nil || streams[2] == nil || streams[2].Info().Events != 1 {
		t.Fatalf("recovered %v", streams)
	}
	if _, err := l.Get(alice, im.ids[0]); !errors.Is(err, ErrDamaged) {
		t.Errorf("get: %v", err)
	}
	infos, err := l.List(alice, ID{}, 0, func(Info) bool { return true })
	if err != nil || len(infos) != 3 || infos[0].Damaged != nil || !errors.Is(infos[1].Damaged, ErrDamaged) || !errors.Is(infos[2].Damaged, ErrDamaged) {
		t.Errorf("list: %+v, %v", infos, err)
	}
	finish(t, streams[2])
	streams[2].Release()
}

// A checkpoint that can't be read costs time only.
func TestDamagedCheckpoint(t *testing.T) {
	im := journalOnly(t, 0, 1, 2, 0)
	onlyBucket(t, im.dir, func(txn *badger.Txn) error { return txn.Set(metaCheckpoint, []byte{1}) })
	_, streams := im.recovered(t)
	for i, want := range []string{"aa", "b", "c"} {
		if got, err := readAllCut(streams[i]); err != ErrWait || string(got) != want || streams[i].Info().Damaged != nil {
			t.Errorf("stream %d: %q, %v", i, got, err)
		}
		streams[i].Release()
	}
}

// A block in the middle that is gone is found by who reads there.
func TestMissingBlockInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s := create(t, l)
	id := s.Header().ID
	want := appendEvents(t, s, 0, 500)
	finish(t, s)
	s.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	onlyBucket(t, dir, func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: append([]byte{prefixContent}, id[:]...)})
		defer it.Close()
		it.Rewind()
		it.Next()
		it.Next()
		return txn.Delete(it.Item().KeyCopy(nil))
	})
	l = openLog(t, dir, testOptions(t))
	defer l.Close()
	s, err := l.Get(alice, id)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	if got, err := readAllCut(s); !errors.Is(err, ErrDamaged) || !bytes.HasPrefix(want, got) {
		t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
	}
	if got, err := readAll(t, s, 450); err != io.EOF || !bytes.HasSuffix(want, got) || len(got) == 0 {
		t.Errorf("behind the damage: %d bytes, %v", len(got), err)
	}
	if err := s.History(func(Entry) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Errorf("history: %v", err)
	}
}

// An end that is lost, while the rest is there, is not taken for a stream that is
// still going on.
func TestLostEnd(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s := create(t, l)
	id := s.Header().ID
	appendEvents(t, s, 0, 5)
	s.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	onlyBucket(t, dir, func(txn *badger.Txn) error { return txn.Delete(openKey(id)) })
	l = openLog(t, dir, testOptions(t))
	defer l.Close()
	if _, err := l.Get(alice, id); !errors.Is(err, ErrDamaged) {
		t.Errorf("get: %v", err)
	}
	infos, err := l.List(alice, ID{}, 0, func(Info) bool { return true })
	if err != nil || len(infos) != 1 || !errors.Is(infos[0].Damaged, ErrDamaged) {
		t.Errorf("list: %+v, %v", infos, err)
	}
}
