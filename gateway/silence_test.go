package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestSilentProvider: a provider that says nothing for too long is given up, and
// its half of an answer does not look whole.
func TestSilentProvider(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.UpstreamIdleTimeout = 50 * time.Millisecond })
	resp, _, err := s.all(http.MethodPost, chatPath, chatBody, script(simulator.Script{Tokens: 100, StallAfterEvents: 20}))
	if !aborted(err) {
		t.Errorf("the body ended with %v", err)
	}
	info := s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Interrupted)
	if info.End.Cause != "upstream" || !strings.Contains(info.End.Detail, "silent") || info.Events != 20 {
		t.Errorf("end %+v after %d events", info.End, info.Events)
	}
}

// TestReaderThatTakesNothing is cut off after the write timeout: a break of its
// own kind, after which the answer is still there.
func TestReaderThatTakesNothing(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.WriteTimeout = 50 * time.Millisecond })
	h := with(script(simulator.Script{Tokens: 3000, PadLineBytes: 10_000}), "Idempotency-Key", "k")
	resp := s.do(http.MethodPost, chatPath, chatBody, h)
	defer resp.Body.Close()
	id := resp.Header.Get("Recoup-Stream-Id")
	s.awaitState(id, streamlog.Completed)
	s.awaitConnections(id, 0)
	s.expectMetric(`
		# HELP recoup_breaks_total Owners' connections that ended before the terminal event was written to them, by cause.
		# TYPE recoup_breaks_total counter
		recoup_breaks_total{cause="slow_reader",model="gpt-5.5",provider="openai"} 1
	`, "recoup_breaks_total")
	s.config.WriteTimeout = time.Minute
	if err := s.gateway.Reload(s.config); err != nil {
		t.Fatal(err)
	}
	if again, _ := s.must(200, http.MethodPost, chatPath, chatBody, h); again.Header.Get("Recoup-Resumed") != "key" {
		t.Errorf("Recoup-Resumed %q", again.Header.Get("Recoup-Resumed"))
	}
}
