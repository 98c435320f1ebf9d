package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// answering is a site whose providers are all h, at base path.
func answering(t *testing.T, path string, h http.HandlerFunc) *site {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return newSite(t, providersAt(t, srv.URL+path))
}

// providedBy makes h the provider of everything.
func providedBy(t *testing.T, h http.HandlerFunc) option {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return providersAt(t, srv.URL)
}

// providersAt puts all providers at one address.
func providersAt(t *testing.T, address string) option {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return func(s *site) {
		for name, p := range s.config.Providers {
			p.BaseURL = base
			s.config.Providers[name] = p
		}
		s.config.Providers["gemini"] = gateway.Provider{Name: "gemini", BaseURL: base, OnCancel: gateway.BilledInFull}
	}
}

const (
	halfChat  = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}` + "\n\n"
	wholeJSON = `{"id":"c","model":"m","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}`
)

// TestHalvesNeverLookWhole are answers that HTTP calls complete and that are not.
func TestHalvesNeverLookWhole(t *testing.T) {
	plainBody := strings.Replace(chatBody, `"stream":true,`, "", 1)
	for _, c := range []struct {
		name, body string
		answer     http.HandlerFunc
	}{
		{"events with a length", chatBody, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Length", fmt.Sprint(len(halfChat)))
			io.WriteString(w, halfChat)
		}},
		{"nothing, of no type", chatBody, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			w.Header().Set("Content-Length", "0")
		}},
		{"events in a coding that nobody asked for", chatBody, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "\x0b\x02\x80brotli\x03")
		}},
		{"JSON without a length, cut", plainBody, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"+wholeJSON[:40])
			conn.(*net.TCPConn).CloseWrite()
			conn.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := answering(t, "", c.answer)
			resp, data, err := s.all(http.MethodPost, chatPath, c.body, header{"Idempotency-Key": "k"})
			if !aborted(err) {
				t.Errorf("ended with %v after %q", err, data)
			}
			s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Interrupted)
			again, _, _ := s.all(http.MethodPost, chatPath, c.body, header{"Idempotency-Key": "k"})
			if got := again.Header.Get("Recoup-Resumed"); got != "no; reason=ended" {
				t.Errorf("its key: Recoup-Resumed %q", got)
			}
		})
	}
}

// TestErrorInAnAnswer: an error that comes with status 200 is passed on whole,
// and asked for again.
func TestErrorInAnAnswer(t *testing.T) {
	const answer = `{"error":{"message":"no capacity","code":502}}`
	calls := 0
	s := answering(t, "", func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "session=secret-of-the-provider")
		io.WriteString(w, answer)
	})
	for range 2 {
		resp, data := s.must(200, http.MethodPost, chatPath, strings.Replace(chatBody, `"stream":true,`, "", 1), header{"Idempotency-Key": "k"})
		if string(data) != answer || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s %v", data, resp.Header)
		}
		s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Failed)
	}
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

// TestWhoIsCalling: every header that carries a credential tells callers apart.
func TestWhoIsCalling(t *testing.T) {
	s := answering(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, wholeJSON)
	})
	body := strings.Replace(chatBody, `"stream":true,`, "", 1)
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		ask := func(who string) *http.Response {
			resp, _ := s.must(200, http.MethodPost, chatPath, body, with(header{"Authorization": "", "Idempotency-Key": name}, name, who))
			return resp
		}
		alice := ask("alice").Header.Get("Recoup-Stream-Id")
		if bob := ask("bob").Header.Get("Recoup-Stream-Id"); bob == alice {
			t.Errorf("%s: bob was given alice's answer", name)
		}
		if again := ask("alice").Header.Get("Recoup-Stream-Id"); again != alice {
			t.Errorf("%s: alice was not given her answer", name)
		}
	}
}

