package streamlog

import (
	"time"

	"github.com/google/uuid"
)

// Unbooked is a stream that runs, or has ended and is not settled.
type Unbooked struct {
	ID        ID
	Accepted  time.Time // of one that is not in memory: to about a second, and never later
	Principal Hash      // likewise only of one in memory, as is the provider
	Provider  string
	Running   bool
}

// justEnded is how long a stream counts as not settled after its end in any case: a
// moment passes until it is noted that it has to be settled.
const justEnded = 10 * time.Second

// Unbooked lists the streams that run, and those that have ended and are not settled.
// One may be there twice, and one that has ended just now although it is settled.
func (l *Log) Unbooked() []Unbooked {
	var all []Unbooked
	l.mu.Lock()
	for _, b := range l.buckets {
		for id := range b.owed {
			sec, nsec := uuid.UUID(id).Time().UnixTime()
			all = append(all, Unbooked{ID: id, Accepted: time.Unix(sec, nsec).Add(-time.Second)})
		}
	}
	inMemory := make([]*Stream, 0, len(l.streams))
	for _, s := range l.streams {
		inMemory = append(inMemory, s)
	}
	l.mu.Unlock()
	for _, s := range inMemory {
		s.mu.Lock()
		end := s.end
		s.mu.Unlock()
		if end == nil || time.Since(end.At) < justEnded {
			h := s.header
			all = append(all, Unbooked{ID: h.ID, Accepted: h.Accepted, Principal: h.Principal, Provider: h.Provider, Running: end == nil})
		}
	}
	return all
}
