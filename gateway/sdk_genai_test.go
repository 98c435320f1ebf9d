package gateway_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/clients/gosdk"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// genAI is Google's SDK. It retries nothing by itself, and its streams are events.
var genAI = sdk{name: "genai", provider: "gemini", dropped: 1, ask: gosdk.GenerateContent, finish: map[string]string{"end": "STOP", "tools": "STOP"}}

// genAIScenarios are those that make sense with an SDK that doesn't retry.
func genAIScenarios() []scenario {
	list := slices.DeleteFunc(scenarios(genAI), func(sc scenario) bool {
		// It can't bear comments, and reports half an event and an error in one in its own ways.
		return len(sc.scripts) > 1 || strings.Contains(sc.name, "comments") || sc.fault.Kind == gosdk.FaultEvent ||
			strings.Contains(sc.name, "within an event") || sc.fault.RetryAfter != ""
	})
	once := func(v simulator.Script) []simulator.Script { return []simulator.Script{v} }
	return append(list,
		scenario{name: "other line ends", mode: "sse", scripts: once(simulator.Script{Tokens: 20, CRLF: true}), finish: "end", output: 20},
		scenario{name: "shown thoughts", scripts: once(simulator.Script{Tokens: 20, Hidden: 9, ShowHidden: true}), finish: "end", output: 29},
		scenario{name: "rate limit", scripts: once(status(429)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 429}},
		scenario{name: "overloaded, once", scripts: once(status(503)), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 503}},
		scenario{name: "error in mid-stream", mode: "sse", scripts: once(simulator.Script{Tokens: 40, ErrorAfterEvents: 20}), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 503}},
		scenario{name: "error before the first event", mode: "sse", scripts: once(simulator.Script{Tokens: 40, ErrorAfterEvents: -1}), fault: gosdk.Fault{Kind: gosdk.FaultAPI, Status: 503}},
		scenario{name: "cut within an event", mode: "sse", scripts: once(simulator.Script{Tokens: 40, CutAfterBytes: 1500}), fault: gosdk.Fault{Kind: gosdk.FaultOther}},
		scenario{name: "a clean end within an event", mode: "sse", scripts: once(simulator.Script{Tokens: 40, CutAfterBytes: 1500, Cut: simulator.CutClean}), fault: gosdk.Fault{Kind: gosdk.FaultOther}},
	)
}

// Google's SDK can't tell the gateway from the provider either.
func TestGenAISeesWhatTheProviderSends(t *testing.T) {
	t.Parallel()
	s := newSite(t, deterministic)
	for _, sc := range genAIScenarios() {
		for _, mode := range []string{"sse", "json"} {
			if sc.mode == "" || sc.mode == mode {
				t.Run(mode+" "+sc.name, func(t *testing.T) { compare(t, s, genAI, sc, mode == "sse") })
			}
		}
	}
}

// A client that breaks off and comes back by its key has what one has that stayed.
func TestGenAIComesBackToItsAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, deterministic)
	sc := simulator.Script{Tokens: 60, Hidden: 9, Input: 50}
	whole, _ := s.run(genAI, gosdk.Call{Base: s.provider, Stream: true}, sc)
	if whole.Fault.Kind != "" || whole.Output != 69 {
		t.Fatalf("direct: %s", show(whole))
	}
	s.sim.Reset()
	sc.StallAfterEvents, sc.OnDisconnect = 20, simulator.BillFull
	s.sim.Next(sc)
	ctx, leave := context.WithCancel(t.Context())
	pieces := 0
	first := gosdk.GenerateContent(ctx, gosdk.Call{Base: s.server.URL, Client: s.client, Key: "run:step", Stream: true, Delta: func(string) {
		if pieces++; pieces == 20 {
			leave()
		}
	}})
	if first.Fault.Kind == "" || !strings.HasPrefix(whole.Text, first.Text) || first.Text == whole.Text {
		t.Fatalf("the first: %s", show(first))
	}
	s.releaseStalled()
	again := gosdk.GenerateContent(t.Context(), gosdk.Call{Base: s.server.URL, Client: s.client, Key: "run:step", Stream: true})
	if show(again) != show(whole) {
		t.Errorf("again:\n%s\ndirect:\n%s", show(again), show(whole))
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
	s.expire()
	s.sameBill()
}

// Google's SDK finds its API below whatever base URL, and reads the gateway's own errors.
func TestGenAIBaseURLsAndErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t, deterministic)
	for _, base := range []string{"", "/", "/gemini", "/gemini/"} {
		for _, stream := range []bool{false, true} {
			got, seen := s.run(genAI, gosdk.Call{Base: s.server.URL + base, Stream: stream}, simulator.Script{Tokens: 5})
			if got.Fault.Kind != "" || got.Output != 5 || len(seen) != 1 || !strings.HasPrefix(seen[0].Path, geminiModel+":") {
				t.Errorf("base %q: %+v, seen %+v", base, got, seen)
			}
		}
	}
	if first, _ := s.run(genAI, gosdk.Call{Base: s.server.URL, Key: "used", Stream: true}); first.Fault.Kind != "" {
		t.Fatal(first.Fault)
	}
	got, _ := s.run(genAI, gosdk.Call{Base: s.server.URL, Key: "used", Stream: true, Prompt: "another"})
	if got.Fault.Kind != gosdk.FaultAPI || got.Fault.Status != 422 || got.Fault.Type != "INVALID_ARGUMENT" || !strings.Contains(got.Fault.Message, "with another body") {
		t.Errorf("key reused: %+v", got.Fault)
	}
	if err := s.gateway.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.run(genAI, gosdk.Call{Base: s.server.URL}); got.Fault.Status != 503 || got.Fault.Type != "UNAVAILABLE" {
		t.Errorf("draining: %+v", got.Fault)
	}
}
