package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestUsageIsRefusedAsUnprocessable: Mistral says 422 of members that it doesn't know.
func TestUsageIsRefusedAsUnprocessable(t *testing.T) {
	var calls atomic.Int32
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var body map[string]json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body["stream_options"] != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, halfChat+"data: "+`{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":1}}`+"\n\ndata: [DONE]\n\n")
	})
	for want := range 2 {
		resp, got := s.must(200, http.MethodPost, chatPath, bookBody, nil)
		id := resp.Header.Get("Recoup-Stream-Id")
		s.awaitConnections(id, 0)
		s.awaitState(id, streamlog.Completed)
		if !bytes.Contains(got, []byte(`"usage":{"prompt_tokens":7`)) || int(calls.Load()) != 2+want {
			t.Errorf("after %d calls: %s", calls.Load(), got)
		}
		if b := s.books(id); b.Input.Tokens != 7 || b.Output.Tokens != 1 || b.Output.Basis != "reported" {
			t.Errorf("booked %+v", b)
		}
	}
}

// TestErrorEventFails: Groq's event of that name ends an answer, whatever the status
// was. What had come is booked as estimated, and the provider's bytes are the client's.
func TestErrorEventFails(t *testing.T) {
	const failure = "event: error\ndata: {\"error\":{\"message\":\"Failed to call a function.\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\"failed_generation\":\"x\",\"status_code\":400}}\n\n"
	s := answering(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, halfChat+failure)
	})
	resp, got, err := s.all(http.MethodPost, chatPath, chatBody, nil)
	sameBytes(t, "what the client gets", got, []byte(halfChat+failure))
	id := resp.Header.Get("Recoup-Stream-Id")
	if s.awaitState(id, streamlog.Failed); err != nil { // as the provider ended it
		t.Errorf("the body ended with %v", err)
	}
	s.awaitConnections(id, 0)
	if b := s.books(id); b.Output.Tokens != 1 || b.Output.Basis == "reported" || len(b.Outcomes) != 1 || b.Outcomes[0].Outcome != "wasted" || b.Outcomes[0].Cause != "upstream" {
		t.Errorf("booked %+v", b)
	}
}

// TestOllamaIsPassedThrough: its own API answers in lines of JSON, as they come.
func TestOllamaIsPassedThrough(t *testing.T) {
	const line = `{"model":"qwen3","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"%d"},"done":%v}` + "\n"
	for _, path := range []string{"/api/chat", "/api/generate"} {
		next := make(chan struct{})
		s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			for i := range 3 {
				fmt.Fprintf(w, line, i, i == 2)
				_ = http.NewResponseController(w).Flush()
				<-next
			}
		})
		resp := s.do(http.MethodPost, "/openai"+path, `{"model":"qwen3","messages":[]}`, nil)
		for i := range 3 {
			want := fmt.Sprintf(line, i, i == 2)
			if got := readUntil(t, resp.Body, len(want)); string(got) != want {
				t.Errorf("%s: line %d is %s", path, i, got)
			}
			next <- struct{}{}
		}
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("%s: behind the lines: %q, %v", path, rest, err)
		}
		resp.Body.Close()
		if h := resp.Header; h.Get("Recoup-Stream-Id") != "" || h.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// TestContinuousUsage: the running usage that a client asks of vLLM is shown as it is, and
// of a cut stream the last one is booked.
func TestContinuousUsage(t *testing.T) {
	chunk := func(n int) string {
		return fmt.Sprintf(`data: {"id":"c","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}],"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}}`, n, 9+n) + "\n\n"
	}
	body := chunk(3) + chunk(6)
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		if sent, _ := io.ReadAll(r.Body); !bytes.Contains(sent, []byte(`"continuous_usage_stats":true`)) {
			t.Errorf("the provider was sent %s", sent)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, body)
	})
	resp, got, _ := s.all(http.MethodPost, chatPath, strings.Replace(chatBody, `"include_usage":true`, `"continuous_usage_stats":true`, 1), nil)
	sameBytes(t, "what the client gets", got, []byte(body))
	id := resp.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	s.awaitState(id, streamlog.Interrupted)
	if b := s.books(id); b.Input.Tokens != 9 || b.Output.Tokens != 6 || b.Output.Basis != "partial" {
		t.Errorf("booked %+v", b)
	}
}
