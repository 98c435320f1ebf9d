package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// evidence is about what a history of one break and its resume takes.
var evidence = json.RawMessage(`{"f":{"in":{"input":2000},"g":1500,"term":41,"s":1,"oc":"billing_stops","v":[0,17,40,66,81,600,1500]},` +
	`"t":[{"t":0,"d":"a","c":1},{"t":12,"d":"r","n":600},{"t":13,"d":"w","c":1,"to":600},{"t":20,"d":"d","c":1,"x":"client"},` +
	`{"t":31,"d":"a","c":2},{"t":40,"d":"r","n":900},{"t":41,"d":"w","c":2,"to":1500},{"t":42,"d":"d","c":2}]}`)

// ofBench is the n-th attempt, like resumed but without what a test needs only.
func ofBench(n int) Posting {
	p := resumed(n)
	p.Evidence = evidence
	p.Attempt.RequestID = fmt.Sprintf("req_%016x%016x", uint64(n)*0x9e3779b97f4a7c15, uint64(n)*0xd6e8feb86659fd93)
	p.Attempt.Model = "model-" + strconv.Itoa(n%20)
	return p
}

// settle posts attempts from first on, n of them, from 64 goroutines.
func settle(b testing.TB, l *Ledger, first, n int) {
	var next atomic.Int64
	next.Store(int64(first))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < first+n; i = int(next.Add(1)) - 1 {
				if _, err := l.Post(ofBench(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// size is how many attempts large books have: RECOUP_LEDGER_ATTEMPTS, or 100,000.
func size() int {
	if n, err := strconv.Atoi(os.Getenv("RECOUP_LEDGER_ATTEMPTS")); err == nil {
		return n
	}
	return 100_000
}

// BenchmarkPost settles attempts in books of 1,000 attempts and in large ones, by
// turns, since the machine is never the same twice. Bill, outcomes and evidence are
// posted together, each posting synced, by 64 callers at a time.
func BenchmarkPost(b *testing.B) {
	type books struct {
		dir  string
		l    *Ledger
		next int
		took time.Duration
	}
	var commits, postings int
	fill := func(n int) *books {
		dir := b.TempDir()
		l := open(b, dir)
		settle(b, l, 1, n)
		return &books{dir: dir, l: l, next: n + 1}
	}
	large, small := fill(size()), fill(1000)
	large.l.opts.OnCommit = func(c Commit) { commits++; postings += c.Postings }
	const batch = 1000
	for b.Loop() {
		for _, x := range []*books{small, large} {
			began := time.Now()
			settle(b, x.l, x.next, batch)
			x.took += time.Since(began)
			x.next += batch
		}
	}
	n := float64(b.N * batch)
	b.ReportMetric(n/small.took.Seconds(), "small/s")
	b.ReportMetric(n/large.took.Seconds(), "large/s")
	b.ReportMetric(small.took.Seconds()/large.took.Seconds(), "large:small")
	b.ReportMetric(float64(postings)/float64(commits), "postings/sync")
	shut(b, large.l)
	b.ReportMetric(float64(diskUse(b, large.dir))/float64(large.next), "B/attempt")
	began := time.Now()
	l := open(b, large.dir)
	b.ReportMetric(time.Since(began).Seconds(), "s/open")
	began = time.Now()
	if r, err := l.Verify(context.Background(), nil); err != nil || r.Attempts != uint64(large.next-1) {
		b.Fatal(r, err)
	}
	b.ReportMetric(float64(large.next)/time.Since(began).Seconds(), "verified/s")
}

func diskUse(b *testing.B, dir string) (n int64) {
	tables, err := filepath.Glob(filepath.Join(dir, databaseName, "*.sst"))
	for _, path := range tables {
		info, err2 := os.Stat(path)
		if err = errors.Join(err, err2); err2 == nil {
			n += info.Size()
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkRead measures what is done with whole books, large ones.
func BenchmarkRead(b *testing.B) {
	size := size()
	dir := b.TempDir()
	l := open(b, dir)
	settle(b, l, 1, size)
	shut(b, l)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			l := open(b, dir)
			b.StopTimer()
			shut(b, l)
			b.StartTimer()
		}
	})
	l = open(b, dir)
	b.Run("get", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n = (n + 7919) % size
			if _, err := l.Get(stream(1+n), 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("attempts", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := l.Attempts(context.Background(), 0, func(Row) error { n++; return nil }); err != nil || n != size {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64(b.N)*float64(size)/b.Elapsed().Seconds(), "attempts/s")
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Verify(context.Background(), func(d Damage) { b.Error(d) }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*float64(size)/b.Elapsed().Seconds(), "attempts/s")
	})
}

// BenchmarkTotals reads 10,000 counters.
func BenchmarkTotals(b *testing.B) {
	l := &Ledger{}
	many := sums{}
	for i := range 10_000 {
		many.add([]delta{counter(familyOutput, 1, 0, "openai", "model-"+strconv.Itoa(i), Delivered, Live, basisReported)})
	}
	l.tallies.set(many)
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if t := l.Totals(); len(t.Output) != 10_000 {
				b.Fatal(len(t.Output))
			}
		}
	})
	b.Run("held", func(b *testing.B) { // how long the writer has to wait
		for b.Loop() {
			l.tallies.snapshot()
		}
	})
}

// BenchmarkDraft is the work of one posting before the writer has it, and of the
// writer but for the database.
func BenchmarkDraft(b *testing.B) {
	l := open(b, b.TempDir())
	p := ofBench(1)
	bill, err := normalBill(p.Bill)
	if err != nil {
		b.Fatal(err)
	}
	outcomes, err := normalOutcomes(p.Outcomes)
	if err != nil {
		b.Fatal(err)
	}
	p.Bill, p.Outcomes = bill, outcomes
	b.ReportAllocs()
	for b.Loop() {
		o, err := l.draft(&p)
		if err != nil || len(o.drafts) != 2 {
			b.Fatal(err)
		}
	}
}
