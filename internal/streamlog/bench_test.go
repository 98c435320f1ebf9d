package streamlog

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAppend appends one event at a time to each of several streams, each
// of which waits for its commit: the closed loop of a gateway whose providers
// are infinitely fast.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, n := range []int{1, 100, 2000} {
			b.Run(fmt.Sprintf("sync=%v/streams=%d", sync, n), func(b *testing.B) {
				l := benchLog(b, sync)
				streams := make([]*Stream, n)
				each(streams, func(i int) { streams[i] = create(b, l) })
				b.SetBytes(int64(len(chunk(20))))
				b.ResetTimer()
				appendLoop(b, streams)
			})
		}
	}
}

// BenchmarkAppendDepth shows that what a stream or the log already holds does
// not slow an append down.
func BenchmarkAppendDepth(b *testing.B) {
	for _, held := range []int{100, 50_000} {
		b.Run(fmt.Sprintf("events=%d", held), func(b *testing.B) {
			l := benchLog(b, false)
			streams := make([]*Stream, 100)
			each(streams, func(i int) {
				streams[i] = create(b, l)
				appendBatches(b, streams[i], held/len(streams))
			})
			appendBatches(b, streams[0], held)
			b.ResetTimer()
			appendLoop(b, streams[:1])
		})
	}
	for _, stored := range []int{1_000, 20_000} {
		b.Run(fmt.Sprintf("stored=%d", stored), func(b *testing.B) {
			l := benchLog(b, false)
			each(make([]*Stream, stored), func(int) {
				s := create(b, l)
				appendBatches(b, s, 10)
				finish(b, s)
				s.Release()
			})
			streams := make([]*Stream, 100)
			each(streams, func(i int) { streams[i] = create(b, l) })
			b.ResetTimer()
			appendLoop(b, streams)
		})
	}
}

// BenchmarkReplay reads a stored stream of 4,000 events from the start.
func BenchmarkReplay(b *testing.B) {
	const events = 4000
	l := benchLog(b, false)
	s := create(b, l)
	size := appendBatches(b, s, events)
	finish(b, s)
	id := s.Header().ID
	s.Release()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		s, err := l.Get(alice, id)
		if err != nil {
			b.Fatal(err)
		}
		r, err := s.Reader(0)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			got, err := r.Read(64 << 10)
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			n += len(got)
		}
		if n != events {
			b.Fatalf("%d events", n)
		}
		r.Close()
		s.Release()
	}
}

func benchLog(b *testing.B, sync bool) *Log {
	b.Helper()
	l, err := Open(b.TempDir(), Options{SyncWrites: sync, Retention: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

// each calls fn for every place of s, 500 at a time.
func each(s []*Stream, fn func(i int)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(len(s), 500) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(s); i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

func appendLoop(b *testing.B, streams []*Stream) {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	event := []Event{{Data: chunk(20), Text: true}}
	for _, s := range streams {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := s.Append(event); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// appendBatches appends n events, 100 at a time, and returns their bytes.
func appendBatches(t testing.TB, s *Stream, n int) (size int) {
	var batch []Event
	for i := range n {
		batch = append(batch, Event{Data: chunk(i), Text: true})
		size += len(chunk(i))
		if len(batch) == 100 || i == n-1 {
			if err := s.Append(batch); err != nil {
				t.Error(err)
				return size
			}
			batch = batch[:0]
		}
	}
	return size
}

func finish(t testing.TB, s *Stream) {
	if _, err := s.Finish(End{State: Completed, Clean: true}); err != nil {
		t.Error(err)
	}
}
