package gosdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/document"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/auth/bearer"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// BedrockAccessKey signs the calls to Bedrock that have a Base.
const BedrockAccessKey = "AKIAOFCLIENT"

const bedrockModel = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

// bedrockClient makes a client as the environment says, or for a base URL. A header is added as a user does it: to
// the requests of the HTTP client.
func bedrockClient(ctx context.Context, call Call) (*bedrockruntime.Client, error) {
	var options []func(*config.LoadOptions) error
	if call.Base != "" {
		options = append(options, config.WithRegion("us-east-1"), config.WithBaseEndpoint(call.Base),
			config.WithSharedConfigFiles([]string{os.DevNull}), config.WithSharedCredentialsFiles([]string{os.DevNull}))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("bedrock: %w", err)
	}
	return bedrockruntime.NewFromConfig(c, func(o *bedrockruntime.Options) {
		transport := http.DefaultTransport
		if call.Client != nil {
			transport = call.Client.Transport
		}
		o.HTTPClient = &http.Client{Transport: sendsWhole{transport}}
		switch {
		case call.Base == "":
		case call.Bearer:
			// It sends no key without TLS, which here ends before the gateway.
			o.BaseEndpoint = aws.String(strings.Replace(call.Base, "http:", "https:", 1))
			o.HTTPClient = &http.Client{Transport: sendsWhole{untransported{transport}}}
			o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: callersKey}}
			o.AuthSchemePreference = []string{"httpBearerAuth"}
		default:
			o.Credentials = credentials.NewStaticCredentialsProvider(BedrockAccessKey, "secret", "")
		}
		o.Retryer = awsretry.NewStandard(func(r *awsretry.StandardOptions) {
			r.Backoff = awsretry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Millisecond, nil })
			if call.Retries != nil {
				r.MaxAttempts = 1 + *call.Retries
			}
		})
		if call.Key != "" {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("Idempotency-Key", call.Key))
		}
	}), nil
}

// untransported takes TLS off, as a load balancer in front of the gateway does.
type untransported struct{ next http.RoundTripper }

func (u untransported) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return u.next.RoundTrip(r)
}

// sendsWhole gives net/http a body of its own. The SDK closes a request's body when the response is there, and if
// net/http isn't through with it by then, as on loopback, it takes that for a failure and closes the connection.
type sendsWhole struct{ next http.RoundTripper }

func (s sendsWhole) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body, r.GetBody = io.NopCloser(bytes.NewReader(body)), nil
	return s.next.RoundTrip(r)
}

// Converse makes a call of that name with AWS's SDK.
func Converse(ctx context.Context, call Call) (a Answer) {
	client, err := bedrockClient(ctx, call)
	if err != nil {
		return Answer{Fault: bedrockFault(err)}
	}
	messages := []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: call.prompt()}}}}
	model := aws.String(call.model(bedrockModel))
	if !call.Stream {
		out, err := client.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: model, Messages: messages})
		if err != nil {
			return Answer{Fault: bedrockFault(err)}
		}
		a.addConverse(out)
		return a
	}
	out, err := client.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{ModelId: model, Messages: messages})
	if err != nil {
		return Answer{Fault: bedrockFault(err)}
	}
	stream := out.GetStream()
	for event := range stream.Events() {
		text := a.Text
		a.addConverseEvent(event)
		if call.Delta != nil && a.Text != text {
			call.Delta(strings.TrimPrefix(a.Text, text))
		}
	}
	a.endStream(errors.Join(stream.Err(), stream.Close()))
	return a
}

// endStream notes how a stream ended. AWS's SDK takes the end of a connection for the end of the stream, so a careful
// client looks for the reason why the model stopped.
func (a *Answer) endStream(err error) {
	if err != nil {
		a.Fault = bedrockFault(err)
	}
}

func (a *Answer) keep(v any) {
	if raw, err := json.Marshal(v); err == nil {
		a.Objects = append(a.Objects, fmt.Sprintf("%T %s", v, raw))
	}
}

func (a *Answer) addConverse(out *bedrockruntime.ConverseOutput) {
	a.keep(out.Output)
	a.Finish = string(out.StopReason)
	a.addTokens(out.Usage)
	message, ok := out.Output.(*types.ConverseOutputMemberMessage)
	if !ok {
		return
	}
	for _, block := range message.Value.Content {
		switch b := block.(type) {
		case *types.ContentBlockMemberText:
			a.Text += b.Value
		case *types.ContentBlockMemberToolUse:
			a.Tools = append(a.Tools, Tool{Name: *b.Value.Name, Arguments: documentText(b.Value.Input)})
			a.Calls = append(a.Calls, *b.Value.ToolUseId)
		}
	}
}

