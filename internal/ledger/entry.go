package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Hash is the SHA-256 of an entry, and of all before it.
type Hash [sha256.Size]byte

// Kinds of entries.
const (
	kindBill        = "bill"
	kindOutcomes    = "outcomes"
	kindReversal    = "reversal"
	kindMiss        = "miss"
	kindUnexplained = "unexplained"
	kindSummary     = "summary"
	kindCut         = "cut"
	kindIncident    = "incident"
)

// Accounts. Those of outcomes are made by outputAccount and inputAccount.
const (
	accountProvider      = "provider"       // what is owed: negative
	accountPriceVariance = "price_variance" // of what is owed
	accountPending       = "pending"
	accountUnexplained   = "unexplained"
	accountSaved         = "saved" // this and the following are memo accounts
	accountSavedUpper    = "saved_upper"
	prefixOutput         = "output/"
	prefixInput          = "input/"
	prefixOverhead       = "overhead/"
	prefixMissed         = "missed/"
)

// entry is one entry of the books as it is stored: what encode makes of it is
// what the chain's hashes are of.
type entry struct {
	Kind     string `json:"k"`
	Posted   int64  `json:"t"` // unix ms
	Stream   ID     `json:"s"` // of an unexplained amount: zero
	Number   int    `json:"n,omitempty"`
	Revision int    `json:"r,omitempty"`
	Reason   string `json:"y,omitempty"`
	Provider string `json:"p"`
	Model    string `json:"m"`

	Attempt     *attemptBody     `json:"a,omitempty"` // with the first bill
	Bill        *billBody        `json:"b,omitempty"`
	Outcomes    *outcomesBody    `json:"o,omitempty"`
	Miss        *missBody        `json:"x,omitempty"`
	Unexplained *unexplainedBody `json:"u,omitempty"`
	Summary     *summaryBody     `json:"sm,omitempty"`
	Cut         *cutBody         `json:"ct,omitempty"`
	Incident    *incidentBody    `json:"z,omitempty"`
	Reverses    []uint64         `json:"of,omitempty"` // sequence numbers

	Lines    []amountOn      `json:"l,omitempty"` // sum to zero for each kind
	Memo     []amountOn      `json:"i,omitempty"` // need not
	Broken   []brokenAt      `json:"bk,omitempty"`
	Evidence json.RawMessage `json:"e,omitempty"`
}

// amountOn is an amount on an account.
type amountOn struct {
	Account string     `json:"a"`
	Kind    token.Kind `json:"k,omitempty"`
	Tokens  int64      `json:"t,omitempty"`
	Amount  int64      `json:"p,omitempty"` // picodollars
}

type attemptBody struct {
	AskedModel  string            `json:"am,omitempty"`
	RequestID   string            `json:"q,omitempty"`
	ResponseID  string            `json:"w,omitempty"`
	Endpoint    string            `json:"ep,omitempty"`
	Streamed    bool              `json:"st,omitempty"`
	ServiceTier string            `json:"tr,omitempty"`
	Principal   ID                `json:"c"`
	Tags        map[string]string `json:"g,omitempty"`
	At          int64             `json:"at"` // unix ms
	Ended       int64             `json:"en,omitempty"`
}

// billBody is what of a bill isn't in the lines.
type billBody struct {
	Hidden       int64       `json:"h,omitempty"`
	Low          int64       `json:"lo,omitempty"`
	High         int64       `json:"hi,omitempty"`
	InputBasis   token.Basis `json:"ib,omitempty"`
	OutputBasis  token.Basis `json:"ob,omitempty"`
	ProviderCost string      `json:"pc,omitempty"`
	PriceVersion string      `json:"v,omitempty"`
	Unpriced     string      `json:"un,omitempty"`
	Bounds       *boundsBody `json:"bd,omitempty"`
}

// boundsBody has, each for tokens and for picodollars, the least and the most.
type boundsBody struct {
	Input  [4]int64 `json:"i"`
	Output [4]int64 `json:"o"`
}

type brokenAt struct {
	At    int64  `json:"at"` // unix ms
	Cause string `json:"c"`
}

// outcomesBody is what of the outcomes isn't in the lines and the memo.
type outcomesBody struct {
	Input      string           `json:"in"` // there may be no line of input
	InputCause string           `json:"ic,omitempty"`
	Uncertain  int64            `json:"u,omitempty"`
	Breaks     map[string]int64 `json:"b,omitempty"`
	Resumes    int64            `json:"r,omitempty"`

	Labels map[string]string `json:"lb,omitempty"`
}

type missBody struct {
	Orphan ID     `json:"o"`
	Reason string `json:"y"`
	At     int64  `json:"at"`
}

