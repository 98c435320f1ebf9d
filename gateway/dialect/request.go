package dialect

import (
	"fmt"
	"slices"
	"strconv"
)

// maxPrompts is how many prompts of one call are believed in.
const maxPrompts = 1 << 20

// BadRequest says why a body can't be a call of its endpoint, in words for the one who wrote it.
type BadRequest struct {
	Message string
	Param   string // the member at fault, where it is one
}

func (e *BadRequest) Error() string { return e.Message }

const (
	reqModel = firstNode + iota
	reqStream
	reqN
	reqStreamOptions
	reqIncludeUsage
	reqMaxTokens
	reqMaxCompletion
	reqTier
	reqMaxOutput
	reqBackground
	reqBestOf
	reqPrompt
	reqPrompts
	reqMembers // how many places there are
)

// reqParams are the members' names, as an error calls them.
var reqParams = [reqMembers]string{
	reqModel: "model", reqStream: "stream", reqN: "n",
	reqStreamOptions: "stream_options", reqIncludeUsage: "stream_options.include_usage",
}

// parse watches a request body for the members that a Request is made of. Of a member given
// twice the last counts, as everywhere.
type parse struct {
	req    Request
	object bool // the body is an object

	maxTokens, maxCompletion int64 // chat has the one under two names, of which the newer counts
	bestOf, prompts          int64 // completions: what is generated to choose from, and for how many prompts
	err                      *BadRequest
}

// parseRequest reads a body. Only calls of Chat Completions and of Completions have n and stream_options.
func parseRequest(endpoint string, body []byte) (Request, error) {
	p := &parse{req: Request{Endpoint: endpoint, Choices: 1}}
	if err := checkBody(body, p, &p.object); err != nil {
		return Request{}, err
	}
	if p.err != nil {
		return Request{}, p.err
	}
	if p.req.MaxTokens = p.maxTokens; p.maxCompletion > 0 {
		p.req.MaxTokens = p.maxCompletion
	}
	p.req.Choices = int(min(max(int64(p.req.Choices), p.bestOf), maxCount) * min(max(p.prompts, 1), maxPrompts))
	return p.req, nil
}

// checkBody has w watch a body, and refuses one that is no JSON object; w sets object if it is.
func checkBody(body []byte, w watcher, object *bool) error {
	var json scanner
	json.reset()
	json.feed(body, w)
	switch whole := json.end(w); {
	case json.deep:
		return &BadRequest{Message: fmt.Sprintf("The request body is nested more than %d levels deep. Flatten it.", maxDepth)}
	case len(body) == 0:
		return &BadRequest{Message: "The request body is empty. Send a JSON object."}
	case !whole:
		return &BadRequest{Message: "The request body is not valid JSON. Send one whole JSON object."}
	case !*object:
		return &BadRequest{Message: "The request body is not a JSON object. Send an object with the members of the call."}
	}
	return nil
}

func (p *parse) child(parent node, key []byte) node {
	switch k := string(key); parent {
	case root:
		switch k {
		case "model":
			return reqModel
		case "stream":
			return reqStream
		case "n":
			return p.only(reqN, endpointChat, endpointCompletions)
		case "stream_options":
			return p.only(reqStreamOptions, endpointChat, endpointCompletions)
		case "max_tokens":
			return reqMaxTokens
		case "max_completion_tokens":
			return p.only(reqMaxCompletion, endpointChat)
		case "max_output_tokens":
			return p.only(reqMaxOutput, endpointResponses)
		case "background":
			return p.only(reqBackground, endpointResponses)
		case "best_of":
			return p.only(reqBestOf, endpointCompletions)
		case "prompt":
			return p.only(reqPrompt, endpointCompletions)
		case "service_tier":
			return reqTier
		}
	case reqStreamOptions:
		if k == "include_usage" {
			return reqIncludeUsage
		}
	case reqPrompt:
		return reqPrompts
	}
	return unwatched
}

