package streamlog

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func reader(t testing.TB, s *Stream, from uint64) *Reader {
	t.Helper()
	r, err := s.Reader(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// A reader that waits is woken by the commit, and by nothing else.
func TestWokenByTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked, release := make(chan struct{}, 100), make(chan struct{})
		opts := testOptions(t)
		hold := false // set while the writer is idle
		opts.OnCommit = func(Commit) {
			if hold {
				blocked <- struct{}{}
				<-release
			}
		}
		l := openLog(t, t.TempDir(), opts)
		s, other := create(t, l), create(t, l)
		r := reader(t, s, 0)
		woken := make(chan int, 100)
		stop := make(chan struct{})
		go func() {
			defer close(woken)
			for {
				events, err := r.Read(1 << 20)
				switch err {
				case nil:
					woken <- len(events)
					continue
				case ErrWait:
				default:
					return
				}
				select {
				case <-r.Ready():
				case <-stop:
					return
				}
			}
		}()
		synctest.Wait()
		appendEvents(t, other, 0, 5) // commits of others
		pass(time.Minute)            // and time
		if len(woken) != 0 {
			t.Fatal("woken by nothing")
		}
		appendEvents(t, s, 0, 1)
		synctest.Wait()
		if len(woken) != 1 || <-woken != 1 {
			t.Fatal("not woken by a commit")
		}
		// The writer stands still after a commit of another stream: what is queued
		// is not shown.
		hold = true
		go func() { _ = other.Append([]Event{{Data: chunk(5)}}) }()
		<-blocked
		go func() { _ = s.Append([]Event{{Data: chunk(1)}}) }()
		synctest.Wait()
		if len(woken) != 0 {
			t.Fatal("an event was read before its commit")
		}
		hold = false
		release <- struct{}{}
		synctest.Wait()
		if len(woken) != 1 {
			t.Fatal("not woken")
		}
		close(stop)
		s.Release()
		other.Release()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An event in parts is read when all of it is there, and does not hold back what
// came before it.
func TestPartsAreReadWhole(t *testing.T) {
	l := openLog(t, t.TempDir(), testOptions(t))
	defer l.Close()
	s := create(t, l)
	defer s.Release()
	r := reader(t, s, 0)
	part := bytes.Repeat([]byte("p"), 1<<20)
	appendOne := func(events ...Event) {
		t.Helper()
		if err := s.Append(events); err != nil {
			t.Fatal(err)
		}
	}
	appendOne(Event{Data: []byte("first")}, Event{Data: part, More: true})
	events, err := r.Read(1 << 20)
	if err != nil || len(events) != 1 || string(events[0].Data) != "first" {
		t.Fatalf("before the part: %d events, %v", len(events), err)
	}
	late := reader(t, s, 1) // stands at the event that isn't whole
	for range 3 {
		appendOne(Event{Data: part, More: true}) // larger than a block, so it comes from the database
		for _, r := range []*Reader{r, late} {
			if events, err := r.Read(1 << 30); err != ErrWait {
				t.Fatalf("part of an event: %d events, %v", len(events), err)
			}
		}
	}
	appendOne(Event{Data: []byte("end"), Terminal: true})
	for _, r := range []*Reader{r, late} {
		var parts int
		for offset := uint64(5); ; {
			events, err := r.Read(1 << 19)
			if err == ErrWait {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if e.Index != 1 || e.Offset != offset {
					t.Fatalf("part at event %d, offset %d, want 1, %d", e.Index, e.Offset, offset)
				}
				offset += uint64(len(e.Data))
				parts++
			}
		}
		if parts != 5 || r.Index() != 2 {
			t.Errorf("%d parts, then event %d", parts, r.Index())
		}
	}
	if i := s.Info(); i.Events != 2 || !i.Terminal || i.Completing != 1 || i.Bytes != 5+4<<20+3 {
		t.Errorf("info %+v", i)
	}
}

// An event that will never be whole is shown as far as it came: after an end, and
// after a crash. What happens afterwards is in the history.
func TestCutWithinAnEvent(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testOptions(t))
	s := create(t, l)
	id := s.Header().ID
	if err := s.Append([]Event{{Data: []byte("first")}, {Data: []byte("half"), More: true}}); err != nil {
		t.Fatal(err)
	}
	image := crash(t, dir)
	check := func(s *Stream, l *Log) {
		t.Helper()
		c, err := s.Attach(Attachment{Via: "id"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Finish(End{State: Interrupted}); err != nil {
			t.Fatal(err)
		}
		c.Delivered(1)
		if err := c.Detach("client"); err != nil {
			t.Fatal(err)
		}
		s.Release()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again := func(dir string) {
		t.Helper()
		l := openLog(t, dir, testOptions(t))
		defer l.Close()
		s, err := l.Get(alice, id)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release()
		c, err := s.Attach(Attachment{Via: "id"})
		if err != nil || c.ID() < 2 {
			t.Fatalf("connection %d, %v", c.ID(), err)
		}
		if err := c.Detach("done"); err != nil {
			t.Fatal(err)
		}
		if got, err := readAllCut(s); err != io.EOF || string(got) != "firsthalf" {
			t.Errorf("%q, %v", got, err)
		}
		detached := 0
		if err := s.History(func(e Entry) error {
			if e.Mark != nil && e.Mark.Kind == MarkDetach {
				detached++
			}
			return nil
		}); err != nil || detached != 2 {
			t.Errorf("%d detaches in the history, %v", detached, err)
		}
	}
	check(s, l)
	again(dir)

	l = openLog(t, image, testOptions(t))
	recovered := l.Recovered()
	if len(recovered) != 1 || recovered[0].Header().ID != id {
		t.Fatalf("recovered %d", len(recovered))
	}
	if got, err := readAllCut(recovered[0]); err != ErrWait || string(got) != "firsthalf" {
		t.Errorf("after the crash: %q, %v", got, err)
	}
	if i := recovered[0].Info(); i.Events != 1 || i.Bytes != 9 {
		t.Errorf("after the crash: %+v", i)
	}
	check(recovered[0], l)
	again(image)
}

func readAllCut(s *Stream) (all []byte, err error) {
	r, err := s.Reader(0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		events, err := r.Read(1 << 20)
		if err != nil {
			return all, err
		}
		all = append(all, joined(events)...)
	}
}

// A stream without events has a history too: it may have been billed.
func TestHistoryWithoutEvents(t *testing.T) {
	l := openLog(t, t.TempDir(), testOptions(t))
	defer l.Close()
	s := create(t, l)
	defer s.Release()
	if err := s.Attempt(Attempt{Number: 2, Started: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetHead(Head{Attempt: 2, Status: 500, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	finish(t, s)
	if err := s.Attempt(Attempt{Number: 3, Started: time.Now()}); err != ErrEnded {
		t.Errorf("attempt after the end: %v", err)
	}
	if err := s.SetHead(Head{}); err != ErrEnded {
		t.Errorf("head after the end: %v", err)
	}
	var attempts, heads, ends int
	err := s.History(func(e Entry) error {
		switch {
		case e.Attempt != nil:
			attempts++
		case e.Head != nil:
			heads++
		case e.End != nil:
			ends++
		}
		return nil
	})
	if err != nil || attempts != 2 || heads != 1 || ends != 1 {
		t.Errorf("%d attempts, %d heads, %d ends, %v", attempts, heads, ends, err)
	}
	stop := errors.New("enough")
	if err := s.History(func(Entry) error { return stop }); err != stop {
		t.Errorf("history that was stopped: %v", err)
	}
}

// Whoever waits when the log closes is told.
func TestCloseWakesReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, t.TempDir(), testOptions(t))
		open, ended := create(t, l), create(t, l)
		appendEvents(t, open, 0, 1)
		appendEvents(t, ended, 0, 100)
		finish(t, ended)
		r, atEnd := reader(t, open, 1), reader(t, ended, 100)
		if _, err := r.Read(1); err != ErrWait {
			t.Fatal(err)
		}
		told := make(chan error)
		go func() {
			<-r.Ready()
			_, err := r.Read(1)
			told <- err
		}()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-told; err != ErrClosed {
			t.Errorf("waiting reader: %v", err)
		}
		if _, err := atEnd.Read(1); err != io.EOF {
			t.Errorf("reader at the end: %v", err)
		}
		if _, err := ended.Reader(3); !errors.Is(err, ErrClosed) {
			t.Errorf("reader of blocks: %v", err)
		}
		for what, err := range map[string]error{
			"append": open.Append([]Event{{Data: []byte("x")}}),
			"mark":   open.Mark(Mark{Kind: MarkCancel}),
			"head":   open.SetHead(Head{}),
		} {
			if err != ErrClosed {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := open.Finish(End{}); err != ErrClosed {
			t.Errorf("finish: %v", err)
		}
		if _, err := open.Attach(Attachment{Via: "id"}); err != ErrClosed || len(open.conns) != 0 {
			t.Errorf("attach: %v, %d connections", err, len(open.conns))
		}
		if _, err := l.Create(Header{}); err != ErrClosed {
			t.Errorf("create: %v", err)
		}
		if _, err := l.ByKey(alice, Hash{1}); err != ErrClosed {
			t.Errorf("by key: %v", err)
		}
		if _, err := l.List(alice, ID{}, 0, func(Info) bool { return true }); err != ErrClosed {
			t.Errorf("list: %v", err)
		}
		open.Release()
		ended.Release()
	})
}

func readTo(r *Reader) (n int, err error) {
	for {
		events, err := r.Read(1 << 20)
		if err != nil {
			return n, err
		}
		n += len(events)
	}
}
