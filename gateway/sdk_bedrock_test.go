package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
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

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// bedrockSDKs are AWS's SDK by what it calls and how it says who calls. Its prelude is messageStart, or that and
// the start of a block.
var bedrockSDKs = []sdk{
	{name: "bedrock converse", provider: "bedrock", prelude: 1, dropped: 1, ask: askConverse, finish: map[string]string{"end": "end_turn", "tools": "tool_use"}},
	{name: "bedrock invoke", provider: "bedrock", prelude: 2, dropped: 1, ask: askInvoke, finish: map[string]string{"end": "end_turn", "tools": "tool_use"}},
}

func eachBedrockSDK(t *testing.T, test func(*testing.T, sdk)) {
	t.Parallel()
	for _, k := range bedrockSDKs {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// bedrockClient makes a client as the environment says, or for a base URL. A header is added as a user does it: to
// the requests of the HTTP client.
func bedrockClient(ctx context.Context, call sdkCall) (*bedrockruntime.Client, error) {
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
			o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: "sk-alice"}}
			o.AuthSchemePreference = []string{"httpBearerAuth"}
		default:
			o.Credentials = credentials.NewStaticCredentialsProvider(bedrockAccessKey, "secret", "")
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

const bedrockAccessKey = "AKIAOFCLIENT"

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

// withBearer is an SDK that calls with a Bedrock API key.
func withBearer(k sdk) sdk {
	ask := k.ask
	k.ask = func(ctx context.Context, call sdkCall) sdkAnswer {
		call.Bearer = true
		return ask(ctx, call)
	}
	return k
}

func askConverse(ctx context.Context, call sdkCall) (a sdkAnswer) {
	client, err := bedrockClient(ctx, call)
	if err != nil {
		return sdkAnswer{Fault: bedrockFault(err)}
	}
	messages := []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: prompt(call)}}}}
	model := aws.String(bedrockModel)
	if !call.Stream {
		out, err := client.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: model, Messages: messages})
		if err != nil {
			return sdkAnswer{Fault: bedrockFault(err)}
		}
		a.addConverse(out)
		return a
	}
	out, err := client.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{ModelId: model, Messages: messages})
	if err != nil {
		return sdkAnswer{Fault: bedrockFault(err)}
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
func (a *sdkAnswer) endStream(err error) {
	if err != nil {
		a.Fault = bedrockFault(err)
	}
}

func (a *sdkAnswer) keep(v any) {
	if raw, err := json.Marshal(v); err == nil {
		a.Objects = append(a.Objects, fmt.Sprintf("%T %s", v, raw))
	}
}

func (a *sdkAnswer) addConverse(out *bedrockruntime.ConverseOutput) {
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
			a.Tools = append(a.Tools, simulator.Tool{Name: *b.Value.Name, Arguments: documentText(b.Value.Input)})
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

func (a *sdkAnswer) addTokens(u *types.TokenUsage) {
	if u == nil {
		return
	}
	a.Input = int(aws.ToInt32(u.InputTokens) + aws.ToInt32(u.CacheReadInputTokens) + aws.ToInt32(u.CacheWriteInputTokens))
	a.Output = int(aws.ToInt32(u.OutputTokens))
}

func (a *sdkAnswer) addConverseEvent(event types.ConverseStreamOutput) {
	a.keep(event)
	switch e := event.(type) {
	case *types.ConverseStreamOutputMemberContentBlockStart:
		if use, ok := e.Value.Start.(*types.ContentBlockStartMemberToolUse); ok {
			a.Tools = append(a.Tools, simulator.Tool{Name: *use.Value.Name})
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

func (a *sdkAnswer) addClaude(raw []byte) {
	a.Objects = append(a.Objects, string(raw))
	var e claudeEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		a.Fault = sdkFault{Kind: faultOther, Message: err.Error()}
		return
	}
	if e.Type == "content_block_start" {
		e.Block.Input = nil
		e.Content = append(e.Content, e.Block)
	}
	for _, b := range e.Content {
		a.Text += b.Text
		if b.Type == "tool_use" {
			a.Tools, a.Calls = append(a.Tools, simulator.Tool{Name: b.Name, Arguments: string(b.Input)}), append(a.Calls, b.ID)
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

func askInvoke(ctx context.Context, call sdkCall) (a sdkAnswer) {
	client, err := bedrockClient(ctx, call)
	if err != nil {
		return sdkAnswer{Fault: bedrockFault(err)}
	}
	body, _ := json.Marshal(map[string]any{ // of strings
		"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096, "messages": []map[string]string{{"role": "user", "content": prompt(call)}},
	})
	if call.Body != "" {
		body = []byte(call.Body)
	}
	if !call.Stream {
		out, err := client.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: aws.String(bedrockModel), Body: body, ContentType: aws.String("application/json")})
		if err != nil {
			return sdkAnswer{Fault: bedrockFault(err)}
		}
		a.addClaude(out.Body)
		return a
	}
	out, err := client.InvokeModelWithResponseStream(ctx, &bedrockruntime.InvokeModelWithResponseStreamInput{ModelId: aws.String(bedrockModel), Body: body, ContentType: aws.String("application/json")})
	if err != nil {
		return sdkAnswer{Fault: bedrockFault(err)}
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

func bedrockFault(err error) sdkFault {
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	switch {
	case errors.As(err, &response) && errors.As(err, &api):
		h := response.Response.Header
		return sdkFault{Kind: faultAPI, Status: response.HTTPStatusCode(), Type: api.ErrorCode(), Message: api.ErrorMessage(),
			RetryAfter: h.Get("Retry-After"), RequestID: h.Get("X-Amzn-Requestid"), ShouldRetry: h.Get("X-Should-Retry")}
	case errors.As(err, &api):
		return sdkFault{Kind: faultEvent, Type: api.ErrorCode(), Message: api.ErrorMessage()}
	case aborted(err):
		return sdkFault{Kind: faultCut}
	}
	return sdkFault{Kind: faultOther, Message: err.Error()}
}

// bedrockScenarios are those that make sense with frames.
func bedrockScenarios(k sdk) []scenario {
	list := slices.DeleteFunc(scenarios(k), func(sc scenario) bool {
		return strings.Contains(sc.name, "comments") || sc.fault.RetryAfter != "" || sc.name == "rate limit, wait a second"
	})
	for i := range list {
		switch sc := &list[i]; {
		case strings.Contains(sc.name, "as Anthropic says it"):
			sc.scripts, sc.name, sc.fault.Status = thrice(status(500)), "server error, again", 500
		case sc.name == "bad key":
			sc.fault.Status, sc.scripts = 403, []simulator.Script{status(403)}
		case sc.gateway != "", sc.name == "cut, FIN", sc.name == "cut within an event":
			// The SDK takes them for the end. The gateway tells it with an exception.
			sc.fault, sc.gateway = sdkFault{}, faultEvent
		case sc.name == "cut, RST":
			sc.gateway = faultEvent
		}
	}
	return list
}

// AWS's SDK can't tell the gateway from the provider, but where a provider ends an answer early as if it were whole.
func TestBedrockSDKSeesWhatTheProviderSends(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic)
		for _, sc := range bedrockScenarios(k) {
			for _, mode := range []string{"sse", "json"} {
				if sc.mode == "" || sc.mode == mode {
					t.Run(mode+" "+sc.name, func(t *testing.T) { compare(t, s, withBearer(k), sc, mode == "sse") })
				}
			}
		}
	})
}

// Whatever its base URL, and however it says who calls, AWS's SDK finds its way.
func TestBedrockSDKBaseURLsAndCredentials(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		seen := &received{}
		s := newSite(t, deterministic, signing(seen))
		for _, base := range []string{"", "/", "/bedrock", "/bedrock/"} {
			for _, stream := range []bool{false, true} {
				for _, signed := range []bool{false, true} {
					got, at := s.run(k, sdkCall{Base: s.server.URL + base, Stream: stream, Bearer: !signed}, simulator.Script{Tokens: 5})
					if got.Fault.Kind != "" || got.Output != 5 || len(at) != 1 || !strings.HasPrefix(at[0].Path, "/model/"+bedrockModel+"/") {
						t.Fatalf("base %q, stream %v, signed %v: %s, seen %+v", base, stream, signed, show(got), at)
					}
					r := seen.requests[len(seen.requests)-1]
					if signed {
						seen.verify(t)
					} else if r.Header.Get("Authorization") != "Bearer sk-alice" {
						t.Errorf("sent with %q", r.Header.Get("Authorization"))
					}
				}
			}
		}
	})
}

// Where the gateway doesn't sign, a signed call is refused with what to do.
func TestBedrockSDKReadsTheGatewaysOwnErrors(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic)
		got, seen := s.run(k, sdkCall{Base: s.server.URL, Stream: true})
		if f := got.Fault; f.Kind != faultAPI || f.Status != 403 || f.Type != "AccessDeniedException" || !strings.Contains(f.Message, "aws_credentials: true") || len(seen) != 0 {
			t.Errorf("%+v, %d calls", f, len(seen))
		}
		if first, _ := s.run(k, sdkCall{Base: s.server.URL, Key: "used", Stream: true, Bearer: true}); first.Fault.Kind != "" {
			t.Fatal(first.Fault)
		}
		got, seen = s.run(k, sdkCall{Base: s.server.URL, Key: "used", Stream: true, Bearer: true, Prompt: "another"})
		if f := got.Fault; f.Kind != faultAPI || f.Status != 422 || f.Type != "ValidationException" || !strings.Contains(f.Message, "with another body") || len(seen) != 0 {
			t.Errorf("%+v, %d calls", f, len(seen))
		}
		if err := s.gateway.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		once := 1
		got, _ = s.run(k, sdkCall{Base: s.server.URL, Client: s.client, Retries: &once, Bearer: true})
		if f := got.Fault; f.Status != 503 || f.Type != "ServiceUnavailableException" {
			t.Errorf("%+v", f)
		}
	})
}

