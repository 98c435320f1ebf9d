package ledger

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// ID names a stream. In JSON it is 32 hexadecimal digits.
type ID [16]byte

// String returns 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns what String does.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) error {
	if n, err := hex.Decode(id[:], b[:min(len(b), 2*len(id))]); err != nil || n != len(id) || len(b) != 2*len(id) {
		return fmt.Errorf("ledger: %q is not an id", b)
	}
	return nil
}

// AttemptID names an attempt: the stream, and which of its attempts, as the
// caller numbers them.
type AttemptID struct {
	Stream ID
	Number int
}

// String returns the stream, a slash and the number.
func (id AttemptID) String() string { return fmt.Sprintf("%s/%d", id.Stream, id.Number) }

// Outcomes of tokens.
const (
	Delivered = "delivered"
	Wasted    = "wasted"
	Lost      = "lost"
)

// Causes of outcomes.
const (
	Live       = "live"       // of delivered
	Resumed    = "resumed"    // of delivered
	Cancelled  = "cancelled"  // of all three
	Damaged    = "damaged"    // of wasted and lost, as are the following
	Upstream   = "upstream"   //
	Crash      = "crash"      //
	Superseded = "superseded" //
	Abandoned  = "abandoned"  //
	Tail       = "tail"       // of lost
)

var causes = map[string][]string{
	Delivered: {Live, Resumed, Cancelled},
	Wasted:    {Damaged, Cancelled, Upstream, Crash, Superseded, Abandoned},
	Lost:      {Damaged, Cancelled, Upstream, Crash, Superseded, Abandoned, Tail},
}

// Causes returns the causes that an outcome can have; none if it isn't one.
func Causes(outcome string) []string { return append([]string(nil), causes[outcome]...) }

// Kinds of overhead.
const (
	OverheadCrash     = "crash"
	OverheadRetry     = "retry"
	OverheadUnclaimed = "unclaimed"
)

// Reasons of a revision.
const (
	Reconciled    = "reconciled"     // the provider's bill says otherwise
	LateUsage     = "late_usage"     // the provider's usage came after the posting
	PriceVariance = "price_variance" // another price was paid than the one known then
	Correction    = "correction"     // the gateway had it wrong
)

// Attempt is what the books know of an attempt beside its figures. The first
// posting fixes it: later ones need only Stream and Number, and may repeat
// Provider and Model.
type Attempt struct {
	Stream ID
	Number int // 0 to 65,535

	Provider   string // required; a metric label, so from a closed set
	Model      string // required, likewise: the price book's canonical id, or "other"
	AskedModel string // as the client wrote it

	RequestID  string // the provider's; an index leads from it to here
	ResponseID string // the provider's

	Endpoint    string
	Streamed    bool
	ServiceTier string
	Principal   ID // keyed hash of who called
	Tags        map[string]string

	At    time.Time // accepted; required; kept to the millisecond, as Ended is
	Ended time.Time
}

// ID returns the attempt's name.
func (a Attempt) ID() AttemptID { return AttemptID{a.Stream, a.Number} }

// Line is one position of a bill.
type Line struct {
	Kind   token.Kind
	Tokens int64               // of tools: uses
	Amount pricing.Picodollars // all that is owed for it
	// Variance is the part of Amount that isn't rate × quantity at the price known
	// when the attempt was first posted. It may be negative.
	Variance pricing.Picodollars
}

// Bill is what the provider bills for an attempt, as far as is known.
type Bill struct {
	Input        []Line // and fees; each kind once
	Output       Line   // of kind token.Output, which may be left out
	Hidden       int64  // of Output.Tokens
	Low, High    int64  // of Output.Tokens where that is an estimate; both 0: not stated
	InputBasis   token.Basis
	OutputBasis  token.Basis
	ProviderCost string // decimal dollars, where the provider states the cost
	PriceVersion string
	Unpriced     string // why there is no rate, a metric label; "" if there is

	// Bounds are what an estimated bill may come to; nil: it is exact, or they are not
	// known. They are no figures: posted again with others, those of the first time stand.
	Bounds *Bounds `json:"-"`
}

// Bounds are the least and the most that an estimated bill may come to.
type Bounds struct {
	Input, Output Interval // those of the output's tokens are Bill.Low and High too
}

// Interval is from where to where a figure lies.
type Interval struct {
	Low, High int64 // tokens
	From, To  pricing.Picodollars
}

