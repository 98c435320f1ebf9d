package report

import (
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Figures are what a report says of the whole, and of every group. Money is exact;
// tokens of input are without uses of tools.
type Figures struct {
	Attempts int64 `json:"attempts"`
	Pending  int64 `json:"pending_attempts"` // of which the outcomes are not known yet
	Broken   int64 `json:"broken_attempts"`
	Resumed  int64 `json:"resumed_attempts"`
	Unpriced int64 `json:"unpriced_attempts"` // without a rate, for all or for a part

	Cost Range `json:"cost_usd"` // what was paid for nothing
	Paid Range `json:"paid_usd"`

	// What was paid, by what became of it. Output alone adds up to Paid with Input.
	Delivered     Part  `json:"delivered"`
	Unusable      Part  `json:"unusable"`       // written to a client, in an answer that none got to its end
	NeverReceived Part  `json:"never_received"` // billed, and written to nobody
	Open          Part  `json:"pending"`
	Input         Money `json:"input"` // of all of them

	Avoided  Avoided     `json:"avoided"`
	Overhead Money       `json:"caused_by_gateway"` // a part of the cost, by the output's tokens
	Net      pricing.Sum `json:"net_usd"`           // avoided less caused by the gateway

	Reported  Money `json:"reported"`  // what of paid the provider has reported or billed
	Estimated Money `json:"estimated"` // and the rest

	down, up         pricing.Sum // of paid: how far below and above the point it can be
	costDown, costUp pricing.Sum
}

// Range is an amount, and the least and the most that it may be.
type Range struct {
	Low   pricing.Sum `json:"low"`
	Point pricing.Sum `json:"point"`
	High  pricing.Sum `json:"high"`
}

// Exact says if there is nothing between the least and the most.
func (r Range) Exact() bool { return r.Low == r.High }

// Money is tokens and what they cost.
type Money struct {
	Tokens int64       `json:"tokens"`
	USD    pricing.Sum `json:"usd"`
}

func (m *Money) add(tokens int64, amount pricing.Picodollars) {
	m.Tokens += tokens
	m.USD = m.USD.Add(amount)
}

// Part is what became of some output, and the input of attempts of that outcome.
type Part struct {
	OutputTokens int64       `json:"output_tokens"`
	OutputUSD    pricing.Sum `json:"output_usd"`
	InputTokens  int64       `json:"input_tokens"`
	InputUSD     pricing.Sum `json:"input_usd"`
	USD          pricing.Sum `json:"usd"` // both
}

// Avoided is what resumes avoided, an estimate.
type Avoided struct {
	OutputTokens int64       `json:"output_tokens"`
	InputTokens  int64       `json:"input_tokens"`
	USD          pricing.Sum `json:"usd"`       // the claim
	Upper        pricing.Sum `json:"usd_upper"` // at most
}

// part is where what has an outcome belongs.
func (f *Figures) part(outcome string) *Part {
	switch outcome {
	case ledger.Delivered:
		return &f.Delivered
	case ledger.Wasted:
		return &f.Unusable
	case ledger.Lost:
		return &f.NeverReceived
	}
	return &f.Open
}

// take adds a piece of an attempt.
func (f *Figures) take(p *piece) {
	to := f.part(p.outcome)
	to.USD = to.USD.Add(p.amount)
	if p.input {
		to.InputTokens += p.tokens
		to.InputUSD = to.InputUSD.Add(p.amount)
		f.Input.add(p.tokens, p.amount)
	} else {
		to.OutputTokens += p.tokens
		to.OutputUSD = to.OutputUSD.Add(p.amount)
	}
	if p.estimated {
		f.Estimated.add(p.tokens, p.amount)
	} else {
		f.Reported.add(p.tokens, p.amount)
	}
}

// whole adds what belongs to an attempt as a whole.
func (f *Figures) whole(a *attempt) {
	f.Attempts++
	f.Pending += one(a.outcomes == nil)
	f.Broken += one(len(a.broken) > 0)
	f.Unpriced += one(a.row.Current.Bill.Unpriced != "")
	f.down, f.up = f.down.Add(a.down), f.up.Add(a.up)
	f.costDown, f.costUp = f.costDown.Add(a.costDown), f.costUp.Add(a.costUp)
	o := a.outcomes
	if o == nil {
		return
	}
	f.Resumed += one(o.Resumes > 0)
	f.Avoided.OutputTokens += o.Saved.OutputTokens
	f.Avoided.InputTokens += o.Saved.InputTokens
	f.Avoided.USD = f.Avoided.USD.Add(o.Saved.Input).Add(o.Saved.Output)
	f.Avoided.Upper = f.Avoided.Upper.Add(o.Upper.Input).Add(o.Upper.Output)
	for _, h := range o.Overhead {
		f.Overhead.add(h.Tokens, h.Amount)
	}
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// close works out what follows from the rest.
func (f *Figures) close() {
	f.Net = f.Avoided.USD.Minus(f.Overhead.USD)
	paid := f.Delivered.USD.Plus(f.Unusable.USD).Plus(f.NeverReceived.USD).Plus(f.Open.USD)
	f.Paid = Range{paid.Minus(f.down), paid, paid.Plus(f.up)}
	cost := f.Unusable.USD.Plus(f.NeverReceived.USD)
	f.Cost = Range{cost.Minus(f.costDown), cost, cost.Plus(f.costUp)}
}
