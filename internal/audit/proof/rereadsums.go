package proof

import "maps"

// plainSums are of a report that says both sums: Responses, Cohere's billed units.
func plainSums(u any) (s sums) {
	s.input, s.inputOK = number(u, "input_tokens")
	s.output, s.outputOK = number(u, "output_tokens")
	return s
}

// chatSums are of Chat Completions. Whether what was read from a cache is in the
// prompt, and reasoning in the completion, the total tells.
func chatSums(u any) (s sums) {
	prompt, ok := number(u, "prompt_tokens")
	if !ok { // DeepSeek
		hit, hitOK := number(u, "prompt_cache_hit_tokens")
		miss, missOK := number(u, "prompt_cache_miss_tokens")
		prompt, ok = hit+miss, hitOK && missOK
	}
	completion, done := number(u, "completion_tokens")
	total, totalled := number(u, "total_tokens")
	reasoning, named := number(u, "completion_tokens_details", "reasoning_tokens")
	extra := int64(0)
	if ok && done && totalled {
		extra = max(0, total-prompt-completion)
	}
	s.input, s.inputOK = prompt, ok
	if cached := chatCached(u); ok && cached > 0 && extra == cached && reasoning != extra {
		s.input += cached
		extra = 0
	}
	s.output, s.outputOK = completion, done
	if apart, ok := number(u, "reasoning_tokens"); done && ok && !named { // Perplexity
		s.output += apart
	} else if done && extra > 0 && (!named || reasoning == extra) { // xAI, Google
		s.output += extra
	}
	return s
}

// chatCached is what of the prompt was read from a cache, or written to one.
func chatCached(u any) int64 {
	read, _ := either(u, []string{"prompt_tokens_details", "cached_tokens"}, []string{"prompt_cache_hit_tokens"},
		[]string{"cached_tokens"}, []string{"cache_read_input_tokens"})
	split := []string{"prompt_tokens_details", "cache_creation"}
	hour, _ := number(u, append(split, "ephemeral_1h_input_tokens")...)
	minutes, ok := either(u, []string{"prompt_tokens_details", "cache_write_tokens"},
		[]string{"prompt_tokens_details", "cache_creation_input_tokens"}, []string{"cache_creation_input_tokens"})
	if ok {
		return read + max(minutes, hour)
	}
	minutes, _ = number(u, append(split, "ephemeral_5m_input_tokens")...)
	if minutes >= hour {
		return read + minutes
	}
	return read + minutes + hour
}

// geminiSums: thoughts stand beside the candidates, and what tools fetched beside
// the prompt. A blocked prompt has a total alone.
func geminiSums(u any) (s sums) {
	prompt, ok := number(u, "promptTokenCount")
	fetched, _ := number(u, "toolUsePromptTokenCount")
	s.input, s.inputOK = prompt+fetched, ok
	candidates, some := number(u, "candidatesTokenCount")
	thoughts, thought := number(u, "thoughtsTokenCount")
	s.output, s.outputOK = candidates+thoughts, some || thought
	if total, ok := number(u, "totalTokenCount"); ok && !s.outputOK && s.inputOK && total >= s.input {
		s.output, s.outputOK = total-s.input, true
	}
	return s
}

// messagesSums are of Anthropic: what the last report says replaces what the first
// one did, whose output is a placeholder. Turns on the provider's side are summed.
func messagesSums(start, last any) (s sums) {
	u := map[string]any{}
	if first, ok := start.(map[string]any); ok {
		maps.Copy(u, first)
		delete(u, "output_tokens")
		delete(u, "iterations")
		if n, ok := messagesInput(u); ok && n == 0 {
			delete(u, "input_tokens") // it is counted later
		}
	}
	members, _ := last.(map[string]any)
	for name, v := range members {
		if v != nil {
			u[name] = v
		}
	}
	turns, _ := u["iterations"].([]any)
	for _, turn := range turns {
		in, inOK := messagesInput(turn)
		out, outOK := number(turn, "output_tokens")
		if !inOK || !outOK {
			s = sums{}
			break
		}
		s = sums{s.input + in, s.output + out, true, true}
	}
	if s.inputOK {
		return s
	}
	s.input, s.inputOK = messagesInput(u)
	s.output, s.outputOK = number(u, "output_tokens")
	return s
}

func messagesInput(u any) (n int64, ok bool) {
	fresh, ok := number(u, "input_tokens")
	read, _ := number(u, "cache_read_input_tokens")
	minutes, _ := number(u, "cache_creation", "ephemeral_5m_input_tokens")
	hour, _ := number(u, "cache_creation", "ephemeral_1h_input_tokens")
	written, _ := number(u, "cache_creation_input_tokens")
	return fresh + read + hour + max(minutes, written-hour), ok
}
