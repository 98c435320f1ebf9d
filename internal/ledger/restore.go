package ledger

import (
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// What was posted, from the entries: the inverse of drafting them.

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (e *entry) attempt() Attempt {
	a := Attempt{Stream: e.Stream, Number: e.Number, Provider: e.Provider, Model: e.Model}
	if b := e.Attempt; b != nil {
		a.AskedModel, a.RequestID, a.ResponseID = b.AskedModel, b.RequestID, b.ResponseID
		a.Endpoint, a.Streamed, a.ServiceTier = b.Endpoint, b.Streamed, b.ServiceTier
		a.Principal, a.Tags = b.Principal, b.Tags
		a.At, a.Ended = fromMillis(b.At), fromMillis(b.Ended)
	}
	return a
}

// bill returns the bill that the entry posts.
func (e *entry) bill() *Bill {
	b := &Bill{Output: Line{Kind: token.Output}}
	if s := e.Bill; s != nil {
		b.Hidden, b.Low, b.High = s.Hidden, s.Low, s.High
		b.InputBasis, b.OutputBasis = s.InputBasis, s.OutputBasis
		b.ProviderCost, b.PriceVersion, b.Unpriced = s.ProviderCost, s.PriceVersion, s.Unpriced
		b.Bounds = s.Bounds.bounds()
	}
	for _, l := range e.Lines { // those of a kind stand together, the pending one first
		to := &b.Output
		if l.Kind != token.Output {
			if l.Account == accountPending {
				b.Input = append(b.Input, Line{Kind: l.Kind})
			}
			if len(b.Input) == 0 {
				continue
			}
			to = &b.Input[len(b.Input)-1]
		}
		switch l.Account {
		case accountPending:
			to.Tokens, to.Amount = l.Tokens, pricing.Picodollars(l.Amount)
		case accountPriceVariance:
			to.Variance = pricing.Picodollars(-l.Amount)
		}
	}
	return b
}

// outcomes returns the outcomes that the entry posts.
func (e *entry) outcomes() *Outcomes {
	o := &Outcomes{}
	if s := e.Outcomes; s != nil {
		o.Input, o.InputCause = s.Input, s.InputCause
		o.Uncertain, o.Breaks, o.Resumes, o.Labels = s.Uncertain, s.Breaks, s.Resumes, s.Labels
	}
	for _, l := range e.Lines {
		if name, ok := strings.CutPrefix(l.Account, prefixOutput); ok {
			outcome, cause, _ := strings.Cut(name, "/")
			o.Output = append(o.Output, Outcome{outcome, cause, l.Tokens, pricing.Picodollars(l.Amount)})
		}
	}
	for _, l := range e.Memo {
		amount := pricing.Picodollars(l.Amount)
		saving := &o.Saved
		if l.Account == accountSavedUpper {
			saving = &o.Upper
		}
		if kind, ok := strings.CutPrefix(l.Account, prefixOverhead); ok {
			o.Overhead = append(o.Overhead, Overhead{kind, l.Tokens, amount})
		} else if l.Kind == token.Input {
			saving.InputTokens, saving.Input = l.Tokens, amount
		} else {
			saving.OutputTokens, saving.Output = l.Tokens, amount
		}
	}
	return o
}

func (e *entry) miss() Miss {
	m := Miss{Stream: e.Stream, Provider: e.Provider, Model: e.Model}
	if b := e.Miss; b != nil {
		m.Orphan, m.Reason, m.At = b.Orphan, b.Reason, fromMillis(b.At)
	}
	for _, l := range e.Memo {
		m.Amount = pricing.Picodollars(l.Amount)
	}
	return m
}

func (e *entry) unexplained() Unexplained {
	u := Unexplained{Provider: e.Provider, Model: e.Model, Posted: fromMillis(e.Posted)}
	if b := e.Unexplained; b != nil {
		u.Tier, u.Day, u.Amount = b.Tier, b.Day, pricing.Picodollars(b.Amount)
		for name, amount := range b.Parts {
			if u.Parts == nil {
				u.Parts = map[string]pricing.Picodollars{}
			}
			u.Parts[name] = pricing.Picodollars(amount)
		}
	}
	return u
}
