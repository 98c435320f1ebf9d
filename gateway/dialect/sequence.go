package dialect

import "strconv"

// seqNumber is the place of an event's number.
const seqNumber = counter | firstNode

// A Sequence reads the sequence numbers that Responses gives to the events of a stream: those by which a
// client says where it wants to read on. The zero value is ready; it is not safe for concurrent use.
type Sequence struct {
	sse
	number uint64
	known  bool
}

// Event reads an event, or a part of one as [Observer.Large] takes it, and returns the event's number with its
// last part, if it has one: comments have none, and neither has what some providers send behind the end.
func (s *Sequence) Event(part []byte, first, last bool) (number uint64, ok bool) {
	if first {
		s.known = false
	}
	s.read(part, first, last, s)
	return s.number, last && s.reader.json.end(s) && s.known
}

// An EventID reads the tokens that Google gives to the events of an interaction: those by which a client says where
// it wants to read on. The zero value is ready; it is not safe for concurrent use.
type EventID struct {
	sse
	token string
}

// Event reads an event, or a part of one as [Observer.Large] takes it, and returns the event's token with its
// last part, empty if it has none.
func (e *EventID) Event(part []byte, first, last bool) string {
	if first {
		e.token = ""
	}
	e.read(part, first, last, e)
	if !last || !e.reader.json.end(e) {
		return ""
	}
	return e.token
}

const eventID = free | firstNode

func (e *EventID) child(parent node, key []byte) node {
	if parent == root && string(key) == "event_id" {
		return eventID
	}
	return unwatched
}

func (e *EventID) open(node, bool) {}

func (e *EventID) close(node) {}

func (e *EventID) value(n node, raw []byte, quoted bool) {
	if n == eventID {
		e.token = short(raw, quoted)
	}
}

func (s *Sequence) child(parent node, key []byte) node {
	if parent == root && string(key) == "sequence_number" {
		return seqNumber
	}
	return unwatched
}

func (s *Sequence) open(n node, _ bool) {
	if n == seqNumber {
		s.known = false
	}
}

func (s *Sequence) close(node) {}

func (s *Sequence) value(n node, raw []byte, quoted bool) {
	if n != seqNumber {
		return
	}
	var err error
	s.number, err = strconv.ParseUint(string(raw), 10, 63)
	s.known = err == nil && !quoted
}
