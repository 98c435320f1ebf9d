package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// TestSomebodyElsesStream: another principal's stream and one that never was
// look the same, whatever is asked of them.
func TestSomebodyElsesStream(t *testing.T) {
	s := newSite(t)
	resp, _ := s.must(200, http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "k"})
	id := resp.Header.Get("Recoup-Stream-Id")
	mallory := header{"Authorization": "Bearer sk-mallory"}
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, ""}, {http.MethodHead, ""}, {http.MethodGet, "/status"}, {http.MethodPost, "/cancel"},
	} {
		_, theirs := s.must(404, c.method, "/recoup/streams/"+id+c.path, "", mallory)
		_, unknown := s.must(404, c.method, "/recoup/streams/0190a000-0000-7000-8000-000000000000"+c.path, "", nil)
		_, malformed := s.must(404, c.method, "/recoup/streams/nonsense"+c.path, "", nil)
		if !bytes.Equal(theirs, unknown) || !bytes.Equal(unknown, malformed) {
			t.Errorf("%s %s: answers differ: %s, %s, %s", c.method, c.path, theirs, unknown, malformed)
		}
	}
	_, list := s.must(200, http.MethodGet, "/recoup/streams", "", mallory)
	if string(bytes.TrimSpace(list)) != `{"streams":[]}` {
		t.Errorf("mallory's list: %s", list)
	}
	again, _ := s.must(200, http.MethodPost, chatPath, chatBody, with(mallory, "Idempotency-Key", "k"))
	if again.Header.Get("Recoup-Resumed") != "no" || s.sim.Calls() != 2 {
		t.Errorf("mallory's call with alice's key: Recoup-Resumed %q, %d calls", again.Header.Get("Recoup-Resumed"), s.sim.Calls())
	}
	bearer := header{"Authorization": "", "X-Api-Key": "sk-alice"}
	s.must(200, http.MethodGet, "/recoup/streams/"+id, "", bearer) // the same credential in another header
}

func TestOffsets(t *testing.T) {
	s := newSite(t)
	resp, whole := s.must(200, http.MethodPost, chatPath, chatBody, script(simulator.Script{Tokens: 300}))
	events := eventsOf(whole)
	path := "/recoup/streams/" + resp.Header.Get("Recoup-Stream-Id")
	at := func(k int) int { return len(bytes.Join(events[:k], nil)) }
	for _, k := range []int{0, 1, 63, 64, 65, 150, len(events) - 1, len(events)} {
		for _, c := range []struct {
			query  string
			header header
		}{
			{fmt.Sprintf("?offset=%016d_%016d", k, at(k)), nil},
			{fmt.Sprintf("?from=%d", k), nil},
			{"", header{"Last-Event-ID": fmt.Sprint(k - 1)}},
		} {
			if c.header != nil && k == 0 {
				continue
			}
			got, data := s.must(200, http.MethodGet, path+c.query, "", c.header)
			sameBytes(t, fmt.Sprintf("from %d by %q %v", k, c.query, c.header), data, whole[at(k):])
			if got.Header.Get("Stream-Next-Offset") != fmt.Sprintf("%016d_%016d", len(events), len(whole)) || got.Header.Get("Stream-Closed") != "true" {
				t.Errorf("headers %v", got.Header)
			}
		}
	}
	_, now := s.must(200, http.MethodGet, path+"?offset=now", "", nil)
	_, start := s.must(200, http.MethodGet, path+"?offset=-1", "", nil)
	if len(now) != 0 || !bytes.Equal(start, whole) {
		t.Errorf("offset=now gave %d bytes, -1 gave %d of %d", len(now), len(start), len(whole))
	}
	for _, bad := range []string{
		"?offset=", "?offset=-2", "?offset=1", "?offset=x", "?offset=0000000000000001_0000000000000000", "?offset=+000000000000001_0000000000000000",
		fmt.Sprintf("?offset=%016d_%016d", len(events)+1, len(whole)), "?from=-1", "?from=99999", "?from=1e3", "?from=", "?from=99999999999999999999999",
	} {
		got, data := s.must(400, http.MethodGet, path+bad, "", nil)
		if !json.Valid(data) || got.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %s %v", bad, data, got.Header)
		}
	}
	s.must(400, http.MethodGet, path, "", header{"Last-Event-ID": "-1"})
	head, none := s.must(200, http.MethodHead, path, "", nil)
	if len(none) != 0 || head.Header.Get("Recoup-Stream-Status") != "completed" || head.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" && head.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %v", head.Header)
	}
	h := header{"Idempotency-Key": "expires"}
	s.must(200, http.MethodPost, chatPath, chatBody, h)
	s.log.SetRetention(0)
	if resp, _ := s.must(200, http.MethodPost, chatPath, chatBody, h); resp.Header.Get("Recoup-Resumed") != "no; reason=expired" {
		t.Errorf("the key of an expired stream: Recoup-Resumed %q", resp.Header.Get("Recoup-Resumed"))
	}
	_, gone := s.must(410, http.MethodGet, path, "", nil)
	if !strings.Contains(string(gone), "stream_expired") {
		t.Errorf("expired: %s", gone)
	}
}

