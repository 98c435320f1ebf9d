package dialect

import "github.com/recoup-gateway/recoup/internal/token"

// maxChoices is how many choices of an answer are kept account of.
const maxChoices = 4096

// The places of a chat.completion.chunk that mean something here.
const (
	chatID = firstNode + iota
	chatModel
	chatObject
	chatError
	chatDone
	chatChoices
	chatChoice
	chatIndex
	chatFinish
	chatDelta
	chatToolCalls
	chatToolCall
	chatFunction
	chatAudio
	chatTier
	chatGroq
	chatText = free | iota
	chatArguments
	chatPadding
	chatUsage = entire | iota
)

// chat observes an SSE answer of Chat Completions, or of the older Completions, whose choices have a text
// in place of a delta.
type chat struct {
	sse
	want     int      // how many choices have to finish
	seen     indexSet // choices that appeared
	finished indexSet // and those of them with a finish_reason

	others []choice // choices of the current event behind its first

	reported []byte // the last report of usage
	final    bool   // it closes the answer
	failed   bool   // the answer ended in a failure
}

func newChat(req Request) *chat {
	return &chat{want: max(req.Choices, 1)}
}

func (c *chat) Event(data []byte) Sign { return c.Large(data, true, true) }

func (c *chat) Large(part []byte, first, last bool) Sign {
	if first {
		c.others = c.others[:0]
	}
	c.read(part, first, last, c)
	if !last {
		return Plain
	}
	sign := c.sign()
	if c.usage.state == captureWhole {
		c.report()
	}
	return sign
}

// report takes the usage of the event that was judged.
func (c *chat) report() {
	if c.reader.json.state == complete && c.usage.keep(&c.reported) {
		// Running usage comes with a choice; a chunk without one has the sum.
		c.final = c.ended || c.reader.facts.begun == 0 && c.seen.n > 0
	}
}

func (c *chat) Usage() (token.Usage, bool) {
	u := normalChat(c.reported)
	if u.ServiceTier == "" && c.sureTier {
		u.ServiceTier = c.tier
	}
	return u, c.final
}

func (c *chat) Others() []ModelUsage { return nil }

// sign judges the event that was read.
func (c *chat) sign() Sign {
	facts := &c.reader.facts
	sign := c.textSign()
	whole := c.reader.json.end(c)
	// What was reported before the provider says that it is through, was all.
	c.final = c.final || facts.done && !c.failed && c.reported != nil
	if c.ended {
		return sign
	}
	failed := c.reader.named("error")
	if whole {
		failed = failed || facts.failure
		if facts.closed > 0 {
			failed = c.count(facts.first) || failed
		}
		for _, ch := range c.others {
			failed = c.count(ch) || failed
		}
	}
	switch {
	case failed:
		c.ended, c.failed = true, true
		return sign | Failure
	case whole && c.finished.n >= c.want && c.finished.n == c.seen.n,
		// The provider is through with fewer choices than were asked for.
		facts.done && c.finished.n > 0 && c.finished.n == c.seen.n:
		c.ended = true
		return sign | Terminal
	}
	return sign
}

// count takes account of a choice of a whole event, and tells whether it failed.
func (c *chat) count(ch choice) (failed bool) {
	c.seen.add(int(ch.index))
	if ch.finished {
		c.finished.add(int(ch.index))
	}
	return ch.failed
}

func (c *chat) child(parent node, key []byte) node {
	switch parent {
	case root:
		return c.member(key)
	case chatError:
		c.reader.facts.failure = true
	case chatChoices:
		if key == nil {
			return chatChoice
		}
	case chatChoice:
		switch string(key) {
		case "index":
			return chatIndex
		case "delta":
			return chatDelta
		case "text":
			return chatText
		case "finish_reason":
			return chatFinish
		case "usage": // Moonshot
			return chatUsage
		}
	case chatDelta:
		return chatDeltaMember(key)
	case chatText:
		// Mistral's content may be an array of parts, as OpenRouter's reasoning details are.
		if k := string(key); key == nil || k == "text" || k == "thinking" {
			return chatText
		}
	case chatToolCalls:
		if key == nil {
			return chatToolCall
		}
	case chatToolCall:
		if k := string(key); k == "function" || k == "custom" {
			return chatFunction
		}
	case chatFunction:
		if k := string(key); k == "arguments" || k == "input" {
			return chatArguments
		}
	case chatArguments:
		c.reader.facts.object = true
	case chatAudio:
		if string(key) == "transcript" {
			return chatText
		}
	case chatGroq:
		if string(key) == "usage" {
			return chatUsage
		}
	}
	return unwatched
}

