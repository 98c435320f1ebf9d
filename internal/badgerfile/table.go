package badgerfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/klauspost/compress/s2"
)

const maxBlock = 64 << 20 // bytes; Badger ends a block at 4 KiB and an entry

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Table is one of Badger's tables, as the manifest has it.
type Table struct {
	Path              string
	snappy, encrypted bool
}

// CheckEnds looks at what Badger reads of a table when it opens it. It is ErrDamaged
// if that would end the process, and if there is no such file.
func (t Table) CheckEnds() error {
	f, err := os.Open(t.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return damagedf("table %s is missing", t.Path)
	}
	if err != nil {
		return fmt.Errorf("open table: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat table: %w", err)
	}
	blocks, ok := t.blocks(f, info.Size())
	if !ok {
		return damagedf("the end of table %s", t.Path)
	}
	if t.encrypted {
		return nil
	}
	last := blocks[len(blocks)-1]
	if sound, _ := t.checkBlock(readAt(f, last.at, last.n)); !sound {
		return damagedf("the last block of table %s", t.Path)
	}
	return nil
}

// CheckBlocks reads all of a table, size bytes, and counts its damaged blocks. It is
// ErrDamaged, with one at least, if Badger must not open it: for what CheckEnds looks
// at, or a block beyond which Badger would read. fs.ErrNotExist: the table is gone;
// of an open database, it was compacted.
func (t Table) CheckBlocks() (size int64, damaged int, err error) {
	size, at, err := t.damagedBlocks()
	return size, len(at), err
}

// damagedBlocks is CheckBlocks with where the damaged blocks begin.
func (t Table) damagedBlocks() (size int64, damaged []int64, err error) {
	b, err := os.ReadFile(t.Path)
	if err != nil {
		return 0, nil, fmt.Errorf("read table: %w", err)
	}
	size = int64(len(b))
	blocks, ok := t.blocks(bytes.NewReader(b), size)
	if !ok {
		return size, []int64{max(size-64, 0)}, damagedf("table %s", t.Path)
	}
	for i, x := range blocks {
		sound, readable := t.checkBlock(b[x.at:][:x.n])
		if !sound {
			damaged = append(damaged, x.at)
		}
		if !readable || !sound && i == len(blocks)-1 {
			err = damagedf("table %s", t.Path)
		}
	}
	return size, damaged, err
}

type extent struct{ at, n int64 }

// blocks reads the end of a table: the index, its length, a CRC of it and the length
// of that. It returns where the blocks are, unless they are encrypted; one that
// isn't before the index has no bytes.
func (t Table) blocks(f io.ReaderAt, size int64) (blocks []extent, ok bool) {
	end := readAt(f, max(size-64, 0), min(size, 64)) // longer than the last three are
	withoutSum, sum, ok := cutChecksum(end)
	if !ok {
		return nil, false
	}
	withoutLength, n, ok := cutUint32(withoutSum)
	at := size - int64(len(end)-len(withoutLength)) - int64(n)
	if !ok || at < 0 {
		return nil, false
	}
	index := readAt(f, at, int64(n))
	if len(index) == 0 || !isChecksum(sum, index) {
		return nil, false
	}
	if t.encrypted {
		return nil, true
	}
	root := fb.GetRootAsTableIndex(index, 0)
	for i := range root.OffsetsLength() {
		var o fb.BlockOffset
		root.Offsets(&o, i)
		x := extent{int64(o.Offset()), int64(o.Len())}
		if x.at+x.n > at {
			x = extent{}
		}
		blocks = append(blocks, x)
	}
	return blocks, len(blocks) > 0
}

// readAt returns n bytes, or fewer where the file ends.
func readAt(f io.ReaderAt, at, n int64) []byte {
	b := make([]byte, n)
	got, _ := f.ReadAt(b, at) // what is missing, the checksum misses
	return b[:got]
}

// checkBlock checks a table's block: entries, their offsets, their number, the CRC of
// these. readable is false if Badger would read beyond it.
func (t Table) checkBlock(b []byte) (sound, readable bool) {
	if t.snappy {
		n, err := s2.DecodedLen(b)
		if err == nil && n > maxBlock {
			return false, false // Badger would make room for it
		}
		if b, err = s2.Decode(nil, b); err != nil {
			return false, true // Badger sees that
		}
	}
	body, sum, ok := cutChecksum(b)
	if !ok {
		return false, false
	}
	entries, n, ok := cutUint32(body)
	if !ok || n > len(entries)/4 {
		return false, false
	}
	return isChecksum(sum, body), true
}

// cutChecksum cuts off a CRC as Badger writes it: a protobuf message, and its length.
func cutChecksum(b []byte) (rest, message []byte, ok bool) {
	rest, n, ok := cutUint32(b)
	if !ok || n > len(rest) {
		return nil, nil, false
	}
	return rest[:len(rest)-n], rest[len(rest)-n:], true
}

// isChecksum says if a message is the CRC-32C of b, as field 2; zero is left out.
func isChecksum(message, b []byte) bool {
	sum := crc32.Checksum(b, castagnoli)
	if sum == 0 {
		return len(message) == 0
	}
	return bytes.Equal(message, binary.AppendUvarint([]byte{2 << 3}, uint64(sum)))
}

func cutUint32(b []byte) (rest []byte, n int, ok bool) {
	if len(b) < 4 {
		return nil, 0, false
	}
	return b[:len(b)-4], int(binary.BigEndian.Uint32(b[len(b)-4:])), true
}
