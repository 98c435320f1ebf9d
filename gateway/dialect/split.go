package dialect

import "bytes"

// defaultMaxPart is the part size of a Splitter that was not given one: 1 MiB.
const defaultMaxPart = 1 << 20

// keepBuffer is the size up to which a Splitter holds on to a buffer after an event: enough for what
// one read leaves over, so that one large event doesn't cost its memory for the stream's lifetime.
const keepBuffer = 64 << 10

// A Part is an event, or a stretch of one that is larger than the Splitter's part size.
type Part struct {
	Data  []byte
	More  bool // the event goes on in the next part
	Whole bool // the event ended here, with its blank line
}

// A Splitter cuts an SSE body into events: each one block exactly as it came, up to and including
// its blank line. Lines may end in \n, \r\n or \r, also mixed. A block of comments alone is an event.
// Blank lines before a block belong to that block, so no event consists of blank lines only;
// those before the stream's end are left over to Flush.
//
// All parts joined are the bytes that were fed, and where they are cut does not depend on the reads.
// For that, one byte has to wait: a "\r" which, after a line that did not end in a bare "\r", ends
// the blank line, may be half of "\r\n", so its event comes with the next byte (or Flush). After a
// line that did end in a bare "\r" the event comes at once, and a "\n" that follows nevertheless
// belongs to the next block.
type Splitter struct {
	pieces

	text  bool // the current line has bytes
	body  bool // the current event has a line with bytes
	bare  bool // the last line ended in a bare "\r"
	cr    bool // the last byte was a "\r" that may be half of "\r\n"
	blank bool // that "\r" ends the blank line of an event
}

// pieces are what a body is cut into.
type pieces struct {
	max   int
	carry []byte // the start of the event that was not handed out yet
	spare []byte // the buffer behind the last part that carry was handed out as
	parts []Part
}

// NewSSE returns a Splitter that hands out events larger than maxPart bytes in parts of maxPart
// bytes; at or below 0 that is 1 MiB.
func NewSSE(maxPart int) *Splitter {
	if maxPart <= 0 {
		maxPart = defaultMaxPart
	}
	return &Splitter{pieces: pieces{max: maxPart}}
}

// Feed takes the next bytes of the body and returns the parts that they complete. p is needed only
// during the call by the Splitter itself, but the parts may lie in it: they, and the slice
// of them, are valid until p is changed and until the next Feed or Flush.
func (s *Splitter) Feed(p []byte) []Part {
	s.parts = s.parts[:0]
	var (
		start  int // where the part of p begins that is not handed out
		i      int // what is scanned
		lf, cr = -1, -1
	)
	for i < len(p) {
		if s.cr {
			s.cr = false
			s.bare = p[i] != '\n'
			if !s.bare {
				i++
			}
			if s.blank {
				s.cut(p[start:i])
				s.body = false
				start = i
			}
			continue
		}
		// Both are looked for once per occurrence, so that a body without one of them isn't
		// searched for it again at every line.
		if lf < i {
			lf = index(p, i, '\n')
		}
		if cr < i {
			cr = index(p, i, '\r')
		}
		end := min(lf, cr)
		if end > i {
			s.text, s.body = true, true
		}
		if end == len(p) {
			break
		}
		blank := s.body && !s.text
		s.text = false
		i = end + 1
		switch {
		case p[end] == '\n':
			s.bare = false
		case !blank || !s.bare:
			s.cr, s.blank = true, blank
			continue
		}
		if blank {
			s.cut(p[start:i])
			s.body = false
			start = i
		}
	}
	s.keep(p[start:])
	return s.parts
}

// Flush ends the body and returns what is left of it: at most one part, an event that
// the end cut off, or blank lines. It is Whole only if the last byte was a "\r" that had to wait.
func (s *Splitter) Flush() []Part {
	s.parts = s.parts[:0]
	if len(s.carry) > 0 {
		s.parts = append(s.parts, Part{Data: s.carry, Whole: s.cr && s.blank})
	}
	*s = Splitter{pieces: pieces{max: s.max, parts: s.parts}}
	return s.parts
}

// cut ends the event with rest, which follows what is carried.
func (s *pieces) cut(rest []byte) {
	rest = s.overflow(rest)
	if len(s.carry) > 0 {
		rest = s.take(rest)
	}
	s.parts = append(s.parts, Part{Data: rest, Whole: true})
}

// keep saves rest, the start of an event, for the next Feed.
func (s *pieces) keep(rest []byte) {
	rest = s.overflow(rest)
	if len(rest) > 0 {
		s.carry = append(s.carry, rest...)
	}
}

// overflow hands out what exceeds one part of the event that goes on with rest, and returns what
// of rest remains: with what is carried at least 1 byte and at most one part.
func (s *pieces) overflow(rest []byte) []byte {
	for len(s.carry)+len(rest) > s.max {
		n := s.max - len(s.carry)
		data := rest[:n]
		if len(s.carry) > 0 {
			data = s.take(data)
		}
		s.parts = append(s.parts, Part{Data: data, More: true})
		rest = rest[n:]
	}
	return rest
}

// take joins what is carried with p and leaves nothing carried. The buffers swap places: the
// joined one has to stay as it is until the next Feed, and this happens once in a Feed at most.
func (s *pieces) take(p []byte) []byte {
	data := append(s.carry, p...)
	s.carry = s.spare[:0]
	s.spare = data
	if cap(data) > keepBuffer {
		s.spare = nil
	}
	return data
}

// index returns the position of c in p at or after i, len(p) if there is none.
func index(p []byte, i int, c byte) int {
	if n := bytes.IndexByte(p[i:], c); n >= 0 {
		return i + n
	}
	return len(p)
}
