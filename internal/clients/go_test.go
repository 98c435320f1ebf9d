package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/recoup-gateway/recoup/internal/clients/gosdk"
)

// jobEnv has a job for this test binary, which is the driver of the Go SDKs.
const jobEnv = "RECOUP_CLIENT_JOB"

var gopher = driver{
	command: func() []string {
		self, err := os.Executable()
		if err != nil {
			panic(err) // it runs
		}
		return []string{self}
	},
	environ: []string{"GORACE=atexit_sleep_ms=0"}, // or each takes a second to end under -race
	version: moduleVersion,
}

const bedrockRuntime = "github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

var goClients = []client{
	{name: "openai-go/chat", driver: gopher, dialect: chat, calls: both, root: "/v1", module: "github.com/openai/openai-go/v3", marks: true, repeatsLost: true},
	{name: "openai-go/responses", driver: gopher, dialect: responses, calls: both, root: "/v1", module: "github.com/openai/openai-go/v3", marks: true, repeatsLost: true},
	{name: "anthropic-go/messages", driver: gopher, dialect: messages, calls: both, module: "github.com/anthropics/anthropic-sdk-go/v2", marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "genai-go/generateContent", driver: gopher, dialect: gemini, calls: both, module: "google.golang.org/genai"},
	{name: "bedrock-go/converse", driver: gopher, dialect: converse, calls: both, module: bedrockRuntime, marks: true, repeatsLost: true, repeatsTimeout: true},
	{name: "bedrock-go/invoke", driver: gopher, dialect: invoke, calls: both, module: bedrockRuntime, marks: true, repeatsLost: true, repeatsTimeout: true},
}

var asks = map[string]gosdk.Ask{
	"openai-go/chat":           gosdk.Chat,
	"openai-go/responses":      gosdk.Responses,
	"anthropic-go/messages":    gosdk.Messages,
	"genai-go/generateContent": gosdk.GenerateContent,
	"bedrock-go/converse":      gosdk.Converse,
	"bedrock-go/invoke":        gosdk.Invoke,
}

// drive does a job.
func drive(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	ask, ok := asks[j.Client]
	if !ok {
		return fmt.Errorf("no client %q", j.Client)
	}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	out := json.NewEncoder(os.Stdout) // writes each line at once
	pieces, failed := 0, error(nil)
	got := ask(ctx, gosdk.Call{
		Key: j.Key, Auto: j.Auto, Stream: j.Call == stream, Tools: j.Tools, Model: j.Model, Prompt: j.Prompt,
		Retries: j.MaxRetries, Timeout: time.Duration(j.TimeoutMS) * time.Millisecond,
		Delta: func(text string) {
			if ctx.Err() != nil {
				return
			}
			if err := out.Encode(line{Delta: &text}); err != nil {
				failed = err
			}
			if pieces++; pieces == j.AbortAfter {
				leave()
			}
		},
	})
	if failed != nil {
		return failed
	}
	return out.Encode(lineOf(got, ctx.Err() != nil))
}

// lineOf is what the driver prints at the end.
func lineOf(got gosdk.Answer, aborted bool) line {
	switch f := got.Fault; {
	case aborted:
		return line{Aborted: true}
	case f.Kind != "":
		e := fault{Class: f.Kind, Message: f.Message}
		if f.Status != 0 {
			e.Status = &f.Status
		}
		if f.Code != "" {
			e.Code = &f.Code
		}
		if f.Type != "" {
			e.Type = &f.Type
		}
		return line{Error: &e}
	}
	a := answer{Text: got.Text, Tools: []tool{}, Finish: got.Finish, Complete: got.Complete}
	a.Usage.Input, a.Usage.Output = got.Input, got.Output
	for _, called := range got.Tools {
		a.Tools = append(a.Tools, tool(called))
	}
	return line{Answer: &a}
}
