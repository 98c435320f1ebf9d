package gateway

import (
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// booksJSON is what the books say of a stream, in its status. Money is in US
// dollars, as decimal strings.
type booksJSON struct {
	Settled  bool           `json:"settled"`
	Attempt  int            `json:"attempt"`
	Revision *int           `json:"revision,omitempty"` // none: nothing is posted yet
	Reason   string         `json:"revision_reason,omitempty"`
	Input    inputJSON      `json:"input"`
	Output   outputJSON     `json:"output"`
	Outcomes []outcomeJSON  `json:"outcomes"`
	Pending  int64          `json:"pending_tokens"`
	Saved    savedJSON      `json:"saved"`
	Overhead []overheadJSON `json:"overhead"`
	Bill     string         `json:"bill_usd"`
	Net      string         `json:"net_usd"`
	Price    priceJSON      `json:"price"`
}

// figureJSON is a number of tokens, and what it rests on.
type figureJSON struct {
	Tokens int64       `json:"tokens"`
	Basis  token.Basis `json:"basis"`
	Low    *int64      `json:"low,omitempty"` // of an estimate
	High   *int64      `json:"high,omitempty"`
	USD    string      `json:"usd"`
}

type inputJSON struct {
	figureJSON
	Kinds   map[token.Kind]int64 `json:"kinds"`
	Outcome string               `json:"outcome,omitempty"`
}

type outputJSON struct {
	figureJSON
	Hidden    int64 `json:"hidden_tokens"`
	Received  int64 `json:"received_tokens"`
	Uncertain int64 `json:"uncertain_tokens"` // written or not: only the killed gateway knew
}

type outcomeJSON struct {
	Outcome string `json:"outcome"`
	Cause   string `json:"cause"`
	Tokens  int64  `json:"tokens"`
	USD     string `json:"usd"`
}

type savedJSON struct {
	Output int64  `json:"output_tokens"`
	Input  int64  `json:"input_tokens"`
	USD    string `json:"usd"`
	Upper  string `json:"usd_upper"`
}

type overheadJSON struct {
	Kind   string `json:"kind"`
	Tokens int64  `json:"tokens"`
	USD    string `json:"usd"`
}

type priceJSON struct {
	Version  string `json:"version"`
	Model    string `json:"model,omitempty"`
	Status   string `json:"status,omitempty"`
	Tier     string `json:"tier,omitempty"`
	Unpriced string `json:"unpriced,omitempty"` // why there is no price
}

func describeBooks(v *settle.View) (*booksJSON, error) {
	money, err := v.Money()
	if err != nil {
		return nil, err
	}
	b, e, f := v.Books, &v.Evidence, v.Evidence.History.Facts
	j := &booksJSON{
		Settled: v.Settled, Attempt: v.Attempt, Reason: v.Reason, Outcomes: []outcomeJSON{}, Overhead: []overheadJSON{}, Pending: b.Pending,
		Input:  inputJSON{figureJSON: figure(e.Input, e.Bases.Input, b.InputAmount), Kinds: f.Input, Outcome: b.InputOutcome},
		Output: outputJSON{figureJSON: figure(e.Output, e.Bases.Output, b.OutputAmount), Hidden: f.Hidden, Received: b.Received, Uncertain: b.Uncertain},
		Saved:  savedJSON{b.Saved.OutputTokens, b.Saved.InputTokens, money.Saved.String(), money.Upper.String()},
		Bill:   money.Bill.String(), Net: money.Net.String(),
		Price: priceJSON{Version: f.Rates.Version, Model: f.Rates.Model, Status: string(f.Rates.Status), Tier: string(f.Rates.Tier), Unpriced: e.Unpriced},
	}
	if j.Input.Kinds == nil {
		j.Input.Kinds = map[token.Kind]int64{}
	}
	if v.Revision >= 0 {
		j.Revision = &v.Revision
	}
	for _, o := range b.Outcomes {
		j.Outcomes = append(j.Outcomes, outcomeJSON{o.Outcome, o.Cause, o.Tokens, o.Amount.String()})
	}
	for _, o := range b.Overhead {
		j.Overhead = append(j.Overhead, overheadJSON{o.Kind, o.Tokens, o.Amount.String()})
	}
	return j, nil
}

func figure(r token.Range, basis token.Basis, amount pricing.Picodollars) figureJSON {
	j := figureJSON{Tokens: r.Point, Basis: basis, USD: amount.String()}
	if r.Low != r.Point || r.High != r.Point {
		j.Low, j.High = &r.Low, &r.High
	}
	return j
}
