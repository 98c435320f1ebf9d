package dialect

import (
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/recoup-gateway/recoup/internal/token"
)

// A bedrockStream is what both of Bedrock's streams have in common: frames, of which each is a message. It reads a
// message as a TextReader would, so that a sign of text and the text agree.
type bedrockStream struct {
	names
	reader frameReader
	texts  *TextReader
	text   bool // the event has some
	ended  bool // a terminal or failure event was seen
}

func newBedrockStream(req Request) bedrockStream {
	return bedrockStream{texts: NewTextReader(Bedrock, req, eventStreamType)}
}

func (*bedrockStream) Whole() bool { return true }

func (*bedrockStream) Others() []ModelUsage { return nil }

// read reads a part of a frame. With the last one it returns the message, or the sign that there is none: damage, or
// a failure of the provider's.
func (b *bedrockStream) read(part []byte, first, last bool) (m wireMessage, sign Sign) {
	m, err := b.reader.read(part, first, last)
	switch {
	case !last:
		return m, Plain
	case err == nil && m.kind == messageEvent:
		return m, Plain
	case err == nil && m.kind != messageException && m.kind != messageError:
		return m, Plain // of a kind that is yet to come
	case b.ended:
		return m, Plain
	}
	b.ended = true
	return m, Failure
}

// textSign tells whether a message has text.
func (b *bedrockStream) textSign(m wireMessage) Sign {
	b.text = false
	b.texts.forget()
	b.texts.message(m, func(TextPart, []byte) { b.text = true })
	if b.text {
		return Text
	}
	return Plain
}

// converseEvents observes an answer of ConverseStream, whose messages have their names in the frame.
type converseEvents struct {
	bedrockStream
	report []byte // the usage of the metadata, which come last
	tier   string
}

func (c *converseEvents) Event(data []byte) Sign { return c.Large(data, true, true) }

func (c *converseEvents) Large(part []byte, first, last bool) Sign {
	m, sign := c.read(part, first, last)
	if !last || sign != Plain || m.kind != messageEvent {
		return sign
	}
	sign = c.textSign(m)
	o := newObject(m.payload)
	switch {
	case m.name == "messageStop" && o != nil && !c.ended:
		c.ended = true
		c.addReason(unquoted(o["stopReason"]))
		return sign | Terminal
	case m.name == "metadata" && hasNumber(o["usage"]) && len(o["usage"]) <= maxUsage:
		c.report, c.tier = slices.Clone(o["usage"]), o.object("serviceTier").text("type")
	}
	return sign
}

func (c *converseEvents) Usage() (token.Usage, bool) {
	return withTier(normalConverse(newObject(c.report)), c.tier), c.report != nil
}

// invokeEvents observes an answer of InvokeModelWithResponseStream: pieces of the model's own form, which is told by
// the form itself, since a model's id may be one of the customer's. Anthropic's events are read by their own observer.
type invokeEvents struct {
	bedrockStream
	messages messages // Anthropic's
	event    []byte   // is used again

	choices  int
	seen     indexSet // choices that appeared
	finished indexSet // and those of them that ended

	metrics []byte // Amazon's own report, which comes with the last piece
	own     []byte // the model's: Nova's, or one as OpenAI's chat has it
	chat    bool   // it is of the second kind
}

func newInvokeEvents(req Request) *invokeEvents {
	return &invokeEvents{bedrockStream: newBedrockStream(req), choices: max(req.Choices, 1)}
}

func (v *invokeEvents) Event(data []byte) Sign { return v.Large(data, true, true) }

func (v *invokeEvents) Large(part []byte, first, last bool) Sign {
	m, sign := v.read(part, first, last)
	if !last || sign != Plain || m.kind != messageEvent {
		return sign
	}
	raw := chunkBytes(m.payload)
	o := newObject(raw)
	if o == nil {
		return Plain
	}
	metrics := o[invocationMetrics]
	if hasNumber(metrics) && len(metrics) <= maxUsage {
		v.metrics = slices.Clone(metrics)
	}
	if isMessageEvent(o) {
		sign = v.message(raw)
	} else {
		sign = v.textSign(m)
		v.note(o)
		if !v.ended && v.through() {
			v.ended = true
			sign |= Terminal
		}
	}
	switch {
	case v.ended:
	case metrics != nil: // whatever the model is, nothing comes behind it
		v.ended = true
		return sign | Terminal
	case o.text("amazon-bedrock-guardrailAction") == "INTERVENED":
		v.addReason([]byte("guardrail_intervened"), true)
		return sign | Closing
	}
	return sign
}

