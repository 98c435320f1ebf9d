package dialect

import "github.com/recoup-gateway/recoup/internal/token"

// The places of a GenerateContentResponse that mean something here.
const (
	gemChunk = firstNode + iota // an element of the array form; else the response is the root itself
	gemID
	gemModel
	gemError
	gemFeedback
	gemBlock
	gemCandidates
	gemCandidate
	gemIndex
	gemFinish
	gemContent
	gemParts
	gemPart
	gemCode
	gemCall
	gemArgs
	gemPartials
	gemPartial
	gemText    = free | iota
	gemPadding // a thought's signature
	gemUsage   = entire | iota
)

// geminiAnswer is what all forms of a Gemini answer have in common: responses, one or many, of
// which each carries a piece of some candidates.
type geminiAnswer struct {
	sse
	seen     indexSet // candidates that appeared
	finished indexSet // and those of them with a finishReason
	blocked  bool     // the prompt was: there will be no candidate
	others   []choice // candidates of the current event behind its first

	reported []byte // the last report of usage
	final    bool   // it closes the answer
	failed   bool
}

func (g *geminiAnswer) Usage() (token.Usage, bool) {
	return normalGemini(g.reported, g.final), g.final
}

func (g *geminiAnswer) Others() []ModelUsage { return nil }

// through tells whether every candidate that appeared has ended.
func (g *geminiAnswer) through() bool {
	return g.finished.n == g.seen.n && (g.seen.n > 0 || g.blocked)
}

// count takes account of what was read of an event, if it is sound.
func (g *geminiAnswer) count() {
	facts := &g.reader.facts
	if facts.closed > 0 {
		g.countOne(facts.first)
	}
	for _, ch := range g.others {
		g.countOne(ch)
	}
	g.blocked = g.blocked || facts.done
	if g.usage.keep(&g.reported) {
		g.final = g.through() && !g.failed
	}
}

func (g *geminiAnswer) countOne(ch choice) {
	g.seen.add(int(ch.index))
	if ch.finished {
		g.finished.add(int(ch.index))
	}
}

// sign judges the event that was read. whole tells whether all of it was sound, and complete whether
// the form of the answer lets it end here.
func (g *geminiAnswer) sign(whole, complete bool) Sign {
	sign := g.textSign()
	switch failed := whole && g.reader.facts.failure; {
	case g.ended:
		if whole {
			g.count() // usage behind the end
		}
		return sign
	case failed:
		g.ended, g.failed = true, true
		return sign | Failure
	}
	if whole {
		g.count()
	}
	if complete && g.through() {
		g.ended = true
		return sign | Terminal
	}
	return sign
}

func (g *geminiAnswer) child(parent node, key []byte) node {
	switch k := string(key); parent {
	case root, gemChunk:
		if key == nil && parent == root {
			return gemChunk
		}
		return g.member(k)
	case gemError:
		g.reader.facts.failure = true
	case gemFeedback:
		if k == "blockReason" {
			return gemBlock
		}
	case gemCandidates:
		if key == nil {
			return gemCandidate
		}
	case gemCandidate:
		switch k {
		case "index":
			return gemIndex
		case "content":
			return gemContent
		case "finishReason":
			return gemFinish
		}
	case gemContent:
		if k == "parts" {
			return gemParts
		}
	case gemParts:
		if key == nil {
			return gemPart
		}
	default:
		return g.partMember(parent, key)
	}
	return unwatched
}

// member finds the place of a member of the response itself.
func (g *geminiAnswer) member(key string) node {
	switch key {
	case "candidates":
		return gemCandidates
	case "usageMetadata":
		return gemUsage
	case "promptFeedback":
		return gemFeedback
	case "error":
		return gemError
	case "responseId":
		if g.id == "" {
			return gemID
		}
	case "modelVersion":
		if g.model == "" {
			return gemModel
		}
	}
	return unwatched
}

// partMember finds a place within a part of the content.
func (g *geminiAnswer) partMember(parent node, key []byte) node {
	switch k := string(key); parent {
	case gemPart:
		switch k {
		case "text":
			return gemText
		case "functionCall":
			return gemCall
		case "executableCode":
			return gemCode
		case "thoughtSignature":
			return gemPadding
		}
	case gemCode:
		if k == "code" {
			return gemText
		}
	case gemCall:
		switch k {
		case "name":
			return gemText
		case "args":
			return gemArgs
		case "partialArgs":
			return gemPartials
		}
	case gemArgs:
		g.reader.facts.object = true
	case gemPartials:
		if key == nil {
			return gemPartial
		}
	case gemPartial:
		if k == "stringValue" {
			return gemText
		}
	}
	return unwatched
}

