package dialect

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/token"
)

// cutsOf makes positions in a body of n bytes out of fuzzed bytes.
func cutsOf(seed []byte, n int) []int {
	var cuts []int
	for at, i := 0, 0; i < len(seed); i++ {
		if at += int(seed[i]); at > n {
			break
		}
		cuts = append(cuts, at)
	}
	return cuts
}

// However it is cut, a body comes out as it went in, in the same parts, each of which is what it says.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("data: 1\n\ndata: 2\r\n\r\n"), []byte{3, 1, 9}, uint8(0))
	f.Add([]byte(": c\r\rdata: 2\r\r\n\r\n\n\ndata"), []byte{1, 1, 1, 1, 1, 1, 1}, uint8(3))
	f.Add([]byte("\n\r\n\r\r\n\n"), []byte{1, 0, 0, 2}, uint8(1))
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8) {
		want := split(NewSSE(int(max)), body)
		got := split(NewSSE(int(max)), body, cutsOf(seed, len(body))...)
		if !slices.Equal(got, want) {
			t.Fatalf("cut: %+v\nwhole: %+v", got, want)
		}
		if joined(want) != string(body) {
			t.Fatalf("the parts joined are %q", joined(want))
		}
		var event string
		for i, p := range want {
			if max > 0 && (len(p.data) > int(max) || p.more && len(p.data) != int(max)) {
				t.Fatalf("part of %d bytes, more: %v", len(p.data), p.more)
			}
			event += p.data
			switch {
			case p.more:
				continue
			case !p.whole && i != len(want)-1:
				t.Fatalf("part %d is not whole", i)
			case p.whole && !isEvent(event):
				t.Fatalf("%q is not one event", event)
			case !p.whole && max == 0 && isEvent(event):
				t.Fatalf("%q is an event", event)
			}
			event = ""
		}
	})
}

// isEvent tells whether s is lines, of which the last and only it is blank behind one with text.
func isEvent(s string) bool {
	lines := strings.SplitAfter(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\n")
	if lines[len(lines)-1] != "" {
		return false
	}
	text := false
	for i, line := range lines[:len(lines)-1] {
		if line == "\n" && text {
			return i == len(lines)-2
		}
		text = text || line != "\n"
	}
	return false
}

// However a body is cut, and whatever was learned of the events before, the signs are the same; and no more
// is terminal or failure than a plain reading of the JSON allows.
func FuzzObserver(f *testing.F) {
	for _, events := range [][]string{
		frames(`{"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"obfuscation":"x"}`, `{"choices":[{"finish_reason":"stop"}]}`),
		frames(`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"a"},"finish_reason":"length"}]}`),
		frames(`{"error":{"a":1},"choices":[]}`, `[DONE]`, "event: error\r\ndata\r\n\r\n"),
		frames(`{"choices":[{"finish_reason":"stop"}],"usage":{"completion_tokens":7,"total_tokens":9},"obfuscation":"x"}`, `{"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}}`),
		frames(`{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9,"iterations":[{"input_tokens":1,"output_tokens":2}]}}`),
		frames("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", `{"type":"content_block_delta","delta":{"text":"\""}}`),
	} {
		body := strings.Join(events, "")
		f.Add([]byte(body+body), []byte{9, 30, 1, 1}, uint8(7), true)
		f.Add([]byte(body+body+body), []byte{}, uint8(0), false)
	}
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8, chat bool) {
		d := Anthropic
		if chat {
			d = OpenAI
		}
		req := Request{Stream: true, Choices: 1}
		whole := split(NewSSE(0), body)
		wantObserver, gotObserver := d.Observe(req, eventStream), d.Observe(req, eventStream)
		want := observe(wantObserver, whole)
		parts := split(NewSSE(int(max)), body, cutsOf(seed, len(body))...)
		if got := observe(gotObserver, parts); !slices.Equal(got, want) {
			t.Fatalf("in parts: %v\nwhole: %v", got, want)
		}
		sameUsage(t, gotObserver, wantObserver)
		// Nothing is learned of events that come in parts.
		var fresh []Sign
		o := d.Observe(req, eventStream)
		for _, p := range whole {
			if p.whole {
				o.Large([]byte(p.data[:1]), true, false)
				fresh = append(fresh, o.Large([]byte(p.data[1:]), false, true))
			}
		}
		if !slices.Equal(fresh, want) {
			t.Fatalf("unlearned: %v\nlearned: %v", fresh, want)
		}
		sameUsage(t, o, wantObserver)
		if n := count(want, Terminal) + count(want, Failure); n > 1 {
			t.Fatalf("%d ends: %v", n, want)
		}
		for i, sign := range want {
			if sign&Terminal != 0 && !mayEnd(whole[i].data) {
				t.Fatalf("terminal: %q", whole[i].data)
			}
		}
	})
}

// sameUsage fails unless both observers read the same usage, and one that makes sense.
func sameUsage(t *testing.T, a, b Observer) {
	t.Helper()
	got, final := a.Usage()
	want, wantFinal := b.Usage()
	if !reflect.DeepEqual(got, want) || final != wantFinal {
		t.Fatalf("usage %+v, final %v; and %+v, final %v", got, final, want, wantFinal)
	}
	for name, c := range map[string]token.Count{"input": got.Input, "cache": got.CacheRead, "output": got.Output, "reasoning": got.Reasoning} {
		if n, known := c.Get(); known && n < 0 {
			t.Fatalf("%s is %d", name, n)
		}
	}
	if got.Reasoning.Or(0) > got.Output.Or(0) {
		t.Fatalf("%v of %v output is reasoning", got.Reasoning, got.Output)
	}
}

// mayEnd tells whether the data of an event, if encoding/json takes it for JSON, says that an answer ends.
func mayEnd(event string) bool {
	var data []string
	for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(event, "\r\n", "\n"), "\r", "\n")) {
		line = strings.TrimPrefix(line, "\xef\xbb\xbf")
		if v, ok := strings.CutPrefix(line, "data:"); ok {
			data = append(data, strings.TrimSuffix(v, "\n"))
		}
	}
	text := strings.TrimSpace(strings.Join(data, "\n"))
	if strings.HasPrefix(text, "[DONE") {
		return true
	}
	if !json.Valid([]byte(text)) {
		return true // a control character, or a number: the scanner looks at the structure alone
	}
	var v map[string]any
	if json.Unmarshal([]byte(text), &v) != nil {
		return false // no object
	}
	if v["type"] == "message_stop" {
		return true
	}
	choices, _ := v["choices"].([]any)
	return slices.ContainsFunc(choices, func(c any) bool {
		object, _ := c.(map[string]any)
		reason, _ := object["finish_reason"].(string)
		return reason != ""
	})
}
