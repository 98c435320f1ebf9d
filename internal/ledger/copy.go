package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

// Copied is what OpenCopy has read.
type Copied struct {
	Live    bool // a process had the ledger
	Files   int
	Bytes   int64
	Damages []Damage // of the files
}

// OpenCopy opens a copy, in a directory of its own below scratch, of the ledger in
// dir, to be read and verified. It changes nothing in dir, which may be read-only, in
// use by a process, or left by one that was killed. All that has a checksum in its
// files is checked. The error is ErrDamaged if the copy can't be opened, and
// fs.ErrNotExist if there is no ledger; Copied holds in any case.
func OpenCopy(ctx context.Context, dir, scratch string, opts Options) (*Ledger, Copied, error) {
	var c Copied
	db := filepath.Join(dir, databaseName)
	if _, err := os.Stat(db + suffixMaking); err == nil {
		return nil, c, fmt.Errorf("ledger: open %s: %w", dir, fs.ErrNotExist) // nothing is in it
	}
	if _, err := os.Stat(db); err != nil {
		return nil, c, fmt.Errorf("ledger: open %s: %w", dir, err)
	}
	to, err := os.MkdirTemp(scratch, "recoup-ledger-")
	if err != nil {
		return nil, c, fmt.Errorf("ledger: copy to read: %w", err)
	}
	l := unlocked(to, opts)
	l.readOnly, l.cleanUp = true, func() error { return os.RemoveAll(to) }
	if err = c.copy(ctx, dir, to); err == nil {
		err = l.openCopied(filepath.Join(to, databaseName))
	}
	if err != nil {
		return nil, c, errors.Join(fmt.Errorf("ledger: open %s: %w", dir, err), l.release())
	}
	return l, c, nil
}

// copy copies anchor and database: the anchor first, since what it names is in the
// database by then.
func (c *Copied) copy(ctx context.Context, dir, to string) error {
	release, live, err := badgerfile.Hold(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	defer release()
	c.Live = live
	if err := c.copyAnchor(filepath.Join(dir, anchorName), filepath.Join(to, anchorName)); err != nil {
		return err
	}
	db := filepath.Join(dir, databaseName)
	if err := badgerfile.CheckRoom(db, to); err != nil {
		return err
	}
	s, err := badgerfile.Copy(ctx, db, filepath.Join(to, databaseName), live)
	if err != nil {
		return err
	}
	c.Files += s.Files
	c.Bytes += s.Bytes
	for _, d := range s.Damages {
		c.Damages = append(c.Damages, Damage{File: d.Path, Byte: d.Offset, What: d.What})
	}
	if s.Closed != nil {
		return fileError(s.Closed)
	}
	return nil
}

// copyAnchor copies the anchor, and looks at both of its slots: while one can be
// read, the other is not missed. A process that writes to one may be met at it.
func (c *Copied) copyAnchor(from, to string) error {
	const tries = 5
	for n := 1; ; n++ {
		b, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("copy to read: %w", err)
		}
		bad := badSlots(b)
		if len(bad) > 0 && c.Live && n < tries {
			continue
		}
		for _, slot := range bad {
			c.Damages = append(c.Damages, Damage{File: from, Byte: int64(slot) * slotStride,
				What: "one of the anchor's two slots can't be read: damaged, or cut by a loss of power as it was written"})
		}
		c.Files++
		c.Bytes += int64(len(b))
		return os.WriteFile(to, b, 0o600)
	}
}

// badSlots are those in which something is, and no head.
func badSlots(b []byte) (bad []int) {
	for slot := range anchorSlots {
		if len(b) <= slot*slotStride {
			break
		}
		content := b[slot*slotStride : min(len(b), (slot+1)*slotStride)]
		if _, ok := decodeSlot(content); !ok && len(bytes.Trim(content, "\x00")) > 0 {
			bad = append(bad, slot)
		}
	}
	return bad
}

// openCopied opens the copied database, which Badger may mend.
func (l *Ledger) openCopied(db string) (err error) {
	l.anchored, _, l.noAnchor = readAnchor(l.dir)
	if l.db, err = badger.Open(l.badgerOptions(db).WithSyncWrites(false)); err != nil {
		l.db = nil // Badger returns one of which nothing is
		return damagedf("%w", err)
	}
	if err := l.checkFormat(false); err != nil {
		return err
	}
	if err := l.load(); err != nil {
		return err
	}
	return l.loadCut()
}
