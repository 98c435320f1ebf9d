package streamlog

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// space is what the free space of the data directory allows.
type space int

const (
	spaceOK     space = iota
	spaceRefuse       // no new streams
	spaceStop         // no more events either
)

const (
	minBucketWidth = time.Minute
	bucketsKept    = 4 // buckets that the retention spans
)

// expired reports whether a stream with this end ended longer than the retention
// ago.
func (l *Log) expired(end *End) bool {
	return end != nil && time.Since(end.At) > l.Retention()
}

// Retention is how long a stream can be read after its end.
func (l *Log) Retention() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retention
}

// SetRetention changes it, for streams that have ended too.
func (l *Log) SetRetention(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retention = d
}

func (l *Log) bucketWidth() time.Duration {
	return max(l.Retention()/bucketsKept, minBucketWidth)
}

// retain opens a new bucket when the newest is full of time, removes those of
// which everything has expired, and watches the free space. It runs until ctx
// ends.
func (l *Log) retain(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if err := l.checkSpace(); err != nil {
				l.opts.Logger.Warn("can't measure the free space", "error", err)
			}
			l.rotate(now)
			l.expire(now)
		}
	}
}

// rotate opens the next bucket while the newest is still in use, so that no
// stream waits for it. A bucket without streams is good for another while.
func (l *Log) rotate(now time.Time) {
	l.mu.Lock()
	since, refusing := l.buckets[len(l.buckets)-1].since, l.space != spaceOK
	l.mu.Unlock()
	if since.IsZero() || refusing || now.Sub(since) < l.bucketWidth() {
		return
	}
	if err := l.newBucket(now); err != nil {
		l.opts.Logger.Error("can't open a new bucket, the old one goes on", "error", err)
	}
}

// expire removes the buckets in which nothing can be read any more, and nothing
// is to be settled. They stay a little longer than that, so that a client that
// comes too late is told why.
func (l *Log) expire(now time.Time) {
	var gone []*bucket
	l.mu.Lock()
	keep := l.retention + max(l.retention/bucketsKept, minBucketWidth)
	kept := l.buckets[:0]
	for i, b := range l.buckets {
		newest := i == len(l.buckets)-1
		switch {
		case newest || b.handles > 0 || b.reads > 0 || now.Sub(b.idle) <= keep:
			kept = append(kept, b)
		case len(b.owed) > 0:
			kept = append(kept, b)
			l.warnOwed(b, now)
		default:
			gone = append(gone, b)
		}
	}
	clear(l.buckets[len(kept):])
	l.buckets = kept
	l.mu.Unlock()
	for _, b := range gone {
		if err := b.remove(); err != nil {
			l.opts.Logger.Error("can't remove an expired bucket", "bucket", b.dir, "error", err)
		}
	}
}

// checkSpace measures the free space. A full disk would end the process with a
// SIGBUS inside Badger's mapped files, so the log stops before.
func (l *Log) checkSpace() error {
	free, err := l.opts.FreeBytes(l.root)
	if err != nil {
		return err
	}
	s := spaceOK
	switch {
	case free < l.opts.MinFree/2:
		s = spaceStop
	case free < l.opts.MinFree:
		s = spaceRefuse
	}
	l.mu.Lock()
	was := l.space
	l.space = s
	l.mu.Unlock()
	l.full.Store(s == spaceStop)
	if s != was {
		l.opts.Logger.Warn("free space of the data directory", "free_bytes", free, "min_free_bytes", l.opts.MinFree,
			"new_streams", s == spaceOK, "events", s != spaceStop)
	}
	return nil
}

// Full reports whether there is too little free space for new streams.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.space != spaceOK
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// Stats is what the log holds and what waits for it.
type Stats struct {
	QueuedBytes int   // waiting for the writer
	DiskBytes   int64 // allocated by the databases
	FreeBytes   int64 // that they can still grow by before new streams are refused
	Streams     int   // in memory
	Unsettled   int   // that have ended
	Buckets     int
}

// Stats measures. It reads the sizes of a few files per bucket, and of the disk.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	st := Stats{QueuedBytes: l.queue.waiting(), Streams: len(l.streams), Buckets: len(l.buckets)}
	for _, b := range l.buckets {
		st.Unsettled += len(b.owed)
	}
	l.mu.Unlock()
	st.DiskBytes = allocated(l.root)
	if free, err := l.opts.FreeBytes(l.root); err == nil {
		st.FreeBytes = max(int64(free)-int64(l.opts.MinFree), 0)
	}
	return st
}

// allocated sums what the files below dir really take: Badger's are sparse.
func allocated(dir string) int64 {
	var sum int64
	// A file that goes while we look no longer counts.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				sum += st.Blocks * 512
			}
		}
		return nil
	})
	return sum
}
