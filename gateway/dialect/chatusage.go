package dialect

import (
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
)

// normalChat brings a usage object of Chat Completions into normal form. The shape is OpenAI's;
// what others make of it differs.
func normalChat(report []byte) token.Usage {
	o := newObject(report)
	if o == nil {
		return token.Usage{}
	}
	u := token.Usage{
		ServiceTier: o.text("service_tier"), // Mistral
		CostUSD:     statedCost(o),
		Tools:       chatTools(o),
	}
	extra := chatInput(&u, o)
	chatOutput(&u, o, extra)
	u.AudioIn = within(o.object("prompt_tokens_details").count("audio_tokens"), u.Input)
	u.AudioOut = within(o.object("completion_tokens_details").count("audio_tokens"), u.Output)
	return u
}

// chatInput fills in the input. It returns what total_tokens has beyond prompt_tokens,
// completion_tokens and what is found to be input.
func chatInput(u *token.Usage, o object) (extra int64) {
	details := o.object("prompt_tokens_details")
	prompt := o.count("prompt_tokens")
	hit, miss := o.count("prompt_cache_hit_tokens"), o.count("prompt_cache_miss_tokens") // DeepSeek
	if !prompt.IsKnown() && hit.IsKnown() && miss.IsKnown() {
		prompt = plus(hit, miss)
	}
	read := known(details.count("cached_tokens"), hit, o.count("cached_tokens"), o.count("cache_read_input_tokens"))
	split := details.object("cache_creation") // Qwen
	write1h := split.count("ephemeral_1h_input_tokens")
	write := known(details.count("cache_write_tokens"), details.count("cache_creation_input_tokens"),
		o.count("cache_creation_input_tokens"), split.count("ephemeral_5m_input_tokens"))
	if n, ok := write.Get(); ok && n >= write1h.Or(0) {
		write = token.Known(n - write1h.Or(0))
	}

	p, ok := prompt.Get()
	if !ok {
		return 0
	}
	cached := read.Or(0) + write.Or(0) + write1h.Or(0)
	completion, total := o.count("completion_tokens"), o.count("total_tokens")
	if completion.IsKnown() && total.IsKnown() {
		extra = max(0, total.Or(0)-p-completion.Or(0))
	}
	switch {
	case cached > 0 && extra == cached && o.object("completion_tokens_details").count("reasoning_tokens").Or(0) != extra:
		extra = 0 // the caches are apart from the prompt, as Anthropic counts
	case cached > p:
		// The total doesn't explain it, so the details are wrong. The prompt is the number that is billed.
		u.Input = prompt
		return extra
	default:
		p -= cached
	}
	u.Input, u.CacheRead, u.CacheWrite5m, u.CacheWrite1h = token.Known(p), read, write, write1h
	return extra
}

// chatOutput fills in the output. completion_tokens has the reasoning in it, but not everywhere.
func chatOutput(u *token.Usage, o object, extra int64) {
	output := o.count("completion_tokens")
	reasoning := o.object("completion_tokens_details").count("reasoning_tokens")
	switch apart := o.count("reasoning_tokens"); {
	case !output.IsKnown():
		return
	case !reasoning.IsKnown() && apart.IsKnown():
		// Perplexity bills them beside the completion, in which, and in the total, they are not.
		reasoning = apart
		output = plus(output, reasoning)
	case extra > 0 && reasoning.Or(extra) == extra:
		// xAI has them in the total alone. Google's endpoint of this shape doesn't even name them.
		reasoning = token.Known(extra)
		output = plus(output, reasoning)
	}
	u.Output, u.Reasoning = output, within(reasoning, output)
}

// statedCost is what the provider says that the answer costs: OpenRouter, Perplexity, xAI. Where
// the caller's own key pays the model (is_byok) it is only OpenRouter's fee, and no cost of the answer.
func statedCost(o object) string {
	switch {
	case o.is("is_byok"):
		return ""
	case o.count("cost_in_usd_ticks").IsKnown():
		return decimal(o.count("cost_in_usd_ticks").String() + "e-10")
	}
	if cost := o.object("cost"); cost != nil {
		return decimal(string(cost["total_cost"]))
	}
	return decimal(string(o["cost"]))
}

// chatTools are the uses that are billed by the use.
func chatTools(o object) map[string]int64 {
	tools := serverTools(nil, o.object("server_tool_use"))
	tools = serverTools(tools, o.object("server_tool_use_details"))   // OpenRouter
	tools = use(tools, "search_query", o.count("num_search_queries")) // Perplexity
	return use(tools, "search_source", o.count("num_sources_used"))   // xAI
}

// serverTools reads members like web_search_requests.
func serverTools(tools map[string]int64, o object) map[string]int64 {
	for key := range o {
		// What is fetched is billed as input alone.
		if name, ok := strings.CutSuffix(key, "_requests"); ok && name != "web_fetch" {
			tools = use(tools, name, o.count(key))
		}
	}
	return tools
}

// use notes how often a tool was used, if it was.
func use(tools map[string]int64, name string, times token.Count) map[string]int64 {
	if times.Or(0) == 0 {
		return tools
	}
	if tools == nil {
		tools = make(map[string]int64)
	}
	tools[name] = times.Or(0)
	return tools
}

// chatBody is normalChat of a whole body.
func chatBody(report []byte, _ string) (token.Usage, []ModelUsage) { return normalChat(report), nil }
