package gateway_test

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway/dialect"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// smallest are the two smallest recordings that are whole of each dialect and form.
func smallest(t testing.TB) (picked []recording) {
	t.Helper()
	all := recordings(t)
	slices.SortStableFunc(all, func(a, b recording) int { return cmp.Compare(len(a.body), len(b.body)) })
	taken := map[string]int{}
	for _, rec := range all {
		if taken[rec.Dialect] < 2 && rec.whole {
			taken[rec.Dialect]++
			picked = append(picked, rec)
		}
	}
	return picked
}

// stride is the step from one byte to the next that is tried: in the long form of the tests it is
// 1 in the smaller bodies. The parsers alone are tried at every byte of all in gateway/dialect.
func stride(body []byte, tries int) int {
	if os.Getenv("RECOUP_FULL") != "" {
		tries = 300
		if len(body) < 2000 {
			tries = len(body)
		}
	}
	return max(1, len(body)/tries)
}

// reports compares what is booked with what the recording reports.
func (s *site) reports(rec recording, id string) {
	s.t.Helper()
	s.awaitConnections(id, 0)
	if rec.whole { // the client may have all before the drain has noted the end
		s.awaitState(id, streamlog.Completed)
	}
	b := s.books(id)
	switch {
	case !rec.whole:
	case !rec.HasUsage && b.Output.Basis == "reported":
		s.t.Errorf("%s reports no usage, booked %+v", rec.File, b)
	case !rec.HasUsage:
	case b.Output.Basis != "reported" || b.Input.Basis != "reported" || int(b.Output.Tokens) != rec.Output || int(b.Input.Tokens) != rec.Input:
		s.t.Errorf("%s reports %d + %d tokens, booked %+v", rec.File, rec.Input, rec.Output, b)
	case int(b.Output.Hidden) != min(rec.Reasoning, rec.Output) && b.Output.Hidden != 0: // what is shown is not hidden
		s.t.Errorf("%s reports %d reasoning tokens, booked %+v", rec.File, rec.Reasoning, b)
	}
}

// TestProviderWritesByteByByte has each byte come by itself: the same bytes, the same
// events, the same usage.
func TestProviderWritesByteByByte(t *testing.T) {
	for _, rec := range smallest(t) {
		t.Run(rec.File, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			cuts := make([]int, len(rec.body)-1)
			for i := range cuts {
				cuts[i] = i + 1
			}
			s.sim.Next(rec.script(t, cuts...))
			resp, got := s.must(200, http.MethodPost, rec.path, rec.request, nil)
			sameBytes(t, "byte by byte", got, rec.body)
			id := resp.Header.Get("Recoup-Stream-Id")
			if n := s.getInfo(id).Events; n != uint64(len(rec.events)) {
				t.Errorf("%d events, want %d", n, len(rec.events))
			}
			s.reports(rec, id)
		})
	}
}

// TestProviderSplitAtEveryByte has two writes, with the split at each byte in turn.
func TestProviderSplitAtEveryByte(t *testing.T) {
	for _, rec := range smallest(t) {
		t.Run(rec.File, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for at := 1; at < len(rec.body); at += stride(rec.body, 25) {
				s.sim.Next(rec.script(t, at))
				resp, got := s.must(200, http.MethodPost, rec.path, rec.request, nil)
				sameBytes(t, fmt.Sprint("split at ", at), got, rec.body)
				if i := s.getInfo(resp.Header.Get("Recoup-Stream-Id")); i.Events != uint64(len(rec.events)) || i.State != streamlog.Completed {
					t.Fatalf("split at %d: %d events, want %d; %s", at, i.Events, len(rec.events), i.State)
				}
			}
		})
	}
}

// TestProviderCutAtEveryByte ends the provider's answer at each byte in turn: what lacks
// a byte of its terminal event never looks complete, and what came is the client's.
func TestProviderCutAtEveryByte(t *testing.T) {
	for _, rec := range smallest(t) {
		t.Run(rec.File, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			completes := len(rec.body) // where a guardrail cut in, nothing else says it
			if last := terminalIndex(rec); last >= 0 {
				completes = len(bytes.Join(rec.events[:last+1], nil))
			}
			if bytes.HasSuffix(rec.body[:completes], []byte("\r\n")) {
				completes-- // the return alone ends the line
			}
			for at := 1; at < len(rec.body); at += stride(rec.body, 25) {
				sc := rec.script(t)
				sc.CutAfterBytes, sc.Cut = at, simulator.CutClean
				s.sim.Next(sc)
				resp, got, err := s.all(http.MethodPost, rec.path, rec.request, nil)
				want := rec.body[:at]
				if rec.Framing == "aws-eventstream" {
					got, want = withoutCutOff(t, got, err != nil), want[:bytesOfWhole(rec, at)]
				}
				sameBytes(t, fmt.Sprint("cut at ", at), got, want)
				state := s.getInfo(resp.Header.Get("Recoup-Stream-Id")).State
				if complete := at >= completes; complete != (err == nil) || complete != (state == streamlog.Completed) {
					t.Fatalf("cut at %d, complete from %d on: the body ended with %v, the stream is %s", at, completes, err, state)
				}
			}
		})
	}
}

