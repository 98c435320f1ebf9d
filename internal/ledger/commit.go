package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	maxGroupBytes = 512 << 10 // a group takes operations until it holds this much
	maxGroupOps   = 1024
)

// Commit is what one group commit did.
type Commit struct {
	Postings int
	Entries  int
	Bytes    int           // of entries
	Duration time.Duration // of it all, both syncs included
}

// op is what one caller asks of the writer.
type op struct {
	drafts []draft
	deltas []delta
	index  func(first uint64) []keyValue // once the first draft's number is known
	done   chan error
	cost   int
}

// draft is an entry without its number.
type draft struct {
	kind string
	body []byte
}

type keyValue struct{ key, value []byte }

func (o *op) add(e *entry, deltas []delta) error {
	body, err := e.encode()
	if err != nil {
		return err
	}
	o.drafts = append(o.drafts, draft{e.Kind, body})
	o.deltas = append(o.deltas, deltas...)
	o.cost += len(body)
	return nil
}

// queue is the line in front of the writer. It is no longer than there are
// callers, since each waits for its operation, or for summariesAtOnce of them.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond
	ops    []*op
	closed bool
	err    error
}

func (q *queue) submit(o *op) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	if q.closed {
		return ErrClosed
	}
	q.ops = append(q.ops, o)
	q.filled.Signal()
	return nil
}

// take returns what is waiting, as much as a group may hold; nothing once the queue
// has failed, or is closed and empty.
func (q *queue) take(ops []*op) []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ops) == 0 && !q.closed && q.err == nil {
		q.filled.Wait()
	}
	n, bytes := 0, 0
	for n < len(q.ops) && n < maxGroupOps && bytes < maxGroupBytes {
		bytes += q.ops[n].cost
		n++
	}
	ops = append(ops, q.ops[:n]...)
	rest := copy(q.ops, q.ops[n:])
	clear(q.ops[rest:])
	q.ops = q.ops[:rest]
	return ops
}

// fail makes err the answer to all that waits and all that comes.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range q.ops {
		o.done <- err
	}
	q.ops, q.err = nil, err
	q.filled.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

func (q *queue) state() (waiting int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ops), q.err
}

// write is the writer: the one goroutine that commits. It takes whatever is
// queued, without waiting for more: while it commits, the queue fills.
func (l *Ledger) write() {
	var ops []*op
	for {
		ops = l.queue.take(ops[:0])
		if len(ops) == 0 {
			return
		}
		if err := l.commit(ops); err != nil {
			// What was stored is not known: nothing may follow it.
			l.opts.Logger.Error("the ledger has failed and takes nothing more", "error", err)
			l.queue.fail(err)
			for _, o := range ops {
				o.done <- err
			}
			return
		}
		for _, o := range ops {
			o.done <- nil
		}
		clear(ops)
	}
}

// commit stores a group: one transaction, then the anchor, each with its sync.
func (l *Ledger) commit(ops []*op) error {
	began := time.Now()
	head, c := l.Head(), Commit{Postings: len(ops)}
	txn := l.db.NewTransaction(true)
	defer txn.Discard()
	changed := sums{}
	for _, o := range ops {
		first := head.Seq + 1
		for _, d := range o.drafts {
			head = Head{head.Seq + 1, chain(head.Hash, head.Seq+1, d.body)}
			if err := txn.Set(entryKey(head.Seq), append(head.Hash[:], d.body...)); err != nil {
				return fmt.Errorf("ledger: entry %d: %w", head.Seq, err)
			}
			c.Entries++
			c.Bytes += len(head.Hash) + len(d.body)
		}
		for _, kv := range o.index(first) {
			if err := txn.Set(kv.key, kv.value); err != nil {
				return fmt.Errorf("ledger: index of entry %d: %w", first, err)
			}
		}
		l.accumulate(changed, o.deltas)
	}
	for key, t := range changed {
		if err := txn.Set([]byte(key), t.encode()); err != nil {
			return fmt.Errorf("ledger: totals: %w", err)
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("ledger: commit: %w", err)
	}
	if l.logger.Unsynced() {
		return errors.New("ledger: commit: the value log can't be synced")
	}
	if err := l.anchor.write(head); err != nil {
		return err
	}
	l.publish(head, changed)
	c.Duration = time.Since(began)
	if l.opts.OnCommit != nil {
		l.opts.OnCommit(c)
	}
	return nil
}

// accumulate adds deltas to what the tallies are, into changed.
func (l *Ledger) accumulate(changed sums, deltas []delta) {
	for _, d := range deltas {
		t, ok := changed[d.key]
		if !ok {
			t = l.tallies.get(d.key)
		}
		changed[d.key] = t.plus(d)
	}
}

// publish makes a committed group visible.
func (l *Ledger) publish(head Head, changed sums) {
	l.tallies.set(changed)
	l.headMu.Lock()
	l.head = head
	l.headMu.Unlock()
}

func encodeSeq(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func decodeSeq(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// keyedLocks are locks by name. Those that nobody holds take no memory.
type keyedLocks struct {
	mu   sync.Mutex
	held map[string]*keyedLock
}

type keyedLock struct {
	mu    sync.Mutex
	users int
}

// lock returns what unlocks it.
func (k *keyedLocks) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*keyedLock{}
	}
	one := k.held[key]
	if one == nil {
		one = &keyedLock{}
		k.held[key] = one
	}
	one.users++
	k.mu.Unlock()
	one.mu.Lock()
	return func() {
		one.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(k.held, key)
		}
	}
}
