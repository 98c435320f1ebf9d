package metrics

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampler decides which spans are recorded, as OTEL_TRACES_SAMPLER says, but that
// all spans of a stream share their fate: what links to a stream's spans is
// sampled if those were, and a call that nobody traces yet is sampled by its
// stream's id.
type sampler struct {
	name        string
	parentBased bool    // a caller's decision holds
	ratio       float64 // of streams and traces that begin here
}

// newSampler reads what OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say.
func newSampler(name, arg string) (sampler, error) {
	s := sampler{name: name, ratio: 1}
	switch name {
	case "":
		s.name, s.parentBased = "parentbased_always_on", true
	case "always_on":
	case "always_off":
		s.ratio = 0
	case "parentbased_always_on":
		s.parentBased = true
	case "parentbased_always_off":
		s.parentBased, s.ratio = true, 0
	case "traceidratio", "parentbased_traceidratio":
		s.parentBased = name == "parentbased_traceidratio"
		if arg == "" {
			break
		}
		ratio, err := strconv.ParseFloat(arg, 64)
		if err != nil || math.IsNaN(ratio) || ratio < 0 || ratio > 1 {
			return s, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q: want a number from 0 to 1", arg)
		}
		s.ratio = ratio
	default:
		return s, fmt.Errorf("OTEL_TRACES_SAMPLER: %q: want always_on, always_off, traceidratio, or one of these with parentbased_ in front", name)
	}
	return s, nil
}

// Description is part of sdktrace.Sampler.
func (s sampler) Description() string { return fmt.Sprintf("recoup{%s,%g}", s.name, s.ratio) }

// ShouldSample is part of sdktrace.Sampler.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	r := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	if s.wants(parent, p) {
		r.Decision = sdktrace.RecordAndSample
	}
	return r
}

func (s sampler) wants(parent trace.SpanContext, p sdktrace.SamplingParameters) bool {
	switch {
	case parent.IsValid() && !parent.IsRemote():
		return parent.IsSampled()
	case len(p.Links) > 0:
		return p.Links[0].SpanContext.IsSampled()
	case parent.IsValid() && s.parentBased:
		return parent.IsSampled()
	}
	for _, a := range p.Attributes {
		if a.Key == AttrStreamID {
			return s.hits(hash(a.Value.AsString()))
		}
	}
	return s.hits(binary.BigEndian.Uint64(p.TraceID[8:16]))
}

// hits reports whether a number that looks random is within the ratio.
func (s sampler) hits(n uint64) bool {
	return s.ratio >= 1 || float64(n>>11)/(1<<53) < s.ratio
}

// hash spreads a text over 64 bits, the same in every process: FNV-1a, and a
// finish that spreads the last characters too.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}
