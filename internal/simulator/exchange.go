package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// ScriptHeader carries a Script as JSON. It is an ordinary header, so a
// gateway forwards it.
const ScriptHeader = "X-Simulator-Script"

// bodyPrefix marks a script in the request body's user or metadata.user_id.
const bodyPrefix = "sim:"

const maxRequestBody = 64 << 20

// exchange is one request and its response. Progress is the handler's own
// until it is copied to the entry, which the simulator's lock guards.
type exchange struct {
	sim     *Simulator
	w       http.ResponseWriter
	rc      *http.ResponseController
	r       *http.Request
	body    []byte
	req     request
	dialect dialect
	script  Script
	answer  *answer // nil: nothing is generated here
	entry   *Entry

	status            int
	generated, hidden int
	events, bytes     int
	stalled           bool
	finished          bool
}

// request is what the simulator understands of a body.
type request struct {
	Model         string          `json:"model"`
	Stream        bool            `json:"stream"`
	MaxTokens     int             `json:"max_tokens"`
	MaxCompletion int             `json:"max_completion_tokens"`
	MaxOutput     int             `json:"max_output_tokens"`
	N             int             `json:"n"`
	Background    bool            `json:"background"`
	StreamOptions json.RawMessage `json:"stream_options"`
	User          json.RawMessage `json:"user"`
	Metadata      json.RawMessage `json:"metadata"`
	Input         json.RawMessage `json:"input"`
	Generation    struct {
		Candidates int `json:"candidateCount"`
		MaxTokens  int `json:"maxOutputTokens"`
	} `json:"generationConfig"` // Gemini
	Interaction struct {
		MaxTokens int `json:"max_output_tokens"`
	} `json:"generation_config"` // of an interaction
	Inference struct {
		MaxTokens int `json:"maxTokens"`
	} `json:"inferenceConfig"` // Converse
	Titan struct {
		MaxTokens int `json:"maxTokenCount"`
	} `json:"textGenerationConfig"`
}

func (r *request) limit() int {
	for _, n := range []int{r.Generation.MaxTokens, r.Interaction.MaxTokens, r.Inference.MaxTokens, r.Titan.MaxTokens, r.MaxOutput, r.MaxCompletion} {
		if n > 0 {
			return n
		}
	}
	return r.MaxTokens
}

// includeUsage is whether the request asks for the usage chunk.
func (r *request) includeUsage() bool {
	var o struct {
		IncludeUsage bool `json:"include_usage"`
	}
	return json.Unmarshal(r.StreamOptions, &o) == nil && o.IncludeUsage
}

// inlineScript is the script that the body itself carries, if any.
func (r *request) inlineScript(d dialect) string {
	var user string
	if d == anthropic {
		var m struct {
			UserID string `json:"user_id"`
		}
		_ = json.Unmarshal(r.Metadata, &m) // another shape carries no script
		user = m.UserID
	} else {
		_ = json.Unmarshal(r.User, &user)
	}
	script, ok := strings.CutPrefix(user, bodyPrefix)
	if !ok {
		return ""
	}
	return script
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/simulator/") {
		s.control(w, r)
		return
	}
	if _, ok := organizationPaths[r.URL.Path]; ok {
		s.organize(w, r)
		return
	}
	s.update(func() { s.inFlight++ })
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	x := s.arrive(w, r, body)
	end := EndError
	defer func() { x.finish(end) }() // also when a hook panics
	if err != nil {
		end = x.unreadable(err)
		return
	}
	end = x.run()
	x.finish(end)
	x.leave(end)
}

// arrive opens the entry.
func (s *Simulator) arrive(w http.ResponseWriter, r *http.Request, body []byte) *exchange {
	x := &exchange{sim: s, w: w, rc: http.NewResponseController(w), r: r, body: body}
	if isAmazon(r.URL.Path) {
		x.dialect = amazon
	} else if r.Header.Get("Anthropic-Version") != "" || strings.HasPrefix(apiPath(r.URL.Path), "/v1/messages") {
		x.dialect = anthropic
	} else if isGoogle(r.URL.Path, r.Header.Get("X-Goog-Api-Key")) {
		x.dialect = google
	} else if r.URL.Path == coherePath {
		x.dialect = cohere
	}
	sum := sha256.Sum256(body)
	x.entry = &Entry{
		Method:     r.Method,
		Path:       r.URL.Path,
		Query:      redactQuery(r.URL.RawQuery),
		BodySHA256: hex.EncodeToString(sum[:]),
		Header:     redact(r.Header),
		End:        EndRunning,
		Started:    time.Now(),
	}
	s.update(func() {
		s.open(x.entry)
		x.entry.RequestID = requestID(x.dialect, s.nonce, x.entry.Seq)
	})
	return x
}

func requestID(d dialect, nonce uint64, seq int) string {
	seed := mix(nonce ^ mix(uint64(seq)+1))
	switch d {
	case anthropic:
		return "req_011C" + letters(seed, 20)
	case amazon:
		h := hexDigits(seed, 16) + hexDigits(mix(seed+1), 16)
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}
	return "req_" + hexDigits(seed, 16) + hexDigits(mix(seed+1), 16)
}

// redact copies headers with credentials hashed, so that a test can tell which
// one was used without any of them being kept.
func redact(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "X-Amz-Security-Token", "Cookie"} {
		for i, v := range h[name] {
			h[name][i] = HashCredential(v)
		}
	}
	return h
}

