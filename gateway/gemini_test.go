package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

const (
	geminiModel      = "/v1beta/models/gemini-2.5-pro"
	geminiWholePath  = geminiModel + ":generateContent"
	geminiArrayPath  = geminiModel + ":streamGenerateContent"
	geminiEventsPath = geminiArrayPath + "?alt=sse"
	geminiBody       = `{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}`
	jsonMedia        = "application/json; charset=UTF-8"
)

// Google's other API.
const (
	interactionsPath = "/v1beta/interactions"
	interactionsBody = `{"model":"gemini-2.5-flash","stream":true,"input":"hello"}`
)

// Cohere's chat.
const (
	coherePath = "/cohere/v2/chat"
	cohereBody = `{"model":"command-a-03-2025","stream":true,"messages":[{"role":"user","content":"hello"}]}`
)

// geminiForms are the forms of a streamed answer of Gemini's.
var geminiForms = map[string]string{"events": geminiEventsPath, "array": geminiArrayPath}

const arraySuffix = " as an array"

// asArray is a recording of events as the array that the other form has of them.
func (r recording) asArray() recording {
	r.File += arraySuffix
	r.Dialect, r.path, r.media = "gemini-array", geminiArrayPath, jsonMedia
	var payloads []string
	for _, e := range r.events {
		payloads = append(payloads, strings.TrimSpace(strings.TrimPrefix(string(e), "data: ")))
	}
	r.body = []byte("[" + strings.Join(payloads, ",\r\n") + "\n]")
	r.events = elementsOf(r.body)
	return r
}

// elementsOf cuts an array into events.
func elementsOf(body []byte) (events [][]byte) {
	s := dialect.NewArray(1 << 30)
	for _, p := range s.Feed(body) {
		events = append(events, bytes.Clone(p.Data))
	}
	for _, p := range s.Flush() {
		events = append(events, bytes.Clone(p.Data))
	}
	return events
}

// TestGeminiResumed breaks a client off in either form, and lets it come back by
// key and by id: both are given what a client that stayed would have had, and
// what is booked is the provider's bill.
func TestGeminiResumed(t *testing.T) {
	for form, path := range geminiForms {
		for _, how := range []string{"key", "id"} {
			t.Run(form+" by "+how, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				const seen = 20
				s.sim.Next(simulator.Script{Tokens: 60, Hidden: 30, Input: 2000, CacheRead: 500, StallAfterEvents: seen, OnDisconnect: simulator.BillFull})
				h := header{"Idempotency-Key": "run:step"}
				first := s.do(http.MethodPost, path, geminiBody, h)
				id := first.Header.Get("Recoup-Stream-Id")
				s.waitStalled(1)
				s.awaitEvents(id, seen)
				head := readUntil(t, first.Body, s.sim.Bill()[0].Bytes)
				first.Body.Close()
				s.awaitConnections(id, 0)
				s.sim.Release()
				var whole []byte
				if how == "key" {
					var resp *http.Response
					resp, whole = s.must(200, http.MethodPost, path, geminiBody, h)
					if got := resp.Header.Get("Recoup-Resumed"); got != "key" {
						t.Errorf("Recoup-Resumed %q", got)
					}
				} else {
					_, tail := s.must(200, http.MethodGet, fmt.Sprintf("/recoup/streams/%s?offset=%016d_%016d", id, seen, len(head)), "", nil)
					whole = append(bytes.Clone(head), tail...)
				}
				entry := s.sim.Bill()[0]
				if s.sim.Calls() != 1 || len(whole) != entry.Bytes || !bytes.HasPrefix(whole, head) {
					t.Errorf("%d calls; %d bytes, the provider sent %d", s.sim.Calls(), len(whole), entry.Bytes)
				}
				if form == "array" && !json.Valid(whole) {
					t.Errorf("no JSON: %.300s", whole)
				}
				s.awaitConnections(id, 0)
				got := s.books(id)
				if !got.Settled || got.Output.Tokens != 90 || got.Output.Hidden != 30 || got.Output.Basis != "reported" || got.Input.Tokens != 2500 || got.Input.Kinds["cache_read"] != 500 {
					t.Errorf("booked %+v", got)
				}
				if want := "delivered/live 50, delivered/resumed 40;"; !strings.HasPrefix(got.String(), want) {
					t.Errorf("booked %s, want %s", got, want)
				}
				s.sameBill()
			})
		}
	}
}

