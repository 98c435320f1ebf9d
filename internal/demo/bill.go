package demo

import (
	"fmt"
	"net/http"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

const providerName = "openai" // as the gateway is told

// bill is the provider's, in the form in which the gateway takes one.
type bill struct {
	Provider string    `json:"provider"`
	Complete bool      `json:"complete"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Lines    []line    `json:"lines"`
}

type line struct {
	RequestID string               `json:"request_id"`
	Model     string               `json:"model"`
	Input     map[token.Kind]int64 `json:"input"`
	Output    int64                `json:"output"`
	Hidden    int64                `json:"hidden"`
	Started   time.Time            `json:"started"`
	Ended     time.Time            `json:"ended"`
	USD       pricing.Sum          `json:"usd"`
}

// newBill writes the provider's bill for all that it was asked since a time, at
// its list prices.
func newBill(entries []simulator.Entry, since time.Time) (bill, providerBill, error) {
	b := bill{Provider: providerName, Complete: true, From: since.UTC().Add(-time.Minute), To: time.Now().UTC().Add(time.Minute), Lines: []line{}}
	var total providerBill
	for _, e := range entries {
		if e.Method != http.MethodPost || e.End == simulator.EndRejected {
			continue // free
		}
		l := line{
			RequestID: e.RequestID, Model: e.Model, Started: e.Started, Ended: e.Ended,
			Input: map[token.Kind]int64{
				token.Input: int64(e.Input), token.CacheRead: int64(e.CacheRead),
				token.CacheWrite5m: int64(e.CacheWrite), token.CacheWrite1h: int64(e.CacheWrite1h),
			},
			Output: int64(e.Billed), Hidden: int64(min(e.Hidden, e.Billed)),
		}
		var err error
		if l.USD, err = listPrice(&l); err != nil {
			return b, total, fmt.Errorf("the provider's bill: %w", err)
		}
		b.Lines = append(b.Lines, l)
		total.Requests++
		total.InputTokens += int64(e.InputTotal())
		total.OutputTokens += l.Output
		total.USD = total.USD.Plus(l.USD)
	}
	return b, total, nil
}

func listPrice(l *line) (pricing.Sum, error) {
	var sum pricing.Sum
	rates, reason := pricing.Embedded().Rates(pricing.Query{Provider: providerName, Model: l.Model, At: l.Started, InputTokens: l.Input[token.Input]})
	if reason != "" {
		return sum, fmt.Errorf("no price for %s: %s", l.Model, reason)
	}
	u := token.Usage{
		Input: token.Known(l.Input[token.Input]), CacheRead: token.Known(l.Input[token.CacheRead]),
		CacheWrite5m: token.Known(l.Input[token.CacheWrite5m]), CacheWrite1h: token.Known(l.Input[token.CacheWrite1h]),
		Output: token.Known(l.Output),
	}
	cost, err := rates.Cost(u)
	return sum.Add(cost.Input).Add(cost.Output), err
}
