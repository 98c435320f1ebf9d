package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
)

// pattern is of a length that no buffer has.
var pattern = func() []byte {
	p := make([]byte, 65521)
	for i := range p {
		p[i] = byte(i * 31 >> 3)
	}
	return p
}()

// endless is a body of n bytes that are made as they are read.
type endless struct {
	n, at  int64
	onRead func(at int64)
}

func (e *endless) Read(p []byte) (int, error) {
	if e.at == e.n {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), e.n-e.at)]
	n := copy(p, pattern[e.at%int64(len(pattern)):])
	p = p[:n]
	e.at += int64(n)
	if e.onRead != nil {
		e.onRead(e.at)
	}
	return len(p), nil
}

// sum reads r to its end.
func sum(t *testing.T, r io.Reader) (n int64, hash uint32) {
	t.Helper()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(h, r)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	return n, h.Sum32()
}

// TestLargeBodiesAreNotHeld: of files that are sent or fetched, the gateway never
// has more than some kilobytes.
func TestLargeBodiesAreNotHeld(t *testing.T) {
	const size = 256 << 20
	var peak uint64
	var looked int64
	look := func(at int64) {
		if at < looked {
			return
		}
		looked = at + 32<<20
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	const boundary = "a-boundary"
	_, want := sum(t, &endless{n: size})
	formSize, wantForm := sum(t, multipartOf(t, boundary, &endless{n: size}))
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/octet-stream")
			io.CopyBuffer(struct{ io.Writer }{w}, &endless{n: size, onRead: look}, make([]byte, 32<<10))
			return
		}
		n, hash := sum(t, r.Body)
		fmt.Fprintf(w, "%d %x", n, hash)
	})
	before := heap()
	looked = 0
	req := s.request(http.MethodPost, "/v1/files", "", header{"Content-Type": "multipart/form-data; boundary=" + boundary})
	req.Body, req.ContentLength = io.NopCloser(multipartOf(t, boundary, &endless{n: size, onRead: look})), -1
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(got) != fmt.Sprintf("%d %x", formSize, wantForm) {
		t.Errorf("uploaded %q, %v", got, err)
	}
	looked = 0
	resp = s.do(http.MethodGet, "/v1/files/f/content", "", nil)
	n, hash := sum(t, resp.Body)
	resp.Body.Close()
	if n != size || hash != want {
		t.Errorf("downloaded %d bytes, %x, want %x", n, hash, want)
	}
	if peak == 0 {
		t.Fatal("the heap was never looked at")
	}
	// The limit is far above what is needed, since garbage counts until it is
	// collected, and far below one body.
	if grown := int64(peak) - int64(before); grown > 32<<20 {
		t.Errorf("two bodies of %d MiB took %d MiB of heap", size>>20, grown>>20)
	}
}

// multipartOf is a form with a file, made as it is read.
func multipartOf(t *testing.T, boundary string, file io.Reader) io.Reader {
	t.Helper()
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	if err := form.SetBoundary(boundary); err != nil {
		t.Fatal(err)
	}
	if _, err := form.CreateFormFile("file", "large.bin"); err != nil {
		t.Fatal(err)
	}
	return io.MultiReader(&head, file, strings.NewReader("\r\n--"+boundary+"--\r\n"))
}

// TestClientLeavesInMidUpload: the provider's connection ends, and nobody calls it
// unreachable.
func TestClientLeavesInMidUpload(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error)
	s, spans := newTracedSite(t, providedBy(t, func(_ http.ResponseWriter, r *http.Request) {
		readUntil(t, r.Body, 4)
		close(begun)
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}))
	conn := s.dial()
	io.WriteString(conn, "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\npart")
	<-begun
	conn.Close()
	if err := <-ended; err == nil {
		t.Error("the provider has read a whole body")
	}
	s.server.Close() // when all handlers have ended
	span := spans.named("POST /v1/files")
	if got := attributeOf(span, "http.response.status_code").String(); got != "400" && got != "499" {
		t.Errorf("status %s in the span", got)
	}
}

