package books

import (
	"encoding/json"
	"fmt"
	"time"
)

// Do is what happened in a step.
type Do string

// The steps. Those that come too late change nothing: a write to a connection that
// has ended, a cancel after the delivery, anything once the books are settled.
const (
	Recv      Do = "recv"      // N more events came from the provider
	Attach    Do = "attach"    // Conn begins, at event From, at most the last one's end, or with FromNow at what comes next
	Write     Do = "write"     // events before To were handed to Conn
	Detach    Do = "detach"    // Conn ended, for Cause
	Cancel    Do = "cancel"    // explicit, by the client
	Grace     Do = "grace"     // the gateway cancelled: the grace ended, a cap, or not reclaimable
	Supersede Do = "supersede" // a new call replaced the answer
	Fail      Do = "fail"      // the provider failed
	Kill      Do = "kill"      // the gateway's process died; Marks is what is known to be written
	Damage    Do = "damage"    // the log's content is damaged
	Retention Do = "retention" // ended
)

// Causes of a break (Step.Cause of a Detach).
const (
	Client     = "client"
	Gateway    = "gateway"
	SlowReader = "slow_reader"
)

// Step is one thing that happened. Only the members that its Do names mean something.
type Step struct {
	At   time.Time // milliseconds count; only those of attaches and breaks do anything
	Do   Do
	N    int
	Conn uint32 // any number, another for each Attach
	From int
	To   int

	FromNow bool
	Observe bool // Conn never owns
	// Explicit says that the client named From itself (offset, from, Last-Event-ID),
	// so it has all that lies before.
	Explicit bool

	Cause string
	Marks map[uint32]int // per connection, before which event it has all; missing: nothing
}

// History is an attempt from its first to its last step.
type History struct {
	Facts
	Steps []Step `json:"steps,omitempty"`
}

// stepJSON is a Step in the evidence: short, since there is one with each posting.
type stepJSON struct {
	At       int64          `json:"t,omitempty"` // Unix time in milliseconds
	Do       Do             `json:"do"`
	N        int            `json:"n,omitempty"`
	Conn     uint32         `json:"c,omitempty"`
	From     int            `json:"from,omitempty"`
	To       int            `json:"to,omitempty"`
	FromNow  bool           `json:"now,omitempty"`
	Observe  bool           `json:"observe,omitempty"`
	Explicit bool           `json:"explicit,omitempty"`
	Cause    string         `json:"cause,omitempty"`
	Marks    map[uint32]int `json:"marks,omitempty"`
}

// MarshalJSON implements json.Marshaler. Times are cut to milliseconds.
func (s Step) MarshalJSON() ([]byte, error) {
	j := stepJSON{Do: s.Do, N: s.N, Conn: s.Conn, From: s.From, To: s.To,
		FromNow: s.FromNow, Observe: s.Observe, Explicit: s.Explicit, Cause: s.Cause, Marks: s.Marks}
	j.At = millis(s.At)
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Step) UnmarshalJSON(data []byte) error {
	var j stepJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*s = Step{Do: j.Do, N: j.N, Conn: j.Conn, From: j.From, To: j.To,
		FromNow: j.FromNow, Observe: j.Observe, Explicit: j.Explicit, Cause: j.Cause, Marks: j.Marks}
	if j.At != 0 {
		s.At = time.UnixMilli(j.At).UTC()
	}
	return nil
}

func (h *History) validate() error {
	if err := h.Facts.validate(); err != nil {
		return err
	}
	if len(h.Steps) > maxSteps {
		return fmt.Errorf("%w: %d steps", ErrInvalid, len(h.Steps))
	}
	for i := range h.Steps {
		if err := h.Steps[i].validate(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func (s *Step) validate() error {
	switch s.Do {
	case Recv, Attach, Write, Cancel, Grace, Supersede, Fail, Kill, Damage, Retention:
	case Detach:
		if s.Cause != Client && s.Cause != Gateway && s.Cause != SlowReader {
			return fmt.Errorf("%w: cause %q of a break", ErrInvalid, s.Cause)
		}
	default:
		return fmt.Errorf("%w: %q", ErrInvalid, s.Do)
	}
	if s.N < 0 || s.From < 0 || s.To < 0 {
		return fmt.Errorf("%w: %s with n %d, from %d, to %d", ErrInvalid, s.Do, s.N, s.From, s.To)
	}
	return nil
}
