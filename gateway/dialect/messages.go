package dialect

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
	msgText = free | iota
)

// A messageKind is what the type of an Anthropic stream event comes to.
type messageKind uint8

const (
	kindNone messageKind = iota // the data doesn't say
	kindOther
	kindStop
	kindError
)

// messages observes an SSE answer of Anthropic Messages. The type in the data decides; the event's name
// only where the data has none.
type messages struct {
	sse
}

func (m *messages) Event(data []byte) Sign { return m.Large(data, true, true) }

func (m *messages) Large(part []byte, first, last bool) Sign {
	m.read(part, first, last, m)
	if !last {
		return Plain
	}
	return m.sign()
}

// sign judges the event that was read.
func (m *messages) sign() Sign {
	facts := &m.reader.facts
	sign := m.textSign()
	kind := facts.kind
	whole := m.reader.json.end(m)
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
		m.ended = true
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
		}
	case msgMessage:
		switch k {
		case "id":
			return msgID
		case "model":
			return msgModel
		}
	case msgDelta:
		switch k {
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

func (m *messages) open(node, bool) {}

func (m *messages) close(node) {}

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
