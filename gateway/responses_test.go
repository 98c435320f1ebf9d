package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// responsePrelude are the events of a response before its first token: created, in_progress, and the
// message and its part, which are added.
const responsePrelude = 4

var responseID = regexp.MustCompile(`"id":"(resp_[0-9a-f]+)"`)

// idOf is the provider's id of the answer that a client has begun to read.
func idOf(t testing.TB, got []byte) string {
	t.Helper()
	m := responseID.FindSubmatch(got)
	if m == nil {
		t.Fatalf("no id in %q", got)
	}
	return string(m[1])
}

func after(id string, n int) string {
	return fmt.Sprintf("%s/%s?stream=true&starting_after=%d", responsesPath, id, n)
}

// TestResponsesAreResumed: broken off and continued by key, by stream id and by the response's own
// id, the answer is whole, the provider is called once, and the books are its bill.
func TestResponsesAreResumed(t *testing.T) {
	for _, c := range []struct {
		name, via string
		again     func(s *site, r *reader) (*http.Response, []byte)
		whole     bool // it begins again
	}{
		{"by key", "key", func(s *site, _ *reader) (*http.Response, []byte) {
			return s.must(200, http.MethodPost, responsesPath, responsesBody, keyed)
		}, true},
		{"by stream id", "id", func(s *site, r *reader) (*http.Response, []byte) {
			return s.must(200, http.MethodGet, "/recoup/streams/"+r.id+"?offset="+r.cursor(), "", nil)
		}, false},
		{"by response id", "id", func(s *site, r *reader) (*http.Response, []byte) {
			return s.must(200, http.MethodGet, after(idOf(s.t, r.got), responsePrelude+20-1), "", nil)
		}, false},
		{"by response id, from the start", "id", func(s *site, r *reader) (*http.Response, []byte) {
			return s.must(200, http.MethodGet, responsesPath+"/"+idOf(s.t, r.got)+"?stream=true", "", nil)
		}, true},
		{"by response id, with another base URL", "id", func(s *site, r *reader) (*http.Response, []byte) {
			return s.must(200, http.MethodGet, "/openai"+after(idOf(s.t, r.got), responsePrelude+20-1), "", nil)
		}, false},
	} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running %v", c.name, running), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, func(s *site) { s.config.OrphanGrace = time.Hour })
				s.sim.Next(simulator.Script{Tokens: 50, Input: 300, StallAfterEvents: responsePrelude + 20})
				r := s.call(responsesPath, responsesBody, keyed).read(responsePrelude + 20)
				r.leave()
				if running {
					go s.releaseWhenRead(r.id)
				} else {
					s.release(0)
					s.awaitState(r.id, streamlog.Completed)
				}
				resp, got := c.again(s, r)
				if !c.whole {
					got = append(bytes.Clone(r.got), got...)
				}
				s.awaitConnections(r.id, 0)
				_, want := s.must(200, http.MethodGet, "/recoup/streams/"+r.id+"?observe=1", "", nil)
				sameBytes(t, c.name, got, want)
				if resp.Header.Get("Recoup-Resumed") != c.via || resp.Header.Get("Recoup-Stream-Id") != r.id || resp.Header.Get("Content-Type") != r.Header.Get("Content-Type") {
					t.Errorf("headers %v", resp.Header)
				}
				if n := s.sim.Calls(); n != 1 {
					t.Fatalf("%d calls", n)
				}
				if n, _ := s.resumes(c.via); n != 1 {
					t.Errorf("%v resumes are counted by %s", n, c.via)
				}
				s.expire()
				bill, b := s.sim.Bill()[0], s.books(r.id)
				if want := "delivered/live 20, delivered/resumed 30;"; !b.Settled || !strings.HasPrefix(b.String(), want) || b.Output.Basis != "reported" ||
					b.Output.Tokens != int64(bill.Billed) || b.Input.Tokens != int64(bill.InputTotal()) || b.Saved.Output != 20 {
					t.Errorf("booked as %s, the bill says %+v", b, bill)
				}
			})
		}
	}
}

