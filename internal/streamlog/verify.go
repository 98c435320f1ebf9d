package streamlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

// VerifyOptions say how Verify reads.
type VerifyOptions struct {
	Scratch       string // directory for copies: of one bucket at a time
	EncryptionKey []byte
	Report        func(Damage)         // what is wrong; required
	See           func(Settling) error // each stream that can be read; nil: nobody wants them
	Progress      func(bytes int64)    // so many more were read; nil: nobody wants to know
}

// Settling is a stream, as Verify found it, and whether the books owe it nothing.
type Settling struct {
	*Stream      // of a copy: to be read until See returns
	Open    bool // it had no end
	Settled bool
}

// Damage is one thing that is wrong with the stored log.
type Damage struct {
	Stream ID     // zero: not that of one
	Event  uint64 // of Stream: the first that can't be read
	Offset uint64 // and its first byte in the body
	File   string // or where else; Byte is -1 if it isn't known
	Byte   int64
	What   string
}

func (d Damage) String() string {
	switch {
	case d.Stream != ID{}:
		return fmt.Sprintf("stream %s, event %d, byte %d: %s", d.Stream, d.Event, d.Offset, d.What)
	case d.Byte >= 0:
		return fmt.Sprintf("%s, byte %d: %s", d.File, d.Byte, d.What)
	}
	return fmt.Sprintf("%s: %s", d.File, d.What)
}

// Verified is what Verify has read.
type Verified struct {
	Live    bool // a process had the directory
	Buckets int
	Files   int
	Bytes   int64 // of files
	Groups  uint64
	Streams uint64
	Open    uint64 // streams without an end
	Events  uint64
	Content uint64 // bytes of events
	Damages uint64
}

// Verify reads back all of the log in dir, and checks that files are what their
// checksums say, that groups of the journal are numbered without a gap, that each
// stream has all its records, once in the journal and once in blocks, and both the
// same, that its totals are what it comes to, and that it can be found.
//
// It changes nothing in dir, which may be read-only, in use by a process, or left
// by one that was killed: buckets are copied, one after the other, and Badger mends
// the copy. The error is of what could not be read at all, or ctx's; damage is
// reported. That the encryption key isn't the one that was used is such an error.
func Verify(ctx context.Context, dir string, o VerifyOptions) (Verified, error) {
	v := &verifier{ctx: ctx, opts: o, root: filepath.Join(dir, "log")}
	if _, err := os.Stat(v.root); errors.Is(err, fs.ErrNotExist) {
		return v.Verified, nil // none was ever written
	}
	starts, err := bucketStarts(v.root)
	if err != nil {
		return v.Verified, err
	}
	for _, start := range starts {
		if _, err := os.Stat(bucketDir(v.root, start) + suffixMaking); err == nil {
			continue // nothing is in it
		}
		if err := v.bucket(start); err != nil {
			return v.Verified, err
		}
	}
	return v.Verified, nil
}

type verifier struct {
	ctx  context.Context
	opts VerifyOptions
	root string
	Verified
}

func (v *verifier) damage(d Damage) {
	v.Damages++
	v.opts.Report(d)
}

func (v *verifier) file(path, format string, args ...any) {
	v.damage(Damage{File: path, Byte: -1, What: fmt.Sprintf(format, args...)})
}

// bucket verifies one.
func (v *verifier) bucket(start time.Time) error {
	scratch, err := os.MkdirTemp(v.opts.Scratch, "recoup-verify-")
	if err != nil {
		return fmt.Errorf("streamlog: copy to read: %w", err)
	}
	return errors.Join(v.bucketIn(start, scratch), os.RemoveAll(scratch))
}

// bucketIn verifies a copy of a bucket, made in a directory.
func (v *verifier) bucketIn(start time.Time, scratch string) error {
	from := bucketDir(v.root, start)
	to := bucketDir(scratch, start)
	snapshot, err := v.copy(from, to)
	if _, gone := os.Stat(from); v.Live && errors.Is(gone, fs.ErrNotExist) {
		return nil // it has expired meanwhile
	}
	if err != nil {
		return err
	}
	v.Buckets++
	v.Files += snapshot.Files
	v.Bytes += snapshot.Bytes
	for _, d := range snapshot.Damages {
		v.damage(Damage{File: d.Path, Byte: d.Offset, What: d.What})
	}
	if snapshot.Closed != nil {
		return nil // which is among the damages
	}
	return v.open(from, to, start)
}

