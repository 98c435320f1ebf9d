package settle

import (
	"encoding/json"
	"fmt"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Posting puts books into the form that the ledger takes, but for the attempt
// that they are of. Outcomes are left out while they can still change.
func (e *Evidence) Posting(b books.Books) (ledger.Posting, error) {
	f := e.History.Facts
	bill := &ledger.Bill{
		Output: ledger.Line{Tokens: f.Output, Amount: b.OutputAmount},
		Low:    e.Output.Low, High: e.Output.High, Hidden: f.Hidden,
		InputBasis: e.Bases.Input, OutputBasis: e.Bases.Output,
		PriceVersion: f.Rates.Version, Unpriced: e.Unpriced, ProviderCost: e.Stated,
		Bounds: e.Bounds(),
	}
	for _, line := range b.Input {
		bill.Input = append(bill.Input, ledger.Line{Kind: line.Kind, Tokens: line.Tokens, Amount: line.Amount})
	}
	if err := e.vary(bill); err != nil {
		return ledger.Posting{}, err
	}
	p := ledger.Posting{Bill: bill, Broken: Broken(b)}
	if b.Settled {
		p.Outcomes = outcomes(b)
		p.Outcomes.InputCause = e.inputCause(b)
	}
	stored := *e
	stored.History = books.Compact(e.History)
	evidence, err := json.Marshal(stored)
	if err != nil {
		return p, fmt.Errorf("settle: evidence: %w", err)
	}
	p.Evidence = evidence
	return p, nil
}

func outcomes(b books.Books) *ledger.Outcomes {
	o := &ledger.Outcomes{
		Input: b.InputOutcome, Saved: saving(b.Saved), Upper: saving(b.Upper),
		Uncertain: b.Uncertain, Breaks: b.Breaks, Resumes: b.Resumes,
	}
	for _, out := range b.Outcomes {
		o.Output = append(o.Output, ledger.Outcome{Outcome: out.Outcome, Cause: out.Cause, Tokens: out.Tokens, Amount: out.Amount})
	}
	for _, over := range b.Overhead {
		o.Overhead = append(o.Overhead, ledger.Overhead{Kind: over.Kind, Tokens: over.Tokens, Amount: over.Amount})
	}
	return o
}

func saving(s books.Saving) ledger.Saving {
	return ledger.Saving{InputTokens: s.InputTokens, OutputTokens: s.OutputTokens, Input: s.Input, Output: s.Output}
}

// number is that of the attempt within its stream, from 1.
func (r *reading) number() int { return max(r.attempt.Number, 1) }

// maxRequestID is how much of a provider's request id is kept: it is as long as a
// header can be.
const maxRequestID = 512

// attempt describes the attempt of a reading to the ledger.
func (s *Settler) attempt(r *reading) ledger.Attempt {
	h := r.header
	a := ledger.Attempt{
		Stream: ledger.ID(h.ID), Number: r.number(), Provider: h.Provider, AskedModel: h.Asked(), Model: s.Label(h.Provider, r.model()),
		Endpoint: h.Endpoint, Streamed: h.Streamed, ServiceTier: r.usage.ServiceTier, Tags: h.Tags,
		At: h.Accepted,
	}
	copy(a.Principal[:], h.Principal[:])
	if r.head != nil {
		a.RequestID = r.head.RequestID[:min(len(r.head.RequestID), maxRequestID)]
	}
	if r.end != nil {
		a.Ended, a.ResponseID = r.end.At, r.end.ResponseID
	}
	return a
}

// Label is what a model is called in accounts and metrics: its id in the price
// book, else "other", so that their number is bounded.
func (s *Settler) Label(provider, model string) string {
	if id, ok := s.book.Load().Resolve(provider, model); ok {
		return id
	}
	return Other
}

// Other is the label of a model that the price book doesn't know.
const Other = "other"

// reckon has the books kept. If nothing more can come of the stream, that is
// noted in the history, and settles what was open.
func (e *Evidence) reckon(over bool) (books.Books, error) {
	h := &e.History
	if n := len(h.Steps); over && n > 0 {
		h.Steps = append(h.Steps, books.Step{At: h.Steps[n-1].At, Do: books.Retention})
	}
	b, err := books.Keep(*h)
	if b.Unpriced && e.Unpriced == "" {
		e.Unpriced = string(pricing.NoRate) // for a part of it, such as a tool
	}
	return b, err
}

// inputCause is why the input came to what it did: as most of the output of that
// outcome, or where there is no output, as the attempt ended.
func (e *Evidence) inputCause(b books.Books) (cause string) {
	most := int64(0)
	for _, o := range b.Outcomes {
		if o.Outcome == b.InputOutcome && o.Tokens > most {
			cause, most = o.Cause, o.Tokens
		}
	}
	if cause != "" {
		return cause
	}
	if b.InputOutcome == ledger.Delivered {
		return ledger.Live
	}
	for _, step := range e.History.Steps {
		switch step.Do {
		case books.Damage:
			return ledger.Damaged
		case books.Cancel:
			return ledger.Cancelled
		case books.Fail:
			return ledger.Upstream
		case books.Kill:
			return ledger.Crash
		case books.Supersede:
			return ledger.Superseded
		}
	}
	return ledger.Abandoned
}
