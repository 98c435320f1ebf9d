package dialect

import (
	"strconv"
	"strings"
)

const (
	gemReqConfig = firstNode + iota
	gemReqCandidates
	gemReqMaxTokens
	gemReqTier
	gemReqModel
	gemReqAgent
	gemReqStream
	gemReqBackground
)

// geminiParse watches a request body for what a Request is made of. All of it the gateway can do without, so
// what makes no sense is unknown, and for the provider to refuse. Members may be spelt in either
// way that Google's JSON allows.
type geminiParse struct {
	req    Request
	agent  string
	object bool // the body is an object
}

func parseGemini(endpoint string, body []byte) (Request, error) {
	p := &geminiParse{req: Request{Endpoint: endpoint, Choices: 1, Stream: endpoint == endpointGeminiStream || endpoint == endpointGeminiSSE}}
	if err := checkBody(body, p, &p.object); err != nil {
		return Request{}, err
	}
	if p.req.Model == "" {
		p.req.Model = p.agent // which has a model of its own
	}
	return p.req, nil
}

func (p *geminiParse) child(parent node, key []byte) node {
	k := string(key)
	if p.req.Endpoint == endpointInteractions && parent == root {
		switch k {
		case "model":
			return gemReqModel
		case "agent":
			return gemReqAgent
		case "stream":
			return gemReqStream
		case "background":
			return gemReqBackground
		}
	}
	switch parent {
	case root:
		switch k {
		case "generationConfig", "generation_config":
			return gemReqConfig
		case "serviceTier", "service_tier":
			return gemReqTier
		}
	case gemReqConfig:
		switch k {
		case "candidateCount", "candidate_count":
			return gemReqCandidates
		case "maxOutputTokens", "max_output_tokens":
			return gemReqMaxTokens
		}
	}
	return unwatched
}

func (p *geminiParse) open(n node, object bool) {
	if n == root {
		p.object = object
	}
}

func (p *geminiParse) close(node) {}

func (p *geminiParse) written([]byte) {}

func (p *geminiParse) value(n node, raw []byte, quoted bool) {
	number, err := strconv.ParseInt(string(raw), 10, 64) // its JSON may have numbers in quotes
	if err != nil || number < 0 {
		number = 0
	}
	switch n {
	case gemReqCandidates:
		p.req.Choices = int(min(max(number, 1), maxChoices))
	case gemReqMaxTokens:
		p.req.MaxTokens = number
	case gemReqModel:
		p.req.Model = strings.TrimPrefix(short(raw, quoted), "models/")
	case gemReqAgent:
		p.agent = short(raw, quoted)
	case gemReqStream:
		p.req.Stream = !quoted && string(raw) == "true"
	case gemReqBackground:
		p.req.Background = !quoted && string(raw) == "true"
	case gemReqTier:
		p.req.ServiceTier = ""
		if quoted && len(raw) <= maxToken {
			p.req.ServiceTier = geminiTier(string(plain(raw)))
		}
	}
}
