package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
)

// realtime is a provider's WebSocket that says everything twice. It closes with
// what it is told to close with.
func realtime(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"realtime"}, OriginPatterns: []string{"*"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		for {
			kind, data, err := ws.Read(r.Context())
			if err != nil {
				return
			}
			if reason, ok := bytes.CutPrefix(data, []byte("close:")); ok {
				ws.Close(4001, string(reason))
				return
			}
			for range 2 {
				if err := ws.Write(r.Context(), kind, data); err != nil {
					return
				}
			}
		}
	}
}

const realtimePath = "/v1/realtime?model=gpt-realtime"

func dialRealtime(t *testing.T, s *site) *websocket.Conn {
	t.Helper()
	ws, resp, err := websocket.Dial(t.Context(), s.server.URL+realtimePath, &websocket.DialOptions{
		HTTPClient: s.client, Subprotocols: []string{"realtime", "openai-insecure-api-key.sk-alice"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	if ws.Subprotocol() != "realtime" || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("%d, subprotocol %q", resp.StatusCode, ws.Subprotocol())
	}
	ws.SetReadLimit(-1)
	return ws
}

// say sends a message and expects it back, twice.
func say(t *testing.T, ws *websocket.Conn, kind websocket.MessageType, message []byte) {
	t.Helper()
	if err := ws.Write(t.Context(), kind, message); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, data, err := ws.Read(t.Context())
		if err != nil || got != kind || !bytes.Equal(data, message) {
			t.Fatalf("%v, %d bytes, %v", got, len(data), err)
		}
	}
}

// TestRealtime: a WebSocket goes through, with its close, and is one call.
func TestRealtime(t *testing.T) {
	s, spans := newTracedSite(t, providedBy(t, realtime(t)))
	ws := dialRealtime(t, s)
	say(t, ws, websocket.MessageText, []byte(`{"type":"session.update"}`))
	say(t, ws, websocket.MessageBinary, bytes.Repeat([]byte{0, 255, 10}, 1<<20))
	if err := ws.Ping(ws.CloseRead(t.Context())); err != nil {
		t.Error(err)
	}
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("close:enough")); err != nil {
		t.Fatal(err)
	}

	other := dialRealtime(t, s)
	if err := other.Write(t.Context(), websocket.MessageText, []byte("close:enough")); err != nil {
		t.Fatal(err)
	}
	var closed websocket.CloseError
	if _, _, err := other.Read(t.Context()); !errors.As(err, &closed) || closed.Code != 4001 || closed.Reason != "enough" {
		t.Errorf("closed with %v", err)
	}
	third := dialRealtime(t, s)
	if err := third.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Error(err)
	}
	s.expectMetric(`
		# HELP recoup_passthrough_requests_total Requests passed through without being drained, by endpoint.
		# TYPE recoup_passthrough_requests_total counter
		recoup_passthrough_requests_total{endpoint="realtime",provider="openai"} 3
	`, "recoup_passthrough_requests_total")
	ws.CloseNow()
	if err := s.gateway.Drain(t.Context()); err != nil { // when all tunnels are closed by themselves
		t.Error(err)
	}
	for _, span := range spans.ofName("GET /v1/realtime", 3) {
		spans.expect(span, map[attribute.Key]string{"http.response.status_code": "101", "error.type": ""})
		if span.Status().Code == codes.Error {
			t.Errorf("%v", span.Status())
		}
	}
}

// TestRealtimeRefused: what the provider says instead of upgrading is passed on.
func TestRealtimeRefused(t *testing.T) {
	s := answering(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":{"code":"invalid_api_key"}}`)
	})
	_, resp, err := websocket.Dial(t.Context(), s.server.URL+realtimePath, &websocket.DialOptions{HTTPClient: s.client})
	if err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v, %v", resp, err)
	}
	if data, _ := io.ReadAll(resp.Body); !strings.Contains(string(data), "invalid_api_key") {
		t.Errorf("%s", data)
	}
}

const upgrade = "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: odd/1\r\n\r\n"

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: odd/1\r\n\r\n"

// tunnelled is a client's connection that was upgraded.
func tunnelled(t *testing.T, s *site) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn := s.dial()
	io.WriteString(conn, upgrade)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "odd/1" {
		t.Fatalf("%v, %v", resp, err)
	}
	return conn, r
}

