package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Script says what happens to one request. Its zero value is an ordinary
// answer of DefaultTokens tokens, sent as fast as the client reads.
//
// Counts that start at "off": 0 is off or the default; a negative number is an
// explicit zero, so CutAfterEvents -1 cuts after the headers and Tokens -1 is
// an answer without text. In JSON, durations are strings ("200ms") or numbers
// of milliseconds, and unknown members are refused.
type Script struct {
	// The answer, in tokens. max_tokens or max_completion_tokens of the
	// request caps Hidden first, then what is visible.
	Tokens     int    `json:"tokens,omitempty"`      // visible, per choice. 0: DefaultTokens, or none when Tools is set
	Hidden     int    `json:"hidden,omitempty"`      // reasoning, generated before anything visible
	ShowHidden bool   `json:"show_hidden,omitempty"` // stream the reasoning: thinking block, or reasoning_content
	Text       string `json:"text,omitempty"`        // this text, in tokens of its words; Tokens is ignored
	Unicode    bool   `json:"unicode,omitempty"`     // every second word in CJK, emoji or accents
	Choices    int    `json:"choices,omitempty"`     // chat. 0: what the request's n says
	Tools      []Tool `json:"tools,omitempty"`       // called after the text, in the first choice
	Model      string `json:"model,omitempty"`       // "": the request's
	Tier       string `json:"tier,omitempty"`        // service tier that the answer and the bill say: chat, responses and messages. "": the standard one
	Seed       uint64 `json:"seed,omitempty"`        // answers of one seed have the same ids and words, whatever was asked; 0: see Options.Deterministic

	// Input tokens. Input is fresh ones alone: 0 estimates from the body's size.
	Input        int `json:"input,omitempty"`
	CacheRead    int `json:"cache_read,omitempty"`
	CacheWrite   int `json:"cache_write,omitempty"`    // five minutes
	CacheWrite1h int `json:"cache_write_1h,omitempty"` // one hour
	Searches     int `json:"searches,omitempty"`       // messages: on the web, in the usage at the end; no tokens

	// Pace. A JSON answer takes as long as the stream would have.
	HeaderDelay    time.Duration `json:"-"`                          // request to response head
	TTFT           time.Duration `json:"-"`                          // head to first token
	Interval       time.Duration `json:"-"`                          // token event to token event
	TokensPerEvent int           `json:"tokens_per_event,omitempty"` // 0: 1
	EventsPerWrite int           `json:"events_per_write,omitempty"` // 0: 1; what reaches the socket at once

	// Faults. Events are SSE blocks with data; bytes are those of the body
	// before any content coding. The events of a chat are: the role of each
	// choice, the tokens, the finish of each choice, usage if it is an event
	// of its own, [DONE]. Of messages: message_start, ping, then the blocks
	// with their start, deltas and stop, message_delta, message_stop. Of
	// Gemini: the tokens, a call in one, and the finish of each candidate;
	// in the array form each is an element, and the bracket behind the last
	// is none.
	// Bedrock, as its frames: messageStart, for a call its start, the deltas, a
	// stop of each block, messageStop, metadata; or the events of messages
	// without the ping; or of Titan the tokens and the finish.
	// responses: created, in_progress, for each item added, part added, deltas,
	// three dones, and completed; hidden reasoning is an item without deltas.
	CutAfterEvents    int       `json:"cut_after_events,omitempty"`
	CutAfterBytes     int       `json:"cut_after_bytes,omitempty"`
	Cut               Cut       `json:"cut,omitempty"` // "": CutFIN
	StallAfterEvents  int       `json:"stall_after_events,omitempty"`
	StallAlso         []int     `json:"stall_also,omitempty"` // counts of events, after each of which it stalls again
	StallAfterBytes   int       `json:"stall_after_bytes,omitempty"`
	ErrorAfterEvents  int       `json:"error_after_events,omitempty"` // then an error event and a clean end
	StallHead         bool      `json:"stall_head,omitempty"`         // stall before the response head, streamed or not
	Drop              bool      `json:"drop,omitempty"`               // close before any response byte, by Cut
	Status            int       `json:"status,omitempty"`             // >= 400: this error instead of an answer, or what ErrorAfterEvents reports
	Error             ErrorBody `json:"error,omitzero"`               // texts for Status and ErrorAfterEvents
	RejectStreamUsage bool      `json:"reject_stream_usage,omitempty"`

	// Form on the wire.
	Headers      map[string]string `json:"headers,omitempty"` // added to the response, over its own; "" removes one
	CRLF         bool              `json:"crlf,omitempty"`
	Comments     int               `json:"comments,omitempty"`      // ": OPENROUTER PROCESSING" before the first event
	CommentEvery int               `json:"comment_every,omitempty"` // and after every n events
	PingEvery    int               `json:"ping_every,omitempty"`    // anthropic: besides the one at the start
	PadLineBytes int               `json:"pad_line_bytes,omitempty"`
	WriteChunk   int               `json:"write_chunk,omitempty"` // split into writes of n bytes, each flushed
	Gzip         Gzip              `json:"gzip,omitempty"`
	Obfuscation  bool              `json:"obfuscation,omitempty"` // OpenAI's padding member on chunks
	Stamp        bool              `json:"stamp,omitempty"`       // member sim_ns on token events: Unix time of rendering, ns
	NamedError   bool              `json:"named_error,omitempty"` // chat: an error event has an "event: error" line (Groq)
	Usage        UsagePlace        `json:"usage,omitempty"`

	// The bill.
	OnDisconnect OnDisconnect `json:"on_disconnect,omitempty"` // "": stop if streamed, else full
	TailTokens   int          `json:"tail_tokens,omitempty"`   // with stop: billed beyond what was generated
	OnFailure    OnFailure    `json:"on_failure,omitempty"`    // our own cuts, errors after the head and drops
	BillExtra    int          `json:"bill_extra,omitempty"`    // output on the bill that no usage reports, also of an answer that ends well

	// Replay answers with recorded bytes instead; see ReplayOf. The counts
	// above are then the bill of the whole.
	Replay *Replay `json:"replay,omitempty"`
}

