package streamlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	maxSealBytes    = 512 << 10       // raw bytes of blocks that one transaction takes along
	maxSealBlocks   = 64              // and their number
	checkpointEvery = 5 * time.Second // how often the writer notes where recovery may start
)

// Commit is what one group commit did.
type Commit struct {
	Events   int
	Bytes    int // of events
	Written  int // bytes of journal frame and blocks, as handed to the database
	Duration time.Duration
}

// scratch is the writer's own memory, kept from one group to the next.
type scratch struct {
	ops     []*op
	others  []*op // of gather
	payload []byte
	arena   []byte    // frames of the transaction at hand
	streams uint64    // in the group at hand
	due     []*bucket // those with streams in their line
	sealed  []*Stream // in the transaction at hand
	round   uint64
}

const keepScratch = 4 << 20 // bytes of payload and arena that the writer keeps after a large group

// write is the writer: the one goroutine that commits. It takes whatever is
// queued, without waiting for more: while it commits, the queue fills.
func (l *Log) write() {
	w := &l.scratch
	for {
		var more bool
		w.ops, more = l.queue.take(w.ops[:0], len(w.due) > 0)
		if !more && len(w.due) == 0 && !l.sealRest() {
			l.closeJournals()
			l.failStreams(ErrClosed)
			return
		}
		if failed, err := l.commitRound(w.ops); err != nil {
			l.fail(failed, err)
			return
		}
		clear(w.ops) // or streams that have left memory would stay in it
		clear(w.others)
		clear(w.sealed)
	}
}

// commitRound commits ops, those of each bucket together, and a transaction's
// worth of the blocks that are due in each bucket: none waits for an operation to
// come along, and no operation for more than that. With an error it returns the
// operations of which the outcome is not known.
func (l *Log) commitRound(ops []*op) ([]*op, error) {
	w := &l.scratch
	w.round++
	for len(ops) > 0 {
		b := ops[0].stream.bucket
		n := w.gather(ops, b)
		if err := l.commit(b, ops[:n]); err != nil {
			return ops, err
		}
		ops = ops[n:]
	}
	for _, b := range w.due[:len(w.due):len(w.due)] {
		if b.turn == w.round {
			continue
		}
		if err := l.commit(b, nil); err != nil {
			return nil, err
		}
	}
	w.due = slices.DeleteFunc(w.due, func(b *bucket) bool { return len(b.line) == 0 })
	return nil, nil
}

// gather moves the operations of b to the front, keeps their order and returns
// how many they are. While streams of two buckets are live, operations of both
// come mixed; each run of them would make a transaction of its own.
func (w *scratch) gather(ops []*op, b *bucket) int {
	n := 0
	w.others = w.others[:0]
	for _, o := range ops {
		if o.stream.bucket == b {
			ops[n] = o
			n++
		} else {
			w.others = append(w.others, o)
		}
	}
	copy(ops[n:], w.others)
	return n
}

// queueForSealing puts s at the end of its bucket's line, if it isn't in it.
func (w *scratch) queueForSealing(s *Stream) {
	if s.sealing {
		return
	}
	s.sealing = true
	b := s.bucket
	if len(b.line) == 0 && !slices.Contains(w.due, b) {
		w.due = append(w.due, b)
	}
	b.line = append(b.line, s)
}

// commit makes one transaction of ops, which are all in bucket b, and of blocks
// that are due; then it tells the readers and the callers.
func (l *Log) commit(b *bucket, ops []*op) error {
	began := time.Now()
	w := &l.scratch
	txn := b.db.NewTransaction(true)
	defer txn.Discard()
	c := Commit{}
	payload := w.payload[:0]
	b.turn, w.streams, w.arena = w.round, 0, w.arena[:0]
	for _, o := range ops {
		payload = l.encode(payload, b, o)
		if err := setKeys(txn, o); err != nil {
			return err
		}
		c.Events += o.events
		c.Bytes += int(o.to.offset - o.from.offset)
	}
	w.payload = payload
	if len(payload) > 0 {
		w.arena = appendFrame(w.arena, nil, payload, l.encrypted())
		if err := txn.Set(journalKey(b.group), w.arena); err != nil {
			return fmt.Errorf("streamlog: journal group %d: %w", b.group, err)
		}
	}
	if err := l.sealDue(txn, b); err != nil {
		return err
	}
	if err := l.noteCheckpoint(txn, b, began); err != nil {
		return err
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("streamlog: commit: %w", err)
	}
	if b.logger.Unsynced() {
		return errors.New("streamlog: commit: the value log can't be synced")
	}
	if len(payload) > 0 {
		b.group++
		b.last = began
	}
	c.Duration, c.Written = time.Since(began), len(w.arena)
	if cap(w.arena) > keepScratch || cap(w.payload) > keepScratch {
		w.arena, w.payload = nil, nil
	}
	l.publish(b, ops)
	if l.opts.OnCommit != nil && len(payload) > 0 {
		l.opts.OnCommit(c)
	}
	return nil
}

