package gateway

import (
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// Why a call that repeats an earlier one, whose answer nobody had to its end,
// was not given that answer. These are stored, and label a metric.
const (
	missNotOptedIn = "not-opted-in" // nobody said that equal calls may continue each other
	missEnded      = "ended"        // it came after the grace, or the caps, had ended the drain
)

// broken is a stream that its last owner did not get to the end of.
type broken struct {
	id          streamlog.ID
	fingerprint streamlog.Hash
	at          time.Time
	late        bool // the grace or the caps have ended it
}

// missed knows the broken streams by what was asked, so that a call which buys
// the same answer again is counted, with what it cost.
type missed struct {
	mu     sync.Mutex
	byCall map[streamlog.Hash]*broken // the newest of each
	line   []*broken                  // oldest first; some have been taken
}

// add notes that s has broken off. What is older than keep is forgotten.
func (m *missed) add(b broken, keep time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byCall == nil {
		m.byCall = map[streamlog.Hash]*broken{}
	}
	for len(m.line) > 0 && b.at.Sub(m.line[0].at) > keep {
		m.drop(m.line[0].fingerprint, m.line[0].id)
		m.line = m.line[1:]
	}
	m.line = append(m.line, &b)
	m.byCall[b.fingerprint] = &b
}

// ended notes that a stream is not answered any more, and why: one that broke
// off can't be continued from then on, or never had an answer to continue.
func (m *missed) ended(fingerprint streamlog.Hash, id streamlog.ID, cause string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch b := m.byCall[fingerprint]; {
	case b == nil || b.id != id:
	case cause == stopGrace || cause == stopCap:
		b.late = true
	case cause != "" && cause != stopDisconnect:
		delete(m.byCall, fingerprint)
	}
}

// remove forgets a stream that somebody has come back to, or that has no answer.
func (m *missed) remove(fingerprint streamlog.Hash, id streamlog.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(fingerprint, id)
}

func (m *missed) drop(fingerprint streamlog.Hash, id streamlog.ID) {
	if b := m.byCall[fingerprint]; b != nil && b.id == id {
		delete(m.byCall, fingerprint)
	}
}

// take returns the stream that a call repeats, once.
func (m *missed) take(fingerprint streamlog.Hash) *broken {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.byCall[fingerprint]
	delete(m.byCall, fingerprint)
	return b
}

// repeats notes in a new call that it buys an answer again which an earlier one
// has broken off, and stops that one if it is still being paid for and nobody
// could come back for it.
func (g *Gateway) repeats(h *streamlog.Header) (reason string) {
	b := g.missed.take(h.Fingerprint)
	if b == nil || time.Since(b.at) > g.log.Retention() {
		return ""
	}
	reason = missNotOptedIn
	if b.late {
		reason = missEnded
	}
	h.Missed = &streamlog.Missed{Stream: b.id, Reason: reason}
	if s := g.running(b.id); s != nil {
		if s.header.Key.IsZero() && s.header.Policy.OnCancel == string(BillingStops) {
			s.stopOrphan(stopSuperseded)
		}
		s.release()
	}
	return reason
}
