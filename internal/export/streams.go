package export

import (
	"context"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// stream is what a row of streams is made of: a stream that was billed, as it stands.
type stream struct {
	first     ledger.Row // its first attempt
	attempts  int64
	revisions int64
	ended     time.Time
	settled   bool

	input, output, uncertain int64
	tokens                   map[string]int64       // of the output, by outcome
	cost                     map[string]pricing.Sum // of all, by outcome
	billed, variance         pricing.Sum
	saved, upper, overhead   pricing.Sum
	savedTokens              int64
	overheadTokens           int64
	breaks, resumes          int64
	basis                    token.Basis
	unpriced                 string
	stated                   string
}

func writeStreams(ctx context.Context, books *ledger.Ledger, r Request, out writer) error {
	if err := out.header(names(streamColumns)); err != nil {
		return err
	}
	row := make([]cell, 0, len(streamColumns))
	write := func(s *stream) error {
		if s == nil {
			return nil
		}
		row = cells(streamColumns, s, row)
		return out.row(row)
	}
	var last *stream
	// The attempts of a stream are accepted with it, so they follow each other.
	err := books.Between(ctx, r.Since, r.Until, func(a ledger.Row) error {
		if last == nil || last.first.Stream != a.Stream {
			if err := write(last); err != nil {
				return err
			}
			last = &stream{first: a, settled: true, tokens: map[string]int64{}, cost: map[string]pricing.Sum{}}
		}
		last.add(&a)
		return nil
	})
	if err == nil {
		err = write(last)
	}
	return err
}

// add adds an attempt, as it stands.
func (s *stream) add(a *ledger.Row) {
	rev := &a.Current
	s.attempts++
	s.revisions += int64(rev.Number)
	if e := end(a.Attempt); e.After(s.ended) {
		s.ended = e
	}
	input := pricing.Sum{}
	for _, l := range rev.Bill.Input {
		if !l.Kind.IsTool() {
			s.input += l.Tokens
		}
		input = input.Add(l.Amount)
		s.variance = s.variance.Add(l.Variance)
	}
	s.output += rev.Bill.Output.Tokens
	s.variance = s.variance.Add(rev.Bill.Output.Variance)
	s.billed = s.billed.Plus(input).Add(rev.Bill.Output.Amount)
	s.basis = token.Worst(s.basis, token.Worst(rev.Bill.InputBasis, rev.Bill.OutputBasis))
	s.unpriced = firstOf(s.unpriced, rev.Bill.Unpriced)
	s.stated = firstOf(s.stated, rev.Bill.ProviderCost)
	if rev.Outcomes == nil {
		s.settled = false
		s.tokens[pending] += rev.Bill.Output.Tokens
		s.cost[pending] = s.cost[pending].Plus(input).Add(rev.Bill.Output.Amount)
		return
	}
	s.outcomes(rev.Outcomes, input)
}

func (s *stream) outcomes(o *ledger.Outcomes, input pricing.Sum) {
	s.cost[o.Input] = s.cost[o.Input].Plus(input)
	for _, out := range o.Output {
		s.tokens[out.Outcome] += out.Tokens
		s.cost[out.Outcome] = s.cost[out.Outcome].Add(out.Amount)
	}
	s.saved = s.saved.Add(o.Saved.Input).Add(o.Saved.Output)
	s.upper = s.upper.Add(o.Upper.Input).Add(o.Upper.Output)
	s.savedTokens += o.Saved.OutputTokens
	for _, h := range o.Overhead {
		s.overheadTokens += h.Tokens
		s.overhead = s.overhead.Add(h.Amount)
	}
	for _, n := range o.Breaks {
		s.breaks += n
	}
	s.resumes += o.Resumes
	s.uncertain += o.Uncertain
}

func ofOutcome(outcome string) (tokens, cost func(*stream) cell) {
	return func(s *stream) cell { return countCell(s.tokens[outcome]) }, func(s *stream) cell { return sumCell(s.cost[outcome]) }
}

// streamColumns are the table of streams.
var streamColumns = func() []column[*stream] {
	deliveredTokens, deliveredCost := ofOutcome(ledger.Delivered)
	wastedTokens, wastedCost := ofOutcome(ledger.Wasted)
	lostTokens, lostCost := ofOutcome(ledger.Lost)
	pendingTokens, pendingCost := ofOutcome(pending)
	return []column[*stream]{
		{"BilledCost", func(s *stream) cell { return sumCell(s.billed) }},
		{"BillingCurrency", func(*stream) cell { return textCell(currency) }},
		{"ChargePeriodStart", func(s *stream) cell { return timeCell(s.first.At) }},
		{"ChargePeriodEnd", func(s *stream) cell { return timeCell(s.ended) }},
		{"ProviderName", func(s *stream) cell { return textCell(s.first.Provider) }},
		{"ResourceId", func(s *stream) cell { return idCell(s.first.Stream) }},
		{"ResourceType", func(*stream) cell { return textCell(resourceStream) }},
		{"Tags", func(s *stream) cell { return tagsCell(s.first.Tags) }},

		{"x_Schema", func(*stream) cell { return textCell(StreamsSchema) }},
		{"x_Model", func(s *stream) cell { return textCell(s.first.Model) }},
		{"x_AskedModel", func(s *stream) cell { return textCell(s.first.AskedModel) }},
		{"x_Endpoint", func(s *stream) cell { return textCell(s.first.Endpoint) }},
		{"x_Streamed", func(s *stream) cell { return boolCell(s.first.Streamed) }},
		{"x_Principal", func(s *stream) cell { return idCell(s.first.Principal) }},
		{"x_Attempts", func(s *stream) cell { return countCell(s.attempts) }},
		{"x_Revisions", func(s *stream) cell { return countCell(s.revisions) }},
		{"x_Settled", func(s *stream) cell { return boolCell(s.settled) }},
		{"x_InputTokens", func(s *stream) cell { return countCell(s.input) }},
		{"x_OutputTokens", func(s *stream) cell { return countCell(s.output) }},
		{"x_DeliveredTokens", deliveredTokens},
		{"x_WastedTokens", wastedTokens},
		{"x_LostTokens", lostTokens},
		{"x_PendingTokens", pendingTokens},
		{"x_UncertainTokens", func(s *stream) cell { return countCell(s.uncertain) }},
		{"x_DeliveredCost", deliveredCost},
		{"x_WastedCost", wastedCost},
		{"x_LostCost", lostCost},
		{"x_PendingCost", pendingCost},
		{"x_PriceVariance", func(s *stream) cell { return sumCell(s.variance) }},
		{"x_Breaks", func(s *stream) cell { return countCell(s.breaks) }},
		{"x_Resumes", func(s *stream) cell { return countCell(s.resumes) }},
		{"x_SavedTokens", func(s *stream) cell { return countCell(s.savedTokens) }},
		{"x_SavedCost", func(s *stream) cell { return sumCell(s.saved) }},
		{"x_SavedCostUpper", func(s *stream) cell { return sumCell(s.upper) }},
		{"x_OverheadTokens", func(s *stream) cell { return countCell(s.overheadTokens) }},
		{"x_OverheadCost", func(s *stream) cell { return sumCell(s.overhead) }},
		{"x_Basis", func(s *stream) cell { return textCell(string(s.basis)) }},
		{"x_Unpriced", func(s *stream) cell { return textCell(s.unpriced) }},
		{"x_ProviderCost", func(s *stream) cell { return decimalCell(s.stated) }},
	}
}()
