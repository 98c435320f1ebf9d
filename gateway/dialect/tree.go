package dialect

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// A tree is a JSON value that can be changed. What is in it stays spelt as it came: of a string the escapes,
// of a number the digits, of an object the order of its members. So half a surrogate pair at the end of one
// piece of text and the other half at the beginning of the next one are a pair again.
type tree struct {
	kind    byte   // '{', '[', '"', or 0 for a number, true, false and null
	raw     []byte // of a string what is between the quotes; of the last kind all of it
	members []branch
	items   []*tree
}

// A branch is a member of an object.
type branch struct {
	name string // as it is spelt, without its quotes
	tree *tree
}

// parseTree reads one JSON value. The tree does not hold on to text.
func parseTree(text []byte) (*tree, bool) {
	if !json.Valid(text) {
		return nil, false
	}
	p := treeParser{in: bytes.Clone(text)}
	return p.value(), true
}

// treeParser reads a text that is known to be valid.
type treeParser struct {
	in  []byte
	pos int
}

func (p *treeParser) space() byte {
	for isSpace(p.in[p.pos]) {
		p.pos++
	}
	return p.in[p.pos]
}

func (p *treeParser) value() *tree {
	t := &tree{kind: p.space()}
	switch t.kind {
	case '{', '[':
		p.pos++
		for {
			switch p.space() {
			case '}', ']':
				p.pos++
				return t
			case ',':
				p.pos++
				continue
			}
			if t.kind == '[' {
				t.items = append(t.items, p.value())
				continue
			}
			name := string(p.text())
			p.space()
			p.pos++ // the colon
			t.members = append(t.members, branch{name, p.value()})
		}
	case '"':
		t.raw = p.text()
	default:
		t.kind = 0
		from := p.pos
		for p.pos < len(p.in) && literalByte(p.in[p.pos]) {
			p.pos++
		}
		t.raw = p.in[from:p.pos:p.pos]
	}
	return t
}

// text reads a string and returns what is between its quotes.
func (p *treeParser) text() []byte {
	p.space()
	p.pos++
	from := p.pos
	for ; p.in[p.pos] != '"'; p.pos++ {
		if p.in[p.pos] == '\\' {
			p.pos++
		}
	}
	p.pos++
	return p.in[from : p.pos-1 : p.pos-1] // whoever adds to it must not write over what follows
}

func textTree(raw string) *tree { return &tree{kind: '"', raw: []byte(raw)} }

func nullTree() *tree { return &tree{raw: []byte("null")} }

// null tells whether t is null, or not there.
func (t *tree) null() bool { return t == nil || t.kind == 0 && string(t.raw) == "null" }

// hollow tells whether t says nothing: null, 0, or an empty string, array or object.
func (t *tree) hollow() bool {
	return t.null() || t.kind == 0 && string(t.raw) == "0" || t.kind != 0 && len(t.raw)+len(t.members)+len(t.items) == 0
}

// is tells whether t is a string of that spelling.
func (t *tree) is(raw string) bool { return t != nil && t.kind == '"' && string(t.raw) == raw }

// get returns a member, the last one of that name; nil if there is none.
func (t *tree) get(name string) *tree {
	if t == nil {
		return nil
	}
	for i := len(t.members) - 1; i >= 0; i-- {
		if t.members[i].name == name {
			return t.members[i].tree
		}
	}
	return nil
}

// set gives a member a value, in its place if it is there, else at the end.
func (t *tree) set(name string, value *tree) {
	for i := len(t.members) - 1; i >= 0; i-- {
		if t.members[i].name == name {
			t.members[i].tree = value
			return
		}
	}
	t.members = append(t.members, branch{name, value})
}

// drop takes a member out.
func (t *tree) drop(name string) {
	kept := t.members[:0]
	for _, b := range t.members {
		if b.name != name {
			kept = append(kept, b)
		}
	}
	t.members = kept
}

// number returns a small whole number, -1 if t is none.
func (t *tree) number() int {
	if t == nil || t.kind != 0 {
		return -1
	}
	if n, err := strconv.Atoi(string(t.raw)); err == nil && n >= 0 {
		return n
	}
	return -1
}

// decoded returns what a string says, without its escapes.
func (t *tree) decoded() (text string, ok bool) {
	quoted := append(append([]byte{'"'}, t.raw...), '"')
	return text, json.Unmarshal(quoted, &text) == nil
}

// appendTo writes t without any white space.
func (t *tree) appendTo(out []byte) []byte {
	switch t.kind {
	case '{':
		out = append(out, '{')
		for i, b := range t.members {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(append(append(out, '"'), b.name...), '"', ':')
			out = b.tree.appendTo(out)
		}
		return append(out, '}')
	case '[':
		out = append(out, '[')
		for i, item := range t.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.appendTo(out)
		}
		return append(out, ']')
	case '"':
		return append(append(append(out, '"'), t.raw...), '"')
	}
	return append(out, t.raw...)
}
