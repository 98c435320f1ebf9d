package dialect

import (
	"mime"
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
)

// A Dialect is one provider API as it looks on the wire. Values are stateless and may be shared.
type Dialect interface {
	// Name is the dialect's name in configuration: "openai", "anthropic", "gemini", "cohere", "bedrock".
	Name() string

	// Endpoint tells whether a POST to path is a generating call, and which: the canonical endpoint,
	// "/v1/chat/completions", "/v1/messages", "/v1beta/models/{model}:generateContent" or "/model/{modelId}/converse". The path is the one that goes to the provider,
	// without its query; any prefix before the endpoint's own segments is allowed.
	Endpoint(path string) (endpoint string, ok bool)

	// Parse reads what the gateway has to know of a request body. Members that it doesn't know it
	// leaves to the provider. An error is always a *BadRequest.
	Parse(endpoint string, body []byte) (Request, error)

	// Observe returns a new observer for one attempt at req, answered with contentType.
	Observe(req Request, contentType string) Observer

	// Error renders an error of the gateway's own in the shape that this dialect's clients parse.
	Error(e Error) (contentType string, body []byte)

	// Keepalive is what can be written between two events of an SSE answer without any client
	// noticing, empty if that is nothing. The caller owns the slice.
	Keepalive() []byte
}

// The dialects.
var (
	OpenAI    Dialect = openAI{}
	Anthropic Dialect = anthropic{}
	Gemini    Dialect = gemini{}
	Cohere    Dialect = cohere{}
	Bedrock   Dialect = bedrock{}
)

// Named returns the dialect of that name in configuration.
func Named(name string) (Dialect, bool) {
	switch name {
	case OpenAI.Name():
		return OpenAI, true
	case Anthropic.Name():
		return Anthropic, true
	case Gemini.Name():
		return Gemini, true
	case Cohere.Name():
		return Cohere, true
	case Bedrock.Name():
		return Bedrock, true
	}
	return nil, false
}

// A Request is what the gateway knows of a generating call.
type Request struct {
	Endpoint     string // canonical, as from Dialect.Endpoint; behind Locate with the form of its stream
	Model        string // as the client named it; empty where it is not in the body
	Stream       bool   // the client asked for a stream
	Choices      int    // how many answers were asked for, at least 1: n, or best_of, and of completions for each prompt
	IncludeUsage *bool  // stream_options.include_usage; nil where absent or null
	MaxTokens    int64  // the most output tokens asked for, of each choice; 0 where unknown
	ServiceTier  string // as asked for; empty where it was not
	Background   bool   // Responses: the provider goes on without a client
	Deployment   string // the customer's own name for a model, where the call has that instead; which model it is only the answer says

	located bool // the model, or the deployment, is from the URL
}

// A locator is a dialect whose calls say in their URL what others say in the body.
type locator interface {
	Locate(req Request, path, query string) Request
}

// Locate adds to what Parse read of a call of d what the URL says of it: Gemini's or Bedrock's model, and the form
// of Gemini's streams; Azure's deployment. The path is that which Endpoint was asked of, escaped; the query is raw.
func Locate(d Dialect, req Request, path, query string) Request {
	if l, ok := d.(locator); ok {
		return l.Locate(req, path, query)
	}
	return req
}

// Address tells calls with the same body apart: by their endpoint, and by the model where the body
// doesn't name it.
func (r Request) Address() string {
	if r.located {
		return r.Endpoint + " " + r.Model + r.Deployment
	}
	return r.Endpoint
}

// array tells whether a JSON answer to r is an array that comes by and by.
func (r Request) array() bool {
	return r.Stream && (r.Endpoint == endpointGeminiStream || r.Endpoint == endpointGeminiSSE)
}

// A Framing cuts the body of an answer into events, as a Splitter does.
type Framing interface {
	Feed(p []byte) []Part
	Flush() []Part
}

// Framing returns what cuts an answer to r with this Content-Type into events, in parts of maxPart bytes
// at most; nil if it is no stream.
func (r Request) Framing(contentType string, maxPart int) Framing {
	switch {
	case r.frames(contentType):
		return NewEventStream(maxPart)
	case r.SSE(contentType):
		return NewSSE(maxPart)
	case r.array():
		return NewArray(maxPart)
	}
	return nil
}

// SSE tells whether an answer to r with this Content-Type is a stream of server-sent events. A type
// that says neither JSON nor SSE is believed to be what the call asked for.
func (r Request) SSE(contentType string) bool {
	switch media := mediaOf(contentType); {
	case media == "text/event-stream":
		return !r.bedrock()
	case media == "application/json", media == eventStreamType, strings.HasSuffix(media, "+json"):
		return false
	}
	return r.Stream && r.Endpoint != endpointGeminiStream && !r.bedrock()
}

// mediaOf is a Content-Type without its parameters.
func mediaOf(contentType string) string {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	return media
}

// A Sign says what an event means for the answer. Signs are bits: a finish chunk may carry text.
type Sign uint8

// Signs. Terminal and Failure exclude each other, and the first of either is the last.
const (
	Plain    Sign = 0         // nothing that the gateway has to know
	Terminal Sign = 1 << iota // completes the answer
	Failure                   // the provider gives up on the answer
	Text                      // carries generated text: of the answer, of shown reasoning, or of a tool call's arguments
	Closing                   // completes the answer if it is the last event of a body that ends well: Bedrock's, where a guardrail cut in
)

// An Observer reads one attempt's answer in order. It is not safe for concurrent use.
//
// For a stream, each event is given whole to Event, or in parts to Large. For an answer in one
// JSON body, each read is given to Event: it signs Failure with the read that shows an error at the
// top, and never Terminal, since what completes such an answer is its last byte, which only the reader
// knows; Whole then tells whether the JSON was all there.
type Observer interface {
	// Event reads one whole event, with its blank line. An event that the stream's end cut off must
	// not be given: it never is the terminal one. The observer does not keep data.
	Event(data []byte) Sign

	// Large reads an event that comes in parts, as a Splitter hands it out: first opens it, last
	// closes it. The sign of the event comes with its last part; before it is Plain. Only scan
	// state is kept, no content. Event(data) is Large(data, true, true).
	Large(part []byte, first, last bool) Sign

	// Whole tells whether what was read of a JSON body is exactly one JSON value. Of an SSE answer
	// it tells nothing: it is true. Of a stream in one JSON array it tells whether the array has ended.
	Whole() bool

	// ResponseID is the provider's id of the answer, empty until it was seen.
	ResponseID() string

	// Model is the model that the provider says it used, empty until it was seen.
	Model() string

	// FinishReasons are why the choices of the answer ended, as the provider says it, each once, in
	// the order in which they were seen.
	FinishReasons() []string

	// Usage is what the attempt reported so far, in normal form; the zero Usage if nothing. What a
	// provider doesn't say, or says in a way that makes no sense, is unknown. final tells that the report
	// was seen which closes the answer: chat, the usage object of a finish chunk or behind it;
	// Anthropic, that of the message_delta with a stop reason; Responses, that of the event which ends it; Gemini, one with the
	// last finishReason or behind it; Cohere, that of message-end; JSON, the body's own. Without it the usage is
	// the last running one: of Anthropic the input alone, since what message_start says of output is
	// a placeholder. The report is parsed at each call, not before.
	Usage() (u token.Usage, final bool)

	// Others are the parts of Usage that other models than Model generated: Anthropic's advisors.
	// They have prices of their own. Mostly there are none.
	Others() []ModelUsage
}
