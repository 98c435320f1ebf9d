package report_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// fill posts attempts as they are in a real day: of 20 models and 10 teams, two in three
// broken, half a second apart.
func fill(b testing.TB, l *ledger.Ledger, n int) {
	var kinds []ledger.Posting
	for _, x := range histories.Examples() {
		o := one{n: 1, at: noon, history: x.History}
		p, err := o.posting()
		if err != nil {
			b.Fatal(err)
		}
		kinds = append(kinds, p)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if _, err := l.Post(numbered(kinds[i%len(kinds)], i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// numbered is a posting for another attempt.
func numbered(p ledger.Posting, i int) ledger.Posting {
	after := time.Duration(i) * 500 * time.Millisecond
	p.Attempt.Stream, p.Attempt.At, p.Attempt.Ended = streamOf(i), noon.Add(after), noon.Add(after+20*time.Second)
	p.Attempt.Model, p.Attempt.Tags = fmt.Sprintf("model-%d", i%20), map[string]string{"team": fmt.Sprintf("team-%d", i%10)}
	p.Broken = append([]ledger.Break(nil), p.Broken...)
	for k := range p.Broken {
		p.Broken[k].At = p.Broken[k].At.Add(after)
	}
	return p
}

// The numbers to reach, of the largest books.
const (
	mostTime   = 5 * time.Second
	mostMemory = 300 << 20
)

// BenchmarkMake audits books of 10,000 and 100,000 attempts, with RECOUP_FULL also of
// 1,000,000, by four dimensions at once, and reads them from disk each time.
func BenchmarkMake(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("RECOUP_FULL") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			l, err := ledger.Open(dir, ledger.Options{})
			if err != nil {
				b.Fatal(err)
			}
			fill(b, l, n)
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				measure(b, dir, n)
			}
		})
	}
}

func measure(b *testing.B, dir string, n int) {
	runtime.GC()
	debug.FreeOSMemory()
	peak := watchHeap()
	began, cpu := time.Now(), cpuTime(b)
	l, err := ledger.OpenReadOnly(dir, ledger.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r, err := report.Make(b.Context(), report.Sources{Ledger: l, Prices: pricing.Embedded()}, report.Query{By: []report.Dimension{report.ByModel, report.ByProvider, report.Tag("team"), report.ByCause}})
	took, used := time.Since(began), cpuTime(b)-cpu
	most := peak()
	if err != nil || r.Total.Attempts != int64(n) {
		b.Fatalf("%v, %v", r, err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(took.Seconds(), "s/audit")
	b.ReportMetric(used.Seconds(), "cpu-s/audit")
	b.ReportMetric(float64(used.Microseconds())/float64(n), "cpu-us/attempt")
	b.ReportMetric(float64(most)/(1<<20), "MiB")
	// One goroutine does it, so where nothing else runs it takes no longer than its CPU.
	if used > mostTime || most > mostMemory {
		b.Errorf("%d attempts took %v of CPU and %d MiB, at most %v and %d MiB", n, used, most>>20, mostTime, mostMemory>>20)
	}
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap begins to look at what the process holds; what it returns ends that, and
// is the most there was.
func watchHeap() func() uint64 {
	stop, done := make(chan struct{}), make(chan struct{})
	var most uint64
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.Sys-m.HeapReleased)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return most
	}
}
