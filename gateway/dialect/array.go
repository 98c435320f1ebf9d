package dialect

import "bytes"

// An ArraySplitter cuts a JSON array that comes by and by into events: each an element exactly as it came, with
// what stands before it, comma, white space and the array's opening bracket; and last, the closing one. A
// text that is no array is one event. It looks at structure alone, so of a text that is no JSON it
// promises only what holds for all: the parts joined are the bytes that were fed, and where they are
// cut does not depend on the reads.
type ArraySplitter struct {
	pieces
	depth   int
	begun   bool // the outermost value has begun
	array   bool // and is an array
	quoted  bool // within a string
	escaped bool // and behind a backslash
}

// NewArray returns an ArraySplitter that hands out events larger than maxPart bytes in parts of maxPart
// bytes; at or below 0 that is 1 MiB.
func NewArray(maxPart int) *ArraySplitter {
	if maxPart <= 0 {
		maxPart = defaultMaxPart
	}
	return &ArraySplitter{pieces: pieces{max: maxPart}}
}

// Feed takes the next bytes of the body and returns the parts that they complete, as that of a Splitter.
func (s *ArraySplitter) Feed(p []byte) []Part {
	s.parts = s.parts[:0]
	start := 0
	for i := 0; i < len(p); i++ {
		if s.quoted {
			if i = s.inString(p, i); i == len(p) {
				break
			}
			continue
		}
		if s.structure(p[i]) {
			s.cut(p[start : i+1])
			start = i + 1
		}
	}
	s.keep(p[start:])
	return s.parts
}

// inString returns the position of the quote that ends the string that p is in from i on, or len(p).
func (s *ArraySplitter) inString(p []byte, i int) int {
	for ; i < len(p); i++ {
		if s.escaped {
			s.escaped = false
			continue
		}
		n := bytes.IndexAny(p[i:], `"\`)
		if n < 0 {
			return len(p)
		}
		i += n
		if p[i] == '"' {
			s.quoted = false
			return i
		}
		s.escaped = true
	}
	return i
}

// structure reads a byte outside of strings, and tells whether an event ends with it.
func (s *ArraySplitter) structure(c byte) bool {
	switch c {
	case '"':
		s.quoted = true
	case '[', '{':
		if !s.begun {
			s.begun, s.array = true, c == '['
		}
		s.depth++
	case ']', '}':
		s.depth = max(s.depth-1, 0)
		return s.depth == 0 || s.depth == 1 && s.array
	}
	return false
}

// Flush ends the body and returns what is left of it: at most one part, an element that the end
// cut off, or white space behind the array. It is never Whole.
func (s *ArraySplitter) Flush() []Part {
	s.parts = s.parts[:0]
	if len(s.carry) > 0 {
		s.parts = append(s.parts, Part{Data: s.carry})
	}
	*s = ArraySplitter{pieces: pieces{max: s.max, parts: s.parts}}
	return s.parts
}

// element returns what an event of an array has of an element.
func element(event []byte) []byte {
	return bytes.Trim(event, " \t\r\n,[]")
}
