package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// ReplayResult is how long it takes to read a stored stream from its start.
type ReplayResult struct {
	Events int     `json:"events"` // of each stream
	Stored int     `json:"streams_stored"`
	Reads  int     `json:"reads"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
}

const (
	replayEvents = 4000
	appendBatch  = 50 // events per Append where its speed is not what is measured
)

// replay stores streams, and reads whole ones at random.
func (r *runner) replay(ctx context.Context) (*ReplayResult, error) {
	r.say("replay: %d streams of %d events", r.plan.replayStreams, replayEvents)
	l, stop, err := r.scratchLog()
	if err != nil {
		return nil, err
	}
	defer stop()
	ids, err := fill(ctx, l, r.plan.replayStreams, replayEvents)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	res := &ReplayResult{Events: replayEvents, Stored: r.plan.replayStreams, Reads: r.plan.replays}
	times, err := r.readMany(ctx, l, ids, res.Reads, replayEvents)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	res.P50, res.P99 = milliseconds(quantile(times, .5)), milliseconds(quantile(times, .99))
	return res, nil
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// scratchLog opens an empty log; stop closes and removes it.
func (r *runner) scratchLog() (_ *streamlog.Log, stop func(), err error) {
	dir, err := os.MkdirTemp(r.dir, "log-")
	if err != nil {
		return nil, nil, err
	}
	l, err := streamlog.Open(dir, streamlog.Options{Retention: time.Hour})
	if err != nil {
		return nil, nil, err
	}
	return l, func() {
		_ = l.Close() // the figures have been taken
		_ = os.RemoveAll(dir)
	}, nil
}

// fill stores n ended streams. The pool of a stream's events is that of its
// place in ids.
func fill(ctx context.Context, l *streamlog.Log, n, events int) ([]streamlog.ID, error) {
	ids := make([]streamlog.ID, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(128)
	for i := range n {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			st, err := newStream(l)
			if err != nil {
				return err
			}
			defer st.Release()
			ids[i] = st.Header().ID
			if err := extend(st, storedPool(i), 0, events); err != nil {
				return err
			}
			_, err = st.Finish(streamlog.End{State: streamlog.Completed, Clean: true})
			return err
		})
	}
	return ids, group.Wait()
}

// storedPools are made once, since making one costs as much as reading a
// short stream.
var storedPools = sync.OnceValue(func() [][][]byte {
	pools := make([][][]byte, 256)
	for i := range pools {
		pools[i] = eventPool(i)
	}
	return pools
})

func storedPool(i int) [][]byte {
	pools := storedPools()
	return pools[i%len(pools)]
}

// extend appends the events from number from on, until there are to.
func extend(st *streamlog.Stream, pool [][]byte, from, to int) error {
	batch := make([]streamlog.Event, 0, appendBatch)
	for k := from; k < to; k++ {
		batch = append(batch, streamlog.Event{Data: pool[k%poolSize], Text: true})
		if len(batch) == appendBatch || k == to-1 {
			if err := st.Append(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

// readMany reads n streams of ids at random, whole, and times each.
func (r *runner) readMany(ctx context.Context, l *streamlog.Log, ids []streamlog.ID, n, events int) ([]time.Duration, error) {
	rnd := rand.New(rand.NewPCG(1, 2))
	times := make([]time.Duration, 0, n)
	got := make([][]byte, 0, events)
	for range n {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		i := rnd.IntN(len(ids))
		got = got[:0]
		began := time.Now()
		err := readStream(l, ids[i], 0, func(event []byte) error {
			got = append(got, event)
			return nil
		})
		times = append(times, time.Since(began))
		if err == nil {
			err = r.same(got, storedPool(i), events)
		}
		if err != nil {
			return nil, err
		}
	}
	return times, nil
}

// same checks that got is the first n events of a stream with this pool.
func (r *runner) same(got, pool [][]byte, n int) error {
	if len(got) != n {
		return fmt.Errorf("%w: %d events of %d", ErrDiffers, len(got), n)
	}
	var size int64
	for k, ev := range got {
		if !bytes.Equal(ev, pool[k%poolSize]) {
			return fmt.Errorf("%w: event %d", ErrDiffers, k)
		}
		size += int64(len(ev))
	}
	r.verified.add(1, int64(n), size)
	return nil
}

// ErrDiffers says that what was read is not what was written.
var ErrDiffers = errors.New("bench: bytes differ")
