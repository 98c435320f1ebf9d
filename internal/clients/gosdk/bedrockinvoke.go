package gosdk

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

// claudeEvent is an event, or a message, of Anthropic's as far as the tests look.
type claudeEvent struct {
	Type    string
	Content []claudeBlock
	Block   claudeBlock `json:"content_block"`
	Delta   struct {
		Text    string
		Partial string `json:"partial_json"`
		Stop    string `json:"stop_reason"`
	}
	Stop    string `json:"stop_reason"`
	Usage   *claudeUsage
	Message struct{ Usage *claudeUsage }
}

type claudeBlock struct {
	Type, Text, ID, Name string
	Input                json.RawMessage
}

type claudeUsage struct {
	Input      int `json:"input_tokens"`
	CacheRead  int `json:"cache_read_input_tokens"`
	CacheWrite int `json:"cache_creation_input_tokens"`
	Output     int `json:"output_tokens"`
}

func (a *Answer) addClaude(raw []byte) {
	a.Objects = append(a.Objects, string(raw))
	var e claudeEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		a.Fault = Fault{Kind: FaultOther, Message: err.Error()}
		return
	}
	if e.Type == "content_block_start" {
		e.Block.Input = nil
		e.Content = append(e.Content, e.Block)
	}
	for _, b := range e.Content {
		a.Text += b.Text
		if b.Type == "tool_use" {
			a.Tools, a.Calls = append(a.Tools, Tool{Name: b.Name, Arguments: string(b.Input)}), append(a.Calls, b.ID)
		}
	}
	a.Text += e.Delta.Text
	if e.Delta.Partial != "" {
		a.Tools[len(a.Tools)-1].Arguments += e.Delta.Partial
	}
	a.Finish += e.Stop + e.Delta.Stop
	a.Complete = a.Complete || e.Stop != "" || e.Type == "message_stop"
	if u := e.Usage; u != nil {
		a.Input, a.Output = u.Input+u.CacheRead+u.CacheWrite, u.Output
	}
}

// claudeRequest is the body of a call in the form of Anthropic's models.
func claudeRequest(call Call) []byte {
	if call.Body != "" {
		return []byte(call.Body)
	}
	request := map[string]any{
		"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096, "messages": []map[string]string{{"role": "user", "content": call.prompt()}},
	}
	if call.Tools {
		request["tools"] = []map[string]any{{"name": toolName, "description": toolDescription, "input_schema": toolSchema()}}
	}
	body, _ := json.Marshal(request) // of strings and numbers
	return body
}

// Invoke calls a model of Anthropic's at Bedrock in its own form with AWS's SDK.
func Invoke(ctx context.Context, call Call) (a Answer) {
	client, err := bedrockClient(ctx, call)
	if err != nil {
		return Answer{Fault: bedrockFault(err)}
	}
	model, body, kind := aws.String(call.model(bedrockModel)), claudeRequest(call), aws.String("application/json")
	if !call.Stream {
		out, err := client.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: model, Body: body, ContentType: kind}, call.keyed)
		if err != nil {
			return Answer{Fault: bedrockFault(err)}
		}
		a.addClaude(out.Body)
		return a
	}
	out, err := client.InvokeModelWithResponseStream(ctx, &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: model, Body: body, ContentType: kind}, call.keyed)
	if err != nil {
		return Answer{Fault: bedrockFault(err)}
	}
	stream := out.GetStream()
	for event := range stream.Events() {
		text := a.Text
		if chunk, ok := event.(*types.ResponseStreamMemberChunk); ok {
			a.addClaude(chunk.Value.Bytes)
		}
		call.piece(strings.TrimPrefix(a.Text, text))
	}
	a.endStream(errors.Join(stream.Err(), stream.Close()))
	return a
}
