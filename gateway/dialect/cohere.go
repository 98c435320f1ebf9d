package dialect

import "github.com/recoup-gateway/recoup/internal/token"

const endpointCohere = "/v2/chat"

type cohere struct{}

func (cohere) Name() string { return "cohere" }

func (cohere) Endpoint(path string) (string, bool) {
	return endpoint(path, endpointCohere, endpointCohere)
}

func (cohere) Parse(endpoint string, body []byte) (Request, error) {
	return parseRequest(endpoint, body)
}

func (cohere) Observe(req Request, contentType string) Observer {
	if !req.SSE(contentType) {
		return newBody(cohereBody)
	}
	return new(cohereEvents)
}

func (cohere) Error(e Error) (string, []byte) {
	return render(struct {
		Message string `json:"message"`
	}{e.message()})
}

// Keepalive is nothing: of what its clients can bear nothing is known.
func (cohere) Keepalive() []byte { return nil }

// The places of a stream event of Cohere's that mean something here.
const (
	cohType = firstNode + iota
	cohID
	cohError
	cohDelta
	cohFinish
	cohMessage
	cohContent
	cohCalls
	cohFunction
	cohText  = free | iota
	cohUsage = entire | iota
)

// cohereEvents observes an SSE answer of Cohere's chat, version 2. The type in the data decides.
type cohereEvents struct {
	sse
	reported []byte
	final    bool
}

func (c *cohereEvents) Event(data []byte) Sign { return c.Large(data, true, true) }

func (c *cohereEvents) Large(part []byte, first, last bool) Sign {
	c.read(part, first, last, c)
	if !last {
		return Plain
	}
	return c.sign()
}

// sign judges the event that was read.
func (c *cohereEvents) sign() Sign {
	facts, sign := &c.reader.facts, c.textSign()
	if c.ended || !c.reader.json.end(c) {
		return sign
	}
	ends := facts.kind == kindStop
	if c.usage.keep(&c.reported) {
		c.final = ends
	}
	switch {
	case facts.failure:
		c.ended = true
		return sign | Failure
	case ends:
		c.ended = true
		return sign | Terminal
	}
	return sign
}

func (c *cohereEvents) Usage() (token.Usage, bool) { return normalCohere(c.reported), c.final }

func (c *cohereEvents) Others() []ModelUsage { return nil }

func (c *cohereEvents) child(parent node, key []byte) node {
	switch k := string(key); parent {
	case root:
		switch k {
		case "type":
			return cohType
		case "id":
			return cohID
		case "delta":
			return cohDelta
		}
	case cohDelta:
		switch k {
		case "message":
			return cohMessage
		case "finish_reason":
			return cohFinish
		case "usage":
			return cohUsage
		case "error":
			return cohError
		}
	case cohError:
		c.reader.facts.failure = true
	case cohMessage:
		switch k {
		case "content":
			return cohContent
		case "tool_plan":
			return cohText
		case "tool_calls":
			return cohCalls
		}
	case cohContent:
		if k == "text" || k == "thinking" {
			return cohText
		}
	case cohCalls:
		if k == "function" {
			return cohFunction
		}
	case cohFunction:
		if k == "name" || k == "arguments" {
			return cohText
		}
	}
	return unwatched
}

func (c *cohereEvents) open(n node, object bool) {
	if n == cohUsage {
		c.usage.open(object)
		c.learned.stop() // a report is read each time, so that it can be told
	}
}

func (c *cohereEvents) close(n node) {
	if n == cohUsage {
		c.usage.close()
	}
}

func (c *cohereEvents) value(n node, raw []byte, quoted bool) {
	facts := &c.reader.facts
	switch n {
	case cohText:
		c.text = c.text || quoted && len(raw) > 0
	case cohType:
		facts.kind = kindOther
		if quoted && string(plain(raw)) == "message-end" {
			facts.kind = kindStop
		}
	case cohID:
		c.setID(raw, quoted)
	case cohFinish:
		c.addReason(raw, quoted)
		reason := string(raw)
		facts.failure = facts.failure || quoted && (reason == "ERROR" || reason == "TIMEOUT")
	case cohError:
		facts.failure = facts.failure || truthy(raw, quoted)
	}
}

// normalCohere brings a usage object of Cohere's into normal form. What is billed is billed_units: tokens has
// what went through the model, the provider's own prompts included, and what was read from a cache is
// in neither the units nor the bill.
func normalCohere(report []byte) token.Usage {
	o := newObject(report)
	billed, counted := o.object("billed_units"), o.object("tokens")
	u := token.Usage{Input: billed.count("input_tokens"), Output: billed.count("output_tokens")}
	u.Reasoning = within(counted.count("reasoning_tokens"), u.Output)
	if !u.Output.IsKnown() {
		u.Reasoning = token.Count{}
	}
	u.Tools = use(u.Tools, "search_unit", billed.count("search_units"))
	return u
}

// cohereBody is normalCohere of a whole body.
func cohereBody(report []byte, _ string) (token.Usage, []ModelUsage) {
	return normalCohere(report), nil
}

// cohereMessage reads the text of an event's message, or of a body's.
func (r *TextReader) cohereMessage(index int, message object) {
	r.piece(TextPart{Kind: Content, Index: -1}, message.text("tool_plan"))
	blocks := []object{message.object("content")}
	for _, raw := range message.list("content") {
		blocks = append(blocks, newObject(raw))
	}
	for i, block := range blocks {
		if i > 0 { // of a body: a list of all
			index = i - 1
		}
		r.piece(TextPart{Kind: Content, Index: index}, block.text("text"))
		r.piece(TextPart{Kind: Thinking, Index: index}, block.text("thinking"))
	}
	r.call(TextPart{Kind: Call, Index: index}, message.object("tool_calls").object("function"))
	for i, raw := range message.list("tool_calls") {
		r.call(TextPart{Kind: Call, Index: i}, newObject(raw).object("function"))
	}
}
