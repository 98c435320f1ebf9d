package streamlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	lockName     = "LOCK"
	suffixGone   = ".gone"     // of the directory of a bucket that is being removed
	suffixMaking = ".creating" // of a file that stands beside a bucket until that is complete
)

// lockDir makes root this process's own, until the file is closed or the process
// dies. Badger locks each database too, but two processes that start in an empty
// directory would make two.
func lockDir(root string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(root, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("streamlog: data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("%w: %s", ErrLocked, root)
	case err != nil:
		err = fmt.Errorf("streamlog: lock %s: %w", root, err)
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// makeBucket makes a new bucket. While it does, a file beside it says so: a
// process that dies meanwhile leaves something that Badger may refuse to open,
// and that nothing is in.
func makeBucket(dir string, start time.Time, opts Options) (*bucket, error) {
	making := dir + suffixMaking
	if err := os.WriteFile(making, nil, 0o600); err != nil {
		return nil, fmt.Errorf("streamlog: new bucket: %w", err)
	}
	b, err := openBucket(dir, start, opts, true)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(making); err != nil {
		return nil, errors.Join(fmt.Errorf("streamlog: new bucket: %w", err), b.close())
	}
	return b, nil
}

// cleanUp removes what a process left that died while it made or removed a
// bucket.
func cleanUp(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("streamlog: list %s: %w", root, err)
	}
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		if dir, ok := strings.CutSuffix(path, suffixMaking); ok {
			err = errors.Join(err, os.RemoveAll(dir), os.Remove(path))
		} else if strings.HasSuffix(path, suffixGone) {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	if err != nil {
		return fmt.Errorf("streamlog: clean up %s: %w", root, err)
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