// A client that breaks off and comes back by its key has what one has that stayed.
func TestBedrockSDKComesBackToItsAnswer(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic, signing(&received{}))
		sc := simulator.Script{Tokens: 60, Hidden: 9, Input: 50}
		whole, _ := s.run(k, sdkCall{Base: s.provider, Stream: true}, sc)
		if whole.Fault.Kind != "" || whole.Output != 69 {
			t.Fatalf("direct: %s", show(whole))
		}
		s.sim.Reset()
		sc.StallAfterEvents, sc.OnDisconnect = 20, simulator.BillFull
		s.sim.Next(sc)
		ctx, leave := context.WithCancel(t.Context())
		pieces := 0
		first := k.ask(ctx, sdkCall{Base: s.server.URL, Client: s.client, Key: "run:step", Stream: true, Delta: func(string) {
			if pieces++; pieces == 15 {
				leave()
			}
		}})
		leave()
		if first.Finish != "" || !strings.HasPrefix(whole.Text, first.Text) || first.Text == whole.Text {
			t.Fatalf("the first: %s", show(first))
		}
		s.releaseStalled()
		again := k.ask(t.Context(), sdkCall{Base: s.server.URL, Client: s.client, Key: "run:step", Stream: true})
		if !reflect.DeepEqual(again, whole) {
			t.Errorf("again:\n%s\ndirect:\n%s", show(again), show(whole))
		}
		if n := s.sim.Calls(); n != 1 {
			t.Errorf("%d calls", n)
		}
		s.expire()
		s.sameBill()
	})
}

