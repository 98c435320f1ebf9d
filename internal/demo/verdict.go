package demo

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFailed is in the error of a demo that came to its end, and did not show what
// it should have: books that balance, and agree with the provider's bill.
var ErrFailed = errors.New("the books are not right")

// Verdict is nil if the books balance, each attempt that the provider had reported
// equals its bill to the token, each estimate held its bounds, and nothing is left
// unexplained. Else it is an ErrFailed that says what is wrong, and of which
// attempt.
func (r *Report) Verdict() error {
	if wrong := r.wrong(); len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrFailed, strings.Join(wrong, "; "))
	}
	return nil
}

func (r *Report) wrong() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	wrong = append(wrong, r.findings...)
	if r.late != "" {
		say("%s", r.late)
	}
	if r.Imbalance != 0 {
		say("the books don't balance, by %d tokens", r.Imbalance)
	}
	if n := r.Reconciliation.Unexplained; n != 0 {
		say("%d tokens of the provider's bill are unexplained", n)
	}
	if r.Outcomes.Pending != 0 {
		say("%d tokens have no outcome yet", r.Outcomes.Pending)
	}
	if n := sum(r.Outcomes.Delivered) + sum(r.Outcomes.Wasted) + sum(r.Outcomes.Lost) + r.Outcomes.Pending; n != r.Billed.OutputTokens {
		say("%d output tokens were billed, and %d have an outcome", r.Billed.OutputTokens, n)
	}
	if r.ProviderBill.Requests != r.attempts {
		say("the provider billed %d requests, and the books have %d", r.ProviderBill.Requests, r.attempts)
	}
	if p := r.ProviderBill.billed; p != r.Billed {
		say("the provider billed %d input and %d output tokens for $%s, and the books have %d and %d for $%s",
			p.InputTokens, p.OutputTokens, p.USD, r.Billed.InputTokens, r.Billed.OutputTokens, r.Billed.USD)
	}
	return wrong
}

func sum(causes map[string]int64) (n int64) {
	for _, tokens := range causes {
		n += tokens
	}
	return n
}
