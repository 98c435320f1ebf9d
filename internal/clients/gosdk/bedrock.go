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

// callersAccessKey signs the calls to Bedrock that have a Base.
const callersAccessKey = "AKIAOFCLIENT"

const bedrockModel = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

// bedrockClient makes a client as the environment says, or for a base URL.
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
		transport = sendsWhole{transport}
		if call.Base != "" {
			callsBase(o, call)
			transport = untransported{transport}
		}
		o.HTTPClient = &http.Client{Transport: transport, Timeout: call.Timeout}
		if call.Retries != nil {
			o.RetryMaxAttempts = 1 + *call.Retries
		}
		if call.Auto {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("Recoup-Resume", "auto"))
		}
	}), nil
}

// keyed gives a call its key.
func (c Call) keyed(o *bedrockruntime.Options) {
	if c.Key != "" {
		o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("Idempotency-Key", c.Key))
	}
}

// callsBase gives a call that has a Base its credentials, and lets it be repeated at once.
func callsBase(o *bedrockruntime.Options, call Call) {
	if call.Bearer {
		// It sends no key without TLS, which here ends before the gateway.
		o.BaseEndpoint = aws.String(strings.Replace(call.Base, "http:", "https:", 1))
		o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: callersKey}}
		o.AuthSchemePreference = []string{"httpBearerAuth"}
	} else {
		o.Credentials = credentials.NewStaticCredentialsProvider(callersAccessKey, "secret", "")
	}
	o.Retryer = awsretry.NewStandard(func(r *awsretry.StandardOptions) {
		r.Backoff = awsretry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Millisecond, nil })
	})
}

// untransported takes TLS off where there is any, as a load balancer in front of the gateway does.
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
	var tools *types.ToolConfiguration
	if call.Tools {
		tools = &types.ToolConfiguration{Tools: []types.Tool{&types.ToolMemberToolSpec{Value: types.ToolSpecification{
			Name: aws.String(toolName), Description: aws.String(toolDescription),
			InputSchema: &types.ToolInputSchemaMemberJson{Value: document.NewLazyDocument(toolSchema())},
		}}}}
	}
	if !call.Stream {
		out, err := client.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: model, Messages: messages, ToolConfig: tools}, call.keyed)
		if err != nil {
			return Answer{Fault: bedrockFault(err)}
		}
		a.addConverse(out)
		return a
	}
	out, err := client.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{ModelId: model, Messages: messages, ToolConfig: tools}, call.keyed)
	if err != nil {
		return Answer{Fault: bedrockFault(err)}
	}
	stream := out.GetStream()
	for event := range stream.Events() {
		text := a.Text
		a.addConverseEvent(event)
		call.piece(strings.TrimPrefix(a.Text, text))
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
	a.Finish, a.Complete = string(out.StopReason), out.StopReason != ""
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
		a.Finish, a.Complete = string(e.Value.StopReason), true
	case *types.ConverseStreamOutputMemberMetadata:
		a.addTokens(e.Value.Usage)
	}
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
