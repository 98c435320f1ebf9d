package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// Canonical returns a request body in the one form that all its spellings share: members sorted by
// name, escapes only where JSON demands them, no insignificant white space. Numbers stay as they were
// written, since what a provider makes of 1.0 is not ours to say. Of an object, the members that
// choose only how the answer is delivered, "stream" and "stream_options", are left out; deeper ones
// of that name stay. Of a member given twice the last counts.
//
// It fails on what is not exactly one JSON value in UTF-8, on nesting deeper than 1,000 levels and on
// more than 250,000 values, of which each takes some 200 bytes while this runs.
func Canonical(body []byte) ([]byte, error) {
	exact, _, err := Canonicals(body)
	return exact, err
}

// Canonicals returns beside the canonical form what it is without the limit of the answer's length. Where
// there is none, that is the same slice.
func Canonicals(body []byte) (exact, unlimited []byte, err error) {
	var check scanner
	check.reset()
	check.feed(body, blind{})
	switch {
	case check.deep:
		return nil, nil, fmt.Errorf("canonical JSON: nested more than %d levels deep", maxDepth)
	case !check.end(blind{}):
		return nil, nil, errors.New("canonical JSON: not exactly one JSON value")
	case !utf8.Valid(body):
		return nil, nil, errors.New("canonical JSON: not valid UTF-8")
	}
	c := canon{in: body, out: make([]byte, 0, len(body))}
	if c.read(); c.err == nil {
		c.write(0, true)
	}
	if c.err != nil {
		return nil, nil, fmt.Errorf("canonical JSON: %w", c.err)
	}
	if exact = c.out; !c.limited {
		return exact, exact, nil
	}
	c.out, c.unlimited = make([]byte, 0, len(exact)), true
	c.write(0, true)
	return exact, c.out, nil
}

const maxValues = 250_000

// canon writes a text whose structure is known to be sound in canonical form. Reading builds a list of the
// values in the order of the text, so that nothing is read twice however deep it is.
type canon struct {
	in     []byte
	pos    int
	values []span
	order  []int // stack: the members of the objects that are being written, sorted
	out    []byte
	err    error // the first fault in a string or number

	limited   bool // there is a limit of the answer's length
	unlimited bool // which is to be left out
}

// A span is a value.
type span struct {
	name     []byte // of a member, in canonical form with its quotes
	from, to int    // of a string or literal: where it is in the text
	next     int    // the first value behind this one and all within it
	kind     byte   // '{', '[', '"' or 0 for a literal
}

// read reads the value that comes next, with all within it.
func (c *canon) read() {
	c.space()
	i := len(c.values)
	if i == maxValues {
		c.fail(fmt.Sprintf("more than %d values", maxValues))
		return
	}
	c.values = append(c.values, span{from: c.pos})
	v := span{from: c.pos}
	switch kind := c.in[c.pos]; kind {
	case '{', '[':
		v.kind = kind
		c.pos++
		c.readInside(kind == '{')
	case '"':
		v.kind = kind
		c.skipString()
	default:
		for c.pos < len(c.in) && literalByte(c.in[c.pos]) {
			c.pos++
		}
	}
	v.to, v.next = c.pos, len(c.values)
	c.values[i] = v
}

// readInside reads what is in an object or array, and its end.
func (c *canon) readInside(object bool) {
	for {
		if c.err != nil {
			return
		}
		c.space()
		switch c.in[c.pos] {
		case '}', ']':
			c.pos++
			return
		case ',':
			c.pos++
			continue
		}
		var name []byte
		if object {
			from := c.pos
			c.skipString()
			name = c.in[from:c.pos]
			if bytes.IndexByte(name, '\\') >= 0 {
				name = c.appendString(nil, name)
			}
			c.space()
			c.pos++ // the colon
		}
		i := len(c.values)
		if c.read(); c.err == nil {
			c.values[i].name = name
		}
	}
}

func (c *canon) space() {
	for c.pos < len(c.in) {
		switch c.in[c.pos] {
		case ' ', '\t', '\r', '\n':
			c.pos++
		default:
			return
		}
	}
}

func (c *canon) skipString() {
	var s scanner
	c.pos = s.closing(c.in, c.pos+1) + 1
}

func (c *canon) write(i int, top bool) {
	switch v := &c.values[i]; v.kind {
	case '{':
		c.writeObject(i, top)
	case '[':
		c.out = append(c.out, '[')
		for child := i + 1; child < v.next; child = c.values[child].next {
			if child > i+1 {
				c.out = append(c.out, ',')
			}
			c.write(child, false)
		}
		c.out = append(c.out, ']')
	case '"':
		c.out = c.appendString(c.out, c.in[v.from:v.to])
	default:
		c.out = append(c.out, c.in[v.from:v.to]...)
		if !number(c.in[v.from:v.to]) {
			c.fail("misspelt number")
		}
	}
}

