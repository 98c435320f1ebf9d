package dialect

import (
	"bytes"
	"strings"
	"testing"
)

// BenchmarkStream splits and observes a recorded stream in reads of 4 KiB.
func BenchmarkStream(b *testing.B) {
	for _, bench := range []struct{ name, recording string }{
		{"openai", "test-complex-agent-run"},
		{"deepseek", "test-deepseek-model-thinking"},
		{"groq", "chat-streaming-legacy"},
		{"azure", "test-chat-async-streaming"},
		{"openrouter", "openrouter-claude-haiku"},
		{"anthropic", "async-anthropic-message-streaming"},
		{"anthropic-search", "pause-turn-web-search"},
		{"responses", "thinking-with-code-execution"},
		{"responses-xai", "grok-3-mini-streams-thinking"},
		{"responses-background", "background-mode-streaming-vcr"},
		{"completions", "async-completion-streaming"},
	} {
		r := recordingOf(b, bench.recording)
		events := len(split(NewSSE(0), r.body))
		b.Run(bench.name+"/split", func(b *testing.B) {
			b.ReportAllocs()
			s := NewSSE(0)
			for b.Loop() {
				feed(s, nil, r.body)
			}
			perEvent(b, events)
		})
		b.Run(bench.name+"/observe", func(b *testing.B) {
			b.ReportAllocs()
			s, o := NewSSE(0), r.observer()
			for b.Loop() {
				feed(s, o, r.body)
			}
			perEvent(b, events)
		})
	}
}

// feed gives body to s in reads of 4 KiB, and what comes out to o.
func feed(s *Splitter, o Observer, body []byte) {
	for len(body) > 0 {
		n := min(len(body), 4<<10)
		for _, p := range s.Feed(body[:n]) {
			if o != nil {
				o.Event(p.Data)
			}
		}
		body = body[n:]
	}
}

func perEvent(b *testing.B, events int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}

// BenchmarkPlain observes one plain chunk again and again.
func BenchmarkPlain(b *testing.B) {
	chunk := []byte(`data: {"id":"chatcmpl-DPTCSiILDqSfGEsai0LaZHmgPpD0W","object":"chat.completion.chunk","created":1774962816,"model":"gpt-3.5-turbo-0125","service_tier":"default","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":"5"},"logprobs":null,"finish_reason":null}],"obfuscation":"TVQ6FM"}` + "\n\n")
	o := OpenAI.Observe(Request{Stream: true}, "text/event-stream")
	b.ReportAllocs()
	for b.Loop() {
		o.Event(chunk)
	}
}

// BenchmarkResponses observes one plain event again and again, with another number each time.
func BenchmarkResponses(b *testing.B) {
	for name, event := range map[string]string{
		"number-first": `{"type":"response.output_text.delta","sequence_number":42,"item_id":"msg_68c350a75ddc819ea5406470460be7850f2d670b80edc507","output_index":5,"content_index":0,"delta":" and","logprobs":[],"obfuscation":"r3Zk1m2Yq"}`,
		"number-last":  `{"type":"response.output_text.delta","delta":" and","logprobs":[],"item_id":"msg_68c350a75ddc819ea5406470460be7850f2d670b80edc507","content_index":0,"output_index":5,"obfuscation":"r3Zk1m2Yq","sequence_number":42}`,
	} {
		b.Run(name, func(b *testing.B) {
			event = "event: response.output_text.delta\ndata: " + event + "\n\n"
			events := [][]byte{[]byte(event), []byte(strings.Replace(event, ":42", ":101", 1))}
			o := OpenAI.Observe(Request{Endpoint: endpointResponses, Stream: true}, eventStream)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				o.Event(events[i&1])
			}
		})
	}
}

// BenchmarkFresh is a plain chunk that shares no beginning with the one before.
func BenchmarkFresh(b *testing.B) {
	chunk := []byte(`data: {"id":"chatcmpl-DPTCSiILDqSfGEsai0LaZHmgPpD0W","object":"chat.completion.chunk","created":1774962816,"model":"gpt-3.5-turbo-0125","service_tier":"default","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":"5"},"logprobs":null,"finish_reason":null}],"obfuscation":"TVQ6FM"}` + "\n\n")
	chunks := [][]byte{chunk, bytes.Replace(chunk, []byte("1774962816"), []byte("1774962817"), 1)}
	o := OpenAI.Observe(Request{Stream: true}, "text/event-stream")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o.Event(chunks[i&1])
	}
}

// BenchmarkLarge is a body of 1 MiB with little to see in it.
func BenchmarkLarge(b *testing.B) {
	text := bytes.Repeat([]byte(`some words, and \"quotes\"\n`), 1<<20/27)
	body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + string(text) + `"}],"stream":true}`)
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := OpenAI.Parse(endpointChat, body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("canonical", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Canonical(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
