package streamlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// recovery brings a bucket to the state that a clean Close would have left:
// every record of the journal is in a block. Damage to one stream stays with that
// stream.
type recovery struct {
	log    *Log
	bucket *bucket
	loose  map[ID]*loose
	gap    uint64 // the last journal group that is missing or damaged; 0: none is
}

// loose is a stream that may have records in no block; the zero value is one of
// which nothing but the id is left.
type loose struct {
	*Stream
	atLeast uint64 // number of a record that a block, which can't be read, begins with; it is there, or the stream is damaged
	bad     error  // why that block can't be read
	group   uint64 // last journal group with records that follow on what was there
}

// recoverBucket recovers b. Streams without an end are handed out by Recovered,
// those that are not settled are listed by Unsettled.
func (l *Log) recoverBucket(b *bucket) error {
	r := &recovery{log: l, bucket: b, loose: map[ID]*loose{}}
	if err := r.readJournal(); err != nil {
		return err
	}
	open, err := b.openStreams()
	if err != nil {
		return err
	}
	if err := b.findOwed(); err != nil {
		return err
	}
	for _, id := range open {
		if _, err := r.stream(id); err != nil {
			return err
		}
	}
	if err := r.seal(); err != nil {
		return fmt.Errorf("streamlog: recover %s: %w", b.dir, err)
	}
	for _, s := range r.loose {
		if s.Stream == nil {
			continue
		}
		s.showAll()
		if s.end == nil {
			l.keep(s.Stream)
			l.recovered = append(l.recovered, s.Stream)
		}
	}
	return b.db.Update(func(txn *badger.Txn) error { return setCheckpoint(txn, b.group, b.last) })
}

// readJournal collects the records that are in no block, by stream, and finds
// the number of the next group.
func (r *recovery) readJournal() error {
	b, logger := r.bucket, r.log.opts.Logger
	return b.view(func(txn *badger.Txn) (err error) {
		if b.group, b.last, err = readCheckpoint(txn); errors.Is(err, ErrDamaged) {
			logger.Error("the checkpoint is damaged: the whole journal is read", "bucket", b.dir, "error", err)
			b.group = 1
		} else if err != nil {
			return err
		}
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixJournal}, PrefetchValues: true, PrefetchSize: 16})
		defer it.Close()
		for it.Seek(journalKey(b.group)); it.Valid(); it.Next() {
			group := binary.BigEndian.Uint64(it.Item().Key()[1:])
			if group != b.group {
				r.gap = group - 1
				logger.Error("journal groups are missing: streams may have lost their end", "bucket", b.dir, "from", b.group, "to", group)
			}
			err := value(it.Item(), func(v []byte) error { return r.readGroup(group, v) })
			if errors.Is(err, ErrDamaged) {
				r.gap = group
				logger.Error("a journal group is damaged: streams may have lost events", "bucket", b.dir, "group", group, "error", err)
			} else if err != nil {
				return err
			}
			b.group = group + 1
		}
		return nil
	})
}

func readCheckpoint(txn *badger.Txn) (group uint64, last time.Time, err error) {
	item, err := txn.Get(metaCheckpoint)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 1, time.Time{}, nil
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("streamlog: checkpoint: %w", err)
	}
	err = value(item, func(v []byte) error {
		if len(v) != 16 {
			return fmt.Errorf("%w: checkpoint of %d bytes", ErrDamaged, len(v))
		}
		group = binary.BigEndian.Uint64(v)
		if ms := binary.BigEndian.Uint64(v[8:]); ms > 0 {
			last = time.UnixMilli(int64(ms))
		}
		return nil
	})
	return group, last, err
}

// readGroup adds the records of one journal frame to the streams' tails.
func (r *recovery) readGroup(group uint64, frame []byte) error {
	_, payload, err := openFrame(frame)
	if err != nil {
		return err
	}
	parts, err := parseGroup(payload)
	if err != nil {
		return err
	}
	for _, p := range parts {
		s, err := r.stream(p.id)
		if err != nil {
			return err
		}
		if s.Stream == nil {
			continue
		}
		if s.restore(p.rec, p.records); s.damaged == nil {
			s.group = group
		}
	}
	return nil
}

// groupPart is what one operation put into a journal group.
type groupPart struct {
	id      ID
	rec     uint64 // number of the first record
	records []record
}

