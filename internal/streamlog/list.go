package streamlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// List returns what is known of a principal's streams, newest first: at most
// limit (0: all) of those accepted before the stream `before` (the zero ID:
// all), and for which want is true. Expired ones are left out. A stream whose
// summary can't be read is listed as Interrupted and Damaged; that the events of
// another can be read is not checked here.
func (l *Log) List(principal Hash, before ID, limit int, want func(Info) bool) ([]Info, error) {
	return l.list(append([]byte{prefixPrincipal}, principal[:]...), principal, lister{before, limit, want})
}

// lister is which streams are listed.
type lister struct {
	before ID
	limit  int
	want   func(Info) bool
}

// list lists the streams whose keys are prefix and id.
func (l *Log) list(prefix []byte, principal Hash, which lister) ([]Info, error) {
	var infos []Info
	err := l.search(func(b *bucket) (bool, error) {
		ids, err := b.ids(prefix, which.before)
		if err != nil {
			return false, err
		}
		for _, id := range ids {
			info, err := l.info(b, id, principal)
			if err != nil {
				return false, err
			}
			if l.expired(info.End) || !which.want(info) {
				continue
			}
			if infos = append(infos, info); len(infos) == which.limit {
				return true, nil
			}
		}
		return false, nil
	})
	return infos, err
}

// info is what is known of a stream that b holds, without its events.
func (l *Log) info(b *bucket, id ID, principal Hash) (Info, error) {
	l.mu.Lock()
	s := l.streams[id]
	l.mu.Unlock()
	if s != nil {
		return s.Info(), nil
	}
	sum, err := b.summary(id)
	switch {
	case errors.Is(err, ErrDamaged):
		return Info{Header: Header{ID: id, Principal: principal}, State: Interrupted, Damaged: err}, nil
	case err != nil:
		return Info{}, err
	case sum == nil || sum.End == nil:
		// It was in memory until its end was durable, so this is not all.
		i := Info{Header: Header{ID: id, Principal: principal}, State: Interrupted}
		if sum != nil {
			i.Header, i.Attempts, i.Head = sum.Header, sum.attempts(), sum.Head
		}
		i.Damaged = fmt.Errorf("%w: stream %s has lost its end", ErrDamaged, id)
		return i, nil
	}
	return sum.info(), nil
}

// ids lists the streams in b whose keys are prefix and id, newest first.
func (b *bucket) ids(prefix []byte, before ID) (ids []ID, err error) {
	if before == (ID{}) {
		before = ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	err = b.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: prefix})
		defer it.Close()
		for it.Seek(append(bytes.Clone(prefix), before[:]...)); it.Valid(); it.Next() {
			id := ID(it.Item().Key()[len(prefix):])
			if id != before {
				ids = append(ids, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("streamlog: list streams: %w", err)
	}
	return ids, nil
}

// Entry is one record of a stream's history. Exactly one of the pointers is set.
type Entry struct {
	At      time.Time
	Attempt *Attempt
	Head    *Head
	Event   *Event
	Mark    *Mark
	End     *End
}

// History calls fn with everything that happened to the stream so far, whether
// it has ended or not. What was acknowledged before the call is there: after
// Detach the detach, after Finish the end, and the parts of an event that is not
// whole yet. Where something can't be read it is ErrDamaged, after all that
// stands before. It is for the books, which need it rarely; readers use Reader.
//
// The order is the one in which it became durable, and it is what the books may
// rely on; Entry.At says when, to the millisecond, and two callers at once may be
// a little out of order in it:
//
//   - Events stand between the attach and the detach of those connections that
//     were there when they came.
//   - A mark of what was delivered to a connection stands after its attach and
//     before its detach, after all the events that it speaks of, and before every
//     event that was appended after it was taken. Events that it doesn't speak of
//     may stand before it: they were there, and not yet written.
//   - After the end only marks follow, of connections that still read or come back.
func (s *Stream) History(fn func(Entry) error) error {
	r := &Reader{stream: s, all: true, ready: make(chan struct{}, 1)} // from the first record on, which Reader(0) may skip
	s.mu.Lock()
	s.readers = append(s.readers, r)
	s.mu.Unlock()
	defer r.Close()
	for {
		if err := r.fill(); err == io.EOF || err == ErrWait {
			return nil
		} else if err != nil {
			return err
		}
		for _, rec := range r.ahead {
			e, err := r.entry(rec)
			if err != nil {
				return err
			}
			r.step(rec)
			if rec.is(kindOpen) {
				continue
			}
			if err := fn(e); err != nil {
				return err
			}
		}
		r.ahead = r.ahead[:0]
	}
}

func (r *Reader) entry(rec record) (e Entry, err error) {
	e.At = r.stream.header.Accepted.Add(time.Duration(rec.at) * time.Millisecond)
	switch rec.kind & kindMask {
	case kindAttempt:
		e.Attempt, err = decode[Attempt](rec)
	case kindHead:
		e.Head, err = decode[Head](rec)
	case kindEnd:
		e.End, err = decode[End](rec)
	case kindEvent:
		ev := rec.event(r.index, r.offset)
		e.Event = &ev
	case kindMark:
		var m Mark
		m, err = parseMark(rec.body)
		e.Mark = &m
	}
	return e, err
}