// only is n for calls of these endpoints.
func (p *parse) only(n node, endpoints ...string) node {
	if slices.Contains(endpoints, p.req.Endpoint) {
		return n
	}
	return unwatched
}

func (p *parse) open(n node, object bool) {
	switch {
	case n == root:
		p.object = object
	case n == reqStreamOptions && object:
		p.req.IncludeUsage = nil
	case n == reqMaxTokens || n == reqMaxCompletion || n == reqTier || n >= reqMaxOutput:
		p.hint(n, nil, false) // what is wrong with these is the provider's to say
	default:
		p.wrong(n)
	}
}

func (p *parse) close(node) {}

func (p *parse) written([]byte) {}

func (p *parse) value(n node, raw []byte, quoted bool) {
	if n == root {
		return
	}
	null := !quoted && string(raw) == "null"
	switch n {
	case reqModel:
		if !quoted && !null {
			p.wrong(n)
			return
		}
		if len(raw) > maxToken {
			p.fail(n, fmt.Sprintf("The model's name is longer than %d bytes. Check the member model.", maxToken))
			return
		}
		p.req.Model = ""
		if quoted {
			p.req.Model = string(plain(raw))
		}
	case reqN:
		p.choices(raw, quoted)
	case reqStream, reqIncludeUsage:
		p.flag(n, string(raw), quoted)
	case reqStreamOptions:
		p.req.IncludeUsage = nil
		if !null {
			p.wrong(n)
		}
	default:
		p.hint(n, raw, quoted)
	}
}

// hint takes a member that the gateway can do without: what makes no sense is unknown.
func (p *parse) hint(n node, raw []byte, quoted bool) {
	limit, err := strconv.ParseInt(string(raw), 10, 64)
	if quoted || err != nil || limit < 0 {
		limit = 0
	}
	switch n {
	case reqMaxTokens:
		p.maxTokens = limit
	case reqMaxCompletion, reqMaxOutput:
		p.maxCompletion = limit
	case reqBackground:
		p.req.Background = !quoted && string(raw) == "true"
	case reqBestOf:
		p.bestOf = limit
	case reqPrompt:
		p.prompts = 0 // one, or as many as follow
	case reqPrompts:
		// A prompt is a text or a list of tokens. A list of numbers is one prompt.
		if quoted || raw == nil {
			p.prompts++
		}
	case reqTier:
		p.req.ServiceTier = ""
		if quoted && len(raw) <= maxToken {
			p.req.ServiceTier = string(plain(raw))
		}
	}
}

// flag takes a member that is true, false or null.
func (p *parse) flag(n node, raw string, quoted bool) {
	on := raw == "true"
	null := raw == "null"
	switch {
	case quoted, !on && !null && raw != "false":
		p.wrong(n)
	case n == reqStream:
		p.req.Stream = on
	case null:
		p.req.IncludeUsage = nil
	default:
		p.req.IncludeUsage = &on
	}
}

func (p *parse) choices(raw []byte, quoted bool) {
	switch n, err := strconv.Atoi(string(raw)); {
	case !quoted && string(raw) == "null":
		p.req.Choices = 1
	case quoted || err != nil:
		p.wrong(reqN)
	case n < 1:
		p.fail(reqN, "The member n is less than 1. Ask for at least one choice, or leave it out.")
	default:
		p.req.Choices = n
	}
}

// wrong notes that a member has a value of the wrong type.
func (p *parse) wrong(n node) {
	var want string
	switch n {
	case reqModel:
		want = "a string"
	case reqN:
		want = "a whole number"
	case reqStreamOptions:
		want = "an object"
	default:
		want = "true or false"
	}
	p.fail(n, fmt.Sprintf("The member %s has the wrong type. Give it %s, or leave it out.", reqParams[n], want))
}

// fail notes what is wrong first.
func (p *parse) fail(n node, message string) {
	if p.err == nil {
		p.err = &BadRequest{Message: message, Param: reqParams[n]}
	}
}
