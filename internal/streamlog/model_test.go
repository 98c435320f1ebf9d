package streamlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// modelStream is what a stream must hold. Its events follow from seed and index,
// so a reader can check any of them without asking the model.
type modelStream struct {
	id   ID
	seed uint64
	key  Hash

	mu     sync.Mutex
	events uint64
	head   bool
	end    *End
	marks  []Mark // of its writer, in order
	begun  bool   // a part of the next event is in the log
}

// event returns the parts of event i: mostly one of a few hundred bytes.
func (m *modelStream) event(i uint64) (parts [][]byte) {
	r := rand.New(rand.NewPCG(m.seed, i))
	fill := func(n int) []byte {
		p := fmt.Appendf(nil, "event %d of %d: ", i, m.seed)
		for len(p) < n {
			p = append(p, "some words that compress "[r.IntN(20):]...)
		}
		return p
	}
	switch n := r.IntN(1200); {
	case n == 0:
		for range 2 {
			parts = append(parts, bytes.Repeat(fill(100), 1<<20/100))
		}
		return append(parts, fill(10))
	case n < 30:
		return [][]byte{fill(20), {}, fill(3000)}
	default:
		return [][]byte{fill(r.IntN(400))}
	}
}

// check reads from event `from` on, until want events are there, or the end.
func (m *modelStream) check(s *Stream, from, want uint64) error {
	r, err := s.Reader(from)
	if err != nil {
		return fmt.Errorf("reader from %d: %w", from, err)
	}
	defer r.Close()
	offset, index, parts := r.Offset(), from, [][]byte(nil)
	for index < want {
		events, err := r.Read(1 + rand.IntN(200<<10))
		if err == ErrWait {
			<-r.Ready()
			continue
		}
		if err != nil {
			return fmt.Errorf("at event %d of %d, from %d: %w", index, want, from, err)
		}
		for _, e := range events {
			if e.Index != index || e.Offset != offset {
				return fmt.Errorf("event %d at %d, want %d at %d", e.Index, e.Offset, index, offset)
			}
			offset += uint64(len(e.Data))
			if parts = append(parts, e.Data); e.More {
				continue
			}
			if !slices.EqualFunc(parts, m.event(index), bytes.Equal) {
				return fmt.Errorf("event %d is not what was appended", index)
			}
			index++
			parts = parts[:0]
		}
	}
	return nil
}

// modelWriter does what a drain and its connections do, to its own streams.
type modelWriter struct {
	t   *testing.T
	log *Log
	r   *rand.Rand

	all  *modelStreams
	live map[*modelStream]*Stream
	conn map[*modelStream]*Conn
}

// modelStreams are the streams of all writers.
type modelStreams struct {
	mu   sync.Mutex
	all  []*modelStream
	seed atomic.Uint64
}

func (a *modelStreams) pick(r *rand.Rand) *modelStream {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 {
		return nil
	}
	return a.all[r.IntN(len(a.all))]
}

func (w *modelWriter) create() error {
	m := &modelStream{seed: w.all.seed.Add(1)}
	m.key = Hash{9, byte(m.seed), byte(m.seed >> 8)}
	s, err := w.log.Create(Header{Principal: alice, Key: m.key, Model: fmt.Sprint(m.seed)})
	if err != nil {
		return err
	}
	m.id = s.Header().ID
	w.live[m] = s
	w.all.mu.Lock()
	w.all.all = append(w.all.all, m)
	w.all.mu.Unlock()
	return nil
}

func (w *modelWriter) append(m *modelStream, s *Stream) error {
	var batch []Event
	m.mu.Lock()
	index, begun := m.events, m.begun
	m.mu.Unlock()
	for n := 1 + w.r.IntN(40); n > 0; n-- {
		parts := m.event(index)
		if begun {
			parts = parts[1:]
		}
		for i, p := range parts {
			batch = append(batch, Event{Data: p, More: i < len(parts)-1, Text: true})
		}
		index, begun = index+1, false
	}
	if parts := m.event(index); len(parts) > 1 && w.r.IntN(2) == 0 {
		batch, begun = append(batch, Event{Data: parts[0], More: true, Text: true}), true
	}
	if err := s.Append(batch); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events, m.begun = index, begun
	return nil
}

// mark adds a mark that the history must have, in this order.
func (w *modelWriter) mark(m *modelStream, s *Stream) error {
	mark := Mark{Kind: MarkCancel, Conn: 1 << 20, Index: uint64(len(m.marks)), Cause: "model"}
	m.marks = append(m.marks, mark)
	return s.Mark(mark)
}

// connect attaches, moves on, or detaches a connection.
func (w *modelWriter) connect(m *modelStream, s *Stream) (err error) {
	c := w.conn[m]
	if c == nil {
		w.conn[m], err = s.Attach(Attachment{Via: "key"})
		return err
	}
	c.Delivered(m.events)
	if w.r.IntN(3) == 0 {
		delete(w.conn, m)
		return c.Detach("client")
	}
	return nil
}

