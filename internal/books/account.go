package books

import (
	"slices"
	"time"
)

// Account is an attempt's account while the timeline is gone through, step by step.
// It is not safe for concurrent use.
type Account struct {
	history  *History
	pos      positions
	next     int // step
	received int // events, so far

	conns  []*conn
	owners []*conn // connected: the owner is the last, the others are those it replaced
	served int     // connections that have owned
	killed *conn   // owned at the last kill, and no owner has come since
	breaks []*broken
	alone  spans // events that came without an owner

	ruptures []Broken // that are no breaks: of the attempt, not of a connection

	dead      bool   // nothing comes from the provider any more
	killedOff bool   // the attempt died with the gateway's process, before its terminal event
	delivered bool   // the terminal event was written to an owner
	settled   bool   // nothing can change any more
	cause     string // of what is wasted or lost
	cut       string // the first cause: it says if there is a tail
}

// conn is a connection that may own. Observers leave no trace in the books.
type conn struct {
	id    uint32
	first bool // the stream's first owner: what it has is live
	at    time.Time
	start int // event
	to    int // has the events before it, from start

	owned spans // events written to it as an owner
	aside spans // events written to it while it was replaced
	reign spans // events that came while it owned
	ran   bool  // owned while the attempt ran
	doubt span  // events that it may or may not have got before a kill
}

// broken is a break: its owner had no terminal event yet.
type broken struct {
	conn  *conn
	cause string
	at    time.Time
	pos   int   // events it had, from its start
	next  *conn // the next owner; nil while nobody came
	taken bool  // by next, while it was connected
	ended bool  // an older owner was there to go on: nobody can resume it
}

// Open opens the account of a history, before its first step. It reads all of the
// history to know where the events sit, and keeps it. The error is ErrInvalid.
func Open(h History) (*Account, error) {
	if err := h.validate(); err != nil {
		return nil, err
	}
	return &Account{history: &h, pos: newPositions(&h.Facts, h.received())}, nil
}

// received is the number of events that the attempt gets in its whole timeline.
func (h *History) received() (events int) {
	for i := range h.Steps {
		switch s := &h.Steps[i]; s.Do {
		case Recv:
			events += min(s.N, h.Events-events)
		case Cancel, Grace, Supersede, Fail, Kill, Damage, Retention:
			return events
		}
	}
	return events
}

// Next takes the next step. It returns false if there is none.
func (a *Account) Next() bool {
	if a.next == len(a.history.Steps) {
		return false
	}
	s := &a.history.Steps[a.next]
	a.next++
	if a.settled {
		return true
	}
	running := !a.over() && !a.terminal()
	a.take(s)
	if o := a.owner(); o != nil && running {
		o.ran = true
	}
	if a.over() && a.nothingOpen() {
		a.settled = true
	}
	return true
}

func (a *Account) take(s *Step) {
	switch s.Do {
	case Recv:
		a.recv(s.N)
	case Attach:
		a.attach(s)
	case Write:
		a.write(s)
	case Detach:
		a.detach(s)
	case Kill:
		a.kill(s)
	case Grace:
		a.die(Abandoned)
	case Supersede:
		a.die(Superseded)
	case Fail:
		a.rupture(Upstream, s.At)
		a.die(Upstream)
	case Cancel:
		if !a.delivered && (!a.dead || a.terminal()) {
			a.settle(Cancelled)
		}
	case Damage:
		a.breakOff(a.owner(), Gateway, s.At)
		a.cause = Damaged
		a.settle(Damaged)
	case Retention:
		a.settle(Abandoned)
	}
}

func (a *Account) owner() *conn {
	if len(a.owners) == 0 {
		return nil
	}
	return a.owners[len(a.owners)-1]
}

// terminal says if the terminal event was received so far.
func (a *Account) terminal() bool {
	return a.pos.complete && a.received > a.history.Terminal
}

// has says if c is beyond the terminal event.
func (a *Account) has(c *conn) bool { return a.pos.complete && c.to > a.history.Terminal }

// over says if the provider is done with the attempt: its bill is known.
func (a *Account) over() bool {
	return a.dead || a.terminal() && a.received == a.history.Events
}

// nothingOpen says if no later step could change an outcome of an attempt that is over.
func (a *Account) nothingOpen() bool {
	if !a.delivered && (!a.dead || a.terminal()) {
		return false // an owner may still get the whole answer
	}
	return a.pos.tokens(a.written()).covers(span{0, a.pos.received})
}

// written is what was written to any owner.
func (a *Account) written() (events spans) {
	for _, c := range a.conns {
		events = events.or(c.owned)
	}
	return events
}

