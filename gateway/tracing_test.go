package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

const (
	traceOne   = "0af7651916cd43dd8448eb211c80319c"
	traceTwo   = "1bf7651916cd43dd8448eb211c80319d"
	callerSpan = "b7ad6b7169203331"
)

func parentOf(traceID, flags string) string {
	return fmt.Sprintf("00-%s-%s-%s", traceID, callerSpan, flags)
}

// recorded are the spans of a site.
type recorded struct {
	*tracetest.SpanRecorder
	t    *testing.T
	site *site
}

// newTracedSite is a site whose spans are recorded.
func newTracedSite(t *testing.T, opts ...option) (*site, recorded) {
	t.Helper()
	r := recorded{SpanRecorder: tracetest.NewSpanRecorder(), t: t}
	s := newSite(t, append([]option{func(s *site) { s.tracing = metrics.TracingTo(r) }}, opts...)...)
	r.site = s
	return s, r
}

// named returns the ended span of that name, of which there must be one.
func (r recorded) named(name string) sdktrace.ReadOnlySpan {
	r.t.Helper()
	return r.ofName(name, 1)[0]
}

// ofName returns the n ended spans of that name. It may take a moment: a client can be
// gone before the drain has noted how the attempt ended, or a handler has returned.
func (r recorded) ofName(name string, n int) []sdktrace.ReadOnlySpan {
	r.t.Helper()
	var found []sdktrace.ReadOnlySpan
	for patience := time.Now().Add(20 * time.Second); len(found) < n && time.Now().Before(patience); r.site.gateway.SettleForTest() {
		found = slices.DeleteFunc(r.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.Name() != name })
	}
	if len(found) != n {
		r.t.Fatalf("%d spans %q among %s, want %d", len(found), name, r, n)
	}
	return found
}

func (r recorded) String() string {
	var all []string
	for _, s := range r.Ended() {
		all = append(all, fmt.Sprintf("%s (%s, %s)", s.Name(), s.SpanKind(), s.SpanContext().TraceID()))
	}
	return strings.Join(all, "; ")
}

func attributeOf(s sdktrace.ReadOnlySpan, key attribute.Key) attribute.Value {
	for _, a := range s.Attributes() {
		if a.Key == key {
			return a.Value
		}
	}
	return attribute.Value{}
}

// expect compares attributes of a span; "" is one that must not be there.
func (r recorded) expect(s sdktrace.ReadOnlySpan, want map[attribute.Key]string) {
	r.t.Helper()
	for key, v := range want {
		if got := attributeOf(s, key).String(); got != v {
			r.t.Errorf("%s: %s is %q, want %q", s.Name(), key, got, v)
		}
	}
}

// linked expects links to exactly these spans.
func (r recorded) linked(s sdktrace.ReadOnlySpan, want ...sdktrace.ReadOnlySpan) {
	r.t.Helper()
	if len(s.Links()) != len(want) {
		r.t.Fatalf("%s has %d links, want %d", s.Name(), len(s.Links()), len(want))
	}
	for i, l := range s.Links() {
		if l.SpanContext.TraceID() != want[i].SpanContext().TraceID() || l.SpanContext.SpanID() != want[i].SpanContext().SpanID() {
			r.t.Errorf("%s: link %d is to %s, want %s", s.Name(), i, l.SpanContext.SpanID(), want[i].Name())
		}
	}
}

// usages is how many spans have usage.
func (r recorded) usages() (n int) {
	for _, s := range r.Ended() {
		for _, a := range s.Attributes() {
			if a.Key == metrics.AttrUsageOutput {
				n++
			}
		}
	}
	return n
}

// silent expects that no span has anything of what must stay secret.
func (r recorded) silent(secrets ...string) {
	r.t.Helper()
	for _, s := range r.Ended() {
		text := fmt.Sprint(s.Name(), s.Attributes(), s.Status(), s.Events(), s.Links())
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				r.t.Errorf("%s has %q: %s", s.Name(), secret, text)
			}
		}
	}
}

