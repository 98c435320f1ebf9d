package gateway_test

import (
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// TestWorkedExamples are those of the design's section 7.5, from HTTP to the
// ledger: exactly these figures. Where the provider doesn't report what it
// bills, they stand after its bill was reconciled.
func TestWorkedExamples(t *testing.T) {
	whole := simulator.Script{Tokens: 1500, Input: 2000}
	for _, c := range []struct {
		name   string
		config func(*gateway.Config)
		act    func(s *site) (id string)
		want   string
	}{
		{"1 clean", nil, func(s *site) string {
			s.sim.Next(whole)
			r := s.call(chatPath, bookBody, nil)
			r.rest()
			return r.id
		}, "delivered/live 1500; paid $0.055; saved 0+0 $0 (upper $0); net $0"},
		{"2 break at 600, resumed to the end", nil, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, StallAfterEvents: role + 600})
			r := s.call(chatPath, bookBody, keyed).read(role + 600)
			r.leave()
			again := s.call(chatPath, bookBody, keyed)
			s.release(0)
			again.rest()
			return r.id
		}, "delivered/live 600, delivered/resumed 900; paid $0.055; saved 600+2000 $0.01936 (upper $0.028); net $0.01936"},
		{"3 two breaks", nil, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, StallAfterEvents: role + 600, StallAlso: []int{role + 800, role + 1200}})
			r := s.call(chatPath, bookBody, keyed).read(role + 600)
			r.leave()
			s.release(1)
			s.awaitEvents(r.id, role+800)
			second := s.call(chatPath, bookBody, keyed)
			s.release(1)
			second.read(role + 1200).leave()
			s.release(0)
			s.awaitState(r.id, streamlog.Completed)
			s.call(chatPath, bookBody, keyed).rest()
			return r.id
		}, "delivered/live 600, delivered/resumed 900; paid $0.055; saved 1000+4000 $0.03272 (upper $0.05); net $0.03272"},
		{"4 never came back", func(c *gateway.Config) { c.MaxOrphans = 1 }, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, TailTokens: 12, StallAfterEvents: role + 600, StallAlso: []int{role + 1000}})
			r := s.call(chatPath, bookBody, keyed).read(role + 600)
			r.leave()
			s.release(1)
			s.awaitEvents(r.id, role+1000)
			s.pushOut(r.id)
			return r.id
		}, "wasted/abandoned 600, lost/abandoned 400, lost/tail 12, overhead/unclaimed 400 $0.012; paid $0.04036; saved 0+0 $0 (upper $0); net $-0.012"},
		{"4 billed in full anyway", nil, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, OnDisconnect: simulator.BillFull, StallAfterEvents: role + 600})
			r := s.call("/full"+chatPath, bookBody, nil).read(role + 600)
			r.leave()
			s.release(0)
			s.awaitState(r.id, streamlog.Completed)
			return r.id
		}, "wasted/abandoned 600, lost/abandoned 900; paid $0.055; saved 0+0 $0 (upper $0); net $0"},
		{"4 not reclaimable", nil, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, StallAfterEvents: role + 600})
			r := s.call(chatPath, bookBody, nil).read(role + 600)
			r.Body.Close()
			s.awaitState(r.id, streamlog.Cancelled)
			return r.id
		}, "wasted/abandoned 600; paid $0.028; saved 0+0 $0 (upper $0); net $0"},
		{"5 explicit cancel", nil, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, TailTokens: 10, StallAfterEvents: role + 500, StallAlso: []int{role + 520}})
			r := s.call(chatPath, bookBody, keyed).read(role + 500)
			jammed := s.jam.close()
			s.release(1)
			s.awaitEvents(r.id, role+520)
			<-jammed // with the 501st token
			s.must(200, http.MethodPost, "/recoup/streams/"+r.id+"/cancel", "", nil)
			s.jam.fail()
			r.Body.Close()
			s.awaitConnections(r.id, 0)
			return r.id
		}, "delivered/cancelled 500, lost/cancelled 20, lost/tail 10; paid $0.0259; saved 0+0 $0 (upper $0); net $0"},
		{"6 provider fails at 700", nil, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, CutAfterEvents: role + 700})
			r := s.call(chatPath, bookBody, keyed)
			r.rest()
			s.sim.Next(whole)
			s.call(chatPath, bookBody, keyed).rest()
			return r.id
		}, "wasted/upstream 700; paid $0.031; saved 0+0 $0 (upper $0); net $0"},
		{"8 not streamed", nil, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 600, Hidden: 1900, Input: 1200, StallHead: true})
			body := `{"model":"gpt-5-mini","messages":[{"role":"user","content":"hello"}]}`
			id := s.timeOut(body)
			s.release(0)
			s.awaitState(id, streamlog.Completed)
			s.call(chatPath, body, keyed).rest()
			s.must(200, http.MethodGet, "/recoup/streams/"+id+"?observe=1", "", nil)
			return id
		}, "delivered/resumed 2500; paid $0.0053; saved 2500+1200 $0.0050408 (upper $0.0053); net $0.0050408"},
		{"9 a resume that failed", func(c *gateway.Config) { c.MaxOrphans = 1 }, func(s *site) string {
			s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, TailTokens: 12, StallAfterEvents: role + 600, StallAlso: []int{role + 1000}})
			r := s.call(chatPath, bookBody, keyed).read(role + 600)
			r.leave()
			s.release(1)
			s.awaitEvents(r.id, role+1000)
			s.pushOut(r.id)
			resp, _, err := s.all(http.MethodGet, "/recoup/streams/"+r.id+"?offset="+r.cursor(), "", nil)
			if resp.StatusCode != http.StatusOK || !aborted(err) {
				s.t.Errorf("the resume: %d, %v", resp.StatusCode, err)
			}
			return r.id
		}, "wasted/abandoned 1000, lost/tail 12, overhead/unclaimed 400 $0.012; paid $0.04036; saved 0+0 $0 (upper $0); net $-0.012"},
		{"10 gpt-5.5", nil, breakAt600("gpt-5.5"), "wasted/abandoned 600; paid $0.028; saved 0+0 $0 (upper $0); net $0"},
		{"10 gpt-5.5-mini", nil, breakAt600("gpt-5.5-mini"), "wasted/abandoned 600; paid $0.0022; saved 0+0 $0 (upper $0); net $0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site) {
				s.jam = newJam()
				s.wrap = s.jam.wrap
				s.logOpts.Retention = time.Hour
				s.config.OrphanGrace = time.Hour
				if c.config != nil {
					c.config(&s.config)
				}
			})
			id := c.act(s)
			s.expire()
			s.reconcile()
			got := s.books(id)
			if !got.Settled || got.String() != c.want {
				t.Errorf("settled: %v\n got  %s\n want %s", got.Settled, got, c.want)
			}
		})
	}
}

