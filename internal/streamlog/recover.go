package streamlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// recoverBucket brings a bucket to the state that a clean Close would have left:
// every record of the journal is in a block. Streams without an end are handed
// out by Recovered.
func (l *Log) recoverBucket(b *bucket) error {
	loose := map[ID]*Stream{}
	if err := l.readJournal(b, loose); err != nil {
		return err
	}
	open, err := b.openStreams()
	if err != nil {
		return err
	}
	for _, id := range open {
		if loose[id] == nil {
			s, err := l.loadOpen(b, id)
			if err != nil {
				return err
			}
			loose[id] = s
		}
	}
	for id, s := range loose {
		if err := s.sealTail(); err != nil {
			return fmt.Errorf("streamlog: recover %s: %w", id, err)
		}
		if s.end == nil {
			l.keep(s)
			l.recovered = append(l.recovered, s)
		}
	}
	return b.db.Update(func(txn *badger.Txn) error { return setCheckpoint(txn, b.group) })
}

// readJournal collects the records that are in no block, by stream.
func (l *Log) readJournal(b *bucket, loose map[ID]*Stream) error {
	return b.db.View(func(txn *badger.Txn) error {
		from, err := readCheckpoint(txn)
		if err != nil {
			return err
		}
		b.group = from
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixJournal}, PrefetchValues: true, PrefetchSize: 16})
		defer it.Close()
		for it.Seek(journalKey(from)); it.Valid(); it.Next() {
			group := binary.BigEndian.Uint64(it.Item().Key()[1:])
			if group != b.group {
				l.opts.Logger.Error("journal groups are missing: streams may have lost their end", "bucket", b.dir, "from", b.group, "to", group)
			}
			err := it.Item().Value(func(v []byte) error { return l.readGroup(b, v, loose) })
			if errors.Is(err, ErrDamaged) {
				l.opts.Logger.Error("a journal group is damaged: streams may have lost events", "bucket", b.dir, "group", group, "error", err)
			} else if err != nil {
				return err
			}
			b.group = group + 1
		}
		return nil
	})
}

func readCheckpoint(txn *badger.Txn) (uint64, error) {
	item, err := txn.Get(metaCheckpoint)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("streamlog: checkpoint: %w", err)
	}
	group := uint64(1)
	err = item.Value(func(v []byte) error {
		if len(v) != 8 {
			return fmt.Errorf("%w: checkpoint of %d bytes", ErrDamaged, len(v))
		}
		group = binary.BigEndian.Uint64(v)
		return nil
	})
	return group, err
}

// readGroup adds the records of one journal frame to the streams' tails.
func (l *Log) readGroup(b *bucket, frame []byte, loose map[ID]*Stream) error {
	_, payload, err := openFrame(frame)
	if err != nil {
		return err
	}
	type place struct {
		stream *Stream
		rec    uint64
	}
	var table []place
	c := cursor{b: payload}
	for len(c.b) > 0 {
		ref := c.uvarint("stream")
		if ref == uint64(len(table)) {
			var id ID
			copy(id[:], c.bytes(16, "stream id"))
			p := place{rec: c.uvarint("record number")}
			if c.err == nil {
				if p.stream, err = l.loose(b, id, loose); err != nil {
					return err
				}
			}
			table = append(table, p)
		}
		records := cursor{b: c.bytes(c.uvarint("length"), "records")}
		if c.err == nil && ref >= uint64(len(table)) {
			c.fail("stream table")
		}
		for c.err == nil && len(records.b) > 0 {
			p := &table[ref]
			p.stream.restore(p.rec, records.record())
			p.rec++
			c.err = records.err
		}
	}
	return c.err
}

// loose returns the stream that the journal speaks of, with what blocks hold of
// it.
func (l *Log) loose(b *bucket, id ID, loose map[ID]*Stream) (*Stream, error) {
	if s := loose[id]; s != nil {
		return s, nil
	}
	s, err := l.loadOpen(b, id)
	if err != nil {
		return nil, err
	}
	loose[id] = s
	return s, nil
}

// loadOpen makes a handle of a stream that may have no end, from what blocks
// hold of it.
func (l *Log) loadOpen(b *bucket, id ID) (*Stream, error) {
	sum, err := b.summary(id)
	if err != nil {
		return nil, err
	}
	if sum == nil {
		return nil, fmt.Errorf("%w: stream %s has no summary", ErrDamaged, id)
	}
	blk, _, err := b.lastBlockBefore(id, 1<<63, 1<<63)
	if err != nil {
		return nil, err
	}
	return &Stream{
		log: l, bucket: b, header: sum.Header, head: sum.Head, end: sum.End, ending: sum.End != nil,
		tail: startAt(blk.to), nextID: uint32(blk.to.rec),
	}, nil
}

// restore adds a record that the journal holds, unless it is in a block. What
// comes after a gap is not the stream's any more: it is damaged, and says so.
func (s *Stream) restore(rec uint64, r record) {
	if rec < s.next.rec || s.damaged != nil {
		return
	}
	if rec > s.next.rec {
		s.damaged = fmt.Errorf("%w: records %d to %d are missing", ErrDamaged, s.next.rec, rec)
		return
	}
	s.put(r)
	s.nextID = uint32(s.next.rec)
}

// sealTail writes what the journal held into a block, without the writer. An
// event that was cut by the crash is shown as far as it came.
func (s *Stream) sealTail() error {
	s.now, s.committed = s.next, len(s.data)
	if s.sealed.rec < s.now.rec {
		frame := appendBlock(nil, s.sealed, s.now, s.data, s.log.encrypted())
		err := s.bucket.db.Update(func(txn *badger.Txn) error {
			return txn.Set(contentKey(s.header.ID, s.sealed.index, s.sealed.rec), frame)
		})
		if err != nil {
			return err
		}
		s.seal(false)
	}
	s.showAll()
	return nil
}

// openStreams lists the streams without an end.
func (b *bucket) openStreams() (ids []ID, err error) {
	err = b.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixOpen}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			ids = append(ids, ID(it.Item().Key()[1:]))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("streamlog: list open streams: %w", err)
	}
	return ids, nil
}
