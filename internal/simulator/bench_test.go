//go:build unix

package simulator_test

import (
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// BenchmarkFlatOut is one stream as fast as one client reads it; an op is an event.
func BenchmarkFlatOut(b *testing.B) {
	for _, perWrite := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("events_per_write=%d", perWrite), func(b *testing.B) {
			f := start(b, simulator.Options{Default: simulator.Script{Tokens: b.N, EventsPerWrite: perWrite}})
			b.ReportAllocs()
			b.ResetTimer()
			resp := f.open(f.request(b.Context(), chatPath, chatStream))
			n, err := io.Copy(io.Discard, resp.Body)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(n / int64(b.N))
		})
	}
}

// BenchmarkPaced is 500 streams of 50 events a second; an op is an event, and
// what matters is cpu-ns/op, which includes the clients.
func BenchmarkPaced(b *testing.B) {
	const streams = 500
	each := max(1, b.N/streams)
	f := start(b, simulator.Options{Default: simulator.Script{Tokens: each, Interval: 20 * time.Millisecond}})
	before := cpu(b)
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			resp, err := f.client.Do(f.request(b.Context(), chatPath, chatStream))
			if err != nil {
				b.Error(err)
				return
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(cpu(b)-before)/float64(streams*each), "cpu-ns/op")
}

// cpu is what the process has used so far.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
