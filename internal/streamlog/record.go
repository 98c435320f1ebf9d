package streamlog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// kind says what a record is. The values are on disk.
type kind uint8

const (
	kindOpen    kind = 1 // body: Header as JSON; always record 0
	kindAttempt kind = 2 // body: Attempt as JSON
	kindHead    kind = 3 // body: Head as JSON
	kindEvent   kind = 4 // body: the provider's bytes
	kindMark    kind = 5 // body: Mark, binary
	kindEnd     kind = 6 // body: End as JSON

	kindMask kind = 0x0f
	flagMore kind = 0x10 // event: goes on in the next event record
	flagTerm kind = 0x20 // event: the terminal event
	flagText kind = 0x40 // event: carries visible text or tool arguments
)

// record is one entry of a stream's log. Its number within the stream is its
// place; numbers have no gaps.
type record struct {
	kind kind   // with flags
	at   uint32 // milliseconds since the stream was accepted
	body []byte // never changed once the record is made
}

func (r record) is(k kind) bool { return r.kind&kindMask == k }

func (r record) event(index, offset uint64) Event {
	return Event{
		Index: index, Offset: offset, Data: r.body,
		More: r.kind&flagMore != 0, Terminal: r.kind&flagTerm != 0, Text: r.kind&flagText != 0,
	}
}

func decode[T any](r record) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(r.body, v); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrDamaged, v, err)
	}
	return v, nil
}

// Header is what is known of a stream before its provider is called. It is
// durable before the call is made.
type Header struct {
	ID          ID                `json:"id"`
	Principal   Hash              `json:"principal"`
	Key         Hash              `json:"key,omitzero"`      // of the Idempotency-Key, if there was one
	Fingerprint Hash              `json:"fingerprint"`       // of the call: equal for equal calls of one principal
	Crossing    Hash              `json:"crossing,omitzero"` // likewise, but for a limit of the answer's length
	Provider    string            `json:"provider"`
	Dialect     string            `json:"dialect"`
	Endpoint    string            `json:"endpoint"`
	Model       string            `json:"model"`
	Deployment  string            `json:"deployment,omitempty"`   // what the call named in place of a model
	ServiceTier string            `json:"service_tier,omitempty"` // that the call asked for
	Streamed    bool              `json:"streamed"`               // the client asked for events, not for one JSON body
	Choices     int               `json:"choices,omitempty"`
	MaxTokens   int64             `json:"max_tokens,omitempty"` // output tokens, at the most, that the call asked for
	BodyBytes   int64             `json:"body_bytes,omitempty"` // of the request body, which itself is not stored
	Accepted    time.Time         `json:"accepted"`
	Traceparent string            `json:"traceparent,omitempty"` // of the span of the first call; if that is not traced, of its caller
	Tracestate  string            `json:"tracestate,omitempty"`
	AttemptSpan string            `json:"attempt_span,omitempty"` // id of the attempt's span in the same trace; empty: not traced
	Tags        map[string]string `json:"tags,omitempty"`
	Policy      Policy            `json:"policy"`
	Missed      *Missed           `json:"missed,omitempty"`

	UsageInjected bool `json:"usage_injected,omitempty"` // of the first attempt; see Attempt
}

// Asked is what the call named: a model, or a deployment of one.
func (h *Header) Asked() string {
	if h.Deployment != "" {
		return h.Deployment
	}
	return h.Model
}

// Missed is the orphan that a call might have continued, and did not.
type Missed struct {
	Stream ID     `json:"stream"`
	Reason string `json:"reason"`
}

// Policy is what was decided at admission about a client that leaves.
type Policy struct {
	OnCancel     string `json:"on_cancel"`               // of the provider: billing_stops, billed_in_full, unknown
	Reclaimable  bool   `json:"reclaimable"`             // somebody could come back for the answer
	OnDisconnect string `json:"on_disconnect,omitempty"` // what the call said: continue, cancel
	Background   bool   `json:"background,omitempty"`    // the provider goes on without a connection, and keeps the answer
	BillsFilter  bool   `json:"bills_filter,omitempty"`  // the provider bills a prompt that its filter refuses
}