// TestGeminiNotStreamed: one JSON body is a stream too.
func TestGeminiNotStreamed(t *testing.T) {
	s := newSite(t)
	h := with(script(simulator.Script{Tokens: 40, Hidden: 7, Input: 100, Choices: 2}), "Idempotency-Key", "k")
	resp, got := s.must(200, http.MethodPost, geminiWholePath, geminiBody, h)
	again, replay := s.must(200, http.MethodPost, geminiWholePath, geminiBody, h)
	sameBytes(t, "by key", replay, got)
	if !json.Valid(got) || again.Header.Get("Recoup-Resumed") != "key" || s.sim.Calls() != 1 {
		t.Errorf("%d calls, %v", s.sim.Calls(), again.Header)
	}
	id := resp.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	if b := s.books(id); b.Output.Tokens != 87 || b.Input.Tokens != 100 || b.Output.Basis != "reported" {
		t.Errorf("booked %+v", b)
	}
	s.sameBill()
	for _, cut := range []simulator.Cut{simulator.CutFIN, simulator.CutClean} {
		if _, part, err := s.all(http.MethodPost, geminiWholePath, geminiBody, script(simulator.Script{Tokens: 40, CutAfterBytes: 100, Cut: cut})); !aborted(err) {
			t.Errorf("cut by %s: %q, %v", cut, part, err)
		}
	}
}

// TestGeminiLeftAlone: what nobody comes back for is drained, since it is billed
// in full anyway.
func TestGeminiLeftAlone(t *testing.T) {
	for form, path := range geminiForms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			const seen = 20
			s.sim.Next(simulator.Script{Tokens: 60, Input: 2000, StallAfterEvents: seen, OnDisconnect: simulator.BillFull})
			resp := s.do(http.MethodPost, path, geminiBody, nil)
			id := resp.Header.Get("Recoup-Stream-Id")
			s.waitStalled(1)
			readUntil(t, resp.Body, s.sim.Bill()[0].Bytes)
			resp.Body.Close()
			s.awaitConnections(id, 0)
			s.sim.Release()
			s.awaitState(id, streamlog.Completed)
			s.expire()
			if got := s.books(id).String(); !strings.HasPrefix(got, "lost/abandoned 40, wasted/abandoned 20;") && !strings.HasPrefix(got, "wasted/abandoned 20, lost/abandoned 40;") {
				t.Errorf("booked %s", got)
			}
			s.sameBill()
		})
	}
}

// TestGeminiKeyIsOfOneCall: the same key with another model, form, method or body
// is refused, in Google's shape.
func TestGeminiKeyIsOfOneCall(t *testing.T) {
	s := newSite(t)
	h := header{"Idempotency-Key": "k"}
	s.must(200, http.MethodPost, geminiEventsPath, geminiBody, h)
	if resp, _ := s.must(200, http.MethodPost, "/gemini/v1"+strings.TrimPrefix(geminiEventsPath, "/v1beta")+"&key=unused", geminiBody, h); resp.Header.Get("Recoup-Resumed") != "key" {
		t.Errorf("the same call by another path: %v", resp.Header)
	}
	for path, body := range map[string]string{
		strings.Replace(geminiEventsPath, "2.5-pro", "2.5-flash", 1): geminiBody,
		geminiArrayPath:  geminiBody,
		geminiWholePath:  geminiBody,
		geminiEventsPath: strings.Replace(geminiBody, "hello", "bye", 1),
	} {
		resp, data := s.must(422, http.MethodPost, path, body, h)
		var e struct {
			Error struct {
				Code            int
				Message, Status string
				Details         []struct{ Reason string }
			}
		}
		if err := json.Unmarshal(data, &e); err != nil || e.Error.Code != 422 || e.Error.Status != "INVALID_ARGUMENT" || e.Error.Message == "" || resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %v, %s", path, err, data)
		}
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// TestGeminiErrors are the gateway's own before it knows the provider, in the shape
// that the caller reads.
func TestGeminiErrors(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		status     int
		path, body string
	}{
		{400, geminiEventsPath, `{"contents":`},
		{400, geminiWholePath, `[]`},
		{404, "/nowhere/models/m:generateContent", geminiBody},
	} {
		_, data := s.must(c.status, http.MethodPost, c.path, c.body, header{"X-Goog-Api-Key": "k"})
		if want := fmt.Sprintf(`{"error":{"code":%d,`, c.status); !strings.HasPrefix(string(data), want) {
			t.Errorf("%s: %s", c.path, data)
		}
	}
}

