package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"time"
)

// answer is what a request is going to get: decided whole before the first
// byte, so that the bill never depends on what was sent.
type answer struct {
	id, model   string
	fingerprint string
	created     int64 // Unix seconds
	seed        uint64

	hidden     int
	shown      bool // hidden tokens are streamed
	background bool // responses: the call is not waited for
	text       int  // visible tokens of each choice
	choices    int
	fixed      []string // the text's tokens where the script gives one, JSON-escaped
	unicode    bool
	calls      []call
	cutText    bool // the token limit fell into the text
	cutCall    bool // or into, or before, the calls
	perStep    int  // tokens in one delta

	tier                                       string // service tier; "": the standard one
	input, cacheRead, cacheWrite, cacheWrite1h int
	searches                                   int
}

// call is one tool call: one token for its opening, one for each piece.
type call struct {
	id     string
	name   string   // JSON-escaped
	pieces []string // JSON-escaped
}

// deterministicCreated is the created time of deterministic answers.
const deterministicCreated = 1767225600

// newAnswer plans the answer of a generating call.
func (x *exchange) newAnswer() *answer {
	s, seed := &x.script, x.seed()
	a := &answer{
		model:       x.req.Model,
		seed:        seed,
		fingerprint: "fp_" + hexDigits(mix(seed+1), 10),
		created:     time.Now().Unix(),
		hidden:      max(s.Hidden, 0),
		shown:       s.ShowHidden,
		choices:     max(1, or(s.Choices, max(x.req.N, x.req.Generation.Candidates))),
		unicode:     s.Unicode,
		perStep:     max(1, s.TokensPerEvent),
		tier:        s.Tier,
	}
	if x.sim.opts.Deterministic {
		a.created = deterministicCreated
	}
	if s.Model != "" {
		a.model = s.Model
	}
	switch path := apiPath(x.r.URL.Path); {
	case x.dialect == anthropic:
		a.id, a.choices, a.searches = "msg_01"+letters(seed+2, 22), 1, max(s.Searches, 0)
	case isInteraction(x.r):
		a.id, a.choices, a.background = "v1_"+letters(seed+2, 40), 1, x.req.Background
	case x.dialect == cohere:
		a.id, a.choices = hexDigits(mix(seed+2), 8)+"-"+hexDigits(mix(seed+4), 12), 1
	case x.dialect == google:
		a.id = letters(seed+2, 23)
	case x.dialect == amazon:
		a.choices = 1
		if _, operation, _ := bedrockGenerates(path); operation == invoke || operation == invokeStream {
			if isClaude(a.model) {
				a.id = "msg_bdrk_" + letters(seed+2, 22)
			}
		}
	case path == responsesPath:
		a.id, a.choices, a.background = "resp_"+hexDigits(mix(seed+2), 16)+hexDigits(mix(seed+4), 16), 1, x.req.Background
	case path == completionsPath:
		a.id = "cmpl-" + letters(seed+2, 29)
	default:
		a.id = "chatcmpl-" + letters(seed+2, 29)
	}
	a.planText(s)
	for i, t := range s.Tools {
		a.calls = append(a.calls, newCall(t, x.dialect, seed+uint64(i)))
	}
	if apiPath(x.r.URL.Path) == completionsPath {
		a.calls, a.shown = nil, false // it has a form for neither
	}
	if _, operation, _ := bedrockGenerates(x.r.URL.Path); strings.HasPrefix(operation, invoke) && !isClaude(a.model) {
		a.calls, a.shown = nil, false // nor has Titan
	}
	if limit := x.req.limit(); limit > 0 {
		a.truncate(limit)
	}
	a.planInput(s, len(x.body))
	return a
}

func (a *answer) planText(s *Script) {
	if s.Text != "" {
		a.fixed = split(s.Text)
		for i, t := range a.fixed {
			a.fixed[i] = escape(t)
		}
		a.text = len(a.fixed)
		return
	}
	def := DefaultTokens
	if len(s.Tools) > 0 {
		def = 0
	}
	a.text = or(s.Tokens, def)
}

func (a *answer) planInput(s *Script, body int) {
	// About four bytes a token is what English and JSON come to.
	a.input = or(s.Input, max(1, body/4))
	a.cacheRead = max(s.CacheRead, 0)
	a.cacheWrite, a.cacheWrite1h = max(s.CacheWrite, 0), max(s.CacheWrite1h, 0)
}

func newCall(t Tool, d dialect, seed uint64) call {
	c := call{id: "call_" + letters(seed+3, 24), name: escape(t.Name)}
	switch d {
	case anthropic:
		c.id = "toolu_01" + letters(seed+3, 22)
	case amazon:
		c.id = "tooluse_" + letters(seed+3, 22)
	}
	for _, p := range pieces(t.Arguments) {
		c.pieces = append(c.pieces, escape(p))
	}
	return c
}

func (c call) tokens() int { return 1 + len(c.pieces) }

