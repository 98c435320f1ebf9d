package gateway

import (
	"maps"
	"slices"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// A stream that is drained or read is held: there is one of it, and what is
// decided about its owner is decided there. One that nobody holds is brought back
// from its history.

// hold returns the one stream of a log handle, and takes over the caller's
// reference to it. The caller releases the stream.
func (g *Gateway) hold(l *streamlog.Stream) (*stream, error) {
	id := l.Header().ID
	lock := g.loading.of(id[len(id)-1])
	lock.Lock()
	defer lock.Unlock()
	if s := g.running(id); s != nil {
		l.Release()
		return s, nil
	}
	s := &stream{gw: g, log: l, header: l.Header(), complete: l.Info().Terminal, begun: true, refs: 1, attempt: noSpan}
	err := s.readPast()
	if err != nil {
		l.Release()
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.streams[id] = s
	return s, nil
}

// running returns the stream if it is drained or read, with a reference for the
// caller, else nil.
func (g *Gateway) running(id streamlog.ID) *stream {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.streams[id]
	if s != nil {
		s.refs++
	}
	return s
}

// release gives back what hold or admit gave.
func (s *stream) release() {
	s.gw.mu.Lock()
	s.refs--
	last := s.refs == 0
	if last && s.gw.streams[s.header.ID] == s {
		delete(s.gw.streams, s.header.ID)
	}
	s.gw.mu.Unlock()
	if last {
		s.log.Release()
	}
}

// readPast reads from a stream's history whether an owner got the terminal
// event, and else where the last owner broke off.
func (s *stream) readPast() error {
	l, info := s.log, s.log.Info()
	var lost *breakage
	positions := map[uint32]uint64{} // of the owners that are connected
	err := l.History(func(e streamlog.Entry) error {
		if e.Mark == nil || e.Mark.Observe {
			return nil
		}
		switch m := e.Mark; m.Kind {
		case streamlog.MarkKill:
			for _, at := range positions {
				if lost == nil || at > lost.position {
					lost = &breakage{e.At, at}
				}
			}
			clear(positions)
		case streamlog.MarkCancel:
			s.waived = s.waived || info.Terminal && m.Cause == stopCancelled
		case streamlog.MarkAttach:
			positions[m.Conn] = m.Index
			lost = nil
		case streamlog.MarkDelivered, streamlog.MarkDetach:
			if _, owner := positions[m.Conn]; !owner {
				return nil
			}
			positions[m.Conn] = m.Index
			s.delivered = s.delivered || info.Terminal && m.Index > info.Completing
			if m.Kind == streamlog.MarkDetach {
				if delete(positions, m.Conn); len(positions) == 0 && m.Cause != leftDone {
					lost = &breakage{e.At, m.Index}
				}
			}
		}
		return nil
	})
	if len(positions) > 0 {
		// What comes now comes after the death of those connections.
		if err := l.Mark(streamlog.Mark{Kind: streamlog.MarkKill}); err != nil {
			return err
		}
	}
	for _, at := range positions { // they were connected when the gateway died
		if lost == nil || at > lost.position {
			lost = &breakage{position: at}
			if info.End != nil {
				lost.at = info.End.At
			}
		}
	}
	if !s.delivered {
		s.lost = lost
	}
	return err
}

// held returns the streams that are drained or read now.
func (g *Gateway) held() []*stream {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.streams))
}