// parseGroup reads the payload of a journal frame.
func parseGroup(payload []byte) (parts []groupPart, err error) {
	var table []groupPart // by number within the group: where the stream goes on
	c := cursor{b: payload}
	for c.err == nil && len(c.b) > 0 {
		ref := c.uvarint("stream")
		if ref == uint64(len(table)) && c.err == nil {
			var p groupPart
			copy(p.id[:], c.bytes(uint64(len(p.id)), "stream id"))
			p.rec = c.uvarint("record number")
			table = append(table, p)
		}
		if c.err == nil && ref >= uint64(len(table)) {
			c.fail("stream table")
		}
		records := cursor{b: c.bytes(c.uvarint("length"), "records")}
		if c.err != nil {
			break
		}
		p := table[ref]
		for records.err == nil && len(records.b) > 0 {
			p.records = append(p.records, records.record())
		}
		table[ref].rec += uint64(len(p.records))
		parts = append(parts, p)
		c.err = records.err
	}
	if c.err != nil {
		return nil, c.err
	}
	return parts, nil
}

// stream returns the stream that the journal or an open key speaks of, with what
// blocks hold of it.
func (r *recovery) stream(id ID) (*loose, error) {
	if s := r.loose[id]; s != nil {
		return s, nil
	}
	s := &loose{}
	r.loose[id] = s
	sum, err := r.bucket.summary(id)
	if err == nil && sum == nil {
		err = fmt.Errorf("%w: no summary", ErrDamaged)
	}
	if errors.Is(err, ErrDamaged) {
		r.log.opts.Logger.Error("a stream is damaged beyond recovery", "bucket", r.bucket.dir, "stream", id.String(), "error", err)
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	var p progress
	blk, ok, err := r.bucket.lastBlockBefore(id, 1<<63, 1<<63)
	switch {
	case err == nil:
		p = blk.to
	case ok && errors.Is(err, ErrDamaged):
		// The journal may still have what the block held.
		if s.atLeast, err = r.bucket.lastRecord(id); err != nil {
			return nil, err
		}
		p, s.bad = r.bucket.readable(id)
	default:
		return nil, err
	}
	s.Stream = r.log.newStream(r.bucket, sum, p)
	return s, nil
}

// restore adds records that the journal holds, from number rec on, unless they
// are in a block. What comes after a gap is not the stream's any more: it is
// damaged, and says so.
func (s *Stream) restore(rec uint64, records []record) {
	for _, r := range records {
		if s.damaged == nil && rec > s.next.rec {
			s.damaged = fmt.Errorf("%w: records %d to %d are missing", ErrDamaged, s.next.rec, rec)
		}
		if s.damaged == nil && rec == s.next.rec {
			s.put(r)
		}
		rec++
	}
	s.nextID, s.born = uint32(s.next.rec), uint32(s.next.rec)
}

// seal writes what the journal held into blocks, without the writer, and says
// which streams may have lost their last records with a group that is gone: those
// that are not known to have gone on after it, and have no end to tell by.
func (r *recovery) seal() error {
	wb := r.bucket.db.NewWriteBatch()
	defer wb.Cancel()
	for id, s := range r.loose {
		if s.Stream == nil {
			continue
		}
		switch {
		case s.damaged != nil || s.end != nil:
		case s.bad != nil && s.next.rec <= s.atLeast:
			s.damaged = s.bad
		case s.group < r.gap:
			s.damaged = fmt.Errorf("%w: journal group %d, which may have held the last events", ErrDamaged, r.gap)
		}
		s.now, s.committed = s.next, len(s.data)
		if s.sealed.rec == s.now.rec {
			continue
		}
		frame := appendBlock(nil, s.sealed, s.now, s.data, r.log.encrypted())
		if err := wb.Set(contentKey(id, s.sealed.index, s.sealed.rec), frame); err != nil {
			return err
		}
		s.seal(false)
	}
	return wb.Flush()
}

// openStreams lists the streams without an end.
func (b *bucket) openStreams() (ids []ID, err error) {
	if err = b.streamsUnder(prefixOpen, func(id ID) { ids = append(ids, id) }); err != nil {
		return nil, fmt.Errorf("streamlog: list open streams: %w", err)
	}
	return ids, nil
}
