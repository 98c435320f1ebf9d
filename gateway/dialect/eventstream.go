package dialect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// Sizes of a frame of an AWS event stream: its prelude, what surrounds headers and payload, and what AWS's own
// clients take at most.
const (
	preludeSize  = 12
	frameAround  = preludeSize + 4
	maxHeaders   = 128 << 10
	maxFrameSize = 24<<20 + maxHeaders + frameAround
)

// An EventStreamSplitter cuts the body of an AWS event stream into events, each one frame exactly as it came. Behind
// a prelude that is damaged nobody knows where the next frame begins: the prelude is an event by itself, which no
// decoder takes, and all that follows is one that never ends. What is damaged within a frame is for its reader to find.
type EventStreamSplitter struct {
	pieces
	prelude [preludeSize]byte // of the frame that is read
	have    int               // how much of it is there
	left    int               // what of the frame comes behind it
	damaged bool
}

// NewEventStream returns a splitter that hands out frames larger than maxPart bytes in parts of maxPart bytes; at
// or below 0 that is 1 MiB.
func NewEventStream(maxPart int) *EventStreamSplitter {
	if maxPart <= 0 {
		maxPart = defaultMaxPart
	}
	return &EventStreamSplitter{pieces: pieces{max: maxPart}}
}

// Feed takes the next bytes of the body and returns the parts that they complete, as that of a Splitter.
func (s *EventStreamSplitter) Feed(p []byte) []Part {
	s.parts = s.parts[:0]
	start := 0 // where the part of p begins that is not handed out
	for i := 0; i < len(p) && !s.damaged; {
		if s.have < preludeSize {
			n := copy(s.prelude[s.have:], p[i:])
			s.have, i = s.have+n, i+n
			if s.have < preludeSize {
				break
			}
			size, ok := frameSize(s.prelude)
			s.left, s.damaged = size-preludeSize, !ok
		}
		if !s.damaged {
			n := min(s.left, len(p)-i)
			s.left, i = s.left-n, i+n
		}
		if s.damaged || s.left == 0 {
			s.cut(p[start:i])
			start, s.have = i, 0
		}
	}
	s.keep(p[start:])
	return s.parts
}

// frameSize is the length that a prelude says, if it is sound.
func frameSize(prelude [preludeSize]byte) (size int, ok bool) {
	total, headers := binary.BigEndian.Uint32(prelude[:]), binary.BigEndian.Uint32(prelude[4:])
	ok = crc32.ChecksumIEEE(prelude[:8]) == binary.BigEndian.Uint32(prelude[8:]) &&
		total >= frameAround && total <= maxFrameSize && headers <= maxHeaders && headers <= total-frameAround
	return int(total), ok
}

// Flush ends the body and returns what is left of it: at most one part, a frame that the end cut off, or what is
// behind damage. It is never Whole.
func (s *EventStreamSplitter) Flush() []Part {
	s.parts = s.parts[:0]
	if len(s.carry) > 0 {
		s.parts = append(s.parts, Part{Data: s.carry})
	}
	*s = EventStreamSplitter{pieces: pieces{max: s.max, parts: s.parts}}
	return s.parts
}

// The types of a frame's message.
const (
	messageEvent     = "event"
	messageException = "exception"
	messageError     = "error"
)

// A wireMessage is what a frame holds.
type wireMessage struct {
	kind    string // event, exception or error
	name    string // of the event, or of what went wrong
	payload []byte
}

var errFrameRest = errors.New("event stream: bytes behind the frame")

// A frameReader decodes frames, of which one in parts is gathered first.
type frameReader struct {
	decoder  eventstream.Decoder
	gathered []byte
	payload  []byte // is used again
}

// read takes a part of a frame, and with the last one decodes it. The message is valid until the next frame.
func (r *frameReader) read(part []byte, first, last bool) (m wireMessage, err error) {
	if first {
		r.gathered = nil
	}
	if !first || !last {
		if len(r.gathered)+len(part) > maxFrameSize { // as no splitter hands it out
			part = nil
		}
		r.gathered = append(r.gathered, part...)
		if part = r.gathered; !last {
			return wireMessage{}, nil
		}
		r.gathered = nil
	}
	return r.decode(part)
}

// decode takes a whole frame.
func (r *frameReader) decode(data []byte) (wireMessage, error) {
	if len(data) < preludeSize {
		return wireMessage{}, errFrameRest
	}
	if size, ok := frameSize([preludeSize]byte(data)); !ok || size != len(data) {
		return wireMessage{}, errFrameRest
	}
	if cap(r.payload) > keepBuffer {
		r.payload = nil
	}
	from := bytes.NewReader(data)
	message, err := r.decoder.Decode(from, r.payload)
	switch {
	case err != nil:
		return wireMessage{}, fmt.Errorf("event stream: %w", err)
	case from.Len() > 0:
		return wireMessage{}, errFrameRest
	}
	r.payload = message.Payload
	text := func(name string) string {
		v, _ := message.Headers.Get(name).(eventstream.StringValue)
		return string(v)
	}
	m := wireMessage{kind: text(":message-type"), payload: message.Payload}
	switch m.kind {
	case messageException:
		m.name = text(":exception-type")
	case messageError:
		m.name = text(":error-code")
	default:
		m.name = text(":event-type")
	}
	return m, nil
}
