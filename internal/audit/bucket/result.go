package bucket

import (
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/pricing"
)

// Names of parts.
const (
	Lag          = "lag"           // calls that the bill has a day later
	Estimated    = "estimated"     // attempts that were estimated, within their bounds
	Bypassed     = "bypassed"      // calls that didn't come through the gateway
	OnCancel     = "on_cancel"     // cut attempts whose billing isn't what on_cancel says
	Price        = "price"         // the same tokens at another price
	OtherCharges = "other_charges" // what is not charged by tokens
	Unexplained  = "unexplained"
)

// Result is what the comparison found.
type Result struct {
	Provider string    `json:"provider"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	State    string    `json:"state"` // reconciled, or differs
	Attempts int64     `json:"attempts"`
	Pending  int64     `json:"pending_attempts"` // whose outcomes are open; their bills are compared

	Billed Side `json:"billed"`
	Booked Side `json:"booked"`

	Parts  []Part   `json:"parts"` // of all cells, by name
	Cells  []Cell   `json:"cells"` // those that differ
	Agreed int      `json:"cells_agreed"`
	Notes  []string `json:"notes"`

	Adjustment pricing.Sum `json:"adjustment_usd"` // what the books should say is billed beyond them
	Standing   pricing.Sum `json:"standing_usd"`   // what they said of these days before
	Posted     int         `json:"posted"`         // adjustments that were posted now
	Recorded   int         `json:"recorded"`       // models and days of which was noted now that they agree, or of what the same amount is made
}

// States of a result.
const (
	Reconciled = "reconciled"
	Differs    = "differs"
)

// Side is what one of both has.
type Side struct {
	Tokens   vendor.Tokens `json:"tokens"`
	Requests int64         `json:"requests"`
	USD      pricing.Sum   `json:"usd"`
}

func (s *Side) add(t Side) {
	s.Tokens, s.Requests, s.USD = s.Tokens.Plus(t.Tokens), s.Requests+t.Requests, s.USD.Plus(t.USD)
}

// Cell is one model, tier and day.
type Cell struct {
	Model  string `json:"model"`
	Tier   string `json:"tier,omitempty"` // "": the standard one, or not told apart
	Day    string `json:"day"`
	Billed Side   `json:"billed"`
	Booked Side   `json:"booked"`
	Parts  []Part `json:"parts"`

	// Adjustment is what is posted: all parts but the lag, which evens out.
	Adjustment pricing.Sum `json:"adjustment_usd"`
}

// Part is what a difference is made of: what the bill has more, or less.
type Part struct {
	Name     string        `json:"name"`
	Tokens   vendor.Tokens `json:"tokens"`
	Requests int64         `json:"requests,omitempty"`
	USD      pricing.Sum   `json:"usd"`
	Text     string        `json:"text,omitempty"`
}