func (a *Account) recv(n int) {
	if a.dead {
		return
	}
	came := span{int64(a.received), int64(a.received + min(n, a.history.Events-a.received))}
	a.received = int(came.to)
	if o := a.owner(); o != nil {
		o.reign.add(came)
	} else {
		a.alone.add(came)
	}
}

func (a *Account) attach(s *Step) {
	if s.Observe {
		return
	}
	c := &conn{id: s.Conn, first: a.served == 0, at: s.At, start: min(s.From, a.history.Events)}
	if s.FromNow {
		c.start = a.received
	}
	c.to = c.start
	a.prove(s)
	if older := a.owner(); older == nil {
		a.resume(c)
	} else if b := a.breakOff(older, Client, s.At); b != nil {
		b.next, b.taken = c, true
	}
	a.conns = append(a.conns, c)
	a.owners = append(a.owners, c)
	a.served++
}

// prove takes the first owner's word after a kill: with an offset of its own it has
// all that lies before, which the killed one must have got.
func (a *Account) prove(s *Step) {
	if k := a.killed; k != nil && s.Explicit && !s.FromNow {
		proven := min(s.From, a.received)
		k.owned.add(span{int64(k.to), int64(proven)})
		k.doubt.from = max(k.doubt.from, int64(proven))
	}
	a.killed = nil
}

func (a *Account) resume(c *conn) {
	if n := len(a.breaks); n > 0 && a.breaks[n-1].next == nil && !a.breaks[n-1].ended {
		a.breaks[n-1].next = c
	}
}

// breakOff notes that c, the owner, owns no more. It returns nil if that is no break.
func (a *Account) breakOff(c *conn, cause string, at time.Time) *broken {
	if c == nil || a.delivered || a.has(c) {
		return nil
	}
	b := &broken{conn: c, cause: cause, at: at, pos: c.to}
	a.breaks = append(a.breaks, b)
	return b
}

func (a *Account) write(s *Step) {
	i := slices.IndexFunc(a.owners, func(c *conn) bool { return c.id == s.Conn })
	if i < 0 {
		return
	}
	c, to := a.owners[i], min(s.To, a.received)
	more := span{int64(c.to), int64(to)}
	c.to = max(c.to, to)
	if c != a.owner() {
		c.aside.add(more)
		return
	}
	c.owned.add(more)
	if a.pos.complete && c.start <= a.history.Terminal && a.history.Terminal < to {
		a.delivered = true
	}
}

func (a *Account) detach(s *Step) {
	i := slices.IndexFunc(a.owners, func(c *conn) bool { return c.id == s.Conn })
	if i < 0 {
		return
	}
	c, owned := a.owners[i], i == len(a.owners)-1
	a.owners = slices.Delete(a.owners, i, i+1)
	if !owned {
		return
	}
	b := a.breakOff(c, s.Cause, s.At)
	for len(a.owners) > 1 && a.terminal() && a.owner().start > a.history.Terminal {
		a.owners = a.owners[:len(a.owners)-1]
	}
	older := a.owner()
	if older == nil {
		return
	}
	if b != nil {
		b.ended = true
	}
	a.restore(older)
}

// restore makes c own again as if never replaced.
func (a *Account) restore(c *conn) {
	c.owned = c.owned.or(c.aside)
	a.breaks = slices.DeleteFunc(a.breaks, func(b *broken) bool { return b.taken && b.conn == c })
}

// die ends the attempt on its provider's side, if that hasn't happened.
func (a *Account) die(cause string) {
	if a.over() {
		return
	}
	a.dead = true
	if !a.terminal() || cause == Superseded {
		a.cause, a.cut = cause, cause
	}
}

func (a *Account) kill(s *Step) {
	if o := a.owner(); o != nil {
		mark := min(max(s.Marks[o.id], o.start), a.received)
		if !a.delivered {
			o.doubt = span{int64(mark), int64(a.received)}
		}
		if !a.terminal() {
			o.owned.cut(int64(mark))
			o.to = min(o.to, max(mark, o.start))
		}
		a.breakOff(o, Gateway, s.At)
		a.killed = o
	} else {
		a.rupture(Gateway, s.At)
	}
	a.owners = nil
	a.killedOff = a.killedOff || !a.dead && !a.terminal()
	a.die(Crash)
}

// settle ends all, for cause if there was none before.
func (a *Account) settle(cause string) {
	if a.cause == "" {
		a.cause = cause
	}
	if a.cut == "" {
		a.cut = a.cause
	}
	a.dead, a.settled = true, true
}

// Pending is the number of output tokens whose outcome isn't known yet: those received
// so far, and G once the attempt is over.
func (a *Account) Pending() int64 {
	switch {
	case a.settled:
		return 0
	case a.dead:
		return a.history.Output
	}
	return a.pos.at(a.received)
}
