package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/anthropics/anthropic-sdk-go/v2"
	sdkoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/anthropics/anthropic-sdk-go/v2/packages/ssestream"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// askAnthropic makes a message with Anthropic's SDK.
func askAnthropic(ctx context.Context, call sdkCall) sdkAnswer {
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
	client := anthropic.NewClient(opts...)
	params := anthropic.MessageNewParams{
		Model: "claude-opus-4-8", MaxTokens: 4096,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt(call)))},
	}
	if !call.Stream {
		m, err := client.Messages.New(ctx, params)
		return anthropicAnswer(m, err)
	}
	return streamAnthropic(client.Messages.NewStreaming(ctx, params), call.Delta)
}

func streamAnthropic(stream *ssestream.Stream[anthropic.MessageStreamEventUnion], delta func(string)) sdkAnswer {
	defer stream.Close()
	var m anthropic.Message
	var objects []string
	for stream.Next() {
		event := stream.Current()
		objects = append(objects, event.RawJSON())
		if err := m.Accumulate(event); err != nil {
			return sdkAnswer{Fault: sdkFault{Kind: faultOther, Message: err.Error()}}
		}
		if delta != nil && event.Delta.Type == "text_delta" {
			delta(event.Delta.Text)
		}
	}
	a := anthropicAnswer(&m, stream.Err())
	a.Objects = objects
	return a
}

func anthropicAnswer(m *anthropic.Message, err error) sdkAnswer {
	a := sdkAnswer{Fault: anthropicFault(err)}
	if m == nil {
		return a
	}
	a.Finish = string(m.StopReason)
	a.Input = int(m.Usage.InputTokens + m.Usage.CacheReadInputTokens + m.Usage.CacheCreationInputTokens)
	a.Output = int(m.Usage.OutputTokens)
	if raw := m.RawJSON(); raw != "" {
		a.Objects = []string{raw}
	}
	for _, block := range m.Content {
		a.Text += block.Text
		if block.Type == "tool_use" {
			a.Tools = append(a.Tools, simulator.Tool{Name: block.Name, Arguments: string(block.Input)})
			a.Calls = append(a.Calls, block.ID)
		}
	}
	return a
}

func anthropicFault(err error) sdkFault {
	var api *anthropic.Error
	switch {
	case err == nil:
		return sdkFault{}
	case errors.As(err, &api):
		var body struct {
			Error struct{ Type, Message string }
		}
		if err := json.Unmarshal([]byte(api.RawJSON()), &body); err != nil {
			return sdkFault{Kind: faultOther, Message: fmt.Sprintf("%s: %v", api.RawJSON(), err)}
		}
		f := sdkFault{
			Kind: faultAPI, Status: api.StatusCode, Type: string(api.Type()), Message: body.Error.Message,
			RetryAfter: api.Response.Header.Get("Retry-After"), RequestID: api.RequestID,
			ShouldRetry: api.Response.Header.Get("X-Should-Retry"),
		}
		if api.StatusCode < 400 {
			f.Kind = faultEvent
		}
		return f
	case aborted(err):
		return sdkFault{Kind: faultCut}
	}
	return sdkFault{Kind: faultOther, Message: err.Error()}
}
