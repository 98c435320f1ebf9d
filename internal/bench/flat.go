package bench

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// FlatResult is a cost at two sizes of something that it should not depend on.
type FlatResult struct {
	What  string  `json:"what"`
	Cost  string  `json:"cost"` // what Small and Large are
	Small float64 `json:"small"`
	Large float64 `json:"large"`
	Ratio float64 `json:"ratio"` // large to small, median of the rounds
}

type flatRound struct{ small, large float64 }

func flatOf(what, cost string, rounds []flatRound) FlatResult {
	return FlatResult{
		What: what, Cost: cost,
		Small: medianOf(rounds, func(f flatRound) float64 { return f.small }),
		Large: medianOf(rounds, func(f flatRound) float64 { return f.large }),
		Ratio: medianOf(rounds, func(f flatRound) float64 { return ratio(f.large, f.small) }),
	}
}

const (
	shortStream = 100
	flatStreams = 16   // that grow at the same time
	flatEvents  = 1500 // by which each of them grows in a window, one at a time
	flatReads   = 300
)

// flat measures whether the cost of an event depends on the events before it,
// and on the streams that are stored.
func (r *runner) flat(ctx context.Context) ([]FlatResult, error) {
	length, err := r.flatInLength(ctx)
	if err != nil {
		return nil, fmt.Errorf("flat in the length of a stream: %w", err)
	}
	stored, err := r.flatInStreams(ctx)
	if err != nil {
		return nil, fmt.Errorf("flat in the number of streams: %w", err)
	}
	return append(length, stored...), nil
}

func (r *runner) flatInLength(ctx context.Context) ([]FlatResult, error) {
	r.say("cost of an event after %d and after %d events", shortStream, r.plan.long)
	l, stop, err := r.scratchLog()
	if err != nil {
		return nil, err
	}
	defer stop()
	long, err := grown(ctx, l, r.plan.long)
	if err != nil {
		return nil, err
	}
	at := r.plan.long
	var appends, reads []flatRound
	for range r.plan.flatRounds {
		short, err := grown(ctx, l, shortStream)
		if err != nil {
			return nil, err
		}
		var a, rd flatRound
		if a.small, err = grow(ctx, short, shortStream); err != nil {
			return nil, err
		}
		if a.large, err = grow(ctx, long, at); err != nil {
			return nil, err
		}
		at += flatEvents
		if rd.small, err = r.tailRead(l, short, shortStream+flatEvents); err != nil {
			return nil, err
		}
		if rd.large, err = r.tailRead(l, long, at); err != nil {
			return nil, err
		}
		for _, st := range short {
			if _, err := st.Finish(streamlog.End{State: streamlog.Completed}); err != nil {
				return nil, err
			}
			st.Release()
		}
		appends, reads = append(appends, a), append(reads, rd)
	}
	what := fmt.Sprintf("length of the stream: %d, %d events", shortStream, r.plan.long)
	return []FlatResult{
		flatOf(what, "append, CPU ms per 1,000 events", appends),
		flatOf(what, "read of the last 100 events, CPU ms", reads),
	}, nil
}

// grown makes streams of n events.
func grown(ctx context.Context, l *streamlog.Log, n int) ([]*streamlog.Stream, error) {
	streams := make([]*streamlog.Stream, flatStreams)
	group, _ := errgroup.WithContext(ctx)
	for i := range streams {
		group.Go(func() (err error) {
			if streams[i], err = newStream(l); err != nil {
				return err
			}
			return extend(streams[i], storedPool(i), 0, n)
		})
	}
	return streams, group.Wait()
}

// grow appends flatEvents events to each of the streams, one by one, and
// returns the CPU time that 1,000 of them took, in ms.
func grow(ctx context.Context, streams []*streamlog.Stream, from int) (float64, error) {
	cpu := ownCPU()
	group, ctx := errgroup.WithContext(ctx)
	for i, st := range streams {
		pool := storedPool(i)
		group.Go(func() error {
			for k := range flatEvents {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := extend(st, pool, from+k, from+k+1); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return (ownCPU() - cpu).Seconds() * 1e6 / float64(len(streams)*flatEvents), err
}

// tailRead reads the last 100 events of streams that hold n, many times, and
// returns the CPU time of one such read, in ms.
func (r *runner) tailRead(l *streamlog.Log, streams []*streamlog.Stream, n int) (float64, error) {
	const last = 100
	got := make([][]byte, 0, last)
	cpu := ownCPU()
	for k := range flatReads {
		got = got[:0]
		id := streams[k%len(streams)].Header().ID
		if err := readStream(l, id, uint64(n-last), func(ev []byte) error {
			got = append(got, ev)
			return nil
		}); err != nil {
			return 0, err
		}
	}
	cost := (ownCPU() - cpu).Seconds() * 1e3 / flatReads
	if len(got) != last {
		return 0, fmt.Errorf("%w: %d events of %d", ErrDiffers, len(got), last)
	}
	pool := storedPool((flatReads - 1) % len(streams))
	for k, ev := range got {
		if string(ev) != string(pool[(n-last+k)%poolSize]) {
			return 0, fmt.Errorf("%w: event %d", ErrDiffers, n-last+k)
		}
	}
	return cost, nil
}

const storedEvents = 20 // of each stored stream

// flatInStreams compares a log that holds a few streams with one that holds
// many: to store one more, and to find and read one of them.
func (r *runner) flatInStreams(ctx context.Context) ([]FlatResult, error) {
	r.say("cost of a stream with %d and with %d stored", r.plan.few, r.plan.many)
	few, stopFew, err := r.scratchLog()
	if err != nil {
		return nil, err
	}
	defer stopFew()
	many, stopMany, err := r.scratchLog()
	if err != nil {
		return nil, err
	}
	defer stopMany()
	idsFew, err1 := fill(ctx, few, r.plan.few, storedEvents)
	idsMany, err2 := fill(ctx, many, r.plan.many, storedEvents)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	var stores, reads []flatRound
	for range r.plan.flatRounds {
		var s, rd flatRound
		for _, side := range []struct {
			l           *streamlog.Log
			ids         []streamlog.ID
			store, read *float64
		}{{few, idsFew, &s.small, &rd.small}, {many, idsMany, &s.large, &rd.large}} {
			cpu := ownCPU()
			if _, err := fill(ctx, side.l, flatReads, storedEvents); err != nil {
				return nil, err
			}
			*side.store = (ownCPU() - cpu).Seconds() * 1e6 / (flatReads * storedEvents)
			cpu = ownCPU()
			if _, err := r.readMany(ctx, side.l, side.ids, flatReads, storedEvents); err != nil {
				return nil, err
			}
			*side.read = (ownCPU() - cpu).Seconds() * 1e3 / flatReads
		}
		stores, reads = append(stores, s), append(reads, rd)
	}
	what := fmt.Sprintf("streams stored: %d, %d", r.plan.few, r.plan.many)
	return []FlatResult{
		flatOf(what, fmt.Sprintf("store another of %d events, CPU ms per 1,000 events", storedEvents), stores),
		flatOf(what, "find and read one, CPU ms", reads),
	}, nil
}
