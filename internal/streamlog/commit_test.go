package streamlog

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stalled is a log whose writer stands still until release is called, so that a
// test decides what is in a group.
func stalled(t *testing.T, dir string) (l *Log, stall, release func()) {
	gate := make(chan struct{}, 1)
	gate <- struct{}{}
	opts := testOptions(t)
	opts.OnCommit = func(Commit) {
		<-gate
		gate <- struct{}{}
	}
	l = openLog(t, dir, opts)
	return l, func() {
		<-gate
		go func() { create(t, l).Release() }() // its commit is where the writer stops
		synctest.Wait()
	}, func() { gate <- struct{}{} }
}

// Thousands of streams that begin or end together make groups that a transaction
// can hold.
func TestManyEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stall, release := stalled(t, t.TempDir())
		streams := make([]*Stream, 3000)
		header := Header{Principal: alice, Model: "m", Tags: map[string]string{"t": strings.Repeat("x", 500)}}
		done := make(chan error, len(streams))
		together := func(fn func(i int) error) {
			stall()
			for i := range streams {
				go func() { done <- fn(i) }()
			}
			synctest.Wait()
			release()
			for range streams {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		}
		together(func(i int) (err error) {
			header := header
			header.Key = Hash{1, byte(i), byte(i >> 8)}
			streams[i], err = l.Create(header)
			return err
		})
		together(func(i int) error {
			_, err := streams[i].Finish(End{State: Interrupted, ResponseID: fmt.Sprint("resp_", i)})
			return err
		})
		for _, s := range streams {
			s.Release()
		}
		synctest.Wait()
		if st := l.Stats(); st.Streams != 2 || st.QueuedBytes != 0 { // those of stall
			t.Errorf("left in memory: %+v", st)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The line in front of the writer is bounded: who comes late waits, and is let in,
// or told that the log closes.
func TestLineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stall, release := stalled(t, t.TempDir())
		streams := make([]*Stream, 12)
		for i := range streams {
			streams[i] = create(t, l)
		}
		stall()
		big := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
		results := make(chan error, len(streams))
		for _, s := range streams {
			go func() { results <- s.Append([]Event{{Data: big}}) }()
			synctest.Wait()
		}
		if n := l.Stats().QueuedBytes; n < maxQueuedBytes || n > maxQueuedBytes+len(big)+1<<20 {
			t.Errorf("%d bytes in line", n)
		}
		closed := make(chan error)
		go func() { closed <- l.Close() }()
		synctest.Wait()
		release()
		taken, refused := 0, 0
		for range streams {
			switch err := <-results; err {
			case nil:
				taken++
			case ErrClosed:
				refused++
			default:
				t.Error(err)
			}
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if taken != 8 || refused != 4 {
			t.Errorf("%d taken, %d refused", taken, refused)
		}
	})
}

