package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// aside answers what is not a generating call.
func (x *exchange) aside(path string) End {
	method := x.r.Method
	switch {
	case path == "/v1/models" && method == http.MethodGet:
		return x.json(x.models())
	case path == "/v1/embeddings" && method == http.MethodPost:
		return x.embeddings()
	case strings.HasSuffix(path, "/"+countTokens):
		return x.json(map[string]any{"inputTokens": max(1, len(x.body)/4)})
	case strings.HasSuffix(path, ":countTokens"):
		return x.countTokens()
	case path == "/v1/echo":
		return x.echo()
	case path == "/v1/chat/completions", path == "/v1/messages", path == "/v1/embeddings", path == "/v1/models", path == responsesPath, path == completionsPath:
		return x.reject(http.StatusMethodNotAllowed, ErrorBody{Message: fmt.Sprintf("Not allowed to %s on %s.", method, x.r.URL.Path)})
	}
	e := ErrorBody{Message: fmt.Sprintf("Invalid URL (%s %s)", method, x.r.URL.Path), Code: "unknown_url"}
	return x.reject(http.StatusNotFound, e)
}

// json sends a value whole. Script faults that happen inside a body apply.
func (x *exchange) json(v any) End {
	body, err := json.Marshal(v)
	if err != nil {
		return x.reject(http.StatusInternalServerError, ErrorBody{Message: err.Error()})
	}
	s := x.newSender("application/json", len(body))
	return s.close(s.write(body))
}

var (
	openaiModels    = []string{"gpt-5.5", "gpt-5.5-mini", "gpt-5-mini"}
	anthropicModels = []string{"claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-4-5"}
)

func (x *exchange) models() any {
	type object = map[string]any
	data := []object{}
	if x.dialect == anthropic {
		for _, id := range anthropicModels {
			created := time.Unix(deterministicCreated, 0).UTC().Format(time.RFC3339)
			data = append(data, object{"type": "model", "id": id, "display_name": id, "created_at": created})
		}
		return object{"data": data, "has_more": false, "first_id": anthropicModels[0], "last_id": anthropicModels[len(anthropicModels)-1]}
	}
	for _, id := range openaiModels {
		data = append(data, object{"id": id, "object": "model", "created": deterministicCreated, "owned_by": "openai"})
	}
	return object{"object": "list", "data": data}
}

// embeddings gives each input a vector of eight numbers that depends on
// nothing but the input, and bills it.
func (x *exchange) embeddings() End {
	var inputs []string
	if err := json.Unmarshal(x.req.Input, &inputs); err != nil {
		var one string
		if err := json.Unmarshal(x.req.Input, &one); err != nil {
			return x.reject(http.StatusBadRequest, ErrorBody{Message: "'input' must be a string or an array of strings"})
		}
		inputs = []string{one}
	}
	type object = map[string]any
	data, tokens := []object{}, 0
	for i, input := range inputs {
		tokens += len(split(input))
		data = append(data, object{"object": "embedding", "index": i, "embedding": vector(input)})
	}
	x.answer = &answer{input: or(x.script.Input, tokens), choices: 1}
	usage := object{"prompt_tokens": x.answer.input, "total_tokens": x.answer.input}
	return x.json(object{"object": "list", "data": data, "model": x.req.Model, "usage": usage})
}

func vector(s string) []float64 {
	var seed uint64
	for _, b := range []byte(s) {
		seed = mix(seed ^ uint64(b) + 0x9e3779b97f4a7c15)
	}
	v := make([]float64, 8)
	for i := range v {
		v[i] = float64(int(mix(seed+uint64(i))%20001)-10000) / 10000
	}
	return v
}

// echo tells what arrived, for tests of what a gateway passes through.
func (x *exchange) echo() End {
	seen := struct {
		Method     string      `json:"method"`
		Path       string      `json:"path"`
		URI        string      `json:"uri"` // as on the request line
		Query      string      `json:"query"`
		Host       string      `json:"host"`
		Header     http.Header `json:"headers"`
		Body       string      `json:"body"`
		BodyBase64 []byte      `json:"body_base64,omitempty"` // instead, where it is no UTF-8
	}{
		Method: x.r.Method,
		Path:   x.r.URL.Path,
		URI:    x.r.RequestURI,
		Query:  x.r.URL.RawQuery,
		Host:   x.r.Host,
		Header: x.r.Header,
	}
	if utf8.Valid(x.body) {
		seen.Body = string(x.body)
	} else {
		seen.BodyBase64 = x.body
	}
	return x.json(seen)
}

// control is the API for processes that are not ours.
func (s *Simulator) control(w http.ResponseWriter, r *http.Request) {
	var out any = struct{}{}
	switch what := strings.TrimPrefix(r.URL.Path, "/simulator/"); {
	case what == "readyz" && r.Method == http.MethodGet:
		_, _ = fmt.Fprintln(w, "ready") // the client may have left
		return
	case what == "bill" && r.Method == http.MethodGet:
		out = s.Bill()
	case what == "release" && r.Method == http.MethodPost:
		out = map[string]int{"released": s.Release()}
	case what == "reset" && r.Method == http.MethodPost:
		s.Reset()
	case what == "next" && r.Method == http.MethodPost:
		var scripts []Script
		if err := json.NewDecoder(r.Body).Decode(&scripts); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Next(scripts...)
		out = map[string]int{"queued": len(scripts)}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the client may have left
}
