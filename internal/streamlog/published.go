package streamlog

import "slices"

// published makes o's records visible, which are durable as of a journal group,
// and reports whether a block of the stream is due. Called by the writer.
func (s *Stream) published(o *op, group uint64) (due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(o.data) > 0 {
		if s.sealed.rec == s.now.rec {
			s.unsealed = group
		}
		s.commit(o)
		if o.head != nil {
			s.head = o.head
		}
		if o.retries != nil {
			s.retries = o.retries
		}
		if o.end != nil {
			s.end = o.end
			s.showAll()
		}
		s.wake()
	}
	return s.blockDue() || (o.end != nil || o.flush) && s.sealed.rec != s.now.rec
}

// wasSealed notes that what unsealedRecords returned is in a block. Called by
// the writer, before it publishes anything else.
func (s *Stream) wasSealed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealing = false
	if s.sealed.rec != s.now.rec {
		s.seal(slices.ContainsFunc(s.readers, func(r *Reader) bool { return r.seen < s.now.rec }))
	}
}

func (s *Stream) unsealedRecords() (from, to progress, records []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed, s.now, s.data[:s.committed]
}

func (s *Stream) allSealed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed.rec == s.now.rec
}

// atRest reports whether nothing more can be expected to change, but for
// readers who come back.
func (s *Stream) atRest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end != nil && s.sealed.rec == s.next.rec
}