// TestGeminiCutArrays: whatever of an array is missing, it never looks complete, and
// its key is free.
func TestGeminiCutArrays(t *testing.T) {
	s := newSite(t, deterministic) // so that the length is always the same
	s.sim.Next(simulator.Script{Tokens: 3})
	_, whole := s.must(200, http.MethodPost, geminiArrayPath, geminiBody, nil)
	bracket := len(whole) - 1
	for name, sc := range map[string]simulator.Script{
		"no finish":      {Tokens: 3, CutAfterEvents: 2, Cut: simulator.CutClean},
		"no bracket":     {Tokens: 3, CutAfterEvents: 4, Cut: simulator.CutClean},
		"only bracket":   {Tokens: 3, CutAfterBytes: bracket, Cut: simulator.CutClean},
		"in an element":  {Tokens: 3, CutAfterBytes: bracket / 2, Cut: simulator.CutClean},
		"not an element": {Tokens: 3, CutAfterEvents: -1, Cut: simulator.CutClean},
	} {
		h := header{"Idempotency-Key": name}
		s.sim.Next(sc)
		resp, _, err := s.all(http.MethodPost, geminiArrayPath, geminiBody, h)
		if !aborted(err) {
			t.Errorf("%s: ended with %v", name, err)
		}
		s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Interrupted)
		if again, _ := s.must(200, http.MethodPost, geminiArrayPath, geminiBody, h); again.Header.Get("Recoup-Resumed") != "no; reason=ended" {
			t.Errorf("%s: Recoup-Resumed %q", name, again.Header.Get("Recoup-Resumed"))
		}
	}
	s.sim.Next(simulator.Script{Tokens: 3, ErrorAfterEvents: 2})
	resp, data := s.must(200, http.MethodPost, geminiArrayPath, geminiBody, nil)
	if !json.Valid(data) || !bytes.Contains(data, []byte("UNAVAILABLE")) {
		t.Errorf("an error in a whole array: %s", data)
	}
	s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Failed)
}

// TestGeminiOddForms: whatever form an answer has, its bytes arrive, and nothing
// is put between them.
func TestGeminiOddForms(t *testing.T) {
	for name, sc := range map[string]simulator.Script{
		"crlf":              {CRLF: true, Tokens: 50},
		"utf-8 split":       {Unicode: true, WriteChunk: 3, Tokens: 20},
		"3 MB, in pieces":   {PadLineBytes: 3 << 20, Tokens: 2, WriteChunk: 100_000},
		"many in a write":   {EventsPerWrite: 50, Tokens: 500},
		"tools":             {Tools: []simulator.Tool{{Name: "f", Arguments: `{"finishReason":"]}"}`}}},
		"two candidates":    {Choices: 2},
		"thoughts, shown":   {Hidden: 50, ShowHidden: true},
		"nothing but usage": {Tokens: -1},
		"slow":              {Tokens: 20, StallAfterEvents: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site) { s.config.Keepalive = 1 })
			for form, path := range geminiForms {
				calls := s.sim.Calls()
				s.sim.Next(sc)
				var got []byte
				var wg sync.WaitGroup
				resp := s.do(http.MethodPost, path, geminiBody, nil)
				wg.Go(func() {
					defer resp.Body.Close()
					var err error
					if got, err = io.ReadAll(resp.Body); err != nil {
						t.Errorf("%s: %v", form, err)
					}
				})
				if sc.StallAfterEvents > 0 {
					s.releaseStalled()
				}
				wg.Wait()
				entry := s.sim.Bill()[calls]
				if entry.Bytes != len(got) || entry.End != simulator.EndCompleted {
					t.Errorf("%s: got %d bytes, the provider sent %d, %s", form, len(got), entry.Bytes, entry.End)
				}
				_, again := s.must(200, http.MethodGet, "/recoup/streams/"+resp.Header.Get("Recoup-Stream-Id"), "", nil)
				sameBytes(t, form+" again", again, got)
			}
		})
	}
}

