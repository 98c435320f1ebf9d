package metrics

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func TestSamplerRefuses(t *testing.T) {
	for _, tt := range [][3]string{
		{"sometimes", "", "OTEL_TRACES_SAMPLER:"}, {"traceidratio", "2", "OTEL_TRACES_SAMPLER_ARG:"},
		{"traceidratio", "-1", "ARG"}, {"parentbased_traceidratio", "NaN", "ARG"}, {"traceidratio", "a lot", "ARG"},
	} {
		if _, err := newSampler(tt[0], tt[1]); err == nil || !strings.Contains(err.Error(), tt[2]) {
			t.Errorf("%v: %v", tt, err)
		}
	}
}

// decide is a sampler's decision about a span of the stream, under a remote parent,
// if there is one, with links to spans that were sampled or not.
func decide(s sampler, stream string, parent *bool, linked *bool) bool {
	rec := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(s), sdktrace.WithSpanProcessor(rec)).Tracer("")
	context1 := func(sampled bool) trace.SpanContext {
		c := trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Remote: true}
		if sampled {
			c.TraceFlags = trace.FlagsSampled
		}
		return trace.NewSpanContext(c)
	}
	ctx, options := context.Background(), []trace.SpanStartOption{trace.WithAttributes(AttrStreamID.String(stream))}
	if parent != nil {
		ctx = trace.ContextWithRemoteSpanContext(ctx, context1(*parent))
	}
	if linked != nil {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: context1(*linked)}))
	}
	ctx, span := tracer.Start(ctx, "a", options...)
	_, child := tracer.Start(ctx, "b")
	if child.SpanContext().IsSampled() != span.SpanContext().IsSampled() {
		panic("a span's child does not share its fate")
	}
	return span.SpanContext().IsSampled()
}

func TestSampler(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name, arg      string
		parent, linked *bool
		want           bool
	}{
		{"", "", nil, nil, true},
		{"", "", &no, nil, false},
		{"", "", &yes, nil, true},
		{"", "", &no, &yes, true}, // a resume shares the fate of its call
		{"", "", &yes, &no, false},
		{"always_on", "", &no, nil, true},
		{"always_on", "", &yes, &no, false},
		{"always_off", "", &yes, nil, false},
		{"always_off", "", nil, nil, false},
		{"parentbased_always_off", "", nil, nil, false},
		{"parentbased_always_off", "", &yes, nil, true},
		{"parentbased_traceidratio", "0", &yes, nil, true},
		{"parentbased_traceidratio", "0", nil, nil, false},
		{"traceidratio", "0", &yes, nil, false},
		{"traceidratio", "", &no, nil, true},
	} {
		s, err := newSampler(tt.name, tt.arg)
		if err != nil {
			t.Fatal(err)
		}
		if got := decide(s, "01a2074c-f1e1-77ad-a80c-728fc60ccbb0", tt.parent, tt.linked); got != tt.want {
			t.Errorf("%s %s: %v, want %v", tt.name, tt.arg, got, tt.want)
		}
	}
}

// TestSamplerByStream: the ratio is of streams, the same ones in every process, though
// their ids begin alike.
func TestSamplerByStream(t *testing.T) {
	s, err := newSampler("parentbased_traceidratio", "0.3")
	if err != nil {
		t.Fatal(err)
	}
	const n = 4000
	hits := 0
	for i := range n {
		id := fmt.Sprintf("01a2074c-f1e1-77ad-a80c-%012x", i)
		hit := decide(s, id, nil, nil)
		if hit != decide(s, id, nil, nil) {
			t.Fatalf("%s is sampled once, and once not", id)
		}
		if hit {
			hits++
		}
	}
	if got := float64(hits) / n; math.Abs(got-0.3) > 0.03 {
		t.Errorf("%v of the streams are sampled", got)
	}
}
