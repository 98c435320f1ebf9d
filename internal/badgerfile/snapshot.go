package badgerfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Damage is something wrong in a file.
type Damage struct {
	Path   string
	Offset int64 // of the first byte; -1: not known
	What   string
}

func (d Damage) String() string {
	if d.Offset < 0 {
		return fmt.Sprintf("%s: %s", d.Path, d.What)
	}
	return fmt.Sprintf("%s, byte %d: %s", d.Path, d.Offset, d.What)
}

// Snapshot is a copy of a database.
type Snapshot struct {
	Files   int
	Bytes   int64
	Damages []Damage // of the original, by its names
	// Closed is why Badger must not open the copy: it would end the process, or
	// delete what can still be read. Nil: it may, and mends what it will.
	Closed error
}

const (
	attempts = 5                     // to copy a database that changes meanwhile
	pause    = 50 * time.Millisecond // between them
)

// Copy copies the database in from to the new directory to, and checks every byte of
// it that has a checksum. live says that a process may be writing to it: what looks
// damaged is read again then, and the copy is what was there at one moment, or a
// little more.
//
// For that, what is in memory only comes first, and what is pointed at after what
// points: a table that a log became is in the manifest by then.
func Copy(ctx context.Context, from, to string, live bool) (Snapshot, error) {
	for n := 1; ; n++ {
		if err := os.MkdirAll(to, 0o700); err != nil {
			return Snapshot{}, fmt.Errorf("copy to read: %w", err)
		}
		s, err := copyOnce(ctx, from, to)
		if err != nil {
			return s, err
		}
		if !live || n == attempts || s.Closed == nil && len(s.Damages) == 0 {
			return s, nil
		}
		if err := os.RemoveAll(to); err != nil {
			return s, fmt.Errorf("copy to read: %w", err)
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// copying is one try of Copy.
type copying struct {
	ctx      context.Context
	from, to string
	plain    bool // nothing is encrypted
	Snapshot
}

func copyOnce(ctx context.Context, from, to string) (Snapshot, error) {
	c := &copying{ctx: ctx, from: from, to: to}
	for _, step := range []func() error{
		func() error { return c.logs("*.mem") },
		func() error { return errors.Join(c.file(badger.ManifestFilename), c.registry()) },
		c.tables,
		func() error { return c.logs("*.vlog") },
		c.headers,
	} {
		if err := step(); err != nil {
			return c.Snapshot, err
		}
	}
	return c.Snapshot, nil
}

// file copies a file, if it is there.
func (c *copying) file(name string) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	n, err := copySparse(filepath.Join(c.from, name), filepath.Join(c.to, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("copy to read: %w", err)
	}
	c.Files++
	c.Bytes += n
	return nil
}

func (c *copying) damaged(name string, at int64, what string) {
	c.Damages = append(c.Damages, Damage{filepath.Join(c.from, name), at, what})
}

func (c *copying) closed(err error) {
	if c.Closed == nil {
		c.Closed = err
	}
}

// registry copies the file of the keys that encrypt.
func (c *copying) registry() error {
	if err := c.file(badger.KeyRegistryFileName); err != nil {
		return err
	}
	bad, keys, err := checkRegistry(filepath.Join(c.to, badger.KeyRegistryFileName))
	if errors.Is(err, ErrDamaged) {
		c.damaged(badger.KeyRegistryFileName, bad, "isn't what was written")
		c.closed(damagedf("the key registry of %s", c.from))
		return nil
	}
	c.plain = keys == 0
	return err
}

// tables copies those that the manifest lists.
func (c *copying) tables() error {
	tables, err := Manifest(c.to)
	switch {
	case errors.Is(err, ErrDamaged):
		c.damaged(badger.ManifestFilename, -1, "damaged, so what it lists can't be told")
		c.closed(damagedf("the manifest of %s", c.from))
		return nil
	case err != nil:
		return err
	}
	if _, err := os.Stat(filepath.Join(c.to, badger.ManifestFilename)); errors.Is(err, fs.ErrNotExist) {
		c.damaged(badger.ManifestFilename, -1, "missing")
		c.closed(damagedf("no manifest in %s", c.from))
	}
	for _, t := range tables {
		name := filepath.Base(t.Path)
		if err := c.file(name); err != nil {
			return err
		}
		_, at, err := t.damagedBlocks()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.damaged(name, -1, "missing, and the manifest lists it")
			c.closed(damagedf("table %s is missing", filepath.Join(c.from, name)))
			continue
		case errors.Is(err, ErrDamaged):
			c.closed(damagedf("table %s", filepath.Join(c.from, name)))
		case err != nil:
			return err
		}
		for _, offset := range at {
			c.damaged(name, offset, "a block of keys isn't what was written")
		}
	}
	return nil
}

// logs copies the logs of a kind, the oldest first, and cuts from the copies what
// is no entry, as Badger does: from its first bytes it may read a length, and make
// room for that.
func (c *copying) logs(pattern string) error {
	names, err := fs.Glob(os.DirFS(c.from), pattern)
	if err != nil {
		return fmt.Errorf("copy to read: %w", err)
	}
	slices.Sort(names)
	for i, name := range names {
		if err := c.file(name); err != nil {
			return err
		}
		path := filepath.Join(c.to, name)
		size, end, bad, err := checkLog(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has become a table
		}
		if err != nil {
			return err
		}
		if bad >= 0 {
			c.damaged(name, bad, "can't be read from here on: damaged, or cut by a kill as it was written")
		}
		if size < logHeader { // Badger can't open that
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("copy to read: %w", err)
			}
			continue
		}
		last := i == len(names)-1
		if (pattern == "*.mem" || last) && end < size {
			if err := os.Truncate(path, end); err != nil {
				return fmt.Errorf("copy to read: %w", err)
			}
		}
	}
	return nil
}

// headers looks at which key logs say that they are encrypted with, where there is
// none. Badger would not open them; in the copies that is mended.
func (c *copying) headers() error {
	if !c.plain {
		return nil
	}
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, err := fs.Glob(os.DirFS(c.to), pattern)
		if err != nil {
			return fmt.Errorf("copy to read: %w", err)
		}
		for _, name := range names {
			if err := c.header(name); err != nil {
				return fmt.Errorf("copy to read: %w", err)
			}
		}
	}
	return nil
}

func (c *copying) header(name string) error {
	f, err := os.OpenFile(filepath.Join(c.to, name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var key [8]byte
	if _, err := f.ReadAt(key[:], 0); err != nil || key == [8]byte{} {
		return err
	}
	c.damaged(name, 0, "says that it is encrypted with a key that there isn't")
	_, err = f.WriteAt(make([]byte, len(key)), 0)
	return err
}

// copySparse copies a file, but for blocks of zeros: Badger's files are mostly
// those.
func copySparse(from, to string) (size int64, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	info, err := in.Stat()
	if err != nil {
		return 0, errors.Join(err, out.Close())
	}
	block, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for size = nextData(in, 0, info.Size()); ; size = nextData(in, size, max(size, info.Size())) {
		n, err := in.ReadAt(block, size)
		if n > 0 && string(block[:n]) != string(zeros[:n]) {
			if _, err := out.WriteAt(block[:n], size); err != nil {
				return size, errors.Join(err, out.Close())
			}
		}
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return size, errors.Join(err, out.Close())
		}
	}
	return size, errors.Join(out.Truncate(size), out.Close())
}
