package badgerfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
)

const (
	registryIV   = 16
	registryText = "Hello Badger" // behind the IV; encrypted, if the database is
)

// checkRegistry looks at the file of the keys that encrypt, which is there without
// any too. bad is where it isn't what it should be, or -1; ErrDamaged if Badger must
// not read it: it makes room for whatever length stands in it.
func checkRegistry(path string) (bad int64, keys int, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, 0, nil
	}
	if err != nil {
		return -1, 0, fmt.Errorf("read key registry: %w", err)
	}
	at := registryIV + len(registryText)
	switch {
	case len(b) < at:
		return 0, 0, damagedf("key registry %s", path)
	case len(b) == at && string(b[registryIV:]) != registryText:
		return registryIV, 0, damagedf("key registry %s", path)
	}
	for at < len(b) { // length, CRC, content
		rest := b[at:]
		if len(rest) < 8 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-8) ||
			crc32.Checksum(rest[8:8+binary.BigEndian.Uint32(rest)], castagnoli) != binary.BigEndian.Uint32(rest[4:]) {
			return int64(at), keys, damagedf("key registry %s", path)
		}
		keys++
		at += 8 + int(binary.BigEndian.Uint32(rest))
	}
	return -1, keys, nil
}
