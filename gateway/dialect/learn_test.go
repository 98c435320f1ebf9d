package dialect

import (
	"slices"
	"strings"
	"testing"
)

// What was learned of an event never changes the sign of one that is almost like it.
func TestLearnedSigns(t *testing.T) {
	for _, test := range []struct {
		name    string
		dialect Dialect
		event   string
		last    string
	}{
		{"chat", OpenAI,
			`data: {"id":"c","choices":[{"index":0,"delta":{"content":"a\"b","reasoning":""},"finish_reason":null}],"obfuscation":"xy"}` + "\n\n",
			`data: {"choices":[{"index":0,"finish_reason":"stop"}]}` + "\n\n"},
		{"two choices", OpenAI,
			`data: {"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":""},"finish_reason":null}],"obfuscation":"x"}` + "\n\n",
			`data: {"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":"stop"}]}` + "\n\n"},
		{"messages", Anthropic,
			"event: content_block_delta\r\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}  }` + "\r\n\r\n",
			`data: {"type":"message_stop"}` + "\n\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, variant := range variants(test.event) {
				// Two that are alike, so that all of it is learned; the variant; what it was learned of once more.
				events := []string{test.event, test.event, test.event, variant, test.event, variant, test.last}
				req := Request{Stream: true, Choices: 1}
				learned, unlearned := test.dialect.Observe(req, eventStream), test.dialect.Observe(req, eventStream)
				var got, want []Sign
				for _, e := range events {
					got = append(got, learned.Event([]byte(e)))
					unlearned.Large([]byte(e[:1]), true, false)
					want = append(want, unlearned.Large([]byte(e[1:]), false, true))
				}
				if !slices.Equal(got, want) {
					t.Fatalf("after %q\n%q\nlearned %v, unlearned %v", test.event, variant, got, want)
				}
			}
		})
	}
}

// variants are an event with other bytes at each place, with some more, with one less, and cut short.
func variants(event string) []string {
	var all []string
	for i := range event {
		all = append(all, event[:i]+event[i+1:], event[:i+1])
		for _, b := range []string{`"`, `\`, "\n", "\r", "}", "]", ",", "0", "x", `","`, "\ndata: ", "\rdata:",
			`","finish_reason":"stop","x":"`, `"},"finish_reason":"error","delta":{"x":"`, `"}}],"error":{"a":"`, `","type":"message_stop","x":"`} {
			all = append(all, event[:i]+b+event[i+1:], event[:i]+b+event[i:])
		}
	}
	all = append(all, event+event, event+`data: {"choices":[{"finish_reason":"stop"}]}`+"\n\n",
		strings.Replace(event, `"finish_reason":null`, `"finish_reason":"stop"`, 1),
		strings.Replace(event, `"index":0`, `"index":5`, 1),
		strings.Replace(event, `"index":1`, `"index":5`, 1),
		strings.Replace(event, `"finish_reason":null}]`, `"finish_reason":"stop"},{"index":7,"delta":{"content":"x"}}]`, 1))
	return all
}

// Of an event of the usual size all is learned; of a large one nothing is kept.
func TestLearned(t *testing.T) {
	chat := newChat(Request{Stream: true, Choices: 1})
	event := func(text string) []byte {
		return []byte(`data: {"id":"c","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}],"obfuscation":"x` + text + `"}` + "\n\n")
	}
	for _, text := range []string{"a", "b", "c"} {
		chat.Event(event(text))
	}
	if p := event("d"); chat.replay(p, chat) != len(p) {
		t.Error("an event built like those before it was not known to its end")
	}
	for range 3 {
		chat.Event([]byte(`data: {"x":[` + strings.Repeat("1,", 50_000) + `1],"choices":[]}` + "\n\n"))
	}
	held := 0
	for _, s := range chat.learned.segments {
		held += cap(s.fixed)
	}
	if held > maxSegments*maxLearned {
		t.Errorf("%d bytes are kept of events of 100 kB", held)
	}
}