// truncate applies the request's token limit, which holds for each choice and
// counts the hidden tokens first, as providers do.
func (a *answer) truncate(limit int) {
	a.cutText = a.hidden+a.text > limit
	a.hidden = min(a.hidden, limit)
	limit -= a.hidden
	a.text = min(a.text, limit)
	limit -= a.text
	for i := range a.calls {
		c := &a.calls[i]
		if c.tokens() > limit {
			a.cutCall = true
			if limit == 0 {
				a.calls = a.calls[:i]
			} else {
				c.pieces = c.pieces[:limit-1]
				a.calls = a.calls[:i+1]
			}
			return
		}
		limit -= c.tokens()
	}
}

func (a *answer) visible() int {
	n := a.text * a.choices
	for _, c := range a.calls {
		n += c.tokens()
	}
	return n
}

func (a *answer) total() int      { return a.hidden + a.visible() }
func (a *answer) inputTotal() int { return a.input + a.cacheRead + a.cacheWrite + a.cacheWrite1h }

// part is a kind of content.
type part int

const (
	thinking part = iota
	text
	toolUse
)

// step is where in a part a piece stands.
type step int

const (
	opening step = iota
	delta
	closing
)

// piece is one step of the answer, before a dialect gives it a form.
type piece struct {
	part           part
	step           step
	choice, tool   int
	content        []byte // JSON-escaped, without quotes; valid until the next piece
	tokens, hidden int    // generated with it; hidden is counted in tokens
}

// pieces yields the whole answer in order. With several choices their texts
// alternate, and the calls belong to the first.
func (a *answer) pieces() iter.Seq[piece] {
	return func(yield func(piece) bool) {
		if a.shown && a.hidden > 0 && !a.thoughts(yield) {
			return
		}
		if (a.text > 0 || len(a.calls) == 0) && !a.texts(yield) {
			return
		}
		for i := range a.calls {
			if !a.callPieces(i, yield) {
				return
			}
		}
	}
}

func (a *answer) thoughts(yield func(piece) bool) bool {
	if !yield(piece{part: thinking, step: opening}) {
		return false
	}
	var buf []byte
	for from := 0; from < a.hidden; from += a.perStep {
		to := min(from+a.perStep, a.hidden)
		buf = a.appendThoughts(buf[:0], from, to)
		if !yield(piece{part: thinking, step: delta, content: buf, tokens: to - from, hidden: to - from}) {
			return false
		}
	}
	return yield(piece{part: thinking, step: closing})
}

func (a *answer) texts(yield func(piece) bool) bool {
	if !yield(piece{part: text, step: opening}) {
		return false
	}
	var buf []byte
	for from := 0; from < a.text; from += a.perStep {
		to := min(from+a.perStep, a.text)
		for c := range a.choices {
			buf = a.appendText(buf[:0], c, from, to)
			if !yield(piece{part: text, step: delta, choice: c, content: buf, tokens: to - from}) {
				return false
			}
		}
	}
	return yield(piece{part: text, step: closing})
}

func (a *answer) appendText(b []byte, choice, from, to int) []byte {
	for i := from; i < to; i++ {
		if a.fixed != nil {
			b = append(b, a.fixed[i]...)
		} else {
			b = append(b, word(a.seed^mix(uint64(choice)), i, a.unicode)...)
		}
	}
	return b
}

func (a *answer) appendThoughts(b []byte, from, to int) []byte {
	for i := from; i < to; i++ {
		b = append(b, word(^a.seed, i, a.unicode)...)
	}
	return b
}

func (a *answer) callPieces(n int, yield func(piece) bool) bool {
	c := a.calls[n]
	if !yield(piece{part: toolUse, step: opening, tool: n, tokens: 1}) {
		return false
	}
	var buf []byte
	for from := 0; from < len(c.pieces); from += a.perStep {
		to := min(from+a.perStep, len(c.pieces))
		buf = buf[:0]
		for _, p := range c.pieces[from:to] {
			buf = append(buf, p...)
		}
		if !yield(piece{part: toolUse, step: delta, tool: n, content: buf, tokens: to - from}) {
			return false
		}
	}
	return yield(piece{part: toolUse, step: closing, tool: n})
}

// seed makes answers differ by call, or be equal by body.
func (x *exchange) seed() uint64 {
	if x.script.Seed != 0 {
		return x.script.Seed
	}
	h := sha256.New()
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], x.sim.nonce)
	if !x.sim.opts.Deterministic {
		binary.LittleEndian.PutUint64(b[8:], uint64(x.entry.Seq)+1)
	}
	h.Write(b[:])
	h.Write(x.body)
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// letters is n characters as ids have them.
func letters(seed uint64, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[mix(seed*31+uint64(i)*0x9e3779b97f4a7c15)%uint64(len(alphabet))]
	}
	return string(b)
}

func hexDigits(v uint64, n int) string {
	s := "0000000000000000" + strconv.FormatUint(v, 16)
	return s[len(s)-n:]
}

// escape is s as the inside of a JSON string.
func escape(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b[1 : len(b)-1])
}
