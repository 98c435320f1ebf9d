package dialect

import (
	"bytes"
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// The endpoints of Amazon Bedrock. Which of them streams is in the path.
const (
	bedrockModel            = "/model/{modelId}/"
	endpointConverse        = bedrockModel + "converse"
	endpointConverseStream  = bedrockModel + "converse-stream"
	endpointInvoke          = bedrockModel + "invoke"
	endpointInvokeStream    = bedrockModel + "invoke-with-response-stream"
	eventStreamType         = "application/vnd.amazon.eventstream"
	bedrockHeader           = "X-Amzn-Bedrock-"
	maxModelID              = 2048 // as the API has it
	defaultTier             = "default"
	bedrockErrorHeader      = "X-Amzn-ErrorType"
	bedrockValidation       = "ValidationException"
	bedrockAccessDenied     = "AccessDeniedException"
	bedrockResourceNotFound = "ResourceNotFoundException"
)

type bedrock struct{}

func (bedrock) Name() string { return "bedrock" }

// Endpoint knows the four operations that generate. A model is named by its id or by an ARN, escaped or not.
func (bedrock) Endpoint(path string) (string, bool) {
	model, operation := bedrockCall(path)
	endpoint := bedrockModel + operation
	known := slices.Contains([]string{endpointConverse, endpointConverseStream, endpointInvoke, endpointInvokeStream}, endpoint)
	if model == "" || !known {
		return "", false
	}
	return endpoint, true
}

// bedrockCall returns the model and the operation of an escaped path; no model if the path is of another kind.
func bedrockCall(path string) (model, operation string) {
	_, rest, ok := strings.Cut(path, "/model/")
	slash := strings.LastIndexByte(rest, '/')
	if !ok || slash < 0 {
		return "", ""
	}
	model, err := url.PathUnescape(rest[:slash])
	if err != nil || len(model) > maxModelID {
		return "", ""
	}
	return model, rest[slash+1:]
}

// Locate finds the model, which the path names.
func (bedrock) Locate(req Request, path, _ string) Request {
	req.Model, _ = bedrockCall(path)
	req.located = true
	return req
}

func (bedrock) Parse(endpoint string, body []byte) (Request, error) {
	return parseBedrock(endpoint, body)
}

func (bedrock) Observe(req Request, contentType string) Observer {
	switch {
	case !req.frames(contentType):
		return newBedrockBody()
	case req.Endpoint == endpointConverseStream:
		return &converseEvents{bedrockStream: newBedrockStream(req)}
	}
	return newInvokeEvents(req)
}

// Error has the message alone; its type is in a header, as ErrorHeader has it.
func (bedrock) Error(e Error) (string, []byte) {
	return render(struct {
		Message string `json:"message"`
	}{e.message()})
}

// Keepalive is nothing: there is no frame that clients are known to pass over.
func (bedrock) Keepalive() []byte { return nil }

func (bedrock) errorHeader(e Error) (name, value string) {
	return bedrockErrorHeader, cmp.Or(e.Type, bedrockException(e.Status))
}

// cutOff is an exception in a frame: there are SDKs of AWS's that take a connection which breaks off for the end of
// the stream.
func (bedrock) cutOff(contentType string, e Error) []byte {
	if mediaOf(contentType) != eventStreamType {
		return nil
	}
	name := "modelStreamErrorException"
	if e.Status == http.StatusServiceUnavailable {
		name = "serviceUnavailableException"
	}
	_, payload := bedrock{}.Error(e)
	m := eventstream.Message{Payload: payload}
	m.Headers.Set(":exception-type", eventstream.StringValue(name))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	m.Headers.Set(":message-type", eventstream.StringValue(messageException))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		return nil // of strings, which it takes
	}
	return b.Bytes()
}

// fingerprinted are the headers that say what is asked for beside the body: a guardrail, a tier.
func (bedrock) fingerprinted(name string) bool { return strings.HasPrefix(name, bedrockHeader) }

func bedrockException(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return bedrockAccessDenied
	case http.StatusNotFound, http.StatusGone:
		return bedrockResourceNotFound
	case http.StatusTooManyRequests:
		return "ThrottlingException"
	case http.StatusServiceUnavailable:
		return "ServiceUnavailableException"
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return "ModelTimeoutException"
	}
	if status >= 500 {
		return "InternalServerException"
	}
	return bedrockValidation
}

// ErrorHeader returns the header, beside those of HTTP, in which the clients of d look for the type of an error; empty
// where they don't.
func ErrorHeader(d Dialect, e Error) (name, value string) {
	if h, ok := d.(interface {
		errorHeader(Error) (name, value string)
	}); ok {
		return h.errorHeader(e)
	}
	return "", ""
}

// CutOff is what tells the clients of d, within an answer of this Content-Type, that it breaks off, where not all of
// them see that by themselves; empty where they do.
func CutOff(d Dialect, contentType string, e Error) []byte {
	if c, ok := d.(interface {
		cutOff(contentType string, e Error) []byte
	}); ok {
		return c.cutOff(contentType, e)
	}
	return nil
}

// Selectors are the headers of a call of d that choose what is generated, in a form that is the same for equal ones:
// calls that differ in them are not the same call. Mostly there are none.
func Selectors(d Dialect, h http.Header) []string {
	f, ok := d.(interface{ fingerprinted(name string) bool })
	if !ok {
		return nil
	}
	var all []string
	for name, values := range h {
		if f.fingerprinted(name) {
			all = append(all, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(all)
	return all
}

// bedrock tells whether the call is one of Bedrock's.
func (r Request) bedrock() bool { return strings.HasPrefix(r.Endpoint, bedrockModel) }

// frames tells whether an answer to r with this Content-Type is an AWS event stream. A type that says nothing is
// believed to be what the call asked for.
func (r Request) frames(contentType string) bool {
	if !r.bedrock() {
		return false
	}
	media := mediaOf(contentType)
	return media == eventStreamType || r.Stream && media == ""
}
