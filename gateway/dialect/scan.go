package dialect

import (
	"bytes"
	"encoding/json"
)

// maxDepth is how deep JSON may be nested before it is taken for damaged.
const maxDepth = 1000

// maxToken is how much of a name or a value is kept; a longer one is recognised by its length.
const maxToken = 512

// maxWatched is how deep members are watched.
const maxWatched = 10

// shortString is up to which length the end of a string is looked for byte by byte.
const shortString = 16

// A node is a place in a JSON text that a watcher knows. Nodes other than unwatched and root are the watcher's own.
type node uint8

const (
	unwatched node = iota
	root
	firstNode

	// free marks a place whose strings differ from event to event. The scanner pauses at their start.
	free node = 0x80

	// entire marks a place whose object or array is handed to the watcher as it is written. Nothing in it
	// is watched.
	entire node = 0x40

	// counter marks a place whose literals differ from event to event, like numbers that count them. The
	// scanner pauses at their start.
	counter = free | entire
)

// A watcher is told of the places it knows, in the order of the text. Slices are valid only during
// the call. Strings come as written, escapes included, and longer ones than maxToken may be cut short
// to any length above it.
type watcher interface {
	child(parent node, key []byte) node    // the place of a member, or with a nil key of an array's element
	open(n node, object bool)              // an object or array begins
	close(n node)                          // it ends
	value(n node, raw []byte, quoted bool) // a string without its quotes, or a literal
	written(piece []byte)                  // a piece of what is at an entire place, between its open and close
}

type scanState uint8

const (
	wantValue   scanState = iota // the zero scanner waits for a JSON text
	wantElement                  // a value or "]"
	wantKey
	wantFirstKey // a key or "}"
	wantColon
	afterValue
	inKey
	inString
	inLiteral
	complete // only white space may follow
	damaged
)

// A scanner walks one JSON text, in as many pieces as it comes, in constant memory. It is a plain
// value: a copy is a place to go on from, as long as no token is cut by it.
type scanner struct {
	state  scanState
	escape bool   // in a string: the last byte was a backslash that escapes the next one
	deep   bool   // damaged by depth
	node   node   // the place of the value that is read or comes next
	inside uint16 // how deep the inside of an entire place is that is read; 0 if none is
	depth  int
	path   [maxWatched]node             // the places of the open containers
	object [(maxDepth + 63) / 64]uint64 // which of them are objects, by bits
	token  []byte                       // what earlier pieces had of the token that goes on
}

func (s *scanner) reset() {
	s.state, s.escape, s.deep, s.node, s.inside, s.depth, s.token = wantValue, false, false, root, 0, 0, s.token[:0]
}

// feed reads the next piece and returns how much of it: less than all only at the
// start of a string at a free place, or of a literal at a counter's. A damaged text is read to its end.
func (s *scanner) feed(p []byte, w watcher) int {
	from := 0 // of what is at an entire place
	for i := 0; i < len(p); {
		switch s.state {
		case inKey, inString:
			i = s.inString(p, i, w)
			continue
		case inLiteral:
			i = s.inLiteral(p, i, w)
			continue
		case damaged:
			return len(p)
		}
		switch c := p[i]; c {
		case '"':
			s.quote(w)
			if s.state == inString && s.node&counter == free {
				return i + 1
			}
			i = s.inString(p, i+1, w)
			continue
		case ',':
			s.comma()
		case ':':
			s.colon()
		case '{', '[':
			s.push(c == '{', w)
			if s.node&counter == entire && s.state != damaged {
				s.inside, from = uint16(s.depth), i
			}
		case '}', ']':
			if s.inside != 0 && int(s.inside) == s.depth {
				s.inside = 0
				w.written(p[from : i+1])
			}
			s.pop(c == '}', w)
		case ' ', '\n', '\r', '\t':
		default:
			if s.state != wantValue && s.state != wantElement {
				s.state = damaged
				return len(p)
			}
			s.element(w)
			s.state = inLiteral
			if s.node&counter == counter && literalByte(c) {
				return i
			}
			continue
		}
		i++
	}
	if s.inside != 0 {
		w.written(p[from:])
	}
	return len(p)
}

// end tells whether the text is one whole JSON value.
func (s *scanner) end(w watcher) bool {
	if s.state == inLiteral && s.depth == 0 {
		s.literal(s.token, w)
	}
	return s.state == complete
}

func (s *scanner) inObject() bool {
	d := s.depth - 1
	return d >= 0 && s.object[d>>6]&(1<<(d&63)) != 0
}

// parent is the place of the container that is open.
func (s *scanner) parent() node {
	if s.depth == 0 || s.depth > maxWatched {
		return unwatched
	}
	return s.path[s.depth-1]
}

func (s *scanner) comma() {
	switch {
	case s.state != afterValue:
		s.state = damaged
	case s.inObject():
		s.state = wantKey
	default:
		s.state = wantValue
	}
}

func (s *scanner) colon() {
	if s.state != wantColon {
		s.state = damaged
		return
	}
	s.state = wantValue
}

