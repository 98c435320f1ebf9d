package gosdk

import (
	"context"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

// Responses makes a response with OpenAI's SDK.
func Responses(ctx context.Context, call Call) Answer {
	client := openai.NewClient(openAIOptions(call)...)
	params := responses.ResponseNewParams{Model: call.model("gpt-5.5"), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(call.prompt())}}
	if call.Tools {
		params.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{
			Name: toolName, Description: openai.String(toolDescription), Parameters: toolSchema(), Strict: openai.Bool(true),
		}}}
	}
	if !call.Stream {
		done, err := client.Responses.New(ctx, params)
		return responsesAnswer(done, err)
	}
	return ReadResponse(client.Responses.NewStreaming(ctx, params), call)
}

// ReadResponse reads to the end, or to an error that comes as an event: this SDK gives it to the caller like
// any other.
func ReadResponse(stream *ssestream.Stream[responses.ResponseStreamEventUnion], call Call) Answer {
	defer stream.Close()
	var last *responses.Response
	var objects []string
	text := ""
	for stream.Next() {
		e := stream.Current()
		objects = append(objects, e.RawJSON())
		switch e.Type {
		case "error":
			return Answer{Text: text, Objects: objects, Fault: Fault{Kind: FaultEvent, Code: e.Code, Message: e.Message}}
		case "response.output_text.delta":
			text += e.Delta
			call.piece(e.Delta)
		case "response.completed", "response.incomplete", "response.failed":
			last = &e.Response
		}
	}
	a := responsesAnswer(last, stream.Err())
	a.Text, a.Objects = text, objects
	return a
}

func responsesAnswer(r *responses.Response, err error) Answer {
	a := Answer{Fault: openAIFault(err)}
	if r == nil {
		return a
	}
	a.Input, a.Output = int(r.Usage.InputTokens), int(r.Usage.OutputTokens)
	a.Text, a.Finish, a.Complete = r.OutputText(), string(r.Status), r.Status == "completed" || r.Status == "incomplete"
	if raw := r.RawJSON(); raw != "" {
		a.Objects = []string{raw}
	}
	for _, item := range r.Output {
		if item.Type == "function_call" {
			a.Tools = append(a.Tools, Tool{Name: item.Name, Arguments: item.Arguments.OfString})
			a.Calls = append(a.Calls, item.CallID)
		}
	}
	return a
}
