package dialect

import (
	"cmp"
	"slices"
)

// chatAssembly makes a chat.completion of chat.completion.chunks.
type chatAssembly struct {
	answer  tree    // all members but the choices and the usage
	choices []*tree // with a message in place of the delta
	usage   *tree
	err     error
}

func (a *chatAssembly) Event(data []byte) {
	chunk, err := eventObject(data)
	if err != nil && a.err == nil {
		a.err = err
	}
	if chunk == nil {
		return
	}
	for _, b := range chunk.members {
		a.member(b.name, b.tree)
	}
}

// member takes a member of a chunk.
func (a *chatAssembly) member(name string, v *tree) {
	switch name {
	case "choices":
		for _, c := range v.items {
			a.choice(c)
		}
	case "usage":
		a.report(v)
	case "error":
		if !v.hollow() && a.err == nil {
			a.err = errGivenUp
		}
	case "obfuscation": // padding of the events
	case "x_groq":
		a.report(v.get("usage"))
		v.drop("usage")
		latest(&a.answer, name, v)
	case "id", "object", "created", "model":
		if a.answer.get(name).hollow() {
			a.answer.set(name, v)
		}
	default:
		latest(&a.answer, name, v)
	}
}

// latest gives a member the newest value that says something.
func latest(t *tree, name string, v *tree) {
	if t.get(name) == nil || !v.hollow() {
		t.set(name, v)
	}
}

func (a *chatAssembly) report(usage *tree) {
	if usage != nil && usage.kind == '{' {
		a.usage = usage
	}
}

// choice takes a choice of a chunk.
func (a *chatAssembly) choice(piece *tree) {
	index := piece.get("index").number()
	i := slices.IndexFunc(a.choices, func(c *tree) bool { return c.get("index").number() == index })
	if i < 0 {
		i = len(a.choices)
		a.choices = append(a.choices, &tree{kind: '{'})
	}
	c := a.choices[i]
	if piece.get("finish_reason").is("error") && a.err == nil {
		a.err = errGivenUp
	}
	for _, b := range piece.members {
		switch b.name {
		case "index":
			c.set(b.name, b.tree)
		case "delta":
			message := c.get("message")
			if message == nil {
				message = &tree{kind: '{'}
				c.set("message", message)
			}
			message.grow(b.tree, false)
		case "message": // all so far, beside the delta
		case "usage":
			a.report(b.tree)
		case "logprobs":
			logprobs := &tree{kind: '{', members: []branch{{b.name, b.tree}}}
			c.grow(logprobs, false)
		default:
			latest(c, b.name, b.tree)
		}
	}
}

func (a *chatAssembly) Body() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	finished := func(c *tree) bool { return !c.get("finish_reason").hollow() }
	if len(a.choices) == 0 || !slices.ContainsFunc(a.choices, finished) {
		return nil, errNoAnswer
	}
	slices.SortStableFunc(a.choices, func(x, y *tree) int {
		return cmp.Compare(x.get("index").number(), y.get("index").number())
	})
	for _, c := range a.choices {
		c.set("message", wholeMessage(c.get("message")))
	}
	out := &tree{kind: '{', members: slices.Clone(a.answer.members)}
	out.set("object", textTree("chat.completion"))
	out.set("choices", &tree{kind: '[', items: a.choices})
	if a.usage != nil {
		out.set("usage", a.usage)
	}
	return out.appendTo(nil), nil
}

// wholeMessage is a message as one that came whole has its members.
func wholeMessage(grown *tree) *tree {
	if grown == nil {
		grown = &tree{kind: '{'}
	}
	message := &tree{kind: '{', members: []branch{{"role", textTree("assistant")}, {"content", nullTree()}}}
	for _, b := range grown.members {
		message.set(b.name, b.tree)
	}
	if calls := message.get("tool_calls"); calls != nil {
		slices.SortStableFunc(calls.items, func(x, y *tree) int {
			return cmp.Compare(x.get("index").number(), y.get("index").number())
		})
		for _, call := range calls.items {
			call.drop("index")
		}
	}
	called := !message.get("tool_calls").hollow() || !message.get("function_call").hollow()
	if called && message.get("content").hollow() {
		message.set("content", nullTree())
	}
	// Who tells of refusals in a stream, tells of annotations too in a whole message.
	if message.get("refusal") != nil && message.get("annotations") == nil {
		message.set("annotations", &tree{kind: '['})
	}
	return message
}
