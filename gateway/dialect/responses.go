package dialect

import (
	"slices"

	"github.com/recoup-gateway/recoup/internal/token"
)

// The places of a Responses answer that mean something here.
const (
	respType = firstNode + iota
	respError
	respObject // the response itself: a member of some events, and the whole of a body
	respID
	respModel
	respTier
	respStatus
	respIncomplete
	respReason
	respToolUsage
	respSearch
	respSearches
	respText     = free | iota
	respPadding  = free | iota
	respSequence = counter | iota
	respUsage    = entire | iota
)

// responses observes an SSE answer of OpenAI Responses. The type in the data decides; the event's name
// only where the data has none. Only the event that closes the answer has figures that hold.
type responses struct {
	sse
	said     outcome // by the current event
	searches token.Count
	report   []byte
}

func (r *responses) Event(data []byte) Sign { return r.Large(data, true, true) }

func (r *responses) Large(part []byte, first, last bool) Sign {
	if first {
		r.said = outcome{}
	}
	r.read(part, first, last, r)
	if !last {
		return Plain
	}
	return r.sign()
}

func (r *responses) Usage() (token.Usage, bool) {
	return normalResponses(r.report, r.tier, r.searches), r.report != nil
}

// FinishReasons are those of the event that closed the answer.
func (r *responses) FinishReasons() []string { return r.reasons }

func (r *responses) Others() []ModelUsage { return nil }

// sign judges the event that was read.
func (r *responses) sign() Sign {
	facts := &r.reader.facts
	kind, whole := facts.kind, r.reader.json.end(r)
	sign := r.textSign()
	if kind == kindMute {
		sign = Plain
	}
	switch {
	case !whole || kind == kindNone:
		kind = kindOther
		if r.reader.named("error") || whole && facts.failure {
			kind = kindError
		}
	case kind == kindStop || kind == kindError:
		r.closed()
		r.believe()
	}
	if r.ended {
		return sign
	}
	switch kind {
	case kindStop:
		r.ended = true
		return sign | Terminal
	case kindError:
		r.ended = true
		return sign | Failure
	}
	return sign
}

// closed takes what the event says that was judged: it closes the answer.
func (r *responses) closed() {
	r.usage.keep(&r.report)
	r.said.reasons(&r.names)
	if r.said.tier != "" {
		r.tier = r.said.tier
	}
	if r.said.searches.IsKnown() {
		r.searches = r.said.searches
	}
}

func (r *responses) child(parent node, key []byte) node {
	if parent != root {
		if parent == respError {
			r.reader.facts.failure = true
		}
		return responsePlace(parent, key)
	}
	switch string(key) {
	case "type":
		return respType
	case "delta":
		return respText
	case "obfuscation":
		return respPadding
	case "sequence_number":
		return respSequence
	case "response":
		return respObject
	case "error":
		return respError
	}
	return unwatched
}

func (r *responses) open(n node, object bool) {
	switch n {
	case respObject:
		r.learned.stop() // what it says is read each time, so that it can be told
	case respUsage:
		r.usage.open(object)
	}
}

func (r *responses) close(n node) {
	if n == respUsage {
		r.usage.close()
	}
}

func (r *responses) value(n node, raw []byte, quoted bool) {
	facts := &r.reader.facts
	switch n {
	case respType:
		facts.kind = responseKind(raw, quoted)
	case respText:
		r.text = r.text || quoted && len(raw) > 0
	case respError:
		facts.failure = facts.failure || truthy(raw, quoted)
	default:
		r.said.note(n, raw, quoted, &r.names)
	}
}

// responseKind is what the type of a Responses event comes to.
func responseKind(raw []byte, quoted bool) messageKind {
	if !quoted || len(raw) == 0 {
		return kindNone
	}
	eventType := plain(raw)
	switch string(eventType) {
	case "response.completed", "response.incomplete":
		return kindStop
	case "response.failed", "response.cancelled", "error":
		return kindError
	}
	if _, written := deltaKind(eventType); !written {
		return kindMute
	}
	return kindOther
}

// deltaKind tells what the delta of an event of that type is, and whether the model wrote it. A summary of
// its reasoning it did not: that comes from another model, and is not what is billed.
func deltaKind(eventType []byte) (kind TextKind, written bool) {
	switch string(eventType) {
	case "response.output_text.delta":
		return Content, true
	case "response.refusal.delta":
		return Refusal, true
	case "response.reasoning_text.delta":
		return Thinking, true
	case "response.audio.transcript.delta":
		return Transcript, true
	case "response.reasoning_summary_text.delta", "response.audio.delta", "response.shell_call_output_content.delta":
		return 0, false
	}
	return Call, true // arguments, input or code, of whatever tool
}

// An outcome is what a response object says of itself that is known only in the end.
type outcome struct {
	tier, status, why string
	searches          token.Count // of the web, which are billed by use
}

// responsePlace finds the place of a member of a response object, or in it.
func responsePlace(parent node, key []byte) node {
	switch k := string(key); parent {
	case respObject:
		switch k {
		case "id":
			return respID
		case "model":
			return respModel
		case "service_tier":
			return respTier
		case "status":
			return respStatus
		case "incomplete_details":
			return respIncomplete
		case "tool_usage":
			return respToolUsage
		case "usage":
			return respUsage
		}
	case respIncomplete:
		if k == "reason" {
			return respReason
		}
	case respToolUsage:
		if k == "web_search" {
			return respSearch
		}
	case respSearch:
		if k == "num_requests" {
			return respSearches
		}
	}
	return unwatched
}

// note takes a value of a response object.
func (o *outcome) note(n node, raw []byte, quoted bool, names *names) {
	switch n {
	case respID:
		names.setID(raw, quoted)
	case respModel:
		names.setModel(raw, quoted)
	case respTier:
		o.tier = short(raw, quoted)
	case respStatus:
		o.status = short(raw, quoted)
	case respReason:
		o.why = short(raw, quoted)
	case respSearches:
		if !quoted {
			o.searches = object{"n": raw}.count("n")
		}
	}
}

// short is a string that names something, else empty.
func short(raw []byte, quoted bool) string {
	if !quoted || len(raw) > maxToken {
		return ""
	}
	return string(plain(raw))
}

// reasons notes why the answer ended.
func (o *outcome) reasons(names *names) {
	reason := o.status
	if o.why != "" {
		reason = o.why
	}
	if reason != "" && !slices.Contains(names.reasons, reason) && len(names.reasons) < maxReasons {
		names.reasons = append(names.reasons, reason)
	}
}
