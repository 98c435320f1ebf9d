package dialect

import "bytes"

var (
	usageName = []byte(`"usage"`)
	usageNull = []byte(`"usage":null`)
	usageTail = usageName[1:] // JSON is full of quotes: without the first one it is found in a fifth of the time
)

// A UsageView shows the events of a chat stream whose call InjectUsage changed, as a client sees them that
// never asked for usage: without the chunk that was added for it, and without "usage":null in the others.
// All else is left as it came, byte by byte, so what a provider sends unasked stays: usage on a chunk with
// a choice that says something, or on one that brings something else too, like Azure's prompt_filter_results.
//
// What it makes of an event depends on the event's bytes alone: whoever resumes, wherever, sees the same.
// It is not safe for concurrent use; each reader has its own.
//
// Its limits: JSON in several data lines, or behind a byte order mark, passes unchanged, as does a member
// that is there twice, or written with escapes. An event that comes in parts must not be given to it but
// passed on as it is: a usage chunk is never that large.
type UsageView struct {
	buf []byte
}

// NewUsageView returns a view for one reader.
func NewUsageView() *UsageView { return new(UsageView) }

// Event returns what the client sees of one whole event: data itself, or a changed copy that is valid until
// the next call, or nil if it is not to see the event at all.
func (v *UsageView) Event(data []byte) []byte {
	from, to := dataLine(data)
	chunk := data[from:to]
	i := bytes.Index(chunk, usageTail) - 1
	if i < 0 {
		return data
	}
	start, end, drop := i-1, i+len(usageNull), false
	if !plainNull(chunk, i) {
		if start, end, drop = usageMember(chunk); drop {
			return nil
		}
		if start == end {
			return data
		}
	}
	v.buf = append(v.buf[:0], data[:from+start]...)
	v.buf = append(v.buf, data[from+end:]...)
	return v.buf
}

// plainNull tells, in most cases at a glance, that the member at i of a JSON object is "usage":null
// of the object itself, neither the first nor there again. In JSON, a quote behind a comma begins or ends a
// string, and behind one that ends there is no letter; so it is a member of some object, and it is the
// outermost one's if that one's brace is the last and the next to close.
func plainNull(chunk []byte, i int) bool {
	if i == 0 || chunk[i-1] != ',' || !bytes.HasPrefix(chunk[i:], usageNull) {
		return false
	}
	rest := chunk[i+len(usageNull):]
	depth := 0
	for k := 0; k < len(rest); k++ {
		switch rest[k] {
		case '"':
			if bytes.HasPrefix(rest[k:], usageName) {
				return false
			}
			n := bytes.IndexByte(rest[k+1:], '"')
			if n < 0 || bytes.IndexByte(rest[k+1:k+1+n], '\\') >= 0 {
				return false
			}
			k += n + 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return len(bytes.TrimSpace(rest[k+1:])) == 0
			}
			depth--
		}
	}
	return false
}

// usageMember finds what of a chunk the client is not to see: the stretch from start to end, which is
// empty if that is nothing, or all of it.
func usageMember(chunk []byte) (start, end int, drop bool) {
	var (
		usage  []byte
		found  int  // members of that name
		empty  bool // there is a list of choices, and nothing in it
		other  bool // there is something else of interest
		before int  // where the last member ended
		next   bool // usage is the first member: it ends where the next one begins
	)
	m := walkMembers(chunk, 0)
	for ; m.next(); before = m.end {
		if next {
			end, next = m.start, false
		}
		switch string(m.name) {
		case "usage":
			found++
			usage = m.raw()
			start, end = before, m.end
			if before == 0 {
				start, next = m.start, true
			}
		case "choices":
			empty = silent(m.raw())
		case "id", "object", "created", "model", "system_fingerprint", "service_tier", "obfuscation":
		default:
			other = other || !hollow(m.raw())
		}
	}
	switch {
	case !m.done || m.space(m.at) != len(chunk) || found != 1:
		return 0, 0, false
	case usage[0] == '{':
		return 0, 0, empty && !other
	case string(usage) != "null":
		return 0, 0, false
	}
	return start, end, false
}

// silent tells whether a list of choices is empty, or has one that says nothing but which it is: LiteLLM
// puts the usage report on a chunk with "choices":[{"index":0,"delta":{}}].
func silent(choices []byte) bool {
	if choices[0] != '[' {
		return false
	}
	if hollow(choices) {
		return true
	}
	m := walkMembers(choices, 1)
	for m.next() {
		if string(m.name) != "index" && !hollow(m.raw()) {
			return false
		}
	}
	return m.done && m.space(m.at) == len(choices)-1
}

// dataLine returns where the value of an event's data begins and ends. Where there is not exactly one
// line of it, that is nowhere.
func dataLine(event []byte) (from, to int) {
	for i := 0; i < len(event); {
		end := i + lineEnd(event[i:])
		if value, ok := bytes.CutPrefix(event[i:end], []byte("data:")); ok {
			if to > 0 {
				return 0, 0
			}
			from, to = end-len(value), end
		}
		i = end + 1
	}
	return from, to
}

func lineEnd(p []byte) int {
	end := index(p, 0, '\n')
	return index(p[:end], 0, '\r')
}
