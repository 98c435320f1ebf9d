package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	sdkoption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// askResponses makes a response with OpenAI's SDK.
func askResponses(ctx context.Context, call sdkCall) sdkAnswer {
	client := openai.NewClient(openAIOptions(call)...)
	params := responses.ResponseNewParams{Model: "gpt-5.5", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(prompt(call))}}
	if !call.Stream {
		done, err := client.Responses.New(ctx, params)
		return responsesAnswer(done, err)
	}
	return streamResponses(client.Responses.NewStreaming(ctx, params), call.Delta)
}

// streamResponses reads to the end, or to an error that comes as an event: this SDK gives it to the caller like
// any other.
func streamResponses(stream *ssestream.Stream[responses.ResponseStreamEventUnion], delta func(string)) sdkAnswer {
	defer stream.Close()
	var last *responses.Response
	var objects []string
	text := ""
	for stream.Next() {
		e := stream.Current()
		objects = append(objects, e.RawJSON())
		switch e.Type {
		case "error":
			return sdkAnswer{Text: text, Objects: objects, Fault: sdkFault{Kind: faultEvent, Code: e.Code, Message: e.Message}}
		case "response.output_text.delta":
			text += e.Delta
			if delta != nil {
				delta(e.Delta)
			}
		case "response.completed", "response.incomplete", "response.failed":
			last = &e.Response
		}
	}
	a := responsesAnswer(last, stream.Err())
	a.Text, a.Objects = text, objects
	return a
}

func responsesAnswer(r *responses.Response, err error) sdkAnswer {
	a := sdkAnswer{Fault: openAIFault(err)}
	if r == nil {
		return a
	}
	a.Input, a.Output = int(r.Usage.InputTokens), int(r.Usage.OutputTokens)
	a.Text, a.Finish = r.OutputText(), string(r.Status)
	if raw := r.RawJSON(); raw != "" {
		a.Objects = []string{raw}
	}
	for _, item := range r.Output {
		if item.Type == "function_call" {
			a.Tools = append(a.Tools, simulator.Tool{Name: item.Name, Arguments: item.Arguments.OfString})
			a.Calls = append(a.Calls, item.CallID)
		}
	}
	return a
}

// An SDK that has read some events of a response reads on with its own means: by the response's id and the
// number of the last event.
func TestAnSDKReadsOnInItsResponse(t *testing.T) {
	s := newSite(t, func(s *site) { s.config.OrphanGrace = time.Hour })
	s.sim.Next(simulator.Script{Tokens: 60, StallAfterEvents: responsePrelude + 8})
	client := openai.NewClient(sdkoption.WithBaseURL(s.server.URL+"/v1"), sdkoption.WithAPIKey("sk-alice"), sdkoption.WithHTTPClient(s.client),
		sdkoption.WithHeader("Recoup-On-Disconnect", "continue"))
	params := responses.ResponseNewParams{Model: "gpt-5.5", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello")}}
	var head *http.Response
	first := client.Responses.NewStreaming(t.Context(), params, sdkoption.WithResponseInto(&head))
	var id, text string
	var last int64
	for range responsePrelude + 8 {
		if !first.Next() {
			t.Fatal(first.Err())
		}
		e := first.Current()
		last = e.SequenceNumber
		text += e.Delta
		if e.Type == "response.created" {
			id = e.Response.ID
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	stream := head.Header.Get("Recoup-Stream-Id")
	s.awaitConnections(stream, 0)
	s.releaseStalled()
	rest := streamResponses(client.Responses.GetStreaming(t.Context(), id, responses.ResponseGetParams{StartingAfter: openai.Int(last)}), nil)
	if rest.Fault.Kind != "" || rest.Finish != "completed" || rest.Output != 60 || len(strings.Fields(text+rest.Text)) != 60 || !strings.Contains(strings.Join(rest.Objects, ""), text+rest.Text) {
		t.Errorf("%q, then %s", text, show(rest))
	}
	if n := s.sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
	s.awaitConnections(stream, 0)
	s.expire()
	if b := s.books(stream); !strings.HasPrefix(b.String(), "delivered/live 8, delivered/resumed 52;") {
		t.Errorf("booked as %s", b)
	}
}