// releaseWhenRead lets the provider go on as soon as somebody reads the stream.
func (s *site) releaseWhenRead(id string) {
	s.awaitConnections(id, 1)
	s.sim.Release()
}

// TestStartingAfter: from every number on, the events behind it, as they were.
func TestStartingAfter(t *testing.T) {
	s := newSite(t)
	_, whole := s.must(200, http.MethodPost, responsesPath, responsesBody, script(simulator.Script{Tokens: 100, CommentEvery: 7, PadLineBytes: 900, Hidden: 3}))
	id := idOf(t, whole)
	number, rest := 0, whole
	for _, event := range eventsOf(whole) {
		rest = rest[len(event):]
		if !bytes.Contains(event, []byte(fmt.Sprintf(`"sequence_number":%d,`, number))) {
			continue // a comment
		}
		_, got := s.must(200, http.MethodGet, after(id, number), "", nil)
		sameBytes(t, fmt.Sprintf("after %d", number), got, rest)
		number++
	}
	for _, bad := range []string{"-1", "x", "", "1.5", fmt.Sprint(number), "99999999999999999999"} {
		_, data := s.must(400, http.MethodGet, responsesPath+"/"+id+"?stream=true&starting_after="+bad, "", nil)
		if !bytes.Contains(data, []byte("invalid_starting_after")) {
			t.Errorf("%q: %s", bad, data)
		}
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// TestLargeEventsHaveNumbersToo: one that is stored in parts is found like any other.
func TestLargeEventsHaveNumbersToo(t *testing.T) {
	event := func(n int, rest string) string {
		return fmt.Sprintf("data: {\"type\":\"response.output_text.delta\",\"delta\":%q,\"sequence_number\":%d}\n\n", rest, n)
	}
	events := []string{"data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_0\"},\"sequence_number\":0}\n\n", event(1, "a"), event(2, strings.Repeat("b", 3<<20)), event(3, "c"),
		"data: {\"type\":\"response.completed\",\"sequence_number\":4}\n\n", "data: [DONE]\n\n"}
	s := answering(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(strings.Join(events, "")))
	})
	s.must(200, http.MethodPost, responsesPath, responsesBody, nil)
	for n := range 5 {
		_, got := s.must(200, http.MethodGet, after("resp_0", n), "", nil)
		sameBytes(t, fmt.Sprintf("after %d", n), got, []byte(strings.Join(events[n+1:], "")))
	}
}

// TestOtherResponsesAreTheProviders: what the log doesn't have, or isn't asked for as a stream, is passed
// through as it came.
func TestOtherResponsesAreTheProviders(t *testing.T) {
	s := newSite(t)
	_, body := s.must(200, http.MethodPost, responsesPath, strings.Replace(responsesBody, `"stream":true`, `"stream":false`, 1), nil)
	whole := idOf(t, body) // that answer was no stream
	_, body = s.must(200, http.MethodPost, responsesPath, responsesBody, nil)
	id := idOf(t, body)
	calls := s.sim.Calls()
	for _, c := range []struct {
		method, path string
		h            header
	}{
		{http.MethodGet, after("resp_nobodys", 3), nil},
		{http.MethodGet, after(id, 3), header{"Authorization": "Bearer sk-mallory"}},
		{http.MethodGet, "/full" + after(id, 3), nil}, // another provider
		{http.MethodGet, after(whole, 3), nil},
		{http.MethodGet, responsesPath + "/" + id, nil},
		{http.MethodGet, responsesPath + "/" + id + "?starting_after=3", nil},
		{http.MethodGet, responsesPath + "/" + id + "?stream=false&starting_after=3", nil},
		{http.MethodGet, responsesPath + "/" + id + "/input_items?stream=true", nil},
		{http.MethodPost, responsesPath + "/" + id + "/cancel", nil},
		{http.MethodPost, responsesPath + "/compact", nil},
		{http.MethodPost, responsesPath + "/input_tokens", nil},
		{http.MethodDelete, responsesPath + "/" + id, nil},
	} {
		resp, _ := s.must(404, c.method, c.path, "", c.h)
		calls++
		path, query, _ := strings.Cut(strings.TrimPrefix(c.path, "/full"), "?")
		e := s.sim.Bill()[len(s.sim.Bill())-1]
		if s.sim.Calls() != calls || e.Method != c.method || e.Path != path || e.Query != query || resp.Header.Get("Recoup-Stream-Id") != "" {
			t.Fatalf("%s %s: %d calls, the last %+v", c.method, c.path, s.sim.Calls(), e)
		}
	}
	s.log.SetRetention(0)
	s.must(404, http.MethodGet, after(id, 3), "", nil)
	if s.sim.Calls() != calls+1 {
		t.Error("one that has expired is not the provider's to give")
	}
}

