package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// BenchmarkEvent is what is noted of one event, by those who do it: what comes from
// the provider, by two instruments, and what goes to the client.
func BenchmarkEvent(b *testing.B) {
	m, err := New(prometheus.NewRegistry(), Options{Version: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	interval := m.InterEvent.WithLabelValues("openai", "upstream")
	chunks := m.GenAI.Chunks(Inference{"chat", "openai", "gpt-5.5", "gpt-5.5"})
	b.Run("inter_event", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			interval.Observe(float64(i%100) / 1000)
		}
	})
	b.Run("per_chunk", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			chunks.Next(float64(i%100) / 1000)
		}
	})
	b.Run("exemplar off", func(b *testing.B) {
		b.ReportAllocs()
		counter := m.Breaks.WithLabelValues("openai", "gpt-5.5", "client")
		for b.Loop() {
			Count(counter, trace.SpanContext{})
		}
	})
}
