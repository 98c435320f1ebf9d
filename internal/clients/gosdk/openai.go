package gosdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/openai/openai-go/v3"
	sdkoption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// openAIOptions are what a call says to OpenAI's SDK.
func openAIOptions(call Call) []sdkoption.RequestOption {
	var opts []sdkoption.RequestOption
	if call.Base != "" {
		opts = append(opts, sdkoption.WithBaseURL(call.Base), sdkoption.WithAPIKey(callersKey))
	}
	if call.Client != nil {
		opts = append(opts, sdkoption.WithHTTPClient(call.Client))
	}
	if call.Retries != nil {
		opts = append(opts, sdkoption.WithMaxRetries(*call.Retries))
	}
	if call.Timeout > 0 {
		opts = append(opts, sdkoption.WithRequestTimeout(call.Timeout))
	}
	if call.Key != "" {
		opts = append(opts, sdkoption.WithHeader("Idempotency-Key", call.Key))
	}
	if call.Body != "" {
		opts = append(opts, sdkoption.WithRequestBody("application/json", []byte(call.Body)))
	}
	return opts
}

// Chat makes a chat completion with OpenAI's SDK.
func Chat(ctx context.Context, call Call) Answer {
	client := openai.NewClient(openAIOptions(call)...)
	params := openai.ChatCompletionNewParams{
		Model:    call.model("gpt-5.5"),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(call.prompt())},
	}
	if call.Tools {
		params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
			Name: toolName, Description: openai.String(toolDescription), Parameters: toolSchema(),
		})}
	}
	if !call.Stream {
		done, err := client.Chat.Completions.New(ctx, params)
		return openAIAnswer(done, err)
	}
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	return streamOpenAI(client.Chat.Completions.NewStreaming(ctx, params), call)
}

func streamOpenAI(stream *ssestream.Stream[openai.ChatCompletionChunk], call Call) Answer {
	defer stream.Close()
	var acc openai.ChatCompletionAccumulator
	var objects []string
	for stream.Next() {
		chunk := stream.Current()
		objects = append(objects, chunk.RawJSON())
		if !acc.AddChunk(chunk) {
			return Answer{Fault: Fault{Kind: FaultOther, Message: "a chunk doesn't fit: " + chunk.RawJSON()}}
		}
		if len(chunk.Choices) > 0 {
			call.piece(chunk.Choices[0].Delta.Content)
		}
	}
	a := openAIAnswer(&acc.ChatCompletion, stream.Err())
	a.Objects = objects
	return a
}

func openAIAnswer(c *openai.ChatCompletion, err error) Answer {
	a := Answer{Fault: openAIFault(err)}
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
	a.Text, a.Finish, a.Complete = choice.Message.Content, choice.FinishReason, choice.FinishReason != ""
	for _, tool := range choice.Message.ToolCalls {
		a.Tools = append(a.Tools, Tool{Name: tool.Function.Name, Arguments: tool.Function.Arguments})
		a.Calls = append(a.Calls, tool.ID)
	}
	return a
}

func openAIFault(err error) Fault {
	var api *openai.Error
	var event *ssestream.StreamError
	switch {
	case err == nil:
		return Fault{}
	case errors.As(err, &api):
		return Fault{
			Kind: FaultAPI, Status: api.StatusCode, Type: api.Type, Code: api.Code, Message: api.Message,
			RetryAfter: api.Response.Header.Get("Retry-After"), RequestID: api.Response.Header.Get("X-Request-Id"),
			ShouldRetry: api.Response.Header.Get("X-Should-Retry"),
		}
	case errors.As(err, &event):
		var body struct {
			Error struct{ Type, Code, Message string }
		}
		if err := json.Unmarshal(event.Event.Data, &body); err != nil {
			return Fault{Kind: FaultOther, Message: fmt.Sprintf("%s: %v", event.Event.Data, err)}
		}
		return Fault{Kind: FaultEvent, Type: body.Error.Type, Code: body.Error.Code, Message: body.Error.Message}
	case aborted(err):
		return Fault{Kind: FaultCut}
	}
	return Fault{Kind: FaultOther, Message: err.Error()}
}
