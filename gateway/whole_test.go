package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// fallback is a call as a client makes it that gives up on events: for one body,
// with another limit.
func fallback(body string) string {
	body = strings.Replace(body, `"stream":true,`, "", 1)
	if strings.Contains(body, "max_tokens") {
		return strings.Replace(body, "4096", "2048", 1)
	}
	return strings.Replace(body, `"messages"`, `"max_completion_tokens":2048,"messages"`, 1)
}

// sameJSON compares two bodies member by member.
func sameJSON(t *testing.T, what string, got, want []byte) {
	t.Helper()
	read := func(b []byte) (v any) {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v: %s", what, err, b)
		}
		return v
	}
	if !reflect.DeepEqual(read(got), read(want)) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

// TestFromEventsToOneBody: by key and by content, while the provider answers and
// after, the client gets what the provider would have sent it in one piece.
func TestFromEventsToOneBody(t *testing.T) {
	tools := []simulator.Tool{{Name: "weather", Arguments: `{"city":"Bern"}`}}
	withoutUsage := strings.Replace(chatBody, `"stream_options":{"include_usage":true},`, "", 1)
	for _, c := range []struct{ path, body string }{{chatPath, chatBody}, {chatPath, withoutUsage}, {messagesPath, messagesBody}} {
		for _, h := range []header{keyed, auto} {
			for _, done := range []bool{false, true} {
				s := newSite(t, deterministic)
				answer := simulator.Script{Tokens: 100, Hidden: 20, ShowHidden: true, Tools: tools, Input: 30, Seed: 9}
				s.sim.Next(answer)
				want := s.direct(c.path, fallback(c.body), nil)
				s.sim.Reset()
				answer.StallAfterEvents = 20
				s.sim.Next(answer)
				first := s.call(c.path, c.body, h).read(10)
				first.leave()
				s.waitStalled(1)
				if done {
					s.sim.Release()
					s.awaitState(first.id, streamlog.Completed)
				} else {
					s.releaseOnce(first.id)
				}
				resp, got := s.must(200, http.MethodPost, c.path, fallback(c.body), h)
				how := resp.Header.Get("Recoup-Resumed")
				if want := map[bool]string{true: "key", false: "auto"}[h["Idempotency-Key"] != ""]; how != want || resp.Header.Get("Recoup-Stream-Id") != first.id || s.sim.Calls() != 1 {
					t.Errorf("%s: Recoup-Resumed %q, want %q; %d calls", c.path, how, want, s.sim.Calls())
				}
				if resp.Header.Get("Content-Type") != "application/json" || resp.ContentLength != int64(len(got)) || resp.Header.Get("Recoup-Stream-Status") != "completed" {
					t.Errorf("headers %v", resp.Header)
				}
				sameJSON(t, c.path+" by "+how, got, want)
				s.awaitConnections(first.id, 0)
				s.expire()
				if b := s.books(first.id); !b.Settled || len(b.Outcomes) != 2 || b.Outcomes[1].Cause != "resumed" || b.Saved.Output == 0 || len(b.Overhead) != 0 {
					t.Errorf("booked as %s", b)
				}
			}
		}
	}
}

// TestNoHalfBody: where the events end before the answer does, there is an error
// that SDKs repeat, which makes a new call; where somebody said stop, they don't.
func TestNoHalfBody(t *testing.T) {
	for _, c := range []struct {
		name   string
		script simulator.Script
		act    func(s *site, id string)
		status int
		code   string
		retry  string // X-Should-Retry
	}{
		{"cut", simulator.Script{CutAfterEvents: 40}, nil, 502, "answer_interrupted", ""},
		{"ended without an end", simulator.Script{CutAfterEvents: 40, Cut: simulator.CutClean}, nil, 502, "answer_interrupted", ""},
		{"an error event", simulator.Script{ErrorAfterEvents: 40}, nil, 502, "answer_interrupted", ""},
		{"cancelled", simulator.Script{}, func(s *site, id string) {
			s.must(200, http.MethodPost, "/recoup/streams/"+id+"/cancel", "", nil)
		}, 499, "stream_cancelled", "false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c.script.Tokens, c.script.StallAfterEvents = 100, 20
			s.sim.Next(c.script)
			first := s.call(chatPath, chatBody, keyed).read(10)
			first.leave()
			s.waitStalled(1)
			go func() {
				s.awaitConnections(first.id, 1)
				if c.act != nil {
					c.act(s, first.id)
				} else {
					s.sim.Release()
				}
			}()
			resp, data := s.must(c.status, http.MethodPost, chatPath, fallback(chatBody), keyed)
			if resp.Header.Get("X-Should-Retry") != c.retry || c.retry == "" && resp.Header.Get("Retry-After") != "1" || !bytes.Contains(data, []byte(`"code":"`+c.code+`"`)) {
				t.Errorf("%v %s", resp.Header, data)
			}
			s.awaitConnections(first.id, 0)
			resumed, _, data := s.again(chatPath, fallback(chatBody), keyed)
			if resumed != "no; reason=ended" || s.sim.Calls() != 2 || !json.Valid(data) {
				t.Errorf("the next: %q, %d calls", resumed, s.sim.Calls())
			}
			s.expire()
			for _, o := range s.books(first.id).Outcomes {
				if o.Outcome == "delivered" && o.Cause != "cancelled" {
					t.Errorf("outcome %+v", o)
				}
			}
		})
	}
}

