package dialect

import "github.com/recoup-gateway/recoup/internal/token"

// The places of an Anthropic stream event that mean something here.
const (
	msgType = firstNode + iota
	msgError
	msgMessage
	msgID
	msgModel
	msgDelta
	msgBlock
	msgInput
	msgStopReason
	msgText  = free | iota
	msgUsage = entire | iota
)

// A messageKind is what the type of a stream event comes to, where events say one.
type messageKind uint8

const (
	kindNone messageKind = iota // the data doesn't say
	kindOther
	kindStop
	kindError
	kindMute // has a delta that is no text
)

// messages observes an SSE answer of Anthropic Messages. The type in the data decides; the event's name
// only where the data has none.
type messages struct {
	sse
	start   []byte // the usage of message_start
	delta   []byte // and that of the last message_delta
	started bool   // the event's usage is of message_start
	stopped bool   // a stop reason was seen, or the end
}

func (m *messages) Event(data []byte) Sign { return m.Large(data, true, true) }

func (m *messages) Large(part []byte, first, last bool) Sign {
	m.read(part, first, last, m)
	if !last {
		return Plain
	}
	return m.sign()
}

// report takes the usage of the event that was read.
func (m *messages) report() {
	if m.started {
		m.usage.keep(&m.start)
	} else {
		m.usage.keep(&m.delta)
	}
}

func (m *messages) Usage() (token.Usage, bool) {
	u, _ := normalMessages(overlayMessages(m.start, m.delta), m.model)
	return u, m.stopped && m.delta != nil
}

func (m *messages) Others() []ModelUsage {
	_, others := normalMessages(overlayMessages(m.start, m.delta), m.model)
	return others
}

// sign judges the event that was read.
func (m *messages) sign() Sign {
	facts := &m.reader.facts
	sign := m.textSign()
	kind := facts.kind
	whole := m.reader.json.end(m)
	if whole {
		m.stopped = m.stopped || facts.done
		if m.usage.state == captureWhole {
			m.report()
		}
	}
	switch {
	case m.ended:
		return sign
	case !whole || kind == kindNone:
		kind = kindOther
		if m.reader.named("error") || whole && facts.failure {
			kind = kindError
		}
	}
	switch kind {
	case kindStop:
		m.ended, m.stopped = true, true
		return sign | Terminal
	case kindError:
		m.ended = true
		return sign | Failure
	}
	return sign
}

func (m *messages) child(parent node, key []byte) node {
	switch k := string(key); parent {
	case root:
		switch k {
		case "type":
			return msgType
		case "delta":
			return msgDelta
		case "content_block":
			return msgBlock
		case "message":
			return msgMessage
		case "error":
			return msgError
		case "usage":
			m.started = false
			return msgUsage
		}
	case msgMessage:
		switch k {
		case "id":
			return msgID
		case "model":
			return msgModel
		case "usage":
			m.started = true
			return msgUsage
		}
	case msgDelta:
		switch k {
		case "stop_reason":
			return msgStopReason
		case "text", "partial_json", "thinking", "content":
			return msgText
		}
	case msgBlock:
		switch k {
		case "text", "thinking":
			return msgText
		case "input":
			return msgInput
		}
	case msgInput:
		m.reader.facts.object = true
	case msgError:
		m.reader.facts.failure = true
	}
	return unwatched
}

func (m *messages) open(n node, object bool) {
	if n == msgUsage {
		m.usage.open(object)
		m.learned.stop() // a report is read each time, so that it can be told
	}
}

func (m *messages) close(n node) {
	if n == msgUsage {
		m.usage.close()
	}
}

func (m *messages) value(n node, raw []byte, quoted bool) {
	facts := &m.reader.facts
	switch n {
	case msgText:
		m.text = m.text || quoted && len(raw) > 0
	case msgType:
		facts.kind = kindOf(raw, quoted)
	case msgID:
		m.setID(raw, quoted)
	case msgModel:
		m.setModel(raw, quoted)
	case msgStopReason:
		facts.done = quoted && len(raw) > 0
		m.addReason(raw, quoted)
	case msgError:
		facts.failure = facts.failure || truthy(raw, quoted)
	}
}

func kindOf(raw []byte, quoted bool) messageKind {
	if !quoted || len(raw) == 0 {
		return kindNone
	}
	switch string(plain(raw)) {
	case "message_stop":
		return kindStop
	case "error":
		return kindError
	}
	return kindOther
}
