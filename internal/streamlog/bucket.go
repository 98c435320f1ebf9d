package streamlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

// A bucket is one Badger database: the streams that were accepted while it was
// the newest. All that is stored of a stream is in its bucket, so retention is
// the removal of a directory.
type bucket struct {
	dir    string
	start  time.Time
	db     *badger.DB
	logger *badgerfile.Logger
	hurt   bool // a table has damaged blocks

	// owned by the writer
	group        uint64    // number of the next journal group
	last         time.Time // of the last journal group
	checkpointed time.Time
	line         []*Stream // to be written into blocks
	turn         uint64    // the round in which it was last committed to

	// guarded by Log.mu
	handles int         // streams in memory that live here
	reads   int         // look-ups under way
	owed    map[ID]bool // streams that have ended and are not settled; true: since before Open
	warned  time.Time   // when it was last said that only those keep the bucket
	since   time.Time   // when the first stream came; zero: none did
	idle    time.Time   // when the last stream ended or the bucket ceased to be the newest

	life   sync.RWMutex // held by who reads; Badger must not be closed under them
	closed bool
}

// Keys. All numbers are big endian, so that they sort.
const (
	prefixJournal   = 'J' // group u64 -> frame of records of many streams
	prefixContent   = 'C' // stream 16 B, first event u64, first record u64 -> frame of a block
	prefixHead      = 'H' // stream 16 B -> summary as JSON
	prefixOpen      = 'O' // stream 16 B -> nothing; the stream has no end yet
	prefixUnsettled = 'U' // stream 16 B -> nothing; the stream has an end and is not settled
	prefixPrincipal = 'P' // principal 16 B, stream 16 B -> nothing
	prefixKey       = 'K' // principal 16 B, key 16 B -> stream
	prefixCall      = 'F' // fingerprint 16 B -> stream
	prefixResponse  = 'R' // provider's response id, NUL, principal 16 B -> stream
	prefixMeta      = 'M' // name -> value
)

var (
	metaFormat     = []byte("Mformat")     // format version u32 and flags u8
	metaCheckpoint = []byte("Mcheckpoint") // group u64: all records of earlier groups are in blocks; time of the last group, unix ms u64
)

const (
	formatVersion  = 1
	valueThreshold = 1 << 10 // bytes; smaller values stand in the LSM tree
)

func journalKey(group uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixJournal}, group)
}

func contentKey(id ID, index, rec uint64) []byte {
	k := make([]byte, 0, 1+len(id)+16)
	k = append(append(k, prefixContent), id[:]...)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(k, index), rec)
}

func headKey(id ID) []byte      { return append([]byte{prefixHead}, id[:]...) }
func openKey(id ID) []byte      { return append([]byte{prefixOpen}, id[:]...) }
func unsettledKey(id ID) []byte { return append([]byte{prefixUnsettled}, id[:]...) }

func principalKey(p Hash, id ID) []byte {
	return append(append([]byte{prefixPrincipal}, p[:]...), id[:]...)
}

func idempotencyKey(p, key Hash) []byte {
	return append(append([]byte{prefixKey}, p[:]...), key[:]...)
}

func callKey(fingerprint Hash) []byte { return append([]byte{prefixCall}, fingerprint[:]...) }

func responseKey(p Hash, responseID string) []byte {
	return append(append(append([]byte{prefixResponse}, responseID...), 0), p[:]...)
}

// openBucket opens or creates the database in dir. Journal groups and blocks go
// to the value log, where nothing rewrites them; the LSM tree holds the keys.
func openBucket(dir string, start time.Time, opts Options, fresh bool) (*bucket, error) {
	hurt, err := checkTables(dir)
	if err != nil {
		return nil, openError(dir, err)
	}
	logger := badgerfile.NewLogger(opts.Logger)
	o := badger.DefaultOptions(dir).
		WithSyncWrites(opts.SyncWrites).
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(64 << 20).
		WithBlockCacheSize(4 << 20).
		WithCompression(options.None).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithLogger(logger)
	if len(opts.EncryptionKey) > 0 {
		o = o.WithEncryptionKey(opts.EncryptionKey).WithIndexCacheSize(16 << 20)
	}
	db, err := badger.Open(o)
	if err != nil {
		return nil, openError(dir, err)
	}
	b := &bucket{dir: dir, start: start, db: db, logger: logger, group: 1, owed: map[ID]bool{}}
	if len(opts.EncryptionKey) > 0 && b.verifyTables() != nil {
		hurt++
	}
	if b.hurt = hurt > 0; b.hurt {
		opts.Logger.Error("a table has damaged blocks: streams may be missing", "bucket", dir)
	}
	if err := b.checkFormat(opts, fresh); err != nil {
		return nil, errors.Join(openError(dir, err), db.Close())
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
	return fmt.Errorf("streamlog: open %s (moved away, its streams are gone and the rest works): %w", dir, err)
}

// lastUse is when the bucket was last written to, as of the last checkpoint, which
// the first journal group has too.
func (b *bucket) lastUse() time.Time {
	if b.last.IsZero() {
		return b.start
	}
	return b.last
}

// verifyTables looks for damage in the LSM tree, which would look like keys that
// aren't there.
func (b *bucket) verifyTables() (err error) {
	// Badger's own report of a block that it can't read follows a nil pointer.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return b.db.VerifyChecksum()
}

// checkFormat writes the format of a fresh bucket, and reads that of another.
func (b *bucket) checkFormat(opts Options, fresh bool) error {
	flags := byte(0)
	if len(opts.EncryptionKey) > 0 {
		flags = codecEncrypted
	}
	return b.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(metaFormat)
		if errors.Is(err, badger.ErrKeyNotFound) {
			if !fresh { // it was the first thing in it
				return fmt.Errorf("%w: no format", ErrDamaged)
			}
			return txn.Set(metaFormat, append(binary.BigEndian.AppendUint32(nil, formatVersion), flags))
		}
		if err != nil {
			return fmt.Errorf("read format: %w", err)
		}
		return value(item, func(v []byte) error {
			if len(v) != 5 || binary.BigEndian.Uint32(v) != formatVersion {
				return fmt.Errorf("format %x, this program reads %08x", v, formatVersion)
			}
			return nil
		})
	})
}

// view calls fn with a transaction to read in. ErrClosed: the log, or the bucket, is.
func (b *bucket) view(fn func(*badger.Txn) error) error {
	b.life.RLock()
	defer b.life.RUnlock()
	if b.closed {
		return ErrClosed
	}
	return b.db.View(fn)
}

// value calls fn with an item's value. A key whose value can't be had is damage.
func value(item *badger.Item, fn func([]byte) error) error {
	var err error
	if failed := item.Value(func(v []byte) error {
		err = fn(v)
		return nil
	}); failed != nil {
		return fmt.Errorf("%w: value of key %x: %w", ErrDamaged, item.Key(), failed)
	}
	return err
}

// get reads a key whose value is a stream's id; zero if it isn't there.
func (b *bucket) get(key []byte) (id ID, err error) {
	err = b.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return value(item, func(v []byte) error {
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

// close closes the database once nobody reads in it.
func (b *bucket) close() error {
	b.life.Lock()
	defer b.life.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.db.Close()
}

// remove closes the database and removes the directory, which gets another name
// first: half a bucket must not be taken for one.
func (b *bucket) remove() error {
	if err := b.close(); err != nil {
		return err
	}
	gone := b.dir + suffixGone
	if err := os.Rename(b.dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}
