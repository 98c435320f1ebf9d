package simulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

type chatUsageObject struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	In         struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	Out struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

type chatCall struct {
	ID       string
	Type     string
	Function struct{ Name, Arguments string }
}

type chatChunk struct {
	ID      string
	Object  string
	Created int64
	Model   string
	Choices []struct {
		Index int
		Delta struct {
			Role, Content string
			Reasoning     string     `json:"reasoning_content"`
			ToolCalls     []chatCall `json:"tool_calls"`
		}
		Finish *string `json:"finish_reason"`
	}
	Usage *chatUsageObject
	XGroq *struct{ Usage chatUsageObject } `json:"x_groq"`
	Stamp int64                            `json:"sim_ns"`
}

// chatAnswer is a chat stream put together again.
type chatAnswer struct {
	id, reasoning string
	texts         []string
	finish        []string
	calls         []chatCall
	usage         []chatUsageObject
	chunks        []chatChunk
	done          bool
}

func readChat(t testing.TB, body []byte) chatAnswer {
	t.Helper()
	a := chatAnswer{texts: make([]string, 8), finish: make([]string, 8)}
	for _, e := range events(t, body, "\n") {
		if e.name != "" {
			t.Errorf("chat event has the name %q", e.name)
		}
		if a.done {
			t.Errorf("%q after [DONE]", e.data)
		}
		if e.data == "[DONE]" {
			a.done = true
			continue
		}
		c := decode[chatChunk](t, e.data)
		if c.Object != "chat.completion.chunk" || !strings.HasPrefix(c.ID, "chatcmpl-") || a.id != "" && c.ID != a.id {
			t.Errorf("chunk head is wrong: %s", e.data)
		}
		a.id = c.ID
		a.chunks = append(a.chunks, c)
		for _, ch := range c.Choices {
			a.texts[ch.Index] += ch.Delta.Content
			a.reasoning += ch.Delta.Reasoning
			if ch.Finish != nil {
				a.finish[ch.Index] = *ch.Finish
			}
			for _, call := range ch.Delta.ToolCalls {
				if call.ID != "" {
					a.calls = append(a.calls, call)
				} else {
					a.calls[len(a.calls)-1].Function.Arguments += call.Function.Arguments
				}
			}
		}
		if c.Usage != nil {
			a.usage = append(a.usage, *c.Usage)
		}
	}
	return a
}

func TestChatStreamLooksLikeTheRealThing(t *testing.T) {
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 5, Hidden: 3, Input: 100, CacheRead: 20}})
	resp, body, err := f.post(chatPath, chatUsage)
	if err != nil {
		t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream; charset=utf-8" {
		t.Errorf("content type %q", ct)
	}
	a := readChat(t, body)
	e := f.last()
	if len(a.chunks) != 8 || !a.done { // role, 5 tokens, finish, usage
		t.Errorf("%d chunks, done %v", len(a.chunks), a.done)
	}
	if a.chunks[0].Choices[0].Delta.Role != "assistant" || words(a.texts[0]) != 5 || a.finish[0] != "stop" {
		t.Errorf("role, text or finish: %+v", a)
	}
	want := chatUsageObject{Prompt: 120, Completion: 8, Total: 128}
	want.In.Cached, want.Out.Reasoning = 20, 3
	if len(a.usage) != 1 || a.usage[0] != want || len(a.chunks[7].Choices) != 0 {
		t.Errorf("usage %+v, want %+v", a.usage, want)
	}
	if n := strings.Count(string(body), `"usage":null`); n != 7 {
		t.Errorf(`%d chunks have "usage":null, want 7`, n)
	}
	if e.Input != 100 || e.CacheRead != 20 || e.Generated != 8 || e.Hidden != 3 || e.Billed != 8 || e.Answer != 8 || e.End != simulator.EndCompleted {
		t.Errorf("entry %+v", e)
	}
	if e.ResponseID != a.id || e.RequestID != resp.Header.Get("X-Request-Id") || !strings.HasPrefix(e.RequestID, "req_") {
		t.Errorf("ids: entry %q %q, wire %q %q", e.RequestID, e.ResponseID, resp.Header.Get("X-Request-Id"), a.id)
	}
	if e.Events != 9 || e.Bytes != len(body) || e.Model != "gpt-5.5" || !e.Streamed || e.Status != 200 {
		t.Errorf("entry %+v for %d bytes", e, len(body))
	}
	for _, h := range []string{"Openai-Processing-Ms", "Openai-Version", "X-Ratelimit-Remaining-Tokens"} {
		if resp.Header.Get(h) == "" {
			t.Errorf("no header %s", h)
		}
	}
}

