package streamlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Settled notes that nothing is owed for the stream any more: what follows from
// how it ended has been done, and is durable elsewhere. Until then the stream is
// among the Unsettled of the next start, and its bucket is kept. It does not wait
// for its commit: if a crash loses it, the stream is offered again. To call it
// twice is harmless; before Finish it is an error.
func (s *Stream) Settled() error {
	if s.isSettled() {
		return nil
	}
	o := &op{stream: s, settled: true}
	o.keys = []keyValue{{key: unsettledKey(s.header.ID), gone: true}}
	return s.submit(o, s.header.Accepted, func(uint32) error {
		if !s.ending {
			return fmt.Errorf("streamlog: stream %s is to be settled before its end", s.header.ID)
		}
		return nil
	})
}

func (s *Stream) isSettled() bool {
	s.mu.Lock()
	ended := s.end != nil
	s.mu.Unlock()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	_, owed := s.bucket.owed[s.header.ID]
	return ended && !owed
}

// Unsettled lists the streams that ended before the log was opened and are not
// settled yet, oldest first. ForBooks gives each. To list them does not take them
// off: Settled does.
func (l *Log) Unsettled() []ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []ID
	for _, b := range l.buckets {
		for id, before := range b.owed {
			if before {
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// ForBooks returns a stream for who has to settle it: whoever's it is, and
// whether it has expired or not. The caller owns a reference; see Stream.Release.
//
// One that has ended and is not whole is returned too. Its Info says Damaged, and
// has header, attempts, head and end as they were, but counts those events only
// that can be read; History ends in ErrDamaged after these. If its end itself is
// lost, that is Interrupted, for "damaged". Damage further inside is found by
// History alone.
//
// One of which not even the summary can be read is ErrDamaged. It can't be
// settled, so it is logged, and no longer Unsettled until the next start.
func (l *Log) ForBooks(id ID) (*Stream, error) {
	s, err := l.get(id)
	if err != nil && (errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged)) && l.writeOff(id) {
		err = fmt.Errorf("%w: nothing is left of stream %s but its id: %w", ErrDamaged, id, err)
		l.opts.Logger.Error("a stream that is not settled is damaged beyond recovery: no books will have it", "stream", id.String(), "error", err)
	}
	return s, err
}

// writeOff forgets that a stream is not settled, and reports whether it was so.
func (l *Log) writeOff(id ID) (was bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.buckets {
		if _, ok := b.owed[id]; ok {
			delete(b.owed, id)
			was = true
		}
	}
	return was
}

// owe notes that s is to be settled, or that it is settled. Called by the writer
// once that is durable: a bucket that still has to take a deletion must not go.
func (l *Log) owe(s *Stream, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ended {
		s.bucket.owed[s.header.ID] = false
	} else {
		delete(s.bucket.owed, s.header.ID)
	}
}

// warnOwed says, once in a while, that b would be gone but for streams that
// nobody settles. Called with the lock held.
func (l *Log) warnOwed(b *bucket, now time.Time) {
	if !b.warned.IsZero() && now.Sub(b.warned) < warnOwedEvery {
		return
	}
	b.warned = now
	l.opts.Logger.Warn("a bucket is kept only for streams that are not settled: are the books stuck?", "bucket", b.dir, "streams", len(b.owed))
}

const warnOwedEvery = 10 * time.Minute

// findOwed reads which streams of b are not settled.
func (b *bucket) findOwed() error {
	err := b.streamsUnder(prefixUnsettled, func(id ID) { b.owed[id] = true })
	if err != nil {
		return fmt.Errorf("streamlog: list unsettled streams: %w", err)
	}
	return nil
}

// streamsUnder calls fn with each stream that has a key of this prefix.
func (b *bucket) streamsUnder(prefix byte, fn func(ID)) error {
	return b.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefix}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			fn(ID(it.Item().Key()[1:]))
		}
		return nil
	})
}