// copy copies a bucket, and keeps a process from opening it meanwhile, unless one
// has it.
func (v *verifier) copy(from, to string) (badgerfile.Snapshot, error) {
	release, live, err := badgerfile.Hold(filepath.Join(v.root, lockName))
	if err != nil {
		return badgerfile.Snapshot{}, err
	}
	defer release()
	v.Live = v.Live || live
	if err := badgerfile.CheckRoom(from, filepath.Dir(to)); err != nil {
		return badgerfile.Snapshot{}, err
	}
	s, err := badgerfile.Copy(v.ctx, from, to, live)
	if v.opts.Progress != nil {
		v.opts.Progress(s.Bytes)
	}
	return s, err
}

// open reads what is in the copy of a bucket.
func (v *verifier) open(from, to string, start time.Time) error {
	const always = 100 * 365 * 24 * time.Hour
	l := &Log{root: filepath.Dir(to), streams: map[ID]*Stream{}, retention: always}
	l.opts = Options{EncryptionKey: v.opts.EncryptionKey, Retention: always, Logger: discarded}
	l.queue.init()
	if _, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: to, ReadOnly: true, EncryptionKey: l.opts.EncryptionKey}); err != nil {
		return openError(from, err)
	}
	b, err := openBucket(to, start, l.opts, false)
	if err != nil {
		v.file(from, "can't be opened: %s", strings.ReplaceAll(err.Error(), to, from))
		return nil
	}
	l.buckets = []*bucket{b}
	err = v.content(l, b, from)
	return errors.Join(err, l.closeFiles())
}

// content verifies the keys of a bucket.
func (v *verifier) content(l *Log, b *bucket, from string) error {
	if b.hurt && len(l.opts.EncryptionKey) > 0 {
		v.file(from, "a table has damaged blocks")
	}
	journal, err := v.journal(b, from)
	if err != nil {
		return err
	}
	open := map[ID]bool{}
	ids, err := b.openStreams()
	if err != nil {
		return err
	}
	for _, id := range ids {
		open[id] = true
	}
	if err := l.recoverBucket(b); err != nil {
		v.file(from, "can't be recovered: %v", err)
		return nil
	}
	var all []ID
	if err := b.streamsUnder(prefixHead, func(id ID) { all = append(all, id) }); err != nil {
		return err
	}
	for _, id := range all {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := v.stream(l, b, id, journal[id], open[id]); err != nil {
			return err
		}
		delete(journal, id)
		delete(open, id)
	}
	for id := range journal {
		v.damage(Damage{Stream: id, What: "the journal has records of it, and nothing else is left"})
	}
	for id := range open {
		if _, reported := journal[id]; !reported {
			v.damage(Damage{Stream: id, What: "it had no end yet, and nothing else is left"})
		}
	}
	return nil
}

// digest is of the records of a stream.
type digest struct {
	records uint64
	sum     uint32
	short   bool // not all of the journal could be read
}

func (d *digest) add(r record) {
	d.records++
	d.sum = crc32.Update(d.sum, castagnoli, appendRecord(nil, r))
}

// journal reads all groups, also those of which blocks have everything.
func (v *verifier) journal(b *bucket, from string) (map[ID]*digest, error) {
	streams := map[ID]*digest{}
	next := uint64(1)
	gap := false
	err := b.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixJournal}, PrefetchValues: true, PrefetchSize: 16})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := v.ctx.Err(); err != nil {
				return err
			}
			group := binary.BigEndian.Uint64(it.Item().Key()[1:])
			if group != next {
				gap = true
				v.file(from, "groups %d to %d of the journal are missing", next, group-1)
			}
			err := value(it.Item(), func(frame []byte) error { return readDigests(streams, frame) })
			if errors.Is(err, ErrDamaged) {
				gap = true
				v.file(from, "group %d of the journal: %v", group, err)
			} else if err != nil {
				return err
			}
			v.Groups++
			next = group + 1
		}
		return nil
	})
	if gap { // whose records are lost with it isn't known
		for _, d := range streams {
			d.short = true
		}
	}
	return streams, err
}

func readDigests(streams map[ID]*digest, frame []byte) error {
	_, payload, err := openFrame(frame)
	if err != nil {
		return err
	}
	parts, err := parseGroup(payload)
	if err != nil {
		return err
	}
	for _, p := range parts {
		d := streams[p.id]
		if d == nil {
			d = &digest{}
			streams[p.id] = d
		}
		d.short = d.short || p.rec != d.records
		for _, r := range p.records {
			d.add(r)
		}
	}
	return nil
}
