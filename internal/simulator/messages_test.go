package simulator_test

import (
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

type messageUsage struct {
	Input  int `json:"input_tokens"`
	Output int `json:"output_tokens"`
	Read   int `json:"cache_read_input_tokens"`
	Write  int `json:"cache_creation_input_tokens"`
	Cache  struct {
		FiveMinutes int `json:"ephemeral_5m_input_tokens"`
		OneHour     int `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	Details struct {
		Thinking int `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

type messageEvent struct {
	Type    string
	Index   int
	Message struct {
		ID    string
		Usage messageUsage
	}
	Block struct{ Type, ID, Name string } `json:"content_block"`
	Delta struct {
		Type, Text, Thinking, Signature string
		PartialJSON                     string `json:"partial_json"`
		StopReason                      string `json:"stop_reason"`
	}
	Usage *messageUsage
	Error struct{ Type, Message string }
}

// messageAnswer is a message stream put together again.
type messageAnswer struct {
	id, stop, text, thinking, signature, args string
	blocks, names                             []string
	first, last                               messageUsage
	usages                                    int
}

func readMessage(t testing.TB, body []byte) messageAnswer {
	t.Helper()
	var a messageAnswer
	for _, e := range events(t, body, "\n") {
		m := decode[messageEvent](t, e.data)
		if e.name != m.Type {
			t.Errorf("event %q has type %q", e.name, m.Type)
		}
		a.names = append(a.names, e.name)
		switch m.Type {
		case "message_start":
			a.id, a.first = m.Message.ID, m.Message.Usage
		case "content_block_start":
			if m.Index != len(a.blocks) {
				t.Errorf("block %d has index %d", len(a.blocks), m.Index)
			}
			a.blocks = append(a.blocks, m.Block.Type)
		case "message_delta":
			a.stop = m.Delta.StopReason
			if m.Usage != nil {
				a.last = *m.Usage
				a.usages++
			}
		}
		a.text += m.Delta.Text
		a.thinking += m.Delta.Thinking
		a.signature += m.Delta.Signature
		a.args += m.Delta.PartialJSON
	}
	return a
}

func TestMessagesStreamLooksLikeTheRealThing(t *testing.T) {
	script := simulator.Script{Tokens: 4, Hidden: 6, ShowHidden: true, Input: 50, CacheRead: 7, CacheWrite: 8, CacheWrite1h: 9,
		Tools: []simulator.Tool{{Name: "find", Arguments: `{"q":"x y"}`}}}
	f := start(t, simulator.Options{Default: script})
	resp, body, err := f.post(messagesPath, messagesStream)
	if err != nil {
		t.Fatal(err)
	}
	a, e := readMessage(t, body), f.last()
	if strings.Join(a.blocks, " ") != "thinking text tool_use" || a.stop != "tool_use" || a.args != `{"q":"x y"}` {
		t.Errorf("blocks %v, stop %q, args %q", a.blocks, a.stop, a.args)
	}
	if words(a.thinking) != 6 || words(a.text) != 4 || a.signature == "" {
		t.Errorf("thinking %q, text %q, signature %q", a.thinking, a.text, a.signature)
	}
	if a.names[0] != "message_start" || a.names[1] != "ping" || a.names[2] != "content_block_start" || a.names[len(a.names)-1] != "message_stop" {
		t.Errorf("order %v", a.names)
	}
	if a.first.Input != 50 || a.first.Read != 7 || a.first.Write != 17 || a.first.Cache.FiveMinutes != 8 || a.first.Cache.OneHour != 9 || a.first.Output != 1 {
		t.Errorf("first usage %+v", a.first)
	}
	if a.last.Output != e.Billed || a.last.Details.Thinking != 6 || a.last.Input != 50 || e.Billed != 6+4+1+3 {
		t.Errorf("last usage %+v, billed %d", a.last, e.Billed)
	}
	if e.Input != 50 || e.CacheRead != 7 || e.CacheWrite != 8 || e.CacheWrite1h != 9 || e.InputTotal() != 74 || e.Hidden != 6 {
		t.Errorf("entry %+v", e)
	}
	if e.RequestID != resp.Header.Get("Request-Id") || e.ResponseID != a.id || !strings.HasPrefix(a.id, "msg_01") {
		t.Errorf("ids %q %q %q", e.RequestID, e.ResponseID, a.id)
	}
	if resp.Header.Get("Anthropic-Ratelimit-Requests-Remaining") == "" || e.Events != len(a.names) {
		t.Errorf("headers %v, events %d of %d", resp.Header, e.Events, len(a.names))
	}
}

func TestMessagesLimitPingsAndMissingUsage(t *testing.T) {
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 9, PingEvery: 2, Usage: simulator.UsageNone}})
	a := readMessage(t, f.ok(messagesPath, strings.Replace(messagesStream, "4096", "6", 1)))
	if words(a.text) != 6 || a.stop != "max_tokens" || a.usages != 0 || f.last().Billed != 6 {
		t.Errorf("%+v", a)
	}
	if n := strings.Count(strings.Join(a.names, " "), "ping"); n != 4 {
		t.Errorf("%d pings, want one and one after every two of six deltas", n)
	}
}

func TestMessagesWhole(t *testing.T) {
	script := simulator.Script{Tokens: 4, Hidden: 6, ShowHidden: true, Input: 50, Tools: []simulator.Tool{{Name: "find", Arguments: `{"q": 1}`}}}
	f := start(t, simulator.Options{Default: script})
	type whole struct {
		ID, Type string
		Stop     string `json:"stop_reason"`
		Content  []struct {
			Type, Text, Thinking, Name string
			Input                      map[string]int
		}
		Usage messageUsage
	}
	got := decode[whole](t, string(f.ok(messagesPath, messagesWhole)))
	e := f.last()
	if got.ID != e.ResponseID || got.Stop != "tool_use" || got.Usage.Output != e.Billed || got.Usage.Details.Thinking != 6 || len(got.Content) != 3 {
		t.Fatalf("%+v, entry %+v", got, e)
	}
	if words(got.Content[0].Thinking) != 6 || words(got.Content[1].Text) != 4 || got.Content[2].Input["q"] != 1 {
		t.Errorf("content %+v", got.Content)
	}
	// Arguments that the limit cut are no object any more.
	cut := decode[whole](t, string(f.ok(messagesPath, strings.Replace(messagesWhole, "4096", "12", 1))))
	if cut.Stop != "max_tokens" || len(cut.Content[2].Input) != 0 || cut.Usage.Output != 12 {
		t.Errorf("%+v", cut)
	}
}