func (g *geminiAnswer) open(n node, object bool) {
	facts := &g.reader.facts
	switch n {
	case gemUsage:
		g.usage.open(object)
		g.learned.stop() // a report is read each time, so that it can be told
	case gemCandidates:
		facts.begun = 0
	case gemCandidate:
		facts.choice = choice{index: min(facts.begun, maxChoices-1)}
		facts.begun++
	}
}

func (g *geminiAnswer) close(n node) {
	facts := &g.reader.facts
	switch {
	case n == gemUsage:
		g.usage.close()
		return
	case n != gemCandidate || facts.closed == maxChoices:
		return
	case facts.closed == 0:
		facts.first = facts.choice
	default:
		g.others = append(g.others, facts.choice)
	}
	facts.closed++
}

func (g *geminiAnswer) value(n node, raw []byte, quoted bool) {
	facts := &g.reader.facts
	switch n {
	case gemText:
		g.text = g.text || quoted && len(raw) > 0
	case gemIndex:
		if i, ok := smallInt(raw); ok && !quoted {
			facts.choice.index = i
		}
	case gemFinish:
		facts.choice.finished = quoted && len(raw) > 0 && string(raw) != "FINISH_REASON_UNSPECIFIED"
		if facts.choice.finished {
			g.addReason(raw, quoted)
		}
	case gemBlock:
		facts.done = quoted && len(raw) > 0
		g.addReason(raw, quoted)
	case gemID:
		g.setID(raw, quoted)
	case gemModel:
		g.setModel(raw, quoted)
	case gemError:
		facts.failure = facts.failure || truthy(raw, quoted)
	}
}

// geminiEvents observes an SSE answer: each event has a response of its own.
type geminiEvents struct{ geminiAnswer }

func (g *geminiEvents) Event(data []byte) Sign { return g.Large(data, true, true) }

func (g *geminiEvents) Large(part []byte, first, last bool) Sign {
	if first {
		g.others = g.others[:0]
	}
	g.read(part, first, last, g)
	if !last {
		return Plain
	}
	whole := g.reader.json.end(g)
	return g.sign(whole, whole)
}

// geminiArray observes an answer in one JSON array that comes by and by: each event has an element, and what
// is around it. Such an answer is complete with the array: whoever lacks the bracket can't read the rest.
type geminiArray struct{ geminiAnswer }

func newGeminiArray() *geminiArray {
	g := new(geminiArray)
	g.reader.json.reset()
	return g
}

func (g *geminiArray) Event(data []byte) Sign { return g.Large(data, true, true) }

func (g *geminiArray) Large(part []byte, first, last bool) Sign {
	if first {
		g.begin()
	}
	g.walk(part)
	if !last {
		return Plain
	}
	g.believe()
	json := &g.reader.json
	return g.sign(json.state == complete || json.state == afterValue && json.depth == 1, json.state == complete)
}

func (g *geminiArray) Whole() bool { return g.reader.json.state == complete }

// begin forgets what was found in the last event.
func (g *geminiAnswer) begin() {
	g.unsay()
	g.text, g.others, g.reader.facts = false, g.others[:0], facts{}
	g.usage.reset()
}

// walk reads a piece of a JSON text that goes on from piece to piece.
func (g *geminiAnswer) walk(p []byte) {
	json := &g.reader.json
	for i := 0; i < len(p); {
		// It pauses where a string at a free place begins.
		if i += json.feed(p[i:], g); i < len(p) {
			i = json.inString(p, i, g)
		}
	}
}

// geminiBody observes an answer in one JSON body.
type geminiBody struct{ geminiAnswer }

func newGeminiBody() *geminiBody {
	g := new(geminiBody)
	g.reader.json.reset()
	return g
}

func (g *geminiBody) Event(data []byte) Sign {
	g.walk(data)
	// Of a body all is said once, so it is final as soon as it is whole.
	if g.usage.keep(&g.reported) {
		g.final = true
	}
	if g.reader.facts.failure && !g.failed {
		g.failed = true
		return Failure
	}
	return Plain
}

func (g *geminiBody) Large(part []byte, _, _ bool) Sign { return g.Event(part) }

func (g *geminiBody) FinishReasons() []string { return g.reasons }

func (g *geminiBody) Whole() bool { return g.reader.json.end(g) }