// TestSpansOfAResumedCall: the call's trace goes on after its client has left, the
// resume is another's, and says so; usage is there once.
func TestSpansOfAResumedCall(t *testing.T) {
	s, spans := newTracedSite(t, func(s *site) { s.config.SpanTags = []string{"team"} })
	s.sim.Next(simulator.Script{Tokens: 1500, Input: 2000, Hidden: 100, CacheRead: 500, StallAfterEvents: role + 600})
	call := with(keyed, "Traceparent", parentOf(traceOne, "01"), "Recoup-Tags", "team=search,user=bob")
	s.call(chatPath, bookBody, call).read(role + 600).leave()
	again := s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceTwo, "01")))
	s.release(0)
	again.rest()
	s.awaitConnections(again.id, 0)
	s.gateway.SettleForTest()

	attempt, settled := spans.named("chat gpt-5.5"), spans.named(metrics.SpanSettle)
	var server, resume sdktrace.ReadOnlySpan
	for _, span := range spans.Ended() {
		switch {
		case span.Name() != "POST "+chatPath:
		case span.SpanContext().TraceID().String() == traceOne:
			server = span
		default:
			resume = span
		}
	}
	if server == nil || resume == nil || resume.SpanContext().TraceID().String() != traceTwo {
		t.Fatal(spans)
	}
	for span, parent := range map[sdktrace.ReadOnlySpan]string{
		server: callerSpan, resume: callerSpan, attempt: server.SpanContext().SpanID().String(), settled: attempt.SpanContext().SpanID().String(),
	} {
		if got := span.Parent().SpanID().String(); got != parent {
			t.Errorf("the parent of %s is %s, want %s", span.Name(), got, parent)
		}
		if span.Status().Code != codes.Unset {
			t.Errorf("%s: %v", span.Name(), span.Status())
		}
	}
	if server.SpanKind() != trace.SpanKindServer || attempt.SpanKind() != trace.SpanKindClient || resume.SpanKind() != trace.SpanKindServer || settled.SpanKind() != trace.SpanKindInternal {
		t.Error(spans)
	}
	if !attempt.EndTime().After(server.EndTime()) {
		t.Error("the attempt has ended with its client")
	}
	spans.linked(server)
	spans.linked(resume, server, attempt)
	spans.linked(attempt, resume)
	spans.expect(server, map[attribute.Key]string{
		metrics.AttrStreamID: again.id, metrics.AttrEnded: "client", metrics.AttrDelivered: "601", metrics.AttrHTTPStatus: "200",
		metrics.AttrErrorType: "", metrics.AttrTag + "team": "search", metrics.AttrTag + "user": "", metrics.AttrUsageOutput: "",
	})
	spans.expect(attempt, map[attribute.Key]string{
		metrics.AttrStreamID: again.id, metrics.AttrOperation: "chat", metrics.AttrProvider: "openai", metrics.AttrRequestModel: "gpt-5.5",
		metrics.AttrRequestStream: "true", metrics.AttrFinishReasons: `["stop"]`, metrics.AttrStreamState: "completed",
		metrics.AttrUsageInput: "2500", metrics.AttrUsageOutput: "1600", metrics.AttrUsageCacheRead: "500", metrics.AttrUsageReasoning: "100", metrics.AttrBilledBasis: "reported",
	})
	spans.expect(resume, map[attribute.Key]string{
		metrics.AttrStreamID: again.id, metrics.AttrOperation: "fetch_response", metrics.AttrResumed: "key", metrics.AttrOffset: "0",
		metrics.AttrEnded: "done", metrics.AttrUsageOutput: "", metrics.AttrUsageInput: "",
	})
	spans.expect(settled, map[attribute.Key]string{metrics.AttrDeliveredN: "1600", metrics.AttrLost: "0", metrics.AttrSavedOutput: "700", metrics.AttrStreamID: again.id})
	if attributeOf(attempt, metrics.AttrFirstChunk).AsFloat64() <= 0 || attributeOf(resume, metrics.AttrGap).AsFloat64() <= 0 {
		t.Error("no times")
	}
	if events := attempt.Events(); len(events) != 2 || events[0].Name != metrics.EventDetached || events[1].Name != metrics.EventAttached {
		t.Errorf("events: %v", events)
	}
	if n := spans.usages(); n != 1 {
		t.Errorf("%d spans have usage", n)
	}
	spans.silent("sk-alice", "hello", "bob", "mine:1")
	for name, want := range map[string]string{
		metrics.NameBreaks: traceOne, metrics.NameResumes: traceTwo, metrics.NameResumeGap: traceTwo, metrics.NameTimeToFirstEvent: traceOne,
		metrics.NameGenAIDuration: traceOne, metrics.NameGenAIFirstChunk: traceOne, metrics.NameGenAIOutput: traceOne, metrics.NameOutputTokens: "",
	} {
		if got := s.exemplars(name); strings.Join(got, ",") != want {
			t.Errorf("the exemplars of %s lead to %v, want %s", name, got, want)
		}
	}
}