// TestPathsArriveAsTheyCame, at the provider they are for.
func TestPathsArriveAsTheyCame(t *testing.T) {
	var seen *http.Request
	s := answering(t, "/tenant", func(w http.ResponseWriter, r *http.Request) {
		seen = r.Clone(r.Context())
		w.WriteHeader(http.StatusNoContent)
	})
	for path, want := range map[string]string{
		"/v1/models/ft:gpt-4o-mini:my-org::abc":  "/tenant/v1/models/ft:gpt-4o-mini:my-org::abc",
		"/v1/files/a%2Fb?x=%2F&y":                "/tenant/v1/files/a%2Fb?x=%2F&y",
		"/openai/v1//odd/":                       "/tenant/v1//odd/",
		"/openai//v1/files":                      "/tenant/v1/files",
		"/v1/models/gemini-pro:generateContent":  "/tenant/v1/models/gemini-pro:generateContent",
		"/v1beta/models/x:streamGenerateContent": "/tenant/v1beta/models/x:streamGenerateContent",
	} {
		s.must(204, http.MethodGet, path, "", header{"X-Forwarded-For": "192.0.2.1"})
		if seen.RequestURI != want || seen.Header.Get("X-Forwarded-For") != "192.0.2.1" {
			t.Errorf("%s arrived as %s, %v", path, seen.RequestURI, seen.Header)
		}
	}
	if p, _, err := gateway.RouteForTest(s.config.Providers, "/v1/models/ft:gpt-4o-mini:my-org::abc"); err != nil || p != "openai" {
		t.Errorf("a fine-tuned model is for %q, %v", p, err)
	}
	if p, _, err := gateway.RouteForTest(s.config.Providers, "/v1/models/gemini-pro:countTokens"); err != nil || p != "gemini" {
		t.Errorf("Gemini's countTokens is for %q, %v", p, err)
	}
	for _, path := range []string{"/openai/../../other/v1/models", "/v1/files/..%2f", "/v1/files/%2e%2e/secret", "/v1/./models"} {
		conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		conn.Close()
		if want := 400; resp.StatusCode != want && path != "/v1/files/..%2f" {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// TestBodiesAreLetGo: what a client sent is not kept for as long as its answer
// takes.
func TestBodiesAreLetGo(t *testing.T) {
	release := make(chan struct{})
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, halfChat)
		http.NewResponseController(w).Flush()
		<-release
	})
	body := strings.Replace(chatBody, "hello", strings.Repeat("x", 4<<20), 1)
	before := heap()
	var open []*http.Response
	for range 10 {
		resp := s.do(http.MethodPost, chatPath, body, nil)
		readUntil(t, resp.Body, len(halfChat))
		open = append(open, resp)
	}
	s.client.CloseIdleConnections()
	if grown := int(heap()) - int(before); grown > 25<<20 { // the test's own client keeps some, too
		t.Errorf("10 open streams with requests of 4 MiB keep %d MiB", grown>>20)
	}
	close(release)
	for _, resp := range open {
		resp.Body.Close()
	}
}

// TestManyValues: a body made of nothing but commas is refused before it costs
// memory.
func TestManyValues(t *testing.T) {
	s := newSite(t)
	_, data := s.must(400, http.MethodPost, chatPath, `{"model":"m","x":[`+strings.Repeat("1,", 300_000)+`1]}`, nil)
	if !bytes.Contains(data, []byte("values")) {
		t.Errorf("%s", data)
	}
	if _, err := dialect.Canonical([]byte(`{"x":[` + strings.Repeat("1,", 100_000) + `1]}`)); err != nil {
		t.Error(err)
	}
}

// TestBetasAreTheCall: other betas, another call.
func TestBetasAreTheCall(t *testing.T) {
	s := newSite(t)
	send := func(betas ...string) int {
		req := s.request(http.MethodPost, messagesPath, messagesBody, header{"Idempotency-Key": "k"})
		req.Header["Anthropic-Beta"] = betas
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if a, b := send("one"), send("one", "two"); a != 200 || b != 422 {
		t.Errorf("%d, then with one beta more %d", a, b)
	}
}
