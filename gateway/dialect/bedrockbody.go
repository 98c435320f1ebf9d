package dialect

import (
	"net/http"

	"github.com/recoup-gateway/recoup/internal/token"
)

const (
	brID = firstNode + iota
	brModel
	brFinish
	brTier
	brTierType
	brList
	brItem
	brInput
	brOutput
	brUsage   = entire | iota
	brMetrics = entire | iota
)

// bedrockBody observes an answer in one JSON body: of Converse, or of a model in its own form. There are no errors
// among them, which have a status of their own.
type bedrockBody struct {
	names
	json     scanner
	usage    capture
	report   []byte
	metrics  []byte
	reads    bool        // it is the metrics that are read
	counts   token.Usage // of members at the top, as Titan and Llama have them
	reported token.Usage // in the head
}

func newBedrockBody() *bedrockBody {
	b := new(bedrockBody)
	b.json.reset()
	return b
}

func (b *bedrockBody) head(h http.Header) {
	b.reported = headerUsage(h)
	b.tier = h.Get(bedrockHeader + "Service-Tier")
}

func (b *bedrockBody) Event(data []byte) Sign {
	b.json.feed(data, b)
	return Plain
}

func (b *bedrockBody) Large(part []byte, _, _ bool) Sign { return b.Event(part) }

func (b *bedrockBody) Whole() bool { return b.json.end(b) }

// Usage is the body's own report where it has one, and of the rest, what the head says.
func (b *bedrockBody) Usage() (token.Usage, bool) {
	u, _ := b.normal()
	u = completed(completed(completed(u, normalMetrics(newObject(b.metrics))), b.reported), b.counts)
	return withTier(u, b.tier), u.Output.IsKnown()
}

func (b *bedrockBody) Others() []ModelUsage {
	_, others := b.normal()
	return others
}

// normal reads the usage object, in whoever's form it is.
func (b *bedrockBody) normal() (token.Usage, []ModelUsage) {
	switch o := newObject(b.report); {
	case o["inputTokens"] != nil:
		return normalConverse(o), nil
	case o["input_tokens"] != nil:
		return normalMessages(o, b.model)
	default:
		return normalChat(b.report), nil
	}
}

func (b *bedrockBody) child(parent node, key []byte) node {
	switch k := string(key); parent {
	case root:
		return b.member(k)
	case brTier:
		if k == "type" {
			return brTierType
		}
	case brList:
		if key == nil {
			return brItem
		}
	case brItem:
		switch k {
		case "completionReason", "finish_reason", "stop_reason":
			return brFinish
		case "tokenCount":
			return brOutput
		}
	}
	return unwatched
}

// member finds the place of a member of the body itself.
func (b *bedrockBody) member(key string) node {
	switch key {
	case "id":
		return brID
	case "model":
		return brModel
	case "usage":
		return brUsage
	case invocationMetrics:
		return brMetrics
	case "stopReason", "stop_reason", "finish_reason":
		return brFinish
	case "serviceTier":
		return brTier
	case "choices", "outputs", "results", "generations":
		return brList
	case "inputTextTokenCount", "prompt_token_count":
		return brInput
	case "generation_token_count":
		return brOutput
	}
	return unwatched
}

func (b *bedrockBody) open(n node, object bool) {
	if n == brUsage || n == brMetrics {
		b.reads = n == brMetrics
		b.usage.open(object)
	}
}

func (b *bedrockBody) written(piece []byte) { b.usage.add(piece) }

func (b *bedrockBody) close(n node) {
	if n != brUsage && n != brMetrics {
		return
	}
	b.usage.close()
	if b.reads {
		b.usage.keep(&b.metrics)
	} else {
		b.usage.keep(&b.report)
	}
}

func (b *bedrockBody) value(n node, raw []byte, quoted bool) {
	switch n {
	case brID:
		b.setID(raw, quoted)
	case brModel:
		b.setModel(raw, quoted)
	case brFinish:
		b.addReason(raw, quoted)
	case brTierType:
		if quoted {
			b.tier = string(plain(raw))
		}
	case brInput:
		b.counts.Input = object{"n": raw}.count("n")
	case brOutput:
		b.counts.Output = plus(b.counts.Output, object{"n": raw}.count("n"))
	}
}
