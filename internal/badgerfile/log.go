package badgerfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"syscall"
)

const (
	logHeader = 20      // bytes: the number of the key that encrypts, and an IV
	maxLogKey = 1 << 16 // bytes
)

// checkLog reads a write-ahead or value log as far as it is one: entries, each with
// its CRC. end is where the last of them ends. What follows has to be zero, as the
// file was made; bad is the first byte that is not, or -1.
func checkLog(path string) (size, end, bad int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("open log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, 0, fmt.Errorf("stat log: %w", err)
	}
	if size = info.Size(); size < logHeader {
		return size, 0, 0, nil
	}
	end = logHeader
	in := &logReader{r: bufio.NewReaderSize(io.NewSectionReader(f, end, size-end), 64<<10), sum: crc32.New(castagnoli)}
	for {
		n, err := in.entry(size - end)
		if errors.Is(err, errNoEntry) {
			break
		}
		if err != nil {
			return size, end, end, fmt.Errorf("read log: %w", err)
		}
		end += n
	}
	bad, err = firstNonZero(f, end, size)
	return size, end, bad, err
}

// errNoEntry: what stands there is none.
var errNoEntry = errors.New("no entry")

// logReader reads entries, and what their CRCs should be.
type logReader struct {
	r   *bufio.Reader
	sum hash.Hash32
	n   int64 // bytes of the entry so far
}

// ReadByte reads a byte of the entry's header.
func (l *logReader) ReadByte() (byte, error) {
	b, err := l.r.ReadByte()
	if err == nil {
		l.n++
		l.sum.Write([]byte{b})
	}
	return b, err
}

// entry reads one: meta, user meta, the lengths of key and value, when it expires,
// all three as uvarints, key, value, CRC. Of left bytes it can take no more.
func (l *logReader) entry(left int64) (size int64, err error) {
	l.sum.Reset()
	l.n = 0
	var fields [3]uint64
	for range 2 {
		if _, err := l.ReadByte(); err != nil {
			return 0, ended(err)
		}
	}
	for i := range fields {
		if fields[i], err = binary.ReadUvarint(l); err != nil {
			return 0, ended(err)
		}
	}
	key, value := fields[0], fields[1]
	if key == 0 || key > maxLogKey || value > uint64(left) || l.n+int64(key+value)+crc32.Size > left {
		return 0, errNoEntry
	}
	if _, err := io.CopyN(l.sum, l.r, int64(key+value)); err != nil {
		return 0, ended(err)
	}
	var crc [crc32.Size]byte
	if _, err := io.ReadFull(l.r, crc[:]); err != nil {
		return 0, ended(err)
	}
	if binary.BigEndian.Uint32(crc[:]) != l.sum.Sum32() {
		return 0, errNoEntry
	}
	return l.n + int64(key+value) + crc32.Size, nil
}

// ended makes an error of a file that could be read, but not as an entry, errNoEntry.
func ended(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return err
	}
	return errNoEntry
}

// nextData is where in [from, to) a file has something that is stored; to if
// nowhere. What lies between is a hole, and zero.
func nextData(f *os.File, from, to int64) int64 {
	const seekData = 3 // SEEK_DATA of Linux
	at, err := f.Seek(from, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO):
		return to
	case err != nil || at < from: // not known here
		return from
	}
	return min(at, to)
}

// firstNonZero is the offset of the first byte in [from, to) that isn't zero; -1.
func firstNonZero(f *os.File, from, to int64) (int64, error) {
	b := make([]byte, 64<<10)
	for {
		if from = nextData(f, from, to); from >= to {
			break
		}
		n, err := f.ReadAt(b[:min(int64(len(b)), to-from)], from)
		for i, c := range b[:n] {
			if c != 0 {
				return from + int64(i), nil
			}
		}
		from += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("read log: %w", err)
		}
		if n == 0 {
			break
		}
	}
	return -1, nil
}
