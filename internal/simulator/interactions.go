package simulator

import (
	"iter"
	"net/http"
	"strconv"
	"strings"
)

// isInteraction tells whether a request makes an interaction, as Google's newer API
// calls an answer.
func isInteraction(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/interactions")
}

// An interacting renders the events of an interaction into one buffer.
type interacting struct {
	a     *answer
	buf   []byte
	step  int // index of the step
	event int // events so far
}

// interactionFrames is the answer as events of an interaction, and [DONE].
func (a *answer) interactionFrames(usage bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		c := &interacting{a: a}
		created := c.render("interaction.created", `"interaction":`+string(a.interactionHead("in_progress"))+`}`)
		created.prelude = true
		status := func() frame {
			f := c.render("interaction.status_update", `"interaction_id":"`+a.id+`","status":"in_progress"`)
			f.prelude = true
			return f
		}
		if !yield(created) || !yield(status()) || a.hidden > 0 && !a.shown && !c.unseen(yield) {
			return
		}
		for p := range a.pieces() {
			f := c.piece(p)
			f.tokens, f.hidden = p.tokens, p.hidden
			if !yield(f) {
				return
			}
		}
		end := a.interactionHead(a.interactionStatus())
		if usage {
			end = a.appendInteractionUsage(append(end, `,"usage":`...))
		}
		if !yield(c.render("interaction.completed", `"interaction":`+string(end)+`}`)) {
			return
		}
		yield(frame{event: "done", data: []byte("[DONE]")})
	}
}

// render makes an event of its members, of which the type is the last.
func (c *interacting) render(kind, members string) frame {
	c.buf = append(append(c.buf[:0], '{'), members...)
	c.buf = append(c.buf, `,"event_type":"`+kind+`","event_id":"`+c.a.id+"_"+strconv.Itoa(c.event)+`"}`...)
	c.event++
	return frame{event: kind, data: c.buf}
}

func (c *interacting) index() string { return `"index":` + strconv.Itoa(c.step) }

// unseen is the step of thoughts that are not shown.
func (c *interacting) unseen(yield func(frame) bool) bool {
	if !yield(c.render("step.start", c.index()+`,"step":{"type":"thought"}`)) ||
		!yield(c.render("step.delta", c.index()+`,"delta":{"signature":"`+c.a.thoughtSignature()+`","type":"thought_signature"}`)) ||
		!yield(c.render("step.stop", c.index())) {
		return false
	}
	c.step++
	return true
}

// piece is an event of a step.
func (c *interacting) piece(p piece) frame {
	switch p.step {
	case opening:
		kind := `{"type":"model_output"}`
		switch p.part {
		case thinking:
			kind = `{"type":"thought"}`
		case toolUse:
			call := c.a.calls[p.tool]
			kind = `{"type":"function_call","id":"` + call.id + `","name":"` + call.name + `","arguments":{}}`
		}
		return c.render("step.start", c.index()+`,"step":`+kind)
	case closing:
		f := c.render("step.stop", c.index())
		c.step++
		return f
	}
	said := string(p.content)
	switch p.part {
	case thinking:
		said = `{"content":{"text":"` + said + `","type":"text"},"type":"thought_summary"}`
	case toolUse:
		said = `{"partial_arguments":"` + said + `","type":"arguments_delta"}`
	default:
		said = `{"text":"` + said + `","type":"text"}`
	}
	return c.render("step.delta", c.index()+`,"delta":`+said)
}

func (a *answer) interactionStatus() string {
	switch {
	case a.cutText || a.cutCall:
		return "incomplete"
	case len(a.calls) > 0:
		return "requires_action"
	}
	return "completed"
}

// interactionHead is what an interaction says of itself, to be closed.
func (a *answer) interactionHead(status string) []byte {
	return []byte(`{"id":"` + a.id + `","status":"` + status + `","object":"interaction","model":"` + escape(a.model) + `"`)
}

func (a *answer) appendInteractionUsage(b []byte) []byte {
	b = appendInt(b, `{"total_tokens":`, a.inputTotal()+a.total())
	b = appendInt(b, `,"total_input_tokens":`, a.inputTotal())
	b = appendInt(b, `,"input_tokens_by_modality":[{"modality":"text","tokens":`, a.inputTotal())
	b = appendInt(b, `}],"total_cached_tokens":`, a.cacheRead)
	b = appendInt(b, `,"total_output_tokens":`, a.visible())
	b = appendInt(b, `,"total_tool_use_tokens":0,"total_thought_tokens":`, a.hidden)
	return append(b, '}')
}

// interactionBody is the answer as one body, or as a call in the background gets it.
func (a *answer) interactionBody(status string, usage bool) []byte {
	b := append(a.interactionHead(status), `,"steps":[`...)
	if status == "in_progress" {
		return append(b, `]}`...)
	}
	if a.hidden > 0 {
		b = append(b, `{"type":"thought","signature":"`+a.thoughtSignature()+`"`...)
		if a.shown {
			b = append(a.appendThoughts(append(b, `,"summary":[{"type":"text","text":"`...), 0, a.hidden), `"}]`...)
		}
		b = append(b, `},`...)
	}
	b = append(a.appendText(append(b, `{"type":"model_output","content":[{"type":"text","text":"`...), 0, 0, a.text), `"}]}`...)
	for _, c := range a.calls {
		b = append(b, `,{"type":"function_call","id":"`+c.id+`","name":"`+c.name+`","arguments":`+c.input()+`}`...)
	}
	b = append(b, ']')
	if usage {
		b = a.appendInteractionUsage(append(b, `,"usage":`...))
	}
	return append(b, '}')
}

// interaction answers a call that makes one.
func (x *exchange) interaction() End {
	a, usage := x.answer, x.script.Usage != UsageNone
	switch {
	case x.req.Stream:
		return x.stream(a.interactionFrames(usage))
	case x.req.Background:
		x.generated, x.hidden = a.total(), a.hidden
		body := a.interactionBody("in_progress", false)
		s := x.newSender("application/json", len(body))
		return s.close(s.write(body))
	}
	return x.whole(a.interactionBody(a.interactionStatus(), usage))
}