// TestAnErrorIsNotAssembled: it is one JSON body already.
func TestAnErrorIsNotAssembled(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Status: 429, StallHead: true})
	h := with(keyed, "Recoup-Resume", "auto")
	done := make(chan []byte)
	go func() {
		_, data, _ := s.all(http.MethodPost, chatPath, chatBody, h)
		done <- data
	}()
	s.waitStalled(1)
	list, err := s.log.List(principalOf(s), streamlog.ID{}, 1, func(streamlog.Info) bool { return true })
	if err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	go func() {
		s.awaitConnections(list[0].Header.ID.String(), 2)
		s.sim.Release()
	}()
	_, got := s.must(429, http.MethodPost, chatPath, fallback(chatBody), h)
	sameBytes(t, "the error", got, <-done)
}

// TestAClientThatLeavesAWholeBody has had none of it.
func TestAClientThatLeavesAWholeBody(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.Resume = gateway.ResumeAuto })
	first := s.orphan(chatPath, chatBody, nil)
	s.waitStalled(1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		s.awaitConnections(first.id, 1)
		cancel()
	}()
	if resp, err := s.client.Do(s.request(http.MethodPost, chatPath, fallback(chatBody), nil).WithContext(ctx)); err == nil {
		resp.Body.Close()
		t.Fatal("there was a response")
	}
	s.awaitConnections(first.id, 0)
	s.releaseStalled()
	s.awaitState(first.id, streamlog.Completed)
	resumed, id, data := s.again(chatPath, fallback(chatBody), nil)
	if resumed != "auto" || id != first.id || !json.Valid(data) {
		t.Errorf("%q, %s", resumed, data)
	}
}

// TestEventIDs: the lines are added where they are asked for and nowhere else, and
// the last of them is where a client reads on.
func TestEventIDs(t *testing.T) {
	for _, crlf := range []bool{false, true} {
		for path, body := range map[string]string{chatPath: strings.Replace(chatBody, `"stream_options":{"include_usage":true},`, "", 1), messagesPath: messagesBody} {
			s := newSite(t)
			h := with(keyed, "X-Recoup-Event-Ids", "on")
			s.sim.Next(simulator.Script{Tokens: 50, CRLF: crlf, Comments: 2, CommentEvery: 7, PingEvery: 9})
			resp, numbered := s.must(200, http.MethodPost, path, body, h)
			id := resp.Header.Get("Recoup-Stream-Id")
			s.awaitConnections(id, 0)
			_, plain := s.must(200, http.MethodPost, path, body, keyed)
			if bytes.Contains(plain, []byte("id: ")) {
				t.Errorf("not asked for: %s", plain)
			}
			var bare []byte
			var last string
			events := 0
			for _, e := range eventsOf(numbered) {
				line, rest, _ := bytes.Cut(e, []byte("\n"))
				if number, ok := bytes.CutPrefix(line, []byte("id: ")); ok {
					last, e = string(number), rest
					events++
				} else if bytes.Contains(e, []byte("data")) {
					t.Errorf("%q has no id", e)
				}
				bare = append(bare, e...)
			}
			sameBytes(t, "without the lines", bare, plain)
			if events < 50 {
				t.Errorf("%d ids", events)
			}
			_, end := s.must(200, http.MethodGet, "/recoup/streams/"+id, "", header{"Last-Event-ID": last})
			if bytes.Contains(end, []byte("data")) {
				t.Errorf("behind %s there is %s", last, end)
			}
			middle, _, _ := bytes.Cut(numbered[bytes.Index(numbered, []byte("\nid: 2"))+5:], []byte("\n"))
			_, rest := s.must(200, http.MethodGet, "/recoup/streams/"+id, "", header{"Last-Event-ID": string(middle), "Recoup-Event-Ids": "on"})
			if !bytes.HasSuffix(numbered, rest) || bytes.Contains(rest, []byte("id: "+string(middle)+"\n")) {
				t.Errorf("after %s: %s", middle, excerpt(rest, 0))
			}
			s.must(400, http.MethodGet, "/recoup/streams/"+id, "", header{"Recoup-Event-Ids": "yes"})
		}
	}
	s := newSite(t)
	_, data := s.must(200, http.MethodPost, chatPath, fallback(chatBody), header{"Recoup-Event-Ids": "on"})
	if !json.Valid(data) {
		t.Errorf("one body: %s", data)
	}
}

// TestLargeEventsHaveOneID, though they are stored in parts.
func TestLargeEventsHaveOneID(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 3, PadLineBytes: 3 << 20})
	_, numbered := s.must(200, http.MethodPost, chatPath, chatBody, with(keyed, "Recoup-Event-Ids", "on"))
	_, plain := s.must(200, http.MethodPost, chatPath, chatBody, keyed)
	events := len(eventsOf(plain))
	if n := bytes.Count(numbered, []byte("id: ")); n != events || len(numbered) != len(plain)+events*len("id: 0\n") {
		t.Errorf("%d ids of %d events, %d bytes for %d", n, events, len(numbered), len(plain))
	}
	_, one := s.must(200, http.MethodPost, chatPath, fallback(chatBody), keyed)
	if !json.Valid(one) || len(one) > 10_000 {
		t.Errorf("%d bytes", len(one))
	}
}
