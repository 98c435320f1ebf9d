package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/klauspost/compress/s2"
)

// keyed stores each event under its own key: stream, number of the event.
type keyed struct {
	*grouper // nil: each caller has its own transaction
	dir      string
	db       *badger.DB
	streams  int
}

func eventKey(stream uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(make([]byte, 0, 12), stream), seq)
}

// openPerEvent is what one would write first: a key and a transaction for each
// event, default options.
func openPerEvent(dir string, sync bool) (store, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(sync).WithLogger(nil))
	if err != nil {
		return nil, err
	}
	return &keyed{dir: dir, db: db}, nil
}

// openKeyPerEvent has a key for each event too, but one transaction for all that are
// queued.
func openKeyPerEvent(dir string, sync bool) (store, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(sync).WithDetectConflicts(false).WithLogger(nil))
	if err != nil {
		return nil, err
	}
	return &keyed{dir: dir, db: db, grouper: newGrouper(func(items []item) error {
		return db.Update(func(txn *badger.Txn) error {
			for _, i := range items {
				if err := txn.Set(eventKey(i.stream, i.seq), i.event); err != nil {
					return err
				}
			}
			return nil
		})
	})}, nil
}

func (s *keyed) create(ctx context.Context, n int) ([]appendFunc, error) {
	s.streams = n
	if s.grouper != nil {
		return s.grouper.create(ctx, n)
	}
	appends := make([]appendFunc, n)
	for i := range appends {
		var seq uint64
		appends[i] = func(event []byte) error {
			key := eventKey(uint32(i), seq)
			seq++
			return s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, event) })
		}
	}
	return appends, nil
}

func (s *keyed) close() error {
	if s.grouper != nil {
		s.stop()
	}
	return s.db.Close()
}

func (s *keyed) read(wanted func(int) bool, visit visitFunc) (err error) {
	db, err := badger.Open(badger.DefaultOptions(s.dir).WithLogger(nil))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for stream := range s.streams {
		if !wanted(stream) {
			continue
		}
		prefix := binary.BigEndian.AppendUint32(nil, uint32(stream))
		if err := eachValue(db, prefix, func(v []byte) error { return visit(stream, v) }); err != nil {
			return err
		}
	}
	return nil
}

func eachValue(db *badger.DB, prefix []byte, fn func([]byte) error) error {
	return db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := it.Item().Value(fn); err != nil {
				return err
			}
		}
		return nil
	})
}

// journal stores each group under one key, compressed and with a checksum, in
// the value log: the cheapest that Badger can do. A stream can't be read
// without reading the groups of all.
type journal struct {
	*grouper
	dir   string
	db    *badger.DB
	group uint64
	raw   []byte
}

func journalOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).WithMemTableSize(8 << 20).WithNumMemtables(2).WithNumCompactors(2).
		WithValueThreshold(1 << 10).WithValueLogFileSize(64 << 20).WithBlockCacheSize(4 << 20).
		WithCompression(options.None).WithDetectConflicts(false).WithMetricsEnabled(false).WithLogger(nil)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openJournal(dir string, sync bool) (store, error) {
	db, err := badger.Open(journalOptions(dir).WithSyncWrites(sync))
	if err != nil {
		return nil, err
	}
	s := &journal{dir: dir, db: db}
	var frame []byte
	s.grouper = newGrouper(func(items []item) error {
		s.raw = appendItems(s.raw[:0], items)
		frame = append(frame[:0], make([]byte, 4+s2.MaxEncodedLen(len(s.raw)))...)
		body := s2.Encode(frame[4:], s.raw)
		binary.BigEndian.PutUint32(frame, crc32.Checksum(body, castagnoli))
		s.group++
		return db.Update(func(txn *badger.Txn) error {
			return txn.Set(binary.BigEndian.AppendUint64(nil, s.group), frame[:4+len(body)])
		})
	})
	return s, nil
}

func (s *journal) close() error {
	s.stop()
	return s.db.Close()
}

func (s *journal) read(wanted func(int) bool, visit visitFunc) (err error) {
	db, err := badger.Open(journalOptions(s.dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return eachValue(db, nil, func(frame []byte) error {
		if len(frame) < 4 || crc32.Checksum(frame[4:], castagnoli) != binary.BigEndian.Uint32(frame) {
			return errors.New("read back: a group is damaged")
		}
		raw, err := s2.Decode(nil, frame[4:])
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		return readItems(bytes.NewReader(raw), wanted, visit)
	})
}