// TestGeminiCredentials: each place that Google takes a key from tells callers apart,
// reaches the provider and is kept nowhere.
func TestGeminiCredentials(t *testing.T) {
	logs := &lines{}
	s := newSite(t, func(s *site) { s.logs = logs })
	const secret = "AIza-secret-of-alice"
	ask := func(query, key string, h header) *http.Response {
		h = with(h, "Authorization", "", "Idempotency-Key", "k")
		resp, _ := s.must(200, http.MethodPost, geminiArrayPath+query+key, geminiBody, h)
		return resp
	}
	alice := ask("?key=", secret, nil).Header.Get("Recoup-Stream-Id")
	if got := s.sim.Bill()[0].Query; got != "key="+simulator.HashCredential(secret) {
		t.Errorf("the provider was asked with %q", got)
	}
	if bob := ask("?key=", "bob", nil).Header.Get("Recoup-Stream-Id"); bob == alice {
		t.Error("bob was given alice's answer")
	}
	if again := ask("", "", header{"X-Goog-Api-Key": secret}).Header.Get("Recoup-Stream-Id"); again != alice {
		t.Error("alice's key in a header is not alice's")
	}
	s.must(200, http.MethodGet, "/recoup/streams/"+alice+"?key="+secret, "", header{"Authorization": ""})
	s.must(404, http.MethodGet, "/recoup/streams/"+alice+"?key=bob", "", header{"Authorization": ""})
	s.sim.Next(simulator.Script{Drop: true})
	s.must(502, http.MethodPost, geminiArrayPath+"?key="+secret, geminiBody, header{"Authorization": ""})
	s.stop()
	defer s.start()
	if file := grep(t, s.dir, secret); file != "" {
		t.Errorf("the key is stored in %s", file)
	}
	logs.mu.Lock()
	defer logs.mu.Unlock()
	if logs.text.Len() == 0 || bytes.Contains(logs.text.Bytes(), []byte(secret)) {
		t.Errorf("what is logged: %s", &logs.text)
	}
}

// TestGeminiPaths: each way to its methods is a stream, and what doesn't generate is
// passed through.
func TestGeminiPaths(t *testing.T) {
	s := newSite(t)
	const vertex = "/projects/p/locations/global/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
	for _, path := range []string{
		geminiEventsPath, "/v1beta" + geminiEventsPath, "/v1" + strings.TrimPrefix(geminiEventsPath, "/v1beta"),
		"/v1/v1" + strings.TrimPrefix(geminiEventsPath, "/v1beta"), strings.TrimPrefix(geminiEventsPath, "/v1beta"),
		"/v1alpha" + strings.TrimPrefix(geminiEventsPath, "/v1beta"), "/gemini" + geminiEventsPath, "/v1" + vertex, "/v1beta1" + vertex,
	} {
		resp, _ := s.must(200, http.MethodPost, path, geminiBody, nil)
		if id := resp.Header.Get("Recoup-Stream-Id"); id == "" || s.getInfo(id).Header.Model != "gemini-2.5-pro" || s.getInfo(id).Header.Endpoint != "/v1beta/models/{model}:streamGenerateContent?alt=sse" {
			t.Errorf("%s is not drained", path)
		}
	}
	resp, data := s.must(200, http.MethodPost, geminiModel+":countTokens", geminiBody, nil)
	if resp.Header.Get("Recoup-Stream-Id") != "" || !bytes.Contains(data, []byte("totalTokens")) {
		t.Errorf("countTokens: %v %s", resp.Header, data)
	}
}
