package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// fileStore is the least that a durable log can do: one write to a file for
// all that is queued. It can't find a stream again without reading everything.
type fileStore struct {
	*grouper
	f   *os.File
	buf []byte
}

func openFile(dir string, sync bool) (store, error) {
	f, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	s := &fileStore{f: f}
	s.grouper = newGrouper(func(items []item) error {
		s.buf = appendItems(s.buf[:0], items)
		if _, err := f.Write(s.buf); err != nil {
			return err
		}
		if sync {
			return f.Sync()
		}
		return nil
	})
	return s, nil
}

func (s *fileStore) close() error {
	s.stop()
	return s.f.Close()
}

func (s *fileStore) read(wanted func(int) bool, visit visitFunc) (err error) {
	f, err := os.Open(s.f.Name())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return readItems(bufio.NewReaderSize(f, 1<<20), wanted, visit)
}

// appendItems appends events as number of the stream, length, bytes.
func appendItems(dst []byte, items []item) []byte {
	for _, i := range items {
		dst = binary.AppendUvarint(dst, uint64(i.stream))
		dst = binary.AppendUvarint(dst, uint64(len(i.event)))
		dst = append(dst, i.event...)
	}
	return dst
}

// itemReader is a *bufio.Reader or a *bytes.Reader.
type itemReader interface {
	io.Reader
	io.ByteReader
}

func readItems(r itemReader, wanted func(int) bool, visit visitFunc) error {
	var event []byte
	for {
		stream, err := binary.ReadUvarint(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		event = append(event[:0], make([]byte, n)...)
		if _, err := io.ReadFull(r, event); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		if !wanted(int(stream)) {
			continue
		}
		if err := visit(int(stream), event); err != nil {
			return err
		}
	}
}
