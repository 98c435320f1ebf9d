package simulator

import (
	"net/http"
	"time"
)

// End is how a request ended, or where it is.
type End string

const (
	EndRunning   End = "running"
	EndStalled   End = "stalled" // silent until released, and not ended yet
	EndCompleted End = "completed"
	EndCutFIN    End = "cut_fin"
	EndCutRST    End = "cut_rst"
	EndClean     End = "clean_no_terminal"
	EndError     End = "error"       // an error event after the head
	EndDropped   End = "dropped"     // closed before any response byte
	EndRejected  End = "rejected"    // an error status
	EndGone      End = "client_gone" // the client left before the last byte
	EndClosed    End = "closed"      // the server was closed; billed as when a client leaves
)

// Entry is one line of the bill: one request that reached the simulator.
// Tokens are the simulator's count, never what was put on the wire as usage.
type Entry struct {
	Seq        int         `json:"seq"`         // order of arrival, from 0
	RequestID  string      `json:"request_id"`  // as sent in x-request-id or request-id
	ResponseID string      `json:"response_id"` // chatcmpl-… or msg_…; "" if there was no answer, or a replay
	Method     string      `json:"method"`
	Path       string      `json:"path"`
	Query      string      `json:"query,omitempty"`
	Model      string      `json:"model,omitempty"`
	Tier       string      `json:"tier,omitempty"` // by the script
	Streamed   bool        `json:"streamed"`
	BodySHA256 string      `json:"body_sha256"` // of the request body, hex
	Header     http.Header `json:"header"`      // of the request; credentials as "sha256:…"
	Status     int         `json:"status"`      // 0: no response head was sent

	// Billed input by kind. Zero where the request was rejected.
	Input        int `json:"input"` // fresh
	CacheRead    int `json:"cache_read"`
	CacheWrite   int `json:"cache_write"`
	CacheWrite1h int `json:"cache_write_1h"`
	Searches     int `json:"searches,omitempty"`

	Generated int `json:"generated"` // output tokens produced when it ended
	Hidden    int `json:"hidden"`    // of them reasoning
	Billed    int `json:"billed"`    // output tokens billed
	Answer    int `json:"answer"`    // output tokens of the whole answer, had nothing happened

	End     End       `json:"end"`
	Stalled bool      `json:"stalled"` // it was silent on purpose at some time
	Events  int       `json:"events"`  // written, whole
	Bytes   int       `json:"bytes"`   // of the body, written, before any content coding
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
}

// InputTotal is all billed input, cached or not.
func (e Entry) InputTotal() int { return e.Input + e.CacheRead + e.CacheWrite + e.CacheWrite1h }

// settle fills in what is billed, from how the request ended. The answer's
// own counts are in a; nil means that nothing was ever going to be generated.
func (e *Entry) settle(end End, s *Script, a *answer) {
	e.End = end
	if a == nil {
		return
	}
	e.Answer = a.total()
	mode := s.OnDisconnect
	if mode == "" {
		mode = BillFull
		if e.Streamed {
			mode = BillStops
		}
	}
	switch end {
	case EndRejected:
		return
	case EndCompleted:
		e.Billed = e.Generated
	case EndGone, EndClosed:
		e.Billed = min(e.Generated+max(s.TailTokens, 0), e.Answer)
		if mode == BillFull {
			e.billAll(a)
		}
	default:
		switch {
		case s.OnFailure == FailIsFree, s.OnFailure == FailBillsGenerated && end == EndDropped:
			return
		case s.OnFailure == FailBillsFull:
			e.billAll(a)
		default:
			e.Billed = e.Generated
		}
	}
	e.Billed += max(s.BillExtra, 0)
	e.Tier = s.Tier
	e.Input, e.CacheRead = a.input, a.cacheRead
	e.CacheWrite, e.CacheWrite1h, e.Searches = a.cacheWrite, a.cacheWrite1h, a.searches
}

func (e *Entry) billAll(a *answer) {
	e.Generated, e.Hidden, e.Billed = a.total(), a.hidden, a.total()
}
