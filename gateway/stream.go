package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
	"github.com/recoup-gateway/recoup/pricing"
)

// Why an attempt was stopped before the provider was done. These are stored.
const (
	stopCancelled  = "cancelled"  // somebody said so
	stopGrace      = "grace"      // reclaimable, but nobody came
	stopDisconnect = "disconnect" // the client left, and nobody could have come back
	stopCap        = "cap"        // too many streams without an owner
	stopSuperseded = "superseded" // a new call bought the same answer
	stopShutdown   = "shutdown"   // the gateway had to go
)

// Other causes of an end.
const (
	causeUpstream    = "upstream"
	causeUnreachable = "unreachable" // the provider never got the request
	causeCrash       = "crash"
	causeDamaged     = "damaged"
	causeDiskFull    = "disk_full"
)

// Why a connection ended, as marked in the log. All but done are breaks.
const (
	leftDone    = "done"    // it got all there was
	leftClient  = "client"  // the client went away
	leftGateway = "gateway" // the gateway went away
	leftSlow    = "slow_reader"
)

// How a connection found its stream.
const (
	viaFirst = "first"
	viaID    = "id"
	viaKey   = "key"
	viaRetry = "retry" // an SDK repeats a call of its own, which is equal
	viaAuto  = "auto"  // the call is equal, and somebody said that this is enough
)

// stream is a stream that is being drained or read: who owns it, and what is to
// happen when nobody does.
type stream struct {
	gw        *Gateway
	log       *streamlog.Stream // this holds a reference
	header    streamlog.Header
	stopDrain context.CancelFunc // nil if it was loaded after its end
	attempt   trace.Span         // of the attempt, if it is made here

	refs int // guarded by Gateway.mu

	// guarded by orphans.mu
	orphaned   bool
	orphanSize int64               // bytes that orphans counts for it
	orphanCost pricing.Picodollars // and what they cost

	mu        sync.Mutex
	draining  bool // the provider is still answering, or about to be asked
	open      bool // the opening record is in the log
	begun     bool // the first event is in the log
	complete  bool // the terminal event is
	stopped   string
	connected []*connection
	owners    []*connection // those of them that don't observe; the last owns
	lost      *breakage     // the last break, if nobody has owned the stream since
	delivered bool          // an owner got the terminal event
	waived    bool          // it was cancelled when the answer was complete
	unfit     bool          // no body can be made of its events
	grace     *time.Timer   // running while the stream waits for an owner
	gauge     string        // what the gauge of streams counts it as
}

// errDead says that a stream can't give a whole answer any more, so its key is
// free.
var errDead = errors.New("gateway: the stream was stopped")

// breakage is a break that no resume has followed yet.
type breakage struct {
	at       time.Time
	position uint64
}

// live reports whether the provider is still answering.
func (s *stream) live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// glance is what a scrape has to know of a stream; there can be thousands.
type glance struct {
	live   bool // the provider is still answering
	orphan bool
	bytes  int64
	behind uint64 // events of the log that the owner has not been given yet
}

func (s *stream) glance() (g glance) {
	events, bytes := s.log.Size()
	s.mu.Lock()
	defer s.mu.Unlock()
	g.live, g.orphan, g.bytes = s.draining, len(s.owners) == 0, int64(bytes)
	if owner := s.owner(); owner != nil {
		g.behind = events - min(owner.conn.Position(), events)
	}
	return g
}

func (s *stream) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped != ""
}

// dead reports whether the stream can't give a whole answer any more.
func (s *stream) dead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complete {
		return false
	}
	end := s.log.Info().End
	return s.stopped != "" || end != nil && end.State != streamlog.Completed
}

// stop cancels the attempt, if the answer isn't complete.
func (s *stream) stop(why string) { s.stopIf(why, func() bool { return true }) }

// stopOrphan is stop, unless somebody has come to own the stream meanwhile.
func (s *stream) stopOrphan(why string) {
	s.stopIf(why, func() bool { return len(s.owners) == 0 })
}

func (s *stream) stopIf(why string, ok func() bool) {
	s.mu.Lock()
	if !s.draining || s.complete && why != stopShutdown || s.stopped != "" || !ok() {
		s.mu.Unlock()
		return
	}
	s.stopped = why
	open := s.open
	s.mu.Unlock()
	s.gw.missed.ended(&s.header, why)
	if open {
		s.cancelAttempt(why)
	}
}