// TestResponseIDOutlivesAKill: whoever has read the id finds the answer by it, as far as it came, although
// the gateway died in mid-answer.
func TestResponseIDOutlivesAKill(t *testing.T) {
	for _, background := range []bool{false, true} {
		s := newSite(t)
		s.sim.Next(simulator.Script{Tokens: 50, StallAfterEvents: 20})
		body, extra := responsesBody, 0
		if background {
			body, extra = strings.Replace(body, `"stream"`, `"background":true,"stream"`, 1), 1
		}
		r := s.call(responsesPath, body, nil).read(20)
		defer r.Body.Close()
		dir := t.TempDir() // as a SIGKILL leaves it: nothing is being written now
		if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
			t.Fatal(err)
		}
		again := newSite(t, func(s *site) { s.dir = dir })
		if background { // the provider has the rest of it
			again.must(404, http.MethodGet, after(idOf(t, r.got), 9), "", nil)
			if n := again.sim.Calls(); n != 1 {
				t.Errorf("the provider was asked %d times", n)
			}
			continue
		}
		resp, got, err := again.all(http.MethodGet, after(idOf(t, r.got), 9), "", nil)
		if !aborted(err) || resp.Header.Get("Recoup-Stream-Status") != "interrupted" || again.sim.Calls() != 0 {
			t.Errorf("%v, %v", err, resp.Header)
		}
		sameBytes(t, "what was there", got, bytes.Join(eventsOf(r.got)[10+extra:], nil))
	}
}

// TestInTheBackground: the provider generates whoever leaves, so a stream is read to its end; and what is
// queued is no answer: nothing is invented about it.
func TestInTheBackground(t *testing.T) {
	s := newSite(t)
	background := strings.Replace(responsesBody, `"stream"`, `"background":true,"stream"`, 1)
	s.sim.Next(simulator.Script{Tokens: 50, StallAfterEvents: 20})
	r := s.call(responsesPath, background, nil).read(20)
	r.leave()
	s.releaseStalled()
	s.awaitState(r.id, streamlog.Completed) // without a key, and nobody told it to continue
	_, rest := s.must(200, http.MethodGet, after(idOf(t, r.got), 19), "", nil)
	if !bytes.Contains(rest, []byte("response.completed")) || s.sim.Calls() != 1 {
		t.Errorf("%d calls, %s", s.sim.Calls(), rest)
	}

	s.sim.Next(simulator.Script{Tokens: 50})
	queued := strings.Replace(background, `"stream":true`, `"stream":false`, 1)
	first, body := s.must(200, http.MethodPost, responsesPath, queued, keyed)
	again, same := s.must(200, http.MethodPost, responsesPath, queued, keyed)
	sameBytes(t, "the same key", same, body)
	var got struct{ Status string }
	if err := json.Unmarshal(body, &got); err != nil || got.Status != "queued" || again.Header.Get("Recoup-Resumed") != "key" || s.sim.Calls() != 2 {
		t.Errorf("%s, %v, %d calls", body, again.Header, s.sim.Calls())
	}
	id := first.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	s.expire()
	if b := s.books(id); !b.Settled || b.Output.Tokens != 0 || b.Output.Basis != "bounded" || b.Output.High < 50 || b.Input.Basis != "bounded" {
		t.Errorf("settled %v, output %+v, input %+v", b.Settled, b.Output, b.Input)
	}
}

