package gosdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/anthropics/anthropic-sdk-go/v2"
	sdkoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/anthropics/anthropic-sdk-go/v2/packages/ssestream"
)

// Messages makes a message with Anthropic's SDK.
func Messages(ctx context.Context, call Call) Answer {
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
	client := anthropic.NewClient(opts...)
	params := anthropic.MessageNewParams{
		Model: anthropic.Model(call.model("claude-opus-4-8")), MaxTokens: 4096,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(call.prompt()))},
	}
	if call.Tools {
		params.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
			Name: toolName, Description: anthropic.String(toolDescription),
			InputSchema: anthropic.ToolInputSchemaParam{Properties: toolProperties, Required: []string{"city", "days"}},
		}}}
	}
	if !call.Stream {
		m, err := client.Messages.New(ctx, params)
		return anthropicAnswer(m, err)
	}
	return streamAnthropic(client.Messages.NewStreaming(ctx, params), call)
}

func streamAnthropic(stream *ssestream.Stream[anthropic.MessageStreamEventUnion], call Call) Answer {
	defer stream.Close()
	var m anthropic.Message
	var objects []string
	stopped := false
	for stream.Next() {
		event := stream.Current()
		objects = append(objects, event.RawJSON())
		if err := m.Accumulate(event); err != nil {
			return Answer{Fault: Fault{Kind: FaultOther, Message: err.Error()}}
		}
		switch {
		case event.Type == "message_stop":
			stopped = true
		case event.Delta.Type == "text_delta":
			call.piece(event.Delta.Text)
		}
	}
	a := anthropicAnswer(&m, stream.Err())
	a.Objects, a.Complete = objects, stopped
	return a
}

func anthropicAnswer(m *anthropic.Message, err error) Answer {
	a := Answer{Fault: anthropicFault(err)}
	if m == nil {
		return a
	}
	a.Finish, a.Complete = string(m.StopReason), m.StopReason != ""
	a.Input = int(m.Usage.InputTokens + m.Usage.CacheReadInputTokens + m.Usage.CacheCreationInputTokens)
	a.Output = int(m.Usage.OutputTokens)
	if raw := m.RawJSON(); raw != "" {
		a.Objects = []string{raw}
	}
	for _, block := range m.Content {
		a.Text += block.Text
		if block.Type == "tool_use" {
			a.Tools = append(a.Tools, Tool{Name: block.Name, Arguments: string(block.Input)})
			a.Calls = append(a.Calls, block.ID)
		}
	}
	return a
}

func anthropicFault(err error) Fault {
	var api *anthropic.Error
	switch {
	case err == nil:
		return Fault{}
	case errors.As(err, &api):
		var body struct {
			Error struct{ Type, Message string }
		}
		if err := json.Unmarshal([]byte(api.RawJSON()), &body); err != nil {
			return Fault{Kind: FaultOther, Message: fmt.Sprintf("%s: %v", api.RawJSON(), err)}
		}
		f := Fault{
			Kind: FaultAPI, Status: api.StatusCode, Type: string(api.Type()), Message: body.Error.Message,
			RetryAfter: api.Response.Header.Get("Retry-After"), RequestID: api.RequestID,
			ShouldRetry: api.Response.Header.Get("X-Should-Retry"),
		}
		if api.StatusCode < 400 {
			f.Kind = FaultEvent
		}
		return f
	case aborted(err):
		return Fault{Kind: FaultCut}
	}
	return Fault{Kind: FaultOther, Message: err.Error()}
}