// breakAt600 is a client that is not reclaimable and leaves.
func breakAt600(model string) func(*site) string {
	return func(s *site) string {
		s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, StallAfterEvents: role + 600})
		r := s.call(chatPath, strings.Replace(bookBody, "gpt-5.5", model, 1), nil).read(role + 600)
		r.Body.Close()
		s.awaitState(r.id, streamlog.Cancelled)
		return r.id
	}
}

// pushOut makes another orphan, for which the oldest has to go.
func (s *site) pushOut(id string) {
	s.t.Helper()
	s.sim.Next(simulator.Script{StallAfterEvents: 5})
	s.call(chatPath, strings.Replace(bookBody, "hello", "another", 1), header{"Idempotency-Key": "other"}).read(5).leave()
	if info := s.awaitState(id, streamlog.Cancelled); info.End.Cause != "cap" {
		s.t.Fatalf("ended by %q", info.End.Cause)
	}
}

// TestRecordingsAreBooked: what is booked of a recorded stream is what it
// reports, to the token.
func TestRecordingsAreBooked(t *testing.T) {
	s := newSite(t)
	for _, rec := range recordings(t) {
		s.sim.Next(rec.script(t))
		resp, _, _ := s.all(http.MethodPost, rec.path, rec.request, nil)
		id := resp.Header.Get("Recoup-Stream-Id")
		s.awaitConnections(id, 0)
		s.expire()
		got := s.books(id)
		switch {
		case !got.Settled:
			t.Errorf("%s is not settled: %+v", rec.File, got)
		case !rec.HasUsage && (got.Input.Basis == "reported" || got.Output.Basis == "reported"):
			t.Errorf("%s reports nothing, and is booked as %+v", rec.File, got)
		case rec.HasUsage && (got.Input.Tokens != int64(rec.Input) || got.Output.Tokens != int64(rec.Output)):
			t.Errorf("%s reports %d + %d (%s), and is booked as %d (%s) + %d (%s)", rec.File, rec.Input, rec.Output, rec.UsageJSON,
				got.Input.Tokens, got.Input.Basis, got.Output.Tokens, got.Output.Basis)
		}
	}
}