// TestResponsesFail: an error in mid-stream arrives, and no cut looks like an end.
func TestResponsesFail(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		script simulator.Script
		state  streamlog.State
	}{
		{simulator.Script{Tokens: 50, ErrorAfterEvents: 10}, streamlog.Failed},
		{simulator.Script{Tokens: 50, CutAfterEvents: 10, Cut: simulator.CutClean}, streamlog.Interrupted},
		{simulator.Script{Tokens: 50, CutAfterEvents: 10}, streamlog.Interrupted},
	} {
		s.sim.Next(c.script)
		resp, got, err := s.all(http.MethodPost, responsesPath, responsesBody, nil)
		id := resp.Header.Get("Recoup-Stream-Id")
		failed := c.state == streamlog.Failed
		if aborted(err) == failed || bytes.Contains(got, []byte("event: error")) != failed || bytes.Contains(got, []byte("response.completed")) {
			t.Errorf("%v after %s", err, got)
		}
		s.awaitConnections(id, 0)
		if state := s.getInfo(id).State; state != c.state {
			t.Errorf("%s, want %s", state, c.state)
		}
		s.expire()
		bill := s.sim.Bill()
		if b, billed := s.books(id), bill[len(bill)-1].Billed; !b.Settled || b.Output.Tokens != int64(billed) || !strings.HasPrefix(b.String(), fmt.Sprintf("wasted/upstream %d;", billed)) {
			t.Errorf("booked as %s, billed %d", b, billed)
		}
	}
}

// TestCompletionsAreDrained: the usage report is asked for and hidden, and what broke off is continued.
func TestCompletionsAreDrained(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.OrphanGrace = time.Hour })
	unasked := strings.Replace(completionsBody, `"stream_options":{"include_usage":true},`, "", 1)
	answer := simulator.Script{Text: "What is asked for is what is shown.", Input: 77}
	s.sim.Next(answer, answer)
	want := s.direct(completionsPath, unasked, nil)
	_, got := s.must(200, http.MethodPost, completionsPath, unasked, nil)
	sameBytes(t, "unasked", anonymous(got), anonymous(want))

	s.sim.Next(simulator.Script{Tokens: 50, Input: 300, StallAfterEvents: 20})
	r := s.call(completionsPath, unasked, keyed).read(20)
	r.leave()
	s.releaseStalled()
	s.awaitState(r.id, streamlog.Completed)
	_, got = s.must(200, http.MethodPost, completionsPath, unasked, keyed)
	if !bytes.HasPrefix(got, r.got) || bytes.Contains(got, []byte("usage")) || s.sim.Calls() != 3 {
		t.Errorf("%d calls, %s", s.sim.Calls(), got)
	}
	s.awaitConnections(r.id, 0)
	resp, _ := s.must(200, http.MethodPost, completionsPath, `{"model":"gpt-5.5","prompt":["a","b"],"max_tokens":9}`, nil)
	whole := resp.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(whole, 0)
	s.expire()
	if b := s.books(r.id); !strings.HasPrefix(b.String(), "delivered/live 20, delivered/resumed 30;") || b.Input.Tokens != 300 || b.Output.Basis != "reported" {
		t.Errorf("booked as %s", b)
	}
	if b := s.books(whole); b.Output.Tokens != 9 || b.Output.Basis != "reported" {
		t.Errorf("booked as %s", b)
	}
}
