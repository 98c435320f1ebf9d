package streamlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a caller can do something about.
var (
	ErrNotFound = errors.New("streamlog: no such stream")
	ErrExpired  = errors.New("streamlog: the stream has expired")
	ErrBeyond   = errors.New("streamlog: position beyond what the stream holds")
	ErrEnded    = errors.New("streamlog: the stream has ended")
	ErrClosed   = errors.New("streamlog: closed")
	ErrLocked   = errors.New("streamlog: another process is using this data directory")
	ErrDiskFull = errors.New("streamlog: not enough free space in the data directory")
)

// Options say how a Log keeps its streams.
type Options struct {
	SyncWrites    bool          // sync each group before anyone reads it
	Retention     time.Duration // how long a stream can be read after its end; see SetRetention
	MinFree       uint64        // bytes: below this Create refuses, below half of it Append does
	EncryptionKey []byte        // 16, 24 or 32 bytes encrypt all at rest; empty: nothing is encrypted
	Logger        *slog.Logger
	OnCommit      func(Commit) // called by the writer after each commit; must be quick

	// FreeBytes measures the free space of a directory. Tests replace it.
	FreeBytes func(dir string) (uint64, error)
}

// Log is the durable log of all streams. Its methods may be called from many
// goroutines.
type Log struct {
	// constant after Open
	opts Options
	root string
	lock *os.File           // says that the directory is ours
	stop context.CancelFunc // ends the goroutines
	wg   sync.WaitGroup

	queue queue
	full  atomic.Bool // no room for events

	// owned by the writer
	scratch scratch

	loading   sync.Mutex // held while a stream is read into memory
	mu        sync.Mutex
	buckets   []*bucket // oldest first; new streams go to the last
	streams   map[ID]*Stream
	retention time.Duration
	space     space
	recovered []*Stream
}

// Open opens the log in dir, creating it if need be, and brings back what a
// crash left: see Recovered. A directory that another process uses is
// ErrLocked; one without room is ErrDiskFull.
func Open(dir string, opts Options) (*Log, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.FreeBytes == nil {
		opts.FreeBytes = freeBytes
	}
	root := filepath.Join(dir, "log")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("streamlog: data directory: %w", err)
	}
	lock, err := lockDir(root)
	if err != nil {
		return nil, err
	}
	l := &Log{opts: opts, root: root, lock: lock, streams: map[ID]*Stream{}, retention: opts.Retention}
	l.queue.init()
	if err := l.openChecked(); err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	l.wg.Go(l.write)
	l.wg.Go(func() { l.retain(ctx) })
	return l, nil
}

// openChecked opens the buckets if there is room for it.
func (l *Log) openChecked() error {
	if err := l.checkSpace(); err != nil {
		return fmt.Errorf("streamlog: free space of %s: %w", l.root, err)
	}
	if l.space == spaceStop {
		return fmt.Errorf("%w: %s needs %d MiB free to open", ErrDiskFull, l.root, l.opts.MinFree/2>>20)
	}
	if err := cleanUp(l.root); err != nil {
		return err
	}
	return l.openBuckets()
}

// openBuckets opens what is on disk, recovers it, and makes sure that there is
// a bucket to write to.
func (l *Log) openBuckets() error {
	starts, err := bucketStarts(l.root)
	if err != nil {
		return err
	}
	for _, start := range starts {
		b, err := openBucket(bucketDir(l.root, start), start, l.opts, false)
		if err != nil {
			return err
		}
		l.buckets = append(l.buckets, b)
		if err := l.recoverBucket(b); err != nil {
			return err
		}
		b.since = start
		// A process that is restarted often must not keep its buckets forever.
		b.idle = time.Now()
		if noted := b.lastUse().Add(checkpointEvery); noted.Before(b.idle) {
			b.idle = noted
		}
	}
	if n := len(l.buckets); n > 0 {
		if age := time.Since(l.buckets[n-1].start); age >= 0 && age < l.bucketWidth() && !l.buckets[n-1].hurt {
			return nil
		}
	}
	return l.newBucket(time.Now())
}

// newBucket opens a bucket for the streams to come.
func (l *Log) newBucket(now time.Time) error {
	l.mu.Lock()
	if n := len(l.buckets); n > 0 && !now.After(l.buckets[n-1].start) {
		now = l.buckets[n-1].start.Add(time.Millisecond) // the clock went back
	}
	l.mu.Unlock()
	b, err := makeBucket(bucketDir(l.root, now), now.Truncate(time.Millisecond), l.opts)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.buckets); n > 0 {
		l.buckets[n-1].idle = time.Now()
	}
	l.buckets = append(l.buckets, b)
	return nil
}

// Close commits what is queued, writes all of it into blocks and closes the
// databases. Calls that come later fail with ErrClosed, and readers that wait
// are woken to be told so.
func (l *Log) Close() error {
	l.stop()
	l.queue.close()
	l.wg.Wait()
	return l.closeFiles()
}

