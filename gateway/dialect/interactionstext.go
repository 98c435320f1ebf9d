package dialect

import (
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
)

// normalInteraction brings the usage of an interaction into normal form: the parts are those of generateContent
// under other names, and what is zero is said.
func normalInteraction(report []byte, tier string) token.Usage {
	u := token.Usage{ServiceTier: geminiTier(tier)}
	o := newObject(report)
	if o == nil {
		return u
	}
	input, read, tools := o.count("total_input_tokens"), o.count("total_cached_tokens"), o.count("total_tool_use_tokens")
	if n, ok := input.Get(); ok {
		if cached := read.Or(0); cached <= n {
			n -= cached
			u.CacheRead = read
		}
		u.Input = token.Known(n + tools.Or(0))
		u.AudioIn = within(interactionAudio(o, "input_tokens_by_modality"), u.Input)
	}
	output, thoughts := o.count("total_output_tokens"), o.count("total_thought_tokens")
	if output.IsKnown() || thoughts.IsKnown() {
		u.Output, u.Reasoning = plus(output, thoughts), thoughts
		u.AudioOut = within(interactionAudio(o, "output_tokens_by_modality"), u.Output)
	}
	return u
}

func interactionAudio(o object, list string) token.Count {
	for _, raw := range o.list(list) {
		if detail := newObject(raw); strings.EqualFold(detail.text("modality"), "audio") {
			return detail.count("tokens")
		}
	}
	return token.Count{}
}

// interactionEvent reads the text of an event.
func (r *TextReader) interactionEvent(o object) {
	index := int(o.count("index").Or(0))
	for _, name := range []string{"step", "content"} { // as it begins, with no arguments yet
		begun := o.object(name)
		if hollow(begun["arguments"]) {
			delete(begun, "arguments")
		}
		r.call(TextPart{Kind: Call, Index: index}, begun)
	}
	delta := o.object("delta")
	r.piece(TextPart{Kind: Content, Index: index}, delta.text("text"))
	r.piece(TextPart{Kind: Thinking, Index: index}, delta.object("content").text("text"))
	r.call(TextPart{Kind: Call, Index: index}, delta)
	r.piece(TextPart{Kind: Call, Index: index}, delta.text("partial_arguments"))
}

// interactionSteps reads what the model wrote of a whole interaction: its steps, or the outputs of the earlier
// revision.
func (r *TextReader) interactionSteps(o object) {
	r.lost = r.lost || pending(o.text("status"))
	for i, raw := range append(o.list("steps"), o.list("outputs")...) {
		step := newObject(raw)
		switch kind := step.text("type"); {
		case kind == "text":
			r.piece(TextPart{Kind: Content, Index: i}, step.text("text"))
		case kind == "model_output":
			for _, content := range step.list("content") {
				r.piece(TextPart{Kind: Content, Index: i}, newObject(content).text("text"))
			}
		case kind == "thought":
			r.parts(TextPart{Kind: Thinking, Index: i}, step, "summary")
		case strings.HasSuffix(kind, "_call"):
			r.call(TextPart{Kind: Call, Index: i}, step)
		}
	}
}
