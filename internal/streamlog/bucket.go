package streamlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// A bucket is one Badger database: the streams that were accepted while it was
// the newest. All that is stored of a stream is in its bucket, so retention is
// the removal of a directory.
type bucket struct {
	dir    string
	start  time.Time
	db     *badger.DB
	logger *badgerLogger

	// owned by the writer
	group        uint64 // number of the next journal group
	checkpointed time.Time

	// guarded by Log.mu
	handles int       // streams in memory that live here
	reads   int       // look-ups under way
	idle    time.Time // when the last stream ended or the bucket ceased to be the newest
}

// Keys. All numbers are big endian, so that they sort.
const (
	prefixJournal   = 'J' // group u64 -> frame of records of many streams
	prefixContent   = 'C' // stream 16 B, first event u64, first record u64 -> frame of a block
	prefixHead      = 'H' // stream 16 B -> summary as JSON
	prefixOpen      = 'O' // stream 16 B -> nothing; the stream has no end yet
	prefixPrincipal = 'P' // principal 16 B, stream 16 B -> nothing
	prefixKey       = 'K' // principal 16 B, key 16 B -> stream
	prefixResponse  = 'R' // provider's response id, NUL, principal 16 B -> stream
	prefixMeta      = 'M' // name -> value
)

var (
	metaFormat     = []byte("Mformat")     // format version u32 and flags u8
	metaCheckpoint = []byte("Mcheckpoint") // group u64: all records of earlier groups are in blocks
)

const formatVersion = 1

func journalKey(group uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixJournal}, group)
}

func contentKey(id ID, index, rec uint64) []byte {
	k := make([]byte, 0, 1+len(id)+16)
	k = append(append(k, prefixContent), id[:]...)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(k, index), rec)
}

func headKey(id ID) []byte { return append([]byte{prefixHead}, id[:]...) }
func openKey(id ID) []byte { return append([]byte{prefixOpen}, id[:]...) }

func principalKey(p Hash, id ID) []byte {
	return append(append([]byte{prefixPrincipal}, p[:]...), id[:]...)
}

func idempotencyKey(p, key Hash) []byte {
	return append(append([]byte{prefixKey}, p[:]...), key[:]...)
}

func responseKey(p Hash, responseID string) []byte {
	return append(append(append([]byte{prefixResponse}, responseID...), 0), p[:]...)
}

// summary is the value under prefixHead: what is known of a stream without
// reading its records.
type summary struct {
	Header   Header     `json:"header"`
	Head     *Head      `json:"head,omitempty"`
	End      *End       `json:"end,omitempty"`
	Records  uint64     `json:"records,omitempty"` // with End: the records up to and with it
	Events   uint64     `json:"events,omitempty"`
	Bytes    uint64     `json:"bytes,omitempty"`
	Terminal uint64     `json:"terminal,omitempty"` // 1 + index of the terminal event
	First    *time.Time `json:"first_event,omitempty"`
	Last     *time.Time `json:"last_event,omitempty"`
}

// openBucket opens or creates the database in dir. Journal groups and blocks go
// to the value log, where nothing rewrites them; the LSM tree holds the keys.
func openBucket(dir string, start time.Time, opts Options) (*bucket, error) {
	logger := &badgerLogger{log: opts.Logger}
	o := badger.DefaultOptions(dir).
		WithSyncWrites(opts.SyncWrites).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithValueThreshold(1 << 10).
		WithValueLogFileSize(64 << 20).
		WithBlockCacheSize(4 << 20).
		WithCompression(options.None).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithLogger(logger)
	if len(opts.EncryptionKey) > 0 {
		o = o.WithEncryptionKey(opts.EncryptionKey).WithIndexCacheSize(16 << 20)
	}
	db, err := badger.Open(o)
	if err != nil {
		return nil, openError(dir, err)
	}
	b := &bucket{dir: dir, start: start, db: db, logger: logger, group: 1}
	if err := b.checkFormat(opts); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// openError says in an operator's words why a database can't be opened.
func openError(dir string, err error) error {
	switch {
	case strings.Contains(err.Error(), "Another process is using"):
		return fmt.Errorf("%w: %s", ErrLocked, dir)
	case errors.Is(err, badger.ErrEncryptionKeyMismatch):
		return fmt.Errorf("streamlog: %s was written with another encryption key, or with none: %w", dir, err)
	}
	return fmt.Errorf("streamlog: open %s: %w", dir, err)
}

func (b *bucket) checkFormat(opts Options) error {
	flags := byte(0)
	if len(opts.EncryptionKey) > 0 {
		flags = codecEncrypted
	}
	return b.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(metaFormat)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return txn.Set(metaFormat, append(binary.BigEndian.AppendUint32(nil, formatVersion), flags))
		}
		if err != nil {
			return fmt.Errorf("streamlog: read format of %s: %w", b.dir, err)
		}
		return item.Value(func(v []byte) error {
			if len(v) != 5 || binary.BigEndian.Uint32(v) != formatVersion {
				return fmt.Errorf("streamlog: %s has format %x, this program reads %d", b.dir, v, formatVersion)
			}
			return nil
		})
	})
}

