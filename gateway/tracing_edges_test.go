package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// leaked are spans that were begun and have not ended.
func (r recorded) leaked() (left []string) {
	ended := map[string]bool{}
	for _, s := range r.Ended() {
		ended[s.SpanContext().SpanID().String()] = true
	}
	for _, s := range r.Started() {
		if !ended[s.SpanContext().SpanID().String()] {
			left = append(left, fmt.Sprint(s.Name(), s.Attributes()))
		}
	}
	return left
}

// TestScrapeWhileAdmitting: a stream is complete before anybody can see it (for the
// race detector).
func TestScrapeWhileAdmitting(t *testing.T) {
	s, spans := newTracedSite(t)
	stop := make(chan struct{})
	var callers, lookers sync.WaitGroup
	until := func(do func()) {
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	until(func() { _, _ = s.registry.Gather() })
	until(func() { _, _, _ = s.all(http.MethodGet, "/recoup/streams?state=streaming", "", nil) })
	for i := range 8 {
		callers.Go(func() {
			for j := range 15 {
				body := strings.Replace(bookBody, "hello", fmt.Sprint(i, j), 1)
				_, _, _ = s.all(http.MethodPost, chatPath, body, script(simulator.Script{Tokens: 5}))
			}
		})
	}
	callers.Wait()
	close(stop)
	lookers.Wait()
	s.stop()
	defer s.start()
	for _, l := range spans.leaked() {
		t.Error("begun and not ended:", l)
	}
}

// TestSpansOfRefusals: however a request ends, its span does, and says what became of
// it; nothing of what was sent is on it.
func TestSpansOfRefusals(t *testing.T) {
	s, spans := newTracedSite(t)
	resp, _ := s.must(200, http.MethodPost, chatPath, bookBody, keyed)
	id := resp.Header.Get("Recoup-Stream-Id")
	s.must(422, http.MethodPost, chatPath, strings.Replace(bookBody, "hello", "bye", 1), keyed)
	s.must(200, http.MethodHead, "/recoup/streams/"+id, "", nil)
	s.must(200, http.MethodGet, "/recoup/streams/"+id+"?observe=1", "", nil)
	s.must(400, http.MethodGet, "/recoup/streams/"+id+"?from=-1", "", nil)
	s.must(200, http.MethodPost, "/recoup/streams/"+id+"/cancel", "", nil)
	s.must(404, http.MethodGet, "/nope", "", nil)
	s.must(404, "FOOBAR", "/nope", "", nil)
	_, _, _ = s.all(http.MethodGet, "/v1/models?key=SECRETKEY", "", header{"Authorization": "", "Traceparent": "00-zz-1-01"})
	s.awaitConnections(id, 0)
	s.gateway.SettleForTest()
	for _, l := range spans.leaked() {
		t.Error("begun and not ended:", l)
	}
	spans.silent("SECRETKEY", "FOOBAR", "sk-alice")
	var names []string
	for _, span := range spans.Ended() {
		names = append(names, span.Name()+" "+attributeOf(span, metrics.AttrHTTPStatus).String())
	}
	for _, want := range []string{"POST /v1/chat/completions 422", "HTTP /* 404", "GET /v1/models 200", "HEAD /recoup/streams/:id 200"} {
		if !slices.Contains(names, want) {
			t.Errorf("no span %q among %q", want, names)
		}
	}
}

// TestSpanText: what clients choose is text when it comes to a span.
func TestSpanText(t *testing.T) {
	s, spans := newTracedSite(t, func(s *site) { s.config.SpanTags = []string{"team"} })
	body := strings.Replace(bookBody, "gpt-5.5", "m\\u0000\\u0007a"+strings.Repeat("é", 80), 1)
	_, _, _ = s.all(http.MethodPost, chatPath, body, header{"User-Agent": "a" + strings.Repeat("é", 300), "Recoup-Tags": "team=\xff\xfe"})
	_, _, _ = s.all(http.MethodPost, chatPath, strings.Replace(bookBody, "gpt-5.5", "m\xff", 1), header{"User-Agent": "\xff\xfe"})
	s.gateway.SettleForTest()
	bad := func(text string) bool {
		return !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl)
	}
	for _, span := range spans.Ended() {
		if bad(span.Name()) {
			t.Errorf("the name %q", span.Name())
		}
		for _, a := range span.Attributes() {
			if a.Value.Type() == attribute.STRING && bad(a.Value.AsString()) {
				t.Errorf("%q: %s = %q", span.Name(), a.Key, a.Value.AsString())
			}
		}
	}
}

// TestSpansOfATakeOver: it is the older connection that broke.
func TestSpansOfATakeOver(t *testing.T) {
	s, spans := newTracedSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 50})
	first := s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceOne, "01"))).read(40)
	s.awaitEvents(first.id, 50)
	second := s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceTwo, "01"))).read(3)
	first.Body.Close()
	s.awaitConnections(first.id, 1)
	s.release(0)
	second.rest()
	s.gateway.SettleForTest()
	if got := s.exemplars(metrics.NameBreaks); strings.Join(got, ",") != traceOne {
		t.Errorf("the break's exemplar leads to %v", got)
	}
	detached := spans.named("chat gpt-5.5").Events()[0]
	for _, a := range detached.Attributes {
		if a.Key == metrics.AttrDelivered && a.Value.AsInt64() < 40 {
			t.Errorf("what broke had %d events", a.Value.AsInt64())
		}
	}
}

