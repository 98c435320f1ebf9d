package demo

import (
	"encoding/json"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	chatPath   = "/v1/chat/completions"
	chatBody   = `{"model":"gpt-5.5","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"What happens to an answer whose reader dies?"}]}`
	credential = "Bearer sk-demo"
	callKey    = "demo:step-1"

	// killAfter is how many events the first agent reads: the role and 24
	// words, up to where the text says so.
	killAfter = 25

	firstWord = 200 * time.Millisecond

	// tryInterval is slow enough to break an answer by hand.
	tryInterval = 150 * time.Millisecond

	answerText = "An answer is paid for when it is made, not when it arrives. The agent that asked for this one was " +
		"killed while it was reading, the way a deploy, a crash or a lack of memory would kill it. Nobody was connected " +
		"then, and the provider went on; each word was written to a log on this disk as it came. When the agent came " +
		"back, it did not ask for a new answer. It named the call that it had made before, got what it had missed, " +
		"and read on as if nothing had happened. The model was asked once, it answered once, and the bill has one line."
)

func answerScript(interval time.Duration) simulator.Script {
	return simulator.Script{Text: answerText, TTFT: firstWord, Interval: interval}
}

// textOf is the text in an event of a chat completion; most have a word, some none.
func textOf(event []byte) string {
	const field = "data: "
	if len(event) < len(field) {
		return ""
	}
	var chunk struct {
		Choices []struct {
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
		} `json:"choices"`
	}
	// What is no chunk, [DONE], has no text.
	if json.Unmarshal(event[len(field):], &chunk) != nil || len(chunk.Choices) == 0 {
		return ""
	}
	return chunk.Choices[0].Delta.Content
}
