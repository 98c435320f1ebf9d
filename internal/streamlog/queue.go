package streamlog

import "sync"

const (
	maxGroupBytes  = 512 << 10 // a group takes operations until it holds this much
	maxQueuedBytes = 64 << 20  // who comes when this much waits for the writer, waits too
	opOverhead     = 64        // bytes that an operation costs beside its records
	keyOverhead    = 128       // bytes that a key costs beside itself and its value
	maxOpBytes     = 16 << 20  // records of one operation: a journal frame and a block must fit into a value
)

// op is what one caller asks of the writer: records of one stream, committed
// together with the keys by which they are found.
type op struct {
	stream  *Stream
	data    []byte   // the encoded records, as they stand in the stream's tail
	from    progress // before them
	to      progress // after them
	whole   uint64   // as in tail, after them
	events  int      // among them
	keys    []keyValue
	head    *Head      // the response head, if that is among the records
	retries []Attempt  // all attempts but the first, if the last of them is
	end     *End       // the end, if that is
	flush   bool       // nobody holds the stream any more
	settled bool       // nothing is owed for the stream any more
	done    chan error // nil: nobody waits
	cost    int        // bytes of memory, and of a transaction
}

// measure sets o.cost. A transaction may hold about 1.2 MiB and 13,000 keys,
// and a group must stay below that also when it is all beginnings and ends.
func (o *op) measure() {
	o.cost = len(o.data) + opOverhead
	for _, kv := range o.keys {
		o.cost += len(kv.key) + min(len(kv.value), valueThreshold) + keyOverhead
	}
}

// keyValue is a key to set, or to delete if gone.
type keyValue struct {
	key, value []byte
	gone       bool
}

// queue is the line in front of the writer.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond // ops came, or the queue was closed
	drawn  sync.Cond // ops were taken
	ops    []*op
	bytes  int
	closed bool
	err    error
}

func (q *queue) init() { q.filled.L, q.drawn.L = &q.mu, &q.mu }

// admit waits until the line is short enough to take more. It comes before
// submit, which must not wait: its callers hold a lock that the writer needs. So
// the line may grow beyond its length by what is between the two, at most one
// operation of each caller.
func (q *queue) admit() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > maxQueuedBytes && !q.closed && q.err == nil {
		q.drawn.Wait()
	}
	return q.state()
}

func (q *queue) state() error {
	if q.err == nil && q.closed {
		return ErrClosed
	}
	return q.err
}

// submit puts o in the line.
func (q *queue) submit(o *op) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.state(); err != nil {
		return err
	}
	o.measure()
	q.ops = append(q.ops, o)
	q.bytes += o.cost
	if len(q.ops) == 1 {
		q.filled.Signal()
	}
	return nil
}

// take appends to ops what is waiting, as much as a group may hold. Where
// nothing waits it returns at once if the writer has other work, else it blocks.
// more is false once the queue is closed and empty.
func (q *queue) take(ops []*op, otherWork bool) (_ []*op, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ops) == 0 && !q.closed && !otherWork {
		q.filled.Wait()
	}
	n, bytes := 0, 0
	for n < len(q.ops) && bytes < maxGroupBytes {
		bytes += q.ops[n].cost
		n++
	}
	ops = append(ops, q.ops[:n]...)
	rest := copy(q.ops, q.ops[n:])
	clear(q.ops[rest:])
	q.ops = q.ops[:rest]
	if q.bytes > maxQueuedBytes {
		q.drawn.Broadcast()
	}
	q.bytes -= bytes
	return ops, n > 0 || !q.closed
}

// fail makes err the answer to all that waits and all that comes.
func (q *queue) fail(err error) {
	q.mu.Lock()
	ops := q.ops
	q.ops, q.bytes, q.err = nil, 0, err
	q.drawn.Broadcast()
	q.mu.Unlock()
	for _, o := range ops {
		if o.done != nil {
			o.done <- err
		}
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
	q.drawn.Broadcast()
}

func (q *queue) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}
