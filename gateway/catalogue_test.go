package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// families are what a scrape has, by name.
func (s *site) families() map[string]*dto.MetricFamily {
	s.t.Helper()
	all, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, f := range all {
		byName[f.GetName()] = f
	}
	return byName
}

// TestCatalogueIsWhatIsExported: after some traffic every metric of the catalogue is
// there, with the type, help, labels and buckets that it says, and nothing else is.
func TestCatalogueIsWhatIsExported(t *testing.T) {
	s := newSite(t, func(s *site) { s.tags = []string{"team"} })
	s.sim.Next(simulator.Script{Tokens: 50, Hidden: 5, CacheRead: 1024, CacheWrite: 10, Input: 100, StallAfterEvents: 10})
	s.call(messagesPath, messagesBody, keyed).read(10).leave()
	again := s.call(messagesPath, messagesBody, keyed)
	s.release(0)
	again.rest()
	s.sim.Next(simulator.Script{Tokens: 10, CutAfterEvents: 3})
	s.call(chatPath, chatBody, nil).rest()
	s.sim.Next(simulator.Script{Tokens: 10, Hidden: 5})
	s.must(200, http.MethodPost, chatPath, chatBody, nil)
	s.must(200, http.MethodGet, "/v1/models", "", nil)
	s.expire()
	if _, err := s.ledger.PostUnexplained(ledger.Unexplained{Provider: "openai", Model: "gpt-5.5", Day: "2026-11-29", Amount: 5}); err != nil {
		t.Fatal(err)
	}

	families := s.families()
	for _, d := range metrics.Catalogue() {
		f := families[d.Name]
		delete(families, d.Name)
		if f == nil {
			t.Errorf("%s is not exported", d.Name)
			continue
		}
		if !strings.EqualFold(f.GetType().String(), string(d.Type)) || f.GetHelp() != d.Help {
			t.Errorf("%s: %s, %q", d.Name, f.GetType(), f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			checkLabels(t, d, m)
			if d.Type == metrics.Histogram {
				checkBuckets(t, d, m.GetHistogram())
			}
		}
	}
	for name := range families {
		t.Errorf("%s is exported and not in the catalogue", name)
	}
}

func checkLabels(t *testing.T, d metrics.Definition, m *dto.Metric) {
	t.Helper()
	known := map[string]bool{}
	for _, l := range metrics.Labels() {
		known[l.Name] = true
	}
	for _, l := range m.GetLabel() {
		name := l.GetName()
		if strings.HasPrefix(name, metrics.TagPrefix) {
			name = metrics.TagPrefix + "…"
		}
		if !slices.Contains(d.Labels, name) || !known[name] {
			t.Errorf("%s has the label %s", d.Name, l.GetName())
		}
	}
}

func checkBuckets(t *testing.T, d metrics.Definition, h *dto.Histogram) {
	t.Helper()
	var bounds []float64
	for _, b := range h.GetBucket() {
		if !math.IsInf(b.GetUpperBound(), 1) {
			bounds = append(bounds, b.GetUpperBound())
		}
	}
	if !slices.Equal(bounds, d.Buckets) {
		t.Errorf("%s has the buckets %v", d.Name, bounds)
	}
	if native := h.Schema != nil; native != d.Native {
		t.Errorf("%s: native buckets %v", d.Name, native)
	}
}

// TestTaggedTotals: tokens and money by tag are the same ones, for tags that are
// allowed to be labels, and with no more values than may be.
func TestTaggedTotals(t *testing.T) {
	s := newSite(t, func(s *site) { s.tags = []string{"team"} })
	call := func(tokens int, h header) {
		s.sim.Next(simulator.Script{Tokens: tokens, Input: 100})
		resp, _ := s.must(200, http.MethodPost, chatPath, chatBody, h)
		id := resp.Header.Get("Recoup-Stream-Id")
		s.awaitConnections(id, 0) // the client has its answer a little before the gateway knows
		s.awaitState(id, streamlog.Completed)
		s.gateway.SettleForTest() // one after the other, so that it is known which are the first
	}
	for i := range 60 {
		call(10, header{"Recoup-Tags": fmt.Sprintf("team=t%02d,user=u%d", i, i)})
	}
	call(7, nil)
	call(5, header{"Recoup-Tags": "team=t00"})
	sums := func() (byTeam map[string]float64, tokens, dollars, all, allDollars float64) {
		byTeam = map[string]float64{}
		f := s.families()
		for _, m := range f[metrics.NameTaggedOutputTokens].GetMetric() {
			tokens += m.GetCounter().GetValue()
			team := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "tag_team" {
					team = l.GetValue()
				}
			}
			byTeam[team] += m.GetCounter().GetValue()
		}
		for name, sum := range map[string]*float64{metrics.NameTaggedCost: &dollars, metrics.NameOutputTokens: &all, metrics.NameCost: &allDollars} {
			for _, m := range f[name].GetMetric() {
				*sum += m.GetCounter().GetValue()
			}
		}
		return byTeam, tokens, dollars, all, allDollars
	}
	for range 2 {
		s.gateway.SettleForTest()
		byTeam, tokens, dollars, all, allDollars := sums()
		if len(byTeam) != 52 || byTeam["t00"] != 15 || byTeam["t49"] != 10 || byTeam[metrics.Other] != 100 || byTeam[metrics.Untagged] != 7 {
			t.Errorf("%d teams: %v", len(byTeam), byTeam)
		}
		if tokens != all || math.Abs(dollars-allDollars) > 1e-9 || tokens != 612 {
			t.Errorf("%v tokens by tag, %v in all; %v and %v dollars", tokens, all, dollars, allDollars)
		}
		s.restart()
	}
}

