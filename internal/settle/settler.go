package settle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

const (
	// linger is how long a stream that has ended is left alone: its connections
	// end a moment later, and then one look does for both.
	linger = 10 * time.Millisecond

	// gather is the time from one batch of streams to the next, and hands how many
	// of a batch are settled at once: those share the ledger's syncs.
	gather = 100 * time.Millisecond
	hands  = 64

	// retryAfter is when a stream that could not be settled is looked at again.
	retryAfter = 10 * time.Second
)

// causeUnreachable is the end of an attempt that never reached the provider.
const causeUnreachable = "unreachable"

// Options are what a Settler works with.
type Options struct {
	Log     *streamlog.Log
	Ledger  *ledger.Ledger
	Book    *pricing.Book
	Factors *token.Factors // learnt from what is settled
	Logger  *slog.Logger

	// LabelTags are the tags of calls by which tokens and money are counted too.
	LabelTags []string

	// OnPosted is told what was posted, once that is durable. It is called from many
	// goroutines, and holds up the settling of other streams; nil: nobody wants to know.
	OnPosted func(Posted)
}

// Posted is what has just been posted of a stream.
type Posted struct {
	Info  streamlog.Info // of a stream that the log has lost: its id and its provider alone
	Model string         // label
	Usage token.Usage    // as the provider reported it
	Final bool           // the usage is the report that closes an answer

	Evidence *Evidence   // nil: nothing is billed for the stream
	Books    books.Books // with the outcomes, once they are settled
	Billed   bool        // the bill was posted now
	Settled  bool        // the outcomes were
	Over     bool        // because the stream's time was over
}

// Settler posts bills and outcomes. Its methods may be called from many
// goroutines.
type Settler struct {
	log       *streamlog.Log
	ledger    *ledger.Ledger
	book      atomic.Pointer[pricing.Book]
	factors   *token.Factors
	logger    *slog.Logger
	samples   samples
	densities densities
	labels    labels
	posted    func(Posted) // never nil

	wake chan struct{}
	stop context.CancelFunc // ends the search for what the log has lost
	wg   sync.WaitGroup

	mu      sync.Mutex
	closing bool
	closed  bool
	hurry   int                                // callers of Flush
	failed  []streamlog.ID                     // could not be settled meanwhile
	quiet   *sync.Cond                         // signalled when state gets empty
	queue   []due                              // to be looked at, soonest first
	batch   time.Time                          // when the next of them may be
	state   map[streamlog.ID]state             // those in the queue or in hand
	held    map[streamlog.ID]*streamlog.Stream // of those, the ones in memory when they were told of: it is cheap to keep them there
	open    map[streamlog.ID]*Open             // ended, and not settled
	later   []due                              // of them those that only time will settle, by their end
	missed  map[streamlog.ID][]streamlog.ID    // calls that wait for the books of one that they repeated
}

// due is a stream and a time.
type due struct {
	id streamlog.ID
	at time.Time
}

type state uint8

const (
	queued state = iota + 1
	inHand
	again // in hand, and something has happened since
)

// Open is what is not settled of a stream that has ended.
type Open struct {
	Provider, Model string // labels
	Tokens          int64  // output that has no outcome yet
	Amount          pricing.Picodollars
	Orphan          bool // nobody is connected who could still get it
}

// Start settles what an earlier process left, and then what it is told of,
// until Close.
func Start(o Options) *Settler {
	s := &Settler{
		log: o.Log, ledger: o.Ledger, factors: o.Factors, logger: o.Logger,
		wake: make(chan struct{}, 1), state: map[streamlog.ID]state{}, held: map[streamlog.ID]*streamlog.Stream{}, open: map[streamlog.ID]*Open{}, missed: map[streamlog.ID][]streamlog.ID{},
	}
	s.book.Store(o.Book)
	s.quiet = sync.NewCond(&s.mu)
	s.labels.init(o.LabelTags, o.Ledger.Totals().Tagged)
	if s.posted = o.OnPosted; s.posted == nil {
		s.posted = func(Posted) {}
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	offered := s.log.Unsettled()
	for _, id := range offered {
		s.enqueue(id, 0)
	}
	s.wg.Go(func() {
		s.findLost(ctx, offered)
		s.run()
	})
	return s
}

// Look tells that something has happened to a stream that may settle it: its
// attempt has ended, or a connection has left it since. It returns at once.
func (s *Settler) Look(id streamlog.ID) {
	l, err := s.log.ForBooks(id)
	s.mu.Lock()
	if !s.closed {
		if err == nil && s.held[id] == nil && s.state[id] != inHand {
			s.held[id], l = l, nil
		}
		s.enqueue(id, linger)
	}
	s.mu.Unlock()
	if err == nil && l != nil {
		l.Release()
	}
}

func (s *Settler) enqueue(id streamlog.ID, in time.Duration) {
	switch s.state[id] {
	case queued, again:
		return
	case inHand:
		s.state[id] = again
		return
	}
	s.state[id] = queued
	at := s.now().Add(in)
	i := len(s.queue)
	for i > 0 && s.queue[i-1].at.After(at) { // almost always it is the last
		i--
	}
	s.queue = slices.Insert(s.queue, i, due{id, at})
	s.nudge()
}

// Close settles what can be settled now and returns when that is done. What is
// left is found by the next Start.
func (s *Settler) Close() {
	s.stop()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.nudge()
	s.wg.Wait()
}

// Flush settles at once what can be settled now, and returns when that is done.
func (s *Settler) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurry++
	s.expire()
	for len(s.state) > 0 {
		s.nudge()
		s.quiet.Wait()
	}
	if s.hurry--; s.hurry == 0 && !s.closing {
		for _, id := range s.failed {
			s.enqueue(id, retryAfter)
		}
		s.failed = nil
	}
}

