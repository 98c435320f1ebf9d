package bench

import (
	"context"
	"sync"
)

// item is one event on its way into a group.
type item struct {
	stream uint32
	seq    uint64
	event  []byte
	done   chan error
}

// grouper is the one writer of an engine that commits in groups: it takes
// whatever is queued, without a timer; while it commits, the queue fills.
type grouper struct {
	mu     sync.Mutex
	filled sync.Cond
	queue  []item
	closed bool
	ended  chan struct{}
}

func newGrouper(commit func([]item) error) *grouper {
	g := &grouper{ended: make(chan struct{})}
	g.filled.L = &g.mu
	go func() {
		defer close(g.ended)
		g.write(commit)
	}()
	return g
}

func (g *grouper) write(commit func([]item) error) {
	var items []item
	for {
		g.mu.Lock()
		for len(g.queue) == 0 && !g.closed {
			g.filled.Wait()
		}
		items, g.queue = g.queue, items[:0]
		g.mu.Unlock()
		if len(items) == 0 {
			return
		}
		err := commit(items)
		for _, i := range items {
			i.done <- err
		}
	}
}

func (g *grouper) create(_ context.Context, n int) ([]appendFunc, error) {
	appends := make([]appendFunc, n)
	for i := range appends {
		it := item{stream: uint32(i), done: make(chan error, 1)}
		appends[i] = func(event []byte) error {
			it.event = event
			g.mu.Lock()
			g.queue = append(g.queue, it)
			g.filled.Signal()
			g.mu.Unlock()
			it.seq++
			return <-it.done
		}
	}
	return appends, nil
}

// stop writes what is queued and returns when the writer has ended.
func (g *grouper) stop() {
	g.mu.Lock()
	g.closed = true
	g.filled.Signal()
	g.mu.Unlock()
	<-g.ended
}
