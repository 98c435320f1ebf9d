package dialect

import "encoding/json"

// messagesAssembly makes a message of Anthropic's stream events.
type messagesAssembly struct {
	message *tree
	blocks  []*block
	stopped bool
	err     error
}

// A block is a content block that grows.
type block struct {
	*tree
	index int
	input []byte // the arguments of a tool, as a JSON string without its quotes
}

func (a *messagesAssembly) Event(data []byte) {
	event, err := eventObject(data)
	if err != nil && a.err == nil {
		a.err = err
	}
	switch {
	case event == nil:
		return
	case a.message == nil && !event.get("type").is("message_start") && !event.get("type").is("error"):
		return // a ping
	}
	switch kind := event.get("type"); {
	case kind.is("message_start"):
		a.message = event.get("message")
	case kind.is("content_block_start"):
		a.start(event)
	case kind.is("content_block_delta"):
		a.delta(event)
	case kind.is("message_delta"):
		a.end(event)
	case kind.is("message_stop"):
		a.stopped = true
	case kind.is("error"):
		a.err = errGivenUp
	}
}

func (a *messagesAssembly) start(event *tree) {
	if content := event.get("content_block"); content != nil && content.kind == '{' {
		a.blocks = append(a.blocks, &block{tree: content, index: event.get("index").number()})
	}
}

// delta takes a piece of a block. Its strings go on with those of the block.
func (a *messagesAssembly) delta(event *tree) {
	index, delta := event.get("index").number(), event.get("delta")
	if delta == nil {
		return
	}
	for _, b := range a.blocks {
		if b.index != index {
			continue
		}
		for _, m := range delta.members {
			b.add(m.name, m.tree)
		}
	}
}

func (b *block) add(name string, v *tree) {
	old := b.get(name)
	switch {
	case name == "type":
	case name == "partial_json":
		b.input = append(b.input, v.raw...)
	case name == "citation":
		list := b.get("citations")
		if list.null() {
			list = &tree{kind: '['}
			b.set("citations", list)
		}
		list.items = append(list.items, v)
	case v.null():
	case name != "signature" && !old.null() && old.kind == '"' && v.kind == '"':
		old.raw = append(old.raw, v.raw...)
	default:
		b.set(name, v)
	}
}

// end takes what is only known at the end: it is laid over what the start said.
func (a *messagesAssembly) end(event *tree) {
	for _, m := range event.members {
		switch m.name {
		case "type":
		case "delta":
			for _, m := range m.tree.members {
				latest(a.message, m.name, m.tree)
			}
		case "usage":
			usage := a.message.get("usage")
			if usage.null() || usage.kind != '{' {
				a.message.set("usage", m.tree)
				continue
			}
			for _, m := range m.tree.members {
				if usage.get(m.name) == nil || !m.tree.null() {
					usage.set(m.name, m.tree)
				}
			}
		default:
			latest(a.message, m.name, m.tree)
		}
	}
}

func (a *messagesAssembly) Body() ([]byte, error) {
	switch {
	case a.err != nil:
		return nil, a.err
	case a.message == nil || a.message.kind != '{' || !a.stopped:
		return nil, errNoAnswer
	}
	content := &tree{kind: '['}
	for _, b := range a.blocks {
		if len(b.input) > 0 {
			b.set("input", wholeInput(b.input))
		}
		content.items = append(content.items, b.tree)
	}
	a.message.set("content", content)
	return a.message.appendTo(nil), nil
}

// wholeInput is the arguments of a tool. Those that were cut are none, as in a body of Anthropic's.
func wholeInput(raw []byte) *tree {
	if text, ok := (&tree{raw: raw}).decoded(); ok && json.Valid([]byte(text)) {
		if t, ok := parseTree([]byte(text)); ok {
			return t
		}
	}
	return &tree{kind: '{'}
}
