package metrics

import (
	"log/slog"
	"strings"
	"testing"
)

// TestTracingIsOffUnlessAsked: nothing is set up without the standard variables, and
// what they get wrong is said.
func TestTracingByVariables(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want string // the exporter, or a part of the error
	}{
		{nil, ""},
		{map[string]string{"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "otlp over http/protobuf"},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, "otlp over http/protobuf"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp over grpc"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, "otlp over http/protobuf"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "console"}, "console"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ""},
		{map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "jaeger"}, `OTEL_TRACES_EXPORTER: "jaeger": want otlp, console or none`},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, `OTEL_EXPORTER_OTLP_PROTOCOL: "http/json": want grpc or http/protobuf`},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "x"}, "OTEL_TRACES_SAMPLER"},
	} {
		tracing, err := StartTracing(t.Context(), func(name string) string { return tt.env[name] }, "test", slog.New(slog.DiscardHandler))
		if err != nil {
			if tt.want == "" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: %v", tt.env, err)
			}
			continue
		}
		if tracing.Exporter != tt.want || tracing.On() != (tt.want != "") {
			t.Errorf("%v: %q", tt.env, tracing.Exporter)
		}
		if err := tracing.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	var none *Tracing
	if none.On() || none.Stop(t.Context()) != nil || none.Tracer() == nil {
		t.Error("no tracing is not none")
	}
}
