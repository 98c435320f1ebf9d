package settle

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
)

// reading is what a stream's log says of its last attempt.
type reading struct {
	header  streamlog.Header
	attempt streamlog.Attempt
	head    *streamlog.Head // nil: the provider did not answer
	end     *streamlog.End  // nil: it still does
	damaged error

	steps     []books.Step
	events    int // whole ones
	bytes     int64
	terminal  int // index, -1: it did not come
	firstText time.Time
	usage     token.Usage
	final     bool // the usage is the report that closes an answer

	refusal []byte // the body of an answer that may say that the prompt was filtered
	seen    dialect.Observer
	asked   bool // the model goes by the name that it was asked for by: the price book doesn't know the provider's own
	inPart  bool
	first   uint32         // the first connection that owned
	at      map[uint32]int // how far each connection that is attached has got
	owners  []uint32       // those of them that don't observe, as they came: the last one owns
	live    bool           // an owner is attached
	closing *books.Step    // how the attempt ended, once the owners that were attached have left; else nil
}

// read reads a stream's history. One that is not whole gives its beginning, and
// why as damaged.
func read(s *streamlog.Stream) (*reading, error) {
	info := s.Info()
	r := &reading{header: info.Header, terminal: -1, at: map[uint32]int{}}
	if n := len(info.Attempts); n > 0 {
		r.attempt = info.Attempts[n-1]
	}
	err := s.History(r.entry)
	if err != nil && !errors.Is(err, streamlog.ErrDamaged) {
		return nil, err
	}
	if r.damaged = info.Damaged; r.damaged == nil {
		r.damaged = err
	}
	if r.end == nil && info.End != nil { // it lies behind the damage
		r.end = info.End
	}
	if r.damaged != nil {
		r.steps = append(r.steps, books.Step{At: info.Last, Do: books.Damage})
	}
	r.hangUp(s)
	if r.seen != nil {
		r.usage, r.final = r.seen.Usage()
		if max(r.usage.Output.Or(0), r.usage.InputTotal().Or(0)) > believable {
			r.usage, r.final = token.Usage{}, false
		}
	}
	return r, nil
}

// hangUp takes account of the connections that have no end: those of an earlier
// process died with it, the others are still there.
func (r *reading) hangUp(s *streamlog.Stream) {
	dead := false
	for conn := range r.at {
		dead = dead || s.Gone(conn)
	}
	for _, conn := range r.owners {
		r.live = r.live || !s.Gone(conn)
	}
	switch {
	case r.live:
	case dead:
		r.kill(r.last())
		fallthrough
	default:
		r.close()
	}
}

// last is the time of the newest step.
func (r *reading) last() time.Time {
	if n := len(r.steps); n > 0 {
		return r.steps[n-1].At
	}
	return r.header.Accepted
}

func (r *reading) entry(e streamlog.Entry) error {
	switch {
	case e.Head != nil:
		r.head = e.Head
		d, ok := dialect.Named(r.header.Dialect)
		if ok && e.Head.Status/100 == 2 && e.Head.Header.Get("Content-Encoding") == "" {
			r.seen = d.Observe(request(r.header), e.Head.Header.Get("Content-Type"))
			dialect.ReadHead(r.seen, e.Head.Header)
		}
	case e.Event != nil:
		r.event(e.At, e.Event)
	case e.Mark != nil:
		r.mark(e.At, e.Mark)
	case e.End != nil:
		r.ended(e.At, e.End)
	}
	return nil
}

// request is a call as far as its dialect has to know it to read the answer.
func request(h streamlog.Header) dialect.Request {
	return dialect.Request{Endpoint: h.Endpoint, Model: h.Model, Stream: h.Streamed, Choices: h.Choices}
}

// maxRefusal is the size of the largest error that is looked into.
const maxRefusal = 64 << 10

// filtered reports whether the provider's filter refused the prompt, and bills that:
// to find out, it has read it.
func (r *reading) filtered() bool { return dialect.Filtered(r.refusal) }

func (r *reading) event(at time.Time, e *streamlog.Event) {
	if r.seen != nil {
		if r.inPart || e.More {
			r.seen.Large(e.Data, !r.inPart, !e.More)
		} else {
			r.seen.Event(e.Data)
		}
	}
	if r.head != nil && r.head.Status == http.StatusBadRequest && r.header.Policy.BillsFilter && len(r.refusal)+len(e.Data) <= maxRefusal {
		r.refusal = append(r.refusal, e.Data...)
	}
	r.bytes += int64(len(e.Data))
	if r.inPart = e.More; e.More {
		return
	}
	if e.Terminal {
		r.terminal = r.events
	}
	if e.Text && r.firstText.IsZero() {
		r.firstText = at
	}
	r.events++
	if n := len(r.steps); n > 0 && r.steps[n-1].Do == books.Recv {
		r.steps[n-1].N++
		return
	}
	r.steps = append(r.steps, books.Step{At: at, Do: books.Recv, N: 1})
}

