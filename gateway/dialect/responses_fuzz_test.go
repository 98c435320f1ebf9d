package dialect

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// However a stream of Responses is cut, and whatever was learned of the events before, signs, usage, names and
// numbers are the same; and nothing is terminal that a plain reading of the JSON doesn't take for the end.
func FuzzResponses(f *testing.F) {
	for _, events := range [][]string{
		frames(respCreated, respDelta, respDelta, respDone),
		frames(respDelta, strings.Replace(respDelta, `"sequence_number":4`, `"sequence_number":5`, 1), `{"type":"response.failed","response":{"status":"failed"}}`),
		frames(`{"sequence_number":1,"delta":"a","type":"response.audio.delta"}`, `{"sequence_number":22,"delta":"b","type":"response.audio.delta"}`, `{"sequence_number":x,"delta":"b"}`),
		frames(`{"response":{"service_tier":"a","status":"b"},"delta":"","type":"x"}`, `{"response":{"service_tier":"a","status":"b"},"delta":"","type":"response.completed"}`),
		frames("event: error\ndata: {}\n\n", `{"error":{"a":1}}`, `{"type":"error"}`, `{"type":"response.incomplete","response":{"tool_usage":{"web_search":{"num_requests":2}},"usage":{"output_tokens":3}}}`),
	} {
		body := strings.Join(events, "")
		f.Add([]byte(body+body), []byte{9, 30, 1, 1}, uint8(7))
		f.Add([]byte(body), []byte{}, uint8(0))
	}
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8) {
		whole := split(NewSSE(0), body)
		parts := split(NewSSE(int(max)), body, cutsOf(seed, len(body))...)
		learned, cut, fresh := OpenAI.Observe(responsesCall, eventStream), OpenAI.Observe(responsesCall, eventStream), OpenAI.Observe(responsesCall, eventStream)
		want := observe(learned, whole)
		if got := observe(cut, parts); !slices.Equal(got, want) {
			t.Fatalf("in parts: %v\nwhole: %v", got, want)
		}
		// Nothing is learned of events that come in parts.
		var signs []Sign
		for _, p := range whole {
			if p.whole {
				fresh.Large([]byte(p.data[:1]), true, false)
				signs = append(signs, fresh.Large([]byte(p.data[1:]), false, true))
			}
		}
		if !slices.Equal(signs, want) {
			t.Fatalf("unlearned: %v\nlearned: %v", signs, want)
		}
		for _, o := range []Observer{cut, fresh} {
			sameUsage(t, o, learned)
			// The parts of an event that was cut off may have named the answer.
			named := o == cut || o.ResponseID() == learned.ResponseID() && o.Model() == learned.Model()
			if !named || !slices.Equal(o.FinishReasons(), learned.FinishReasons()) {
				t.Fatalf("names %q %q %q; and %q %q %q", o.ResponseID(), o.Model(), o.FinishReasons(), learned.ResponseID(), learned.Model(), learned.FinishReasons())
			}
		}
		if n := count(want, Terminal) + count(want, Failure); n > 1 {
			t.Fatalf("%d ends: %v", n, want)
		}
		for i, sign := range want {
			if sign&Terminal != 0 && !mayEndResponse(whole[i].data) {
				t.Fatalf("terminal: %q", whole[i].data)
			}
		}
		sameNumbers(t, whole, parts)
	})
}

// mayEndResponse is mayEnd for Responses.
func mayEndResponse(event string) bool {
	text := payload([]byte(event))
	var v map[string]any
	if !json.Valid(text) || json.Unmarshal(text, &v) != nil {
		return !json.Valid(text) // a control character, or a number: the scanner looks at the structure alone
	}
	return v["type"] == "response.completed" || v["type"] == "response.incomplete"
}

// sameNumbers fails unless the numbers of events are the same in parts and as learned.
func sameNumbers(t *testing.T, whole, parts []heldPart) {
	t.Helper()
	type numbered struct {
		n  uint64
		ok bool
	}
	read := func(parts []heldPart) (got []numbered) {
		s, first := new(Sequence), true
		for _, p := range parts {
			if p.whole || p.more {
				n, ok := s.Event([]byte(p.data), first, p.whole)
				if !ok {
					n = 0
				}
				if p.whole {
					got = append(got, numbered{n, ok})
				}
			}
			first = !p.more
		}
		return got
	}
	if got, want := read(parts), read(whole); !slices.Equal(got, want) {
		t.Fatalf("numbers %v in parts, %v whole", got, want)
	}
}