// opened notes that the opening record is stored. Whoever stopped the stream
// before could not mark it.
func (s *stream) opened() {
	s.mu.Lock()
	s.open = true
	why := s.stopped
	s.mu.Unlock()
	if why != "" {
		s.cancelAttempt(why)
	}
}

// waive notes that nobody wants an answer any more which is complete, and was
// not given to an owner to its end. There is nothing to be stopped.
func (s *stream) waive() {
	s.mu.Lock()
	waived := s.complete && !s.delivered && len(s.owners) == 0
	ended := waived && !s.draining
	s.waived = s.waived || waived
	s.mu.Unlock()
	if !waived {
		return
	}
	_ = s.log.Mark(streamlog.Mark{Kind: streamlog.MarkCancel, Cause: stopCancelled}) // as in cancelAttempt
	s.gw.missed.ended(&s.header, stopCancelled)
	if ended {
		s.gw.settle(s.log)
	}
}

func (s *stream) cancelAttempt(why string) {
	// If the log has failed, the mark is lost like all else.
	_ = s.log.Mark(streamlog.Mark{Kind: streamlog.MarkCancel, Cause: why})
	s.stopDrain()
}

// attach makes c one of the stream's connections, its owner unless it observes.
// begin begins its span, once it is known that it is one; nil: it has one.
func (s *stream) attach(c *connection, begin func() trace.Span) (err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.via == viaKey && s.stopped != "" && !s.complete {
		return errDead // it was stopped after its key was looked up
	}
	if c.adopts() && !s.adoptable() {
		return errNoOrphan
	}
	if c.conn, err = s.log.Attach(streamlog.Attachment{Index: c.start, Via: c.via, Observe: c.observe, Explicit: c.explicit}); err != nil {
		return err
	}
	if begin != nil {
		c.span = begin()
	}
	if c.adopts() { // if the log has failed, the mark is lost like all else
		_ = s.log.Mark(streamlog.Mark{Kind: streamlog.MarkClaim, Conn: c.conn.ID(), Index: c.start, Cause: c.via})
	}
	s.connected = append(s.connected, c)
	if c.observe {
		return nil
	}
	switch owner := s.owner(); {
	case owner != nil && !owner.terminal.Load():
		s.countBreak(leftClient, owner) // a take-over
		c.resumes = true
	case s.lost != nil && c.start <= s.lost.position:
		c.resumes = true
		c.gap = now.Sub(s.lost.at)
		metrics.Observe(s.gw.metrics.ResumeGap, c.gap.Seconds(), c.span.SpanContext())
	}
	if c.resumes {
		s.gw.happenings.add(&s.header, happening{What: happenedResume, Via: c.via, Gap: c.gap.Seconds()})
	}
	s.lost = nil
	s.gw.missed.remove(&s.header)
	if c.via != viaFirst && s.attempt.IsRecording() {
		s.attempt.AddLink(trace.Link{SpanContext: c.span.SpanContext(), Attributes: []attribute.KeyValue{metrics.AttrLinkKind.String(metrics.LinkResume)}})
		s.attempt.AddEvent(metrics.EventAttached)
	}
	s.owners = append(s.owners, c)
	s.settleDown()
	return nil
}

func (s *stream) owner() *connection {
	if len(s.owners) == 0 {
		return nil
	}
	return s.owners[len(s.owners)-1]
}

// detach ends c. If it was the owner and no older one is connected, the policy
// for a client that left takes its course.
func (s *stream) detach(c *connection, cause string) {
	if err := c.conn.Detach(cause); err != nil {
		s.gw.logger.Error("a connection's end was not stored", append(logAttrs(&s.header), "error", err)...)
	}
	if c.resumes {
		s.gw.countResume(&s.header, c)
	}
	s.mu.Lock()
	is := func(o *connection) bool { return o == c }
	s.connected = slices.DeleteFunc(s.connected, is)
	if c.observe {
		s.mu.Unlock()
		return
	}
	owned := s.owner() == c
	s.owners = slices.DeleteFunc(s.owners, is)
	s.delivered = s.delivered || c.terminal.Load()
	if owned && len(s.owners) == 0 && !s.delivered && cause != leftDone && s.stopped != stopCancelled {
		s.lost = &breakage{time.Now(), c.conn.Position()}
		if s.draining || s.complete {
			s.gw.missed.add(brokenOff(&s.header, s.lost.at), s.gw.log.Retention())
		}
		s.countBreak(cause, c)
	}
	why, victims := s.settleDown()
	ended := !s.draining
	s.mu.Unlock()
	if ended {
		s.gw.settle(s.log)
	}
	if why != "" {
		s.stopOrphan(why)
	}
	for _, v := range victims {
		v.stopOrphan(stopCap)
	}
}

