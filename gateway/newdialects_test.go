package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// billed are the dialects that have no tests of their own elsewhere: Cohere's chat, and Google's
// interactions.
var billed = []struct{ name, path, body string }{
	{"cohere", coherePath, cohereBody},
	{"interactions", interactionsPath, interactionsBody},
}

func unstreamed(body string) string { return strings.Replace(body, `"stream":true,`, "", 1) }

// TestBilledWhole: plain and streamed, with reasoning, tools and a limit, the answer is the
// provider's and what is booked is its bill.
func TestBilledWhole(t *testing.T) {
	for _, d := range billed {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, deterministic)
			for name, sc := range map[string]simulator.Script{
				"text":           {Tokens: 40, Input: 300, CacheRead: 100},
				"hidden":         {Tokens: 40, Hidden: 25, Input: 300},
				"shown":          {Tokens: 40, Hidden: 25, ShowHidden: true},
				"tools":          {Tools: []simulator.Tool{{Name: "find", Arguments: `{"q":"x y"}`}, {Name: "no", Arguments: `{}`}}},
				"text and tools": {Tokens: 5, Tools: []simulator.Tool{{Name: "find", Arguments: `{"q":"x"}`}}, Unicode: true},
				"nothing":        {Tokens: -1},
			} {
				for form, body := range map[string]string{"streamed": d.body, "plain": unstreamed(d.body)} {
					s.sim.Next(sc)
					want := s.direct(strings.TrimPrefix(d.path, "/cohere"), body, nil)
					s.sim.Next(sc)
					resp, got := s.must(200, http.MethodPost, d.path, body, nil)
					sameBytes(t, name+" "+form, got, want)
					if form == "plain" && !json.Valid(got) {
						t.Errorf("%s: no JSON: %s", name, got)
					}
					id := resp.Header.Get("Recoup-Stream-Id")
					s.awaitConnections(id, 0)
					s.awaitState(id, streamlog.Completed) // the client may have all before the drain has noted the end
					bill := s.sim.Bill()
					b, e := s.books(id), bill[len(bill)-1]
					if !b.Settled || int(b.Output.Tokens) != e.Billed || int(b.Input.Tokens) != e.InputTotal() || b.Output.Basis != "reported" || b.Input.Basis != "reported" {
						t.Errorf("%s %s: booked %+v, billed %d + %d", name, form, b, e.InputTotal(), e.Billed)
					}
				}
			}
		})
	}
}

// TestBilledResumed breaks a client off and lets it come back by key and by id: it is given
// what one that stayed would have had, and what is booked is the provider's bill.
func TestBilledResumed(t *testing.T) {
	for _, d := range billed {
		for _, how := range []string{"key", "id"} {
			t.Run(d.name+" by "+how, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				const seen = 20
				s.sim.Next(simulator.Script{Tokens: 60, Hidden: 30, Input: 2000, StallAfterEvents: seen})
				h := header{"Idempotency-Key": "run:step"}
				first := s.do(http.MethodPost, d.path, d.body, h)
				id := first.Header.Get("Recoup-Stream-Id")
				s.waitStalled(1)
				s.awaitEvents(id, seen)
				head := readUntil(t, first.Body, s.sim.Bill()[0].Bytes)
				first.Body.Close()
				s.awaitConnections(id, 0)
				s.sim.Release()
				var whole []byte
				if how == "key" {
					_, whole = s.must(200, http.MethodPost, d.path, d.body, h)
				} else {
					_, tail := s.must(200, http.MethodGet, fmt.Sprintf("/recoup/streams/%s?offset=%016d_%016d", id, seen, len(head)), "", nil)
					whole = append(bytes.Clone(head), tail...)
				}
				if e := s.sim.Bill()[0]; s.sim.Calls() != 1 || len(whole) != e.Bytes || !bytes.HasPrefix(whole, head) {
					t.Errorf("%d calls; %d bytes, the provider sent %d", s.sim.Calls(), len(whole), e.Bytes)
				}
				s.awaitConnections(id, 0)
				s.awaitState(id, streamlog.Completed)
				b := s.books(id)
				sum := map[string]int64{}
				for _, o := range b.Outcomes {
					sum[o.Outcome+"/"+o.Cause] += o.Tokens
				}
				if !b.Settled || b.Output.Tokens != 90 || b.Output.Hidden != 30 || b.Input.Tokens != 2000 || sum["delivered/live"]+sum["delivered/resumed"] != 90 || sum["delivered/live"] < 30 || sum["delivered/resumed"] < 30 {
					t.Errorf("booked %s", b)
				}
				s.sameBill()
			})
		}
	}
}

