// Command otlpsink receives traces as an OpenTelemetry collector does, with the
// collector's own receiver, and writes them to standard output: for the tests of what
// a gateway exports. It is a module of its own, so that the gateway doesn't depend on
// the collector.
//
// It listens on free ports of the loopback address. The first line that it writes is
// {"grpc": "http://127.0.0.1:…", "http": "http://127.0.0.1:…"}, each one after that
// an export, as OTLP's JSON. It ends with its standard input.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "otlpsink:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	grpc, err := freeAddress()
	if err != nil {
		return err
	}
	http, err := freeAddress()
	if err != nil {
		return err
	}
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	protocols := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{"endpoint": grpc}, "http": map[string]any{"endpoint": http},
	}})
	if err := protocols.Unmarshal(config); err != nil {
		return err
	}
	out := &output{encoder: json.NewEncoder(os.Stdout)}
	sink, err := consumer.NewTraces(out.write)
	if err != nil {
		return err
	}
	receiver, err := factory.CreateTraces(ctx, receivertest.NewNopSettings(factory.Type()), config, sink)
	if err != nil {
		return err
	}
	if err := receiver.Start(ctx, host{}); err != nil {
		return err
	}
	if err := out.encoder.Encode(map[string]string{"grpc": "http://" + grpc, "http": "http://" + http}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return receiver.Shutdown(ctx)
}

// freeAddress is an address that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// output writes one line an export.
type output struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

func (o *output) write(_ context.Context, traces ptrace.Traces) error {
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.encoder.Encode(json.RawMessage(text))
}

// host is what a receiver runs in: nothing else.
type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }
