package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Head is the last entry: its number and its hash. The zero value is the head of
// empty books.
type Head struct {
	Seq  uint64
	Hash Hash
}

const (
	anchorName  = "ledger.head"
	slotStride  = 4096 // bytes: no write of one slot touches the page of the other
	anchorSlots = 2
	slotFormat  = "recoup ledger head 1 %020d %x"
	slotLen     = len("recoup ledger head 1 ") + 20 + 1 + 2*len(Hash{}) // without the CRC
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// anchor is the file outside of the database that says how far the chain went. Its
// two slots are written in turn, so that a write cut by a loss of power leaves the
// head before.
type anchor struct {
	f    *os.File
	slot int // to be written next
}

// encodeSlot returns a line of text: the head, and a CRC-32C of what is before it.
func encodeSlot(h Head) []byte {
	b := fmt.Appendf(nil, slotFormat, h.Seq, h.Hash)
	return fmt.Appendf(b, " %08x\n", crc32.Checksum(b, castagnoli))
}

func decodeSlot(b []byte) (h Head, ok bool) {
	if len(b) < slotLen+10 {
		return h, false
	}
	b = b[:slotLen+10]
	var hash []byte
	if _, err := fmt.Sscanf(string(b[:slotLen]), slotFormat, &h.Seq, &hash); err != nil || len(hash) != len(h.Hash) {
		return h, false
	}
	copy(h.Hash[:], hash)
	return h, string(encodeSlot(h)) == string(b)
}

// errNoAnchor: there is no such file, or nothing in it.
var errNoAnchor = errors.New("no anchor")

// readAnchor returns the newest head that the file has, and the slot it isn't in. It
// is errNoAnchor if nothing was ever written, ErrDamaged if what was can't be read.
func readAnchor(dir string) (h Head, next int, err error) {
	path := filepath.Join(dir, anchorName)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0:
		return h, 0, errNoAnchor
	case err != nil:
		return h, 0, fmt.Errorf("ledger: read anchor: %w", err)
	}
	found := false
	for slot := range anchorSlots {
		if len(b) < slot*slotStride {
			break
		}
		if s, ok := decodeSlot(b[slot*slotStride:]); ok && (!found || s.Seq >= h.Seq) {
			h, next, found = s, (slot+1)%anchorSlots, true
		}
	}
	if !found {
		return h, 0, damagedf("anchor %s: neither of its slots can be read", path)
	}
	return h, next, nil
}

// openAnchor opens the file to be written to, beginning with that slot.
func openAnchor(dir string, slot int) (*anchor, error) {
	f, err := os.OpenFile(filepath.Join(dir, anchorName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: open anchor: %w", err)
	}
	return &anchor{f, slot}, nil
}

// write makes h the anchored head. It returns when that is durable.
func (a *anchor) write(h Head) error {
	_, err := io.NewOffsetWriter(a.f, int64(a.slot)*slotStride).Write(encodeSlot(h))
	if err == nil {
		err = datasync(a.f)
	}
	if err != nil {
		return fmt.Errorf("ledger: anchor entry %d: %w", h.Seq, err)
	}
	a.slot = (a.slot + 1) % anchorSlots
	return nil
}

// String returns the number and the hash in hexadecimal digits.
func (h Head) String() string { return fmt.Sprintf("%d %s", h.Seq, hex.EncodeToString(h.Hash[:])) }
