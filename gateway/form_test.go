package gateway_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// TestOddForms: whatever form a stream has, its bytes arrive, and a replay is
// the same.
func TestOddForms(t *testing.T) {
	for name, sc := range map[string]simulator.Script{
		"crlf":                    {CRLF: true, Tokens: 50},
		"comments":                {Comments: 10, CommentEvery: 3},
		"utf-8 split":             {Unicode: true, WriteChunk: 3, Tokens: 20},
		"byte by byte":            {WriteChunk: 1, Tokens: 5, CRLF: true},
		"1 MB lines":              {PadLineBytes: 1 << 20, Tokens: 3},
		"3 MB lines, in pieces":   {PadLineBytes: 3 << 20, Tokens: 2, WriteChunk: 100_000},
		"many events in a write":  {EventsPerWrite: 50, Tokens: 500},
		"usage on every chunk":    {Usage: simulator.UsageEvery},
		"tools":                   {Tools: []simulator.Tool{{Name: "f", Arguments: `{"finish_reason":"stop"}`}}},
		"two choices":             {Choices: 2},
		"reasoning, shown":        {Hidden: 50, ShowHidden: true},
		"pings":                   {PingEvery: 2},
		"gzip only if it must be": {Gzip: simulator.GzipAccepted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for path, body := range map[string]string{chatPath: chatBody, messagesPath: messagesBody} {
				resp, got := s.must(200, http.MethodPost, path, body, script(sc))
				entry := s.sim.Bill()[s.sim.Calls()-1]
				if entry.Bytes != len(got) || entry.End != simulator.EndCompleted {
					t.Errorf("%s: got %d bytes, the provider sent %d, %s", path, len(got), entry.Bytes, entry.End)
				}
				_, again := s.must(200, http.MethodGet, "/recoup/streams/"+resp.Header.Get("Recoup-Stream-Id"), "", nil)
				sameBytes(t, path+" again", again, got)
			}
		})
	}
}

// TestForcedGzip: a provider that compresses unasked is read all the same, and
// what the client gets is plain.
func TestForcedGzip(t *testing.T) {
	s := newSite(t)
	h := with(script(simulator.Script{Gzip: simulator.GzipForced, Tokens: 30}), "Accept-Encoding", "identity")
	resp, got := s.must(200, http.MethodPost, chatPath, chatBody, h)
	if resp.Header.Get("Content-Encoding") != "" || len(eventsOf(got)) < 30 || !bytes.HasSuffix(got, []byte("data: [DONE]\n\n")) {
		t.Errorf("%v, %d events", resp.Header, len(eventsOf(got)))
	}
}

// TestNotStreamed: one JSON body is a stream too.
func TestNotStreamed(t *testing.T) {
	s := newSite(t)
	for path, body := range map[string]string{chatPath: chatBody, messagesPath: messagesBody} {
		body = strings.Replace(body, `"stream":true,`, "", 1)
		h := with(script(simulator.Script{Tokens: 20_000}), "Idempotency-Key", path)
		body = strings.Replace(body, `"max_tokens":4096`, `"max_tokens":40960`, 1)
		resp, got := s.must(200, http.MethodPost, path, body, h)
		if !json.Valid(got) || len(got) < 80_000 || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d bytes, %v", path, len(got), resp.Header)
		}
		again, replay := s.must(200, http.MethodPost, path, body, h)
		sameBytes(t, path+" by key", replay, got)
		if again.Header.Get("Recoup-Resumed") != "key" {
			t.Errorf("%s: Recoup-Resumed %q", path, again.Header.Get("Recoup-Resumed"))
		}
		for _, cut := range []simulator.Cut{simulator.CutFIN, simulator.CutRST} {
			_, part, err := s.all(http.MethodPost, path, body, script(simulator.Script{Tokens: 20_000, CutAfterBytes: 70_000, Cut: cut}))
			if !aborted(err) {
				t.Errorf("%s cut by %s: %d bytes, %v", path, cut, len(part), err)
			}
		}
	}
}

