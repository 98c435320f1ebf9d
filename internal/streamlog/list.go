package streamlog

import (
	"fmt"
	"io"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// List returns what is known of a principal's streams, newest first: at most
// limit of those accepted before the stream `before` (the zero ID: all), and
// for which want is true. Expired ones are left out.
func (l *Log) List(principal Hash, before ID, limit int, want func(Info) bool) ([]Info, error) {
	var infos []Info
	err := l.search(func(b *bucket) (bool, error) {
		ids, err := b.idsOf(principal, before)
		if err != nil {
			return false, err
		}
		for _, id := range ids {
			s, err := l.get(id)
			if err != nil {
				return false, err
			}
			info, expired := s.Info(), s.expired()
			s.Release()
			if expired || !want(info) {
				continue
			}
			if infos = append(infos, info); len(infos) == limit {
				return true, nil
			}
		}
		return false, nil
	})
	return infos, err
}

// idsOf lists the streams of a principal in b, newest first.
func (b *bucket) idsOf(principal Hash, before ID) (ids []ID, err error) {
	if before == (ID{}) {
		before = ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	err = b.db.View(func(txn *badger.Txn) error {
		prefix := append([]byte{prefixPrincipal}, principal[:]...)
		it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: prefix})
		defer it.Close()
		for it.Seek(principalKey(principal, before)); it.Valid(); it.Next() {
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

// History calls fn with everything that happened to the stream, in the order in
// which it became durable: the marks stand among the events as they happened.
// It is for the books, which need it rarely; readers use Reader.
func (s *Stream) History(fn func(Entry) error) error {
	r, err := s.Reader(0)
	if err != nil {
		return err
	}
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