func (r *reading) mark(at time.Time, m *streamlog.Mark) {
	switch m.Kind {
	case streamlog.MarkAttach:
		r.attach(at, m)
	case streamlog.MarkDelivered:
		r.written(at, m)
	case streamlog.MarkDetach:
		r.written(at, m)
		r.detach(at, m)
	case streamlog.MarkCancel:
		if r.terminal >= 0 && m.Cause == causeCancelled && r.closing == nil { // of an answer that is there already
			r.closing = &books.Step{At: at, Do: books.Cancel}
			r.closeUnowned()
		}
	case streamlog.MarkKill:
		r.kill(at)
	}
}

// attach begins a connection. One that comes after a cancel, while the owner is
// still given what came before, changes nothing: neither does one that only looks.
func (r *reading) attach(at time.Time, m *streamlog.Mark) {
	observe := m.Observe || r.cancelled()
	if !observe {
		r.close()
		r.owners = append(r.owners, m.Conn)
		if r.first == 0 {
			r.first = m.Conn
		}
	}
	r.at[m.Conn] = int(m.Index)
	r.steps = append(r.steps, books.Step{At: at, Do: books.Attach, Conn: m.Conn, From: int(m.Index), Observe: observe, Explicit: m.Explicit})
}

// detach ends a connection, whose part in what the books decide is over.
func (r *reading) detach(at time.Time, m *streamlog.Mark) {
	delete(r.at, m.Conn)
	i := slices.Index(r.owners, m.Conn)
	if i < 0 {
		return
	}
	r.owners = slices.Delete(r.owners, i, i+1)
	step := books.Step{At: at, Do: books.Detach, Conn: m.Conn, Cause: m.Cause}
	switch {
	case r.cancelled(): // whoever leaves a cancelled answer does not break it off
	case m.Cause != leftDone:
		r.steps = append(r.steps, step)
	case len(r.owners) > 0: // it had all there was; an older one reads on, and may own again
		step.Cause = books.Client
		r.steps = append(r.steps, step)
	}
	r.closeUnowned()
}

// cancelled reports whether the answer was cancelled, and is still being read.
func (r *reading) cancelled() bool { return r.closing != nil && r.closing.Do == books.Cancel }

func (r *reading) written(at time.Time, m *streamlog.Mark) {
	if to := int(m.Index); to > r.at[m.Conn] {
		r.at[m.Conn] = to
		r.steps = append(r.steps, books.Step{At: at, Do: books.Write, Conn: m.Conn, To: to})
	}
}

// kill ends all connections with their process, which left no more of them than
// the marks. An attempt that had ended by then did not die of it.
//
// Of an answer that was complete, the owner is taken to have had all: bytes on
// their way to a living client arrive.
func (r *reading) kill(at time.Time) {
	if r.closing != nil && r.closing.Do != books.Kill {
		r.steps = append(r.steps, *r.closing)
	}
	r.closing = nil
	if n := len(r.owners); n > 0 && r.terminal >= 0 && r.at[r.owners[n-1]] < r.events {
		r.steps = append(r.steps, books.Step{At: at, Do: books.Write, Conn: r.owners[n-1], To: r.events})
	}
	r.steps = append(r.steps, books.Step{At: at, Do: books.Kill, Marks: maps.Clone(r.at)})
	clear(r.at)
	r.owners = nil
}

// The causes of an end that are not the provider's doing.
const (
	causeCancelled  = "cancelled"
	causeSuperseded = "superseded"
	causeGrace      = "grace"
	causeDisconnect = "disconnect"
	causeCap        = "cap"
	causeShutdown   = "shutdown"
	causeCrash      = "crash"
	causeDiskFull   = "disk_full"
	causeDamaged    = "damaged"
)

// leftDone is the detach of a connection that was given all there was.
const leftDone = "done"

// ended notes how the attempt ended. The connections that are attached then may
// still be given what was received before.
func (r *reading) ended(at time.Time, e *streamlog.End) {
	r.end = e
	step := &books.Step{At: at}
	switch {
	case e.State == streamlog.Completed:
		return
	case e.Cause == causeCancelled:
		step.Do = books.Cancel
	case e.Cause == causeSuperseded:
		step.Do = books.Supersede
	case slices.Contains([]string{causeGrace, causeDisconnect, causeCap}, e.Cause):
		step.Do = books.Grace
	case slices.Contains([]string{causeShutdown, causeCrash, causeDiskFull}, e.Cause):
		step.Do = books.Kill
	case e.Cause == causeDamaged:
		step.Do = books.Damage
	default:
		step.Do = books.Fail
	}
	r.closing = step
	r.closeUnowned()
}

// closeUnowned ends the attempt, if it is to end, and nobody is attached that
// the answer is for.
func (r *reading) closeUnowned() {
	if len(r.owners) == 0 {
		r.close()
	}
}

func (r *reading) close() {
	switch step := r.closing; {
	case step == nil:
	case step.Do == books.Kill:
		r.kill(step.At)
	default:
		r.steps = append(r.steps, *step)
		r.closing = nil
	}
}