// TestOneKeyOneCall: calls with the same key that come at once are one call.
func TestOneKeyOneCall(t *testing.T) {
	s := newSite(t)
	h := with(script(simulator.Script{Tokens: 50}), "Idempotency-Key", "k")
	var wg sync.WaitGroup
	bodies := make([][]byte, 20)
	for i := range bodies {
		wg.Go(func() {
			resp, err := s.client.Do(s.request(http.MethodPost, messagesPath, messagesBody, h))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if bodies[i], err = io.ReadAll(resp.Body); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, b := range bodies {
		sameBytes(t, "one of 20", b, bodies[0])
	}
	if n := s.sim.Calls(); n != 1 || len(bodies[0]) == 0 {
		t.Errorf("%d calls, %d bytes", n, len(bodies[0]))
	}
	reordered := `{"messages":[{"content":"hello","role":"user"}],"max_tokens":4096,"stream":true,  "model":"claude-opus-4-8"}`
	if resp, _ := s.must(200, http.MethodPost, messagesPath, reordered, h); resp.Header.Get("Recoup-Resumed") != "key" {
		t.Error("the same body in another spelling is not the same call")
	}
	resp, data := s.must(422, http.MethodPost, messagesPath, strings.Replace(messagesBody, "hello", "bye", 1), h)
	if resp.Header.Get("X-Should-Retry") != "false" || !bytes.HasPrefix(data, []byte(`{"type":"error","error":{"type":"invalid_request_error"`)) {
		t.Errorf("another body: %v %s", resp.Header, data)
	}
	oneBody := strings.Replace(messagesBody, "true", "false", 1) // of one body, no events can be made
	s.must(200, http.MethodPost, messagesPath, oneBody, header{"Idempotency-Key": "json"})
	resp, data = s.must(422, http.MethodPost, messagesPath, messagesBody, header{"Idempotency-Key": "json"})
	if resp.Header.Get("X-Should-Retry") != "false" || !bytes.Contains(data, []byte("no events can be made")) {
		t.Errorf("another mode: %v %s", resp.Header, data)
	}
	if n := s.sim.Calls(); n != 2 {
		t.Errorf("%d calls", n)
	}
}

// TestProviderErrors: status, headers and body arrive as they are, and a failed
// call doesn't block its key.
func TestProviderErrors(t *testing.T) {
	s := newSite(t)
	for _, status := range []int{400, 401, 403, 404, 408, 429, 500, 503, 529} {
		h := with(script(simulator.Script{Status: status, Headers: map[string]string{"Retry-After": "7", "X-Should-Retry": "true"}}), "Idempotency-Key", fmt.Sprint(status))
		direct := s.direct(messagesPath, messagesBody, h)
		calls := s.sim.Calls()
		for range 2 {
			resp, got := s.must(status, http.MethodPost, messagesPath, messagesBody, h)
			if stripID(got) != stripID(direct) || resp.Header.Get("Retry-After") != "7" || resp.Header.Get("X-Should-Retry") != "true" || resp.Header.Get("Request-Id") == "" {
				t.Errorf("%d: %s\n%s\n%v", status, got, direct, resp.Header)
			}
			if i := s.getInfo(resp.Header.Get("Recoup-Stream-Id")); i.State != streamlog.Failed && i.State != streamlog.Streaming {
				t.Errorf("%d: stream is %s", status, i.State)
			}
		}
		if n := s.sim.Calls() - calls; n != 2 {
			t.Errorf("%d: %d calls for two", status, n)
		}
	}
}

// stripID takes the request id out of an error body.
func stripID(body []byte) string {
	var v map[string]any
	if json.Unmarshal(body, &v) != nil {
		return string(body)
	}
	delete(v, "request_id")
	out, _ := json.Marshal(v)
	return string(out)
}

// TestErrorEvent: an error in mid-stream arrives, with the end that the provider gave it: an abort could make a
// client lose it.
func TestErrorEvent(t *testing.T) {
	s := newSite(t)
	for path, body := range map[string]string{chatPath: chatBody, messagesPath: messagesBody} {
		h := script(simulator.Script{Tokens: 50, ErrorAfterEvents: 10, Status: 529})
		resp, got, err := s.all(http.MethodPost, path, body, h)
		if err != nil || !bytes.Contains(got, []byte(`"error"`)) {
			t.Errorf("%s: %v after %s", path, err, got)
		}
		s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Failed)
	}
}

// TestGatewayErrors: the gateway's own refusals have the dialect's shape, say
// what to do, and cost nothing.
func TestGatewayErrors(t *testing.T) {
	s := newSite(t, func(s *site) {
		s.config.MaxBodyBytes = 1000
		delete(s.config.Providers, "gemini")
	})
	for _, c := range []struct {
		status             int
		method, path, body string
		code               string
	}{
		{400, "POST", chatPath, `{"model":`, "invalid_request"},
		{400, "POST", chatPath, `[]`, "invalid_request"},
		{400, "POST", chatPath, ``, "invalid_request"},
		{400, "POST", chatPath, `{"stream":"yes"}`, "invalid_request"},
		{413, "POST", chatPath, `{"model":"` + strings.Repeat("x", 1000) + `"}`, "request_too_large"},
		{404, "POST", "/nobody/v1/chat/completions", chatBody, "unknown_provider"},
		{404, "GET", "/recoup/nothing", "", "not_found"},
		{404, "POST", "/v1/models/x:generateContent", "{}", "unknown_provider"},
		{400, "GET", "/recoup/streams?limit=0", "", "invalid_limit"},
		{400, "GET", "/recoup/streams?state=odd", "", "invalid_state"},
		{400, "GET", "/recoup/streams?cursor=odd", "", "invalid_cursor"},
	} {
		resp, data := s.must(c.status, c.method, c.path, c.body, nil)
		var e struct {
			Error struct{ Message, Code string }
		}
		if err := json.Unmarshal(data, &e); err != nil || e.Error.Code != c.code || e.Error.Message == "" {
			t.Errorf("%s %s: %s", c.method, c.path, data)
		}
		if resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s %s: X-Should-Retry %q", c.method, c.path, resp.Header.Get("X-Should-Retry"))
		}
	}
	for _, bad := range []header{{"Recoup-Tags": "novalue"}, {"Recoup-On-Disconnect": "maybe"}} {
		s.must(400, http.MethodPost, chatPath, chatBody, bad)
	}
	if n := s.sim.Calls(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestProviderUnreachable(t *testing.T) {
	s := newSite(t)
	for _, script := range []simulator.Script{{Drop: true}, {Drop: true, Cut: simulator.CutRST}} {
		s.sim.Next(script)
		_, data := s.must(502, http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "k"})
		if !bytes.Contains(data, []byte("provider_unreachable")) {
			t.Errorf("%s", data)
		}
	}
	if n := s.sim.Calls(); n != 2 {
		t.Errorf("%d calls: a call was repeated by the transport", n)
	}
	s.must(200, http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "k"})
}

// TestRestart: what was complete is still there; what was not is interrupted and
// says so; its key makes a new call.
func TestRestart(t *testing.T) {
	s := newSite(t)
	first, whole := s.must(200, http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "done"})
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	resp := s.do(http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "cut"})
	head := readUntil(t, resp.Body, 1000)
	s.restart()
	rest, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !aborted(err) {
		t.Errorf("the reader at the shutdown: %v", err)
	}
	head = append(head, rest...)
	_, again := s.must(200, http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "done"})
	sameBytes(t, "by key after the restart", again, whole)
	_, again = s.must(200, http.MethodGet, "/recoup/streams/"+first.Header.Get("Recoup-Stream-Id"), "", nil)
	sameBytes(t, "by id after the restart", again, whole)
	cut, stored, err := s.all(http.MethodGet, "/recoup/streams/"+resp.Header.Get("Recoup-Stream-Id"), "", nil)
	if !aborted(err) || cut.Header.Get("Recoup-Stream-Status") != "interrupted" {
		t.Errorf("interrupted stream: %v, %v", err, cut.Header)
	}
	sameBytes(t, "the interrupted stream", stored, head)
	fresh, _ := s.must(200, http.MethodPost, chatPath, chatBody, header{"Idempotency-Key": "cut"})
	if fresh.Header.Get("Recoup-Resumed") != "no; reason=ended" {
		t.Error("the key of an interrupted stream was not free")
	}
}

