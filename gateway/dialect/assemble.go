package dialect

import (
	"bytes"
	"errors"
)

// An Assembly puts the one JSON body together that a provider would have sent, had it not been asked for a
// stream of events: for a client that asks for the same answer in one piece. It takes an answer's events in
// their order, each of them whole, and does not hold on to them.
//
// What the events have, the body has, spelt as it came; what a provider says in a body alone, it can't know.
type Assembly interface {
	// Event takes a whole event.
	Event(data []byte)

	// Body returns the body. It fails on an answer that has not come to its end, as far as that can be seen,
	// that is an error, or that is not of the dialect.
	Body() ([]byte, error)
}

// NewAssembly returns an assembly for an answer of an endpoint, as from Dialect.Endpoint; nil where there
// is none.
func NewAssembly(endpoint string) Assembly {
	switch endpoint {
	case endpointChat:
		return &chatAssembly{}
	case endpointMessages:
		return &messagesAssembly{}
	}
	return nil
}

// Why there is no body.
var (
	errNotJSON  = errors.New("assemble: an event's data is not a JSON object")
	errGivenUp  = errors.New("assemble: the answer holds an error")
	errNoAnswer = errors.New("assemble: the events are no whole answer")
)

// eventObject returns the object that is an event's data: nil where there is none, as in a comment.
func eventObject(event []byte) (*tree, error) {
	data := bytes.TrimSpace(payload(event))
	if len(data) == 0 || string(data) == "[DONE]" {
		return nil, nil
	}
	t, ok := parseTree(data)
	if !ok || t.kind != '{' {
		return nil, errNotJSON
	}
	return t, nil
}

// growing are the members whose strings come in pieces. Of any other string the first that says something is
// all of it: some providers repeat ids, names and roles.
var growing = map[string]bool{
	"content": true, "reasoning_content": true, "reasoning": true, "refusal": true, "arguments": true, "input": true, "output": true,
	"text": true, "thinking": true, "summary": true, "transcript": true, "data": true,
}

// grow adds to an object what a delta brings. In arrays, an item with an index goes on with the one of that
// index; of those in parts, which have none, one goes on with the last of its type.
func (t *tree) grow(delta *tree, parts bool) {
	for _, b := range delta.members {
		old, parts := t.get(b.name), parts || b.name == "content"
		switch {
		case old == nil:
			t.set(b.name, b.tree)
		case b.tree.null():
		case old.null():
			t.set(b.name, b.tree)
		case old.kind == '"' && b.tree.kind == '"':
			if growing[b.name] {
				old.raw = append(old.raw, b.tree.raw...)
			} else if len(old.raw) == 0 {
				old.raw = b.tree.raw
			}
		case old.kind == '{' && b.tree.kind == '{':
			old.grow(b.tree, parts)
		case old.kind == '[' && b.tree.kind == '[':
			for _, item := range b.tree.items {
				old.growItem(item, parts)
			}
		case b.name == "content":
			growContent(t, old, b.tree)
		default:
			t.set(b.name, b.tree)
		}
	}
}

func (t *tree) growItem(item *tree, parts bool) {
	if item.kind == '{' {
		index := item.get("index").number()
		for i := len(t.items) - 1; i >= 0; i-- {
			last := t.items[i]
			same := index >= 0 && last.get("index").number() == index
			if index < 0 && parts && i == len(t.items)-1 && item.get("type") != nil {
				same = last.get("type").is(string(item.get("type").raw))
			}
			if same && last.kind == '{' {
				last.grow(item, parts)
				return
			}
		}
	}
	t.items = append(t.items, item)
}

// growContent adds to a content that is a text in one piece of the answer and an array in another.
func growContent(message, old, more *tree) {
	part := func(text *tree) *tree {
		return &tree{kind: '{', members: []branch{{"type", textTree("text")}, {"text", text}}}
	}
	switch {
	case old.kind == '[' && more.kind == '"':
		if len(more.raw) > 0 {
			old.growItem(part(more), true)
		}
	case old.kind == '"' && more.kind == '[':
		list := &tree{kind: '['}
		if len(old.raw) > 0 {
			list.items = []*tree{part(old)}
		}
		for _, item := range more.items {
			list.growItem(item, true)
		}
		message.set("content", list)
	}
}