// Outcome is what became of some output tokens.
type Outcome struct {
	Outcome, Cause string
	Tokens         int64
	Amount         pricing.Picodollars
}

// Saving is what resumes saved, by direction.
type Saving struct {
	InputTokens  int64
	OutputTokens int64
	Input        pricing.Picodollars
	Output       pricing.Picodollars
}

// Overhead is what the gateway caused beyond a direct connection.
type Overhead struct {
	Kind   string
	Tokens int64
	Amount pricing.Picodollars
}

// Outcomes is what became of all that a bill names. Output must sum to the
// bill's output, in tokens and in money; the input has one outcome.
type Outcomes struct {
	Output     []Outcome // each outcome and cause once
	Input      string    // Delivered, Wasted or Lost
	InputCause string    // may be ""

	Saved    Saving     // the claim
	Upper    Saving     // at most
	Overhead []Overhead // each kind once

	Uncertain int64            // output tokens of which the outcome is a bound
	Breaks    map[string]int64 // by cause
	Resumes   int64

	// Labels are tags of the call by which its tokens and money are counted apart, all
	// that are told apart at the time, empty where the call had none; nil: it is not.
	// Their values come from a closed set, since each makes counters of its own.
	// They are no figures: posted again with others, those of the first time stand.
	Labels map[string]string `json:"-"`
}

// Posting asks for the bill of an attempt to be posted, or its outcomes, or both.
type Posting struct {
	Attempt  Attempt
	Revision int       // 0 is the first
	Reason   string    // of a revision beyond 0
	Bill     *Bill     // nil: it was posted, with this revision
	Outcomes *Outcomes // nil: they aren't known yet
	// Evidence is JSON from which the figures follow; the ledger keeps it, compacted,
	// with the outcomes or else with the bill. At most MaxEvidence bytes.
	Evidence json.RawMessage
	// Broken is when and by whose doing the answer broke off before its end, as far as
	// is known; by time.
	Broken []Break
}

// Break is when an answer broke off before its end.
type Break struct {
	At    time.Time
	Cause string // of a break, or "upstream"
}

// Miss is a call that could have resumed an orphan and didn't. It is a memo.
type Miss struct {
	Stream          ID // of the new call, which has at most one
	Orphan          ID
	Provider, Model string
	Reason          string // a metric label
	At              time.Time
	Amount          pricing.Picodollars // what it cost
}

// Unexplained is what a provider's report says beyond the bills here, for one
// day; negative if it says less. It says that they were compared: with no amount and
// no parts, they agree.
type Unexplained struct {
	Provider, Model, Tier string
	Day                   string // 2006-01-02, UTC
	Amount                pricing.Picodollars
	Parts                 map[string]pricing.Picodollars // what it is made of, by name; nil: that isn't known
	Posted                time.Time                      // when; the ledger's
}

// Beyond is an Unexplained of such parts. The error is one of an amount that can't be posted.
func Beyond(parts map[string]pricing.Sum) (u Unexplained, err error) {
	u.Parts = map[string]pricing.Picodollars{}
	var all pricing.Sum
	for name, sum := range parts {
		all = all.Plus(sum)
		if u.Parts[name], err = sum.Picodollars(); err != nil {
			return u, err
		}
	}
	if u.Amount, err = all.Picodollars(); err == nil {
		err = u.addable()
	}
	return u, err
}

// Agrees says if there was nothing that differs.
func (u *Unexplained) Agrees() bool { return u.Amount == 0 && len(u.Parts) == 0 }

// ByPart are its parts by their names, in order: all of it as one without a name where
// it has none.
func (u *Unexplained) ByPart() iter.Seq2[string, pricing.Picodollars] {
	return func(yield func(string, pricing.Picodollars) bool) {
		if len(u.Parts) == 0 {
			yield("", u.Amount)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(u.Parts)) {
			if !yield(name, u.Parts[name]) {
				return
			}
		}
	}
}

// Row is an attempt as the books have it.
type Row struct {
	Attempt
	Seq     uint64     // of its first bill: the order of posting
	Current Revision   // what stands
	Earlier []Revision // what was reversed, oldest first
}

// Revision is one version of an attempt's figures.
type Revision struct {
	Number   int
	Reason   string
	Posted   time.Time // the latest part
	Bill     Bill
	Outcomes *Outcomes // nil: pending
	Evidence json.RawMessage
	Broken   []Break
}

// MaxEvidence is the most bytes of evidence that a posting may carry.
const MaxEvidence = 4 << 20
