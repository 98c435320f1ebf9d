package dialect

import (
	"slices"

	"github.com/recoup-gateway/recoup/internal/token"
)

// names are what a provider calls its answer and its model.
type names struct {
	id, model, tier string
	reasons         []string
}

func (n *names) ResponseID() string { return n.id }

func (n *names) Model() string { return n.model }

func (n *names) FinishReasons() []string { return n.reasons }

// maxReasons bounds what is kept of them: choices mostly end alike.
const maxReasons = 8

func (n *names) addReason(raw []byte, quoted bool) {
	if !quoted || len(raw) == 0 || len(raw) > maxToken || len(n.reasons) == maxReasons {
		return // some send "" for not yet
	}
	if reason := string(plain(raw)); !slices.Contains(n.reasons, reason) {
		n.reasons = append(n.reasons, reason)
	}
}

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

func (n *names) setTier(raw []byte, quoted bool) {
	if n.tier == "" && quoted && len(raw) <= maxToken {
		n.tier = string(plain(raw))
	}
}

const (
	bodyID = firstNode + iota
	bodyModel
	bodyTier
	bodyError
	bodyChoices
	bodyChoice
	bodyFinish
	bodyUsage = entire | iota
)

// body observes an answer in one JSON body: its names, which both dialects have at the top, whether
// it is an error all the same, its usage, and whether it is whole.
type body struct {
	names
	json   scanner
	usage  capture
	report []byte
	failed bool

	normal normalForm
}

// A normalForm brings a report of usage into normal form, and tells apart what other models than
// model have of it.
type normalForm func(report []byte, model string) (token.Usage, []ModelUsage)

func newBody(normal normalForm) *body {
	b := &body{normal: normal}
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

// Usage is final as soon as the report is whole: a cut behind it changes no number in it.
func (b *body) Usage() (token.Usage, bool) {
	u, _ := b.normal(b.report, b.model)
	if u.ServiceTier == "" {
		u.ServiceTier = b.tier
	}
	return u, b.report != nil
}

func (b *body) Others() []ModelUsage {
	_, others := b.normal(b.report, b.model)
	return others
}

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
		case "service_tier":
			return bodyTier
		case "usage":
			return bodyUsage
		case "choices":
			return bodyChoices
		case "stop_reason", "finish_reason":
			return bodyFinish
		}
	}
	switch {
	case parent == bodyChoices && key == nil:
		return bodyChoice
	case parent == bodyChoice && string(key) == "finish_reason":
		return bodyFinish
	}
	b.failed = b.failed || parent == bodyError // an error with members is one
	return unwatched
}

func (b *body) open(n node, object bool) {
	if n == bodyUsage {
		b.usage.open(object)
	}
}

func (b *body) written(piece []byte) { b.usage.add(piece) }

func (b *body) close(n node) {
	if n == bodyUsage {
		b.usage.close()
		b.usage.keep(&b.report)
	}
}

func (b *body) value(n node, raw []byte, quoted bool) {
	switch n {
	case bodyID:
		b.setID(raw, quoted)
	case bodyModel:
		b.setModel(raw, quoted)
	case bodyTier:
		b.setTier(raw, quoted)
	case bodyFinish:
		b.addReason(raw, quoted)
	case bodyError:
		b.failed = b.failed || quoted && len(raw) > 0 || !quoted && string(raw) != "null" && string(raw) != "false"
	}
}
