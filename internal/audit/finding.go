package audit

import (
	"fmt"

	"github.com/recoup-gateway/recoup/internal/token"
)

// What a finding is about.
const (
	Differs     = "differs"       // the bill differs from what the provider reported
	NotInBooks  = "not_in_books"  // a line of which the books have no attempt
	BilledTwice = "billed_twice"  // another line for an attempt that has one
	NotOnBill   = "not_on_bill"   // an attempt that the provider reported and a complete bill doesn't have
	OutOfBounds = "out_of_bounds" // the bill is not within the bounds of what was estimated
)

// Finding is one thing that is wrong, with all that it takes to look it up.
type Finding struct {
	What      string `json:"what"`
	Attempt   string `json:"attempt,omitempty"` // stream/number
	RequestID string `json:"request_id,omitempty"`
	Model     string `json:"model,omitempty"`
	Billed    Tokens `json:"billed"`
	Booked    Tokens `json:"booked"`

	// Of a bill that is out of bounds: what was estimated.
	InputBounds  *token.Range `json:"input_bounds,omitempty"`
	OutputBounds *token.Range `json:"output_bounds,omitempty"`

	Text string `json:"text"` // all of it as a sentence
}

// sentence fills in the text.
func (f Finding) sentence() Finding {
	what := fmt.Sprintf("attempt %s (request %s, %s)", f.Attempt, orNone(f.RequestID), f.Model)
	d := f.Billed.minus(f.Booked)
	switch f.What {
	case Differs:
		f.Text = fmt.Sprintf("%s: the bill differs from what the provider reported: input %+d, output %+d tokens (billed %d and %d)",
			what, d.Input, d.Output, f.Billed.Input, f.Billed.Output)
	case NotInBooks:
		f.Text = fmt.Sprintf("request %s (%s) is on the bill with %d input and %d output tokens, and the books have no attempt of it",
			orNone(f.RequestID), f.Model, f.Billed.Input, f.Billed.Output)
	case BilledTwice:
		f.Text = fmt.Sprintf("request %s (%s) is on the bill once more, with %d input and %d output tokens",
			orNone(f.RequestID), f.Model, f.Billed.Input, f.Billed.Output)
	case NotOnBill:
		f.Text = fmt.Sprintf("%s: the provider reported %d input and %d output tokens, and the bill doesn't have it",
			what, f.Booked.Input, f.Booked.Output)
	case OutOfBounds:
		f.Text = fmt.Sprintf("%s: the bill is outside of the estimate: input %d (estimated %d to %d), output %d (estimated %d to %d)",
			what, f.Billed.Input, f.InputBounds.Low, f.InputBounds.High, f.Billed.Output, f.OutputBounds.Low, f.OutputBounds.High)
	}
	return f
}

func orNone(id string) string {
	if id == "" {
		return "without id"
	}
	return id
}
