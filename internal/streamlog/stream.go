package streamlog

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	blockEvents = 64       // a block is written once this many events
	blockBytes  = 32 << 10 // or bytes wait for it

	maxResponseID = 1 << 10 // bytes of a provider's id that it can be found by
)

// Stream is a stream's log: its writers' and readers' handle. Its methods may
// be called from many goroutines, but Append from one at a time.
type Stream struct {
	// constant
	log    *Log
	bucket *bucket
	header Header
	torn   bool // it has ended, and not all of it can be read: it is there for the books only

	appending op // of Append: one at a time

	// owned by the writer
	group    uint64 // journal group that it has put this stream into
	ref      uint64 // number of the stream within that group
	sealing  bool   // stands in the line for sealing
	unsealed uint64 // journal group of the first record that is in no block yet

	flushes atomic.Int32 // flush operations that the writer has not seen yet

	// guarded by Log.mu
	refs int

	mu sync.Mutex // guards all below; only the writer changes now and sealed
	tail
	given   *Head     // on its way, or there
	head    *Head     // durable
	asked   []Attempt // all attempts but the first, on their way or there
	retries []Attempt // all attempts but the first, durable
	end     *End      // durable
	ending  bool      // an end is on its way, or there
	broken  error     // the log has failed
	damaged error     // a gap was found
	readers []*Reader
	conns   []*Conn
	nextID  uint32 // of a connection
	born    uint32 // its value when the handle was made: connections up to here are of others
}

// Header returns what was known when the stream was accepted.
func (s *Stream) Header() Header { return s.header }

// Event is a provider's event, or a part of a large one.
type Event struct {
	Index    uint64
	Offset   uint64 // of its first byte in the body
	Data     []byte // must not be changed
	More     bool   // the event goes on in the next Event, which has the same Index
	Terminal bool
	Text     bool // carries visible text or tool arguments
}

func (e Event) kind() kind {
	k := kindEvent
	if e.More {
		k |= flagMore
	}
	if e.Terminal {
		k |= flagTerm
	}
	if e.Text {
		k |= flagText
	}
	return k
}

// open writes the stream's first records and the keys by which it is found.
func (s *Stream) open() error {
	h, o := &s.header, s.newOp()
	o.keys = append(o.keys, keyValue{key: openKey(h.ID)}, keyValue{key: principalKey(h.Principal, h.ID)})
	if !h.Key.IsZero() {
		o.keys = append(o.keys, keyValue{key: idempotencyKey(h.Principal, h.Key), value: h.ID[:]})
	}
	if !h.Fingerprint.IsZero() {
		o.keys = append(o.keys, keyValue{key: callKey(h.Fingerprint), value: h.ID[:]})
	}
	return s.submit(o, h.Accepted, func(at uint32) error {
		if err := s.putJSON(kindOpen, at, h); err != nil {
			return err
		}
		if err := s.putJSON(kindAttempt, at, h.firstAttempt()); err != nil {
			return err
		}
		return o.addSummary(summary{Header: *h})
	})
}

// Append adds events and returns when they are as durable as SyncWrites
// promises. Index and Offset are set here; Data is copied. After the end it is
// ErrEnded, and without room ErrDiskFull. The terminal flag of an event in parts
// is the last part's. How far the connections have got is marked with them. One
// call takes at most 16 MiB.
func (s *Stream) Append(events []Event) error {
	if s.log.full.Load() {
		return ErrDiskFull
	}
	o := &s.appending
	if o.done == nil {
		o.stream, o.done = s, make(chan error, 1)
	}
	o.events = len(events)
	return s.submit(o, time.Now(), func(at uint32) error {
		if s.ending {
			return ErrEnded
		}
		s.putDelivered(at) // first: what they have, they had before these events were there
		for _, e := range events {
			s.put(record{kind: e.kind(), at: at, body: e.Data})
		}
		return nil
	})
}

// submit puts what put adds to the tail before the writer, in the order of the
// tail, and waits for its commit if o.done is set.
func (s *Stream) submit(o *op, now time.Time, put func(at uint32) error) error {
	if err := s.log.queue.admit(); err != nil {
		return err
	}
	s.mu.Lock()
	n, whole := len(s.data), s.whole
	o.from = s.next
	err := put(s.since(now))
	o.data, o.to, o.whole = s.data[n:len(s.data):len(s.data)], s.next, s.whole
	if err == nil && len(o.data) > maxOpBytes {
		err = fmt.Errorf("streamlog: %d bytes at once, at most %d", len(o.data), maxOpBytes)
	}
	if err == nil {
		err = s.log.queue.submit(o)
	}
	if err != nil {
		s.undo(n, o.from, whole) // the next record must follow on what the writer knows
	}
	s.mu.Unlock()
	if err != nil || o.done == nil {
		return err
	}
	return <-o.done
}

func (s *Stream) newOp() *op { return &op{stream: s, done: make(chan error, 1)} }

// Attempt records that another upstream request is about to be sent, and
// returns when that is durable.
func (s *Stream) Attempt(a Attempt) error {
	o := s.newOp()
	return s.submit(o, a.Started, func(at uint32) error {
		if s.ending {
			return ErrEnded
		}
		if err := s.putJSON(kindAttempt, at, a); err != nil {
			return err
		}
		s.asked = append(s.asked[:len(s.asked):len(s.asked)], a)
		o.retries = s.asked
		return o.addSummary(s.summary(nil))
	})
}