// member finds the place of a member of the chunk itself.
func (c *chat) member(key []byte) node {
	if key == nil {
		return chatDone // "[DONE]" begins like an array
	}
	switch string(key) {
	case "choices":
		return chatChoices
	case "id":
		if c.id == "" {
			return chatID
		}
	case "model":
		if c.model == "" {
			return chatModel
		}
	case "error":
		return chatError
	case "object":
		return chatObject
	case "obfuscation":
		return chatPadding
	case "usage":
		return chatUsage
	case "service_tier":
		if c.tier == "" {
			return chatTier
		}
	case "x_groq":
		return chatGroq
	}
	return unwatched
}

func chatDeltaMember(key []byte) node {
	switch string(key) {
	case "content", "reasoning_content", "reasoning", "reasoning_details", "refusal":
		return chatText
	case "tool_calls":
		return chatToolCalls
	case "function_call":
		return chatFunction
	case "audio":
		return chatAudio
	}
	return unwatched
}

func (c *chat) open(n node, object bool) {
	facts := &c.reader.facts
	switch n {
	case chatUsage:
		c.usage.open(object)
		c.learned.stop() // a report is read each time, so that it can be told
	case chatChoices:
		facts.begun = 0
	case chatChoice:
		facts.choice = choice{index: min(facts.begun, maxChoices-1)}
		facts.begun++
	}
}

func (c *chat) close(n node) {
	facts := &c.reader.facts
	switch {
	case n == chatUsage:
		c.usage.close()
		return
	case n != chatChoice || facts.closed == maxChoices:
		return
	case facts.closed == 0:
		facts.first = facts.choice
	default:
		c.others = append(c.others, facts.choice)
	}
	facts.closed++
}

func (c *chat) value(n node, raw []byte, quoted bool) {
	facts := &c.reader.facts
	switch n {
	case chatText, chatArguments:
		c.text = c.text || quoted && len(raw) > 0
	case chatIndex:
		if i, ok := smallInt(raw); ok && !quoted {
			facts.choice.index = i
		}
	case chatFinish:
		// Some send "" for not yet.
		facts.choice.finished = quoted && len(raw) > 0
		facts.choice.failed = quoted && string(plain(raw)) == "error"
		c.addReason(raw, quoted)
	case chatID:
		c.setID(raw, quoted)
	case chatModel:
		c.setModel(raw, quoted)
	case chatTier:
		c.setTier(raw, quoted)
	case chatError:
		facts.failure = facts.failure || truthy(raw, quoted)
	case chatObject:
		// vLLM's errors have no member "error".
		facts.failure = facts.failure || string(raw) == "error"
	case chatDone:
		facts.done = !quoted && string(raw) == "DONE"
	}
}

// truthy tells whether SDKs take a scalar of a member "error" for an error.
func truthy(raw []byte, quoted bool) bool {
	if quoted {
		return len(raw) > 0
	}
	switch string(raw) {
	case "null", "false", "0":
		return false
	}
	return true
}

// smallInt reads a choice's index; what is no number from 0 to maxChoices-1 is none.
func smallInt(raw []byte) (int32, bool) {
	n := int32(0)
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int32(c-'0'); n >= maxChoices {
			return 0, false
		}
	}
	return n, len(raw) > 0
}

// indexSet is a set of small integers.
type indexSet struct {
	bits []uint64
	n    int
}

func (s *indexSet) add(i int) {
	for len(s.bits) <= i>>6 {
		s.bits = append(s.bits, 0)
	}
	if bit := uint64(1) << (i & 63); s.bits[i>>6]&bit == 0 {
		s.bits[i>>6] |= bit
		s.n++
	}
}
