package gosdk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/genai"
)

// GenerateContent makes a call with Google's SDK, which retries nothing by itself.
func GenerateContent(ctx context.Context, call Call) Answer {
	headers := http.Header{}
	if call.Key != "" {
		headers.Set("Idempotency-Key", call.Key)
	}
	if call.Auto {
		headers.Set("Recoup-Resume", "auto")
	}
	config := genai.ClientConfig{Backend: genai.BackendGeminiAPI, HTTPClient: call.Client, HTTPOptions: genai.HTTPOptions{BaseURL: call.Base, Headers: headers}}
	if call.Base != "" {
		config.APIKey = callersKey
	}
	if call.Timeout > 0 {
		config.HTTPOptions.Timeout = &call.Timeout
	}
	if call.Retries != nil {
		attempts := int32(*call.Retries) + 1
		config.HTTPOptions.RetryOptions = &genai.HTTPRetryOptions{Attempts: &attempts}
	}
	client, err := genai.NewClient(ctx, &config)
	if err != nil {
		return Answer{Fault: Fault{Kind: FaultOther, Message: err.Error()}}
	}
	var a Answer
	model := call.model("gemini-2.5-pro")
	var options *genai.GenerateContentConfig
	if call.Tools {
		options = &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
			{Name: toolName, Description: toolDescription, ParametersJsonSchema: toolSchema()},
		}}}}
	}
	if !call.Stream {
		response, err := client.Models.GenerateContent(ctx, model, genai.Text(call.prompt()), options)
		a.addGenAI(response, err)
		return a
	}
	for response, err := range client.Models.GenerateContentStream(ctx, model, genai.Text(call.prompt()), options) {
		text := a.Text
		a.addGenAI(response, err)
		call.piece(strings.TrimPrefix(a.Text, text))
	}
	return a
}

func (a *Answer) addGenAI(r *genai.GenerateContentResponse, err error) {
	if err != nil {
		a.Fault = genAIFault(err)
	}
	if r == nil {
		return
	}
	headers := r.SDKHTTPResponse
	r.SDKHTTPResponse = nil // the gateway's own are among them
	if raw, err := json.Marshal(r); err == nil {
		a.Objects = append(a.Objects, string(raw))
	}
	r.SDKHTTPResponse = headers
	if u := r.UsageMetadata; u != nil {
		a.Input, a.Output = int(u.PromptTokenCount), int(u.CandidatesTokenCount+u.ThoughtsTokenCount)
	}
	for _, c := range r.Candidates {
		if c.FinishReason != "" {
			a.Finish, a.Complete = string(c.FinishReason), true
		}
		for _, part := range c.Content.Parts {
			a.Text += part.Text
			if call := part.FunctionCall; call != nil {
				args, _ := json.Marshal(call.Args) // came from JSON
				a.Tools = append(a.Tools, Tool{Name: call.Name, Arguments: string(args)})
			}
		}
	}
}

func genAIFault(err error) Fault {
	var api genai.APIError
	switch {
	case errors.As(err, &api):
		return Fault{Kind: FaultAPI, Status: api.Code, Type: api.Status, Message: api.Message}
	case aborted(err):
		return Fault{Kind: FaultCut}
	}
	return Fault{Kind: FaultOther, Message: err.Error()}
}
