package report

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Summarised is what a report can't have in its figures: attempts of months of which
// only the sums remain. A month is there as a whole, however much of it the window has.
type Summarised struct {
	Attempts int64       `json:"attempts"`
	Paid     pricing.Sum `json:"paid_usd"`
	Cost     pricing.Sum `json:"cost_usd"`
	Months   []Month     `json:"months"`
}

// Month is what the attempts of a month came to that were summarised.
type Month struct {
	Month         string      `json:"month"` // 2006-01, UTC
	Attempts      int64       `json:"attempts"`
	Unpriced      int64       `json:"unpriced_attempts"`
	Misses        int64       `json:"missed_resumes"`
	Paid          pricing.Sum `json:"paid_usd"`
	Cost          pricing.Sum `json:"cost_usd"` // unusable and never received, with their input
	Delivered     Money       `json:"delivered"`
	Unusable      Money       `json:"unusable"`
	NeverReceived Money       `json:"never_received"`
	Input         Money       `json:"input"`
	Unexplained   pricing.Sum `json:"unexplained_usd"`
}

// before is how long before an incident an attempt may have been accepted that was
// broken in it, for which month it may be of.
const before = 24 * time.Hour

// summarisedIn is what the books have summarised of the months that a window touches;
// nil: nothing.
func summarisedIn(ctx context.Context, books *ledger.Ledger, since, until time.Time) (*Summarised, error) {
	s := &Summarised{}
	err := books.Summaries(ctx, func(m ledger.Summary) error {
		if !m.Touches(since, until) {
			return nil
		}
		n := len(s.Months)
		if n == 0 || s.Months[n-1].Month != m.Month { // they come in order
			s.Months, n = append(s.Months, Month{Month: m.Month}), n+1
		}
		s.Months[n-1].add(m)
		return nil
	})
	if err != nil || len(s.Months) == 0 {
		return nil, err
	}
	for _, m := range s.Months {
		s.Attempts += m.Attempts
		s.Paid, s.Cost = s.Paid.Plus(m.Paid), s.Cost.Plus(m.Cost)
	}
	return s, nil
}

func (m *Month) add(s ledger.Summary) {
	m.Attempts += s.Attempts
	m.Unpriced += s.Unpriced
	m.Misses += s.Misses
	for _, p := range s.Lines {
		family, rest, _ := strings.Cut(p.Account, "/")
		outcome, _, _ := strings.Cut(rest, "/")
		switch family {
		case "unexplained":
			m.Unexplained = m.Unexplained.Plus(p.Amount)
			continue
		case "input":
			m.Input.take(p)
		case "output":
			switch outcome {
			case ledger.Delivered:
				m.Delivered.take(p)
			case ledger.Wasted:
				m.Unusable.take(p)
			default:
				m.NeverReceived.take(p)
			}
		default:
			continue
		}
		m.Paid = m.Paid.Plus(p.Amount)
		if outcome != ledger.Delivered {
			m.Cost = m.Cost.Plus(p.Amount)
		}
	}
}

func (m *Money) take(p ledger.Part) {
	if !p.Kind.IsTool() {
		m.Tokens += p.Tokens
	}
	m.USD = m.USD.Plus(p.Amount)
}

// summarised finds what the report can't have.
func (c *computing) summarised(ctx context.Context) (*Summarised, error) {
	since, until := c.q.Since, c.q.Until
	if i := c.q.Incident; i != nil {
		since, until = i.Start.Add(-before), i.End
	}
	s, err := summarisedIn(ctx, c.Ledger, since, until)
	if err != nil {
		err = fmt.Errorf("audit: %w", err)
	}
	return s, err
}
