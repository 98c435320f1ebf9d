package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Summary is what the books have come to, corrections included. Tokens of input
// are of all kinds, without uses of tools; money is in dollars.
type Summary struct {
	Billed    Amount              `json:"billed"`
	Outcomes  Outcomes            `json:"outcomes"` // of output tokens
	Saved     Saved               `json:"saved"`
	Overhead  map[string]Overhead `json:"overhead"` // by kind
	Missed    Missed              `json:"missed"`
	Net       pricing.Sum         `json:"net_usd"` // saved less overhead
	Imbalance int64               `json:"imbalance_tokens"`
	// Unexplained is what providers' bills have beyond Billed, of days that were compared.
	Unexplained pricing.Sum       `json:"unexplained_usd"`
	ByModel     map[string]*Model `json:"by_model"`

	// Evidence is what the bill rests on: "reported", "reconciled", "estimated".
	Evidence map[string]*Part `json:"evidence"`
	Basis    token.Basis      `json:"basis"`            // the worst of any figure
	Unpriced int64            `json:"unpriced"`         // attempts without a rate: their tokens are counted, their amounts are 0
	Pending  int64            `json:"pending_attempts"` // of which the outcomes are not known yet
	// Summarised are attempts of months of which only the sums remain: they are in all
	// figures, and can't be shown one by one any more.
	Summarised int64     `json:"summarised_attempts,omitempty"`
	Accounts   []Account `json:"accounts"` // what became of it all, in money too
}

// Amount is tokens and what they cost.
type Amount struct {
	InputTokens  int64       `json:"input_tokens"`
	OutputTokens int64       `json:"output_tokens"`
	USD          pricing.Sum `json:"usd"`
}

// Outcomes are output tokens by cause, and those that have none yet. All causes
// are there.
type Outcomes struct {
	Delivered map[string]int64 `json:"delivered"`
	Wasted    map[string]int64 `json:"wasted"`
	Lost      map[string]int64 `json:"lost"`
	Pending   int64            `json:"pending"`
}

// Saved is what resumes saved: the claim, and at most.
type Saved struct {
	OutputTokens int64       `json:"output_tokens"`
	InputTokens  int64       `json:"input_tokens"`
	USD          pricing.Sum `json:"usd"`
	Upper        pricing.Sum `json:"usd_upper"`
}

// Overhead is what the gateway caused.
type Overhead struct {
	Tokens int64       `json:"tokens"`
	USD    pricing.Sum `json:"usd"`
}

// Missed are the calls that could have been resumes.
type Missed struct {
	Calls int64       `json:"calls"`
	USD   pricing.Sum `json:"usd"`
}

// Model is what one model came to.
type Model struct {
	OutputTokens int64       `json:"output_tokens"`
	USD          pricing.Sum `json:"usd"`
	SavedUSD     pricing.Sum `json:"saved_usd"`
}

// Part is the part of the bill that rests on one kind of evidence. An attempt
// counts where the worse of its two figures belongs.
type Part struct {
	Attempts int64 `json:"attempts"`
	Amount
}

// Account is one account of the books that isn't empty.
type Account struct {
	Provider  string      `json:"provider"`
	Model     string      `json:"model"`
	Direction string      `json:"direction"` // "input" or "output"
	Outcome   string      `json:"outcome"`   // or "pending"
	Cause     string      `json:"cause,omitempty"`
	Tokens    int64       `json:"tokens"`
	USD       pricing.Sum `json:"usd"`
}

// Kinds of evidence.
const (
	reported   = "reported"
	reconciled = "reconciled"
	estimates  = "estimated"
)

const pending = "pending" // an account, and an outcome

// Sum adds the books up. All but Evidence, Basis and the counts of attempts is of
// one moment; those are read after it, attempt by attempt, so that in books that
// are being written they can have more. The errors are the ledger's, and ctx's.
func Sum(ctx context.Context, books *ledger.Ledger) (*Summary, error) {
	for {
		gone := int64(0)
		if err := books.Summaries(ctx, func(m ledger.Summary) error {
			gone += m.Attempts
			return nil
		}); err != nil {
			return nil, fmt.Errorf("audit: sum: %w", err)
		}
		if s, err := sumUp(ctx, books); err != nil || s.Summarised == gone {
			return s, err
		} // else months were summarised meanwhile, and their attempts are in it twice
	}
}