// SetBook makes another book the one that bills are priced by from now on.
func (s *Settler) SetBook(book *pricing.Book) { s.book.Store(book) }

func (s *Settler) now() time.Time { return time.Now() }

// run hands out streams when they are due.
func (s *Settler) run() {
	busy := make(chan struct{}, hands)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		id, wait, over := s.next()
		switch {
		case over:
			wg.Wait()
			if s.idle() {
				return
			}
		case id != streamlog.ID{}:
			busy <- struct{}{}
			wg.Go(func() {
				defer func() { <-busy }()
				s.take(id)
			})
		default:
			timer := time.NewTimer(wait)
			select {
			case <-s.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// next returns a stream that is due, or how long there is none; over: there will
// be none any more.
func (s *Settler) next() (id streamlog.ID, wait time.Duration, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !s.closing {
		s.expire()
	}
	if len(s.queue) > 0 && (s.closing || s.hurry > 0 || !now.Before(s.queue[0].at) && !now.Before(s.batch)) {
		id = s.queue[0].id
		s.queue = s.queue[1:]
		s.state[id] = inHand
		return id, 0, false
	}
	if s.closing {
		return id, 0, true
	}
	if !now.Before(s.batch) {
		s.batch = now.Add(gather)
	}
	wait = time.Minute // the retention may have been changed
	if len(s.queue) > 0 {
		wait = min(wait, max(s.queue[0].at.Sub(now), s.batch.Sub(now)))
	}
	if len(s.later) > 0 {
		wait = min(wait, s.later[0].at.Add(s.log.Retention()).Sub(now))
	}
	return id, wait, false
}

// expire has those looked at whose time is over.
func (s *Settler) expire() {
	now, keep := s.now(), s.log.Retention()
	for len(s.later) > 0 && now.Sub(s.later[0].at) >= keep {
		if s.open[s.later[0].id] != nil {
			s.enqueue(s.later[0].id, 0)
		}
		s.later = s.later[1:]
	}
}

func (s *Settler) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = len(s.queue) == 0
	return s.closed
}

// take settles a stream as far as that can be done now.
func (s *Settler) take(id streamlog.ID) {
	s.mu.Lock()
	l, err := s.held[id], error(nil)
	delete(s.held, id)
	s.mu.Unlock()
	if l == nil {
		l, err = s.log.ForBooks(id)
	}
	var left *left
	switch {
	case errors.Is(err, streamlog.ErrNotFound) || errors.Is(err, streamlog.ErrDamaged):
		err = s.settleLost(lost(id)) // the log has said what it had to
	case err == nil:
		left, err = s.settle(l)
		l.Release()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	more := s.state[id] == again
	delete(s.state, id)
	defer func() {
		if len(s.state) == 0 {
			s.quiet.Broadcast()
		}
	}()
	switch {
	case err != nil:
		s.logger.Error("a stream could not be settled; it is tried again", "stream", id.String(), "error", err)
		switch {
		case s.hurry > 0:
			s.failed = append(s.failed, id)
		case !s.closing:
			s.enqueue(id, retryAfter)
		}
		return
	case left == nil:
		delete(s.open, id)
		for _, waiting := range s.missed[id] {
			s.enqueue(waiting, 0)
		}
		delete(s.missed, id)
	default:
		s.open[id] = &left.Open
		if !left.over { // else its last reader will tell
			s.wait(due{id, left.ended})
		}
	}
	if more && !s.closing {
		s.enqueue(id, linger)
	}
}

// wait has a stream looked at when its time is over.
func (s *Settler) wait(d due) {
	i, _ := slices.BinarySearchFunc(s.later, d.at, func(other due, at time.Time) int { return other.at.Compare(at) })
	for _, other := range s.later[i:] {
		if other.id == d.id {
			return
		}
		if !other.at.Equal(d.at) {
			break
		}
	}
	s.later = slices.Insert(s.later, i, d)
	if i == 0 {
		s.nudge() // it waits for longer than until then
	}
}

// nudge has run look at what is due anew.
func (s *Settler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Unsettled calls fn with what is not settled of each stream that has ended.
func (s *Settler) Unsettled(fn func(Open)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		fn(*o)
	}
}
