package simulator

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/http"
	"slices"
	"sync"
)

// Options configure a Simulator. The zero value is useful.
type Options struct {
	Default       Script   // for requests that no other script applies to
	Deterministic bool     // same seed and body: same answer, ids and all but the request id
	Seed          uint64   // with Deterministic
	Keys          []string // credentials that are accepted; none: any
	Recordings    string   // folder with index.csv, for scripts that name a Replay
	Keep          int      // entries that the bill has at most, the newest; 0: all. One that runs stays, and all after it

	// BillExtraOn says how much is added to a script's BillExtra, whichever script
	// the request gets: a bill that is wrong on purpose, for who checks bills. It
	// is called from handlers, possibly at once.
	BillExtraOn func(*http.Request) int

	// Price is what tokens of a kind cost ("input", "cache_read", "cache_write_5m",
	// "cache_write_1h", "output"; "web_search" is not of tokens), in decimal dollars, for
	// the report of costs; nil: there are none. Report may change what the reports say. Both are called from
	// handlers, possibly at once.
	Price  func(r *Reported, kind string, tokens int) string
	Report func([]Reported) []Reported
}

// Simulator is one provider. Its methods may be called from any goroutine.
type Simulator struct {
	opts  Options
	nonce uint64

	recordings func() ([]Recording, error) // read once, when first named

	mu       sync.Mutex
	queue    []Script
	hook     func(*http.Request, []byte) *Script
	entries  []*Entry
	dropped  int // entries before them, which Options.Keep has no room for
	inFlight int
	stalled  int
	release  chan struct{} // closed by Release, then replaced
	changed  chan struct{} // closed at every change of the above, then replaced
}

// New returns a provider that isn't listening yet. It panics if the default
// script is invalid.
func New(opts Options) *Simulator {
	if err := opts.Default.validate(); err != nil {
		panic("simulator: Options.Default: " + err.Error())
	}
	s := &Simulator{
		opts:    opts,
		nonce:   opts.Seed,
		release: make(chan struct{}),
		changed: make(chan struct{}),
	}
	if !opts.Deterministic {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		s.nonce = binary.LittleEndian.Uint64(b[:])
	}
	s.recordings = sync.OnceValues(func() ([]Recording, error) { return Recordings(opts.Recordings) })
	return s
}

// Handler serves the provider's API without a server of ours. Scripts that
// stall then end by Release or with their client.
func (s *Simulator) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Next queues scripts, one for each of the next generating calls (POSTs other
// than embeddings and echo) in order of arrival. It panics on an invalid one.
func (s *Simulator) Next(scripts ...Script) {
	for i := range scripts {
		if err := scripts[i].validate(); err != nil {
			panic("simulator: Next: " + err.Error())
		}
	}
	s.update(func() { s.queue = append(s.queue, scripts...) })
}

// On sets the hook that is asked for a script when the queue is empty; nil
// from it means no opinion. It is called from handlers, possibly at once.
func (s *Simulator) On(hook func(*http.Request, []byte) *Script) {
	s.update(func() { s.hook = hook })
}

// Bill is a copy of all entries in order of arrival, those still running
// included: their counts are those of their last stall, and nothing is billed yet.
func (s *Simulator) Bill() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	bill := make([]Entry, len(s.entries))
	for i, e := range s.entries {
		bill[i] = *e
		bill[i].Header = e.Header.Clone()
	}
	return bill
}

// open adds an entry. It is called under the lock.
func (s *Simulator) open(e *Entry) {
	e.Seq = s.dropped + len(s.entries)
	s.entries = append(s.entries, e)
	for s.opts.Keep > 0 && len(s.entries) > s.opts.Keep && !s.entries[0].Ended.IsZero() {
		s.entries[0] = nil // the array stays for a while
		s.entries = s.entries[1:]
		s.dropped++
	}
}

// Calls is how many requests have arrived, whatever their path and fate.
func (s *Simulator) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped + len(s.entries)
}

// Release lets every request that is stalled now go on, and says how many.
func (s *Simulator) Release() int {
	var n int
	s.update(func() {
		n = s.stalled
		close(s.release)
		s.release = make(chan struct{})
	})
	return n
}

// Reset forgets the bill, the queue and the hook. Requests in flight go on,
// but are on no bill any more.
func (s *Simulator) Reset() {
	s.update(func() { s.entries, s.dropped, s.queue, s.hook = nil, 0, nil, nil })
}

// WaitIdle returns when no request is in flight, so that the bill is final.
// It returns the context's error if that comes first.
func (s *Simulator) WaitIdle(ctx context.Context) error {
	return s.wait(ctx, func() bool { return s.inFlight == 0 })
}

// WaitCalls returns when at least n requests have arrived.
func (s *Simulator) WaitCalls(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.dropped+len(s.entries) >= n })
}

// WaitStalled returns when at least n requests are stalled at once: all that
// comes before their stall has been written.
func (s *Simulator) WaitStalled(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.stalled >= n })
}

// WaitEnded returns when at least n requests of the bill are final.
func (s *Simulator) WaitEnded(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool {
		running := 0
		for _, e := range s.entries {
			if e.Ended.IsZero() {
				running++
			}
		}
		return s.dropped+len(s.entries)-running >= n
	})
}

func (s *Simulator) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// update changes the state under the lock and wakes who waits for it.
func (s *Simulator) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// takeQueued pops the queue.
func (s *Simulator) takeQueued() *Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	next := s.queue[0]
	s.queue = slices.Delete(s.queue, 0, 1)
	return &next
}

func (s *Simulator) currentHook() func(*http.Request, []byte) *Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hook
}
