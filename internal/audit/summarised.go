package audit

import (
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
)

// summarised notes what the figures of a month rest on whose attempts were
// summarised. Reported and reconciled ones are not told apart in it; an attempt
// counts as estimated if any of its month's tokens are.
func (s *Summary) summarised(m ledger.Summary) error {
	s.Summarised += m.Attempts
	s.Unpriced += m.Unpriced
	basis := token.Reported
	for _, p := range m.Lines {
		if p.Account != "provider" && p.Account != "price_variance" && p.Account != "unexplained" {
			continue
		}
		of := token.Reported
		if p.Estimated {
			of, basis = token.Bounded, token.Bounded
		}
		part := s.part(of)
		switch { // what is owed is negative
		case p.Kind.IsOutput():
			part.OutputTokens -= p.Tokens
		case !p.Kind.IsTool():
			part.InputTokens -= p.Tokens
		}
		part.USD = part.USD.Minus(p.Amount)
	}
	if m.Attempts > 0 {
		s.part(basis).Attempts += m.Attempts
		s.Basis = token.Worst(s.Basis, basis)
	}
	return nil
}
