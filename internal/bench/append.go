package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// An engine is one way to keep events; the benchmark drives each with the same
// streams. open returns what makes a stream's append function and a function
// that closes all.
type engine struct {
	name string
	open func(dir string, sync bool) (newStream func() (func(event []byte) error, error), stop func() error, err error)
}

func engines() []engine {
	return []engine{
		{"file, a write per group", openFile},
		{"badger, a transaction per event", openPlainBadger},
		{"recoup stream log", openStreamLog},
	}
}

func openStreamLog(dir string, sync bool) (func() (func([]byte) error, error), func() error, error) {
	l, err := streamlog.Open(dir, streamlog.Options{Retention: time.Hour, SyncWrites: sync})
	if err != nil {
		return nil, nil, err
	}
	newStream := func() (func([]byte) error, error) {
		s, err := l.Create(streamlog.Header{Provider: "bench", Model: "bench", Streamed: true})
		if err != nil {
			return nil, err
		}
		events := make([]streamlog.Event, 1)
		return func(event []byte) error {
			events[0] = streamlog.Event{Data: event, Text: true}
			return s.Append(events)
		}, nil
	}
	return newStream, l.Close, nil
}

// openPlainBadger is what one would write first: a key and a transaction for
// each event, default options.
func openPlainBadger(dir string, sync bool) (func() (func([]byte) error, error), func() error, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(sync).WithLogger(nil))
	if err != nil {
		return nil, nil, err
	}
	newStream := func() (func([]byte) error, error) {
		id, err := streamlog.NewID()
		if err != nil {
			return nil, err
		}
		var seq uint64
		return func(event []byte) error {
			key := binary.BigEndian.AppendUint64(id[:16:16], seq)
			seq++
			return db.Update(func(txn *badger.Txn) error { return txn.Set(key, event) })
		}, nil
	}
	return newStream, db.Close, nil
}

// fileLog is the least that a durable log can do: one goroutine takes what is
// queued and writes it to a file with one call.
type fileLog struct {
	mu     sync.Mutex
	filled sync.Cond
	queue  []fileOp
	closed bool
}

type fileOp struct {
	event []byte
	done  chan error
}

func openFile(dir string, sync bool) (func() (func([]byte) error, error), func() error, error) {
	f, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, nil, err
	}
	l := &fileLog{}
	l.filled.L = &l.mu
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.write(f, sync)
	}()
	stop := func() error {
		l.mu.Lock()
		l.closed = true
		l.filled.Signal()
		l.mu.Unlock()
		<-ended
		return f.Close()
	}
	newStream := func() (func([]byte) error, error) {
		done := make(chan error, 1)
		return func(event []byte) error {
			l.mu.Lock()
			l.queue = append(l.queue, fileOp{event, done})
			l.filled.Signal()
			l.mu.Unlock()
			return <-done
		}, nil
	}
	return newStream, stop, nil
}

func (l *fileLog) write(f *os.File, sync bool) {
	var ops []fileOp
	var buf []byte
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.closed {
			l.filled.Wait()
		}
		ops, l.queue = l.queue, ops[:0]
		l.mu.Unlock()
		if len(ops) == 0 {
			return
		}
		buf = buf[:0]
		for _, o := range ops {
			buf = binary.AppendUvarint(buf, uint64(len(o.event)))
			buf = append(buf, o.event...)
		}
		_, err := f.Write(buf)
		if err == nil && sync {
			err = f.Sync()
		}
		for _, o := range ops {
			o.done <- err
		}
	}
}

// appendResult is one round of one engine.
type appendResult struct {
	events  int64
	payload int64
	elapsed time.Duration
	cpu     time.Duration
	disk    int64 // bytes that the files take on disk at the end
}

// appendRound drives one engine for about d: each of n streams appends an
// event, waits until that is acknowledged, and appends the next.
func appendRound(ctx context.Context, e engine, n int, d time.Duration, sync_ bool) (appendResult, error) {
	dir, err := os.MkdirTemp("", "recoup-bench-")
	if err != nil {
		return appendResult{}, err
	}
	defer os.RemoveAll(dir)
	newStream, stop, err := e.open(dir, sync_)
	if err != nil {
		return appendResult{}, fmt.Errorf("open %s: %w", e.name, err)
	}
	appends := make([]func([]byte) error, n)
	for i := range appends {
		if appends[i], err = newStream(); err != nil {
			return appendResult{}, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var r appendResult
	var events, payload atomic.Int64
	errs := make(chan error, n)
	began, cpu := time.Now(), cpuTime()
	var wg sync.WaitGroup
	for i, add := range appends {
		wg.Go(func() {
			pool := eventPool(uint64(i))
			for k := 0; ctx.Err() == nil; k++ {
				ev := pool[k%len(pool)]
				if err := add(ev); err != nil {
					errs <- err
					return
				}
				events.Add(1)
				payload.Add(int64(len(ev)))
			}
		})
	}
	wg.Wait()
	r.elapsed, r.cpu = time.Since(began), cpuTime()-cpu
	r.events, r.payload = events.Load(), payload.Load()
	if err := stop(); err != nil {
		return r, fmt.Errorf("close %s: %w", e.name, err)
	}
	r.disk = diskUsage(dir)
	select {
	case err := <-errs:
		return r, fmt.Errorf("%s: %w", e.name, err)
	default:
		return r, nil
	}
}

// eventPool makes events like those of a provider: a constant frame per stream,
// a word or two of text each, and the padding that OpenAI adds.
func eventPool(seed uint64) [][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	id := fmt.Sprintf("chatcmpl-%016x%08x", r.Uint64(), r.Uint32())
	pool := make([][]byte, 64)
	for i := range pool {
		text := make([]byte, 2+r.IntN(8))
		for k := range text {
			text[k] = "etaoin shrdlucmfwyp"[r.IntN(19)]
		}
		pad := make([]byte, 2+r.IntN(14))
		for k := range pad {
			pad[k] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[r.IntN(62)]
		}
		pool[i] = fmt.Appendf(nil, "data: {\"id\":%q,\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"gpt-5.5-2026-04-23\",\"service_tier\":\"default\",\"system_fingerprint\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"%s\"}\n\n", id, text, pad)
	}
	return pool
}