// TestBilledCut: what the provider breaks off never looks complete, and like what it fails in is booked as
// estimated; what a client leaves is booked as far as it was billed.
func TestBilledCut(t *testing.T) {
	for _, d := range billed {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for name, sc := range map[string]simulator.Script{
				"clean": {Tokens: 60, CutAfterEvents: 25, Cut: simulator.CutClean},
				"fin":   {Tokens: 60, CutAfterEvents: 25, Cut: simulator.CutFIN},
				"error": {Tokens: 60, ErrorAfterEvents: 25},
			} {
				s.sim.Next(sc)
				resp, got, err := s.all(http.MethodPost, d.path, d.body, nil)
				id := resp.Header.Get("Recoup-Stream-Id")
				want, ended := streamlog.Interrupted, aborted(err)
				if name == "error" { // which says so itself, and ends as the provider ended it
					want, ended = streamlog.Failed, err == nil
				}
				if state := s.getInfo(id).State; state != want || !ended {
					t.Errorf("%s: %s, the body ended with %v", name, state, err)
				}
				s.awaitConnections(id, 0)
				s.awaitState(id, want)
				bill := s.sim.Bill()
				e := bill[len(bill)-1]
				// The text is counted with another tokenizer, and a factor.
				b, n := s.books(id), int64(e.Generated)
				if len(got) != e.Bytes || b.Output.Tokens < n || b.Output.Tokens > n+n/4 || b.Output.Basis != "calibrated" || !strings.HasPrefix(b.String(), fmt.Sprintf("wasted/upstream %d;", b.Output.Tokens)) {
					t.Errorf("%s: %d bytes of %d; booked %s (%s), generated %d", name, len(got), e.Bytes, b, b.Output.Basis, e.Generated)
				}
			}
			// Half a body is none.
			s.sim.Next(simulator.Script{Tokens: 60, CutAfterBytes: 80, Cut: simulator.CutClean})
			if _, part, err := s.all(http.MethodPost, d.path, unstreamed(d.body), nil); !aborted(err) {
				t.Errorf("half a body: %q, %v", part, err)
			}
		})
	}
}

// TestInteractionInBackground: the provider goes on without the client, so it is not cancelled; what it
// answers at once says nothing of what will be billed.
func TestInteractionInBackground(t *testing.T) {
	s := newSite(t)
	body := strings.Replace(interactionsBody, "{", `{"background":true,`, 1)
	s.sim.Next(simulator.Script{Tokens: 60, Input: 500, StallAfterEvents: 10})
	resp := s.do(http.MethodPost, interactionsPath, body, nil)
	id := resp.Header.Get("Recoup-Stream-Id")
	s.waitStalled(1)
	s.awaitEvents(id, 10)
	resp.Body.Close()
	s.awaitConnections(id, 0)
	s.sim.Release()
	s.awaitState(id, streamlog.Completed)
	s.expire()
	s.sameBill()

	s.sim.Next(simulator.Script{Tokens: 60})
	plain, _ := s.must(200, http.MethodPost, interactionsPath, unstreamed(body), nil)
	id = plain.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(id, 0)
	if b := s.books(id); b.Output.Basis == "reported" {
		t.Errorf("booked %+v", b)
	}
}

// TestSimulatedInteractionReadOn: by the ids that the provider gives its events.
func TestSimulatedInteractionReadOn(t *testing.T) {
	s := newSite(t)
	s.sim.Next(simulator.Script{Tokens: 30, Hidden: 5})
	_, whole := s.must(200, http.MethodPost, interactionsPath, interactionsBody, nil)
	var created struct{ Interaction struct{ ID string } }
	events := eventsOf(whole)
	_, data, _ := bytes.Cut(events[0], []byte("data: "))
	if err := json.Unmarshal(data, &created); err != nil {
		t.Fatal(err)
	}
	id := created.Interaction.ID
	for _, n := range []int{0, 7, len(events) - 2} {
		_, got := s.must(200, http.MethodGet, fmt.Sprintf("%s/%s?stream=true&last_event_id=%s_%d", interactionsPath, id, id, n), "", nil)
		sameBytes(t, fmt.Sprint("behind event ", n), got, bytes.Join(events[n+1:], nil))
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
}