// TestKilledIsBookedAtTheNextStart: what died with its gateway is settled by the
// next one, before anybody asks.
func TestKilledIsBookedAtTheNextStart(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, StallAfterEvents: role + 600})
	r := s.call(chatPath, bookBody, keyed).read(role + 600)
	defer r.Body.Close()
	s.awaitEvents(r.id, role+600)
	dir := t.TempDir() // as a SIGKILL leaves it: nothing is being written now
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	again := newSite(t, func(s *site) { s.dir = dir })
	again.gateway.SettleForTest()
	rows, err := again.ledger.Of(ledgerID(t, r.id))
	if err != nil || len(rows) != 1 || rows[0].Current.Bill.Output.Tokens != 600 {
		t.Fatalf("%+v, %v", rows, err)
	}
	again.expire()
	got := again.books(r.id)
	tokens := int64(0)
	for _, o := range got.Outcomes {
		if tokens += o.Tokens; o.Cause != "crash" {
			t.Errorf("outcome %+v", o)
		}
	}
	if !got.Settled || tokens != 600 {
		t.Errorf("booked as %s", got)
	}
}

// TestAnObserverDoesNotHoldUpTheBooks: whoever only looks on decides nothing.
func TestAnObserverDoesNotHoldUpTheBooks(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, Input: 2000, StallAfterEvents: role + 20})
	r := s.call(chatPath, bookBody, nil).read(role + 20)
	resp := s.do(http.MethodGet, "/recoup/streams/"+r.id+"?observe=1", "", nil)
	defer resp.Body.Close()
	s.awaitConnections(r.id, 2)
	r.Body.Close()
	s.awaitState(r.id, streamlog.Cancelled)
	s.expire()
	if got := s.books(r.id); !got.Settled || !strings.HasPrefix(got.String(), "wasted/abandoned 20;") {
		t.Errorf("booked as %s", got)
	}
}

// TestMetricsOfTheBooks: the counters are the ledger's totals, before and after a
// restart, and all of a pair's are there from the start.
func TestMetricsOfTheBooks(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, StallAfterEvents: role + 600})
	r := s.call(chatPath, bookBody, keyed).read(role + 600)
	series := func(name string) (n int, sum float64) {
		families, err := s.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == name {
					n++
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
		return n, sum
	}
	// 3 + 6 + 7 causes of the three outcomes, reported and estimated; for cost in two directions.
	for name, want := range map[string]int{metrics.NameOutputTokens: 32, metrics.NameCost: 64, metrics.NameInputTokens: 24, metrics.NameOverhead: 3, metrics.NameMissed: 3} {
		if n, sum := series(name); n != want || sum != 0 {
			t.Errorf("%s: %d series, sum %v; want %d, 0", name, n, sum, want)
		}
	}
	r.leave()
	if _, atRisk := series(metrics.NameAtRiskTokens); atRisk <= 0 {
		t.Error("an answer that nobody reads is not at risk")
	}
	again := s.call(chatPath, bookBody, keyed)
	s.release(0)
	again.rest()
	s.expire()
	want := map[string]float64{
		metrics.NameOutputTokens: 1500, metrics.NameInputTokens: 2000, metrics.NameCost: 0.055, metrics.NameSaved: 0.01936, metrics.NameSavedUpper: 0.028,
		metrics.NameSavedTokens: 2600, metrics.NameOverhead: 0, metrics.NamePendingTokens: 0, metrics.NameAtRisk: 0, metrics.NameLedgerImbalance: 0,
	}
	for range 2 {
		for name, want := range want {
			if _, got := series(name); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		s.restart()
	}
}

// TestWorkedExample7: reasoning, then the gateway is killed. What the client had
// is proved by where it wants to read on.
func TestWorkedExample7(t *testing.T) {
	s := newSite(t)
	body := strings.Replace(bookBody, "hello", strings.Repeat("hello ", 6000), 1) // as long as 10,000 tokens are
	s.sim.Next(simulator.Script{Tokens: 600, Hidden: 3000, Input: 2000, CacheRead: 8000, TailTokens: 12, StallAfterEvents: role + 400})
	r := s.call(chatPath, body, keyed).read(role + 400)
	defer r.Body.Close()
	s.awaitEvents(r.id, role+400)
	dir := t.TempDir() // as a SIGKILL leaves it: nothing is being written now
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	defer s.start()
	again := newSite(t, func(s *site) { s.dir = dir })
	again.sim = s.sim
	resp, _, err := again.all(http.MethodGet, "/recoup/streams/"+r.id+"?offset="+r.cursor(), "", nil)
	if resp.StatusCode != http.StatusOK || !aborted(err) {
		t.Errorf("the resume: %d, %v", resp.StatusCode, err)
	}
	again.awaitConnections(r.id, 0)
	again.expire()
	again.reconcile()
	const want = "wasted/crash 3400, lost/crash 12, overhead/crash 3412 $0.11636; paid $0.11636; saved 0+0 $0 (upper $0); net $-0.11636"
	if got := again.books(r.id); !got.Settled || got.String() != want {
		t.Errorf("settled: %v\n got  %s\n want %s", got.Settled, got, want)
	}
}
