package dialect

import (
	"bytes"

	"github.com/recoup-gateway/recoup/internal/token"
)

// ModelUsage is what another model than the answer's own used of an attempt.
type ModelUsage struct {
	Model string
	Usage token.Usage
}

// maxUsage is the size of the largest report of usage that is read: 64 KiB.
const maxUsage = 64 << 10

type captureState uint8

const (
	captureNone  captureState = iota // the event has no report so far
	captureOpen                      // it is being read
	captureWhole                     // it was read to its end
)

// A capture holds a report of usage as it is written, in as many pieces as it comes. Reading it is
// left to the one who asks: of the running reports of a stream only the last one counts.
type capture struct {
	state captureState
	text  []byte
}

// reset begins another event. What was read in the last one, and not kept, is gone.
func (c *capture) reset() { c.state = captureNone }

func (c *capture) open(object bool) {
	c.state = captureNone
	if object {
		c.state, c.text = captureOpen, c.text[:0]
	}
}

// add takes a piece. A report that is too large is none.
func (c *capture) add(piece []byte) {
	switch {
	case c.state != captureOpen:
	case len(c.text)+len(piece) > maxUsage:
		c.state = captureNone
	default:
		c.text = append(c.text, piece...)
	}
}

func (c *capture) close() {
	if c.state == captureOpen {
		c.state = captureWhole
	}
}

// keep exchanges report for the one that was read, if there is one. An empty one is none: it
// would hide what an earlier one said.
func (c *capture) keep(report *[]byte) bool {
	if c.state != captureWhole || !hasNumber(c.text) {
		return false
	}
	*report, c.text = c.text, *report
	c.state = captureNone
	return true
}

// hasNumber tells whether a member of an object is a number that isn't negative.
func hasNumber(text []byte) bool {
	for {
		_, value, ok := bytes.Cut(text, []byte(":"))
		if !ok {
			return false
		}
		text = bytes.TrimLeft(value, " \t\r\n")
		if len(text) > 0 && text[0] >= '0' && text[0] <= '9' {
			return true
		}
	}
}
