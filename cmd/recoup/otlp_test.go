package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// The tests of this file have the spans received by an OpenTelemetry collector's own
// receiver, which is a module of its own (internal/otlpsink) and takes a while to
// build: they run where RECOUP_OTLP is set, as .ci/run and make full do.

// received is a span as it came over the wire.
type received struct {
	TraceID    string `json:"traceId"`
	SpanID     string `json:"spanId"`
	Parent     string `json:"parentSpanId"`
	Name       string
	Kind       int
	Attributes attributes
	Links      []struct {
		TraceID    string `json:"traceId"`
		SpanID     string `json:"spanId"`
		Attributes attributes
	}
	Events []struct{ Name string }
	Status struct{ Code int }
}

// attributes are those of OTLP's JSON, as text.
type attributes map[string]string

func (a *attributes) UnmarshalJSON(data []byte) error {
	var list []struct {
		Key   string
		Value map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*a = attributes{}
	for _, kv := range list {
		for _, v := range kv.Value {
			(*a)[kv.Key] = strings.Trim(string(v), `"`)
		}
	}
	return nil
}

// sink is a running otlpsink.
type sink struct {
	Endpoints struct{ GRPC, HTTP string }

	mu       sync.Mutex
	spans    []received
	resource attributes
	raw      strings.Builder
	more     chan struct{} // closed and replaced at each export
}

func startSink(t *testing.T) *sink {
	t.Helper()
	if os.Getenv("RECOUP_OTLP") == "" && os.Getenv("RECOUP_FULL") == "" {
		t.Skip("RECOUP_OTLP is not set: the OpenTelemetry receiver isn't built")
	}
	binary := filepath.Join(t.TempDir(), "otlpsink")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", "..", "internal", "otlpsink"), "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary)
	cmd.Stderr = quietLog{t}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sink{more: make(chan struct{})}
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s.Endpoints)
	}
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(lines)
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// quietLog is what a child says, in the test's output.
type quietLog struct{ t *testing.T }

func (q quietLog) Write(p []byte) (int, error) {
	q.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (s *sink) read(lines *bufio.Reader) {
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var export struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes attributes }
				ScopeSpans []struct{ Spans []received }
			}
		}
		if err := json.Unmarshal(line, &export); err != nil {
			panic(fmt.Sprintf("%v: %s", err, line))
		}
		s.mu.Lock()
		s.raw.Write(line)
		for _, r := range export.ResourceSpans {
			s.resource = r.Resource.Attributes
			for _, scope := range r.ScopeSpans {
				s.spans = append(s.spans, scope.Spans...)
			}
		}
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
	}
}

// await waits until there is a span of which it is true.
func (s *sink) await(t *testing.T, what string, is func(received) bool) received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		s.mu.Lock()
		for _, span := range s.spans {
			if is(span) {
				s.mu.Unlock()
				return span
			}
		}
		more := s.more
		s.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("no span came: %s\n%s", what, s)
		}
	}
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, span := range s.spans {
		all = append(all, fmt.Sprintf("%s %s %s<%s %v", span.TraceID, span.Name, span.SpanID, span.Parent, span.Attributes))
	}
	return strings.Join(all, "\n")
}

func named(name string) func(received) bool {
	return func(s received) bool { return s.Name == name }
}

