package simulator

import (
	"cmp"
	"iter"
	"strconv"
)

// responseFrames is the answer as the events of OpenAI's Responses. Reasoning is an item
// of the output, with text in it only where it is shown.
func (a *answer) responseFrames(usage, obfuscate bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		r := &responseEvents{a: a, yield: yield, obfuscate: obfuscate}
		r.whole("response.created", a.responseBody("in_progress", false), true)
		if a.background {
			r.whole("response.queued", a.responseBody("queued", false), true)
		}
		r.whole("response.in_progress", a.responseBody("in_progress", false), true)
		if a.hidden > 0 && !a.shown {
			r.begin("response.output_item.added")
			r.member("item", a.reasoningItem(nil))
			r.end(0, 0, false)
			r.begin("response.output_item.done")
			r.member("item", a.reasoningItem(nil))
			r.end(0, 0, false)
			r.item++
		}
		for p := range a.pieces() {
			if r.piece(p); r.over {
				return
			}
		}
		r.whole("response."+a.responseStatus(), a.responseBody(a.responseStatus(), usage), false)
	}
}

func (a *answer) responseStatus() string {
	if a.cutText || a.cutCall {
		return "incomplete"
	}
	return "completed"
}

// responseEvents renders events into one buffer and numbers them.
type responseEvents struct {
	a         *answer
	yield     func(frame) bool
	obfuscate bool
	over      bool // nobody wants more
	sequence  int
	item      int
	name      string
	buf       []byte
	done      []byte // what the item has so far, as in its JSON
}

func (r *responseEvents) begin(name string) {
	r.name = name
	r.buf = append(append(r.buf[:0], `{"type":"`...), name...)
	r.buf = appendInt(r.buf, `","sequence_number":`, r.sequence)
	r.buf = appendInt(r.buf, `,"output_index":`, r.item)
	r.sequence++
}

func (r *responseEvents) member(name string, value []byte) {
	r.buf = append(r.buf, `,"`+name+`":`...)
	r.buf = append(r.buf, value...)
}

func (r *responseEvents) end(tokens, hidden int, prelude bool) {
	if r.over {
		return
	}
	r.buf = append(r.buf, '}')
	r.over = !r.yield(frame{event: r.name, data: r.buf, tokens: tokens, hidden: hidden, prelude: prelude})
}

// whole is an event about the response itself.
func (r *responseEvents) whole(name string, response []byte, prelude bool) {
	r.name = name
	r.buf = appendInt(r.buf[:0], `{"type":"`+name+`","sequence_number":`, r.sequence)
	r.sequence++
	r.member("response", response)
	r.end(0, 0, prelude)
}

// responseParts are the names of events and members that a kind of content has.
var responseParts = map[part]struct{ delta, done, member string }{
	thinking: {"response.reasoning_text.delta", "response.reasoning_text.done", "text"},
	text:     {"response.output_text.delta", "response.output_text.done", "text"},
	toolUse:  {"response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments"},
}

func (r *responseEvents) piece(p piece) {
	names := responseParts[p.part]
	switch p.step {
	case opening:
		r.done = r.done[:0]
		r.begin("response.output_item.added")
		r.member("item", r.a.outputItem(p, nil, "in_progress"))
		r.end(p.tokens, p.hidden, false)
		if p.part != toolUse {
			r.begin("response.content_part.added")
			r.locate(p)
			r.member("part", r.a.contentPart(p.part, nil))
			r.end(0, 0, false)
		}
	case delta:
		r.done = append(r.done, p.content...)
		r.begin(names.delta)
		r.locate(p)
		r.member("delta", quote(p.content))
		if p.part == text {
			r.member("logprobs", []byte("[]"))
		}
		if r.obfuscate {
			h := mix(r.a.seed ^ uint64(r.sequence))
			r.member("obfuscation", quote([]byte(letters(h, 1+int(h%14)))))
		}
		r.end(p.tokens, p.hidden, false)
	case closing:
		r.begin(names.done)
		r.locate(p)
		r.member(names.member, quote(r.done))
		r.end(0, 0, false)
		if p.part != toolUse {
			r.begin("response.content_part.done")
			r.locate(p)
			r.member("part", r.a.contentPart(p.part, r.done))
			r.end(0, 0, false)
		}
		r.begin("response.output_item.done")
		r.member("item", r.a.outputItem(p, r.done, "completed"))
		r.end(0, 0, false)
		r.item++
	}
}

// locate says which item, and which part of it, an event is about.
func (r *responseEvents) locate(p piece) {
	r.member("item_id", quote([]byte(r.a.itemID(p.part, p.tool))))
	if p.part != toolUse {
		r.member("content_index", []byte("0"))
	}
}

func quote(escaped []byte) []byte {
	return append(append([]byte{'"'}, escaped...), '"')
}

