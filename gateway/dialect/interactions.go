package dialect

import "github.com/recoup-gateway/recoup/internal/token"

// endpointInteractions is Google's newer API, which the dialect gemini has beside generateContent.
const endpointInteractions = "/v1beta/interactions"

// The places of an interaction's events, and of a whole interaction, that mean something here.
const (
	intType = firstNode + iota
	intInteraction
	intID
	intModel
	intAgent
	intStatus
	intTier
	intError
	intDelta
	intCall
	intContent
	intQueries
	intText      = free | iota
	intArguments = free | iota
	intPadding   = free | iota // a thought's signature, and an event's id
	intUsage     = entire | iota
)

// interaction is what a stream and a body of an interaction have in common: what it says of itself.
type interaction struct {
	names
	status, agent string
}

// place finds the place of a member of the interaction itself.
func (*interaction) place(key string) node {
	switch key {
	case "id":
		return intID
	case "model":
		return intModel
	case "agent":
		return intAgent
	case "status":
		return intStatus
	case "service_tier":
		return intTier
	case "usage":
		return intUsage
	}
	return unwatched
}

// note takes a value of the interaction. Whoever asked an agent is not told of a model.
func (i *interaction) note(n node, raw []byte, quoted bool) {
	switch n {
	case intID:
		i.setID(raw, quoted)
	case intModel:
		i.setModel(raw, quoted)
	case intAgent:
		i.agent = short(raw, quoted)
	case intStatus:
		i.status = short(raw, quoted)
	case intTier:
		i.tier = short(raw, quoted)
	}
}

func (i *interaction) Model() string {
	if i.model == "" {
		return i.agent
	}
	return i.model
}

// gaveUp tells whether an interaction of that status has no answer.
func (i *interaction) gaveUp() bool { return i.status == "failed" || i.status == "cancelled" }

func (i *interaction) ended() {
	if i.status != "" {
		i.addReason([]byte(i.status), true)
	}
}

// interactionEvents observes an SSE answer. The type in the data decides. It has the names of both revisions
// of the API: of steps, and the earlier ones of contents.
type interactionEvents struct {
	sse
	said     interaction // by the current event, but for id and model
	reported []byte
	final    bool
}

func (e *interactionEvents) Event(data []byte) Sign { return e.Large(data, true, true) }

func (e *interactionEvents) Large(part []byte, first, last bool) Sign {
	if first {
		e.said.status, e.said.tier = "", ""
	}
	e.read(part, first, last, e)
	if !last {
		return Plain
	}
	return e.sign()
}

// sign judges the event that was read. Only that which closes the answer has figures that hold.
func (e *interactionEvents) sign() Sign {
	facts, sign := &e.reader.facts, e.textSign()
	whole := e.reader.json.end(e)
	if e.sse.ended {
		return sign
	}
	switch {
	case e.reader.named("error") && facts.kind == kindNone, whole && (facts.failure || facts.kind == kindError):
		e.sse.ended = true
		return sign | Failure
	case !whole || facts.kind != kindStop:
		return sign
	}
	e.sse.ended = true
	e.final, e.tier = e.usage.keep(&e.reported), e.said.tier
	e.said.ended()
	e.believe()
	if e.said.gaveUp() {
		return sign | Failure
	}
	return sign | Terminal
}

func (e *interactionEvents) ResponseID() string      { return e.said.id }
func (e *interactionEvents) Model() string           { return e.said.Model() }
func (e *interactionEvents) FinishReasons() []string { return e.said.reasons }
func (e *interactionEvents) Others() []ModelUsage    { return nil }

func (e *interactionEvents) Usage() (token.Usage, bool) {
	return normalInteraction(e.reported, e.tier), e.final
}

func (e *interactionEvents) child(parent node, key []byte) node {
	k := string(key)
	switch parent {
	case root:
		return interactionEvent(k)
	case intInteraction:
		return e.said.place(k)
	case intError:
		e.reader.facts.failure = true
	case intDelta:
		return interactionDelta(k)
	case intContent:
		if k == "text" {
			return intText
		}
	case intCall:
		if k == "name" {
			return intText
		}
		if k == "arguments" {
			return intArguments
		}
	case intArguments:
		e.reader.facts.object = true
	}
	return unwatched
}