// TestDrain: no new calls while what is under way goes on to its end.
func TestDrain(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, StallAfterEvents: 20})
	resp := s.do(http.MethodPost, chatPath, chatBody, nil)
	readUntil(t, resp.Body, 100)
	drained := make(chan error, 1)
	go func() { drained <- s.gateway.Drain(context.Background()) }()
	deadline := time.Now().Add(20 * time.Second)
	for {
		refused, data, _ := s.all(http.MethodPost, chatPath, chatBody, header{"X-Simulator-Script": `{"status":400}`})
		if refused.StatusCode == 503 {
			if refused.Header.Get("Retry-After") == "" || !bytes.Contains(data, []byte("gateway_draining")) {
				t.Errorf("%v %s", refused.Header, data)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("calls are still taken")
		}
	}
	s.releaseStalled()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream under way: %v", err)
	}
	resp.Body.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// TestDrainAmidAdmissions: a shutdown whose time is up ends all calls, also those
// that are just being taken.
func TestDrainAmidAdmissions(t *testing.T) {
	s := newSite(t)
	s.sim.On(func(*http.Request, []byte) *simulator.Script { return &simulator.Script{StallAfterEvents: 5} })
	var wg sync.WaitGroup
	begun := make(chan struct{}, 100)
	for range 100 {
		wg.Go(func() {
			begun <- struct{}{}
			resp, err := s.client.Do(s.request(http.MethodPost, chatPath, chatBody, nil))
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if data, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%d, and a clean end after %q", resp.StatusCode, data)
			}
		})
	}
	for range 30 {
		<-begun
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.gateway.Drain(ctx) // it says what it interrupted
	wg.Wait()
	if n := s.gateway.LiveForTest(); n != 0 {
		t.Errorf("%d streams live on", n)
	}
}

// TestHTTP10: where the end of the connection is the end of the body, a cut must
// be a reset.
func TestHTTP10(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 100, CutAfterEvents: 20})
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.0\r\nAuthorization: Bearer sk-alice\r\nContent-Length: %d\r\n\r\n%s", chatPath, len(chatBody), chatBody)
	if _, err := io.ReadAll(bufio.NewReader(conn)); !aborted(err) {
		t.Errorf("an HTTP/1.0 client saw the cut as %v", err)
	}
}
