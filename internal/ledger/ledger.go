package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/badgerfile"
)

// Options are how a ledger is opened. The zero value is good.
type Options struct {
	Logger   *slog.Logger // nil: slog.Default
	OnCommit func(Commit) // called by the writer after each commit; must be quick
	// Reanchor accepts books of which the anchor is missing or can't be read, once
	// all of the chain has been verified. A lost tail can't be seen then.
	Reanchor bool
}

// Ledger is the books. It is safe for concurrent use.
type Ledger struct {
	opts     Options
	readOnly bool
	dir      string
	lockFile *os.File
	db       *badger.DB
	logger   *badgerfile.Logger
	cleanUp  func() error // removes the copy that is read; or nil
	anchored Head         // what the anchor said when the ledger was opened
	noAnchor error        // or why it said nothing; only if readOnly

	unscrubbed []badgerfile.Table // by Open; the newest first

	queue   queue
	keyed   keyedLocks
	tallies tallies
	labels  sync.Map // of tagged counters, by their text
	anchor  *anchor  // the writer's
	headMu  sync.Mutex
	head    Head
	writing sync.WaitGroup

	life    sync.Mutex
	closed  bool
	using   sync.WaitGroup // calls under way
	closing chan struct{}

	summarising  sync.RWMutex  // held to remove what was summarised, and to read all there is
	posting      sync.RWMutex  // held to post; alone, to cut, and to remove
	cutAt        atomic.Uint64 // the last entry that was summarised
	closedBefore atomic.Int64  // unix ms: what was accepted before may have been summarised; 0: nothing was

	imbalances      atomic.Int64
	imbalanceTokens atomic.Int64
}

// Stats are the ledger's own figures.
type Stats struct {
	Head            Head
	Queued          int   // postings that wait for the writer
	Imbalances      int64 // postings refused since Open because they didn't balance
	ImbalanceTokens int64 // by how many tokens, without signs
	Err             error // of the commit that failed, if one did
}

// Stats returns the ledger's own figures.
func (l *Ledger) Stats() Stats {
	s := Stats{Head: l.Head(), Imbalances: l.imbalances.Load(), ImbalanceTokens: l.imbalanceTokens.Load()}
	s.Queued, s.Err = l.queue.state()
	return s
}

// Head returns the last entry that is durable and anchored.
func (l *Ledger) Head() Head {
	l.headMu.Lock()
	defer l.headMu.Unlock()
	return l.head
}

// enter begins a call that needs the database; leave ends it.
func (l *Ledger) enter() error {
	l.life.Lock()
	defer l.life.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.using.Add(1)
	return nil
}

func (l *Ledger) leave() { l.using.Done() }

// Close waits for what is being posted, ends iterations with ErrClosed, and closes
// the database. It may be called again.
func (l *Ledger) Close() error {
	l.life.Lock()
	if l.closed {
		l.life.Unlock()
		return nil
	}
	l.closed = true
	close(l.closing)
	l.life.Unlock()
	l.using.Wait()
	l.queue.close()
	l.writing.Wait()
	return l.release()
}

// release gives back what is open.
func (l *Ledger) release() error {
	var errs []error
	if l.db != nil {
		if err := l.db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("ledger: close: %w", err))
		}
	}
	if l.anchor != nil {
		errs = append(errs, l.anchor.f.Close())
	}
	if l.cleanUp != nil {
		errs = append(errs, l.cleanUp())
	}
	if l.lockFile != nil {
		errs = append(errs, l.lockFile.Close())
	}
	return errors.Join(errs...)
}