func TestChatUsagePlaces(t *testing.T) {
	type seen struct{ reports, last, total int }
	for _, tc := range []struct {
		place simulator.UsagePlace
		body  string
		want  seen
	}{
		{simulator.UsageAsked, chatStream, seen{}},
		{simulator.UsageAsked, chatUsage, seen{1, 7, 17}},
		{simulator.UsageAlways, chatStream, seen{1, 7, 17}},
		{simulator.UsageFinish, chatStream, seen{1, 7, 17}},
		{simulator.UsageGroq, chatStream, seen{1, 7, 17}},
		{simulator.UsageEvery, chatStream, seen{6, 7, 17}},
		{simulator.UsageXAI, chatUsage, seen{1, 4, 17}},
		{simulator.UsageNone, chatUsage, seen{}},
	} {
		t.Run(string(tc.place)+"/"+tc.body[26:38], func(t *testing.T) {
			f := start(t, simulator.Options{Default: simulator.Script{Tokens: 4, Hidden: 3, Input: 10, Usage: tc.place}})
			a := readChat(t, f.ok(chatPath, tc.body))
			got := seen{reports: len(a.usage)}
			if got.reports > 0 {
				last := a.usage[got.reports-1]
				got.last, got.total = last.Completion, last.Total
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			onFinish := tc.place == simulator.UsageFinish || tc.place == simulator.UsageGroq
			if end := a.chunks[len(a.chunks)-1]; onFinish && (len(end.Choices) != 1 || end.Usage == nil) {
				t.Errorf("usage isn't on the finish chunk: %+v", end)
			}
			if end := a.chunks[len(a.chunks)-1]; tc.place == simulator.UsageGroq && (end.XGroq == nil || end.XGroq.Usage != *end.Usage) {
				t.Errorf("x_groq: %+v", end.XGroq)
			}
			if e := f.last(); e.Billed != 7 {
				t.Errorf("billed %d, want 7 wherever usage is", e.Billed)
			}
		})
	}
}

func TestChatToolCallsAndChoices(t *testing.T) {
	args := `{"city":"北京","n":12}`
	f := start(t, simulator.Options{})
	f.Next(
		simulator.Script{Tools: []simulator.Tool{{Name: "weather", Arguments: args}, {Name: "time", Arguments: `{}`}}},
		simulator.Script{Tokens: 3, ShowHidden: true, Hidden: 4},
		simulator.Script{Tokens: 3, TokensPerEvent: 2},
	)
	a := readChat(t, f.ok(chatPath, chatUsage))
	if len(a.calls) != 2 || a.calls[0].Function.Name != "weather" || a.calls[0].Function.Arguments != args || a.calls[1].Function.Arguments != "{}" {
		t.Fatalf("calls %+v", a.calls)
	}
	if a.finish[0] != "tool_calls" || a.texts[0] != "" || a.calls[0].Type != "function" {
		t.Errorf("finish %q, text %q", a.finish[0], a.texts[0])
	}
	if e := f.last(); e.Billed != a.usage[0].Completion || e.Billed < 8 {
		t.Errorf("billed %d, reported %d", e.Billed, a.usage[0].Completion)
	}
	a = readChat(t, f.ok(chatPath, chatUsage))
	if words(a.reasoning) != 4 || words(a.texts[0]) != 3 || a.usage[0].Out.Reasoning != 4 {
		t.Errorf("reasoning %q, text %q, usage %+v", a.reasoning, a.texts[0], a.usage)
	}
	three := strings.Replace(chatUsage, `"stream":true`, `"stream":true,"n":3`, 1)
	a = readChat(t, f.ok(chatPath, three))
	for i := range 3 {
		if words(a.texts[i]) != 3 || a.finish[i] != "stop" {
			t.Errorf("choice %d: %q, %q", i, a.texts[i], a.finish[i])
		}
	}
	if a.texts[0] == a.texts[1] || a.usage[0].Completion != 9 || f.last().Billed != 9 {
		t.Errorf("choices %q, usage %+v", a.texts, a.usage)
	}
}

func TestTokenLimit(t *testing.T) {
	tool := []simulator.Tool{{Name: "f", Arguments: `{"a":"bcdefgh"}`}} // 1 + 4 tokens
	for name, tc := range map[string]struct {
		script simulator.Script
		limit  string
		billed int
		finish string
	}{
		"below":             {simulator.Script{Tokens: 10}, "10", 10, "stop"},
		"in the text":       {simulator.Script{Tokens: 10}, "9", 9, "length"},
		"in the hidden":     {simulator.Script{Tokens: 10, Hidden: 20}, "15", 15, "length"},
		"in the arguments":  {simulator.Script{Tools: tool}, "3", 3, "length"},
		"before the call":   {simulator.Script{Tokens: 4, Tools: tool}, "4", 4, "length"},
		"fits to the token": {simulator.Script{Tokens: 4, Tools: tool}, "9", 9, "tool_calls"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, simulator.Options{Default: tc.script})
			for _, member := range []string{"max_tokens", "max_completion_tokens"} {
				body := strings.Replace(chatUsage, `"stream":true`, `"stream":true,"`+member+`":`+tc.limit, 1)
				a := readChat(t, f.ok(chatPath, body))
				if e := f.last(); e.Billed != tc.billed || a.usage[0].Completion != tc.billed || a.finish[0] != tc.finish {
					t.Errorf("%s: billed %d, reported %d, finish %q", member, e.Billed, a.usage[0].Completion, a.finish[0])
				}
			}
		})
	}
}

