package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracing is where spans go. Nil, as the zero value, is nowhere, at no cost.
type Tracing struct {
	provider *sdktrace.TracerProvider // nil: nowhere
	tracer   trace.Tracer             // nil: likewise
	Exporter string                   // "otlp over grpc", for the log; "": nowhere
}

// Exporters of OTEL_TRACES_EXPORTER.
const (
	exporterOTLP    = "otlp"
	exporterConsole = "console"
	exporterNone    = "none"
)

// StartTracing reads the standard variables with getenv and sets up what they say.
// Nothing is traced unless OTEL_TRACES_EXPORTER or an endpoint of OTLP is set. What
// the exporters themselves have to know (headers, certificates, timeouts) they read
// from the environment of the process, once it has been checked here: they would log
// what they don't understand, with credentials, and go on without it.
func StartTracing(ctx context.Context, getenv func(string) string, version string, logger *slog.Logger) (*Tracing, error) {
	kind := getenv("OTEL_TRACES_EXPORTER")
	if kind == "" && (getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "") {
		kind = exporterOTLP
	}
	if kind == "" || kind == exporterNone || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return &Tracing{}, nil
	}
	s, err := newSampler(getenv("OTEL_TRACES_SAMPLER"), getenv("OTEL_TRACES_SAMPLER_ARG"))
	if err == nil {
		err = checkVariables(getenv)
	}
	if err != nil {
		return nil, err
	}
	report(logger)
	exporter, name, err := newExporter(ctx, kind, getenv)
	if err != nil {
		return nil, err
	}
	// What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithAttributes(attribute.String("service.name", "recoup"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.Join(fmt.Errorf("tracing: resource: %w", err), exporter.Shutdown(ctx))
	}
	return newTracing(name, sdktrace.WithBatcher(cleaning{exporter}), sdktrace.WithResource(res), sdktrace.WithSampler(s)), nil
}

// TracingTo is tracing to a processor of one's own, with the default sampler.
func TracingTo(p sdktrace.SpanProcessor) *Tracing {
	return newTracing("own", sdktrace.WithSpanProcessor(p), sdktrace.WithSampler(sampler{ratio: 1, parentBased: true}))
}

func newTracing(name string, options ...sdktrace.TracerProviderOption) *Tracing {
	p := sdktrace.NewTracerProvider(options...)
	return &Tracing{provider: p, tracer: p.Tracer(scopeName), Exporter: name}
}

func newExporter(ctx context.Context, kind string, getenv func(string) string) (sdktrace.SpanExporter, string, error) {
	switch kind {
	case exporterConsole:
		e, err := stdouttrace.New()
		return e, exporterConsole, err
	case exporterOTLP:
	default:
		return nil, "", fmt.Errorf("OTEL_TRACES_EXPORTER: %q: want otlp, console or none", kind)
	}
	protocol := "http/protobuf"
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if v := getenv(name); v != "" {
			protocol = v
		}
	}
	var e sdktrace.SpanExporter
	var err error
	switch protocol {
	case "grpc":
		e, err = otlptracegrpc.New(ctx)
	case "http/protobuf":
		e, err = otlptracehttp.New(ctx)
	default:
		return nil, "", fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q: want grpc or http/protobuf", protocol)
	}
	if err != nil {
		return nil, "", fmt.Errorf("tracing: %w", err)
	}
	return e, exporterOTLP + " over " + protocol, nil
}

// On reports whether anything is traced.
func (t *Tracing) On() bool { return t != nil && t.provider != nil }

// Tracer makes spans.
func (t *Tracing) Tracer() trace.Tracer {
	if !t.On() {
		return noop.Tracer{}
	}
	return t.tracer
}

// Stop exports what is left.
func (t *Tracing) Stop(ctx context.Context) error {
	if !t.On() {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("tracing: the last spans were not exported: %w", err)
	}
	return nil
}

// TraceLabels are an exemplar's labels: they lead to a span, if that is exported.
// Else there are none.
func TraceLabels(sc trace.SpanContext) prometheus.Labels {
	if !sc.IsSampled() {
		return nil
	}
	return prometheus.Labels{"trace_id": sc.TraceID().String(), "span_id": sc.SpanID().String()}
}

// Observe observes v, with an exemplar if the span is exported.
func Observe(o prometheus.Observer, v float64, sc trace.SpanContext) {
	if labels := TraceLabels(sc); labels != nil {
		o.(prometheus.ExemplarObserver).ObserveWithExemplar(v, labels)
		return
	}
	o.Observe(v)
}

// Count adds 1, with an exemplar if the span is exported.
func Count(c prometheus.Counter, sc trace.SpanContext) {
	if labels := TraceLabels(sc); labels != nil {
		c.(prometheus.ExemplarAdder).AddWithExemplar(1, labels)
		return
	}
	c.Inc()
}

// NewExemplar is an exemplar of a value that is read when it is scraped; nil if the
// span is not exported.
func NewExemplar(v float64, sc trace.SpanContext, at time.Time) *Exemplar {
	if labels := TraceLabels(sc); labels != nil {
		return &Exemplar{labels, v, at}
	}
	return nil
}

// maxTag is how long a tag's value can be on a span, in bytes.
const maxTag = 128

// TagAttributes are the tags of a call that may be on a span, in order.
func TagAttributes(tags map[string]string, allowed []string) []attribute.KeyValue {
	var out []attribute.KeyValue
	for _, name := range allowed {
		if v, ok := tags[name]; ok {
			out = append(out, attribute.String(AttrTag+name, Text(v, maxTag)))
		}
	}
	return slices.Clip(out)
}
