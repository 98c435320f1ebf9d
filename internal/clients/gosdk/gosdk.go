// Package gosdk makes calls with the official SDKs for Go, in words that all of them
// have. Only tests use it: those of the gateway within their own process, those of
// internal/clients in a process of its own.
package gosdk

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// A Call is made with an SDK as it is: what isn't said here is the SDK's default.
type Call struct {
	Base    string // URL; "": what the environment says, and the key too
	Client  *http.Client
	Key     string // for Idempotency-Key
	Auto    bool   // Recoup-Resume: auto, of an SDK that takes no headers from the environment
	Stream  bool
	Tools   bool   // offer the tool "weather"
	Body    string // sent in place of the call's own, not streamed
	Model   string // "": the usual one
	Prompt  string // "": hello
	Retries *int
	Timeout time.Duration
	Delta   func(text string) // sees each piece of text
}

// An Answer is what an SDK made of a response.
type Answer struct {
	Text     string
	Tools    []Tool
	Calls    []string // ids of Tools
	Finish   string
	Complete bool // as a careful application would see it
	Input    int  // tokens as reported, cached ones included
	Output   int
	Objects  []string // all that was decoded, as it came
	Fault    Fault
}

// A Tool is one that the model calls.
type Tool struct{ Name, Arguments string }

// Kinds of faults.
const (
	FaultAPI   = "api"   // the SDK's own error type, with a status
	FaultEvent = "event" // likewise, from an event in mid-stream
	FaultCut   = "cut"   // the body has no proper end
	FaultOther = "other"
)

// A Fault is why there is no answer.
type Fault struct {
	Kind                  string // "": none
	Status                int
	Type, Code, Message   string
	RetryAfter, RequestID string // of the response, if there was one
	ShouldRetry           string // its X-Should-Retry
}

// Ask makes a call.
type Ask func(context.Context, Call) Answer

// callersKey is the credential of calls that have a Base.
const callersKey = "sk-alice"

// The tool that a call may offer.
const (
	toolName        = "weather"
	toolDescription = "The weather of the next days"
)

var toolProperties = map[string]any{"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer"}}

// toolSchema describes its arguments.
func toolSchema() map[string]any {
	return map[string]any{"type": "object", "properties": toolProperties, "required": []string{"city", "days"}, "additionalProperties": false}
}

func (c Call) prompt() string {
	if c.Prompt != "" {
		return c.Prompt
	}
	return "hello"
}

func (c Call) model(usual string) string {
	if c.Model != "" {
		return c.Model
	}
	return usual
}

// piece tells of a piece of text.
func (c Call) piece(text string) {
	if c.Delta != nil && text != "" {
		c.Delta(text)
	}
}

// aborted reports whether err is what a client sees of a body that was cut.
func aborted(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}