// DefaultTokens is the length of an answer whose script names none.
const DefaultTokens = 64

// Tool is one call that the model asks for.
type Tool struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // a JSON object, streamed in pieces of one token, at most 4 bytes
}

// ErrorBody fills an error in the dialect's shape; empty members take what the
// real provider says for that status.
type ErrorBody struct {
	Type    string `json:"type,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// Cut is how the simulator breaks off an answer.
type Cut string

const (
	CutFIN   Cut = "fin"   // the connection closes without the last chunk
	CutRST   Cut = "rst"   // reset: what the peer's kernel has not taken yet is gone. On a connection that is not TCP, as CutFIN
	CutClean Cut = "clean" // a well-formed end of the body, without the terminal event
)

// Gzip is when the body is compressed, flushed with every write.
type Gzip string

const (
	GzipOff      Gzip = ""
	GzipAccepted Gzip = "accepted" // if the request accepts it
	GzipForced   Gzip = "forced"
)

// UsagePlace is where a stream reports usage. Gemini's does on every event, but with
// UsageFinish or UsageNone.
type UsagePlace string

const (
	UsageAsked  UsagePlace = ""       // chat: an extra chunk with stream_options.include_usage; messages: as documented
	UsageAlways UsagePlace = "always" // chat: the extra chunk, asked or not
	UsageFinish UsagePlace = "finish" // chat: on the finish chunk, asked or not (DeepSeek, Mistral)
	UsageGroq   UsagePlace = "groq"   // chat: on the finish chunk, as usage and as x_groq.usage
	UsageEvery  UsagePlace = "every"  // chat: running, on every chunk (Perplexity, vLLM)
	UsageXAI    UsagePlace = "xai"    // chat: the extra chunk, completion_tokens without the reasoning
	UsageNone   UsagePlace = "none"
)

// OnDisconnect is what a client's leaving does to the bill.
type OnDisconnect string

const (
	BillStops OnDisconnect = "stop" // generated when it was noticed, and TailTokens
	BillFull  OnDisconnect = "full" // the whole answer; final at once, the time is not waited out
)

// OnFailure is what the simulator's own failure does to the bill.
type OnFailure string

const (
	FailBillsGenerated OnFailure = ""     // input, and output so far; a drop before the head is free
	FailBillsFull      OnFailure = "full" // the whole answer
	FailIsFree         OnFailure = "free" // neither input nor output
)

// at reads a count that starts at "off": the position, and whether it is set.
func at(n int) (int, bool) { return max(n, 0), n != 0 }

// or reads a count with a default: 0 is def, negative is zero.
func or(n, def int) int {
	if n == 0 {
		return def
	}
	return max(n, 0)
}

func (s *Script) validate() error {
	switch s.Cut {
	case "", CutFIN, CutRST, CutClean:
	default:
		return fmt.Errorf("cut %q: want fin, rst or clean", s.Cut)
	}
	switch s.Gzip {
	case GzipOff, GzipAccepted, GzipForced:
	default:
		return fmt.Errorf("gzip %q: want accepted or forced", s.Gzip)
	}
	switch s.Usage {
	case UsageAsked, UsageAlways, UsageFinish, UsageGroq, UsageEvery, UsageXAI, UsageNone:
	default:
		return fmt.Errorf("usage %q: want always, finish, groq, every, xai or none", s.Usage)
	}
	switch s.OnDisconnect {
	case "", BillStops, BillFull:
	default:
		return fmt.Errorf("on_disconnect %q: want stop or full", s.OnDisconnect)
	}
	switch s.OnFailure {
	case FailBillsGenerated, FailBillsFull, FailIsFree:
	default:
		return fmt.Errorf("on_failure %q: want full or free", s.OnFailure)
	}
	if s.Status != 0 && (s.Status < 400 || s.Status > 599) {
		return fmt.Errorf("status %d: want 400 to 599", s.Status)
	}
	for _, t := range s.Tools {
		if !json.Valid([]byte(t.Arguments)) {
			return fmt.Errorf("tool %q: arguments are not JSON", t.Name)
		}
	}
	return nil
}

// scriptFields is Script without its methods; wireScript lays the durations'
// JSON form over it.
type scriptFields Script

type wireScript struct {
	*scriptFields
	HeaderDelay wireDuration `json:"header_delay,omitzero"`
	TTFT        wireDuration `json:"ttft,omitzero"`
	Interval    wireDuration `json:"interval,omitzero"`
}

// MarshalJSON writes the script as X-Simulator-Script takes it.
func (s Script) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireScript{
		scriptFields: (*scriptFields)(&s),
		HeaderDelay:  wireDuration(s.HeaderDelay),
		TTFT:         wireDuration(s.TTFT),
		Interval:     wireDuration(s.Interval),
	})
}

// UnmarshalJSON reads a script and refuses unknown members and values.
func (s *Script) UnmarshalJSON(b []byte) error {
	var fields scriptFields
	wire := wireScript{scriptFields: &fields}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&wire); err != nil {
		return fmt.Errorf("script: %w", err)
	}
	*s = Script(fields)
	s.HeaderDelay = time.Duration(wire.HeaderDelay)
	s.TTFT = time.Duration(wire.TTFT)
	s.Interval = time.Duration(wire.Interval)
	if err := s.validate(); err != nil {
		return fmt.Errorf("script: %w", err)
	}
	return nil
}

// Header is the script as the value of ScriptHeader.
func (s Script) Header() string {
	b, err := json.Marshal(s)
	if err != nil {
		// Every member is a plain value, so this is a bug of this package.
		panic(fmt.Sprintf("simulator: script does not marshal: %v", err))
	}
	return string(b)
}

type wireDuration time.Duration

func (d wireDuration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

func (d *wireDuration) UnmarshalJSON(b []byte) error {
	var ms float64
	if err := json.Unmarshal(b, &ms); err == nil {
		*d = wireDuration(ms * float64(time.Millisecond))
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("duration %s: want a string or a number of milliseconds", b)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	*d = wireDuration(v)
	return nil
}
