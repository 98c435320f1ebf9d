package streamlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	childEnv = "RECOUP_STREAMLOG_CHILD" // directory in which this process appends until it is killed
	aloneEnv = "RECOUP_STREAMLOG_ALONE" // set by inChild
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := appendForever(dir); err != nil {
			fmt.Println("error", err)
		}
		os.Exit(1)
	}
	if os.Getenv(aloneEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// inChild runs the test in another process and reports whether this is that.
// Where Badger can't open a database it leaves goroutines behind, and a panic in
// one of them must fail that test only.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneEnv) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// appendForever appends to many streams and says on stdout what was
// acknowledged: "a id events" for events, "e id events" for an end; and, before
// it does it, "s id events" where it settles.
func appendForever(dir string) error {
	l, err := Open(dir, Options{Retention: time.Hour, SyncWrites: os.Getenv("RECOUP_STREAMLOG_SYNC") != ""})
	if err != nil {
		return err
	}
	errs := make(chan error, 1)
	for g := range 20 {
		go func() {
			for {
				if err := appendStream(l, 1+(g*37)%150); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

// appendStream appends events in batches until there are n, and ends the stream.
func appendStream(l *Log, n int) error {
	s, err := l.Create(Header{Principal: alice, Model: "m"})
	if err != nil {
		return err
	}
	id, events := s.Header().ID, 0
	for events < n {
		var batch []Event
		for range 1 + rand.IntN(5) {
			batch = append(batch, Event{Data: chunk(events + len(batch))})
		}
		if err := s.Append(batch); err != nil {
			return err
		}
		events += len(batch)
		if _, err := fmt.Printf("a %s %d\n", id, events); err != nil {
			return err
		}
	}
	if err := s.Append([]Event{{Data: []byte("part"), More: true}}); err != nil {
		return err
	}
	if err := s.Append([]Event{{Data: chunk(events)}}); err != nil {
		return err
	}
	if _, err := s.Finish(End{State: Completed}); err != nil {
		return err
	}
	if _, err = fmt.Printf("e %s %d\n", id, events+1); err != nil {
		return err
	}
	if rand.IntN(4) > 0 {
		if _, err = fmt.Printf("s %s %d\n", id, events+1); err != nil {
			return err
		}
		err = s.Settled()
	}
	s.Release()
	return err
}

// acknowledged is what a child said of a stream before it was killed.
type acknowledged struct {
	events   uint64
	ended    bool
	settling bool // it may be settled, or not
	settled  bool // by the test, and all that closed
}

// TestKill kills a process that appends, again and again in the same directory,
// and looks for whatever was acknowledged. A kill of the process proves nothing
// about power loss.
func TestKill(t *testing.T) {
	kills := 10
	if os.Getenv("RECOUP_FULL") != "" {
		kills = 30
	}
	dir := t.TempDir()
	acks := map[ID]acknowledged{} // of all children
	total := 0
	for i := range kills {
		total += runAndKill(t, dir, i%3 == 2, rand.IntN(1500), acks)
		verifyAfterKill(t, dir, acks)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d acknowledgements, %d streams", kills, total, len(acks))
}

// runAndKill starts a child and kills it once it has acknowledged n times.
func runAndKill(t *testing.T, dir string, synced bool, n int, acks map[ID]acknowledged) (lines int) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	if synced {
		cmd.Env = append(cmd.Env, "RECOUP_STREAMLOG_SYNC=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	scan := bufio.NewScanner(out)
	for scan.Scan() { // to the end of what it said before it died
		f := strings.Fields(scan.Text())
		if len(f) != 3 {
			t.Errorf("child: %s", scan.Text())
			continue
		}
		id, err := ParseID(f[1])
		if err != nil {
			t.Fatal(err)
		}
		var a acknowledged
		if _, err := fmt.Sscan(f[2], &a.events); err != nil {
			t.Fatal(err)
		}
		a.ended, a.settling = f[0] != "a", f[0] == "s"
		acks[id] = a
		if lines++; lines > n {
			once.Do(func() {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	_ = cmd.Wait() // it was killed
	return lines
}

func verifyAfterKill(t *testing.T, dir string, acks map[ID]acknowledged) {
	l := openLog(t, dir, Options{Retention: time.Hour})
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	recovered := map[ID]*Stream{}
	for _, s := range l.Recovered() {
		recovered[s.Header().ID] = s
	}
	for id, a := range acks {
		s, err := l.Get(alice, id)
		if err != nil {
			t.Errorf("stream %s, %d events acknowledged: %v", id, a.events, err)
			continue
		}
		if err := verifyKilled(s, a, recovered[id] == s); err != nil {
			t.Errorf("stream %s: %v", id, err)
		}
		s.Release()
	}
	settleSome(t, l, acks, recovered)
	for id, s := range recovered { // an answer goes on where it was, and ends
		info := s.Info()
		if err := s.Append([]Event{{Data: []byte("more")}}); err != nil {
			t.Error(err)
		}
		r, err := s.Reader(info.Events)
		if err != nil {
			t.Fatal(err)
		}
		events, err := r.Read(1 << 20)
		if err != nil || events[0].Index != info.Events || events[len(events)-1].Offset != info.Bytes {
			t.Errorf("appended to %s, %d events in %d bytes: got %+v, %v", id, info.Events, info.Bytes, events, err)
		}
		r.Close()
		if _, err := s.Finish(End{State: Interrupted, Cause: "crash"}); err != nil {
			t.Error(err)
		}
		acks[id] = acknowledged{events: s.Info().Events, ended: true}
		s.Release()
	}
}

// settleSome checks that every stream that ended, and of which nobody said that
// it was settled, is offered; and settles half of those.
func settleSome(t *testing.T, l *Log, acks map[ID]acknowledged, recovered map[ID]*Stream) {
	t.Helper()
	offered := map[ID]bool{}
	for i, id := range l.Unsettled() {
		offered[id] = true
		a, known := acks[id]
		if recovered[id] != nil || a.settled {
			t.Errorf("stream %s is offered; recovered %v, settled %v", id, recovered[id] != nil, a.settled)
		}
		s, err := l.ForBooks(id)
		if err != nil {
			t.Errorf("stream %s: %v", id, err)
			continue
		}
		if events, end := countHistory(t, s); end == nil || known && uint64(events) < a.events {
			t.Errorf("stream %s: %d events of %d, end %v", id, events, a.events, end)
		}
		if i%2 == 0 {
			if err := s.Settled(); err != nil {
				t.Error(err)
			}
			a.events, a.ended, a.settled = s.Info().Events, true, true
			acks[id] = a
		}
		s.Release()
	}
	for id, a := range acks {
		if a.ended && !a.settling && !a.settled && !offered[id] {
			t.Errorf("stream %s ended, nobody settled it, and it is not offered", id)
		}
	}
}

// verifyKilled checks that nothing that was acknowledged is missing.
func verifyKilled(s *Stream, a acknowledged, recovered bool) error {
	info := s.Info()
	switch {
	case info.Damaged != nil:
		return info.Damaged
	case info.Events < a.events:
		return fmt.Errorf("%d events acknowledged, %d are there", a.events, info.Events)
	case a.ended && info.Events != a.events:
		return fmt.Errorf("ended with %d events, has %d", a.events, info.Events)
	case a.ended == recovered && (a.ended || info.End == nil):
		return fmt.Errorf("ended: %v, recovered: %v", a.ended, recovered)
	}
	r, err := s.Reader(0)
	if err != nil {
		return err
	}
	defer r.Close()
	var offset uint64
	for n := uint64(0); ; {
		events, err := r.Read(100 << 10)
		if errors.Is(err, io.EOF) || errors.Is(err, ErrWait) {
			if n < info.Events || offset != info.Bytes {
				return fmt.Errorf("%d events in %d bytes read, %d in %d are there", n, offset, info.Events, info.Bytes)
			}
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Index != n || e.Offset != offset {
				return fmt.Errorf("event %d at %d, want %d at %d", e.Index, e.Offset, n, offset)
			}
			if d := string(e.Data); d != "part" && d != "more" && !bytes.Equal(e.Data, chunk(int(n))) {
				return fmt.Errorf("event %d is %q", n, e.Data)
			}
			offset += uint64(len(e.Data))
			if !e.More {
				n++
			}
		}
	}
}