// interactionEvent finds the place of a member of an event.
func interactionEvent(key string) node {
	switch key {
	case "event_type":
		return intType
	case "event_id":
		return intPadding
	case "interaction":
		return intInteraction
	case "delta":
		return intDelta
	case "step", "content": // as it begins
		return intCall
	case "error":
		return intError
	}
	return unwatched
}

// interactionDelta finds the place of a member of a delta: what the model writes, not what its tools gave.
func interactionDelta(key string) node {
	switch key {
	case "text", "name", "partial_arguments":
		return intText
	case "content": // of a summary of thoughts
		return intContent
	case "arguments":
		return intArguments
	case "signature":
		return intPadding
	}
	return unwatched
}

func (e *interactionEvents) open(n node, object bool) {
	switch n {
	case intInteraction:
		e.learned.stop() // what it says is read each time, so that it can be told
	case intUsage:
		e.usage.open(object)
	}
}

func (e *interactionEvents) close(n node) {
	if n == intUsage {
		e.usage.close()
	}
}

func (e *interactionEvents) value(n node, raw []byte, quoted bool) {
	facts := &e.reader.facts
	switch n {
	case intText, intArguments:
		e.text = e.text || quoted && len(raw) > 0
	case intType:
		facts.kind = interactionKind(raw, quoted)
	case intError:
		facts.failure = facts.failure || truthy(raw, quoted)
	default:
		e.said.note(n, raw, quoted)
	}
}

func interactionKind(raw []byte, quoted bool) messageKind {
	if !quoted || len(raw) == 0 {
		return kindNone
	}
	switch string(plain(raw)) {
	case "interaction.completed", "interaction.complete":
		return kindStop
	case "error":
		return kindError
	}
	return kindOther
}

// interactionBody observes an answer in one JSON body. One that is still at work, as a call in the background
// gets it at once, is whole too: what is generated later is not in it.
type interactionBody struct {
	said   interaction
	json   scanner
	usage  capture
	report []byte
	failed bool
}

func newInteractionBody() *interactionBody {
	b := new(interactionBody)
	b.json.reset()
	return b
}

func (b *interactionBody) Event(data []byte) Sign {
	failed := b.failed
	b.json.feed(data, b)
	if b.failed && !failed {
		return Failure
	}
	return Plain
}

func (b *interactionBody) Large(part []byte, _, _ bool) Sign { return b.Event(part) }
func (b *interactionBody) Whole() bool                       { return b.json.end(b) }
func (b *interactionBody) ResponseID() string                { return b.said.id }
func (b *interactionBody) Model() string                     { return b.said.Model() }
func (b *interactionBody) Others() []ModelUsage              { return nil }

func (b *interactionBody) FinishReasons() []string {
	b.said.ended()
	return b.said.reasons
}

func (b *interactionBody) Usage() (token.Usage, bool) {
	if pending(b.said.status) {
		return token.Usage{}, false
	}
	return normalInteraction(b.report, b.said.tier), b.report != nil
}

func (b *interactionBody) child(parent node, key []byte) node {
	switch {
	case parent == root && string(key) == "error":
		return intError
	case parent == root && key != nil:
		return b.said.place(string(key))
	case parent == intError:
		b.failed = true // an error with members is one
	}
	return unwatched
}

func (b *interactionBody) open(n node, object bool) {
	if n == intUsage {
		b.usage.open(object)
	}
}

func (b *interactionBody) close(n node) {
	if n == intUsage {
		b.usage.close()
		b.usage.keep(&b.report)
	}
}

func (b *interactionBody) written(piece []byte) { b.usage.add(piece) }

func (b *interactionBody) value(n node, raw []byte, quoted bool) {
	b.said.note(n, raw, quoted)
	switch n {
	case intError:
		b.failed = b.failed || truthy(raw, quoted)
	case intStatus:
		b.failed = b.failed || b.said.gaveUp()
	}
}