func documentText(d document.Interface) string {
	raw, err := d.MarshalSmithyDocument()
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func (a *Answer) addTokens(u *types.TokenUsage) {
	if u == nil {
		return
	}
	a.Input = int(aws.ToInt32(u.InputTokens) + aws.ToInt32(u.CacheReadInputTokens) + aws.ToInt32(u.CacheWriteInputTokens))
	a.Output = int(aws.ToInt32(u.OutputTokens))
}

func (a *Answer) addConverseEvent(event types.ConverseStreamOutput) {
	a.keep(event)
	switch e := event.(type) {
	case *types.ConverseStreamOutputMemberContentBlockStart:
		if use, ok := e.Value.Start.(*types.ContentBlockStartMemberToolUse); ok {
			a.Tools = append(a.Tools, Tool{Name: *use.Value.Name})
			a.Calls = append(a.Calls, *use.Value.ToolUseId)
		}
	case *types.ConverseStreamOutputMemberContentBlockDelta:
		switch d := e.Value.Delta.(type) {
		case *types.ContentBlockDeltaMemberText:
			a.Text += d.Value
		case *types.ContentBlockDeltaMemberToolUse:
			a.Tools[len(a.Tools)-1].Arguments += *d.Value.Input
		}
	case *types.ConverseStreamOutputMemberMessageStop:
		a.Finish = string(e.Value.StopReason)
	case *types.ConverseStreamOutputMemberMetadata:
		a.addTokens(e.Value.Usage)
	}
}

// claudeEvent is an event, or a message, of Anthropic's as far as the tests look.
type claudeEvent struct {
	Type    string
	Content []claudeBlock
	Block   claudeBlock `json:"content_block"`
	Delta   struct {
		Text, PartialJSON string
		Partial           string `json:"partial_json"`
		Stop              string `json:"stop_reason"`
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
	if u := e.Usage; u != nil {
		a.Input, a.Output = u.Input+u.CacheRead+u.CacheWrite, u.Output
	}
}

// Invoke calls a model of Anthropic's at Bedrock in its own form with AWS's SDK.
func Invoke(ctx context.Context, call Call) (a Answer) {
	client, err := bedrockClient(ctx, call)
	if err != nil {
		return Answer{Fault: bedrockFault(err)}
	}
	body, _ := json.Marshal(map[string]any{ // of strings
		"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096, "messages": []map[string]string{{"role": "user", "content": call.prompt()}},
	})
	if call.Body != "" {
		body = []byte(call.Body)
	}
	if !call.Stream {
		out, err := client.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: aws.String(call.model(bedrockModel)), Body: body, ContentType: aws.String("application/json")})
		if err != nil {
			return Answer{Fault: bedrockFault(err)}
		}
		a.addClaude(out.Body)
		return a
	}
	out, err := client.InvokeModelWithResponseStream(ctx, &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(call.model(bedrockModel)), Body: body, ContentType: aws.String("application/json")})
	if err != nil {
		return Answer{Fault: bedrockFault(err)}
	}
	stream := out.GetStream()
	for event := range stream.Events() {
		text := a.Text
		if chunk, ok := event.(*types.ResponseStreamMemberChunk); ok {
			a.addClaude(chunk.Value.Bytes)
		}
		if call.Delta != nil && a.Text != text {
			call.Delta(strings.TrimPrefix(a.Text, text))
		}
	}
	a.endStream(errors.Join(stream.Err(), stream.Close()))
	return a
}

func bedrockFault(err error) Fault {
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	switch {
	case errors.As(err, &response) && errors.As(err, &api):
		h := response.Response.Header
		return Fault{Kind: FaultAPI, Status: response.HTTPStatusCode(), Type: api.ErrorCode(), Message: api.ErrorMessage(),
			RetryAfter: h.Get("Retry-After"), RequestID: h.Get("X-Amzn-Requestid"), ShouldRetry: h.Get("X-Should-Retry")}
	case errors.As(err, &api):
		return Fault{Kind: FaultEvent, Type: api.ErrorCode(), Message: api.ErrorMessage()}
	case aborted(err):
		return Fault{Kind: FaultCut}
	}
	return Fault{Kind: FaultOther, Message: err.Error()}
}