// TestClientLeavesInMidDownload: the provider is not read on.
func TestClientLeavesInMidDownload(t *testing.T) {
	ended := make(chan struct{})
	s, spans := newTracedSite(t, providedBy(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	resp := s.do(http.MethodGet, "/v1/files/f/content", "", nil)
	readUntil(t, resp.Body, 4)
	resp.Body.Close()
	<-ended
	s.server.Close()
	if span := spans.named("GET /v1/files"); span.Status().Code == codes.Error {
		t.Errorf("a client that leaves is an error: %v", span.Status())
	}
}

// TestClientLeavesBeforeTheHead: that is no unreachable provider either.
func TestClientLeavesBeforeTheHead(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	s, spans := newTracedSite(t, providedBy(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := s.client.Do(s.request(http.MethodGet, "/v1/models", "", nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
	s.server.Close()
	spans.expect(spans.named("GET /v1/models"), map[attribute.Key]string{"http.response.status_code": "499", "error.type": ""})
}

// TestProviderDiesInMidBody: the client's body breaks, in every version of HTTP.
func TestProviderDiesInMidBody(t *testing.T) {
	for name, answer := range map[string]string{
		"chunked":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
		"by length": "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nsome",
		"events":    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, spans := newTracedSite(t, providersAt(t, scripted(t, func(conn net.Conn, _ *http.Request) { io.WriteString(conn, answer) })))
			resp, data, err := s.all(http.MethodGet, "/v1/files/f/content", "", nil)
			if resp.StatusCode != http.StatusOK || !aborted(err) || len(data) == 0 {
				t.Errorf("%d, %q, %v", resp.StatusCode, data, err)
			}
			if got := rawly(t, s, "GET /v1/files/f/content HTTP/1.0\r\nHost: x\r\n\r\n"); !strings.Contains(got, "reset by peer") && !strings.Contains(got, "Content-Length: 400") {
				t.Errorf("HTTP/1.0 got a clean end: %q", got)
			}
			s.server.Close()
			for _, span := range spans.Ended() {
				if span.Name() == "GET /v1/files" {
					spans.expect(span, map[attribute.Key]string{"error.type": "cut"})
				}
			}
		})
	}
}

// TestProviderDoesNotAnswer: the gateway says so in the caller's dialect.
func TestProviderDoesNotAnswer(t *testing.T) {
	s := scriptedSite(t, func(net.Conn, *http.Request) {})
	for _, c := range []struct {
		path, shape string
		h           header
	}{
		{"/v1/files", `{"error":{"message":"The provider`, nil},
		{"/v1/messages/batches", `{"type":"error","error":{"type":`, header{"Anthropic-Version": "2023-06-01"}},
	} {
		resp, data := s.must(502, http.MethodPost, c.path, `{}`, c.h)
		if !strings.HasPrefix(string(data), c.shape) || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("X-Should-Retry") != "" {
			t.Errorf("%s: %s %v", c.path, data, resp.Header)
		}
	}
}

// TestProviderAnswersEarly: its answer does not wait for the request's end, nor
// takes the rest of it away.
func TestProviderAnswersEarly(t *testing.T) {
	const rest = 100_000 // less than net/http would swallow
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		readUntil(t, r.Body, 4)
		io.WriteString(w, "early ")
		_ = http.NewResponseController(w).Flush()
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	})
	conn := s.dial()
	for range 2 { // the connection can be used again
		fmt.Fprintf(conn, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\npart", rest+4)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		readUntil(t, resp.Body, len("early "))
		io.CopyN(conn, &endless{n: rest}, rest)
		data, err := io.ReadAll(resp.Body)
		if err != nil || string(data) != fmt.Sprint(rest, " <nil>") {
			t.Errorf("%q, %v", data, err)
		}
	}
}

// TestProviderRefusesEarly: with most of the upload unread.
func TestProviderRefusesEarly(t *testing.T) {
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		readUntil(t, r.Body, 4)
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	conn := s.dial()
	fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\npart", 1<<30)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 413 || string(data) != "too large\n" {
		t.Errorf("%d %q, %v", resp.StatusCode, data, err)
	}
}

// TestTrailers go both ways, announced or not.
func TestTrailers(t *testing.T) {
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Digest")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", body, r.Trailer.Get("X-Sum"), r.Header.Get("Te"))
		w.Header().Set("X-Digest", "d")
		w.Header().Set(http.TrailerPrefix+"X-Late", "l")
	})
	req := s.request(http.MethodPost, "/v1/files", "", header{"Te": "trailers"})
	req.Trailer = http.Header{"X-Sum": nil}
	req.ContentLength = -1
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("body"), readerFunc(func([]byte) (int, error) {
		req.Trailer.Set("X-Sum", "s")
		return 0, io.EOF
	})))
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || string(data) != "body s trailers" {
		t.Errorf("%q, %v", data, err)
	}
	if resp.Trailer.Get("X-Digest") != "d" || resp.Trailer.Get("X-Late") != "l" {
		t.Errorf("trailers %v", resp.Trailer)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestHopByHop: what is about one connection stays there, both for calls that are
// passed through and for those that are drained.
func TestHopByHop(t *testing.T) {
	got := make(chan http.Header, 1)
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Connection", "X-Gone")
		w.Header().Set("X-Gone", "1")
		io.WriteString(w, wholeJSON)
	})
	for _, path := range []string{"/v1/embeddings", chatPath} {
		resp, _ := s.must(200, http.MethodPost, path, strings.Replace(chatBody, `"stream":true,`, "", 1), header{
			"Connection": "X-Private, keep-alive", "X-Private": "1", "Keep-Alive": "5", "Proxy-Authorization": "p", "Proxy-Connection": "k",
			"Accept-Encoding": "br, gzip", "X-Kept": "1", "Te": "trailers",
		})
		h := <-got
		for _, name := range []string{"X-Private", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Connection"} {
			if h.Get(name) != "" {
				t.Errorf("%s: %s went on", path, name)
			}
		}
		if resp.Header.Get("X-Gone") != "" || h.Get("X-Kept") == "" {
			t.Errorf("%s: %v, %v", path, h, resp.Header)
		}
		want := "br, gzip"
		if path == chatPath {
			want = "identity"
		}
		if h.Get("Accept-Encoding") != want {
			t.Errorf("%s: asked for %q", path, h.Get("Accept-Encoding"))
		}
	}
}

// TestOldClients: one of HTTP/1.0 gets a body that ends with its connection.
func TestOldClients(t *testing.T) {
	s := answering(t, "", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" one ")
		_ = http.NewResponseController(w).Flush()
		io.WriteString(w, "two")
	})
	got := rawly(t, s, "GET /v1/models HTTP/1.0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 200 ") || !strings.HasSuffix(got, "\r\n\r\nHTTP/1.1 one two") || strings.Contains(got, "chunked") {
		t.Errorf("got %q", got)
	}
}
