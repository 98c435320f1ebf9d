package streamlog

import (
	"slices"
	"sync/atomic"
)

// Conn is one connection's place in the stream, for the books.
type Conn struct {
	stream    *Stream
	id        uint32
	delivered atomic.Uint64 // all events before it were written
	marked    uint64        // what the log knows of it; guarded by stream.mu
}

// Attach records that a connection reads from event index on. via says how it
// found the stream; observe that it does not own.
func (s *Stream) Attach(index uint64, via string, observe bool) (*Conn, error) {
	s.mu.Lock()
	s.nextID++
	c := &Conn{stream: s, id: s.nextID, marked: index}
	c.delivered.Store(index)
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	if err := s.Mark(Mark{Kind: MarkAttach, Conn: c.id, Index: index, Cause: via, Observe: observe}); err != nil {
		s.drop(c)
		return nil, err
	}
	return c, nil
}

// drop forgets a connection.
func (s *Stream) drop(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = slices.DeleteFunc(s.conns, func(other *Conn) bool { return other == c })
}

// ID is the connection's number within the stream.
func (c *Conn) ID() uint32 { return c.id }

// Delivered notes that all events before index have been written to the
// connection. The mark rides on the stream's next commit.
func (c *Conn) Delivered(index uint64) { c.delivered.Store(index) }

// Position is the index before which all has been written.
func (c *Conn) Position() uint64 { return c.delivered.Load() }

// Detach records why the connection ended and what it had got, and returns
// when that is durable.
func (c *Conn) Detach(cause string) error {
	s := c.stream
	s.drop(c)
	return s.mark(s.newOp(), Mark{Kind: MarkDetach, Conn: c.id, Index: c.delivered.Load(), Cause: cause})
}
