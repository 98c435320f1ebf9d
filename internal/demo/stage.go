package demo

import (
	"context"
	"sync"
	"sync/atomic"
)

// stage is where agents and the demo meet.
type stage struct {
	deploy    *barrier // all who are to be cut have read so far
	cutOff    *barrier // all of them are cut, and the gateway has seen it
	ready     *barrier // all who are to see the gateway die read from it
	restarted *barrier // it is back; nobody has to arrive
	finished  atomic.Int64
}

func newStage() *stage {
	cut := count(func(r role) bool { return r.fate.cut() })
	last := count(func(r role) bool { return r.fate == killed })
	return &stage{deploy: newBarrier(cut), cutOff: newBarrier(cut), ready: newBarrier(last), restarted: newBarrier(0)}
}

// barrier holds agents until all have arrived, and the demo has opened it.
type barrier struct {
	mu      sync.Mutex
	missing int
	full    chan struct{} // closed when nobody is missing
	open    chan struct{}
}

func newBarrier(n int) *barrier {
	b := &barrier{missing: n, full: make(chan struct{}), open: make(chan struct{})}
	if n == 0 {
		close(b.full)
	}
	return b
}

// arrive says that one more has come.
func (b *barrier) arrive(ctx context.Context) error {
	b.mu.Lock()
	if b.missing--; b.missing == 0 {
		close(b.full)
	}
	b.mu.Unlock()
	return ctx.Err()
}

// reach arrives, and waits until the barrier is opened.
func (b *barrier) reach(ctx context.Context) error {
	if err := b.arrive(ctx); err != nil {
		return err
	}
	return b.wait(ctx)
}

func (b *barrier) wait(ctx context.Context) error { return await(ctx, b.open) }

// all waits until nobody is missing.
func (b *barrier) all(ctx context.Context) error { return await(ctx, b.full) }

func (b *barrier) lift() { close(b.open) }

func await(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