// An agent that is killed and started again gets the whole answer, and the provider is asked once: by a key, or where
// the operator says that equal calls continue each other. It knows of the gateway by the variables of AWS's SDKs.
func TestAKilledBedrockAgentComesBackToItsAnswer(t *testing.T) {
	eachBedrockSDK(t, func(t *testing.T, k sdk) {
		s := newSite(t, deterministic, signing(&received{}), func(s *site) {
			s.accessKey = bedrockAccessKey
			p := s.config.Providers["bedrock"]
			p.Resume = gateway.ResumeAuto
			s.config.Providers["bedrock"] = p
		})
		for _, d := range deaths {
			t.Run(d.name, func(t *testing.T) {
				dieAndComeBack(t, s, k, d, job{SDK: k.name, Key: "run-7:" + d.name, Stream: d.stream})
			})
			t.Run(d.name+", without a key", func(t *testing.T) {
				dieAndComeBack(t, s, k, d, job{SDK: k.name, Auto: true, Stream: d.stream})
			})
		}
	})
}

// adding is a transport that adds a header, for those who make the client in one place.
type adding struct {
	next http.RoundTripper
	name string
	text string
}

func (h adding) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(h.name, h.text)
	return h.next.RoundTrip(r)
}

// A header that the HTTP client adds does as well as one of a middleware, also on a signed call: it is not among what
// is signed.
func TestBedrockSDKWithAnHTTPClientThatAddsTheKey(t *testing.T) {
	t.Parallel()
	seen := &received{}
	s := newSite(t, deterministic, signing(seen))
	client := &http.Client{Transport: adding{s.client.Transport, "Idempotency-Key", "run:step"}}
	for range 2 {
		got := askConverse(t.Context(), sdkCall{Base: s.server.URL, Client: client, Stream: true})
		if got.Fault.Kind != "" || got.Finish != "end_turn" {
			t.Fatal(show(got))
		}
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
}
