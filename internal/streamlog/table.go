package streamlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables looks at a bucket's tables before Badger does: those that the
// manifest lists, since others are leftovers of a killed process, perhaps half
// made, which Badger removes. It opens tables in
// goroutines of its own and reads their ends and last blocks without checking, so
// that a damaged one would end the process, at every start. Such a table is
// ErrDamaged. A damaged block elsewhere costs what it held; hurt counts those. Of
// encrypted tables only the ends can be checked from outside.
func checkTables(dir string, listed map[uint64]badger.TableManifest) (hurt int, err error) {
	// The registry of keys begins with 16 bytes at random and a text, which is
	// legible if there is no key. It, not the options, says what is in the tables.
	registry, err := os.ReadFile(filepath.Join(dir, badger.KeyRegistryFileName))
	plain := err == nil && len(registry) >= 28 && string(registry[16:28]) == "Hello Badger"
	for id := range listed {
		file := table.NewFilename(id, dir)
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // Badger says so
		}
		if err != nil {
			return hurt, fmt.Errorf("streamlog: read table: %w", err)
		}
		n, ok := checkTable(b, plain)
		if !ok {
			return hurt, fmt.Errorf("%w: table %s", ErrDamaged, file)
		}
		hurt += n
	}
	return hurt, nil
}

// checkManifest returns the tables that the manifest lists. It refuses one that
// ends within an entry, or is missing though there are tables: Badger would take
// the tables that it doesn't list for leftovers and delete them.
func checkManifest(dir string) (map[uint64]badger.TableManifest, error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
		if err == nil && len(tables) > 0 {
			err = fmt.Errorf("%w: no %s", ErrDamaged, path)
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("streamlog: open manifest: %w", err)
	}
	defer f.Close()
	manifest, sound, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("streamlog: stat manifest: %w", err)
	}
	if info.Size() != sound {
		return nil, fmt.Errorf("%w: %s ends within an entry", ErrDamaged, path)
	}
	return manifest.Tables, nil
}

// checkTable checks a table: its blocks, the index, the CRC of the index. ok is
// false if it must not be opened.
func checkTable(b []byte, plain bool) (hurt int, ok bool) {
	rest, sum, ok := cutChecksum(b)
	if !ok {
		return 0, false
	}
	rest, n, ok := cutUint32(rest)
	if !ok || n > len(rest) {
		return 0, false
	}
	index := rest[len(rest)-n:]
	if uint64(crc32.Checksum(index, castagnoli)) != sum {
		return 0, false
	}
	if !plain {
		return 0, true
	}
	root, blocks := fb.GetRootAsTableIndex(index, 0), rest[:len(rest)-n]
	for i := range root.OffsetsLength() {
		var at fb.BlockOffset
		if !root.Offsets(&at, i) || int64(at.Offset())+int64(at.Len()) > int64(len(blocks)) {
			return hurt, false
		}
		sound, readable := checkBlock(blocks[at.Offset():][:at.Len()])
		if !sound {
			hurt++
		}
		if !readable || !sound && i == root.OffsetsLength()-1 {
			return hurt, false
		}
	}
	return hurt, true
}

// checkBlock checks a table's block: entries, their offsets, their number, the
// CRC of these. readable is false if Badger would read beyond it.
func checkBlock(b []byte) (sound, readable bool) {
	body, sum, ok := cutChecksum(b)
	if !ok {
		// Badger reads the number of entries before it looks at the CRC.
		return false, false
	}
	entries, n, ok := cutUint32(body)
	if !ok || n > len(entries)/4 {
		return false, false
	}
	return uint64(crc32.Checksum(body, castagnoli)) == sum, true
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
