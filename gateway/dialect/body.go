package dialect

// names are what a provider calls its answer and its model.
type names struct {
	id, model string
}

func (n *names) ResponseID() string { return n.id }

func (n *names) Model() string { return n.model }

func (n *names) setID(raw []byte, quoted bool) {
	if n.id == "" && quoted && len(raw) <= maxToken {
		n.id = string(plain(raw))
	}
}

func (n *names) setModel(raw []byte, quoted bool) {
	if n.model == "" && quoted && len(raw) <= maxToken {
		n.model = string(plain(raw))
	}
}

const (
	bodyID = firstNode + iota
	bodyModel
	bodyError
)

// body observes an answer in one JSON body: its names, which both dialects have at the top, whether
// it is an error all the same, and whether it is whole.
type body struct {
	names
	json   scanner
	failed bool
}

func newBody() *body {
	b := new(body)
	b.json.reset()
	return b
}

func (b *body) Event(data []byte) Sign {
	failed := b.failed
	b.json.feed(data, b)
	if b.failed && !failed {
		return Failure
	}
	return Plain
}

func (b *body) Whole() bool { return b.json.end(b) }

func (b *body) Large(part []byte, _, _ bool) Sign { return b.Event(part) }

func (b *body) child(parent node, key []byte) node {
	if parent == root {
		switch string(key) {
		case "id":
			return bodyID
		case "model":
			return bodyModel
		case "error":
			return bodyError
		}
	}
	b.failed = b.failed || parent == bodyError // an error with members is one
	return unwatched
}

func (b *body) open(node, bool) {}

func (b *body) close(node) {}

func (b *body) value(n node, raw []byte, quoted bool) {
	switch n {
	case bodyID:
		b.setID(raw, quoted)
	case bodyModel:
		b.setModel(raw, quoted)
	case bodyError:
		b.failed = b.failed || quoted && len(raw) > 0 || !quoted && string(raw) != "null" && string(raw) != "false"
	}
}
