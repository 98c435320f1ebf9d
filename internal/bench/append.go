package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// AppendResult is what one engine did, as medians of the rounds.
type AppendResult struct {
	Engine          string  `json:"engine"`
	SyncWrites      bool    `json:"sync_writes"`
	EventsPerSecond float64 `json:"events_per_second"`
	CPUPerThousand  float64 `json:"cpu_ms_per_1000_events"` // with the load, and with closing
	DiskPerByte     float64 `json:"disk_bytes_per_payload_byte"`

	rounds []appendRound
}

// appendRound is one round of one engine.
type appendRound struct {
	perSecond float64
	cpu       float64 // ms per 1,000 events
	disk      float64 // bytes per payload byte
}

// sampleEvery says which streams of a log are read back.
const sampleEvery = 40

// appends drives all engines in turns.
func (r *runner) appends(ctx context.Context) ([]AppendResult, error) {
	var results []AppendResult
	for _, synced := range []bool{false, true} {
		for _, e := range engines() {
			if e.compared || r.plan.record && !synced {
				results = append(results, AppendResult{Engine: e.name, SyncWrites: synced})
			}
		}
	}
	for round := range r.plan.rounds {
		for i := range results {
			res := &results[(i+round)%len(results)]
			e := engineNamed(res.Engine)
			r.say("append, round %d of %d: %s, sync_writes %t", round+1, r.plan.rounds, e.name, res.SyncWrites)
			one, err := r.append(ctx, e, res.SyncWrites)
			if err != nil {
				return nil, fmt.Errorf("append: %s: %w", e.name, err)
			}
			res.rounds = append(res.rounds, one)
		}
	}
	for i := range results {
		res := &results[i]
		res.EventsPerSecond = medianOf(res.rounds, func(a appendRound) float64 { return a.perSecond })
		res.CPUPerThousand = medianOf(res.rounds, func(a appendRound) float64 { return a.cpu })
		res.DiskPerByte = medianOf(res.rounds, func(a appendRound) float64 { return a.disk })
	}
	return results, nil
}

func engineNamed(name string) engine {
	for _, e := range engines() {
		if e.name == name {
			return e
		}
	}
	panic("bench: no engine " + name) // names are constants of this package
}

// append drives one engine for about the plan's time: each stream appends an
// event, waits until it is stored, and appends the next. CPU is counted until the
// engine is closed, so what it has put off is counted as well.
func (r *runner) append(ctx context.Context, e engine, synced bool) (_ appendRound, err error) {
	dir, err := os.MkdirTemp(r.dir, "append-")
	if err != nil {
		return appendRound{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the runner removes what is left
	st, err := e.open(dir, synced)
	if err != nil {
		return appendRound{}, err
	}
	appends, err := st.create(ctx, r.plan.appendStreams)
	if err != nil {
		return appendRound{}, firstError(err, st.close())
	}
	w := writing{appends: appends, counts: make([]int, len(appends)), pools: make([][][]byte, len(appends))}
	for i := range w.pools {
		w.pools[i] = eventPool(i)
	}
	runtime.GC() // what the engine before has left is not this one's
	err = w.closedLoop(ctx, r.plan.appendTime/4)
	warm := w.events()
	began, cpu := time.Now(), ownCPU()
	if err == nil {
		err = w.closedLoop(ctx, r.plan.appendTime)
	}
	elapsed := time.Since(began)
	if err := firstError(err, st.close(), context.Cause(ctx)); err != nil {
		return appendRound{}, err
	}
	cpu = ownCPU() - cpu
	r.verified.add(0, int64(w.events()), 0)
	events := float64(w.events() - warm)
	one := appendRound{
		perSecond: events / elapsed.Seconds(),
		cpu:       ratio(cpu.Seconds()*1e6, events),
		disk:      ratio(float64(diskUsage(dir)), float64(w.bytes())),
	}
	return one, r.readBack(st, w)
}

// writing is streams that append the events of their pools over and over.
type writing struct {
	appends []appendFunc
	pools   [][][]byte
	counts  []int // events of each stream that are stored
}

func (w writing) events() (n int) {
	for _, c := range w.counts {
		n += c
	}
	return n
}

func (w writing) bytes() (n int64) {
	for i, pool := range w.pools {
		for k, ev := range pool {
			n += int64(len(ev)) * int64((w.counts[i]+len(pool)-1-k)/len(pool))
		}
	}
	return n
}

// closedLoop runs all streams for d.
func (w writing) closedLoop(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	failed := make(chan error, len(w.appends))
	var wg sync.WaitGroup
	for i, add := range w.appends {
		wg.Go(func() {
			pool, n := w.pools[i], w.counts[i]
			for ; ctx.Err() == nil; n++ {
				if err := add(pool[n%len(pool)]); err != nil {
					failed <- err
					break
				}
			}
			w.counts[i] = n
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// readBack compares a sample of what a closed store holds with what was
// acknowledged: nothing less, nothing else, nothing more.
func (r *runner) readBack(st store, w writing) error {
	seen := map[int]int{}
	var size int64
	err := st.read(
		func(stream int) bool { return stream%sampleEvery == 0 },
		func(stream int, event []byte) error {
			n := seen[stream]
			if want := w.pools[stream][n%poolSize]; !bytes.Equal(event, want) {
				return fmt.Errorf("%w: stream %d, event %d is %q, stored was %q", ErrDiffers, stream, n, event, want)
			}
			seen[stream]++
			size += int64(len(event))
			return nil
		})
	if err != nil {
		return err
	}
	for stream, want := range w.counts {
		if stream%sampleEvery == 0 && seen[stream] != want {
			return fmt.Errorf("%w: stream %d has %d events, %d were stored", ErrDiffers, stream, seen[stream], want)
		}
	}
	r.verified.add(int64(len(seen)), 0, size)
	return nil
}

func medianOf[T any](rounds []T, of func(T) float64) float64 {
	v := make([]float64, len(rounds))
	for i, x := range rounds {
		v[i] = of(x)
	}
	return median(v)
}

// medianRatio is the median of the ratios within each round.
func medianRatio[T any](a, b []T, of func(T) float64) float64 {
	var v []float64
	for i := range min(len(a), len(b)) {
		if base := of(b[i]); base > 0 {
			v = append(v, of(a[i])/base)
		}
	}
	return median(v)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