func (c *canon) writeObject(i int, top bool) {
	base := len(c.order)
	for child := i + 1; child < c.values[i].next; child = c.values[child].next {
		c.order = append(c.order, child)
	}
	slices.SortStableFunc(c.order[base:], func(a, b int) int {
		return bytes.Compare(c.values[a].name, c.values[b].name)
	})
	c.out = append(c.out, '{')
	for n, end, first := base, len(c.order), true; n < end; n++ {
		name := c.values[c.order[n]].name
		again := n+1 < end && bytes.Equal(name, c.values[c.order[n+1]].name)
		if again || top && (delivery(name) || c.limit(name)) {
			from := len(c.out)
			c.write(c.order[n], false) // what is left out must be sound too
			c.out = c.out[:from]
			continue
		}
		if !first {
			c.out = append(c.out, ',')
		}
		first = false
		c.out = c.appendString(c.out, name)
		c.out = append(c.out, ':')
		c.write(c.order[n], false)
	}
	c.out = append(c.out, '}')
	c.order = c.order[:base]
}

// delivery tells whether a member chooses only how the answer is delivered.
func delivery(name []byte) bool {
	return string(name) == `"stream"` || string(name) == `"stream_options"`
}

// limit tells whether a member limits the answer's length and is to be left out.
func (c *canon) limit(name []byte) bool {
	switch string(name) {
	case `"max_tokens"`, `"max_completion_tokens"`, `"max_output_tokens"`:
		c.limited = true
		return c.unlimited
	}
	return false
}

// appendString appends a string, quotes and all, with as few escapes as can be.
func (c *canon) appendString(out, raw []byte) []byte {
	out = append(out, '"')
	raw = raw[1 : len(raw)-1]
	for from, i := 0, 0; ; {
		for i < len(raw) && raw[i] != '\\' && raw[i] >= ' ' {
			i++
		}
		out = append(out, raw[from:i]...)
		if i == len(raw) {
			return append(out, '"')
		}
		n := 0
		if raw[i] == '\\' {
			out, n = appendEscape(out, raw[i:])
		}
		if n == 0 {
			c.fail("bad escape or control character in a string")
			return append(out, '"')
		}
		i += n
		from = i
	}
}

func (c *canon) fail(message string) {
	if c.err == nil {
		c.err = errors.New(message)
	}
}

// appendEscape appends what the escape at the start of raw stands for, and tells how long it is;
// 0 if it is none.
func appendEscape(out, raw []byte) ([]byte, int) {
	switch raw[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return append(out, '\\', raw[1]), 2
	case '/':
		return append(out, '/'), 2
	}
	r, ok := hex4(raw)
	if !ok {
		return out, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(raw[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return utf8.AppendRune(out, pair), 12
			}
		}
		// Half a pair has no UTF-8, but it isn't the same text as another half.
		return fmt.Appendf(out, `\u%04x`, r), 6
	}
	if i := bytes.IndexRune([]byte("\"\\\b\f\n\r\t"), r); i >= 0 {
		return append(out, '\\', `"\bfnrt`[i]), 6
	}
	if r < ' ' {
		return fmt.Appendf(out, `\u%04x`, r), 6
	}
	return utf8.AppendRune(out, r), 6
}

// hex4 reads an escape like \u00e9.
func hex4(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range raw[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number tells whether a literal that the scanner let pass is spelt right to its end.
func number(raw []byte) bool {
	if raw[0] >= 'a' {
		return true // true, false or null
	}
	raw = bytes.TrimPrefix(raw, []byte("-"))
	whole := digits(raw)
	if whole == 0 || whole > 1 && raw[0] == '0' {
		return false
	}
	raw = raw[whole:]
	if len(raw) > 0 && raw[0] == '.' {
		n := digits(raw[1:])
		if n == 0 {
			return false
		}
		raw = raw[1+n:]
	}
	if len(raw) > 0 && (raw[0] == 'e' || raw[0] == 'E') {
		raw = raw[1:]
		if len(raw) > 0 && (raw[0] == '+' || raw[0] == '-') {
			raw = raw[1:]
		}
		n := digits(raw)
		return n > 0 && n == len(raw)
	}
	return len(raw) == 0
}

func digits(raw []byte) int {
	n := 0
	for n < len(raw) && raw[n] >= '0' && raw[n] <= '9' {
		n++
	}
	return n
}

// blind watches nothing.
type blind struct{}

func (blind) child(node, []byte) node  { return unwatched }
func (blind) open(node, bool)          {}
func (blind) close(node)               {}
func (blind) value(node, []byte, bool) {}
func (blind) written([]byte)           {}