// summary reads a stream's summary; nil if the stream isn't here.
func (b *bucket) summary(id ID) (*summary, error) {
	var s *summary
	err := b.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(headKey(id))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			s = new(summary)
			return json.Unmarshal(v, s)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("streamlog: summary of %s: %w", id, err)
	}
	return s, nil
}

// get reads a key whose value is a stream's id; zero if it isn't there.
func (b *bucket) get(key []byte) (id ID, err error) {
	err = b.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if copy(id[:], v) != len(id) {
				return fmt.Errorf("%w: id of %d bytes", ErrDamaged, len(v))
			}
			return nil
		})
	})
	if err != nil {
		return ID{}, fmt.Errorf("streamlog: look up: %w", err)
	}
	return id, nil
}

// lastBlockBefore returns the last block of id whose key is at most that of
// (index, rec); ok is false if there is none.
func (b *bucket) lastBlockBefore(id ID, index, rec uint64) (blk block, ok bool, err error) {
	err = b.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: append([]byte{prefixContent}, id[:]...)})
		defer it.Close()
		if it.Seek(contentKey(id, index, rec)); !it.Valid() {
			return nil
		}
		ok = true
		return it.Item().Value(func(v []byte) (err error) {
			blk, err = openBlock(v)
			return err
		})
	})
	if err != nil {
		return block{}, false, fmt.Errorf("streamlog: stream %s at event %d: %w", id, index, err)
	}
	return blk, ok, nil
}

// blocks reads consecutive blocks of id from the one that begins exactly at
// (index, rec), until fn returns false.
func (b *bucket) blocks(id ID, index, rec uint64, fn func(block) bool) error {
	err := b.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: append([]byte{prefixContent}, id[:]...)})
		defer it.Close()
		for it.Seek(contentKey(id, index, rec)); it.Valid(); it.Next() {
			var blk block
			err := it.Item().Value(func(v []byte) (err error) {
				blk, err = openBlock(v)
				return err
			})
			if err != nil {
				return err
			}
			if blk.from.rec != rec {
				return fmt.Errorf("%w: records %d to %d are missing", ErrDamaged, rec, blk.from.rec)
			}
			rec = blk.to.rec
			if !fn(blk) {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("streamlog: stream %s: %w", id, err)
	}
	return nil
}

// bucketDir names a bucket's directory after its start.
func bucketDir(root string, start time.Time) string {
	return filepath.Join(root, strconv.FormatInt(start.UnixMilli(), 10))
}

// bucketStarts lists the buckets below root, oldest first.
func bucketStarts(root string) ([]time.Time, error) {
	entries, err := os.ReadDir(root) // sorted by name; the names have one length until the year 2286
	if err != nil {
		return nil, fmt.Errorf("streamlog: list %s: %w", root, err)
	}
	var starts []time.Time
	for _, e := range entries {
		if ms, err := strconv.ParseInt(e.Name(), 10, 64); err == nil && e.IsDir() {
			starts = append(starts, time.UnixMilli(ms))
		}
	}
	return starts, nil
}

// remove closes the database and removes the directory.
func (b *bucket) remove() error {
	return errors.Join(b.db.Close(), os.RemoveAll(b.dir))
}

// badgerLogger passes on what Badger thinks worth a warning. It also listens:
// a failed sync of the value log is logged before the commit that wanted it
// returns, and returned by nobody.
type badgerLogger struct {
	log      *slog.Logger
	unsynced atomic.Bool
}

func (l *badgerLogger) Errorf(f string, a ...any) {
	if strings.Contains(f, "curlf sync") {
		l.unsynced.Store(true)
	}
	l.log.Error("badger", "message", strings.TrimSpace(fmt.Sprintf(f, a...)))
}

func (l *badgerLogger) Warningf(f string, a ...any) {
	l.log.Warn("badger", "message", strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (l *badgerLogger) Infof(string, ...any)  {}
func (l *badgerLogger) Debugf(string, ...any) {}

// summarize completes a summary with what the stream holds.
func (p progress) summarize(sum summary) summary {
	sum.Records, sum.Events, sum.Bytes, sum.Terminal = p.rec, p.index, p.offset, p.terminal
	if p.offset > 0 {
		first := sum.Header.Accepted.Add(time.Duration(p.first) * time.Millisecond)
		last := sum.Header.Accepted.Add(time.Duration(p.last) * time.Millisecond)
		sum.First, sum.Last = &first, &last
	}
	return sum
}
