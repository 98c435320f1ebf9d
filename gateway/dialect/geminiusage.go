package dialect

import (
	"encoding/json"
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
)

// normalGemini brings a usageMetadata into normal form. final tells that the answer has ended with it.
//
// The prompt has the cached tokens in it; what the provider's own tools fetched comes on top. Thoughts
// are billed as output and stand beside the candidates' tokens, not in them. Google leaves out what is
// zero, and running reports what isn't known yet.
func normalGemini(report []byte, final bool) token.Usage {
	o := newObject(report)
	if o == nil {
		return token.Usage{}
	}
	u := token.Usage{ServiceTier: geminiTier(o.text("serviceTier"))}
	if u.ServiceTier == "" {
		u.ServiceTier = geminiTier(o.text("trafficType")) // Vertex
	}
	geminiInput(&u, o)
	geminiOutput(&u, o, final)
	u.AudioOut = within(modality(o, "candidatesTokensDetails", "AUDIO"), u.Output)
	return u
}

func geminiInput(u *token.Usage, o object) {
	prompt, read := o.count("promptTokenCount"), o.count("cachedContentTokenCount")
	p, ok := prompt.Get()
	if !ok {
		return
	}
	audio := modality(o, "promptTokensDetails", "AUDIO")
	if cached := read.Or(0); cached <= p {
		p -= cached
		u.CacheRead = read
		if n, ok := audio.Get(); ok {
			audio = token.Known(max(0, n-modality(o, "cacheTokensDetails", "AUDIO").Or(0)))
		}
	}
	u.Input = token.Known(p + o.count("toolUsePromptTokenCount").Or(0))
	if tools := modality(o, "toolUsePromptTokensDetails", "AUDIO"); tools.IsKnown() {
		audio = plus(audio, tools)
	}
	u.AudioIn = within(audio, u.Input)
}

func geminiOutput(u *token.Usage, o object, final bool) {
	candidates, thoughts := o.count("candidatesTokenCount"), o.count("thoughtsTokenCount")
	switch {
	case candidates.IsKnown() || thoughts.IsKnown():
		u.Output, u.Reasoning = plus(candidates, thoughts), thoughts
	case final && o.null("candidatesTokenCount") && u.Input.IsKnown():
		// A blocked prompt: the total says that there is nothing else.
		input := u.InputTotal().Or(0)
		if total, ok := o.count("totalTokenCount").Get(); ok && total >= input {
			u.Output = token.Known(total - input)
		}
	}
}

// modality is what a list of details has for one modality.
func modality(o object, list, name string) token.Count {
	for _, raw := range o.list(list) {
		if detail := newObject(raw); detail.text("modality") == name {
			return detail.count("tokenCount")
		}
	}
	return token.Count{}
}

// geminiTier is a service tier, or a type of Vertex's traffic, as the price book calls it. What is paid
// as it is used is the default, which has no name.
func geminiTier(name string) string {
	name = strings.ToLower(strings.TrimPrefix(name, "ON_DEMAND_"))
	switch name {
	case "on_demand", "standard", "unspecified", "service_tier_unspecified", "traffic_type_unspecified":
		return ""
	}
	return strings.TrimPrefix(name, "service_tier_")
}

// geminiCandidate reads the text of a candidate.
func (r *TextReader) geminiCandidate(position int, candidate object) {
	choice := int(candidate.count("index").Or(int64(position)))
	for _, raw := range candidate.object("content").list("parts") {
		part := newObject(raw)
		kind := Content
		if part.is("thought") {
			kind = Thinking
		}
		r.piece(TextPart{Choice: choice, Kind: kind}, part.text("text"))
		r.piece(TextPart{Choice: choice, Kind: Call, Index: -1}, part.object("executableCode").text("code"))
		if call := part.object("functionCall"); call != nil {
			r.geminiCall(choice, call)
		}
	}
}

// geminiCall reads a call, or where its arguments come by and by, as at Vertex, a piece of one: the
// pieces behind the first have no name.
func (r *TextReader) geminiCall(choice int, call object) {
	if call.text("name") != "" {
		if r.calls == nil {
			r.calls = make(map[int]int)
		}
		r.calls[choice]++
	}
	part := TextPart{Choice: choice, Kind: Call, Index: max(r.calls[choice]-1, 0)}
	r.piece(part, call.text("name"))
	if call.object("args") != nil {
		r.piece(part, string(call["args"]))
	}
	for _, raw := range call.list("partialArgs") {
		arg := newObject(raw)
		r.piece(part, arg.text("stringValue"))
		for _, literal := range []json.RawMessage{arg["numberValue"], arg["boolValue"]} {
			r.piece(part, string(literal))
		}
	}
}