func (l *Log) closeFiles() error {
	l.mu.Lock()
	buckets, lock := l.buckets, l.lock
	l.buckets, l.lock = nil, nil
	l.mu.Unlock()
	var errs []error
	for _, b := range buckets {
		if err := b.close(); err != nil {
			errs = append(errs, fmt.Errorf("streamlog: close %s: %w", b.dir, err))
		}
	}
	if lock != nil {
		errs = append(errs, lock.Close())
	}
	return errors.Join(errs...)
}

// Recovered returns the streams that had no end when the log was opened,
// because their process died, oldest first. Each must be given one. The caller owns a
// reference to each.
func (l *Log) Recovered() []*Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.recovered
	l.recovered = nil
	slices.SortFunc(s, func(a, b *Stream) int { return bytes.Compare(a.header.ID[:], b.header.ID[:]) })
	return s
}

// Err is the reason why the log can't go on, or nil. A commit of unknown
// outcome is such a reason: only opening the log again tells what was stored.
func (l *Log) Err() error { return l.queue.failed() }

// Create makes a stream and returns once its opening record and its first
// attempt are durable: it is Prepare and Open. Header.ID and Header.Accepted are
// set here. The caller owns a reference; see Stream.Release.
func (l *Log) Create(h Header) (*Stream, error) {
	s, err := l.Prepare(h, nil)
	if err != nil {
		return nil, err
	}
	return s, s.Open()
}

// Open makes a stream that Prepare returned durable. If it can't, the stream is
// gone and the caller's reference with it.
func (s *Stream) Open() error {
	err := s.open()
	if err != nil {
		s.log.mu.Lock()
		s.log.forget(s)
		s.log.mu.Unlock()
	}
	return err
}

// Prepare makes a stream of which nothing is stored yet: the caller may get
// ready for it, and must Open it. Header.ID and Header.Accepted are set here. The
// caller owns a reference. Id and bucket are chosen under one lock, so that ids
// in a bucket are greater than in those before it: List tells by them where it
// is. begin, if it isn't nil, is called with the header before anybody can see the
// stream, and may note in it where the stream is traced; it must be quick.
func (l *Log) Prepare(h Header, begin func(*Header)) (*Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.buckets) == 0:
		return nil, ErrClosed
	case l.space != spaceOK:
		return nil, ErrDiskFull
	}
	var err error
	if h.ID, err = NewID(); err != nil {
		return nil, err
	}
	h.Accepted = time.Now()
	if begin != nil {
		begin(&h)
	}
	b := l.buckets[len(l.buckets)-1]
	if b.since.IsZero() {
		b.since = h.Accepted
	}
	b.handles++
	s := &Stream{log: l, bucket: b, header: h, refs: 1}
	l.streams[h.ID] = s
	return s, nil
}

// Get returns a stream that this principal may read. Unknown and somebody
// else's are both ErrNotFound; one that ended longer than the retention ago is
// ErrExpired, for at least a bucket's width after which it is ErrNotFound too. A
// stream that is not whole any more is ErrDamaged. The caller owns a reference;
// see Stream.Release.
func (l *Log) Get(principal Hash, id ID) (*Stream, error) {
	s, err := l.get(id)
	if err != nil {
		return nil, err
	}
	if s.header.Principal != principal {
		s.Release()
		return nil, ErrNotFound
	}
	return s.readable()
}

// search calls fn with each bucket, newest first, until it says true or fails.
// No bucket is removed meanwhile.
func (l *Log) search(fn func(*bucket) (bool, error)) error {
	l.mu.Lock()
	if len(l.buckets) == 0 {
		l.mu.Unlock()
		return ErrClosed
	}
	buckets := slices.Clone(l.buckets)
	for _, b := range buckets {
		b.reads++
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, b := range buckets {
			b.reads--
		}
	}()
	for _, b := range slices.Backward(buckets) {
		if ok, err := fn(b); ok || err != nil {
			return err
		}
	}
	return nil
}

// ByKey returns the newest stream of this principal with this idempotency key,
// ErrNotFound or ErrExpired. The caller owns a reference.
func (l *Log) ByKey(principal, key Hash) (*Stream, error) {
	return l.byIndex(principal, idempotencyKey(principal, key))
}

// ByCall returns the newest stream of this principal with this fingerprint,
// ErrNotFound or ErrExpired. The caller owns a reference.
func (l *Log) ByCall(principal, fingerprint Hash) (*Stream, error) {
	return l.byIndex(principal, callKey(fingerprint))
}

// ByResponse returns the stream of this principal whose provider called its
// answer responseID, ErrNotFound or ErrExpired. The caller owns a reference.
func (l *Log) ByResponse(principal Hash, responseID string) (*Stream, error) {
	return l.byIndex(principal, responseKey(principal, responseID))
}

func (l *Log) byIndex(principal Hash, key []byte) (*Stream, error) {
	var id ID
	err := l.search(func(b *bucket) (found bool, err error) {
		id, err = b.get(key)
		return id != ID{}, err
	})
	if err != nil {
		return nil, err
	}
	if id == (ID{}) {
		return nil, ErrNotFound
	}
	return l.Get(principal, id)
}