// TestDeliveryLag: it is the owner who counts, not who observes.
func TestDeliveryLag(t *testing.T) {
	j := newJam()
	s := newSite(t, func(s *site) { s.wrap = j.wrap })
	lag := func() float64 { return s.families()[metrics.NameDeliveryLag].GetMetric()[0].GetGauge().GetValue() }
	s.sim.Next(simulator.Script{Tokens: 50, StallAfterEvents: 5})
	r := s.call(chatPath, chatBody, nil).read(5)
	reached := j.close()
	s.release(0)
	<-reached
	s.awaitEvents(r.id, 50)
	if got := lag(); got < 40 {
		t.Errorf("the lag is %v", got)
	}
	j.fail()
	r.Body.Close()
	s.awaitConnections(r.id, 0)
	if got := lag(); got != 0 {
		t.Errorf("without an owner the lag is %v", got)
	}
}

// lines collects log lines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// TestLogLinesLeadToTraces: with tracing and without, a line about a stream has its
// id and that of its trace; one about a refused call the trace.
func TestLogLinesLeadToTraces(t *testing.T) {
	for _, traced := range []bool{false, true} {
		log := &lines{}
		opts := func(s *site) { s.logs = log }
		var s *site
		if traced {
			s, _ = newTracedSite(t, opts)
		} else {
			s = newSite(t, opts)
		}
		caller := header{"Traceparent": parentOf(traceOne, "01")}
		resp, _ := s.must(200, http.MethodPost, chatPath, chatBody, caller)
		s.awaitConnections(resp.Header.Get("Recoup-Stream-Id"), 0)
		s.stop()
		found := false
		for line := range bytes.Lines(log.text.Bytes()) {
			var record map[string]any
			if err := json.Unmarshal(line, &record); err != nil {
				t.Fatal(err)
			}
			if record["msg"] == "stream ended" {
				found = record["stream"] == resp.Header.Get("Recoup-Stream-Id") && record["trace_id"] == traceOne
			}
		}
		if !found {
			t.Errorf("traced %v:\n%s", traced, log.text.String())
		}
		s.start()
	}
}
