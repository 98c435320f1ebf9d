package streamlog

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func TestUnsettled(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	if ids := l.Unsettled(); len(ids) != 0 {
		t.Errorf("a fresh log has %v", ids)
	}
	var streams []*Stream
	for range 5 {
		s := create(t, l)
		appendEvents(t, s, 0, 100)
		streams = append(streams, s)
	}
	open, done, twice, later, never := streams[0], streams[1], streams[2], streams[3], streams[4]
	if err := open.Settled(); err == nil {
		t.Error("a stream without an end was settled")
	}
	for _, s := range []*Stream{never, later, twice, done} {
		finish(t, s)
	}
	for _, s := range []*Stream{done, twice, twice} {
		if err := s.Settled(); err != nil {
			t.Error(err)
		}
	}
	appendEvents(t, open, 100, 101) // what comes later takes the settling along
	if st := l.Stats(); st.Unsettled != 2 || len(l.Unsettled()) != 0 {
		t.Errorf("%d unsettled, of them %d from before", st.Unsettled, len(l.Unsettled()))
	}
	if err := twice.Settled(); err != nil {
		t.Error(err)
	}
	image := crash(t, dir)
	for _, s := range streams {
		s.Release()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for what, dir := range map[string]string{"closed": dir, "crashed": image} {
		want := []ID{later.header.ID, never.header.ID}
		for len(want) > 0 {
			l := openLog(t, dir, testOptions(t))
			if got := l.Unsettled(); !slices.Equal(got, want) || !slices.Equal(l.Unsettled(), want) {
				t.Fatalf("%s: unsettled %v, want %v", what, got, want)
			}
			for _, s := range l.Recovered() {
				s.Release()
			}
			s, err := l.ForBooks(want[0])
			if err != nil {
				t.Fatal(err)
			}
			if events, end := countHistory(t, s); events != 100 || end == nil || end.State != Completed {
				t.Errorf("%s: %d events, end %+v", what, events, end)
			}
			if err := errors.Join(s.Settled(), s.Settled()); err != nil {
				t.Error(err)
			}
			s.Release()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			want = want[1:]
		}
		l := openLog(t, dir, testOptions(t))
		if got := l.Unsettled(); len(got) != 0 {
			t.Errorf("%s: unsettled %v, all are settled", what, got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func countHistory(t *testing.T, s *Stream) (events int, end *End) {
	t.Helper()
	err := s.History(func(e Entry) error {
		if e.Event != nil {
			events++
		}
		if e.End != nil {
			end = e.End
		}
		return nil
	})
	if err != nil && s.Info().Damaged == nil || err == nil && s.Info().Damaged != nil {
		t.Errorf("history: %v, info: %v", err, s.Info().Damaged)
	}
	return events, end
}

// The books may have any stream, in memory or not.
func TestForBooksAsksForNoPrincipal(t *testing.T) {
	l := openLog(t, t.TempDir(), testOptions(t))
	defer l.Close()
	s, err := l.Create(Header{Principal: Hash{9}})
	if err != nil {
		t.Fatal(err)
	}
	same, err := l.ForBooks(s.header.ID)
	if err != nil || same != s {
		t.Errorf("while it streams: %v, %v", same, err)
	}
	finish(t, s)
	s.Release()
	same.Release()
	if s, err = l.ForBooks(s.header.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Mark(Mark{Kind: MarkKill}); err != nil {
		t.Error(err)
	}
	s.Release()
	if _, err := l.ForBooks(ID{1}); err != ErrNotFound {
		t.Errorf("unknown: %v", err)
	}
}

// warnings collects what a log has to say.
type warnings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *warnings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *warnings) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.text.String(), what)
}

// What has not been settled does not go, however long it has expired, and over a
// restart; and that is not kept secret.
func TestUnsettledKeepsItsBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const kept = "kept only for streams that are not settled"
		said := &warnings{}
		opts := testOptions(t)
		opts.Retention, opts.Logger = 4*time.Minute, slog.New(slog.NewTextHandler(said, nil))
		dir := t.TempDir()
		l := openLog(t, dir, opts)
		s := create(t, l)
		id := s.header.ID
		appendEvents(t, s, 0, 100)
		finish(t, s)
		s.Release()
		pass(2 * time.Minute)
		if n := said.count(kept); n != 0 {
			t.Errorf("%d warnings before it expired", n)
		}
		pass(8 * time.Minute)
		if n := said.count(kept); bucketsOnDisk(t, dir) != 2 || n != 1 {
			t.Errorf("%d buckets, %d warnings", bucketsOnDisk(t, dir), n)
		}
		pass(10 * time.Minute)
		if n := said.count(kept); n != 2 {
			t.Errorf("%d warnings ten minutes later", n)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, dir, opts)
		pass(15 * time.Minute)
		if _, err := l.Get(alice, id); err != ErrExpired {
			t.Errorf("for a reader: %v", err)
		}
		s, err := l.ForBooks(id)
		if err != nil {
			t.Fatal(err)
		}
		if events, end := countHistory(t, s); events != 100 || end == nil {
			t.Errorf("%d events, end %v", events, end)
		}
		if err := s.Settled(); err != nil {
			t.Error(err)
		}
		s.Release()
		pass(10 * time.Minute)
		if n := bucketsOnDisk(t, dir); n != 1 {
			t.Errorf("%d buckets after it was settled", n)
		}
		if err := s.Settled(); err != nil { // by who forgot that it did
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// damagedForBooks spoils an ended stream of 500 events, two attempts and a head,
// and returns what the books get.
func damagedForBooks(t *testing.T, spoil func(*badger.Txn, ID) error) (*Log, *warnings, ID) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s := create(t, l)
	if err := errors.Join(s.Attempt(Attempt{Number: 2, Started: time.Now()}), s.SetHead(Head{Attempt: 2, Status: 200, RequestID: "req"})); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, s, 0, 500)
	finish(t, s)
	s.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	onlyBucket(t, dir, func(txn *badger.Txn) error { return spoil(txn, s.header.ID) })
	said := &warnings{}
	opts := testOptions(t)
	opts.Logger = slog.New(slog.NewTextHandler(said, nil))
	l = openLog(t, dir, opts)
	if ids := l.Unsettled(); len(ids) != 1 || ids[0] != s.header.ID {
		t.Errorf("unsettled %v", ids)
	}
	return l, said, s.header.ID
}

func deleteBlock(txn *badger.Txn, id ID, reverse bool, n int) error {
	it := txn.NewIterator(badger.IteratorOptions{Reverse: reverse, Prefix: append([]byte{prefixContent}, id[:]...)})
	defer it.Close()
	if it.Rewind(); reverse {
		it.Seek(contentKey(id, 1<<63, 1<<63))
	}
	for range n {
		it.Next()
	}
	return txn.Delete(it.Item().KeyCopy(nil))
}

// Who has to settle a damaged stream gets what is left of it.
func TestDamagedForBooks(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(*badger.Txn, ID) error
		end   State
		some  bool // of the events
	}{
		"last block": {func(txn *badger.Txn, id ID) error { return deleteBlock(txn, id, true, 0) }, Completed, true},
		"all blocks": {deleteBlocks, Completed, false},
		"last block unreadable": {func(txn *badger.Txn, id ID) error {
			it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: append([]byte{prefixContent}, id[:]...)})
			defer it.Close()
			it.Seek(contentKey(id, 1<<63, 1<<63))
			return txn.Set(it.Item().KeyCopy(nil), []byte{1})
		}, Completed, true},
		"end": {func(txn *badger.Txn, id ID) error {
			return txn.Set(headKey(id), []byte(`{"header":{"id":"`+id.String()+`","principal":"`+alice.String()+`","model":"m"},"head":{"request_id":"req"},"retries":[{"number":2}]}`))
		}, Interrupted, true},
	} {
		t.Run(what, func(t *testing.T) {
			l, _, id := damagedForBooks(t, c.spoil)
			s, err := l.ForBooks(id)
			if err != nil {
				t.Fatal(err)
			}
			i := s.Info()
			if !errors.Is(i.Damaged, ErrDamaged) || i.Header.Model != "m" || i.Head == nil || i.Head.RequestID != "req" || len(i.Attempts) != 2 || i.State != c.end || i.End == nil {
				t.Errorf("info %+v", i)
			}
			var events uint64
			if err := s.History(func(e Entry) error {
				if e.Event != nil {
					events++
				}
				return nil
			}); !errors.Is(err, ErrDamaged) {
				t.Errorf("history: %v", err)
			}
			if events != i.Events || (events > 0) != c.some {
				t.Errorf("%d events in the history, %d as by info", events, i.Events)
			}
			if _, err := l.Get(alice, id); !errors.Is(err, ErrDamaged) {
				t.Errorf("for a reader: %v", err)
			}
			if _, err := s.Attach(Attachment{Via: "id"}); !errors.Is(err, ErrDamaged) {
				t.Errorf("attach: %v", err)
			}
			if err := s.Append([]Event{{Data: []byte("x")}}); err != ErrEnded {
				t.Errorf("append: %v", err)
			}
			if err := s.Settled(); err != nil {
				t.Error(err)
			}
			s.Release()
			create(t, l).Release() // the writer has seen the release
			if st := l.Stats(); st.Unsettled != 0 || st.Streams != 1 || len(l.Unsettled()) != 0 {
				t.Errorf("left: %+v", st)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A hole in the middle is found by who reads there.
func TestHoleForBooks(t *testing.T) {
	l, _, id := damagedForBooks(t, func(txn *badger.Txn, id ID) error { return deleteBlock(txn, id, false, 2) })
	defer l.Close()
	s, err := l.ForBooks(id)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	n := 0
	err = s.History(func(Entry) error { n++; return nil })
	if !errors.Is(err, ErrDamaged) || n == 0 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// Without a summary there is nothing to book, and nothing to wait for.
func TestNothingLeftForBooks(t *testing.T) {
	for what, spoil := range map[string]func(*badger.Txn, ID) error{
		"no summary":         func(txn *badger.Txn, id ID) error { return txn.Delete(headKey(id)) },
		"unreadable summary": func(txn *badger.Txn, id ID) error { return txn.Set(headKey(id), []byte("{")) },
	} {
		l, said, id := damagedForBooks(t, spoil)
		if s, err := l.ForBooks(id); s != nil || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, %v", what, s, err)
		}
		if said.count("damaged beyond recovery: no books will have it") != 1 || len(l.Unsettled()) != 0 || l.Stats().Unsettled != 0 {
			t.Errorf("%s: unsettled %v, said %s", what, l.Unsettled(), said.text.String())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
