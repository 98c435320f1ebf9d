package dialect

import "strconv"

const (
	gemReqConfig = firstNode + iota
	gemReqCandidates
	gemReqMaxTokens
	gemReqTier
)

// geminiParse watches a request body for what a Request is made of. All of it the gateway can do without, so
// what makes no sense is unknown, and for the provider to refuse. Members may be spelt in either
// way that Google's JSON allows.
type geminiParse struct {
	req    Request
	object bool // the body is an object
}

func parseGemini(endpoint string, body []byte) (Request, error) {
	p := &geminiParse{req: Request{Endpoint: endpoint, Choices: 1, Stream: endpoint != endpointGemini}}
	if err := checkBody(body, p, &p.object); err != nil {
		return Request{}, err
	}
	return p.req, nil
}

func (p *geminiParse) child(parent node, key []byte) node {
	switch k := string(key); parent {
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
	case gemReqTier:
		p.req.ServiceTier = ""
		if quoted && len(raw) <= maxToken {
			p.req.ServiceTier = geminiTier(string(plain(raw)))
		}
	}
}