// element finds the place of a value that begins: in an array it has no key that did.
func (s *scanner) element(w watcher) {
	if s.depth == 0 || s.inObject() {
		return
	}
	s.node = unwatched
	if n := s.parent(); n != unwatched {
		s.node = w.child(n, nil)
	}
}

func (s *scanner) push(object bool, w watcher) {
	if s.state != wantValue && s.state != wantElement {
		s.state = damaged
		return
	}
	if s.depth == maxDepth {
		s.state, s.deep = damaged, true
		return
	}
	s.element(w)
	if s.depth < maxWatched {
		s.path[s.depth] = s.node
	}
	bit := uint64(1) << (s.depth & 63)
	if object {
		s.object[s.depth>>6] |= bit
		s.state = wantFirstKey
	} else {
		s.object[s.depth>>6] &^= bit
		s.state = wantElement
	}
	s.depth++
	if s.node != unwatched {
		w.open(s.node, object)
	}
}

func (s *scanner) pop(object bool, w watcher) {
	first := wantElement
	if object {
		first = wantFirstKey
	}
	if s.depth == 0 || s.inObject() != object || (s.state != afterValue && s.state != first) {
		s.state = damaged
		return
	}
	n := s.parent()
	s.depth--
	s.valueEnd()
	if n != unwatched {
		w.close(n)
	}
}

func (s *scanner) valueEnd() {
	s.state = afterValue
	if s.depth == 0 {
		s.state = complete
	}
}

// quote begins a string.
func (s *scanner) quote(w watcher) {
	switch s.state {
	case wantKey, wantFirstKey:
		s.state = inKey
	case wantValue, wantElement:
		s.element(w)
		s.state = inString
	default:
		s.state = damaged
	}
}

// inString reads a string from i on and returns where to go on.
func (s *scanner) inString(p []byte, i int, w watcher) int {
	if s.state == damaged {
		return len(p)
	}
	end := s.closing(p, i)
	watched := s.node != unwatched
	if s.state == inKey {
		watched = s.parent() != unwatched
	}
	if end < 0 {
		if watched {
			s.save(p[i:])
		}
		return len(p)
	}
	raw := p[i:end]
	if watched && len(s.token) > 0 {
		s.save(raw)
		raw = s.token
	}
	if s.state == inKey {
		s.state = wantColon
		s.node = unwatched
		if watched {
			s.node = w.child(s.parent(), plain(raw))
		}
	} else {
		s.valueEnd()
		if watched {
			w.value(s.node, raw, true)
		}
	}
	s.token = s.token[:0]
	return end + 1
}

// closing finds the quote that ends the string that p is in from i on, or returns -1.
func (s *scanner) closing(p []byte, i int) int {
	if s.escape {
		s.escape = false
		i++
	}
	// Most strings are names and short values, and for these a search costs more than a look.
	for n := min(len(p), i+shortString); i < n; i++ {
		if p[i] == '"' {
			return i
		}
		if p[i] == '\\' {
			break
		}
	}
	for low := i; ; {
		n := bytes.IndexByte(p[i:], '"')
		end := i + n
		if n < 0 {
			end = len(p)
		}
		slashes := 0
		for end-slashes > low && p[end-slashes-1] == '\\' {
			slashes++
		}
		switch {
		case n < 0:
			s.escape = slashes%2 == 1
			return -1
		case slashes%2 == 0:
			return end
		}
		i = end + 1
		low = i
	}
}

// inLiteral reads a number, true, false or null from i on and returns where to go on.
func (s *scanner) inLiteral(p []byte, i int, w watcher) int {
	end := i
	for end < len(p) && literalByte(p[end]) {
		end++
	}
	if end == len(p) {
		s.save(p[i:])
		return end
	}
	raw := p[i:end]
	if len(s.token) > 0 {
		s.save(raw)
		raw = s.token
	}
	s.literal(raw, w)
	return end
}

// literal ends a literal. The watcher is told of a misspelt one too, before the text is damaged.
func (s *scanner) literal(raw []byte, w watcher) {
	s.valueEnd()
	if s.node != unwatched {
		w.value(s.node, raw, false)
	}
	if !literal(raw) {
		s.state = damaged
	}
	s.token = s.token[:0]
}

// save keeps what a piece had of a token.
func (s *scanner) save(p []byte) {
	s.token = append(s.token, p[:min(len(p), maxToken+1-len(s.token))]...)
}

func literalByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c >= 'A' && c <= 'Z'
}

// literal tells whether raw can be a JSON literal; of a number it looks at the first byte alone.
func literal(raw []byte) bool {
	switch string(raw) {
	case "true", "false", "null":
		return true
	}
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// plain resolves the escapes of a JSON string as it was written without its quotes.
func plain(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var s string
	quoted := append(append([]byte{'"'}, raw...), '"')
	if err := json.Unmarshal(quoted, &s); err != nil {
		return raw
	}
	return []byte(s)
}