// exemplars are the traces that a metric's exemplars lead to, each once.
func (s *site) exemplars(name string) (traces []string) {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			all := m.GetHistogram().GetExemplars()
			for _, b := range m.GetHistogram().GetBucket() {
				all = append(all, b.GetExemplar())
			}
			for _, e := range append(all, m.GetCounter().GetExemplar()) {
				for _, l := range e.GetLabel() {
					if l.GetName() == "trace_id" && !seen[l.GetValue()] {
						seen[l.GetValue()] = true
						traces = append(traces, l.GetValue())
					}
				}
			}
		}
	}
	return traces
}

// TestSpansOfALostCall: what nobody came back for is expired in a trace of its own
// that leads to the call, and so do the exemplars of what was lost.
func TestSpansOfALostCall(t *testing.T) {
	s, spans := newTracedSite(t)
	s.sim.Next(simulator.Script{Tokens: 900, Input: 2000, StallAfterEvents: role + 600})
	r := s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceOne, "01"))).read(role + 600)
	r.leave()
	s.release(0)
	s.awaitState(r.id, streamlog.Completed)
	s.expire()
	server, attempt, expired := spans.named("POST "+chatPath), spans.named("chat gpt-5.5"), spans.named(metrics.SpanExpire)
	if expired.SpanContext().TraceID().String() == traceOne || expired.Parent().IsValid() {
		t.Error("the expiry is in the call's trace")
	}
	spans.linked(expired, server, attempt)
	spans.expect(expired, map[attribute.Key]string{metrics.AttrWasted: "600", metrics.AttrLost: "300", metrics.AttrLossCauses: `["abandoned"]`, metrics.AttrLossCost: "0.037"})
	for _, name := range []string{metrics.NameOutputTokens, metrics.NameCost} {
		if got := s.exemplars(name); strings.Join(got, ",") != traceOne {
			t.Errorf("the exemplars of %s lead to %v", name, got)
		}
	}
	if n := spans.usages(); n != 1 {
		t.Errorf("%d spans have usage", n)
	}
}

// TestSpansOfAFailingProvider: the attempt and its client's request are errors, by
// the type that the metric has, and the answer finished with one.
func TestSpansOfAFailingProvider(t *testing.T) {
	s, spans := newTracedSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, CutAfterEvents: 10, Cut: simulator.CutFIN})
	resp, _, err := s.all(http.MethodPost, chatPath, bookBody, nil)
	if !aborted(err) {
		t.Fatal(err)
	}
	s.awaitConnections(resp.Header.Get("Recoup-Stream-Id"), 0)
	s.gateway.SettleForTest()
	attempt, server := spans.named("chat gpt-5.5"), spans.named("POST "+chatPath)
	for _, span := range []sdktrace.ReadOnlySpan{attempt, server} {
		spans.expect(span, map[attribute.Key]string{metrics.AttrErrorType: "cut"})
		if span.Status().Code != codes.Error {
			t.Errorf("%s: %v", span.Name(), span.Status())
		}
	}
	spans.expect(attempt, map[attribute.Key]string{metrics.AttrFinishReasons: `["error"]`, metrics.AttrStreamState: "interrupted", metrics.AttrUsageOutput: ""})
	s.sim.Next(simulator.Script{Status: 503})
	s.must(503, http.MethodPost, chatPath, strings.Replace(bookBody, "hello", "again", 1), nil)
	s.must(400, http.MethodPost, chatPath, "{", header{"Traceparent": parentOf(traceTwo, "01")})
	s.must(404, http.MethodGet, "/recoup/streams/nonsense", "", nil)
	s.gateway.SettleForTest()
	want := map[string]string{"503": "Error", "400": "Unset", "404": "Unset", "200": "Error"}
	for _, span := range spans.Ended() {
		if status := attributeOf(span, metrics.AttrHTTPStatus).String(); span.SpanKind() == trace.SpanKindServer {
			if span.Status().Code.String() != want[status] {
				t.Errorf("%s, %s: %v", span.Name(), status, span.Status())
			}
			delete(want, status)
		}
	}
	if len(want) > 0 {
		t.Errorf("no spans of %v: %s", want, spans)
	}
}

