package gateway

import (
	"slices"
	"sync"
	"time"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// Why a call that repeats an earlier one, whose answer nobody had to its end,
// was not given that answer. These are stored, and label a metric.
const (
	missNotOptedIn = "not-opted-in" // nobody said that equal calls may continue each other
	missEnded      = "ended"        // it came after the grace, or the caps, had ended the drain
	missOtherMode  = "other-mode"   // it wants events, and the answer is one JSON body
)

var missReasons = []string{missNotOptedIn, missEnded, missOtherMode}

// broken is a stream that its last owner did not get to the end of.
type broken struct {
	id          streamlog.ID
	fingerprint streamlog.Hash
	crossing    streamlog.Hash // zero: of a program that knew of none
	streamed    bool
	at          time.Time

	stored  bool // known from the log alone: it may have been delivered all the same
	dead    bool // cancelled, because nobody came or could have come
	late    bool // by the grace or the caps
	counted bool // a call that repeats it was told
}

func brokenOff(h *streamlog.Header, at time.Time) broken {
	return broken{id: h.ID, fingerprint: h.Fingerprint, crossing: h.Crossing, streamed: h.Streamed, at: at}
}

// place is what a stream is found by here.
func (b *broken) place() streamlog.Hash {
	if b.crossing.IsZero() {
		return b.fingerprint
	}
	return b.crossing
}

// equals reports whether a call asks for this answer: the same call, or one that
// falls back from events to one JSON body, which may be shorter.
func (b *broken) equals(h *streamlog.Header) bool {
	return b.fingerprint == h.Fingerprint || b.streamed && !h.Streamed && b.crossing == h.Crossing
}

// serves reports whether the answer can be given in the form that a call wants.
func (b *broken) serves(h *streamlog.Header) bool {
	return b.streamed == h.Streamed || b.streamed && assembles(h)
}

// missed knows the broken streams by what was asked: those that an equal call may
// continue, and those of which it is counted that one has bought them again.
type missed struct {
	mu     sync.Mutex
	byCall map[streamlog.Hash][]*broken // in the order of their ids
	line   []*broken                    // oldest break first; some have been taken
}

// add notes that a stream has broken off. What is older than keep is forgotten.
func (m *missed) add(b broken, keep time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byCall == nil {
		m.byCall = map[streamlog.Hash][]*broken{}
	}
	for len(m.line) > 0 && b.at.Sub(m.line[0].at) > keep {
		m.drop(m.line[0])
		m.line[0] = nil
		m.line = m.line[1:]
	}
	m.line = append(m.line, &b)
	list := m.byCall[b.place()]
	i, found := slices.BinarySearchFunc(list, b.id, func(b *broken, id streamlog.ID) int { return slices.Compare(b.id[:], id[:]) })
	if found {
		b.counted = b.counted || list[i].counted
		list[i] = &b
		return
	}
	m.byCall[b.place()] = slices.Insert(list, i, &b)
}

// drop forgets b, unless the same stream has broken off again since.
func (m *missed) drop(b *broken) {
	list := m.byCall[b.place()]
	i := slices.Index(list, b)
	switch {
	case i < 0:
	case len(list) == 1:
		delete(m.byCall, b.place())
	default:
		m.byCall[b.place()] = slices.Delete(list, i, i+1)
	}
}

// find returns what is known of a stream, if it has broken off.
func (m *missed) find(h *streamlog.Header) *broken {
	known := brokenOff(h, time.Time{})
	for _, b := range m.byCall[known.place()] {
		if b.id == h.ID {
			return b
		}
	}
	return nil
}

// ended notes that a stream is not answered any more, and why: one that broke
// off can't be continued from then on, or never had an answer to continue.
func (m *missed) ended(h *streamlog.Header, cause string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch b := m.find(h); {
	case b == nil || cause == "":
	case cause == stopGrace || cause == stopCap:
		b.dead, b.late = true, true
	case cause == stopDisconnect:
		b.dead = true
	default:
		m.drop(b)
	}
}

// remove forgets a stream that somebody has come back to.
func (m *missed) remove(h *streamlog.Header) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.find(h); b != nil {
		m.drop(b)
	}
}

// of returns the broken streams whose answer a call asks for, newest first.
func (m *missed) of(h *streamlog.Header) (all []broken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	places := []streamlog.Hash{h.Crossing, h.Fingerprint}
	if h.Crossing == h.Fingerprint {
		places = places[:1]
	}
	for _, place := range places {
		for _, b := range m.byCall[place] {
			if b.equals(h) {
				all = append(all, *b)
			}
		}
	}
	slices.SortFunc(all, func(a, b broken) int { return slices.Compare(b.id[:], a.id[:]) })
	return all
}

// count notes that a call is told of its miss, and reports whether it is the first.
// A dead stream is of no more use then.
func (m *missed) count(b *broken) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.byCall[b.place()]
	i := slices.IndexFunc(list, func(o *broken) bool { return o.id == b.id })
	if i < 0 || list[i].counted {
		return false
	}
	list[i].counted = true
	if b.dead {
		m.drop(list[i])
	}
	return true
}

// repeats notes in a new call that it buys an answer again which an earlier one
// has broken off, and stops that one if it is still being paid for and nobody
// could come back for it.
func (g *Gateway) repeats(call *call) (reason string) {
	h := &call.header
	for _, b := range g.missed.of(h) {
		reason := missNotOptedIn
		switch {
		case b.counted || time.Since(b.at) > g.log.Retention():
			continue
		case b.late:
			reason = missEnded
		case !b.serves(h):
			reason = missOtherMode
		case call.adopt != "" && h.Key.IsZero() && !b.dead:
			continue // it broke off a moment ago: the next may have it
		}
		if b.stored && g.wasDelivered(h.Principal, b.id) || !g.missed.count(&b) {
			continue
		}
		h.Missed = &streamlog.Missed{Stream: b.id, Reason: reason}
		if s := g.running(b.id); s != nil {
			if s.supersedable() {
				s.stopOrphan(stopSuperseded)
			}
			s.release()
		}
		return reason
	}
	return ""
}

// remember notes a stream that ended before this process began, if its answer is
// there for whoever asks for it again.
func (g *Gateway) remember(id streamlog.ID) {
	l, err := g.log.ForBooks(id)
	if err != nil {
		return // the settler meets the same, and says so
	}
	defer l.Release()
	info := l.Info()
	h := &info.Header
	if info.Damaged != nil || info.End == nil || info.End.State != streamlog.Completed || h.Fingerprint.IsZero() || time.Since(info.End.At) > g.log.Retention() {
		return
	}
	b := brokenOff(h, info.End.At)
	b.stored = true
	g.missed.add(b, g.log.Retention())
}

// wasDelivered reports whether a stream needs nobody to come back for it. What
// can't be read is of no use to anybody.
func (g *Gateway) wasDelivered(principal streamlog.Hash, id streamlog.ID) bool {
	l, err := g.log.Get(principal, id)
	if err != nil {
		return true
	}
	s, err := g.hold(l)
	if err != nil {
		return true
	}
	defer s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delivered || s.waived
}

// supersedable reports whether a stream that was broken off has no key, and
// cancelling it stops the bill: that of a body in one piece goes on.
func (s *stream) supersedable() bool {
	return s.header.Key.IsZero() && s.header.Streamed && s.header.Policy.OnCancel == string(BillingStops)
}