// redactQuery hashes the credential that Google takes in the query.
func redactQuery(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if key, ok := strings.CutPrefix(part, "key="); ok {
			parts[i] = "key=" + HashCredential(key)
		}
	}
	return strings.Join(parts, "&")
}

// HashCredential is how an Entry shows the value of a credential header.
func HashCredential(value string) string {
	sum := sha256.Sum256([]byte(value))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// run chooses the script and answers. It returns how the request ended.
func (x *exchange) run() End {
	if x.r.Method == http.MethodPost {
		if err := json.Unmarshal(x.body, &x.req); err != nil && mustParse(x.r.URL.Path) {
			return x.reject(http.StatusBadRequest, ErrorBody{Message: "We could not parse the JSON body of your request: " + err.Error()})
		}
	}
	if model, stream, ok := geminiCall(x.r.URL.Path); ok {
		x.req.Model, x.req.Stream = model, stream
	}
	if model, operation, ok := bedrockGenerates(x.r.URL.Path); ok {
		x.req.Model, x.req.Stream = model, operation == converseStream || operation == invokeStream
	}
	if end := x.authenticate(); end != "" {
		return end
	}
	script, err := x.chooseScript()
	if err != nil {
		return x.reject(http.StatusBadRequest, ErrorBody{Code: "simulator_script", Message: err.Error()})
	}
	x.script = script
	if x.req.Background && x.script.OnDisconnect == "" {
		x.script.OnDisconnect = BillFull // it is generated whoever leaves
	}
	if extra := x.sim.opts.BillExtraOn; extra != nil {
		x.script.BillExtra += extra(x.r)
	}
	x.sim.update(func() { x.entry.Model, x.entry.Streamed = x.req.Model, x.req.Stream })
	return x.route()
}

// chooseScript takes the first script there is, in the documented order.
func (x *exchange) chooseScript() (Script, error) {
	if x.r.Method == http.MethodPost && !isAside(x.r.URL.Path) {
		if s := x.sim.takeQueued(); s != nil {
			return *s, nil
		}
	}
	if hook := x.sim.currentHook(); hook != nil {
		if s := hook(x.r, x.body); s != nil {
			if err := s.validate(); err != nil {
				return Script{}, fmt.Errorf("script of the hook: %w", err)
			}
			return *s, nil
		}
	}
	text := x.r.Header.Get(ScriptHeader)
	if text == "" {
		text = x.req.inlineScript(x.dialect)
	}
	if text == "" {
		return x.sim.opts.Default, nil
	}
	var s Script
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Script{}, fmt.Errorf("script of the request: %w", err)
	}
	return s, nil
}

// finish makes the bill final. Only its first call counts.
func (x *exchange) finish(end End) {
	if x.finished {
		return
	}
	x.finished = true
	x.sim.update(func() {
		x.progress()
		x.entry.settle(end, &x.script, x.answer)
		x.entry.Ended = time.Now()
		x.sim.inFlight--
	})
}

// progress copies what the handler knows to the entry; the lock is held.
func (x *exchange) progress() {
	e := x.entry
	e.Status, e.Stalled = x.status, x.stalled
	e.Generated, e.Hidden = x.generated, x.hidden
	e.Events, e.Bytes = x.events, x.bytes
}

// leave ends the response as the script wants it seen.
func (x *exchange) leave(end End) {
	switch end {
	case EndCutFIN, EndCutRST:
		x.sever(end == EndCutRST)
	case EndDropped:
		x.sever(x.script.Cut == CutRST)
	case EndGone, EndClosed:
		panic(http.ErrAbortHandler) // never a clean end by accident
	}
}

func (x *exchange) sever(reset bool) {
	conn, _, err := x.rc.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not HTTP/1.1: the server resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // fails only if the connection is gone already
	}
	_ = conn.Close()
}

// gone is the end that the request's context tells of.
func (x *exchange) gone() End {
	if errors.Is(context.Cause(x.r.Context()), errClosed) {
		return EndClosed
	}
	return EndGone
}

// sleep waits, and returns an end if the client leaves before it is over.
func (x *exchange) sleep(d time.Duration) End {
	if d <= 0 {
		return ""
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ""
	case <-x.r.Context().Done():
		return x.gone()
	}
}

// stall is silent until Release, and returns an end if the client leaves first.
func (x *exchange) stall() End {
	var release <-chan struct{}
	x.stalled = true
	x.sim.update(func() {
		x.progress()
		x.entry.End = EndStalled
		x.sim.stalled++
		release = x.sim.release
	})
	var end End
	select {
	case <-release:
	case <-x.r.Context().Done():
		end = x.gone()
	}
	x.sim.update(func() {
		x.entry.End = EndRunning
		x.sim.stalled--
	})
	return end
}

// reject answers with an error status in the dialect's shape.
func (x *exchange) reject(status int, e ErrorBody) End {
	e = e.fill(x.dialect, status)
	if x.dialect == amazon {
		x.w.Header().Set("X-Amzn-Errortype", e.Type)
	}
	body := e.json(x.dialect, x.entry.RequestID)
	x.head(status, "application/json", len(body))
	n, err := x.w.Write(body)
	x.bytes += n
	if err != nil {
		return x.gone()
	}
	return EndRejected
}

func (x *exchange) unreadable(err error) End {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return x.reject(http.StatusRequestEntityTooLarge, ErrorBody{})
	}
	return x.gone()
}