const invocationMetrics = "amazon-bedrock-invocationMetrics"

// chunkBytes is the piece of the model's own form in a message.
func chunkBytes(payload []byte) []byte {
	raw, err := base64.StdEncoding.DecodeString(newObject(payload).text("bytes"))
	if err != nil {
		return nil
	}
	return raw
}

// isMessageEvent tells whether a piece is an event of Anthropic Messages.
func isMessageEvent(o object) bool {
	return slices.Contains([]string{
		"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "ping", "error",
	}, o.text("type"))
}

// message has an event of Anthropic's read as one of server-sent events.
func (v *invokeEvents) message(raw []byte) Sign {
	v.event = append(v.event[:0], "data: "...)
	for _, c := range raw {
		if c == '\n' || c == '\r' { // in JSON, white space
			c = ' '
		}
		v.event = append(v.event, c)
	}
	v.event = append(v.event, "\n\n"...)
	sign := v.messages.Event(v.event)
	if v.ended {
		sign &^= Terminal | Failure
	}
	v.ended = v.ended || v.messages.ended
	return sign
}

// note takes account of what a piece says of the end of its choices.
func (v *invokeEvents) note(o object) {
	for _, list := range []string{"choices", "outputs"} {
		for i, raw := range o.list(list) {
			choice := newObject(raw)
			v.choice(int(choice.count("index").Or(int64(i))), choice, "finish_reason", "stop_reason")
		}
	}
	switch stop := o.object("messageStop"); {
	case stop != nil:
		v.choice(0, stop, "stopReason")
	case o.object("messageStart") != nil:
		v.choice(0, nil)
	case o["is_finished"] != nil: // Cohere
		v.choice(int(o.count("index").Or(0)), o, "finish_reason")
	case o["outputText"] != nil, o["generation"] != nil, o["completion"] != nil: // Titan, Llama, older Claude
		v.choice(0, o, "completionReason", "stop_reason")
	}
	v.report(o["usage"], true)
	v.report(o.object("metadata")["usage"], false)
}

// report keeps the model's own report of usage, if it is one.
func (v *invokeEvents) report(raw json.RawMessage, chat bool) {
	if hasNumber(raw) && len(raw) <= maxUsage {
		v.own, v.chat = slices.Clone(raw), chat
	}
}

// unquoted is a member as a watcher is told of it.
func unquoted(raw []byte) (text []byte, quoted bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return raw, false
	}
	return raw[1 : len(raw)-1], true
}

// choice notes that there is a choice, and whether one of these members says why it ended.
func (v *invokeEvents) choice(index int, o object, members ...string) {
	if index < 0 || index >= maxChoices {
		return
	}
	v.seen.add(index)
	for _, name := range members {
		if reason := o.text(name); reason != "" {
			v.finished.add(index)
			v.addReason(unquoted(o[name]))
		}
	}
}

// through tells whether every choice that was asked for, or appeared, has ended.
func (v *invokeEvents) through() bool { return v.finished.n >= max(v.seen.n, v.choices) }

func (v *invokeEvents) ResponseID() string { return v.messages.ResponseID() }

func (v *invokeEvents) Model() string { return v.messages.Model() }

func (v *invokeEvents) FinishReasons() []string {
	return slices.Concat(v.messages.FinishReasons(), v.reasons)
}

// Usage is the model's own report where it has one, and of the rest, Amazon's.
func (v *invokeEvents) Usage() (token.Usage, bool) {
	u, final := v.messages.Usage()
	switch {
	case v.own == nil:
	case v.chat:
		u, final = normalChat(v.own), v.ended
	default:
		u, final = normalConverse(newObject(v.own)), true
	}
	if v.metrics == nil {
		return u, final
	}
	return completed(u, normalMetrics(newObject(v.metrics))), true
}

func (v *invokeEvents) Others() []ModelUsage { return v.messages.Others() }
