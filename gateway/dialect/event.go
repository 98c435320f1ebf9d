package dialect

import "bytes"

// A lineState says where in an SSE event's line the reader is.
type lineState uint8

const (
	inField lineState = iota // the zero line: before the colon
	inSpace                  // after the colon: one space is not part of the value
	inData
	inName
	inOther
)

// maxField is the length of the longest field name that is read, "event" behind a byte order mark.
const maxField = 8

// facts are what the watcher found in the event so far.
type facts struct {
	kind    messageKind // Anthropic, Responses: the data's type
	failure bool        // the data says that the provider failed
	object  bool        // it carries a tool's arguments as an object
	done    bool        // chat: it is "[DONE]"; Anthropic: there is a stop reason; Gemini: the prompt was blocked

	// Chat, and Gemini with its candidates: how many choices began in the last list of them, how many ended in all, the one that
	// began last, and the one that ended first.
	begun, closed int32
	choice, first choice
}

// A choice is what an event says of one.
type choice struct {
	index    int32
	finished bool // it has a finish_reason
	failed   bool // and that is "error"
}

// reader takes an SSE event apart, in as many pieces as it comes, and feeds its data lines to the
// scanner. A plain value, like the scanner.
type reader struct {
	line   lineState
	cr     bool // the last byte was "\r": a "\n" is of the same line end
	start  bool // in the first line of the stream, which may begin with a byte order mark
	nfield uint8
	nname  uint8
	field  [maxField]byte
	name   [maxField]byte // the event's name, or how it begins
	facts  facts
	json   scanner
}

// sse is what the observers of SSE answers share.
type sse struct {
	names
	reader  reader
	learned template
	usage   capture
	text    bool // the event has a string at a free place that isn't empty
	begun   bool // an event was read

	// What names holds that is of an event which has ended: one that the stream's end cuts off says nothing.
	sureReasons int
	sureTier    bool

	ended bool // a terminal or failure event was seen
}

func (*sse) Whole() bool { return true }

func (o *sse) FinishReasons() []string { return o.reasons[:o.sureReasons] }

// unsay forgets what an event said that never ended.
func (o *sse) unsay() {
	o.reasons = o.reasons[:o.sureReasons]
	if !o.sureTier {
		o.tier = ""
	}
}

// believe keeps what an event said that has ended.
func (o *sse) believe() { o.sureReasons, o.sureTier = len(o.reasons), o.tier != "" }

func (o *sse) written(piece []byte) { o.usage.add(piece) }

func (o *sse) textSign() Sign {
	if o.text || o.reader.facts.object {
		return Text
	}
	return Plain
}

// read reads a part of an event.
func (o *sse) read(p []byte, first, last bool, w watcher) {
	i := 0
	if first {
		o.unsay()
		o.text = false
		o.usage.reset()
		o.reader.reset(!o.begun)
		o.learned.stop()
		if o.begun && last && len(p) <= maxLearned {
			i = o.replay(p, w)
		}
		o.begun = true
	}
	r := &o.reader
	for lf, cr := -1, -1; i < len(p); {
		if r.cr {
			r.cr = false
			if p[i] == '\n' {
				i++
				continue
			}
		}
		switch r.line {
		case inField:
			r.readField(p[i])
			i++
			continue
		case inSpace:
			r.line = r.value()
			if p[i] == ' ' {
				i++
				continue
			}
		}
		if lf < i {
			lf = index(p, i, '\n')
		}
		if cr < i {
			cr = index(p, i, '\r')
		}
		end := min(lf, cr)
		switch r.line {
		case inData:
			o.readData(p[:end], i, w)
		case inName:
			r.nname += uint8(copy(r.name[r.nname:], p[i:end]))
		}
		if i = end; end < len(p) {
			r.endLine(p[end])
			i++
		}
	}
	o.learned.finish(p, r)
	if last {
		o.believe()
	}
}

// readData reads p from i on, a stretch of a data line.
func (o *sse) readData(p []byte, i int, w watcher) {
	r := &o.reader
	for i < len(p) {
		if i += r.json.feed(p[i:], w); i == len(p) {
			return
		}
		// A string at a free place begins, or a literal at a counter's.
		fixed, kind := i, r.json.state
		place := r.json.node
		if kind == inString {
			i = r.json.inString(p, i, w)
		} else {
			i = r.json.inLiteral(p, i, w)
		}
		switch r.json.state {
		case kind: // it goes on in the next piece
			o.learned.stop()
			return
		case damaged:
			o.learned.stop()
		default:
			o.learned.add(p, fixed, i, place, r)
		}
	}
}

func (r *reader) reset(start bool) {
	r.line, r.cr, r.start = inField, false, start
	r.nfield, r.nname = 0, 0
	r.facts = facts{}
	r.json.reset()
}

// readField reads a byte of a line before its colon.
func (r *reader) readField(c byte) {
	switch {
	case c == '\n' || c == '\r':
		r.endLine(c)
	case c == ':':
		r.line = inSpace
	case r.nfield < maxField:
		r.field[r.nfield] = c
		r.nfield++
	default:
		r.line = inOther // longer than any name that matters
	}
}

// value returns what follows the colon of the field that was read.
func (r *reader) value() lineState {
	field := r.field[:r.nfield]
	if r.start {
		field = bytes.TrimPrefix(field, []byte("\xef\xbb\xbf"))
	}
	switch string(field) {
	case "data":
		return inData
	case "event":
		r.nname = 0
		return inName
	}
	return inOther
}

func (r *reader) endLine(c byte) {
	r.line, r.nfield, r.start = inField, 0, false
	r.cr = c == '\r'
}

// named tells whether the event has that name.
func (r *reader) named(name string) bool {
	return string(r.name[:r.nname]) == name
}