func TestChatWhole(t *testing.T) {
	tool := []simulator.Tool{{Name: "f", Arguments: `{"a":"é"}`}}
	f := start(t, simulator.Options{Default: simulator.Script{Tokens: 6, Hidden: 2, Input: 9, Tools: tool}})
	resp, body, err := f.post(chatPath, chatWhole)
	if err != nil {
		t.Fatal(err)
	}
	got := decode[struct {
		ID, Object string
		Choices    []struct {
			Message struct {
				Content   string
				ToolCalls []chatCall `json:"tool_calls"`
			}
			Finish string `json:"finish_reason"`
		}
		Usage chatUsageObject
	}](t, string(body))
	e := f.last()
	c := got.Choices[0]
	if got.Object != "chat.completion" || got.ID != e.ResponseID || words(c.Message.Content) != 6 || c.Finish != "tool_calls" {
		t.Errorf("answer %+v", got)
	}
	if len(c.Message.ToolCalls) != 1 || c.Message.ToolCalls[0].Function.Arguments != `{"a":"é"}` {
		t.Errorf("calls %+v", c.Message.ToolCalls)
	}
	if got.Usage.Prompt != 9 || got.Usage.Completion != e.Billed || e.Billed != 2+6+1+3 {
		t.Errorf("usage %+v, billed %d", got.Usage, e.Billed)
	}
	if resp.ContentLength != int64(len(body)) || e.Bytes != len(body) || e.Streamed || e.End != simulator.EndCompleted {
		t.Errorf("length %d of %d, entry %+v", resp.ContentLength, len(body), e)
	}
}

func TestAnswersDifferByCallUnlessDeterministic(t *testing.T) {
	ids := func(opts simulator.Options, n int) (out []string) {
		f := start(t, opts)
		for range n {
			body := f.ok(chatPath, chatStream)
			out = append(out, string(body))
		}
		bill := f.Bill()
		for i, e := range bill {
			for _, other := range bill[:i] {
				if e.RequestID == other.RequestID {
					t.Errorf("request id %s twice", e.RequestID)
				}
			}
		}
		return out
	}
	two := ids(simulator.Options{Seed: 1}, 2)
	if readChat(t, []byte(two[0])).id == readChat(t, []byte(two[1])).id || readChat(t, []byte(two[0])).texts[0] == readChat(t, []byte(two[1])).texts[0] {
		t.Error("two calls got one answer")
	}
	same := append(ids(simulator.Options{Deterministic: true, Seed: 1}, 2), ids(simulator.Options{Deterministic: true, Seed: 1}, 1)...)
	if same[0] != same[1] || same[0] != same[2] {
		t.Error("deterministic answers differ")
	}
	if other := ids(simulator.Options{Deterministic: true, Seed: 2}, 1); other[0] == same[0] {
		t.Error("the seed makes no difference")
	}
}

func TestFixedTextIsSentExactly(t *testing.T) {
	text := "Hello,  \"world\"\n\n- 你好世界，这是一段没有空格的中文文本用来测试分词。\t🙂 end "
	f := start(t, simulator.Options{Default: simulator.Script{Text: text}})
	a := readChat(t, f.ok(chatPath, chatUsage))
	if a.texts[0] != text || a.usage[0].Completion != f.last().Billed || a.usage[0].Completion < 6 {
		t.Errorf("text %q, usage %+v", a.texts[0], a.usage)
	}
	got := decode[struct{ Content []struct{ Text string } }](t, string(f.ok(messagesPath, messagesWhole)))
	if got.Content[0].Text != text {
		t.Errorf("text %q", got.Content[0].Text)
	}
}

func TestChatRejectsWhatTheScriptForbids(t *testing.T) {
	f := start(t, simulator.Options{Default: simulator.Script{RejectStreamUsage: true, Tokens: 1}})
	resp, body, err := f.post(chatPath, chatUsage)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	contains(t, body, "stream_options", "invalid_request_error")
	if e := f.last(); e.End != simulator.EndRejected || e.InputTotal() != 0 || e.Billed != 0 {
		t.Errorf("entry %+v", e)
	}
	f.ok(chatPath, chatStream)
}
