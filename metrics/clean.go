package metrics

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// cleaning is an exporter that is given valid text. One byte that is none, from
// whichever client, would cost all spans of a batch, since protobuf refuses it.
type cleaning struct{ sdktrace.SpanExporter }

// ExportSpans is part of sdktrace.SpanExporter.
func (c cleaning) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	for i, s := range spans {
		if !valid(s) {
			spans[i] = cleaned{s}
		}
	}
	return c.SpanExporter.ExportSpans(ctx, spans)
}

func valid(s sdktrace.ReadOnlySpan) bool {
	if !utf8.ValidString(s.Name()) || !utf8.ValidString(s.Status().Description) {
		return false
	}
	for _, kv := range s.Attributes() {
		if !validValue(kv.Value) {
			return false
		}
	}
	return true
}

func validValue(v attribute.Value) bool {
	switch v.Type() {
	case attribute.STRING:
		return utf8.ValidString(v.AsString())
	case attribute.STRINGSLICE:
		for _, s := range v.AsStringSlice() {
			if !utf8.ValidString(s) {
				return false
			}
		}
	}
	return true
}

// cleaned is a span whose text is valid. Keys, events and links are the program's own.
type cleaned struct{ sdktrace.ReadOnlySpan }

func (c cleaned) Name() string { return clean(c.ReadOnlySpan.Name()) }

func (c cleaned) Status() sdktrace.Status {
	s := c.ReadOnlySpan.Status()
	s.Description = clean(s.Description)
	return s
}

func (c cleaned) Attributes() []attribute.KeyValue {
	var out []attribute.KeyValue
	for _, kv := range c.ReadOnlySpan.Attributes() {
		switch kv.Value.Type() {
		case attribute.STRING:
			kv.Value = attribute.StringValue(clean(kv.Value.AsString()))
		case attribute.STRINGSLICE:
			list := kv.Value.AsStringSlice()
			for i := range list {
				list[i] = clean(list[i])
			}
			kv.Value = attribute.StringSliceValue(list)
		}
		out = append(out, kv)
	}
	return out
}

func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Text makes of what comes from outside a text that can be shown: not longer than n
// bytes, and without what is no character.
func Text(s string, n int) string {
	s = strings.ToValidUTF8(s[:min(len(s), n)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}
