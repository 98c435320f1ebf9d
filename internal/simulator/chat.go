package simulator

import (
	"cmp"
	"iter"
	"strconv"
)

// chatFrames is the answer as chat completion chunks and [DONE].
func (a *answer) chatFrames(place UsagePlace, obfuscate bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		c := a.newChunks(place, obfuscate)
		for i := range a.choices {
			c.begin(i, `"role":"assistant","content":"","refusal":null`, "")
			if !yield(c.end(0, 0)) {
				return
			}
		}
		for p := range a.pieces() {
			if p.step == closing || p.step == opening && p.part != toolUse {
				continue
			}
			c.piece(a, p)
			if !yield(c.end(p.tokens, p.hidden)) {
				return
			}
		}
		for i := range a.choices {
			c.begin(i, "", a.finish(i))
			c.finishing = true
			if !yield(c.end(0, 0)) {
				return
			}
		}
		if place == UsageAlways || place == UsageXAI {
			if !yield(c.usageChunk()) {
				return
			}
		}
		yield(frame{data: []byte("[DONE]")})
	}
}

func (a *answer) finish(choice int) string {
	switch {
	case a.cutText || choice == 0 && a.cutCall:
		return "length"
	case choice == 0 && len(a.calls) > 0:
		return "tool_calls"
	default:
		return "stop"
	}
}

// chunks renders chunks into one buffer, from a head that never changes.
type chunks struct {
	a         *answer
	place     UsagePlace
	obfuscate bool
	finishing bool
	headLen   int
	buf       []byte
	done      int // tokens so far, for running usage
	doneHid   int
}

func (a *answer) newChunks(place UsagePlace, obfuscate bool) *chunks {
	c := &chunks{a: a, place: place, obfuscate: obfuscate}
	if !a.shown {
		c.done, c.doneHid = a.hidden, a.hidden
	}
	c.buf = a.chatHead("chat.completion.chunk")
	c.headLen = len(c.buf)
	return c
}

// chatHead is the members that all objects of one answer share, up to the choices.
func (a *answer) chatHead(object string) []byte {
	b := append([]byte(`{"id":"`), a.id...)
	b = append(b, `","object":"`...)
	b = append(b, object...)
	b = append(b, `","created":`...)
	b = strconv.AppendInt(b, a.created, 10)
	b = append(b, `,"model":"`...)
	b = append(b, escape(a.model)...)
	b = append(b, `","service_tier":"`+escape(cmp.Or(a.tier, "default"))+`","system_fingerprint":"`...)
	b = append(b, a.fingerprint...)
	return append(b, `","choices":[`...)
}

// begin writes a chunk up to the end of its choice. finish "" is null.
func (c *chunks) begin(choice int, delta, finish string) {
	c.open(choice)
	c.buf = append(c.buf, delta...)
	c.shut(finish)
}

func (c *chunks) open(choice int) {
	c.finishing = false
	c.buf = append(c.buf[:c.headLen], `{"index":`...)
	c.buf = strconv.AppendInt(c.buf, int64(choice), 10)
	c.buf = append(c.buf, `,"delta":{`...)
}

func (c *chunks) shut(finish string) {
	c.buf = append(c.buf, `},"logprobs":null,"finish_reason":`...)
	if finish == "" {
		c.buf = append(c.buf, `null}]`...)
		return
	}
	c.buf = append(c.buf, '"')
	c.buf = append(c.buf, finish...)
	c.buf = append(c.buf, `"}]`...)
}

func (c *chunks) piece(a *answer, p piece) {
	c.open(p.choice)
	switch p.part {
	case thinking:
		c.buf = append(c.buf, `"reasoning_content":"`...)
	case text:
		c.buf = append(c.buf, `"content":"`...)
	case toolUse:
		c.buf = append(c.buf, `"tool_calls":[{"index":`...)
		c.buf = strconv.AppendInt(c.buf, int64(p.tool), 10)
		if p.step == opening {
			call := a.calls[p.tool]
			c.buf = append(c.buf, `,"id":"`+call.id+`","type":"function","function":{"name":"`+call.name+`","arguments":"`...)
		} else {
			c.buf = append(c.buf, `,"function":{"arguments":"`...)
		}
	}
	c.buf = append(c.buf, p.content...)
	c.buf = append(c.buf, '"')
	if p.part == toolUse {
		c.buf = append(c.buf, `}}]`...)
	}
	c.shut("")
}