func (a *answer) itemID(p part, tool int) string {
	prefix := map[part]string{thinking: "rs_", text: "msg_", toolUse: "fc_"}[p]
	return prefix + hexDigits(mix(a.seed+uint64(10+int(p)+tool)), 16)
}

func (a *answer) contentPart(p part, content []byte) []byte {
	if p == thinking {
		return append(append([]byte(`{"type":"reasoning_text","text":`), quote(content)...), '}')
	}
	return append(append([]byte(`{"type":"output_text","annotations":[],"logprobs":[],"text":`), quote(content)...), '}')
}

func (a *answer) outputItem(p piece, content []byte, status string) []byte {
	var parts []byte
	if content != nil && p.part != toolUse {
		parts = a.contentPart(p.part, content)
	}
	switch p.part {
	case thinking:
		return a.reasoningItem(parts)
	case toolUse:
		c := a.calls[p.tool]
		b := []byte(`{"id":"` + a.itemID(toolUse, p.tool) + `","type":"function_call","status":"` + status + `","call_id":"` + c.id + `","name":"` + c.name + `","arguments":`)
		return append(append(b, quote(content)...), '}')
	}
	b := []byte(`{"id":"` + a.itemID(text, 0) + `","type":"message","status":"` + status + `","role":"assistant","content":[`)
	return append(append(b, parts...), `]}`...)
}

func (a *answer) reasoningItem(content []byte) []byte {
	b := []byte(`{"id":"` + a.itemID(thinking, 0) + `","type":"reasoning","summary":[]`)
	if content != nil {
		b = append(append(append(b, `,"content":[`...), content...), ']')
	}
	return append(b, '}')
}

// responseBody is the response object; of one that has not ended, without output.
func (a *answer) responseBody(status string, usage bool) []byte {
	b := append([]byte(`{"id":"`), a.id...)
	b = strconv.AppendInt(append(b, `","object":"response","created_at":`...), a.created, 10)
	ended := status == "completed" || status == "incomplete"
	b = append(b, `,"status":"`+status+`","background":`+strconv.FormatBool(a.background)+`,"error":null,"incomplete_details":`...)
	if status == "incomplete" {
		b = append(b, `{"reason":"max_output_tokens"}`...)
	} else {
		b = append(b, `null`...)
	}
	b = append(b, `,"instructions":null,"model":"`+escape(a.model)+`","output":[`...)
	if ended {
		b = a.appendOutputItems(b)
	}
	tier := "auto"
	if ended {
		tier = escape(cmp.Or(a.tier, "default"))
	}
	b = append(b, `],"parallel_tool_calls":true,"previous_response_id":null,"service_tier":"`+tier+`","tool_choice":"auto","tools":[],"usage":`...)
	if ended && usage {
		b = a.appendResponseUsage(b)
	} else {
		b = append(b, `null`...)
	}
	return append(b, `,"metadata":{}}`...)
}

func (a *answer) appendOutputItems(b []byte) []byte {
	sep := ""
	add := func(item []byte) {
		b = append(append(b, sep...), item...)
		sep = ","
	}
	switch {
	case a.hidden > 0 && a.shown:
		add(a.outputItem(piece{part: thinking}, a.appendThoughts([]byte{}, 0, a.hidden), "completed"))
	case a.hidden > 0:
		add(a.reasoningItem(nil))
	}
	if a.text > 0 || len(a.calls) == 0 {
		add(a.outputItem(piece{part: text}, a.appendText([]byte{}, 0, 0, a.text), "completed"))
	}
	for i, c := range a.calls {
		arguments := []byte{}
		for _, p := range c.pieces {
			arguments = append(arguments, p...)
		}
		add(a.outputItem(piece{part: toolUse, tool: i}, arguments, "completed"))
	}
	return b
}

// appendResponseUsage reports all of the output, with the reasoning in it.
func (a *answer) appendResponseUsage(b []byte) []byte {
	b = appendInt(b, `{"input_tokens":`, a.inputTotal())
	b = appendInt(b, `,"input_tokens_details":{"cached_tokens":`, a.cacheRead)
	if n := a.cacheWrite + a.cacheWrite1h; n > 0 {
		b = appendInt(b, `,"cache_write_tokens":`, n)
	}
	b = appendInt(b, `},"output_tokens":`, a.total())
	b = appendInt(b, `,"output_tokens_details":{"reasoning_tokens":`, a.hidden)
	b = appendInt(b, `},"total_tokens":`, a.inputTotal()+a.total())
	return append(b, '}')
}

// queued answers a call in the background, which is not waited for: what is generated is
// billed, and nobody gets it here.
func (x *exchange) queued() End {
	a := x.answer
	x.generated, x.hidden = a.total(), a.hidden
	body := a.responseBody("queued", false)
	s := x.newSender("application/json", len(body))
	return s.close(s.write(body))
}