// TestPassThrough: what is not drained is not touched.
func TestPassThrough(t *testing.T) {
	s := newSite(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, "zipped")
	z.Close()
	for _, c := range []struct{ method, path, seen string }{
		{http.MethodPost, "/v1/echo?a=1&b=%2F", "/v1/echo?a=1&b=%2F"},
		{http.MethodPut, "/openai/v1/echo", "/v1/echo"},
		{http.MethodPatch, "/v1/v1/echo", "/v1/echo"},
	} {
		resp, data := s.must(200, c.method, c.path, zipped.String(), header{"Content-Encoding": "gzip", "X-Odd": "a,b", "Recoup-Tags": "a=b", "Accept-Encoding": "br"})
		var e struct {
			Method, Path, Query string
			Headers             http.Header
			BodyBase64          []byte `json:"body_base64"`
		}
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		seen := e.Path
		if e.Query != "" {
			seen += "?" + e.Query
		}
		if e.Method != c.method || seen != c.seen || !bytes.Equal(e.BodyBase64, zipped.Bytes()) {
			t.Errorf("%s %s arrived as %s %s with %q", c.method, c.path, e.Method, seen, e.BodyBase64)
		}
		if e.Headers.Get("X-Odd") != "a,b" || e.Headers.Get("Accept-Encoding") != "br" || e.Headers.Get("Recoup-Tags") != "" || e.Headers.Get("Content-Encoding") != "gzip" {
			t.Errorf("headers arrived as %v", e.Headers)
		}
		if resp.Header.Get("Recoup-Stream-Id") != "" {
			t.Error("a passed-through call has a stream")
		}
	}
	for _, path := range []string{"/v1/models", "/models", "/v1/v1/models", "/openai/v1/models"} {
		s.must(200, http.MethodGet, path, "", nil)
	}
	resp, data := s.must(200, http.MethodGet, "/v1/models", "", header{"Anthropic-Version": "2023-06-01"})
	if !bytes.Contains(data, []byte("claude")) {
		t.Errorf("%v %s", resp.Header, data)
	}
	for _, path := range []string{"/v1/chat/completions", "/chat/completions", "/v1/v1/chat/completions", "/openai/v1/chat/completions"} {
		if resp, _ := s.must(200, http.MethodPost, path, chatBody, nil); resp.Header.Get("Recoup-Stream-Id") == "" {
			t.Errorf("%s was not drained", path)
		}
	}
	for _, path := range []string{"/v1/messages", "/messages", "/v1/v1/messages", "/anthropic/v1/messages"} {
		if resp, _ := s.must(200, http.MethodPost, path, messagesBody, header{"Anthropic-Version": "2023-06-01"}); resp.Header.Get("Recoup-Stream-Id") == "" {
			t.Errorf("%s was not drained", path)
		}
	}
}

// TestKeepalive: a reader who waits gets a sign of life of the dialect's, and
// the log does not.
func TestKeepalive(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.Keepalive = 10 * time.Millisecond })
	for path, c := range map[string]struct{ body, sign string }{
		chatPath: {chatBody, ": hb\n"}, messagesPath: {messagesBody, "event: ping\ndata: {\"type\": \"ping\"}\n\n"},
	} {
		s.sim.Next(simulator.Script{Tokens: 40, StallAfterEvents: 10})
		resp := s.do(http.MethodPost, path, c.body, nil)
		var got []byte
		for bytes.Count(got, []byte(c.sign)) < 3 {
			got = append(got, readUntil(t, resp.Body, 1)...)
		}
		s.sim.Release()
		rest, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		_, stored := s.must(200, http.MethodGet, "/recoup/streams/"+resp.Header.Get("Recoup-Stream-Id"), "", nil)
		if len(got)+len(rest) <= len(stored) {
			t.Errorf("%s: no keepalives", path)
		}
		sameBytes(t, path+" without keepalives", bytes.ReplaceAll(append(got, rest...), []byte(c.sign), nil), bytes.ReplaceAll(stored, []byte(c.sign), nil))
	}
}

// TestCredentialsAreForwardedAndNotKept looks for secrets in everything that was
// stored.
func TestCredentialsAreForwardedAndNotKept(t *testing.T) {
	s := newSite(t)
	const key, secret = "run-7:step-3-idempotency", "sk-alice"
	body := strings.Replace(chatBody, "hello", "my-private-prompt", 1)
	h := header{"Idempotency-Key": key, "X-Api-Key": "sk-second"}
	s.must(200, http.MethodPost, chatPath, body, h)
	entry := s.sim.Bill()[0]
	if got := entry.Header.Get("Authorization"); got == "" || !strings.Contains(got, simulator.HashCredential("Bearer "+secret)) && !strings.Contains(got, simulator.HashCredential(secret)) {
		t.Errorf("the provider saw Authorization %q", got)
	}
	s.stop()
	defer s.start()
	for _, needle := range []string{secret, "sk-second", key, "my-private-prompt"} {
		if file := grep(t, s.dir, needle); file != "" {
			t.Errorf("%q is stored in %s", needle, file)
		}
	}
}

// grep returns a file below dir that holds needle, plain.
func grep(t testing.TB, dir, needle string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(needle)) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