// TestClientCutAtEveryByte has the client leave at each byte in turn and come back by key.
func TestClientCutAtEveryByte(t *testing.T) {
	for _, rec := range smallest(t) {
		t.Run(rec.File, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			calls := 0
			for at := 1; at < len(rec.body); at += stride(rec.body, 12) {
				calls++
				s.sim.Next(stallable(rec.script(t), at))
				h := header{"Idempotency-Key": fmt.Sprint("at:", at)}
				first := s.do(http.MethodPost, rec.path, rec.request, h)
				// An event is the client's once it is whole.
				size := bytesOfWhole(rec, at)
				readUntil(t, first.Body, size)
				first.Body.Close()
				s.releaseStalled()
				resumed, got := s.must(200, http.MethodPost, rec.path, rec.request, h)
				sameBytes(t, fmt.Sprint("cut at ", at), got, rec.body)
				if via := resumed.Header.Get("Recoup-Resumed"); via != "key" {
					t.Fatalf("cut at %d: Recoup-Resumed %q", at, via)
				}
			}
			if n := s.sim.Calls(); n != calls {
				t.Errorf("the provider was called %d times for %d calls", n, calls)
			}
		})
	}
}

// bytesOfWhole is the size of the events that are whole within the first n bytes.
func bytesOfWhole(rec recording, n int) (size int) {
	for _, e := range rec.events {
		if size+len(e) > n {
			break
		}
		size += len(e)
	}
	return size
}

// TestInteractionReadOn: what Google's SDKs do to read on in an interaction, by the id of an
// event, works for each whose stream was drained.
func TestInteractionReadOn(t *testing.T) {
	var body strings.Builder
	var events []string
	add := func(id, rest string) {
		e := fmt.Sprintf(`data: {"event_id":"%s",%s}`, id, rest) + "\n\n"
		events = append(events, e)
		body.WriteString(e)
	}
	add("e0", `"event_type":"interaction.created","interaction":{"id":"v1_abc","status":"in_progress","model":"gemini-2.5-flash"}`)
	for i := range 5 {
		add(fmt.Sprint("e", i+1), fmt.Sprintf(`"event_type":"step.delta","index":0,"delta":{"type":"text","text":"word %d "}`, i))
	}
	add("e6", `"event_type":"interaction.completed","interaction":{"id":"v1_abc","status":"completed","usage":{"total_input_tokens":7,"total_output_tokens":20,"total_thought_tokens":3}}`)
	passed := 0
	s := newSite(t, providedBy(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if r.Method == http.MethodGet {
			passed++
		}
		fmt.Fprint(w, body.String())
	}), func(s *site) {
		p := s.config.Providers["gemini"] // whose calls such a site passes through
		p.Name, p.Dialect = "google", dialect.Gemini
		s.config.Providers["google"] = p
	})
	resp, _ := s.must(200, http.MethodPost, "/google"+interactionsPath, interactionsBody, nil)
	id := resp.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	for query, from := range map[string]int{"": 0, "&last_event_id=": 0, "&last_event_id=e0": 1, "&last_event_id=e3": 4, "&last_event_id=e6": 7} {
		got, data := s.must(200, http.MethodGet, "/google/v1beta/interactions/v1_abc?stream=true"+query, "", nil)
		if want := strings.Join(events[from:], ""); string(data) != want || got.Header.Get("Recoup-Resumed") != "id" || got.Header.Get("Recoup-Stream-Id") != id {
			t.Errorf("%s: %v\n%s\nwant\n%s", query, got.Header, data, want)
		}
	}
	if passed != 0 {
		t.Errorf("the provider was asked %d times", passed)
	}
	for i, c := range []struct {
		path string
		h    header
	}{
		{"/v1_abc?stream=true&last_event_id=nobody's", nil}, {"/v1_abc", nil}, {"/v1_other?stream=true", nil},
		{"/v1_abc?stream=true", header{"Authorization": "Bearer bob"}},
	} {
		if got, _ := s.must(200, http.MethodGet, "/google/v1beta/interactions"+c.path, "", c.h); got.Header.Get("Recoup-Stream-Id") != "" || passed != i+1 {
			t.Errorf("%s: %v after %d calls of the provider", c.path, got.Header, passed)
		}
	}
	if b := s.books(id); b.Output.Tokens != 23 || b.Input.Tokens != 7 || b.Output.Basis != "reported" {
		t.Errorf("booked %+v", b)
	}
}