// end closes the chunk with what comes after the choices.
func (c *chunks) end(tokens, hidden int) frame {
	c.done += tokens
	c.doneHid += hidden
	switch {
	case c.place == UsageEvery:
		c.buf = append(c.buf, `,"usage":`...)
		c.buf = c.a.appendChatUsage(c.buf, c.done, c.doneHid, false)
	case c.finishing && c.place == UsageGroq:
		c.buf = append(c.buf, `,"x_groq":{"id":"req_01`+letters(c.a.seed+7, 24)+`","usage":`...)
		c.buf = c.a.appendChatUsage(c.buf, c.done, c.doneHid, false)
		c.buf = append(c.buf, `},"usage":`...)
		c.buf = c.a.appendChatUsage(c.buf, c.done, c.doneHid, false)
	case c.finishing && c.place == UsageFinish:
		c.buf = append(c.buf, `,"usage":`...)
		c.buf = c.a.appendChatUsage(c.buf, c.done, c.doneHid, false)
	case c.place == UsageAlways || c.place == UsageFinish:
		c.buf = append(c.buf, `,"usage":null`...)
	}
	return c.seal(tokens, hidden)
}

// usageChunk has no choice, and comes after all of them.
func (c *chunks) usageChunk() frame {
	c.buf = append(c.buf[:c.headLen], `],"usage":`...)
	c.buf = c.a.appendChatUsage(c.buf, c.done, c.doneHid, c.place == UsageXAI)
	return c.seal(0, 0)
}

func (c *chunks) seal(tokens, hidden int) frame {
	if c.obfuscate {
		c.buf = append(c.buf, `,"obfuscation":"`...)
		h := mix(c.a.seed ^ uint64(c.done))
		c.buf = append(c.buf, letters(h, 1+int(h%14))...)
		c.buf = append(c.buf, '"')
	}
	c.buf = append(c.buf, '}')
	return frame{data: c.buf, tokens: tokens, hidden: hidden}
}

// appendChatUsage reports output tokens as OpenAI does, hidden ones included,
// or apart as xAI does: its total alone has them all.
func (a *answer) appendChatUsage(b []byte, output, hidden int, apart bool) []byte {
	completion := output
	if apart {
		completion -= hidden
	}
	b = appendInt(b, `{"prompt_tokens":`, a.inputTotal())
	b = appendInt(b, `,"completion_tokens":`, completion)
	b = appendInt(b, `,"total_tokens":`, a.inputTotal()+output)
	b = appendInt(b, `,"prompt_tokens_details":{"cached_tokens":`, a.cacheRead)
	if n := a.cacheWrite + a.cacheWrite1h; n > 0 {
		b = appendInt(b, `,"cache_write_tokens":`, n)
	}
	b = append(b, `,"audio_tokens":0}`...)
	b = appendInt(b, `,"completion_tokens_details":{"reasoning_tokens":`, hidden)
	return append(b, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`...)
}

func appendInt(b []byte, name string, n int) []byte {
	return strconv.AppendInt(append(b, name...), int64(n), 10)
}

// chatBody is the answer as one chat.completion object.
func (a *answer) chatBody(place UsagePlace) []byte {
	b := a.chatHead("chat.completion")
	for i := range a.choices {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendInt(b, `{"index":`, i)
		b = append(b, `,"message":{"role":"assistant","content":`...)
		if i == 0 && a.text == 0 && len(a.calls) > 0 {
			b = append(b, `null`...)
		} else {
			b = append(b, '"')
			b = a.appendText(b, i, 0, a.text)
			b = append(b, '"')
		}
		if a.shown && a.hidden > 0 {
			b = append(b, `,"reasoning_content":"`...)
			b = a.appendThoughts(b, 0, a.hidden)
			b = append(b, '"')
		}
		if i == 0 {
			b = a.appendChatCalls(b)
		}
		b = append(b, `,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"`+a.finish(i)+`"}`...)
	}
	b = append(b, ']')
	if place != UsageNone {
		b = append(b, `,"usage":`...)
		b = a.appendChatUsage(b, a.total(), a.hidden, place == UsageXAI)
	}
	return append(b, '}')
}

func (a *answer) appendChatCalls(b []byte) []byte {
	for i, c := range a.calls {
		if i == 0 {
			b = append(b, `,"tool_calls":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`+c.id+`","type":"function","function":{"name":"`+c.name+`","arguments":"`...)
		for _, p := range c.pieces {
			b = append(b, p...)
		}
		b = append(b, `"}}`...)
	}
	if len(a.calls) > 0 {
		b = append(b, ']')
	}
	return b
}
