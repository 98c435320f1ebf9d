package streamlog

// What an operator sees: the streams of all principals. Clients use Get and List.

// ListAll is List for the streams of all principals.
func (l *Log) ListAll(before ID, limit int, want func(Info) bool) ([]Info, error) {
	return l.list([]byte{prefixHead}, Hash{}, lister{before, limit, want})
}

// GetAny is Get for a stream of any principal.
func (l *Log) GetAny(id ID) (*Stream, error) {
	s, err := l.get(id)
	if err != nil {
		return nil, err
	}
	return s.readable()
}

// readable takes over the caller's reference, and gives it back if s can't be
// read any more.
func (s *Stream) readable() (*Stream, error) {
	switch {
	case s.torn:
		s.Release()
		return nil, s.damaged
	case s.expired():
		s.Release()
		return nil, ErrExpired
	}
	return s, nil
}