// encode appends o's records to the journal's payload. The first time that a
// stream comes up in a group, its id and the number of its record go before.
func (l *Log) encode(payload []byte, b *bucket, o *op) []byte {
	if len(o.data) == 0 {
		return payload
	}
	s := o.stream
	first := s.group != b.group
	if first {
		s.group, s.ref = b.group, l.scratch.streams
		l.scratch.streams++
	}
	payload = binary.AppendUvarint(payload, s.ref)
	if first {
		payload = append(payload, s.header.ID[:]...)
		payload = binary.AppendUvarint(payload, o.from.rec)
	}
	payload = binary.AppendUvarint(payload, uint64(len(o.data)))
	return append(payload, o.data...)
}

func setKeys(txn *badger.Txn, o *op) error {
	for _, kv := range o.keys {
		var err error
		if kv.gone {
			err = txn.Delete(kv.key)
		} else {
			err = txn.Set(kv.key, kv.value)
		}
		if err != nil {
			return fmt.Errorf("streamlog: index %s: %w", o.stream.header.ID, err)
		}
	}
	return nil
}

// sealDue writes blocks of the streams in b's line, as many as a transaction may
// take.
func (l *Log) sealDue(txn *badger.Txn, b *bucket) error {
	w := &l.scratch
	w.sealed = w.sealed[:0]
	raw, n := 0, 0
	for n < len(b.line) && n < maxSealBlocks && raw < maxSealBytes {
		s := b.line[n]
		n++
		from, to, records := s.unsealedRecords()
		w.sealed = append(w.sealed, s)
		if from.rec == to.rec {
			continue
		}
		start := len(w.arena)
		w.arena = appendBlock(w.arena, from, to, records, l.encrypted())
		if err := txn.Set(contentKey(s.header.ID, from.index, from.rec), w.arena[start:]); err != nil {
			return fmt.Errorf("streamlog: block of %s: %w", s.header.ID, err)
		}
		raw += len(records)
	}
	rest := copy(b.line, b.line[n:])
	clear(b.line[rest:])
	b.line = b.line[:rest]
	return nil
}

func (l *Log) encrypted() bool { return len(l.opts.EncryptionKey) > 0 }

// publish makes a committed group visible.
func (l *Log) publish(b *bucket, ops []*op) {
	for _, s := range l.scratch.sealed {
		s.wasSealed()
		l.evict(s)
	}
	for _, o := range ops {
		s := o.stream
		if o.flush {
			s.flushes.Add(-1)
		}
		if o.settled || o.end != nil {
			l.owe(s, o.end != nil) // before anyone sees the end: see Settled
		}
		due, flush := s.published(o, b.group-1), o.flush
		if o.done != nil {
			o.done <- nil // from here on o may be another operation
		}
		switch {
		case due:
			l.scratch.queueForSealing(s)
		case flush && !s.sealing:
			l.evict(s)
		}
	}
}

// noteCheckpoint lets recovery skip the journal groups of which all is in
// blocks. A stream that is too quiet to fill a block is sealed, so that it does
// not hold the checkpoint back.
func (l *Log) noteCheckpoint(txn *badger.Txn, b *bucket, now time.Time) error {
	if now.Sub(b.checkpointed) < checkpointEvery {
		return nil
	}
	b.checkpointed = now
	checkpoint := b.group
	l.mu.Lock()
	for _, s := range l.streams {
		if s.bucket != b || s.allSealed() {
			continue
		}
		checkpoint = min(checkpoint, s.unsealed)
		l.scratch.queueForSealing(s)
	}
	l.mu.Unlock()
	return setCheckpoint(txn, checkpoint, now)
}

// setCheckpoint notes that recovery may start with group, and when the bucket
// was last written to.
func setCheckpoint(txn *badger.Txn, group uint64, last time.Time) error {
	v := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, group), uint64(max(last.UnixMilli(), 0)))
	if err := txn.Set(metaCheckpoint, v); err != nil {
		return fmt.Errorf("streamlog: checkpoint: %w", err)
	}
	return nil
}

// sealRest puts every stream that has records in no block into the line; false
// if there is none.
func (l *Log) sealRest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.streams {
		if !s.allSealed() {
			l.scratch.queueForSealing(s)
		}
	}
	return len(l.scratch.due) > 0
}

// closeJournals notes that nothing is left to recover.
func (l *Log) closeJournals() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.buckets {
		err := b.db.Update(func(txn *badger.Txn) error { return setCheckpoint(txn, b.group, b.last) })
		if err != nil {
			l.opts.Logger.Warn("the next start will read the whole journal", "bucket", b.dir, "error", err)
		}
	}
}

// evict takes a stream out of memory that has ended, that nobody holds, and of
// which all is in blocks.
func (l *Log) evict(s *Stream) {
	if !s.atRest() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.refs == 0 && s.flushes.Load() == 0 && l.streams[s.header.ID] == s {
		l.forget(s)
	}
}

// fail stops the log: what ops wanted may or may not be stored.
func (l *Log) fail(ops []*op, err error) {
	l.opts.Logger.Error("the stream log has failed and takes nothing more", "error", err)
	l.queue.fail(err)
	for _, o := range ops {
		if o.done != nil {
			o.done <- err
		}
	}
	l.failStreams(err)
}

// failStreams tells all readers that nothing more will come.
func (l *Log) failStreams(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.streams {
		s.fail(err)
	}
}
