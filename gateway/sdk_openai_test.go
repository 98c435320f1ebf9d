package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/openai/openai-go/v3"
	sdkoption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// openAIOptions are what a call says to OpenAI's SDK.
func openAIOptions(call sdkCall) []sdkoption.RequestOption {
	var opts []sdkoption.RequestOption
	if call.Base != "" {
		opts = append(opts, sdkoption.WithBaseURL(call.Base), sdkoption.WithAPIKey("sk-alice"))
	}
	if call.Client != nil {
		opts = append(opts, sdkoption.WithHTTPClient(call.Client))
	}
	if call.Retries != nil {
		opts = append(opts, sdkoption.WithMaxRetries(*call.Retries))
	}
	if call.Key != "" {
		opts = append(opts, sdkoption.WithHeader("Idempotency-Key", call.Key))
	}
	if call.Body != "" {
		opts = append(opts, sdkoption.WithRequestBody("application/json", []byte(call.Body)))
	}
	return opts
}

// askOpenAI makes a chat completion with OpenAI's SDK.
func askOpenAI(ctx context.Context, call sdkCall) sdkAnswer {
	client := openai.NewClient(openAIOptions(call)...)
	params := openai.ChatCompletionNewParams{
		Model:    "gpt-5.5",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt(call))},
	}
	if !call.Stream {
		done, err := client.Chat.Completions.New(ctx, params)
		return openAIAnswer(done, err)
	}
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	return streamOpenAI(client.Chat.Completions.NewStreaming(ctx, params), call.Delta)
}

func prompt(call sdkCall) string {
	if call.Prompt != "" {
		return call.Prompt
	}
	return "hello"
}

func streamOpenAI(stream *ssestream.Stream[openai.ChatCompletionChunk], delta func(string)) sdkAnswer {
	defer stream.Close()
	var acc openai.ChatCompletionAccumulator
	var objects []string
	for stream.Next() {
		chunk := stream.Current()
		objects = append(objects, chunk.RawJSON())
		if !acc.AddChunk(chunk) {
			return sdkAnswer{Fault: sdkFault{Kind: faultOther, Message: "a chunk doesn't fit: " + chunk.RawJSON()}}
		}
		if delta != nil && len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
			delta(chunk.Choices[0].Delta.Content)
		}
	}
	a := openAIAnswer(&acc.ChatCompletion, stream.Err())
	a.Objects = objects
	return a
}

func openAIAnswer(c *openai.ChatCompletion, err error) sdkAnswer {
	a := sdkAnswer{Fault: openAIFault(err)}
	if c == nil {
		return a
	}
	a.Input, a.Output = int(c.Usage.PromptTokens), int(c.Usage.CompletionTokens)
	if raw := c.RawJSON(); raw != "" {
		a.Objects = []string{raw}
	}
	if len(c.Choices) == 0 {
		return a
	}
	choice := c.Choices[0]
	a.Text, a.Finish = choice.Message.Content, choice.FinishReason
	for _, tool := range choice.Message.ToolCalls {
		a.Tools = append(a.Tools, simulator.Tool{Name: tool.Function.Name, Arguments: tool.Function.Arguments})
		a.Calls = append(a.Calls, tool.ID)
	}
	return a
}

func openAIFault(err error) sdkFault {
	var api *openai.Error
	var event *ssestream.StreamError
	switch {
	case err == nil:
		return sdkFault{}
	case errors.As(err, &api):
		return sdkFault{
			Kind: faultAPI, Status: api.StatusCode, Type: api.Type, Code: api.Code, Message: api.Message,
			RetryAfter: api.Response.Header.Get("Retry-After"), RequestID: api.Response.Header.Get("X-Request-Id"),
			ShouldRetry: api.Response.Header.Get("X-Should-Retry"),
		}
	case errors.As(err, &event):
		var body struct {
			Error struct{ Type, Code, Message string }
		}
		if err := json.Unmarshal(event.Event.Data, &body); err != nil {
			return sdkFault{Kind: faultOther, Message: fmt.Sprintf("%s: %v", event.Event.Data, err)}
		}
		return sdkFault{Kind: faultEvent, Type: body.Error.Type, Code: body.Error.Code, Message: body.Error.Message}
	case aborted(err):
		return sdkFault{Kind: faultCut}
	}
	return sdkFault{Kind: faultOther, Message: err.Error()}
}