func (w *modelWriter) finish(m *modelStream, s *Stream) error {
	e := End{State: Completed, Clean: true, ResponseID: fmt.Sprint("resp_", m.seed)}
	got, err := s.Finish(e)
	if err != nil {
		return err
	}
	if again, err := s.Finish(End{State: Failed}); err != nil || again.State != got.State {
		return fmt.Errorf("a second end: %+v, %v", again, err)
	}
	if err := s.Append([]Event{{Data: []byte("late")}}); err != ErrEnded {
		return fmt.Errorf("append after the end: %v", err)
	}
	m.mu.Lock()
	m.end = &got
	m.mu.Unlock()
	if c := w.conn[m]; c != nil {
		delete(w.conn, m)
		if err := c.Detach("done"); err != nil { // marks come after the end too
			return err
		}
	}
	delete(w.live, m)
	s.Release()
	return nil
}

// read looks up any stream and reads it from any place.
func (w *modelWriter) read() error {
	m := w.all.pick(w.r)
	if m == nil {
		return nil
	}
	m.mu.Lock()
	events, ended := m.events, m.end
	m.mu.Unlock()
	find := []func() (*Stream, error){
		func() (*Stream, error) { return w.log.Get(alice, m.id) },
		func() (*Stream, error) { return w.log.ByKey(alice, m.key) },
	}
	if ended != nil {
		find = append(find, func() (*Stream, error) { return w.log.ByResponse(alice, ended.ResponseID) })
	}
	s, err := find[w.r.IntN(len(find))]()
	if err != nil {
		return fmt.Errorf("look up: %w", err)
	}
	defer s.Release()
	if s.Header().ID != m.id {
		return fmt.Errorf("looked up %s, got %s", m.id, s.Header().ID)
	}
	if _, err := w.log.Get(Hash{66}, m.id); err != ErrNotFound {
		return fmt.Errorf("somebody else's: %v", err)
	}
	return m.check(s, w.r.Uint64N(events+1), events)
}

func (w *modelWriter) step() error {
	if len(w.live) < 6 {
		return w.create()
	}
	var m *modelStream
	skip := w.r.IntN(len(w.live))
	for m = range w.live {
		if skip--; skip < 0 {
			break
		}
	}
	s := w.live[m]
	switch n := w.r.IntN(100); {
	case n < 55:
		return w.append(m, s)
	case n < 65:
		return w.mark(m, s)
	case n < 75:
		return w.connect(m, s)
	case n < 78:
		m.head = true
		return s.SetHead(Head{Attempt: 1, Status: 200, At: time.Now()})
	case n < 83:
		return w.finish(m, s)
	default:
		return w.read()
	}
}

// TestModel does what gateways do, from several goroutines at once, closes and
// reopens the log in between, and compares everything that can be read with what
// was written.
func TestModel(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			opts := testOptions(t)
			opts.SyncWrites = sync
			dir, all := t.TempDir(), &modelStreams{}
			writers := make([]*modelWriter, 4)
			for i := range writers {
				writers[i] = &modelWriter{t: t, r: rand.New(rand.NewPCG(uint64(i), 7)), all: all, live: map[*modelStream]*Stream{}, conn: map[*modelStream]*Conn{}}
			}
			for range 3 {
				modelRound(t, openLog(t, dir, opts), writers)
			}
		})
	}
}

// modelRound opens what the last round left, checks it, goes on with it, and
// closes.
func modelRound(t *testing.T, l *Log, writers []*modelWriter) {
	recovered := map[ID]*Stream{}
	for _, s := range l.Recovered() {
		recovered[s.Header().ID] = s
	}
	all := writers[0].all
	for _, m := range all.all {
		s, err := l.Get(alice, m.id)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.verify(s); err != nil {
			t.Fatalf("stream %d: %v", m.seed, err)
		}
		s.Release()
	}
	live := 0
	var wg sync.WaitGroup
	for _, w := range writers {
		w.log = l
		clear(w.conn) // died with the process
		for m := range w.live {
			if w.live[m] = recovered[m.id]; w.live[m] == nil {
				t.Fatalf("stream %d was not recovered", m.seed)
			}
			live++
		}
		wg.Go(func() {
			for i := range 150 {
				if err := w.step(); err != nil {
					t.Errorf("step %d: %v", i, err)
					return
				}
			}
		})
	}
	if live != len(recovered) {
		t.Errorf("%d streams recovered, want %d", len(recovered), live)
	}
	wg.Wait()
	infos, err := l.List(alice, ID{}, 0, func(Info) bool { return true })
	if err != nil || len(infos) != len(all.all) {
		t.Errorf("%d streams listed, %v; want %d", len(infos), err, len(all.all))
	}
	if !slices.IsSortedFunc(infos, func(a, b Info) int { return bytes.Compare(b.Header.ID[:], a.Header.ID[:]) }) {
		t.Error("the list is not newest first")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Get(alice, ID{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
}
