package metrics

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/recoup-gateway/recoup/internal/token"
)

// GenAIInstruments are OpenTelemetry's instruments of a client's inference, by the
// names of the GenAI conventions (spans.go says of which day). They count each
// attempt once, whoever reads its answer how often; what came of it is not theirs
// to say.
type GenAIInstruments struct {
	duration   metric.Float64Histogram
	firstChunk metric.Float64Histogram
	perChunk   *prometheus.HistogramVec // by Prometheus' library, which takes a fifth of the time: this is once an event

	input, output, cacheRead, cacheWrite, reasoning metric.Int64Counter
	operationInput, operationOutput                 metric.Int64Histogram
}

// newGenAI makes the instruments, through OpenTelemetry's meter, in the registry
// that has all the others.
func newGenAI(reg prometheus.Registerer) (*GenAIInstruments, error) {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(reg), otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: exporter: %w", err)
	}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)).Meter(scopeName)
	b := builder{meter: meter}
	g := &GenAIInstruments{
		duration:        b.seconds("gen_ai.client.inference.duration", NameGenAIDuration),
		firstChunk:      b.seconds("gen_ai.client.inference.time_to_first_chunk", NameGenAIFirstChunk),
		perChunk:        histograms(NameGenAIPerChunk),
		input:           b.counter("gen_ai.client.inference.usage.input_tokens", NameGenAIInput),
		output:          b.counter("gen_ai.client.inference.usage.output_tokens", NameGenAIOutput),
		cacheRead:       b.counter("gen_ai.client.inference.usage.cache_read.input_tokens", NameGenAICacheRead),
		cacheWrite:      b.counter("gen_ai.client.inference.usage.cache_write.input_tokens", NameGenAICacheWrite),
		reasoning:       b.counter("gen_ai.client.inference.usage.reasoning.output_tokens", NameGenAIReasoning),
		operationInput:  b.tokens("gen_ai.client.inference.operation.input_tokens", NameGenAIOperationInput),
		operationOutput: b.tokens("gen_ai.client.inference.operation.output_tokens", NameGenAIOperationOutput),
	}
	reg.MustRegister(g.perChunk)
	return g, b.err
}

// builder makes instruments, and keeps the first error.
type builder struct {
	meter metric.Meter
	err   error
}

func (b *builder) keep(err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("metrics: %w", err)
	}
}

func (b *builder) seconds(name, prometheusName string) metric.Float64Histogram {
	d := definition(prometheusName)
	h, err := b.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(d.Help), metric.WithExplicitBucketBoundaries(d.Buckets...))
	b.keep(err)
	return h
}

func (b *builder) tokens(name, prometheusName string) metric.Int64Histogram {
	d := definition(prometheusName)
	h, err := b.meter.Int64Histogram(name, metric.WithUnit("{token}"), metric.WithDescription(d.Help), metric.WithExplicitBucketBoundaries(d.Buckets...))
	b.keep(err)
	return h
}

func (b *builder) counter(name, prometheusName string) metric.Int64Counter {
	c, err := b.meter.Int64Counter(name, metric.WithUnit("{token}"), metric.WithDescription(definition(prometheusName).Help))
	b.keep(err)
	return c
}

// An Inference is what the GenAI instruments say of an attempt beside its numbers.
// Models are the price book's ids, so that their number is bounded.
type Inference struct {
	Operation, Provider         string
	RequestModel, ResponseModel string
}

func (i Inference) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		AttrOperation.String(i.Operation), AttrProvider.String(i.Provider),
		AttrRequestModel.String(i.RequestModel), AttrResponseModel.String(i.ResponseModel),
	}
}

// Chunks returns what records the events of one answer.
func (g *GenAIInstruments) Chunks(i Inference) *Chunks {
	return &Chunks{g, i, g.perChunk.WithLabelValues(i.Operation, i.Provider, i.RequestModel, i.ResponseModel)}
}

// Chunks records when the events of an answer come.
type Chunks struct {
	instruments *GenAIInstruments
	inference   Inference
	perChunk    prometheus.Observer
}

// First records the time from sending the attempt to its first event. ctx has the
// span that the exemplar leads to.
func (c *Chunks) First(ctx context.Context, seconds float64) {
	c.instruments.firstChunk.Record(ctx, seconds, metric.WithAttributes(c.inference.attributes()...))
}

// Next records the time between two events.
func (c *Chunks) Next(seconds float64) { c.perChunk.Observe(seconds) }

// Ended records an attempt's duration. errorType is empty for one that gave a
// complete answer.
func (g *GenAIInstruments) Ended(ctx context.Context, i Inference, seconds float64, errorType string) {
	attributes := i.attributes()
	if errorType != "" {
		attributes = append(attributes, AttrErrorType.String(errorType))
	}
	g.duration.Record(ctx, seconds, metric.WithAttributes(attributes...))
}

// modalityUnknown says that a 0 stands for a number that nobody knows.
const modalityUnknown = "unknown"

// Billed counts the tokens of an attempt as the provider reports them. What it
// doesn't report counts as 0, and says so.
func (g *GenAIInstruments) Billed(ctx context.Context, i Inference, u token.Usage) {
	attributes := i.attributes()
	with := metric.WithAttributes(attributes...)
	unknown := metric.WithAttributes(append(attributes, AttrTokenModality.String(modalityUnknown))...)
	total := func(c metric.Int64Counter, h metric.Int64Histogram, n token.Count) {
		v, known := n.Get()
		if !known {
			c.Add(ctx, 0, unknown)
			return
		}
		c.Add(ctx, v, with)
		h.Record(ctx, v, with)
	}
	part := func(c metric.Int64Counter, n int64) {
		if n > 0 {
			c.Add(ctx, n, with)
		}
	}
	total(g.input, g.operationInput, u.InputTotal())
	total(g.output, g.operationOutput, u.Output)
	part(g.cacheRead, u.CacheRead.Or(0))
	part(g.cacheWrite, u.CacheWrite5m.Or(0)+u.CacheWrite1h.Or(0))
	part(g.reasoning, u.Reasoning.Or(0))
}
