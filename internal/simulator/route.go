package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiPath drops the prefixes under which providers of the same dialect serve
// it: Groq has /openai/v1, OpenRouter /api/v1, Azure /openai and the place of a
// deployment.
func apiPath(path string) string {
	for _, prefix := range []string{"/openai", "/api"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok && strings.HasPrefix(rest, "/v1/") {
			return rest
		}
	}
	if rest, ok := strings.CutPrefix(path, "/openai/deployments/"); ok {
		if _, call, ok := strings.Cut(rest, "/"); ok {
			return "/v1/" + call
		}
	}
	if rest, ok := strings.CutPrefix(path, "/openai/"); ok {
		return "/v1/" + rest
	}
	return path
}

const (
	responsesPath   = "/v1/responses"
	completionsPath = "/v1/completions"
)

// mustParse is true where a body that is no JSON object is an error.
func mustParse(path string) bool {
	p := apiPath(path)
	_, _, gemini := geminiCall(path)
	_, _, bedrock := bedrockGenerates(path)
	return gemini || bedrock || p == coherePath || strings.HasSuffix(path, "/interactions") || p == "/v1/chat/completions" || p == "/v1/messages" || p == "/v1/embeddings" || p == responsesPath || p == completionsPath
}

// isAside is true for what never takes a script from the queue.
func isAside(path string) bool {
	p := apiPath(path)
	return p == "/v1/embeddings" || p == "/v1/echo" || strings.HasSuffix(p, ":countTokens") || isAmazon(path) && !mustParse(path)
}

