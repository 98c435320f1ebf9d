package dialect

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The endpoints of Gemini, by their methods. Streamed answers have two forms, which the query chooses.
const (
	endpointGemini       = "/v1beta/models/{model}:generateContent"
	endpointGeminiStream = "/v1beta/models/{model}:streamGenerateContent"
	endpointGeminiSSE    = endpointGeminiStream + "?alt=sse"
)

type gemini struct{}

func (gemini) Name() string { return "gemini" }

// Endpoint knows the making of an interaction, and two methods of any resource that generates, wherever it is: a model, also of a publisher
// in one of Vertex's projects, a tuned model or an endpoint. The form is for Locate to find.
func (gemini) Endpoint(path string) (string, bool) {
	if e, ok := endpoint(path, "/interactions", endpointInteractions); ok {
		return e, true
	}
	resource, method := geminiMethod(path)
	switch {
	case resource == "":
	case method == "generateContent":
		return endpointGemini, true
	case method == "streamGenerateContent":
		return endpointGeminiStream, true
	}
	return "", false
}

// geminiMethod returns the last two segments of an escaped path, the resource, and the method behind its
// colon. The path of no method has no resource.
func geminiMethod(path string) (resource, method string) {
	plain, err := url.PathUnescape(path)
	colon := strings.LastIndexByte(plain, ':')
	if err != nil || colon < 0 || colon < strings.LastIndexByte(plain, '/') {
		return "", ""
	}
	segments := strings.Split(plain[:colon], "/")
	n := len(segments)
	if n < 2 || segments[n-1] == "" || len(segments[n-1]) > maxToken || !slices.Contains([]string{"models", "tunedModels", "endpoints"}, segments[n-2]) {
		return "", ""
	}
	return segments[n-2] + "/" + segments[n-1], plain[colon+1:]
}

// Locate finds the model, which the path names, and the form, which the query asks for.
func (gemini) Locate(req Request, path, query string) Request {
	if req.Endpoint == endpointInteractions {
		return req // both are in the body
	}
	resource, _ := geminiMethod(path)
	req.Model = strings.TrimPrefix(resource, "models/")
	req.located = true
	asked, _ := url.ParseQuery(query) // of what is malformed the rest counts, as at most servers
	if req.Endpoint == endpointGeminiStream && (asked.Get("alt") == "sse" || asked.Get("$alt") == "sse") {
		req.Endpoint = endpointGeminiSSE
	}
	return req
}

func (gemini) Parse(endpoint string, body []byte) (Request, error) {
	return parseGemini(endpoint, body)
}

func (gemini) Observe(req Request, contentType string) Observer {
	switch {
	case req.Endpoint == endpointInteractions && req.SSE(contentType):
		return new(interactionEvents)
	case req.Endpoint == endpointInteractions:
		return newInteractionBody()
	case req.SSE(contentType):
		return new(geminiEvents)
	case req.array():
		return newGeminiArray()
	}
	return newGeminiBody()
}

// Error has the code of the status, its name among Google's, and the gateway's own code where Google
// puts a reason.
func (gemini) Error(e Error) (string, []byte) {
	type info struct {
		Type   string `json:"@type"`
		Reason string `json:"reason"`
		Domain string `json:"domain"`
	}
	type inner struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
		Details []info `json:"details,omitempty"`
	}
	if e.Type == "" {
		e.Type = geminiStatus(e.Status)
	}
	in := inner{Code: e.Status, Message: e.message(), Status: e.Type}
	if e.Code != "" {
		in.Details = []info{{"type.googleapis.com/google.rpc.ErrorInfo", strings.ToUpper(e.Code), "recoup"}}
	}
	return render(struct {
		Error inner `json:"error"`
	}{in})
}

// Keepalive is nothing: the SDKs lose events, or fail, at whatever isn't data.
func (gemini) Keepalive() []byte { return nil }

func geminiStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound, http.StatusGone:
		return "NOT_FOUND"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case statusCancelled:
		return "CANCELLED"
	case http.StatusNotImplemented:
		return "UNIMPLEMENTED"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	case http.StatusGatewayTimeout:
		return "DEADLINE_EXCEEDED"
	}
	if status >= 500 {
		return "INTERNAL"
	}
	return "INVALID_ARGUMENT"
}

// statusCancelled is Google's, and others', for a call that its client gave up.
const statusCancelled = 499