// TestSpanOfARecovery: the next process says, linked to what was stored, what became
// of the attempt whose span died with the gateway; and has its usage, once.
func TestSpanOfARecovery(t *testing.T) {
	s, spans := newTracedSite(t)
	s.sim.Next(simulator.Script{Tokens: 600, Input: 2000, StallAfterEvents: role + 400})
	r := s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceOne, "01"))).read(role + 400)
	defer r.Body.Close()
	s.awaitEvents(r.id, role+400)
	dir := t.TempDir() // as a SIGKILL leaves it: nothing is being written now
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	again, later := newTracedSite(t, func(s *site) { s.dir = dir })
	again.gateway.SettleForTest()
	s.stop()
	defer s.start()
	server, attempt, recovery := spans.named("POST "+chatPath), spans.named("chat gpt-5.5"), later.named(metrics.SpanRecover)
	later.linked(recovery, server, attempt)
	later.expect(recovery, map[attribute.Key]string{
		metrics.AttrStreamID: r.id, metrics.AttrStreamState: "interrupted", metrics.AttrStreamCause: "crash", metrics.AttrBilledOutput: "400", metrics.AttrBilledBasis: "counted",
	})
	again.expire()
	settled := later.named(metrics.SpanExpire)
	later.linked(settled, server, attempt)
	later.expect(settled, map[attribute.Key]string{metrics.AttrLossCauses: `["crash"]`})
	if n := attributeOf(settled, metrics.AttrWasted).AsInt64() + attributeOf(settled, metrics.AttrLost).AsInt64(); n != 400 {
		t.Errorf("%d tokens died, want 400", n)
	}
}

// TestSampling: a caller's decision holds, and a resume shares the fate of the call,
// in another process too.
func TestSampling(t *testing.T) {
	for _, tt := range []struct{ call, resume string }{{"00", "01"}, {"01", "00"}} {
		t.Run(tt.call+" "+tt.resume, func(t *testing.T) {
			s, spans := newTracedSite(t)
			s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceOne, tt.call))).read(role + 2).leave()
			s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceTwo, tt.resume))).rest()
			s.gateway.SettleForTest()
			s.restart()
			r := s.call(chatPath, bookBody, with(keyed, "Traceparent", parentOf(traceTwo, tt.resume)))
			r.rest()
			s.awaitConnections(r.id, 0)
			want := 0
			if tt.call == "01" {
				want = 5 // call, attempt, settlement, two resumes
			}
			if got := len(spans.Ended()); got != want {
				t.Errorf("%d spans, want %d: %s", got, want, spans)
			}
		})
	}
}

// TestPropagation: a provider is told of the trace only where that is wanted.
func TestPropagation(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		for _, traced := range []bool{false, true} {
			t.Run(fmt.Sprintf("wanted %v, traced %v", wanted, traced), func(t *testing.T) {
				seen := make(chan http.Header, 2)
				spy := func(s *site) {
					p := s.config.Providers["openai"]
					p.PropagateTrace = wanted
					s.config.Providers["openai"] = p
					s.sim.On(func(r *http.Request, _ []byte) *simulator.Script {
						seen <- r.Header.Clone()
						return nil
					})
				}
				var s *site
				var spans recorded
				if traced {
					s, spans = newTracedSite(t, spy)
				} else {
					s = newSite(t, spy)
				}
				caller := header{"Traceparent": parentOf(traceOne, "01"), "Tracestate": "a=b", "Baggage": "user=bob"}
				s.must(200, http.MethodPost, chatPath, bookBody, caller)
				got := <-seen
				s.must(200, http.MethodGet, "/v1/models", "", caller)
				passed := <-seen
				switch {
				case !wanted:
					for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
						if got.Get(name)+passed.Get(name) != "" {
							t.Errorf("the provider was told %s: %q, %q", name, got.Get(name), passed.Get(name))
						}
					}
				case traced:
					s.gateway.SettleForTest()
					attempt := spans.named("chat gpt-5.5").SpanContext()
					if want := fmt.Sprintf("00-%s-%s-01", traceOne, attempt.SpanID()); got.Get("Traceparent") != want || got.Get("Tracestate") != "a=b" || got.Get("Baggage") != "user=bob" {
						t.Errorf("the provider was told %v, want %s", got, want)
					}
					if !strings.HasPrefix(passed.Get("Traceparent"), "00-"+traceOne) || passed.Get("Traceparent") == caller["Traceparent"] {
						t.Errorf("passed through: %q", passed.Get("Traceparent"))
					}
				default:
					if got.Get("Traceparent") != caller["Traceparent"] || passed.Get("Traceparent") != caller["Traceparent"] {
						t.Errorf("not passed on: %v", got)
					}
				}
			})
		}
	}
}

// TestStopEndsSpans: what has no bill when the gateway goes is exported without.
func TestStopEndsSpans(t *testing.T) {
	s, spans := newTracedSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 10})
	r := s.call(chatPath, bookBody, keyed).read(5)
	defer r.Body.Close()
	s.stop()
	defer s.start()
	attempt := spans.named("chat gpt-5.5")
	spans.expect(attempt, map[attribute.Key]string{metrics.AttrStreamCause: "shutdown", metrics.AttrErrorType: "gateway"})
	if started, ended := len(spans.Started()), len(spans.Ended()); started != ended {
		t.Errorf("%d spans were begun, %d ended", started, ended)
	}
}