// authenticate asks for a credential in any of the forms that providers take.
func (x *exchange) authenticate() End {
	if apiPath(x.r.URL.Path) == "/v1/echo" {
		return ""
	}
	h := x.r.Header
	key := h.Get("X-Api-Key")
	for _, other := range []string{h.Get("Api-Key"), h.Get("X-Goog-Api-Key"), x.r.URL.Query().Get("key"), bearer(h.Get("Authorization"))} {
		if key == "" {
			key = other
		}
	}
	switch {
	case key == "" && x.dialect == anthropic:
		return x.reject(http.StatusUnauthorized, ErrorBody{Message: "x-api-key header is required"})
	case key == "" && x.dialect == amazon:
		return x.reject(http.StatusForbidden, ErrorBody{Type: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"})
	case key == "" && x.dialect == google:
		return x.reject(http.StatusForbidden, ErrorBody{})
	case key == "":
		return x.reject(http.StatusUnauthorized, ErrorBody{Message: "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."})
	case len(x.sim.opts.Keys) == 0 || slices.Contains(x.sim.opts.Keys, key):
		return ""
	case x.dialect == amazon:
		return x.reject(http.StatusForbidden, ErrorBody{Type: "UnrecognizedClientException", Message: "The security token included in the request is invalid."})
	}
	return x.reject(http.StatusUnauthorized, ErrorBody{})
}

// bearer is the credential of an Authorization header: the token, or the id of the access key of an AWS signature,
// which isn't checked. Another scheme is taken whole.
func bearer(v string) string {
	if len(v) >= 7 && strings.EqualFold(v[:7], "Bearer ") {
		return strings.TrimSpace(v[7:])
	}
	if _, scope, ok := strings.Cut(v, "Credential="); ok && strings.HasPrefix(v, "AWS4-") {
		id, _, _ := strings.Cut(scope, "/")
		return id
	}
	return v
}

// route runs the faults that come before any answer, then the endpoint.
func (x *exchange) route() End {
	s := &x.script
	path := apiPath(x.r.URL.Path)
	chat := path == "/v1/chat/completions" && x.r.Method == http.MethodPost
	messages := path == "/v1/messages" && x.r.Method == http.MethodPost
	_, _, gemini := geminiCall(path)
	gemini = gemini && x.r.Method == http.MethodPost
	_, operation, bedrock := bedrockGenerates(path)
	bedrock = bedrock && x.r.Method == http.MethodPost
	responses := path == responsesPath && x.r.Method == http.MethodPost
	completions := path == completionsPath && x.r.Method == http.MethodPost
	cohere := path == coherePath && x.r.Method == http.MethodPost
	interaction := isInteraction(x.r)
	switch {
	case s.Replay != nil:
		x.answer = x.newReplayAnswer()
		x.sim.update(func() { x.entry.Streamed = true })
	case chat, messages, gemini, responses, completions, cohere, interaction, bedrock:
		x.answer = x.newAnswer()
		x.sim.update(func() { x.entry.ResponseID, x.entry.Model = x.answer.id, x.answer.model })
	}
	if end := x.before(); end != "" {
		return end
	}
	switch {
	case s.Replay != nil:
		return x.replay()
	case (chat || completions) && s.RejectStreamUsage && len(x.req.StreamOptions) > 0:
		return x.reject(http.StatusBadRequest, ErrorBody{Message: "Unrecognized request argument supplied: stream_options"})
	case chat && x.req.Stream:
		return x.stream(x.answer.chatFrames(x.usagePlace(), x.script.Obfuscation))
	case chat:
		return x.whole(x.answer.chatBody(x.script.Usage))
	case messages && x.req.Stream:
		return x.stream(x.answer.messageFrames(x.script.PingEvery, x.script.Usage != UsageNone))
	case messages:
		return x.whole(x.answer.messageBody(x.script.Usage != UsageNone))
	case gemini:
		return x.gemini()
	case interaction:
		return x.interaction()
	case cohere && x.req.Stream:
		return x.stream(x.answer.cohereFrames(s.Usage != UsageNone))
	case cohere:
		return x.whole(x.answer.cohereBody(s.Usage != UsageNone))
	case bedrock:
		return x.bedrock(operation)
	case responses && x.req.Stream:
		return x.stream(x.answer.responseFrames(s.Usage != UsageNone, s.Obfuscation))
	case responses && x.req.Background:
		return x.queued()
	case responses:
		return x.whole(x.answer.responseBody(x.answer.responseStatus(), s.Usage != UsageNone))
	case completions && x.req.Stream:
		return x.stream(x.answer.completionFrames(x.usagePlace() == UsageAlways))
	case completions:
		return x.whole(x.answer.completionBody(s.Usage != UsageNone))
	}
	return x.aside(path)
}

// usagePlace resolves UsageAsked by what the request asked.
func (x *exchange) usagePlace() UsagePlace {
	switch asked := x.req.includeUsage(); {
	case x.script.Usage != UsageAsked:
		return x.script.Usage
	case asked:
		return UsageAlways
	default:
		return UsageNone
	}
}

// before is all that can happen to a request ahead of its response head.
func (x *exchange) before() End {
	s := &x.script
	if s.StallHead {
		if end := x.stall(); end != "" {
			return end
		}
	}
	if end := x.sleep(s.HeaderDelay); end != "" {
		return end
	}
	switch {
	case s.Drop:
		return EndDropped
	case s.Status != 0 && s.ErrorAfterEvents == 0:
		return x.reject(s.Status, s.Error)
	}
	return ""
}

// head writes the response head. A negative length leaves it open.
func (x *exchange) head(status int, contentType string, length int) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	took := time.Since(x.entry.Started)
	switch x.dialect {
	case google: // which names no request
		h.Set("Server-Timing", "gfet4t7; dur="+strconv.FormatInt(took.Milliseconds(), 10))
	case amazon:
		h.Set("X-Amzn-Requestid", x.entry.RequestID)
	case anthropic:
		h.Set("Request-Id", x.entry.RequestID)
		h.Set("Anthropic-Organization-Id", "5f0c6a52-0000-4000-8000-000000000001")
		for _, kind := range []string{"Requests", "Input-Tokens", "Output-Tokens"} {
			h.Set("Anthropic-Ratelimit-"+kind+"-Limit", "400000")
			h.Set("Anthropic-Ratelimit-"+kind+"-Remaining", "399000")
			h.Set("Anthropic-Ratelimit-"+kind+"-Reset", time.Now().UTC().Add(time.Second).Format(time.RFC3339))
		}
	default:
		h.Set("X-Request-Id", x.entry.RequestID)
		h.Set("Openai-Version", "2020-10-01")
		h.Set("Openai-Organization", "org-simulator")
		h.Set("Openai-Processing-Ms", strconv.FormatInt(took.Milliseconds(), 10))
		for _, kind := range []string{"Requests", "Tokens"} {
			h.Set("X-Ratelimit-Limit-"+kind, "30000")
			h.Set("X-Ratelimit-Remaining-"+kind, "29999")
			h.Set("X-Ratelimit-Reset-"+kind, "2ms")
		}
	}
	if length >= 0 {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	for name, value := range x.script.Headers {
		if value == "" {
			h.Del(name)
		} else {
			h.Set(name, value)
		}
	}
	x.status = status
	x.w.WriteHeader(status)
}
