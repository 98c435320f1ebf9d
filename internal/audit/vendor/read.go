package vendor

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

// sink takes what a reader finds.
type sink struct {
	row    func(*Row) error
	bucket func(Kind, time.Time, time.Time) error // also of a bucket without rows
	page   func(Kind, bool, string)               // of JSON: whether there are more, and the next
	asked  bool                                   // it is what an admin API answers, so a page
}

// lineCounter counts the lines that have gone through, and hashes them.
type lineCounter struct {
	r     io.Reader
	lines int
	last  byte
	hash  interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.lines += bytes.Count(p[:n], []byte{'\n'})
		c.last = p[n-1]
		_, _ = c.hash.Write(p[:n])
	}
	return n, err
}

// read reads a file of whatever kind. Errors begin with its name, and a line.
func read(name string, r io.Reader, s sink) (digest [sha256.Size]byte, err error) {
	c := &lineCounter{r: r, hash: sha256.New()}
	in := bufio.NewReaderSize(c, 64<<10)
	if bom, _ := in.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3)
	}
	first, err := firstByte(in)
	switch {
	case errors.Is(err, io.EOF):
		return digest, fmt.Errorf("%s: it is empty", name)
	case err != nil:
		return digest, fmt.Errorf("%s: %w", name, err)
	case first == '<':
		return digest, fmt.Errorf("%s: it is HTML, such as of a page to sign in, and no report", name)
	case s.asked && first != '{':
		return digest, fmt.Errorf("%s: it begins with %q, and is no page of an admin API", name, first)
	case first == '{' || first == '[':
		err = readPages(name, in, c, s)
	default:
		err = readCSV(name, in, c, s)
	}
	return [sha256.Size]byte(c.hash.Sum(nil)), err
}

// firstByte is the first that is no blank, which stays unread.
func firstByte(in *bufio.Reader) (byte, error) {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			return b, in.UnreadByte()
		}
	}
}
