package dialect

import "strconv"

const (
	brReqConfig = firstNode + iota
	brReqTier
	brReqTierType
	brReqMaxTokens
	brReqChoices
)

// bedrockParse watches a request body for what a Request is made of, in the forms of Converse and of the models that
// InvokeModel takes. All of it the gateway can do without, so what makes no sense is unknown, and for
// the provider to refuse.
type bedrockParse struct {
	req    Request
	object bool // the body is an object
}

func parseBedrock(endpoint string, body []byte) (Request, error) {
	stream := endpoint == endpointConverseStream || endpoint == endpointInvokeStream
	p := &bedrockParse{req: Request{Endpoint: endpoint, Choices: 1, Stream: stream}}
	if err := checkBody(body, p, &p.object); err != nil {
		return Request{}, err
	}
	return p.req, nil
}

func (p *bedrockParse) child(parent node, key []byte) node {
	switch k := string(key); parent {
	case root:
		switch k {
		case "inferenceConfig", "textGenerationConfig": // Converse and Nova; Titan
			return brReqConfig
		case "max_tokens", "max_completion_tokens", "max_tokens_to_sample", "max_gen_len", "maxTokens":
			return brReqMaxTokens
		case "serviceTier", "service_tier":
			return brReqTier
		case "n", "num_generations":
			return brReqChoices
		}
	case brReqConfig:
		switch k {
		case "maxTokens", "max_new_tokens", "maxTokenCount":
			return brReqMaxTokens
		}
	case brReqTier:
		if k == "type" {
			return brReqTierType
		}
	}
	return unwatched
}

func (p *bedrockParse) open(n node, object bool) {
	if n == root {
		p.object = object
	}
}

func (p *bedrockParse) close(node) {}

func (p *bedrockParse) written([]byte) {}

func (p *bedrockParse) value(n node, raw []byte, quoted bool) {
	number, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || number < 0 || quoted {
		number = 0
	}
	switch n {
	case brReqMaxTokens:
		p.req.MaxTokens = number
	case brReqChoices:
		p.req.Choices = int(min(max(number, 1), maxChoices))
	case brReqTier, brReqTierType:
		if quoted && len(raw) <= maxToken {
			p.req.ServiceTier = string(plain(raw))
		}
	}
}