// settleDown does what follows from having an owner or not. It returns why the
// attempt must be stopped at once, if it must, and which streams must give way
// to this one.
func (s *stream) settleDown() (why string, victims []*stream) {
	cfg := s.gw.cfg()
	s.count()
	if !s.draining || len(s.owners) > 0 {
		if s.grace != nil {
			s.grace.Stop()
			s.grace = nil
		}
		s.gw.orphans.remove(s)
		return "", nil
	}
	victims = s.gw.orphans.add(s, int64(s.log.Info().Bytes), cfg)
	policy := s.header.Policy
	switch {
	case s.complete || s.grace != nil || s.stopped != "":
	case policy.OnDisconnect == disconnectCancel:
		why = stopDisconnect
	case policy.OnCancel == string(BilledInFull) || !s.header.Streamed:
		// The bill is the same, and the answer will be there.
	case policy.Reclaimable:
		s.grace = time.AfterFunc(cfg.OrphanGrace, func() { s.stopOrphan(stopGrace) })
	case !s.begun:
		s.grace = time.AfterFunc(cfg.FirstEventGrace, func() { s.stopOrphan(stopDisconnect) })
	default:
		why = stopDisconnect
	}
	return why, victims
}

// received notes what the drain has stored.
func (s *stream) received(bytes int, complete bool) {
	s.mu.Lock()
	s.begun = true
	s.complete = s.complete || complete
	orphan := len(s.owners) == 0
	s.mu.Unlock()
	if orphan {
		for _, v := range s.gw.orphans.grow(s, int64(bytes), s.gw.cfg()) {
			v.stopOrphan(stopCap)
		}
	}
}

// drained notes that the provider is done.
func (s *stream) drained(e streamlog.End) {
	s.mu.Lock()
	s.draining = false
	s.settleDown()
	s.mu.Unlock()
	s.gw.missed.ended(&s.header, e.Cause)
}

// count keeps the gauge of streams.
func (s *stream) count() {
	state := ""
	switch {
	case s.draining && len(s.owners) > 0:
		state = "attached"
	case s.draining:
		state = "orphaned"
	}
	if state == s.gauge {
		return
	}
	if s.gauge != "" {
		s.gw.metrics.Streams.WithLabelValues(s.gauge).Dec()
	}
	if state != "" {
		s.gw.metrics.Streams.WithLabelValues(state).Inc()
	}
	s.gauge = state
}

// countBreak counts a break that c has suffered.
func (s *stream) countBreak(cause string, c *connection) {
	s.gw.happenings.add(&s.header, happening{What: happenedBreak, Cause: cause})
	s.gw.history.breaks.Add(1)
	metrics.Count(s.gw.metrics.Breaks.WithLabelValues(s.header.Provider, s.gw.label(s.header.Provider, s.header.Model), cause), c.span.SpanContext())
	s.attempt.AddEvent(metrics.EventDetached, trace.WithAttributes(metrics.AttrEnded.String(cause), metrics.AttrDelivered.Int64(int64(c.conn.Position()))))
}

// How a resume ends, and of what provider it is if it found no stream.
const (
	resumeCompleted   = "completed"
	resumeInterrupted = "interrupted"
	resumeExpired     = "expired"
	resumeNotFound    = "not_found"

	unknownProvider = "unknown"
)

func (g *Gateway) countResume(h *streamlog.Header, c *connection) {
	result := resumeInterrupted
	if c.terminal.Load() {
		result = resumeCompleted
		g.history.resumed.Add(1)
	}
	metrics.Count(g.metrics.Resumes.WithLabelValues(h.Provider, g.label(h.Provider, h.Model), c.via, result), c.span.SpanContext())
}
