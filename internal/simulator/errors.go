package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
)

// dialect is whose shapes a response has.
type dialect int

const (
	openai dialect = iota
	anthropic
	google
	cohere
	amazon
)

// fill completes an error with what the real provider says for a status.
func (e ErrorBody) fill(d dialect, status int) ErrorBody {
	std := openaiError(status)
	switch d {
	case anthropic:
		std = anthropicError(status)
	case google:
		std = googleError(status)
	case amazon:
		std = amazonError(status)
	}
	if e.Type != "" {
		std.Type = e.Type
	}
	if e.Code != "" {
		std.Code = e.Code
	}
	if e.Message != "" {
		std.Message = e.Message
	}
	return std
}

func openaiError(status int) ErrorBody {
	switch status {
	case http.StatusUnauthorized:
		return ErrorBody{"invalid_request_error", "invalid_api_key", "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."}
	case http.StatusForbidden:
		return ErrorBody{"invalid_request_error", "unsupported_country_region_territory", "Country, region, or territory not supported"}
	case http.StatusNotFound:
		return ErrorBody{"invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."}
	case http.StatusTooManyRequests:
		return ErrorBody{"requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again later."}
	case http.StatusServiceUnavailable, 529:
		return ErrorBody{"server_error", "", "The engine is currently overloaded, please try again later"}
	}
	if status >= 500 {
		return ErrorBody{"server_error", "", "The server had an error while processing your request. Sorry about that!"}
	}
	return ErrorBody{"invalid_request_error", "", "The request could not be processed."}
}

func anthropicError(status int) ErrorBody {
	switch status {
	case http.StatusUnauthorized:
		return ErrorBody{"authentication_error", "", "invalid x-api-key"}
	case http.StatusPaymentRequired:
		return ErrorBody{"billing_error", "", "Your credit balance is too low to access the Anthropic API."}
	case http.StatusForbidden:
		return ErrorBody{"permission_error", "", "Your API key does not have permission to use the specified resource."}
	case http.StatusNotFound:
		return ErrorBody{"not_found_error", "", "Not Found"}
	case http.StatusRequestEntityTooLarge:
		return ErrorBody{"request_too_large", "", "Request exceeds the maximum size"}
	case http.StatusTooManyRequests:
		return ErrorBody{"rate_limit_error", "", "This request would exceed your organization's rate limit. Please try again later."}
	case http.StatusGatewayTimeout:
		return ErrorBody{"timeout_error", "", "The request timed out."}
	case http.StatusServiceUnavailable, 529:
		return ErrorBody{"overloaded_error", "", "Overloaded"}
	}
	if status >= 500 {
		return ErrorBody{"api_error", "", "Internal server error"}
	}
	return ErrorBody{"invalid_request_error", "", "The request could not be processed."}
}

// googleError has the status as its code.
func googleError(status int) ErrorBody {
	e := ErrorBody{"INVALID_ARGUMENT", strconv.Itoa(status), "Request contains an invalid argument."}
	switch status {
	case http.StatusUnauthorized:
		e.Type, e.Message = "UNAUTHENTICATED", "API keys are not supported by this API. Expected OAuth2 access token."
	case http.StatusForbidden:
		e.Type, e.Message = "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity)."
	case http.StatusNotFound:
		e.Type, e.Message = "NOT_FOUND", "The model is not found for API version v1beta, or is not supported for generateContent."
	case http.StatusTooManyRequests:
		e.Type, e.Message = "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."
	case http.StatusServiceUnavailable, 529:
		e.Type, e.Code, e.Message = "UNAVAILABLE", "503", "The model is overloaded. Please try again later."
	default:
		if status >= 500 {
			e.Type, e.Message = "INTERNAL", "An internal error has occurred. Please retry."
		}
	}
	return e
}

// responseEvent is the error as an event of Responses, which has members of its own.
func (e ErrorBody) responseEvent(sequence int) []byte {
	b, _ := json.Marshal(struct { // strings always marshal
		Type     string  `json:"type"`
		Sequence int     `json:"sequence_number"`
		Code     string  `json:"code"`
		Message  string  `json:"message"`
		Param    *string `json:"param"`
	}{"error", sequence, cmp.Or(e.Code, e.Type), e.Message, nil})
	return b
}

// json is the error as a response body. Anthropic repeats the request id in
// it, but not in an event of a stream.
func (e ErrorBody) json(d dialect, requestID string) []byte {
	type inner struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	type anthropicInner struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	type googleInner struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
	}
	var body any
	switch d {
	case amazon:
		body = struct {
			Message string `json:"message"`
		}{e.Message}
	case google:
		code, _ := strconv.Atoi(e.Code) // a script's own may be none
		body = struct {
			Error googleInner `json:"error"`
		}{googleInner{code, e.Message, e.Type}}
	case anthropic:
		body = struct {
			Type      string         `json:"type"`
			Error     anthropicInner `json:"error"`
			RequestID string         `json:"request_id,omitempty"`
		}{"error", anthropicInner{e.Type, e.Message}, requestID}
	case cohere:
		body = struct {
			Message string `json:"message"`
		}{e.Message}
	default:
		in := inner{Message: e.Message, Type: e.Type}
		if e.Code != "" {
			in.Code = &e.Code
		}
		body = struct {
			Error inner `json:"error"`
		}{in}
	}
	b, _ := json.Marshal(body) // strings always marshal
	return b
}
