package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

// TestNoLimitOnAnswers: the listeners limit how long a head may take and an idle
// connection last, and nothing that a long thought or a large file would meet.
func TestNoLimitOnAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{failed: make(chan error, 1), logger: (&program{stderr: t.Output()}).logger("text", nil)}
	srv := s.serve(context.Background(), l, http.NotFoundHandler())
	defer s.serving.Wait()
	defer srv.Close()
	if srv.ReadTimeout != 0 || srv.WriteTimeout != 0 {
		t.Errorf("a request may take %v to read, a response %v to write", srv.ReadTimeout, srv.WriteTimeout)
	}
	if srv.ReadHeaderTimeout <= 0 || srv.IdleTimeout < time.Minute {
		t.Errorf("a head may take %v, an idle connection lasts %v", srv.ReadHeaderTimeout, srv.IdleTimeout)
	}
}

// TestPassedThroughWithoutAHead: a call that a shutdown cuts before its provider has
// said anything never looks answered.
func TestPassedThroughWithoutAHead(t *testing.T) {
	begun := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	defer upstream.Close()
	p := serve(t, t.TempDir(), "--provider=openai="+upstream.URL)
	go func() {
		<-begun
		p.signals <- syscall.SIGTERM
		p.signals <- syscall.SIGTERM
	}()
	resp, err := client.Get(p.url + "/v1/files")
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("answered with %d", resp.StatusCode)
		}
	}
	if code := p.awaitExit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
