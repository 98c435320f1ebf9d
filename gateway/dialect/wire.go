package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	endpointChat        = "/v1/chat/completions"
	endpointResponses   = "/v1/responses"
	endpointCompletions = "/v1/completions"
	endpointMessages    = "/v1/messages"
)

// An Error is one of the gateway's own, before it takes a dialect's shape. What is empty gets the
// dialect's default for the status, or null.
type Error struct {
	Status  int    // the HTTP status it is sent with
	Type    string // the dialect's class of errors
	Code    string // OpenAI only: what exactly
	Message string // for the one who reads it
	Param   string // OpenAI only: the member of the request at fault
}

type openAI struct{}

func (openAI) Name() string { return "openai" }

func (openAI) Endpoint(path string) (string, bool) {
	for _, canonical := range []string{endpointChat, endpointResponses} {
		if e, ok := endpoint(path, strings.TrimPrefix(canonical, "/v1"), canonical); ok {
			return e, true
		}
	}
	prefix, ok := strings.CutSuffix("/"+path, "/completions")
	if !ok || !beforeCompletions.MatchString(prefix) {
		return "", false
	}
	return endpointCompletions, true
}

// beforeCompletions is what may stand before the last segment of Completions: nothing, a version, or the place
// of a model. Other APIs have paths that end alike: Mistral's /v1/fim/completions, /v1/agents/completions.
var beforeCompletions = regexp.MustCompile(`^/*$|/(v\d+|beta|openai|(deployments|engines)/[^/]+)/*$`)

func (openAI) Parse(endpoint string, body []byte) (Request, error) {
	return parseRequest(endpoint, body)
}

func (openAI) Observe(req Request, contentType string) Observer {
	sse := req.SSE(contentType)
	switch {
	case req.Endpoint == endpointResponses && sse:
		return new(responses)
	case req.Endpoint == endpointResponses:
		return newResponsesBody()
	case sse:
		return newChat(req)
	}
	return newBody(chatBody)
}

func (openAI) Error(e Error) (string, []byte) {
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	if e.Type == "" {
		e.Type = openAIErrorType(e.Status)
	}
	return render(struct {
		Error inner `json:"error"`
	}{inner{e.message(), e.Type, optional(e.Param), optional(e.Code)}})
}

// Locate finds the deployment, which a path of Azure's names. Whatever model the body names then, it is no guide.
func (openAI) Locate(req Request, path, _ string) Request {
	_, rest, ok := strings.Cut(path, "/deployments/")
	name, _, _ := strings.Cut(rest, "/")
	if plain, err := url.PathUnescape(name); ok && err == nil && plain != "" && len(plain) <= maxToken {
		req.Model, req.Deployment, req.located = "", plain, true
	}
	return req
}

// Keepalive is a comment without a blank line: with one, some clients take it for an empty event.
func (openAI) Keepalive() []byte { return []byte(": hb\n") }

func openAIErrorType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

type anthropic struct{}

func (anthropic) Name() string { return "anthropic" }

func (anthropic) Endpoint(path string) (string, bool) {
	return endpoint(path, "/messages", endpointMessages)
}

func (anthropic) Parse(endpoint string, body []byte) (Request, error) {
	return parseRequest(endpoint, body)
}

func (anthropic) Observe(req Request, contentType string) Observer {
	if !req.SSE(contentType) {
		return newBody(messagesBody)
	}
	return new(messages)
}

func (anthropic) Error(e Error) (string, []byte) {
	type inner struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	if e.Type == "" {
		e.Type = anthropicErrorType(e.Status)
	}
	return render(struct {
		Type      string  `json:"type"`
		Error     inner   `json:"error"`
		RequestID *string `json:"request_id"`
	}{"error", inner{e.Type, e.message()}, nil})
}

func (anthropic) Keepalive() []byte {
	return []byte("event: ping\ndata: {\"type\": \"ping\"}\n\n")
}

// statusOverloaded is Anthropic's own.
const statusOverloaded = 529

func anthropicErrorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound, http.StatusGone:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout_error"
	case http.StatusServiceUnavailable, statusOverloaded:
		return "overloaded_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}

// endpoint compares the last segments of a path.
func endpoint(path, suffix, canonical string) (string, bool) {
	if !strings.HasSuffix("/"+path, suffix) {
		return "", false
	}
	return canonical, true
}

// message is never empty: clients show it.
func (e Error) message() string {
	if e.Message == "" {
		return http.StatusText(e.Status)
	}
	return e.Message
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// render encodes an error without escaping what only HTML needs escaped.
func render(v any) (contentType string, body []byte) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Structs of strings have nothing that could fail to encode.
	_ = enc.Encode(v)
	return "application/json", bytes.TrimRight(b.Bytes(), "\n")
}