func sumUp(ctx context.Context, books *ledger.Ledger) (*Summary, error) {
	s := &Summary{
		Outcomes: Outcomes{Delivered: zeros(ledger.Delivered), Wasted: zeros(ledger.Wasted), Lost: zeros(ledger.Lost)},
		Overhead: map[string]Overhead{ledger.OverheadCrash: {}, ledger.OverheadRetry: {}, ledger.OverheadUnclaimed: {}},
		ByModel:  map[string]*Model{},
		Evidence: map[string]*Part{reported: {}, reconciled: {}, estimates: {}},
		Accounts: []Account{},
	}
	s.Imbalance = books.Stats().ImbalanceTokens
	balance := map[[3]string]int64{} // of each provider, model and kind
	accounts := map[Account]*sum{}
	for _, b := range books.Balances() {
		s.add(b)
		family, _, _ := strings.Cut(b.Account, "/")
		switch family {
		case "saved", "saved_upper", "overhead", "missed", "price_variance", "unexplained":
		default:
			balance[[3]string{b.Provider, b.Model, string(b.Kind)}] += b.Tokens
		}
		if a, ok := accountOf(b); ok {
			if accounts[a] == nil {
				accounts[a] = &sum{}
			}
			accounts[a].add(b)
		}
	}
	for _, n := range balance {
		s.Imbalance += max(n, -n)
	}
	for _, m := range books.Totals().Missed {
		s.Missed.Calls += m.Calls
		s.Missed.USD = s.Missed.USD.Plus(m.Amount)
	}
	s.Net = s.Saved.USD
	for _, o := range s.Overhead {
		s.Net = s.Net.Minus(o.USD)
	}
	s.Accounts = sorted(accounts)
	if err := books.Attempts(ctx, 0, s.evidence); err != nil {
		return nil, fmt.Errorf("audit: sum: %w", err)
	}
	if err := books.Summaries(ctx, s.summarised); err != nil {
		return nil, fmt.Errorf("audit: sum: %w", err)
	}
	return s, nil
}

func zeros(outcome string) map[string]int64 {
	m := map[string]int64{}
	for _, cause := range ledger.Causes(outcome) {
		m[cause] = 0
	}
	return m
}

func (s *Summary) model(id string) *Model {
	if s.ByModel[id] == nil {
		s.ByModel[id] = &Model{}
	}
	return s.ByModel[id]
}

// add adds a balance to the figures that it belongs to.
func (s *Summary) add(b ledger.Balance) {
	family, rest, _ := strings.Cut(b.Account, "/")
	output := b.Kind.IsOutput()
	switch family {
	case "provider": // what is owed is negative
		s.bill(b.Model, b.Kind, -b.Tokens, pricing.Sum{}.Minus(b.Amount))
	case "unexplained": // which the provider's account has too
		s.Unexplained = s.Unexplained.Plus(b.Amount)
		s.bill(b.Model, b.Kind, 0, pricing.Sum{}.Minus(b.Amount))
	case "price_variance":
		s.bill(b.Model, b.Kind, 0, pricing.Sum{}.Minus(b.Amount))
	case pending:
		if output {
			s.Outcomes.Pending += b.Tokens
		}
	case "output":
		outcome, cause, _ := strings.Cut(rest, "/")
		s.Outcomes.of(outcome)[cause] += b.Tokens
	case "saved":
		if output {
			s.Saved.OutputTokens += b.Tokens
		} else {
			s.Saved.InputTokens += b.Tokens
		}
		s.Saved.USD = s.Saved.USD.Plus(b.Amount)
		m := s.model(b.Model)
		m.SavedUSD = m.SavedUSD.Plus(b.Amount)
	case "saved_upper":
		s.Saved.Upper = s.Saved.Upper.Plus(b.Amount)
	case "overhead":
		o := s.Overhead[rest]
		s.Overhead[rest] = Overhead{o.Tokens + b.Tokens, o.USD.Plus(b.Amount)}
	}
}

func (s *Summary) bill(model string, kind token.Kind, tokens int64, amount pricing.Sum) {
	m := s.model(model)
	switch {
	case kind.IsOutput():
		s.Billed.OutputTokens += tokens
		m.OutputTokens += tokens
	case !kind.IsTool():
		s.Billed.InputTokens += tokens
	}
	s.Billed.USD = s.Billed.USD.Plus(amount)
	m.USD = m.USD.Plus(amount)
}

func (o *Outcomes) of(outcome string) map[string]int64 {
	switch outcome {
	case ledger.Delivered:
		return o.Delivered
	case ledger.Wasted:
		return o.Wasted
	}
	return o.Lost
}

// evidence notes what an attempt's figures rest on.
func (s *Summary) evidence(row ledger.Row) error {
	b := &row.Current.Bill
	in, out := s.part(b.InputBasis), s.part(b.OutputBasis)
	worst := token.Worst(b.InputBasis, b.OutputBasis)
	s.part(worst).Attempts++
	s.Basis = token.Worst(s.Basis, worst)
	t := tokensOf(*b)
	in.InputTokens += t.Input
	for _, l := range b.Input {
		in.USD = in.USD.Add(l.Amount)
	}
	out.OutputTokens += t.Output
	out.USD = out.USD.Add(b.Output.Amount)
	if b.Unpriced != "" {
		s.Unpriced++
	}
	if row.Current.Outcomes == nil {
		s.Pending++
	}
	return nil
}

func (s *Summary) part(b token.Basis) *Part {
	switch {
	case b == token.Reconciled:
		return s.Evidence[reconciled]
	case b.Estimated():
		return s.Evidence[estimates]
	}
	return s.Evidence[reported]
}
