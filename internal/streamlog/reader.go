package streamlog

import (
	"errors"
	"fmt"
	"io"
)

// ErrWait says that a reader has all there is so far: wait for Ready.
var ErrWait = errors.New("streamlog: nothing new yet")

const minRecord = 64 // bytes of most events, at least: room for more is not made at once

const maxReadAhead = 256 << 10 // bytes of blocks that a reader holds at the most, but for the last one

// Reader reads a stream's events from some index on: first what is stored,
// then what comes, without polling. It holds no database resources between
// calls. A Reader belongs to one goroutine.
type Reader struct {
	stream *Stream
	ready  chan struct{}
	all    bool   // also records of, and within, an event that is not whole yet: History
	seen   uint64 // number of the record it stood at when it last looked; guarded by stream.mu

	next   uint64 // number of the next record
	index  uint64 // of the next event, or of the one that next goes on with
	offset uint64
	place  place    // of the record next
	ahead  []record // records from next on
	events []Event
}

// Reader returns a reader that begins with event index, which may be at most
// the number of events so far: beyond is ErrBeyond. Close it.
func (s *Stream) Reader(index uint64) (*Reader, error) {
	r := &Reader{stream: s, ready: make(chan struct{}, 1)}
	s.mu.Lock()
	if index > s.now.index {
		s.mu.Unlock()
		return nil, ErrBeyond
	}
	s.readers = append(s.readers, r)
	if index == s.now.index && !s.now.open {
		r.seen, r.next, r.index, r.offset = s.now.rec, s.now.rec, s.now.index, s.now.offset
		s.mu.Unlock()
		return r, nil
	}
	s.mu.Unlock()
	if index > 0 {
		if err := r.seek(index); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// seek puts the reader on the first record of event index.
func (r *Reader) seek(index uint64) error {
	s := r.stream
	blk, ok, err := s.bucket.lastBlockBefore(s.header.ID, index, 0)
	if err != nil {
		return err
	}
	if ok {
		r.next, r.index, r.offset = blk.from.rec, blk.from.index, blk.from.offset
	}
	for r.index < index {
		if err := r.fill(); err != nil {
			return err
		}
		for len(r.ahead) > 0 && r.index < index {
			r.step(r.ahead[0])
			r.ahead = r.ahead[1:]
		}
	}
	return nil
}

// Close ends the reading.
func (r *Reader) Close() {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.readers {
		if other == r {
			s.readers = append(s.readers[:i], s.readers[i+1:]...)
			return
		}
	}
}

// Ready gives a value when there may be something new to Read.
func (r *Reader) Ready() <-chan struct{} { return r.ready }

// Index is the index of the next event.
func (r *Reader) Index() uint64 { return r.index }

// Offset is the byte offset of the next event in the body.
func (r *Reader) Offset() uint64 { return r.offset }

// Read returns the next events, at least one and about max bytes at the most.
// An event in parts is returned part by part, and only once all of it is in the
// log; if it never will be, since the stream has ended, as far as it came.
// ErrWait: nothing new yet. io.EOF: the stream has ended and all was read.
// ErrDamaged: what comes next can't be read. ErrClosed, or the error of a failed
// commit: nothing more will come.
// The events are valid until the next call, their Data forever.
func (r *Reader) Read(max int) ([]Event, error) {
	r.events = r.events[:0]
	size := 0
	for size < max {
		if len(r.ahead) == 0 {
			if err := r.fill(); err != nil {
				if len(r.events) > 0 {
					break
				}
				return nil, err
			}
		}
		n := 0
		for _, rec := range r.ahead {
			if size >= max {
				break
			}
			n++
			if rec.is(kindEvent) {
				size += len(rec.body)
				r.events = append(r.events, rec.event(r.index, r.offset))
			}
			r.step(rec)
		}
		r.ahead = r.ahead[n:]
	}
	return r.events, nil
}

// step moves the reader past rec.
func (r *Reader) step(rec record) {
	if rec.is(kindEvent) {
		r.offset += uint64(len(rec.body))
		if rec.kind&flagMore == 0 {
			r.index++
		}
	}
	r.next++
}

// fill gets the next records: from memory if they are there, else from blocks.
func (r *Reader) fill() error {
	s := r.stream
	s.mu.Lock()
	r.seen = r.next
	shown := s.shown
	if r.all {
		shown = s.now.rec
	}
	if r.next >= shown {
		defer s.mu.Unlock()
		switch {
		case s.torn:
			return s.damaged
		case s.end != nil:
			return io.EOF
		case s.broken != nil:
			return s.broken
		}
		return ErrWait
	}
	records, place, ok := s.at(r.next, r.place)
	s.mu.Unlock()
	if !ok {
		return r.fillFromBlocks(shown)
	}
	c := cursor{b: records}
	r.ahead = r.ahead[:0]
	for rec := r.next; rec < shown && len(c.b) > 0; rec++ {
		r.ahead = append(r.ahead, c.record())
	}
	r.place = place
	r.place.rec += uint64(len(r.ahead))
	r.place.pos += len(records) - len(c.b)
	return c.err
}

func (r *Reader) fillFromBlocks(shown uint64) error {
	s := r.stream
	blk, ok, err := s.bucket.lastBlockBefore(s.header.ID, r.index, r.next)
	if err != nil {
		return err
	}
	if !ok || blk.to.rec <= r.next || blk.from.rec > r.next {
		return fmt.Errorf("%w: stream %s has no record %d", ErrDamaged, s.header.ID, r.next)
	}
	if room := shown - r.next; uint64(cap(r.ahead)) < room && room <= maxReadAhead/minRecord {
		r.ahead = make([]record, 0, room)
	}
	r.ahead = append(r.ahead[:0], blk.records[r.next-blk.from.rec:]...)
	size := int(blk.to.offset - blk.from.offset)
	if blk.to.rec < shown && size < maxReadAhead {
		// Where a later block can't be read, what is before it is read first; the
		// error comes again.
		_ = s.bucket.blocks(s.header.ID, blk.to.index, blk.to.rec, func(b block) bool {
			r.ahead = append(r.ahead, b.records...)
			size += int(b.to.offset - b.from.offset)
			return size < maxReadAhead && b.to.rec < shown
		})
	}
	if have := shown - r.next; uint64(len(r.ahead)) > have {
		r.ahead = r.ahead[:have]
	}
	return nil
}