// SetHead stores the provider's response head and returns when it is durable.
func (s *Stream) SetHead(h Head) error {
	o := s.newOp()
	o.head = &h
	return s.submit(o, h.At, func(at uint32) error {
		if s.ending {
			return ErrEnded
		}
		if err := s.putJSON(kindHead, at, h); err != nil {
			return err
		}
		s.given = &h
		return o.addSummary(s.summary(nil))
	})
}

// Finish ends the stream and returns when that is durable. The first end is
// the stream's; a later call gets that one and changes nothing.
func (s *Stream) Finish(e End) (End, error) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	o := s.newOp()
	err := s.submit(o, e.At, func(at uint32) error {
		if s.ending {
			return nil // an empty operation: it waits for the first end
		}
		if err := s.putJSON(kindEnd, at, e); err != nil {
			return err
		}
		s.ending, o.end = true, &e
		o.keys = append(o.keys, keyValue{key: openKey(s.header.ID), gone: true}, keyValue{key: unsettledKey(s.header.ID)})
		if e.ResponseID != "" && len(e.ResponseID) <= maxResponseID {
			o.keys = append(o.keys, keyValue{key: responseKey(s.header.Principal, e.ResponseID), value: s.header.ID[:]})
		}
		return o.addSummary(s.next.summarize(s.summary(&e)))
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return *s.end, nil
	}
	return End{}, err
}

// Named notes the provider's id of the answer while it is still coming, so that ByResponse finds it: once
// events that are appended later are durable, so is this. It does not wait for its commit. The end says the
// id again, or nothing.
func (s *Stream) Named(responseID string) error {
	if responseID == "" || len(responseID) > maxResponseID {
		return nil
	}
	o := &op{stream: s, keys: []keyValue{{key: responseKey(s.header.Principal, responseID), value: s.header.ID[:]}}}
	return s.submit(o, s.header.Accepted, func(uint32) error {
		if s.ending {
			return ErrEnded
		}
		return nil
	})
}

// summary is what the next operation writes about the stream. Called with the
// lock held.
func (s *Stream) summary(end *End) summary {
	return summary{Header: s.header, Head: s.given, Retries: s.asked, End: end}
}

// Mark records m, after how far the connections have got, without waiting for its
// commit.
func (s *Stream) Mark(m Mark) error { return s.mark(&op{stream: s}, m) }

func (s *Stream) mark(o *op, m Mark) error {
	if s.torn {
		return s.damaged // a record would have to follow on one that is lost
	}
	return s.submit(o, time.Now(), func(at uint32) error {
		s.putDelivered(at)
		s.put(m.record(at))
		return nil
	})
}

// putDelivered marks how far the connections have got, where that is news.
func (s *Stream) putDelivered(at uint32) {
	for _, c := range s.conns {
		if to := c.delivered.Load(); to > c.marked {
			c.marked = to
			s.put(Mark{Kind: MarkDelivered, Conn: c.id, Index: to}.record(at))
		}
	}
}

// since is the time of a record: milliseconds since the stream was accepted.
func (s *Stream) since(t time.Time) uint32 {
	return uint32(min(max(t.Sub(s.header.Accepted).Milliseconds(), 0), 1<<32-1))
}

// Info is a snapshot of a stream.
type Info struct {
	Header      Header
	State       State
	Attempts    []Attempt // by number; the last one is the current one
	Head        *Head     // nil until the provider has answered
	End         *End      // nil while streaming
	Events      uint64
	Bytes       uint64
	Terminal    bool      // the terminal event is in the log
	Completing  uint64    // its index, if so
	First, Last time.Time // event; zero: there is none
	Damaged     error     // records are missing; what is said of events is true of those that can be read
}

// Info returns where the stream stands, as far as it is durable.
func (s *Stream) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.now.summarize(summary{Header: s.header, Head: s.head, Retries: s.retries, End: s.end})
	i := sum.info()
	i.Damaged = s.damaged
	return i
}

// expired reports whether the stream ended longer than the retention ago.
func (s *Stream) expired() bool {
	s.mu.Lock()
	end := s.end
	s.mu.Unlock()
	return s.log.expired(end)
}

// Release gives back a reference. A stream that has ended leaves memory with
// its last one.
func (s *Stream) Release() {
	s.log.mu.Lock()
	s.refs--
	last := s.refs == 0
	if last {
		s.flushes.Add(1) // before the lock is gone, or the writer could forget s, and its bucket go, while this is on its way
	}
	s.log.mu.Unlock()
	if !last {
		return
	}
	// After Close there is no writer, and nothing left to free.
	_ = s.log.queue.submit(&op{stream: s, flush: true})
}

// fail tells all readers that nothing more will come.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
	s.wake()
}

func (s *Stream) wake() {
	for _, r := range s.readers {
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
}

func (s *Stream) putJSON(k kind, at uint32, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("streamlog: encode %T: %w", v, err)
	}
	s.put(record{kind: k, at: at, body: body})
	return nil
}

func (o *op) addSummary(sum summary) error {
	value, err := json.Marshal(sum)
	if err != nil {
		return fmt.Errorf("streamlog: encode summary of %s: %w", sum.Header.ID, err)
	}
	o.keys = append(o.keys, keyValue{key: headKey(sum.Header.ID), value: value})
	return nil
}