// TestHalfClose: either side can say that it is done and go on listening.
func TestHalfClose(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		s := scriptedSite(t, func(conn net.Conn, _ *http.Request) {
			io.WriteString(conn, upgraded)
			data, err := io.ReadAll(conn)
			fmt.Fprintf(conn, "heard %s %v", data, err)
		})
		conn, r := tunnelled(t, s)
		io.WriteString(conn, "this")
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(r); err != nil || string(data) != "heard this <nil>" {
			t.Errorf("%q, %v", data, err)
		}
	})
	t.Run("provider", func(t *testing.T) {
		heard := make(chan string, 1)
		s := scriptedSite(t, func(conn net.Conn, _ *http.Request) {
			io.WriteString(conn, upgraded+"that")
			conn.(*net.TCPConn).CloseWrite()
			data, _ := io.ReadAll(conn)
			heard <- string(data)
		})
		conn, r := tunnelled(t, s)
		if data, err := io.ReadAll(r); err != nil || string(data) != "that" {
			t.Errorf("%q, %v", data, err)
		}
		io.WriteString(conn, "late")
		conn.Close()
		if got := <-heard; got != "late" {
			t.Errorf("the provider heard %q", got)
		}
	})
}

// TestShutdownEndsTunnels, of clients that neither speak nor listen too. Until its
// time is up, it waits for them.
func TestShutdownEndsTunnels(t *testing.T) {
	flooding := make(chan struct{})
	s, spans := newTracedSite(t, providersAt(t, scripted(t, func(conn net.Conn, _ *http.Request) {
		io.WriteString(conn, upgraded)
		block := make([]byte, 1<<20)
		for n := 0; ; n++ {
			_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := conn.Write(block); err != nil {
				break // all buffers are full
			}
		}
		close(flooding)
		io.Copy(io.Discard, conn)
	})))
	conn, _ := tunnelled(t, s)
	<-flooding
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error)
	go func() { drained <- s.gateway.Drain(ctx) }()
	for {
		resp, _, _ := s.all(http.MethodGet, "/v1/models", "", nil)
		if resp.StatusCode == http.StatusServiceUnavailable {
			break // it is draining
		}
	}
	select {
	case err := <-drained:
		t.Errorf("the shutdown has not waited: %v", err)
	default:
	}
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !aborted(err) {
		t.Error(err)
	}
	spans.expect(spans.named("GET /v1/realtime"), map[attribute.Key]string{"http.response.status_code": "101"})
}

// TestUpgradeOverTLS: to a provider of HTTP/2, a WebSocket has a connection of its
// own; other calls share one.
func TestUpgradeOverTLS(t *testing.T) {
	protocols := make(chan string, 10)
	provider := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.Proto
		if r.Header.Get("Upgrade") != "" {
			realtime(t)(w, r)
			return
		}
		w.Header().Set("Trailer", "X-Digest")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", body, r.Header.Get("Idempotency-Key"), r.Trailer.Get("X-Sum"))
		w.Header().Set("X-Digest", "d")
	}))
	provider.EnableHTTP2 = true
	provider.StartTLS()
	t.Cleanup(provider.Close)
	s := newSite(t, providersAt(t, provider.URL))
	s.gateway.TrustForTest(provider.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	for range 2 {
		req := s.request(http.MethodPost, "/v1/embeddings", "", header{"Idempotency-Key": "k", "Te": "trailers"})
		req.ContentLength, req.Trailer, req.Body = -1, http.Header{"X-Sum": {"s"}}, io.NopCloser(strings.NewReader("body"))
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(data) != "body k s" || resp.Trailer.Get("X-Digest") != "d" || resp.Proto != "HTTP/1.1" {
			t.Errorf("%q, %v, %v", data, err, resp.Trailer)
		}
		if got := <-protocols; got != "HTTP/2.0" {
			t.Errorf("the provider was called by %s", got)
		}
	}
	ws := dialRealtime(t, s)
	say(t, ws, websocket.MessageText, []byte("hello"))
	if got := <-protocols; got != "HTTP/1.1" {
		t.Errorf("the WebSocket came by %s", got)
	}
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}
