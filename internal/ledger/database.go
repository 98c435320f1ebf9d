package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/klauspost/compress/s2"
)

// tableFile is one of Badger's tables.
type tableFile struct {
	path        string
	compression options.CompressionType
}

// checkDatabase looks at a database before Badger does, which would delete tables
// that a damaged manifest doesn't list, and end the process over a table that lacks
// its end or its last block. It is ErrDamaged with such damage. Of each table it
// reads as much as Badger itself does when it opens it; scrub reads the rest. It
// returns the tables, the newest first.
func checkDatabase(dir string) ([]tableFile, error) {
	listed, err := checkManifest(dir)
	if err != nil {
		return nil, err
	}
	var tables []tableFile
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(listed))) {
		t := tableFile{path: table.NewFilename(id, dir), compression: listed[id].Compression}
		if err := t.checkEnds(); err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// scrub checks the blocks of tables until limit bytes are read, and returns those
// that are left. To Badger a key in a damaged block isn't there, so an attempt would
// look as if it had never been posted. A table that is gone was compacted.
func scrub(tables []tableFile, limit int64) ([]tableFile, error) {
	for len(tables) > 0 && limit > 0 {
		t := tables[0]
		b, err := os.ReadFile(t.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return tables, fmt.Errorf("ledger: read table: %w", err)
		}
		if n := damagedBlocks(b, t.compression); err == nil && n > 0 {
			return tables, damagedf("table %s: %d of its blocks", t.path, n)
		}
		limit -= int64(len(b))
		tables = tables[1:]
	}
	return tables, nil
}

// damagedBlocks counts the damaged blocks of a table with sound ends.
func damagedBlocks(b []byte, compression options.CompressionType) (n int) {
	root, _, ok := tableIndex(bytes.NewReader(b), int64(len(b)))
	if !ok {
		return 1
	}
	for i := range root.OffsetsLength() {
		var at fb.BlockOffset
		if !root.Offsets(&at, i) || int64(at.Offset())+int64(at.Len()) > int64(len(b)) ||
			!checkBlock(b[at.Offset():][:at.Len()], compression) {
			n++
		}
	}
	return n
}

const maxBlock = 64 << 20 // bytes; Badger ends a block at 4 KiB and an entry

// checkManifest returns the tables that the manifest lists. It refuses one that
// ends within an entry, or is missing though there are tables: Badger would take
// the tables that it doesn't list for leftovers and delete them.
func checkManifest(dir string) (map[uint64]badger.TableManifest, error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
		if err == nil && len(tables) > 0 {
			err = damagedf("no %s", path)
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: open manifest: %w", err)
	}
	defer f.Close()
	manifest, sound, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, damagedf("%s: %v", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("ledger: stat manifest: %w", err)
	}
	if info.Size() != sound {
		return nil, damagedf("%s ends within an entry", path)
	}
	return manifest.Tables, nil
}

// checkEnds checks the end of a table, and its last block.
func (t tableFile) checkEnds() error {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return damagedf("table %s is missing", t.path)
	}
	if err != nil {
		return fmt.Errorf("ledger: open table: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("ledger: stat table: %w", err)
	}
	root, end, ok := tableIndex(f, info.Size())
	if !ok {
		return damagedf("the end of table %s", t.path)
	}
	var last fb.BlockOffset
	if !root.Offsets(&last, root.OffsetsLength()-1) || int64(last.Offset())+int64(last.Len()) > end ||
		!checkBlock(readAt(f, int64(last.Offset()), int64(last.Len())), t.compression) {
		return damagedf("the last block of table %s", t.path)
	}
	return nil
}

// tableIndex reads the end of a table, which is the index, its length, a CRC of it
// and the length of that. It returns the index, and where it begins.
func tableIndex(f io.ReaderAt, size int64) (root *fb.TableIndex, at int64, ok bool) {
	end := readAt(f, max(size-64, 0), min(size, 64)) // longer than the last three are
	withoutSum, sum, ok := cutChecksum(end)
	if !ok {
		return nil, 0, false
	}
	withoutLength, n, ok := cutUint32(withoutSum)
	at = size - int64(len(end)-len(withoutLength)) - int64(n)
	if !ok || at < 0 {
		return nil, 0, false
	}
	index := readAt(f, at, int64(n))
	if len(index) == 0 || uint64(crc32.Checksum(index, castagnoli)) != sum {
		return nil, 0, false
	}
	return fb.GetRootAsTableIndex(index, 0), at, true
}

// readAt returns n bytes, or fewer where the file ends.
func readAt(f io.ReaderAt, at, n int64) []byte {
	b := make([]byte, n)
	got, _ := f.ReadAt(b, at) // what is missing, the checksum misses
	return b[:got]
}

// checkBlock checks a table's block: entries, their offsets, their number, the
// CRC of these.
func checkBlock(b []byte, compression options.CompressionType) bool {
	if compression == options.Snappy {
		if n, err := s2.DecodedLen(b); err != nil || n > maxBlock {
			return false
		}
		var err error
		if b, err = s2.Decode(nil, b); err != nil {
			return false
		}
	}
	body, sum, ok := cutChecksum(b)
	return ok && uint64(crc32.Checksum(body, castagnoli)) == sum
}

// cutChecksum cuts off a CRC-32C as Badger writes it: a protobuf message with the
// sum as field 2, and the message's length.
func cutChecksum(b []byte) (rest []byte, sum uint64, ok bool) {
	rest, n, ok := cutUint32(b)
	if !ok || n > len(rest) {
		return nil, 0, false
	}
	message := rest[len(rest)-n:]
	rest = rest[:len(rest)-n]
	if n == 0 {
		return rest, 0, true
	}
	if message[0] != 2<<3 {
		return rest, 1 << 63, true // no CRC-32C
	}
	sum, k := binary.Uvarint(message[1:])
	if k != n-1 {
		return rest, 1 << 63, true
	}
	return rest, sum, true
}

func cutUint32(b []byte) (rest []byte, n int, ok bool) {
	if len(b) < 4 {
		return nil, 0, false
	}
	return b[:len(b)-4], int(binary.BigEndian.Uint32(b[len(b)-4:])), true
}
