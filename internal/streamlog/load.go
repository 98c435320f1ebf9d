package streamlog

import (
	"errors"
	"fmt"
	"time"
)

// get finds a stream in memory or in a bucket, and takes a reference.
func (l *Log) get(id ID) (*Stream, error) {
	if s := l.inMemory(id); s != nil {
		return s, nil
	}
	l.loading.Lock() // so that no other handle of this stream can come and go between load and keep
	defer l.loading.Unlock()
	if s := l.inMemory(id); s != nil {
		return s, nil
	}
	var found *Stream
	err := l.search(func(b *bucket) (bool, error) {
		s, err := l.load(b, id)
		if s == nil || err != nil {
			return false, err
		}
		l.keep(s)
		found = s
		return true, nil
	})
	if err == nil && found == nil {
		err = ErrNotFound
	}
	return found, err
}

func (l *Log) inMemory(id ID) *Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[id]
	if s != nil {
		s.refs++
	}
	return s
}

// keep puts a stream among those in memory. A stream has one handle.
func (l *Log) keep(s *Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[s.header.ID] = s
	s.bucket.handles++
	s.refs++
}

// forget undoes keep.
func (l *Log) forget(s *Stream) {
	delete(l.streams, s.header.ID)
	s.bucket.handles--
	s.bucket.idle = time.Now()
}

// load makes a handle of a stream that b holds and that has ended; nil if b
// doesn't hold it. A stream that has not ended is in memory, so one that is
// found here without an end has lost it.
func (l *Log) load(b *bucket, id ID) (*Stream, error) {
	sum, err := b.summary(id)
	if sum == nil || err != nil {
		return nil, err
	}
	p, err := b.extent(sum)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	if sum.End == nil {
		sum.End = &End{State: Interrupted, Cause: "damaged", Detail: err.Error(), At: sum.Header.Accepted}
	}
	s := l.newStream(b, sum, p)
	s.damaged, s.torn = err, err != nil
	s.showAll()
	return s, nil
}

// extent returns how far a stream that has ended can be read, as its blocks tell.
// ErrDamaged, with where the readable beginning ends: that is not all.
func (b *bucket) extent(sum *summary) (progress, error) {
	id := sum.Header.ID
	blk, ok, err := b.lastBlockBefore(id, 1<<63, 1<<63)
	switch {
	case errors.Is(err, ErrDamaged):
	case err != nil:
		return progress{}, err
	case sum.End == nil:
		err = fmt.Errorf("%w: stream %s has lost its end", ErrDamaged, id)
	case ok && blk.to.rec >= sum.Records && blk.to.index == sum.Events && blk.to.offset == sum.Bytes:
		return blk.to, nil
	default:
		err = fmt.Errorf("%w: stream %s has %d events in %d bytes, %d in %d were written", ErrDamaged, id, blk.to.index, blk.to.offset, sum.Events, sum.Bytes)
	}
	p, stop := b.readable(id)
	if stop != nil && !errors.Is(stop, ErrDamaged) {
		return progress{}, stop
	}
	return p, err
}

// newStream makes a handle of a stream whose blocks end at p.
func (l *Log) newStream(b *bucket, sum *summary, p progress) *Stream {
	return &Stream{
		log: l, bucket: b, header: sum.Header, given: sum.Head, head: sum.Head, asked: sum.Retries, retries: sum.Retries,
		end: sum.End, ending: sum.End != nil,
		tail: startAt(p), nextID: uint32(p.rec), born: uint32(p.rec), // no connection had a greater number: each left a record
	}
}
