package dialect

import "github.com/recoup-gateway/recoup/internal/token"

// normalResponses brings a usage object of Responses into normal form. Output has the reasoning in it,
// with all providers.
func normalResponses(report []byte, tier string, searches token.Count) token.Usage {
	o := newObject(report)
	u := token.Usage{ServiceTier: tier}
	if o == nil {
		return u
	}
	details := o.object("input_tokens_details")
	u.CostUSD = statedCost(o)
	u.Tools = use(chatTools(o), "web_search", searches)
	u.Tools = use(u.Tools, "server_side_tool", o.count("num_server_side_tools_used")) // xAI

	u.Input = o.count("input_tokens")
	read := details.count("cached_tokens")
	write := known(details.count("cache_write_tokens"), details.count("cache_creation_tokens"))
	if n, ok := u.Input.Get(); ok && read.Or(0)+write.Or(0) <= n {
		u.Input = token.Known(n - read.Or(0) - write.Or(0))
		u.CacheRead, u.CacheWrite5m = read, write
	}
	u.AudioIn = within(details.count("audio_tokens"), u.Input)

	u.Output = o.count("output_tokens")
	if u.Output.IsKnown() {
		out := o.object("output_tokens_details")
		u.Reasoning = within(out.count("reasoning_tokens"), u.Output)
		u.AudioOut = within(out.count("audio_tokens"), u.Output)
	}
	return u
}

// responsesBody observes an answer of Responses in one JSON body. One that is still queued, as a call in
// the background gets it at once, is whole too: what was generated is not in it, and not reported.
type responsesBody struct {
	names
	said   outcome
	json   scanner
	usage  capture
	report []byte
	failed bool
}

func newResponsesBody() *responsesBody {
	b := new(responsesBody)
	b.json.reset()
	return b
}

func (b *responsesBody) Event(data []byte) Sign {
	failed := b.failed
	b.json.feed(data, b)
	if b.failed && !failed {
		return Failure
	}
	return Plain
}

func (b *responsesBody) Large(part []byte, _, _ bool) Sign { return b.Event(part) }

func (b *responsesBody) Whole() bool { return b.json.end(b) }

func (b *responsesBody) FinishReasons() []string {
	b.said.reasons(&b.names)
	return b.reasons
}

// Usage is final as soon as the report is whole: a cut behind it changes no number in it. What is yet to
// be generated has no usage, whatever it says.
func (b *responsesBody) Usage() (token.Usage, bool) {
	if pending(b.said.status) {
		return token.Usage{}, false
	}
	return normalResponses(b.report, b.said.tier, b.said.searches), b.report != nil
}

// pending tells whether a response of that status is yet to be generated.
func pending(status string) bool { return status == "queued" || status == "in_progress" }

func (b *responsesBody) Others() []ModelUsage { return nil }

func (b *responsesBody) child(parent node, key []byte) node {
	switch {
	case parent == root && key == nil:
		return unwatched
	case parent == root && string(key) == "error":
		return respError
	case parent == root:
		return responsePlace(respObject, key)
	case parent == respError:
		b.failed = true // an error with members is one
	}
	return responsePlace(parent, key)
}

func (b *responsesBody) open(n node, object bool) {
	if n == respUsage {
		b.usage.open(object)
	}
}

func (b *responsesBody) close(n node) {
	if n == respUsage {
		b.usage.close()
		b.usage.keep(&b.report)
	}
}

func (b *responsesBody) written(piece []byte) { b.usage.add(piece) }

func (b *responsesBody) value(n node, raw []byte, quoted bool) {
	b.said.note(n, raw, quoted, &b.names)
	switch n {
	case respError:
		b.failed = b.failed || truthy(raw, quoted)
	case respStatus:
		b.failed = b.failed || b.said.status == "failed" || b.said.status == "cancelled"
	}
}
