package bench

import (
	"bytes"
	"fmt"
	"strconv"
)

// check compares a body with the expected one as it comes, in pieces of any
// size.
type check struct {
	want []byte
	off  int

	// With stamps, token events carry the time at which the provider made
	// them; want doesn't.
	stamped bool
	rest    []byte           // a part of an event
	stamp   func(sent int64) // called for each stamp, Unix ns

	newline bool // the last byte was one
}

var (
	stampKey   = []byte(`,"sim_ns":`)
	endOfEvent = []byte("\n\n")
)

// feed takes the next piece and returns how many events ended in it.
func (c *check) feed(p []byte) (events int, err error) {
	if !c.stamped {
		return c.count(p), c.compare(p)
	}
	data := p
	if len(c.rest) > 0 {
		c.rest = append(c.rest, p...)
		data = c.rest
	}
	for {
		i := bytes.Index(data, endOfEvent)
		if i < 0 {
			c.rest = append(c.rest[:0], data...)
			return events, nil
		}
		if err := c.event(data[:i+2]); err != nil {
			return events, err
		}
		data = data[i+2:]
		events++
	}
}

// event compares an event without its stamp.
func (c *check) event(ev []byte) error {
	i := bytes.LastIndex(ev, stampKey)
	if i < 0 {
		return c.compare(ev)
	}
	digits := ev[i+len(stampKey):]
	end := bytes.IndexByte(digits, '}')
	if end < 0 {
		return fmt.Errorf("%w: a stamp without an end in %q", ErrDiffers, ev)
	}
	sent, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: stamp: %w", ErrDiffers, err)
	}
	if c.stamp != nil {
		c.stamp(sent)
	}
	if err := c.compare(ev[:i]); err != nil {
		return err
	}
	return c.compare(digits[end:])
}

func (c *check) compare(p []byte) error {
	if len(p) > len(c.want)-c.off {
		return fmt.Errorf("%w: %d bytes more than the %d expected", ErrDiffers, len(p)-(len(c.want)-c.off), len(c.want))
	}
	if !bytes.Equal(p, c.want[c.off:c.off+len(p)]) {
		i := 0
		for p[i] == c.want[c.off+i] {
			i++
		}
		return fmt.Errorf("%w: at byte %d: %q, expected %q", ErrDiffers, c.off+i, p[i:min(len(p), i+40)], c.want[c.off+i:min(len(c.want), c.off+i+40)])
	}
	c.off += len(p)
	return nil
}

// count counts the ends of events in p; one may be cut in two.
func (c *check) count(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	n := 0
	if c.newline && p[0] == '\n' {
		n++
		p = p[1:]
	}
	n += bytes.Count(p, endOfEvent)
	c.newline = len(p) > 0 && p[len(p)-1] == '\n' && !bytes.HasSuffix(p, endOfEvent)
	return n
}

// whole reports an error if the body ended too early.
func (c *check) whole() error {
	if c.off != len(c.want) || len(c.rest) > 0 {
		return fmt.Errorf("%w: it ended after %d of %d bytes", ErrDiffers, c.off+len(c.rest), len(c.want))
	}
	return nil
}