// Attempt is one upstream request, written before it is sent.
type Attempt struct {
	Number        int       `json:"number"` // from 1
	Started       time.Time `json:"started"`
	UsageInjected bool      `json:"usage_injected,omitempty"` // the gateway asked for usage, which the client had not
}

// Head is the provider's response before its body.
type Head struct {
	Attempt   int         `json:"attempt"`
	Status    int         `json:"status"`
	Header    http.Header `json:"header"`               // what a client may see
	RequestID string      `json:"request_id,omitempty"` // the provider's id of the request
	At        time.Time   `json:"at"`
}

// State is where a stream stands. All but Streaming are final.
type State string

// The states of a stream.
const (
	Streaming   State = "streaming"
	Completed   State = "completed"   // the terminal event came
	Interrupted State = "interrupted" // cut before the terminal event
	Failed      State = "failed"      // the provider answered with an error, or not at all
	Cancelled   State = "cancelled"   // by a client, or by the policy for a client that left
)

// End is the last thing that happens to a stream, and happens once.
type End struct {
	State      State     `json:"state"`
	Cause      string    `json:"cause,omitempty"` // upstream, crash, shutdown, cancelled, grace, cap, disconnect, disk_full
	Detail     string    `json:"detail,omitempty"`
	Clean      bool      `json:"clean,omitempty"`       // the body is whole, so a response may end as one that is
	ResponseID string    `json:"response_id,omitempty"` // the provider's id of the answer
	Model      string    `json:"model,omitempty"`       // the model that the provider says it used
	At         time.Time `json:"at"`
}

// MarkKind says what happened to a connection or to the stream.
type MarkKind uint8

// The kinds of mark. The values are on disk.
const (
	MarkAttach    MarkKind = 1 // Conn began to read at Index
	MarkDelivered MarkKind = 2 // all events before Index were written to Conn
	MarkDetach    MarkKind = 3 // Conn ended; all events before Index were written to it
	MarkCancel    MarkKind = 4 // the attempt is being cancelled, for Cause
	MarkClaim     MarkKind = 5 // Conn took over an orphan that it was not given by id or key
	MarkKill      MarkKind = 6 // the process died that the connections without a detach belonged to
)

// Mark is something that the books must know and that is not the provider's.
type Mark struct {
	Kind     MarkKind
	Conn     uint32 // number of the connection within the stream, from 1
	Index    uint64
	Observe  bool   // attach: reads without owning
	Explicit bool   // attach: the client named Index itself, so it has all before
	Cause    string // detach: client, gateway, slow_reader, done; cancel, miss: why; attach: via
}

// Flags of a mark, beside its kind. The values are on disk.
const (
	markObserve  = 0x80
	markExplicit = 0x40
)

func (m Mark) record(at uint32) record {
	b := make([]byte, 0, 8+len(m.Cause))
	b = append(b, byte(m.Kind))
	if m.Observe {
		b[0] |= markObserve
	}
	if m.Explicit {
		b[0] |= markExplicit
	}
	b = binary.AppendUvarint(b, uint64(m.Conn))
	b = binary.AppendUvarint(b, m.Index)
	return record{kind: kindMark, at: at, body: append(b, m.Cause...)}
}

func parseMark(b []byte) (Mark, error) {
	if len(b) == 0 {
		return Mark{}, fmt.Errorf("%w: empty mark", ErrDamaged)
	}
	m := Mark{Kind: MarkKind(b[0] &^ (markObserve | markExplicit)), Observe: b[0]&markObserve != 0, Explicit: b[0]&markExplicit != 0}
	conn, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return Mark{}, fmt.Errorf("%w: short mark", ErrDamaged)
	}
	index, k := binary.Uvarint(b[1+n:])
	if k <= 0 {
		return Mark{}, fmt.Errorf("%w: short mark", ErrDamaged)
	}
	m.Conn, m.Index, m.Cause = uint32(conn), index, string(b[1+n+k:])
	return m, nil
}
