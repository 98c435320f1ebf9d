package settle

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// vary notes what part of a bill is not rate × quantity at the price at which the
// attempt was posted first. The bill then has the version of that.
func (e *Evidence) vary(bill *ledger.Bill) error {
	if e.Listed == nil {
		return nil
	}
	listed := e.History
	listed.Rates = *e.Listed
	was, err := books.Keep(listed)
	if err != nil {
		return fmt.Errorf("settle: at the first price: %w", err)
	}
	bill.PriceVersion = e.Listed.Version
	bill.Output.Variance = bill.Output.Amount - was.OutputAmount
	for i := range bill.Input {
		bill.Input[i].Variance = bill.Input[i].Amount - was.Input[i].Amount // of the same kinds, in the same order
	}
	return nil
}

// Query asks a book for the rates of an attempt that was posted, and Rates are those
// it was posted by.
func Query(row ledger.Row) (q pricing.Query, posted pricing.Rates, err error) {
	of, err := PricedBy(row.Current.Evidence)
	return QueryOf(row, of.Rates, row.Current.Bill), of.Rates, err
}

// QueryOf asks a book for other rates of an attempt that was posted by some.
func QueryOf(row ledger.Row, posted pricing.Rates, bill ledger.Bill) pricing.Query {
	q := pricing.Query{Provider: row.Provider, Model: row.Model, At: row.At, ServiceTier: row.ServiceTier, Regional: posted.Regional}
	if row.Model == Other {
		q.Model = row.AskedModel
	}
	switch posted.Tier {
	case "":
	case pricing.Standard, pricing.Long:
		q.ServiceTier = ""
	default:
		q.ServiceTier = string(posted.Tier)
		if posted.Tier == pricing.Priority && posted.Provider == "anthropic" {
			q.ServiceTier = "fast" // what its priority tier is called there
		}
	}
	for _, l := range bill.Input {
		if !l.Kind.IsTool() {
			q.InputTokens += l.Tokens
		}
	}
	return q
}

// Reprice is the posting that makes an attempt cost what it costs by other rates, as
// a revision whose difference is price variance; ok is false if they make no
// difference.
func Reprice(row ledger.Row, rates pricing.Rates) (p ledger.Posting, ok bool, err error) {
	var e Evidence
	if err := e.decode(row.Current.Evidence); err != nil {
		return p, false, err
	}
	if e.Listed == nil {
		first := e.History.Rates
		e.Listed = &first
	}
	e.History.Rates, e.History.Caching, e.Unpriced = rates, rates.Caching(), ""
	if samePrices(*e.Listed, rates) { // it is as it was first
		e.History.Rates, e.History.Caching = *e.Listed, e.Listed.Caching()
	}
	settled := row.Current.Outcomes != nil
	b, err := e.reckon(false)
	if err == nil && settled && !b.Settled {
		err = errors.New("its evidence doesn't settle it, but it is settled")
	}
	if err != nil {
		return p, false, fmt.Errorf("settle: attempt %s: %w", row.ID(), err)
	}
	if p, err = e.Posting(b); err != nil {
		return p, false, err
	}
	p.Bill.ProviderCost = row.Current.Bill.ProviderCost
	if sameAmounts(row.Current.Bill, *p.Bill) {
		return p, false, nil
	}
	if !settled {
		p.Outcomes = nil
	}
	p.Attempt = ledger.Attempt{Stream: row.Stream, Number: row.Number}
	p.Revision, p.Reason = row.Current.Number+1, ledger.PriceVariance
	return p, true, nil
}

func samePrices(a, b pricing.Rates) bool {
	return a.Tier == b.Tier && a.Regional == b.Regional && reflect.DeepEqual(a.PerToken, b.PerToken)
}

// sameAmounts says if two bills for the same tokens come to the same, kind by kind.
func sameAmounts(a, b ledger.Bill) bool {
	amounts := func(bill ledger.Bill) map[token.Kind]pricing.Picodollars {
		all := map[token.Kind]pricing.Picodollars{token.Output: bill.Output.Amount}
		for _, l := range bill.Input {
			all[l.Kind] = l.Amount
		}
		return all
	}
	return a.Unpriced == b.Unpriced && reflect.DeepEqual(amounts(a), amounts(b))
}
