package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/token"
)

// number is a number in the environment, or what it is else.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// BenchmarkScrape is what /metrics costs with nothing in the gateway, and with
// RECOUP_STREAMS_OPEN open streams (500) and RECOUP_LEDGER_ATTEMPTS attempts
// (10,000) of RECOUP_PAIRS pairs of provider and model (6) in the ledger, by turns. Reported are the
// milliseconds of one scrape of each, and those of CPU, which a busy machine changes less.
func BenchmarkScrape(b *testing.B) {
	streams, attempts := number("RECOUP_STREAMS_OPEN", 500), number("RECOUP_LEDGER_ATTEMPTS", 10_000)
	empty := newSite(b)
	full := newSite(b, func(s *site) {
		s.tags = []string{"team"}
		s.config.MaxOrphans, s.config.OrphanGrace = streams, time.Hour
		s.logOpts.Retention = time.Hour
	})
	fillLedger(b, full, attempts)
	openStreams(b, full, streams)
	var took, cpu [2]time.Duration
	var bytes [2]int
	n := 0
	for b.Loop() {
		for i, s := range []*site{empty, full} {
			began, used := time.Now(), cpuTime(b)
			bytes[i] = s.scrape()
			took[i] += time.Since(began)
			cpu[i] += cpuTime(b) - used
		}
		n++
	}
	for i, name := range []string{"empty", "full"} {
		b.ReportMetric(float64(took[i].Microseconds())/1000/float64(n), "ms/"+name)
		b.ReportMetric(float64(cpu[i].Microseconds())/1000/float64(n), "cpu-ms/"+name)
		b.ReportMetric(float64(bytes[i]), "bytes/"+name)
	}
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// scrape is a scrape as Prometheus makes it, without the network.
func (s *site) scrape() int {
	s.t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	w := httptest.NewRecorder()
	promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		s.t.Fatal(w.Body)
	}
	return w.Body.Len()
}

// fillLedger posts attempts of some pairs and 50 teams.
func fillLedger(b *testing.B, s *site, attempts int) {
	b.Helper()
	var next atomic.Int64
	pairs := int64(number("RECOUP_PAIRS", 6))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(attempts); i = next.Add(1) {
				p := ledger.Posting{
					Attempt: ledger.Attempt{
						Stream: ledger.ID{0: 1, 8: byte(i >> 24), 9: byte(i >> 16), 10: byte(i >> 8), 11: byte(i)}, Number: 1,
						Provider: "openai", Model: fmt.Sprintf("model-%d", i%pairs), At: time.UnixMilli(1_763_880_000_000 + i),
					},
					Bill: &ledger.Bill{
						Input:  []ledger.Line{{Kind: token.Input, Tokens: 2000, Amount: 10_000_000_000}},
						Output: ledger.Line{Kind: token.Output, Tokens: 1000, Amount: 30_000_000_000}, InputBasis: token.Reported, OutputBasis: token.Reported,
					},
					Outcomes: &ledger.Outcomes{
						Output: []ledger.Outcome{{Outcome: ledger.Delivered, Cause: ledger.Live, Tokens: 1000, Amount: 30_000_000_000}},
						Input:  ledger.Delivered, InputCause: ledger.Live, Labels: map[string]string{"team": fmt.Sprintf("t%d", i%50)},
					},
					Evidence: []byte("{}"),
				}
				if _, err := s.ledger.Post(p); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// openStreams leaves answers open, of which one in ten still has its client: two ends
// of each connection are files of this process.
func openStreams(b *testing.B, s *site, n int) {
	b.Helper()
	s.sim.On(func(*http.Request, []byte) *simulator.Script {
		return &simulator.Script{Tokens: 100, StallAfterEvents: 20}
	})
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r := s.call(chatPath, chatBody, header{"Idempotency-Key": fmt.Sprint(i)})
			if r.StatusCode != http.StatusOK {
				b.Error(r.Status)
			}
			if i%10 > 0 {
				r.Body.Close()
			} else {
				b.Cleanup(func() { r.Body.Close() })
			}
		})
	}
	wg.Wait()
	s.waitStalled(n)
}
