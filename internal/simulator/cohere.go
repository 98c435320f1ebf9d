package simulator

import "iter"

const coherePath = "/v2/chat"

// What Cohere counts beyond what it bills: a preamble of its own, and the tokens
// that open and close a turn.
const (
	coherePreamble = 496
	cohereSpecial  = 3
)

// cohereFrames is the answer as events of Cohere's chat, version 2, and [DONE].
func (a *answer) cohereFrames(usage bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		start := `{"id":"` + a.id + `","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}`
		if !yield(frame{event: "message-start", data: []byte(start), prelude: true}) {
			return
		}
		var buf []byte
		block := 0
		for p := range a.pieces() {
			f := frame{tokens: p.tokens, hidden: p.hidden}
			if p.part == toolUse {
				f.event, buf = a.cohereCall(buf[:0], p)
			} else {
				f.event, buf = cohereContent(buf[:0], block, p)
			}
			f.data = buf
			if !yield(f) {
				return
			}
			if p.part != toolUse && p.step == closing {
				block++
			}
		}
		last := append([]byte(`{"type":"message-end","delta":`), a.cohereEnd(usage)...)
		if !yield(frame{event: "message-end", data: append(last, '}')}) {
			return
		}
		yield(frame{data: []byte("[DONE]")})
	}
}

// cohereContent is an event of a content block.
func cohereContent(b []byte, block int, p piece) (event string, data []byte) {
	kind := "text"
	if p.part == thinking {
		kind = "thinking"
	}
	event = [...]string{opening: "content-start", delta: "content-delta", closing: "content-end"}[p.step]
	b = appendInt(append(b, `{"type":"`+event+`"`...), `,"index":`, block)
	switch p.step {
	case opening:
		b = append(b, `,"delta":{"message":{"content":{"type":"`+kind+`","`+kind+`":""}}}`...)
	case delta:
		b = append(b, `,"delta":{"message":{"content":{"`+kind+`":"`...)
		b = append(append(b, p.content...), `"}}}`...)
	}
	return event, append(b, '}')
}

// cohereCall is an event of a tool call.
func (a *answer) cohereCall(b []byte, p piece) (event string, data []byte) {
	event = [...]string{opening: "tool-call-start", delta: "tool-call-delta", closing: "tool-call-end"}[p.step]
	b = appendInt(append(b, `{"type":"`+event+`"`...), `,"index":`, p.tool)
	switch c := a.calls[p.tool]; p.step {
	case opening:
		b = append(b, `,"delta":{"message":{"tool_calls":{"id":"`+c.id+`","type":"function","function":{"name":"`+c.name+`","arguments":""}}}}`...)
	case delta:
		b = append(b, `,"delta":{"message":{"tool_calls":{"function":{"arguments":"`...)
		b = append(append(b, p.content...), `"}}}}`...)
	}
	return event, append(b, '}')
}

func (a *answer) cohereReason() string {
	switch {
	case a.cutText || a.cutCall:
		return "MAX_TOKENS"
	case len(a.calls) > 0:
		return "TOOL_CALL"
	}
	return "COMPLETE"
}

// cohereEnd is why the answer ended, and its usage.
func (a *answer) cohereEnd(usage bool) []byte {
	b := []byte(`{"finish_reason":"` + a.cohereReason() + `"`)
	if usage {
		b = a.appendCohereUsage(append(b, `,"usage":`...))
	}
	return append(b, '}')
}

// appendCohereUsage reports what is billed beside what was counted. What came from a
// cache is in the input that is billed.
func (a *answer) appendCohereUsage(b []byte) []byte {
	b = appendInt(b, `{"billed_units":{"input_tokens":`, a.inputTotal())
	b = appendInt(b, `,"output_tokens":`, a.total())
	b = appendInt(b, `},"tokens":{"input_tokens":`, a.inputTotal()+coherePreamble)
	b = appendInt(b, `,"output_tokens":`, a.total()+cohereSpecial)
	if a.hidden > 0 {
		b = appendInt(b, `,"reasoning_tokens":`, a.hidden)
	}
	b = appendInt(b, `},"cached_tokens":`, a.cacheRead)
	return append(b, '}')
}

// cohereBody is the answer as one body.
func (a *answer) cohereBody(usage bool) []byte {
	b := []byte(`{"id":"` + a.id + `","message":{"role":"assistant","content":[`)
	comma := ""
	if a.shown && a.hidden > 0 {
		b = append(a.appendThoughts(append(b, `{"type":"thinking","thinking":"`...), 0, a.hidden), `"}`...)
		comma = ","
	}
	if a.text > 0 || len(a.calls) == 0 {
		b = append(a.appendText(append(b, comma+`{"type":"text","text":"`...), 0, 0, a.text), `"}`...)
	}
	b = append(b, `],"tool_calls":[`...)
	for i, c := range a.calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`+c.id+`","type":"function","function":{"name":"`+c.name+`","arguments":"`...)
		for _, p := range c.pieces {
			b = append(b, p...)
		}
		b = append(b, `"}}`...)
	}
	b = append(b, `]},`...)
	return append(b, a.cohereEnd(usage)[1:]...)
}

// cohereError is the end of a stream in which the provider failed.
func cohereError(e ErrorBody) []byte {
	return []byte(`{"type":"message-end","delta":{"finish_reason":"ERROR","error":"` + escape(e.Message) + `"}}`)
}
