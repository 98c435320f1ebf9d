package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

// pipes is a network of one address, in memory, so that the clock of a bubble can
// run while all wait for each other.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	mute   atomic.Bool // what is sent by those who have dialled is lost
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return &mutable{near, &p.mute}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

type mutable struct {
	net.Conn
	mute *atomic.Bool
}

func (m *mutable) Write(p []byte) (int, error) {
	if m.mute.Load() {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

// patient is a client of a gateway of a provider of HTTP/1.1 or HTTP/2, all in a
// bubble. The network is the provider's.
func patient(t *testing.T, http2 bool, h http.HandlerFunc) (*http.Client, *pipes) {
	t.Helper()
	upstream, downstream := newPipes(), newPipes()
	provider := listening(t, upstream, h)
	base := &url.URL{Scheme: "http", Host: "example.com"}
	if provider.EnableHTTP2 = http2; http2 {
		base.Scheme = "https"
		provider.StartTLS()
	} else {
		provider.Start()
	}
	log, err := streamlog.Open(t.TempDir(), streamlog.Options{Retention: 3 * time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(prometheus.NewRegistry(), metrics.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := gateway.Defaults()
	cfg.Providers = map[string]gateway.Provider{"openai": {Name: "openai", BaseURL: base, Dialect: dialect.OpenAI, OnCancel: gateway.Unknown}}
	g, err := gateway.New(gateway.Options{Config: cfg, Log: log, Metrics: m, Logger: slog.New(slog.DiscardHandler), Secret: []byte("0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	g.DialForTest(upstream.dial)
	if http2 {
		g.TrustForTest(provider.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	}
	server := listening(t, downstream, g.Handler())
	server.Config.ReadHeaderTimeout, server.Config.IdleTimeout = 10*time.Second, 5*time.Minute // as the program has them
	server.Start()
	client := &http.Client{Transport: &http.Transport{DialContext: downstream.dial}}
	t.Cleanup(func() {
		err := g.Drain(t.Context())
		client.CloseIdleConnections()
		server.Close()
		g.Close()
		provider.Close()
		if err := errors.Join(err, log.Close()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return client, upstream
}

// listening is a server that is not started yet.
func listening(t *testing.T, l net.Listener, h http.Handler) *httptest.Server {
	t.Helper()
	return &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
}

// fetch makes a call and reads all of its answer.
func fetch(t *testing.T, c *http.Client, method, path, body string) (status int, data []byte, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://gateway"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

// TestAnHourOfThought: nobody loses patience with a provider that is silent for an
// hour before its answer, and for another in it.
func TestAnHourOfThought(t *testing.T) {
	const end = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	answer := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		<-time.After(time.Hour)
		first, rest := wholeJSON[:10], wholeJSON[10:]
		w.Header().Set("Content-Type", "application/json")
		if bytes.Contains(body, []byte(`"stream":true`)) {
			w.Header().Set("Content-Type", "text/event-stream")
			first, rest = halfChat, end
		}
		io.WriteString(w, first)
		_ = http.NewResponseController(w).Flush()
		<-time.After(time.Hour)
		io.WriteString(w, rest)
	}
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := patient(t, http2, answer)
				plain := strings.Replace(chatBody, `"stream":true,`, "", 1)
				var others sync.WaitGroup
				for _, path := range []string{"/v1/images/generations", chatPath} {
					others.Go(func() { // at once, since an hour is not for nothing here either
						begun := time.Now()
						status, data, err := fetch(t, client, http.MethodPost, path, plain)
						if err != nil || status != 200 || string(data) != wholeJSON { // no keepalives in JSON
							t.Errorf("%s: %d %q, %v", path, status, data, err)
						}
						if took := time.Since(begun); took < 2*time.Hour || took > 2*time.Hour+time.Minute {
							t.Errorf("%s took %v", path, took)
						}
					})
				}
				defer others.Wait()
				status, data, err := fetch(t, client, http.MethodPost, chatPath, chatBody)
				if err != nil || status != 200 {
					t.Errorf("%d, %v", status, err)
				}
				// In the hour after the head there is one every 15 s at most, and
				// seldom less than two a minute.
				if n := bytes.Count(data, []byte(": hb\n")); n < 239 || n > 480 {
					t.Errorf("%d keepalives", n)
				}
				sameBytes(t, "without keepalives", bytes.ReplaceAll(data, []byte(": hb\n"), nil), []byte(halfChat+end))
			})
		})
	}
}

// TestDeadConnectionIsNoticed: a connection of HTTP/2 that carries nothing any
// more ends its calls after a minute, and later ones get another.
func TestDeadConnectionIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, network := patient(t, true, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Hour):
				fmt.Fprint(w, "late")
			case <-r.Context().Done():
			}
		})
		begun := time.Now()
		time.AfterFunc(time.Minute, func() { network.mute.Store(true) })
		status, data, err := fetch(t, client, http.MethodGet, "/v1/models", "")
		if took := time.Since(begun); err != nil || status != http.StatusBadGateway || took > 2*time.Minute {
			t.Errorf("%d %s, %v, after %v", status, data, err, took)
		}
		network.mute.Store(false)
		status, data, err = fetch(t, client, http.MethodGet, "/v1/models", "")
		if err != nil || status != 200 || string(data) != "late" {
			t.Errorf("%d %s, %v", status, data, err)
		}
	})
}

// TestNoKeepaliveWithinAnEvent: one that is stored in parts and comes slowly is not
// torn. What a client gets while it waits is before the event.
func TestNoKeepaliveWithinAnEvent(t *testing.T) {
	event := "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat("x", 3<<20)
	const end = "\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	synctest.Test(t, func(t *testing.T) {
		client, _ := patient(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, event)
			_ = http.NewResponseController(w).Flush()
			<-time.After(10 * time.Minute)
			io.WriteString(w, end)
		})
		_, data, err := fetch(t, client, http.MethodPost, chatPath, chatBody)
		if err != nil {
			t.Error(err)
		}
		whole := bytes.TrimLeft(data, ": hb\n")
		if len(whole) == len(data) {
			t.Error("no keepalives at all")
		}
		sameBytes(t, "an event with a pause", whole, []byte(event+end))
	})
}
