package token

import "strings"

// CountedExactly says if Len counts what the model's provider counts, text for text:
// if its tokenizer is o200k. The id may have a provider's prefix, and name a
// snapshot.
func CountedExactly(model string) bool {
	model = bare(model)
	for _, family := range []string{"gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-6", "gpt-oss", "gpt-chat", "chatgpt", "o1", "o3", "o4"} {
		if rest, ok := strings.CutPrefix(model, family); ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
			return true
		}
	}
	return false
}

// NeverHides says if the model is known to have no hidden output.
func NeverHides(model string) bool {
	model = bare(model)
	for _, family := range []string{"gpt-3.5", "gpt-4", "chatgpt-4o"} { // gpt-4o, gpt-4.1, gpt-4.5, too
		if strings.HasPrefix(model, family) {
			return true
		}
	}
	return false
}

// bare is a model id without its prefixes, in lower case.
func bare(model string) string {
	return strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
}

// Factors to start with, visible tokens per o200k token. What was measured of them is
// from short recorded streams and published comparisons, 2026-11.
const (
	startOther   = 1.15
	startClaude  = 1.25
	startClaude2 = 1.6 // Claude Opus 4.7 and all after it have another tokenizer
)

func startFactor(model string) float64 {
	if CountedExactly(model) {
		return 1
	}
	switch model = strings.ReplaceAll(bare(model), ".", "-"); {
	case !strings.Contains(model, "claude"):
		return startOther
	}
	for _, old := range []string{"claude-2", "claude-instant", "claude-3", "-4-0", "-4-1", "-4-2025", "-4-5", "-4-6", "-4@", "claude-v"} {
		if strings.Contains(model, old) || strings.HasSuffix(model, "-4") {
			return startClaude
		}
	}
	return startClaude2
}
