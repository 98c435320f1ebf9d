package settle

import (
	"bytes"
	"errors"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
)

// counted is the visible text of an answer in tokens.
type counted struct {
	visible []int64 // cumulative, after each event
	total   int64
	class   token.Class
	thought bool // shown reasoning was among it: then no reasoning is hidden
	short   bool // not all of it could be read
}

// text is what one part of an answer (a choice's content, a tool call) is made
// of, and which event each piece came with.
type text struct {
	pieces [][]byte
	events []int
}

// count reads the answer again for its text. This is the expensive part of
// settling, and done only where a position or a missing report asks for it.
func count(s *streamlog.Stream, r *reading) (counted, error) {
	c := counted{visible: make([]int64, r.events)}
	d, ok := dialect.Named(r.header.Dialect)
	if !ok || r.head == nil || r.seen == nil || r.events == 0 {
		c.short = r.head != nil && r.seen == nil
		return c, nil
	}
	media := r.head.Header.Get("Content-Type")
	reader := dialect.NewTextReader(d, request(r.header), media)
	texts := map[dialect.TextPart]*text{}
	index := 0
	emit := func(p dialect.TextPart, piece []byte) {
		t := texts[p]
		if t == nil {
			t = new(text)
			texts[p] = t
		}
		t.pieces = append(t.pieces, bytes.Clone(piece))
		t.events = append(t.events, index)
	}
	err := s.History(func(e streamlog.Entry) error {
		if e.Event == nil {
			return nil
		}
		reader.Event(e.Event.Data, e.Event.More, emit)
		if !e.Event.More {
			index++
		}
		return nil
	})
	if err != nil && !errors.Is(err, streamlog.ErrDamaged) {
		return c, err
	}
	index = r.events - 1
	reader.Flush(emit)
	c.thought, c.short = reader.Thought(), c.short || reader.Lost()
	c.add(texts)
	return c, nil
}

// add counts each part by itself, as the model wrote it.
func (c *counted) add(texts map[dialect.TextPart]*text) {
	var all [][]byte
	for _, t := range texts {
		before := int64(0)
		for i, n := range token.Cumulative(t.pieces) {
			if e := t.events[i]; e < len(c.visible) {
				c.visible[e] += n - before
			}
			before = n
		}
		c.total += before
		all = append(all, t.pieces...)
	}
	for i := 1; i < len(c.visible); i++ {
		c.visible[i] += c.visible[i-1]
	}
	c.class = token.ClassOf(all)
}