// TestErrorsAreNoFirstEvent: an error's body is not what anybody waits for.
func TestErrorsAreNoFirstEvent(t *testing.T) {
	s, spans := newTracedSite(t)
	s.sim.Next(simulator.Script{Status: 503})
	s.must(503, http.MethodPost, chatPath, bookBody, nil)
	s.gateway.SettleForTest()
	if f := s.families()[metrics.NameTimeToFirstEvent]; f != nil {
		t.Errorf("%v", f)
	}
	spans.expect(spans.named("chat gpt-5.5"), map[attribute.Key]string{metrics.AttrFirstChunk: "", metrics.AttrErrorType: "503"})
}

// TestStaleTracestate: state of a context that is none is not sent on with ours.
func TestStaleTracestate(t *testing.T) {
	seen := make(chan http.Header, 1)
	s, _ := newTracedSite(t, func(s *site) {
		p := s.config.Providers["openai"]
		p.PropagateTrace = true
		s.config.Providers["openai"] = p
		s.sim.On(func(r *http.Request, _ []byte) *simulator.Script {
			seen <- r.Header.Clone()
			return nil
		})
	})
	s.must(200, http.MethodPost, chatPath, bookBody, header{"Traceparent": "nonsense", "Tracestate": "vendor=ofanothertrace"})
	if got := <-seen; got.Get("Tracestate") != "" || !strings.HasPrefix(got.Get("Traceparent"), "00-") {
		t.Errorf("%v", got)
	}
}

// TestSpansWithoutALedger: if nothing can be booked, spans don't pile up for ever, and
// the stop lets none behind.
func TestSpansWithoutALedger(t *testing.T) {
	s, spans := newTracedSite(t)
	if err := s.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.must(200, http.MethodPost, chatPath, bookBody, nil)
	}
	s.stop()
	for _, l := range spans.leaked() {
		t.Error("begun and not ended:", l)
	}
	s.start()
}

// TestExemplarsOfARecovery: they lead to a span that the next process has exported,
// since the killed one's may never have been.
func TestExemplarsOfARecovery(t *testing.T) {
	s, _ := newTracedSite(t)
	s.sim.Next(simulator.Script{Tokens: 600, Input: 2000, StallAfterEvents: role + 400})
	r := s.call(chatPath, bookBody, keyed).read(role + 400)
	defer r.Body.Close()
	s.awaitEvents(r.id, role+400)
	dir := t.TempDir() // as a SIGKILL leaves it: nothing is being written now
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	again, later := newTracedSite(t, func(s *site) { s.dir = dir })
	again.gateway.SettleForTest()
	recovery := later.named(metrics.SpanRecover).SpanContext().TraceID().String()
	again.expire()
	for _, name := range []string{metrics.NameGenAIInput, metrics.NameOutputTokens, metrics.NameCost, metrics.NameUpstreamErrors} {
		if got := again.exemplars(name); strings.Join(got, ",") != recovery {
			t.Errorf("the exemplars of %s lead to %v, want %s", name, got, recovery)
		}
	}
}

// TestTaggedDamage: the tagged counters have what was billed for answers that the log
// has lost, too.
func TestTaggedDamage(t *testing.T) {
	s := newSite(t, func(s *site) { s.tags = []string{"team"} })
	s.sim.Next(simulator.Script{Tokens: 900, Input: 2000, StallAfterEvents: role + 600})
	r := s.call(chatPath, bookBody, with(keyed, "Recoup-Tags", "team=search")).read(role + 600)
	r.leave()
	s.release(0)
	s.awaitState(r.id, streamlog.Completed)
	s.gateway.SettleForTest()
	s.stop()
	if err := os.Rename(filepath.Join(s.dir, "log"), filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	s.start()
	sum := func(name string) (sum float64) {
		for _, m := range s.families()[name].GetMetric() {
			sum += m.GetCounter().GetValue()
		}
		return sum
	}
	for patience := time.Now().Add(20 * time.Second); sum(metrics.NameOutputTokens) == 0; s.gateway.SettleForTest() {
		if time.Now().After(patience) {
			t.Fatal("what is lost is not settled")
		}
	}
	if got, all := sum(metrics.NameTaggedOutputTokens), sum(metrics.NameOutputTokens); got != all || all != 900 {
		t.Errorf("%v tokens by tag, %v in all", got, all)
	}
}

// TestLabelTagsChange: tags that are no labels any more take no places from those
// that are.
func TestLabelTagsChange(t *testing.T) {
	s := newSite(t, func(s *site) { s.tags = []string{"user", "session"} })
	for i := range 300 {
		s.must(200, http.MethodPost, chatPath, chatBody, with(script(simulator.Script{Tokens: 1}), "Recoup-Tags", fmt.Sprintf("user=u%d,session=s%d", i%20, i/20)))
	}
	s.gateway.SettleForTest()
	series := func(label string) map[string]float64 {
		values := map[string]float64{}
		for _, m := range s.families()[metrics.NameTaggedOutputTokens].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label {
					values[l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
		return values
	}
	if users := series("tag_user"); users[metrics.Other] == 0 || len(users) > 21 {
		t.Errorf("%v", users)
	}
	s.tags = []string{"team"}
	s.restart()
	s.must(200, http.MethodPost, chatPath, chatBody, with(script(simulator.Script{Tokens: 7}), "Recoup-Tags", "team=search"))
	s.must(200, http.MethodPost, chatPath, chatBody, script(simulator.Script{Tokens: 11}))
	s.gateway.SettleForTest()
	if teams := series("tag_team"); teams["search"] != 7 || teams[""] != 311 || len(teams) != 2 {
		t.Errorf("%v", teams)
	}
}
