package simulator_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go/v2"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// The real clients are the judges of whether the simulator passes for a
// provider.

func (f *fixture) openai() openai.Client {
	return openai.NewClient(openaioption.WithBaseURL(f.url+"/v1"), openaioption.WithAPIKey("k"),
		openaioption.WithHTTPClient(f.client), openaioption.WithMaxRetries(0))
}

func (f *fixture) anthropic() anthropic.Client {
	return anthropic.NewClient(anthropicoption.WithBaseURL(f.url), anthropicoption.WithAPIKey("k"),
		anthropicoption.WithHTTPClient(f.client), anthropicoption.WithMaxRetries(0))
}

var sdkScript = simulator.Script{
	Tokens: 20, Hidden: 5, Input: 30, CacheRead: 10, Unicode: true,
	Tools: []simulator.Tool{{Name: "lookup", Arguments: `{"key": "värde"}`}},
}

func TestOpenAIClient(t *testing.T) {
	f := start(t, simulator.Options{Default: sdkScript})
	client := f.openai()
	params := openai.ChatCompletionNewParams{
		Model:         "gpt-5.5",
		Messages:      []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hi")},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
	stream := client.Chat.Completions.NewStreaming(ctx(t), params)
	defer stream.Close()
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Fatal("the accumulator refuses a chunk")
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	e := f.last()
	check := func(c openai.ChatCompletion) {
		t.Helper()
		m := c.Choices[0].Message
		if words(m.Content) != 20 || c.Choices[0].FinishReason != "tool_calls" || m.ToolCalls[0].Function.Arguments != `{"key": "värde"}` {
			t.Errorf("message %+v", m)
		}
		if c.Usage.PromptTokens != 40 || c.Usage.CompletionTokens != int64(e.Billed) || c.Usage.PromptTokensDetails.CachedTokens != 10 || c.Usage.CompletionTokensDetails.ReasoningTokens != 5 {
			t.Errorf("usage %+v, entry %+v", c.Usage, e)
		}
	}
	check(acc.ChatCompletion)
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
	whole, err := client.Chat.Completions.New(ctx(t), params)
	if err != nil {
		t.Fatal(err)
	}
	check(*whole)

	f.Next(simulator.Script{Status: 429})
	_, err = client.Chat.Completions.New(ctx(t), params)
	var api *openai.Error
	if !errors.As(err, &api) || api.StatusCode != 429 || api.Code != "rate_limit_exceeded" {
		t.Errorf("error %v", err)
	}
	f.Next(simulator.Script{ErrorAfterEvents: 3})
	broken := client.Chat.Completions.NewStreaming(ctx(t), params)
	defer broken.Close()
	for broken.Next() {
		continue
	}
	if err := broken.Err(); err == nil || !strings.Contains(err.Error(), "overloaded") {
		t.Errorf("error %v", err)
	}
}

func TestAnthropicClient(t *testing.T) {
	script := sdkScript
	script.ShowHidden = true
	f := start(t, simulator.Options{Default: script})
	client := f.anthropic()
	params := anthropic.MessageNewParams{
		Model:     "claude-sonnet-4-5",
		MaxTokens: 1000,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
	}
	stream := client.Messages.NewStreaming(ctx(t), params)
	defer stream.Close()
	var acc anthropic.Message
	for stream.Next() {
		if err := acc.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	e := f.last()
	check := func(m anthropic.Message) {
		t.Helper()
		if len(m.Content) != 3 || words(m.Content[0].Thinking) != 5 || words(m.Content[1].Text) != 20 || string(m.Content[2].Input) != `{"key": "värde"}` {
			t.Errorf("content %+v", m.Content)
		}
		if m.StopReason != "tool_use" || m.Usage.InputTokens != 30 || m.Usage.CacheReadInputTokens != 10 || m.Usage.OutputTokens != int64(e.Billed) {
			t.Errorf("stop %q, usage %+v, entry %+v", m.StopReason, m.Usage, e)
		}
	}
	check(acc)
	whole, err := client.Messages.New(ctx(t), params)
	if err != nil {
		t.Fatal(err)
	}
	check(*whole)

	f.Next(simulator.Script{Status: 529})
	_, err = client.Messages.New(ctx(t), params)
	var api *anthropic.Error
	if !errors.As(err, &api) || api.StatusCode != 529 || api.RequestID != f.last().RequestID {
		t.Errorf("error %v", err)
	}
	f.Next(simulator.Script{CutAfterEvents: 9})
	cut := client.Messages.NewStreaming(ctx(t), params)
	defer cut.Close()
	for cut.Next() {
		continue
	}
	if err := cut.Err(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}
