package dialect

import "bytes"

// members walks the members of one JSON object where it is written, for those who change some bytes of it
// and no others. It finds its way by structure alone: of a text that is no JSON it promises nothing but to end.
type members struct {
	text []byte
	at   int  // where it goes on
	more bool // a member was read, so a comma comes before the next one
	done bool // the closing brace was read; at is behind it

	// The member that was read: its name with escapes resolved, and the positions of the quote before its name,
	// of its value, and of what follows that.
	name              []byte
	start, value, end int

	strings scanner
}

// walkMembers begins with the brace of the object that is first in text at or behind at.
func walkMembers(text []byte, at int) *members {
	m := &members{text: text}
	if at = m.space(at); at < len(text) && text[at] == '{' {
		m.at = at + 1
	} else {
		m.at = len(text)
	}
	return m
}

// next reads a member. It returns false behind the last one, and then done tells whether the object ended.
func (m *members) next() bool {
	at := m.space(m.at)
	if at < len(m.text) && m.text[at] == '}' {
		m.at, m.done = at+1, true
		return false
	}
	if m.more {
		if at >= len(m.text) || m.text[at] != ',' {
			return false
		}
		at = m.space(at + 1)
	}
	if at >= len(m.text) || m.text[at] != '"' {
		return false
	}
	end := m.strings.closing(m.text, at+1)
	if end < 0 {
		return false
	}
	colon := m.space(end + 1)
	if colon >= len(m.text) || m.text[colon] != ':' {
		return false
	}
	m.start, m.name = at, plain(m.text[at+1:end])
	m.value = m.space(colon + 1)
	m.end = m.skip(m.value)
	m.at, m.more = m.end, true
	return m.end > m.value
}

// raw is the value of the member that was read.
func (m *members) raw() []byte { return m.text[m.value:m.end] }

// space returns the position of what is not white space at or behind at.
func (m *members) space(at int) int {
	for at < len(m.text) && isSpace(m.text[at]) {
		at++
	}
	return at
}

// skip returns the position behind the value that begins at at, or at if there is none.
func (m *members) skip(at int) int {
	depth := 0
	for i := at; i < len(m.text); i++ {
		switch c := m.text[i]; c {
		case '"':
			end := m.strings.closing(m.text, i+1)
			if end < 0 {
				return at
			}
			i = end
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		default:
			for depth == 0 && i < len(m.text) && literalByte(m.text[i]) {
				i++
			}
			if depth == 0 {
				return i
			}
			continue
		}
		if depth <= 0 {
			return i + 1
		}
	}
	return at
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// hollow tells whether a value says nothing: null, or an empty string, array or object.
func hollow(raw []byte) bool {
	switch {
	case string(raw) == "null", string(raw) == `""`:
		return true
	case len(raw) < 2 || raw[0] != '[' && raw[0] != '{':
		return false
	}
	return len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
}