type unexplainedBody struct {
	Tier   string `json:"tr,omitempty"`
	Day    string `json:"d"`
	Amount int64  `json:"p"` // what stands from here on; the lines are the difference

	Parts map[string]int64 `json:"pt,omitempty"` // of what stands
}

func (e *entry) id() AttemptID { return AttemptID{e.Stream, e.Number} }

func (e *entry) encode() ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err) // the evidence
	}
	return b, nil
}

func decodeEntry(body []byte) (*entry, error) {
	e := &entry{}
	if err := json.Unmarshal(body, e); err != nil {
		return nil, damagedf("entry: %v", err)
	}
	return e, nil
}

// chain returns the hash of the entry with this number and body, which follows
// the one with hash prev.
func chain(prev Hash, seq uint64, body []byte) (h Hash) {
	d := sha256.New()
	d.Write(prev[:])
	d.Write(binary.BigEndian.AppendUint64(nil, seq))
	d.Write(body)
	d.Sum(h[:0])
	return h
}

func outputAccount(outcome, cause string) string { return prefixOutput + outcome + "/" + cause }

func inputAccount(outcome, cause string) string {
	if cause == "" {
		return prefixInput + outcome
	}
	return prefixInput + outcome + "/" + cause
}

// imbalance returns what the lines sum to for the first kind that isn't zero.
func imbalance(lines []amountOn) (tokens, amount int64) {
	for i, first := range lines {
		tokens, amount = 0, 0
		for j, l := range lines {
			if l.Kind != first.Kind {
				continue
			}
			if j < i {
				break // this kind was summed before
			}
			tokens += l.Tokens
			amount += l.Amount
		}
		if tokens != 0 || amount != 0 {
			return tokens, amount
		}
	}
	return 0, 0
}

// reversed returns the lines with their signs turned.
func reversed(lines []amountOn) []amountOn {
	out := make([]amountOn, len(lines))
	for i, l := range lines {
		out[i] = amountOn{l.Account, l.Kind, -l.Tokens, -l.Amount}
	}
	return out
}

// billLines posts a bill: what the provider is owed is pending.
func billLines(b *Bill) []amountOn {
	lines := make([]amountOn, 0, 2*len(b.Input)+3)
	for _, l := range b.all() {
		lines = append(lines, amountOn{accountPending, l.Kind, l.Tokens, int64(l.Amount)},
			amountOn{accountProvider, l.Kind, -l.Tokens, -int64(l.Amount - l.Variance)})
		if l.Variance != 0 {
			lines = append(lines, amountOn{accountPriceVariance, l.Kind, 0, -int64(l.Variance)})
		}
	}
	return lines
}

// all returns the lines of input and that of output.
func (b *Bill) all() []Line { return append(b.Input[:len(b.Input):len(b.Input)], b.Output) }

// outcomeLines posts outcomes: what was pending is where it belongs.
func outcomeLines(b *Bill, o *Outcomes) []amountOn {
	lines := make([]amountOn, 0, 2*len(b.Input)+1+len(o.Output))
	for _, l := range b.Input {
		lines = append(lines, amountOn{accountPending, l.Kind, -l.Tokens, -int64(l.Amount)},
			amountOn{inputAccount(o.Input, o.InputCause), l.Kind, l.Tokens, int64(l.Amount)})
	}
	lines = append(lines, amountOn{accountPending, token.Output, -b.Output.Tokens, -int64(b.Output.Amount)})
	for _, c := range o.Output {
		lines = append(lines, amountOn{outputAccount(c.Outcome, c.Cause), token.Output, c.Tokens, int64(c.Amount)})
	}
	return lines
}

// memoLines posts what stands beside the outcomes.
func memoLines(o *Outcomes) []amountOn {
	lines := make([]amountOn, 0, 4+len(o.Overhead))
	add := func(account string, kind token.Kind, tokens int64, amount pricing.Picodollars) {
		if tokens != 0 || amount != 0 {
			lines = append(lines, amountOn{account, kind, tokens, int64(amount)})
		}
	}
	add(accountSaved, token.Input, o.Saved.InputTokens, o.Saved.Input)
	add(accountSaved, token.Output, o.Saved.OutputTokens, o.Saved.Output)
	add(accountSavedUpper, token.Input, o.Upper.InputTokens, o.Upper.Input)
	add(accountSavedUpper, token.Output, o.Upper.OutputTokens, o.Upper.Output)
	for _, h := range o.Overhead {
		add(prefixOverhead+h.Kind, token.Output, h.Tokens, h.Amount)
	}
	return lines
}