// interrupt makes a call under a caller's trace, reads some of it, and breaks off. It
// returns once the gateway knows. The answer stands still after 60 events, and once it is
// released goes on up to so many, or to its end.
func interrupt(t *testing.T, c *child, sim *simulator.Simulator, traceID string, upTo ...int) (id string) {
	t.Helper()
	const key = "run:1"
	sim.Next(simulator.Script{Tokens: 200, Input: 2000, StallAfterEvents: 60, StallAlso: upTo})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := chatRequest(c.url, key).WithContext(ctx)
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Authorization", "Bearer sk-secret")
	req.Header.Set("Traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	if err := sim.WaitStalled(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	id = resp.Header.Get("Recoup-Stream-Id")
	for status(t, c, id).connected() {
	}
	return id
}

// streamStatus is what the gateway says of a stream.
type streamStatus struct {
	Events      int
	Connections []any
}

func (s streamStatus) connected() bool { return len(s.Connections) > 0 }

func status(t *testing.T, c *child, id string) (s streamStatus) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.url+"/recoup/streams/"+id+"/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-secret")
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTracesArrive: what a collector receives of a call that was interrupted and
// resumed, over both protocols: two traces, linked, with the usage once, and nothing
// of what must stay secret.
func TestTracesArrive(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(strings.ReplaceAll(protocol, "/", " "), func(t *testing.T) {
			s := startSink(t)
			sim := simulator.New(simulator.Options{})
			provider, err := sim.Start("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer provider.Close()
			endpoint := s.Endpoints.HTTP
			if protocol == "grpc" {
				endpoint = s.Endpoints.GRPC
			}
			c := serveChildIn(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol, "OTEL_BSP_SCHEDULE_DELAY=50",
				"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test"}, t.TempDir(), provider.URL)
			const one, two = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319d"
			interrupt(t, c, sim, one)
			req := chatRequest(c.url, "run:1")
			req.Header.Set("Idempotency-Key", "run:1")
			req.Header.Set("Authorization", "Bearer sk-secret")
			req.Header.Set("Traceparent", "00-"+two+"-b7ad6b7169203331-01")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			sim.Release()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()

			attempt := s.await(t, "the attempt", named("chat gpt-5.5"))
			settled := s.await(t, "the settlement", named("recoup.settle"))
			server := s.await(t, "the call", func(s received) bool { return s.Name == "POST /v1/chat/completions" && s.TraceID == one })
			resume := s.await(t, "the resume", func(s received) bool { return s.Name == "POST /v1/chat/completions" && s.TraceID == two })
			if server.Parent != "b7ad6b7169203331" || attempt.TraceID != one || attempt.Parent != server.SpanID || settled.TraceID != one || settled.Parent != attempt.SpanID ||
				server.Kind != 2 || attempt.Kind != 3 || settled.Kind != 1 {
				t.Errorf("the tree is not what it should be:\n%s", s)
			}
			if l := resume.Links; len(l) != 2 || l[0].TraceID != one || l[0].SpanID != server.SpanID || l[0].Attributes["recoup.link.kind"] != "resume_of" ||
				l[1].SpanID != attempt.SpanID || l[1].Attributes["recoup.link.kind"] != "origin" {
				t.Errorf("the resume's links are %+v", l)
			}
			if l := attempt.Links; len(l) != 1 || l[0].TraceID != two || l[0].SpanID != resume.SpanID {
				t.Errorf("the attempt's links are %+v", l)
			}
			for key, want := range map[string]string{"gen_ai.usage.output_tokens": "200", "gen_ai.usage.input_tokens": "2000", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"} {
				if attempt.Attributes[key] != want {
					t.Errorf("%s is %q, want %q", key, attempt.Attributes[key], want)
				}
			}
			if resume.Attributes["gen_ai.operation.name"] != "fetch_response" || settled.Attributes["recoup.delivered.output_tokens"] != "200" || server.Status.Code != 0 {
				t.Errorf("%v\n%v", resume.Attributes, settled.Attributes)
			}
			if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := c.cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, c.log)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if n := strings.Count(s.raw.String(), `"gen_ai.usage.output_tokens"`); n != 1 {
				t.Errorf("usage came %d times", n)
			}
			for _, secret := range []string{"sk-secret", "Bearer", "run:1", "content"} {
				if strings.Contains(s.raw.String(), secret) {
					t.Errorf("%q came with the spans", secret)
				}
			}
			if s.resource["service.name"] != "recoup" || s.resource["deployment.environment.name"] != "test" {
				t.Errorf("the resource is %v", s.resource)
			}
		})
	}
}

// TestTracesOfAKilledGateway: the next process links what became of a stream to the
// spans that the killed one has not exported any more.
func TestTracesOfAKilledGateway(t *testing.T) {
	s := startSink(t)
	sim := simulator.New(simulator.Options{})
	provider, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	dir := t.TempDir()
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + s.Endpoints.HTTP, "OTEL_BSP_SCHEDULE_DELAY=50"}
	c := serveChildIn(t, env, dir, provider.URL)
	const one = "0af7651916cd43dd8448eb211c80319c"
	id := interrupt(t, c, sim, one, 100)
	sim.Release()
	for status(t, c, id).Events < 100 { // more than anybody has read: it could come back for the rest
	}
	server := s.await(t, "the call", named("POST /v1/chat/completions"))
	c.kill()
	serveChildIn(t, env, dir, provider.URL, "--retention=1s", "--orphan-grace=1s")
	recovery, expired := s.await(t, "the recovery", named("recoup.recover")), s.await(t, "the expiry", named("recoup.expire"))
	for _, span := range []received{recovery, expired} {
		if len(span.Links) != 2 || span.Links[0].TraceID != one || span.Links[0].SpanID != server.SpanID || span.TraceID == one || span.Kind != 1 {
			t.Errorf("%s: %+v", span.Name, span)
		}
	}
	if recovery.Attributes["recoup.stream.cause"] != "crash" || expired.Attributes["recoup.loss.usd"] == "" {
		t.Errorf("%v\n%v", recovery.Attributes, expired.Attributes)
	}
}
