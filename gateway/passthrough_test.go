package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway"
)

// seen is what a provider was sent.
type seen struct{ method, uri string }

// perProvider is a site whose providers are told apart by the path of their base
// URLs, and what they are sent.
func perProvider(t *testing.T) (*site, func() seen) {
	t.Helper()
	requests := make(chan seen, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- seen{r.Method, r.RequestURI}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{}`)
	}))
	t.Cleanup(srv.Close)
	s := newSite(t, func(s *site) {
		s.config.Providers["gemini"] = gateway.Provider{Name: "gemini", OnCancel: gateway.BilledInFull}
		for name, p := range s.config.Providers {
			base, err := url.Parse(srv.URL + "/at-" + name)
			if err != nil {
				t.Fatal(err)
			}
			p.BaseURL = base
			s.config.Providers[name] = p
		}
	})
	return s, func() seen { return <-requests }
}

// passedOn are the calls that SDKs make beside those that generate, by provider, as
// they are with a base URL without a version.
var passedOn = map[string][]string{
	"openai": {
		"POST embeddings", "POST moderations", "POST images/generations", "POST images/edits", "POST images/variations",
		"POST audio/speech", "POST audio/transcriptions", "POST audio/translations",
		"POST files", "GET files", "GET files/file-1", "DELETE files/file-1", "GET files/file-1/content",
		"POST batches", "GET batches", "GET batches/b", "POST batches/b/cancel",
		"POST uploads", "POST uploads/u/parts", "POST uploads/u/complete", "POST uploads/u/cancel",
		"POST vector_stores", "GET vector_stores/v", "DELETE vector_stores/v", "POST vector_stores/v/search", "GET vector_stores/v/files?after=x&limit=2",
		"GET models", "HEAD models", "OPTIONS models", "GET models/gpt-5.5", "DELETE models/ft:gpt-4o-mini:org::abc",
		"GET responses/r", "GET responses/r?stream=true&starting_after=7&include[]=a&include[]=b", "GET responses/r/input_items", "POST responses/r/cancel", "DELETE responses/r",
		"GET chat/completions", "GET chat/completions/c", "POST chat/completions/c", "DELETE chat/completions/c", "GET chat/completions/c/messages",
		"POST conversations", "POST fine_tuning/jobs", "PATCH threads/t", "POST assistants", "POST containers", "POST evals", "GET organization/usage/completions",
		"POST realtime/client_secrets", "GET realtime?model=gpt-realtime", "POST videos", "GET videos/v/content", "PUT files/a%2Fb%20c?x=%2F&y&z=", "QUERY models",
	},
	"anthropic": {
		"POST messages/count_tokens", "POST messages/batches", "GET messages/batches", "GET messages/batches/b", "POST messages/batches/b/cancel",
		"DELETE messages/batches/b", "GET messages/batches/b/results", "GET models", "GET models/claude-opus-4-8", "POST files", "GET files/f/content", "DELETE files/f", "POST complete",
	},
	"gemini": {
		"GET models", "GET models/gemini-pro", "POST models/g:countTokens", "POST models/g:embedContent", "POST models/g:batchEmbedContents", "POST models/g:predict",
		"POST models/g:generateContent", "POST models/g:streamGenerateContent?alt=sse", "POST interactions", "GET interactions/i?stream=true&last_event_id=e", "DELETE interactions/i",
		"POST cachedContents", "PATCH cachedContents/c", "GET files/f", "DELETE files/f", "GET operations/o", "GET tunedModels/t", "POST fileSearchStores",
	},
}

// clientHeaders are what tells whose client it is.
var clientHeaders = map[string]header{
	"openai": {}, "anthropic": {"Anthropic-Version": "2023-06-01"}, "gemini": {"X-Goog-Api-Key": "k", "X-Goog-Api-Client": "google-genai-sdk/3.1.0"},
}

// TestEveryPathReachesItsProvider, however the client has joined its base URL.
func TestEveryPathReachesItsProvider(t *testing.T) {
	s, next := perProvider(t)
	for _, provider := range slices.Sorted(maps.Keys(passedOn)) {
		for _, call := range passedOn[provider] {
			method, path, _ := strings.Cut(call, " ")
			if provider == "gemini" {
				// Its clients always say a version.
				for base, version := range map[string]string{"/v1": "/v1", "/v1/v1": "/v1", "/v1beta": "/v1beta", "/v1/v1beta": "/v1beta", "/v1alpha": "/v1alpha", "/gemini/v1beta": "/v1beta"} {
					expectCall(t, s, next, provider, method, base+"/"+path, version+"/"+path)
				}
				continue
			}
			for _, base := range []string{"/v1", "/v1/v1", "/" + provider + "/v1"} {
				expectCall(t, s, next, provider, method, base+"/"+path, "/v1/"+path)
			}
			if path != "complete" { // of old; no SDK calls it without its version
				expectCall(t, s, next, provider, method, "/"+path, "/v1/"+path)
			}
			expectCall(t, s, next, provider, method, "/"+provider+"/"+path, "/"+path)
		}
	}
	for _, base := range []string{"/upload/v1beta", "/upload/v1", "/v1/upload/v1beta", "/gemini/upload/v1beta", "/download/v1beta"} {
		_, after, _ := strings.Cut(base, "load/")
		first := "/up"
		if strings.Contains(base, "down") {
			first = "/down"
		}
		expectCall(t, s, next, "gemini", http.MethodPost, base+"/files", first+"load/"+after+"/files")
	}
	expectCall(t, s, next, "full", http.MethodPost, "/full/any/path/at%2Fall", "/any/path/at%2Fall")
	expectCall(t, s, next, "openai", http.MethodGet, "/v1/models?", "/v1/models?")
}

func expectCall(t *testing.T, s *site, next func() seen, provider, method, path, want string) {
	t.Helper()
	resp, data, err := s.all(method, path, "", clientHeaders[provider])
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %v, %d, %s", method, path, err, resp.StatusCode, data)
		return
	}
	if resp.Header.Get("Recoup-Stream-Id") != "" {
		t.Errorf("%s %s was drained", method, path)
	}
	if got := next(); got != (seen{method, "/at-" + provider + want}) {
		t.Errorf("%s %s arrived as %s %s, want %s at %s", method, path, got.method, got.uri, want, provider)
	}
}

// TestEndpointsAreAClosedSet: no client can make series.
func TestEndpointsAreAClosedSet(t *testing.T) {
	s, next := perProvider(t)
	for _, path := range []string{"/v1/whatever-1", "/v1/whatever-2/models", "/full/x", "/v1/files/secret-name", "/v1/realtime"} {
		s.must(200, http.MethodGet, path, "", nil)
		next()
	}
	s.expectMetric(`
		# HELP recoup_passthrough_requests_total Requests passed through without being drained, by endpoint.
		# TYPE recoup_passthrough_requests_total counter
		recoup_passthrough_requests_total{endpoint="files",provider="openai"} 1
		recoup_passthrough_requests_total{endpoint="models",provider="openai"} 1
		recoup_passthrough_requests_total{endpoint="other",provider="full"} 1
		recoup_passthrough_requests_total{endpoint="other",provider="openai"} 1
		recoup_passthrough_requests_total{endpoint="realtime",provider="openai"} 1
	`, "recoup_passthrough_requests_total")
}

// TestMethodsThatAreNotPassedOn: one would show a client what the gateway has
// added to its request, the other go past the provider.
func TestMethodsThatAreNotPassedOn(t *testing.T) {
	s, _ := perProvider(t)
	resp, data := s.must(405, http.MethodTrace, "/v1/models", "", header{"Anthropic-Version": "2023-06-01"})
	if !strings.Contains(string(data), `"type":"error"`) || resp.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("%s %v", data, resp.Header)
	}
	for line, want := range map[string]string{"CONNECT example.com:443": "404", "CONNECT /v1/models": "405"} {
		if got := rawly(t, s, line+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 "+want+" ") {
			t.Errorf("%s: %s", line, got)
		}
	}
	if got := rawly(t, s, "QUERY /recoup/streams HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); strings.HasPrefix(got, "HTTP/1.1 2") {
		t.Errorf("an unknown method of the gateway's own: %s", got)
	}
}

// dial connects to the gateway, for the time of the test.
func (s *site) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// rawly sends bytes and returns all that comes back.
func rawly(t *testing.T, s *site, request string) string {
	t.Helper()
	conn := s.dial()
	defer conn.Close()
	io.WriteString(conn, request)
	data, err := io.ReadAll(conn)
	if err != nil {
		return string(data) + "\n" + err.Error()
	}
	return string(data)
}

// scripted is a provider that answers each connection's first request with
// bytes, and closes.
func scripted(t *testing.T, answer func(conn net.Conn, r *http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				answer(conn, r)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

// scriptedSite is a site in front of a scripted provider.
func scriptedSite(t *testing.T, answer func(conn net.Conn, r *http.Request), opts ...option) *site {
	t.Helper()
	return newSite(t, append(opts, providersAt(t, scripted(t, answer)))...)
}

// TestAnswersArriveAsTheyAre: status, headers and body, whatever they are.
func TestAnswersArriveAsTheyAre(t *testing.T) {
	for name, answer := range map[string]string{
		"headers of many values": "HTTP/1.1 200 OK\r\nContent-Type: application/x-odd; v=\"1\"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Ratelimit-Limit: 1\r\nX-Ratelimit-Limit: 2\r\nX-Should-Retry: true\r\nContent-Length: 2\r\n\r\n{}",
		"no type":                "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>not so<p>",
		"an odd status":          "HTTP/1.1 529 Overloaded\r\nContent-Type: application/json\r\nRetry-After: 3\r\nRetry-After-Ms: 2500\r\nContent-Length: 2\r\n\r\n{}",
		"204":                    "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
		"304 with a length":      "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nContent-Length: 1234\r\n\r\n",
		"a redirect":             "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere.example/v1/x\r\nContent-Length: 0\r\n\r\n",
		"hints first":            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Hint: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"compressed":             "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n\x1f\x8b..",
		"hop by hop":             "HTTP/1.1 200 OK\r\nConnection: X-Gone, Keep-Alive\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Kept: 1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scriptedSite(t, func(conn net.Conn, _ *http.Request) { io.WriteString(conn, answer) })
			got := rawly(t, s, "GET /v1/things HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if want := answerText(t, answer); answerText(t, got) != want {
				t.Errorf("got\n%s\nwant\n%s", answerText(t, got), want)
			}
			if name != "hints first" {
				return
			}
			old := rawly(t, s, "GET /v1/things HTTP/1.0\r\nHost: x\r\n\r\n")
			if strings.Contains(old, "103") || !strings.HasPrefix(old, "HTTP/1.0 404 ") || !strings.HasSuffix(old, "{}") {
				t.Errorf("HTTP/1.0 got %s", old)
			}
		})
	}
}

// answerText is an answer, with what comes before it, without what a proxy may
// change: the order of names, Date, and what is about the connection.
func answerText(t *testing.T, raw string) string {
	t.Helper()
	var out strings.Builder
	r := bufio.NewReader(strings.NewReader(raw))
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		for _, named := range resp.Header.Values("Connection") {
			for n := range strings.SplitSeq(named, ",") {
				resp.Header.Del(textproto.TrimString(n))
			}
		}
		if resp.StatusCode == http.StatusNotModified {
			resp.Header.Del("Content-Length") // net/http sends none with it, as it may
		}
		for _, n := range []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Date"} {
			resp.Header.Del(n)
		}
		fmt.Fprintln(&out, resp.StatusCode)
		for _, n := range slices.Sorted(maps.Keys(resp.Header)) {
			fmt.Fprintf(&out, "%s: %q\n", n, resp.Header[n])
		}
		if resp.StatusCode >= 200 {
			body, err := io.ReadAll(resp.Body)
			fmt.Fprintf(&out, "%q %v %d", body, err, resp.ContentLength)
			return out.String()
		}
	}
}
