package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

func TestParallelPostsShareSyncs(t *testing.T) {
	var mu sync.Mutex
	var commits []Commit
	l, err := Open(t.TempDir(), Options{Logger: quiet, OnCommit: func(c Commit) {
		mu.Lock()
		defer mu.Unlock()
		commits = append(commits, c)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, l)
	const workers, each = 32, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if _, err := l.Post(example(1 + w*each + i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	postings, entries := 0, 0
	for _, c := range commits {
		postings += c.Postings
		entries += c.Entries
		if c.Duration <= 0 || c.Bytes == 0 {
			t.Errorf("%+v", c)
		}
	}
	if postings != workers*each || entries != 2*workers*each || len(commits) > workers*each/2 {
		t.Errorf("%d postings and %d entries in %d commits", postings, entries, len(commits))
	}
	t.Logf("%d postings in %d commits", postings, len(commits))
	if r := verify(t, l); r.Attempts != workers*each {
		t.Errorf("%+v", r)
	}
}

func TestSamePostingAtOnce(t *testing.T) {
	l := open(t, t.TempDir())
	var wg sync.WaitGroup
	var mu sync.Mutex
	won, refused := 0, 0
	for i := range 40 {
		wg.Go(func() {
			p := example(1)
			if i%2 == 1 {
				p = resumed(1)
			}
			posted, err := l.Post(p)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case posted:
				won++
			case errors.Is(err, ErrPosted):
				refused++
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || refused != 20 || l.Head().Seq != 2 {
		t.Errorf("%d posted, %d refused, head %v", won, refused, l.Head())
	}
	verify(t, l)
}

func TestClosed(t *testing.T) {
	l := open(t, t.TempDir())
	post(t, l, example(1))
	started, done := make(chan struct{}), make(chan error)
	go func() {
		first := true
		done <- l.Attempts(context.Background(), 0, func(Row) error {
			if first {
				close(started)
				<-l.closing // another call meanwhile must not wait for Close
			}
			first = false
			_, err := l.Get(stream(1), 1)
			return err
		})
	}()
	<-started
	shut(t, l)
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	shut(t, l)
	if _, err := l.Post(example(2)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := l.Verify(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestFailedCommitIsTheLast(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	post(t, l, example(1))
	if err := l.anchor.f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Post(example(2)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := l.Post(example(3)); !errors.Is(err, os.ErrClosed) || l.Stats().Err == nil {
		t.Errorf("%v", err)
	}
	if err := l.Close(); !errors.Is(err, os.ErrClosed) { // of the file that was closed under it
		t.Error(err)
	}
	l = open(t, dir) // the second was stored, but not anchored
	if r := verify(t, l); r.Attempts != 2 {
		t.Errorf("%+v", r)
	}
	post(t, l, example(3))
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if _, err := Open(dir, Options{Logger: quiet}); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	if _, err := OpenReadOnly(dir, Options{Logger: quiet}); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	shut(t, l)
	l = open(t, dir)
	verify(t, l)
}

func TestAnotherFormat(t *testing.T) {
	dir := t.TempDir()
	shut(t, open(t, dir))
	edit(t, dir, func(txn *badger.Txn) error { return txn.Set(metaFormat, []byte{0, 0, 0, 9}) })
	if _, err := Open(dir, Options{Logger: quiet}); err == nil || errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func edit(t testing.TB, dir string, fn func(*badger.Txn) error) {
	t.Helper()
	l := &Ledger{logger: badgerfile.NewLogger(quiet)}
	db, err := badger.Open(l.badgerOptions(filepath.Join(dir, databaseName)))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}
