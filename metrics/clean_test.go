package metrics

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TestOneBadByteCostsNoBatch: spans with text that is no UTF-8 are exported, over the
// wire, with the others of their batch.
func TestOneBadByteCostsNoBatch(t *testing.T) {
	bodies := make(chan string, 4)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
	}))
	defer server.Close()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	tracing := newTracing("test", sdktrace.WithBatcher(cleaning{exporter}))
	for _, bad := range []attribute.KeyValue{AttrUserAgent.String("evil\xff"), AttrFinishReasons.StringSlice([]string{"stop", "\xc3"}), AttrStreamID.String("fine")} {
		_, span := tracing.Tracer().Start(context.Background(), "chat \xfe", trace.WithAttributes(bad))
		span.SetStatus(codes.Error, "cut \xfe")
		span.End()
	}
	if err := tracing.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-bodies:
		for _, want := range []string{"evil\uFFFD", "chat \uFFFD", "cut \uFFFD", "fine", "stop"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q was not exported", want)
			}
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was exported")
	}
}

// TestVariablesAreChecked: what an exporter would log and go on without is refused, by
// its name, and never with what is in it.
func TestVariablesAreChecked(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "s3cr3t:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://user:s3cr3t@%zz",
		"OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer s3cr3t", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=s3cr3t%zz",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "10s", "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/does/not/exist/s3cr3t",
		"OTEL_BSP_SCHEDULE_DELAY": "5s", "OTEL_BSP_MAX_QUEUE_SIZE": "many",
	} {
		env := map[string]string{"OTEL_TRACES_EXPORTER": "otlp", name: value}
		_, err := StartTracing(t.Context(), func(n string) string { return env[n] }, "test", slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), name+":") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4317", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, other=1",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "5000", "OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
	} {
		if err := checkVariables(func(n string) string { return map[string]string{name: value}[n] }); err != nil {
			t.Error(err)
		}
	}
}