// What Append refuses leaves no gap behind.
func TestTooMuchAtOnce(t *testing.T) {
	l := openLog(t, t.TempDir(), testOptions(t))
	defer l.Close()
	s := create(t, l)
	defer s.Release()
	appendEvents(t, s, 0, 5)
	if err := s.Append([]Event{{Data: chunk(5)}, {Data: make([]byte, maxOpBytes)}}); err == nil {
		t.Fatal("taken")
	}
	appendEvents(t, s, 5, 10)
	if got, err := readAll(t, s, 0); err != ErrWait || !bytes.Equal(got, bodyOf(0, 10)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	e, err := s.Finish(End{State: Failed, ResponseID: strings.Repeat("r", 100<<10)}) // longer than any key may be
	if err != nil || e.State != Failed || l.Err() != nil {
		t.Errorf("a long response id: %+v, %v, %v", e, err, l.Err())
	}
}

// A head and an end that are queued together are both kept.
func TestHeadAndEndInOneGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l, stall, release := stalled(t, dir)
		s := create(t, l)
		id := s.Header().ID
		stall()
		done := make(chan error, 2)
		go func() {
			done <- s.SetHead(Head{Attempt: 1, Status: 200, Header: http.Header{"A": {"b"}}, At: time.Now()})
		}()
		synctest.Wait()
		go func() {
			_, err := s.Finish(End{State: Cancelled})
			done <- err
		}()
		synctest.Wait()
		release()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Fatal(err)
		}
		s.Release()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, dir, testOptions(t))
		s, err := l.Get(alice, id)
		if err != nil {
			t.Fatal(err)
		}
		if i := s.Info(); i.Head == nil || i.Head.Header.Get("A") != "b" || i.State != Cancelled {
			t.Errorf("%+v", i)
		}
		s.Release()
		for _, s := range l.Recovered() { // of stall
			s.Release()
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A failed commit is the last: everyone is told, and what was durable before can
// be read.
func TestFailedCommit(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s, ended := create(t, l), create(t, l)
	want := appendEvents(t, s, 0, 10)
	appendEvents(t, ended, 0, 3)
	finish(t, ended)
	r := reader(t, s, 0)
	if _, err := readTo(r); err != ErrWait {
		t.Fatal(err)
	}
	if err := s.bucket.db.Close(); err != nil { // under the writer's feet
		t.Fatal(err)
	}
	err := s.Append([]Event{{Data: []byte("lost")}})
	if err == nil || errors.Is(err, ErrClosed) {
		t.Fatalf("append: %v", err)
	}
	if l.Err() == nil {
		t.Error("the log has no error")
	}
	<-r.Ready()
	if _, err := r.Read(1); err == nil || err == ErrWait {
		t.Errorf("waiting reader: %v", err)
	}
	if got, err := readAll(t, s, 0); !errors.Is(err, l.Err()) || !bytes.Equal(got, want) {
		t.Errorf("what was durable: %d bytes, %v", len(got), err)
	}
	if _, err := s.Finish(End{}); !errors.Is(err, l.Err()) {
		t.Errorf("finish: %v", err)
	}
	if e, err := ended.Finish(End{State: Failed}); err != nil || e.State != Completed {
		t.Errorf("finish of one that had ended: %+v, %v", e, err)
	}
	if _, err := l.Create(Header{}); !errors.Is(err, l.Err()) {
		t.Errorf("create: %v", err)
	}
	s.Release()
	ended.Release()
	_ = l.Close() // closes a database that is closed
	l = openLog(t, dir, testOptions(t))
	defer l.Close()
	recovered := l.Recovered()
	if len(recovered) != 1 {
		t.Fatalf("%d recovered", len(recovered))
	}
	if got, err := readAll(t, recovered[0], 0); err != ErrWait || !bytes.HasPrefix(got, want) {
		t.Errorf("after reopening: %d bytes, %v", len(got), err)
	}
	recovered[0].Release()
}

func TestNewestOfAKey(t *testing.T) {
	l := openLog(t, t.TempDir(), testOptions(t))
	defer l.Close()
	key := Hash{3}
	var last ID
	for range 3 {
		s, err := l.Create(Header{Principal: alice, Key: key, Fingerprint: Hash{5}})
		if err != nil {
			t.Fatal(err)
		}
		last = s.Header().ID
		finish(t, s)
		s.Release()
	}
	for _, find := range []func() (*Stream, error){
		func() (*Stream, error) { return l.ByKey(alice, key) },
		func() (*Stream, error) { return l.ByCall(alice, Hash{5}) },
	} {
		s, err := find()
		if err != nil || s.Header().ID != last {
			t.Fatalf("%v", err)
		}
		s.Release()
	}
	for what, find := range map[string]func() (*Stream, error){
		"another's key":         func() (*Stream, error) { return l.ByKey(Hash{2}, key) },
		"no such key":           func() (*Stream, error) { return l.ByKey(alice, Hash{4}) },
		"another's call":        func() (*Stream, error) { return l.ByCall(Hash{2}, Hash{5}) },
		"no such call":          func() (*Stream, error) { return l.ByCall(alice, Hash{}) },
		"no such response":      func() (*Stream, error) { return l.ByResponse(alice, "resp") },
		"no such stream":        func() (*Stream, error) { return l.Get(alice, ID{1}) },
		"the stream of another": func() (*Stream, error) { return l.Get(Hash{2}, last) },
	} {
		if _, err := find(); err != ErrNotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A stream is found by the provider's id of its answer while that is still coming, also after a crash, and
// by its own principal alone.
func TestNamed(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s := create(t, l)
	id := s.Header().ID
	for _, name := range []string{"resp_1", "", strings.Repeat("x", maxResponseID+1)} {
		if err := s.Named(name); err != nil {
			t.Fatalf("%.10q: %v", name, err)
		}
	}
	appendEvents(t, s, 0, 1) // and with it the name is durable
	find := func(l *Log, name string, want error) {
		t.Helper()
		found, err := l.ByResponse(alice, name)
		if !errors.Is(err, want) || err == nil && found.Header().ID != id {
			t.Fatalf("%.10q: %v, want %v", name, err, want)
		}
		if err == nil {
			found.Release()
		}
	}
	find(l, "resp_1", nil)
	find(l, strings.Repeat("x", maxResponseID+1), ErrNotFound)
	if _, err := l.ByResponse(Hash{2}, "resp_1"); err != ErrNotFound {
		t.Errorf("another's: %v", err)
	}
	s.Release()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, dir, testOptions(t))
	defer l.Close()
	find(l, "resp_1", nil)
	for _, s := range l.Recovered() {
		finish(t, s)
		if err := s.Named("resp_2"); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end: %v", err)
		}
		s.Release()
	}
	find(l, "resp_1", nil)
	find(l, "resp_2", ErrNotFound)
}

func TestListPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, t.TempDir(), testOptions(t))
		var ids []ID
		for i := range 12 {
			s := create(t, l)
			ids = append([]ID{s.Header().ID}, ids...)
			if i%2 == 0 {
				appendEvents(t, s, 0, i)
				finish(t, s)
			}
			s.Release()
			if i == 6 {
				pass(70 * time.Second) // a new bucket, and the first ones expire
			}
		}
		synctest.Wait()
		live := func(i Info) bool { return i.State == Streaming }
		var got []ID
		for before := (ID{}); ; before = got[len(got)-1] {
			infos, err := l.List(alice, before, 2, live)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range infos {
				got = append(got, i.Header.ID)
			}
			if len(infos) < 2 {
				break
			}
		}
		want := []ID{ids[0], ids[2], ids[4], ids[6], ids[8], ids[10]}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		all, err := l.ListAll(ID{}, 0, func(Info) bool { return true })
		if mine, _ := l.List(alice, ID{}, 0, func(Info) bool { return true }); err != nil || len(all) != len(mine) || len(all) < 8 {
			t.Errorf("%d of all, %d of alice, %v", len(all), len(mine), err)
		}
		done, err := l.List(alice, ID{}, 0, func(i Info) bool { return i.State == Completed })
		if err != nil || len(done) != 2 || done[0].Events != 10 || done[0].First.IsZero() {
			t.Errorf("%d completed, %v: %+v", len(done), err, done)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
