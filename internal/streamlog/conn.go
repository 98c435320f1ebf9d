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

// Attachment is how a connection begins.
type Attachment struct {
	Index    uint64 // of the first event that it reads
	Via      string // how it found the stream
	Observe  bool   // it does not own
	Explicit bool   // the client named Index itself, so it says that it has all before
}

// Attach records that a connection begins to read.
func (s *Stream) Attach(a Attachment) (*Conn, error) {
	s.mu.Lock()
	s.nextID++
	c := &Conn{stream: s, id: s.nextID, marked: a.Index}
	c.delivered.Store(a.Index)
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	if err := s.Mark(Mark{Kind: MarkAttach, Conn: c.id, Index: a.Index, Cause: a.Via, Observe: a.Observe, Explicit: a.Explicit}); err != nil {
		s.drop(c)
		return nil, err
	}
	return c, nil
}

// Gone reports whether a connection that History knows is of an earlier process.
// If it has no detach, it died with that.
func (s *Stream) Gone(conn uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return conn <= s.born
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
// connection. The mark rides on the next record of the stream, and stands before it.
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
