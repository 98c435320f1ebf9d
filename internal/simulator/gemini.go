package simulator

import (
	"iter"
	"strings"
)

// geminiCall tells whether a path is of one of Gemini's generating methods, on which
// model, and whether the method streams.
func geminiCall(path string) (model string, stream, ok bool) {
	_, rest, ok := strings.Cut(path, "/models/")
	model, method, found := strings.Cut(rest, ":")
	if !ok || !found || strings.Contains(rest, "/") {
		return "", false, false
	}
	return model, method == "streamGenerateContent", method == "streamGenerateContent" || method == "generateContent"
}

// isGoogle is true for what only clients of Google send.
func isGoogle(path, key string) bool {
	_, _, ok := geminiCall(path)
	return ok || key != "" || strings.HasPrefix(path, "/v1beta") || strings.HasSuffix(path, ":countTokens")
}

// gemini answers a generating call of Gemini's.
func (x *exchange) gemini() End {
	place := x.script.Usage
	switch {
	case !x.req.Stream:
		return x.whole(x.answer.geminiBody(place != UsageNone))
	case x.r.URL.Query().Get("alt") == "sse":
		return x.stream(x.answer.geminiFrames(place))
	}
	return x.elements(x.answer.geminiFrames(place))
}

// geminiFrames is the answer as responses of which each has a piece. Calls come
// whole, with all their tokens; the finish of each candidate is one by itself.
func (a *answer) geminiFrames(place UsagePlace) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		c := &responses{a: a, place: place}
		if !a.shown {
			c.done, c.hidden = a.hidden, a.hidden
		}
		pending := 0
		for p := range a.pieces() {
			pending += p.tokens
			if p.part == toolUse && p.step != closing || p.part != toolUse && p.step != delta {
				continue
			}
			f := c.render(p.choice, a.geminiPart(p), "", pending, p.hidden)
			pending = 0
			if !yield(f) {
				return
			}
		}
		for i := range a.choices {
			if !yield(c.render(i, `{"text":""}`, a.geminiFinish(i), 0, 0)) {
				return
			}
		}
	}
}

func (a *answer) geminiFinish(choice int) string {
	if a.cutText || choice == 0 && a.cutCall {
		return "MAX_TOKENS"
	}
	return "STOP"
}

// geminiPart is a piece as a part of a candidate's content.
func (a *answer) geminiPart(p piece) string {
	switch p.part {
	case toolUse:
		c := a.calls[p.tool]
		return `{"functionCall":{"name":"` + c.name + `","args":` + c.input() + `}}`
	case thinking:
		return `{"text":"` + string(p.content) + `","thought":true}`
	default:
		return `{"text":"` + string(p.content) + `"}`
	}
}

// responses renders the responses of a stream into one buffer.
type responses struct {
	a            *answer
	place        UsagePlace
	buf          []byte
	done, hidden int // tokens so far, for running usage
}

func (c *responses) render(choice int, parts, finish string, tokens, hidden int) frame {
	c.done += tokens
	c.hidden += hidden
	c.buf = append(c.buf[:0], `{"candidates": [`...)
	c.buf = appendCandidate(c.buf, choice, parts, finish)
	c.buf = append(c.buf, ']')
	switch {
	case c.place == UsageNone:
	case c.place == UsageFinish && finish == "":
		c.buf = append(c.buf, `,"usageMetadata": {"trafficType": "ON_DEMAND"}`...)
	default:
		c.buf = c.a.appendUsageMetadata(c.buf, c.done, c.hidden)
	}
	c.buf = c.a.appendGeminiNames(c.buf)
	return frame{data: c.buf, tokens: tokens, hidden: hidden}
}

// appendCandidate leaves out an index of 0, as Google does.
func appendCandidate(b []byte, choice int, parts, finish string) []byte {
	b = append(b, `{"content": {"parts": [`...)
	b = append(b, parts...)
	b = append(b, `],"role": "model"}`...)
	if finish != "" {
		b = append(b, `,"finishReason": "`+finish+`"`...)
	}
	if choice > 0 {
		b = appendInt(b, `,"index": `, choice)
	}
	return append(b, '}')
}

func (a *answer) appendGeminiNames(b []byte) []byte {
	return append(b, `,"modelVersion": "`+escape(a.model)+`","responseId": "`+a.id+`"}`...)
}

// appendUsageMetadata reports output as Google does: thoughts beside the candidates,
// and nothing where there is nothing.
func (a *answer) appendUsageMetadata(b []byte, output, hidden int) []byte {
	b = appendInt(b, `,"usageMetadata": {"promptTokenCount": `, a.inputTotal())
	if n := output - hidden; n > 0 {
		b = appendInt(b, `,"candidatesTokenCount": `, n)
	}
	b = appendInt(b, `,"totalTokenCount": `, a.inputTotal()+output)
	if a.cacheRead > 0 {
		b = appendInt(b, `,"cachedContentTokenCount": `, a.cacheRead)
	}
	b = appendInt(b, `,"promptTokensDetails": [{"modality": "TEXT","tokenCount": `, a.inputTotal())
	b = append(b, `}]`...)
	if hidden > 0 {
		b = appendInt(b, `,"thoughtsTokenCount": `, hidden)
	}
	return append(b, '}')
}

// geminiBody is the answer as one response.
func (a *answer) geminiBody(usage bool) []byte {
	b := []byte(`{"candidates": [`)
	for i := range a.choices {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCandidate(b, i, a.geminiParts(i), a.geminiFinish(i))
	}
	b = append(b, ']')
	if usage {
		b = a.appendUsageMetadata(b, a.total(), a.hidden)
	}
	return a.appendGeminiNames(b)
}

// geminiParts is all that a candidate says.
func (a *answer) geminiParts(choice int) string {
	var parts []string
	if choice == 0 && a.shown && a.hidden > 0 {
		parts = append(parts, `{"text":"`+string(a.appendThoughts(nil, 0, a.hidden))+`","thought":true}`)
	}
	if a.text > 0 || len(a.calls) == 0 || choice > 0 {
		parts = append(parts, `{"text":"`+string(a.appendText(nil, choice, 0, a.text))+`"}`)
	}
	for i := range a.calls {
		if choice == 0 {
			parts = append(parts, a.geminiPart(piece{part: toolUse, tool: i}))
		}
	}
	return strings.Join(parts, ",")
}

// countTokens is free.
func (x *exchange) countTokens() End {
	return x.json(map[string]any{"totalTokens": max(1, len(x.body)/4)})
}
