package ledger

import (
	"encoding/json"
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Totals are counters: but for Unexplained they only grow, also over restarts.
// What an attempt's outcomes were when first posted is in the first five; what
// revisions changed of that is in Adjustments, so that the corrected sum is theirs
// plus "plus" less "minus". The corrected figures apart are Balances.
type Totals struct {
	Output      []OutputTotal
	Input       []InputTotal
	Cost        []CostTotal
	Saved       []SavedTotal
	Overhead    []OverheadTotal
	Missed      []MissedTotal
	Unpriced    []UnpricedTotal
	Adjustments []AdjustmentTotal
	Unexplained []UnexplainedTotal
	Tagged      []TaggedTotal
}

// OutputTotal counts output tokens.
type OutputTotal struct {
	Provider, Model, Outcome, Cause string
	Estimated                       bool
	Tokens                          int64
}

// InputTotal counts input tokens, without uses of tools.
type InputTotal struct {
	Provider, Model string
	Kind            token.Kind
	Outcome         string
	Estimated       bool
	Tokens          int64
}

// CostTotal counts money. Fees go with the input.
type CostTotal struct {
	Provider, Model, Direction, Outcome, Cause string // Direction: "input" or "output"
	Estimated                                  bool
	Amount                                     pricing.Sum
}

// SavedTotal counts what resumes saved: the claim, and at most.
type SavedTotal struct {
	Provider, Model, Direction string
	Tokens                     int64
	Amount                     pricing.Sum
	UpperTokens                int64
	Upper                      pricing.Sum
}

// OverheadTotal counts overhead.
type OverheadTotal struct {
	Provider, Model, Kind string
	Tokens                int64
	Amount                pricing.Sum
}

// MissedTotal counts calls that could have been resumes.
type MissedTotal struct {
	Provider, Model, Reason string
	Calls                   int64
	Amount                  pricing.Sum
}

// UnpricedTotal counts attempts of which the first bill had no rate.
type UnpricedTotal struct {
	Reason   string
	Attempts int64
}

// AdjustmentTotal counts what revisions changed, account by account: tokens that
// went from one outcome to another are in both signs.
type AdjustmentTotal struct {
	Of     string // "outcomes"; of the memo "saved", "saved_upper", "overhead"
	Reason string
	Sign   string // "plus" or "minus"
	Tokens int64
	Amount pricing.Sum
}

// UnexplainedTotal is what stands unexplained, over all days.
type UnexplainedTotal struct {
	Provider string
	Amount   pricing.Sum
}

// TaggedTotal counts output tokens, and the money for input and output, by the
// labels that outcomes were posted with.
type TaggedTotal struct {
	Provider, Outcome string
	Labels            map[string]string // shared: not to be changed
	Tokens            int64
	Amount            pricing.Sum

	text string // of the labels, in the counter's key
}

// Balance is what an account has come to, reversals included. Provider, pending,
// price_variance, input/…, output/… and unexplained sum to zero for each kind. The
// memo accounts saved, saved_upper, overhead/… and missed/… stand beside.
type Balance struct {
	Provider, Model, Account string
	Kind                     token.Kind
	Tokens                   int64
	Amount                   pricing.Sum
}

// Totals returns the counters as of the last commit.
func (l *Ledger) Totals() Totals {
	var t Totals
	keys, values := l.tallies.snapshot()
	saved := map[string]int{} // where the claim of these labels is, for the upper
	for i, key := range keys {
		if key[0] == prefixCounter {
			t.add(key[1], strings.Split(key[2:], "\x00"), values[i], saved)
		}
	}
	for i := range t.Tagged {
		t.Tagged[i].Labels = l.labelsOf(t.Tagged[i].text)
	}
	return t
}

// labelsOf decodes labels, each text once: totals are asked for at every scrape.
func (l *Ledger) labelsOf(text string) map[string]string {
	if labels, ok := l.labels.Load(text); ok {
		return labels.(map[string]string)
	}
	labels := map[string]string{}
	_ = json.Unmarshal([]byte(text), &labels) // as it was marshalled; Verify finds what is not
	l.labels.Store(text, labels)
	return labels
}

func (t *Totals) add(family byte, s []string, v tally, saved map[string]int) {
	estimated := s[len(s)-1] == basisEstimated
	switch family {
	case familyOutput:
		t.Output = append(t.Output, OutputTotal{s[0], s[1], s[2], s[3], estimated, v.count})
	case familyInput:
		t.Input = append(t.Input, InputTotal{s[0], s[1], token.Kind(s[2]), s[3], estimated, v.count})
	case familyCost:
		t.Cost = append(t.Cost, CostTotal{s[0], s[1], s[2], s[3], s[4], estimated, v.amount})
	case familySaved, familyUpper:
		labels := strings.Join(s, "\x00")
		i, ok := saved[labels]
		if !ok {
			i = len(t.Saved)
			saved[labels] = i
			t.Saved = append(t.Saved, SavedTotal{Provider: s[0], Model: s[1], Direction: s[2]})
		}
		if family == familySaved {
			t.Saved[i].Tokens, t.Saved[i].Amount = v.count, v.amount
		} else {
			t.Saved[i].UpperTokens, t.Saved[i].Upper = v.count, v.amount
		}
	case familyOverhead:
		t.Overhead = append(t.Overhead, OverheadTotal{s[0], s[1], s[2], v.count, v.amount})
	case familyMissed:
		t.Missed = append(t.Missed, MissedTotal{s[0], s[1], s[2], v.count, v.amount})
	case familyUnpriced:
		t.Unpriced = append(t.Unpriced, UnpricedTotal{s[0], v.count})
	case familyAdjustment:
		t.Adjustments = append(t.Adjustments, AdjustmentTotal{s[0], s[1], s[2], v.count, v.amount})
	case familyUnexplained:
		t.Unexplained = append(t.Unexplained, UnexplainedTotal{s[0], v.amount})
	case familyTagged:
		t.Tagged = append(t.Tagged, TaggedTotal{s[0], s[1], nil, v.count, v.amount, s[2]})
	}
}

// Balances returns the accounts as of the last commit.
func (l *Ledger) Balances() []Balance {
	keys, values := l.tallies.snapshot()
	var all []Balance
	for i, key := range keys {
		if key[0] == prefixBalance {
			s := strings.Split(key[1:], "\x00")
			all = append(all, Balance{s[0], s[1], s[2], token.Kind(s[3]), values[i].count, values[i].amount})
		}
	}
	return all
}

// counterLabels is how many labels each family has.
var counterLabels = map[byte]int{
	familyOutput: 5, familyInput: 5, familyCost: 6, familySaved: 3, familyUpper: 3,
	familyOverhead: 3, familyMissed: 3, familyUnpriced: 1, familyAdjustment: 3, familyUnexplained: 1, familyTagged: 3,
}

// validTallyKey says if a key that was read can be taken apart.
func validTallyKey(key string) bool {
	switch {
	case len(key) > 2 && key[0] == prefixCounter:
		return counterLabels[key[1]] == strings.Count(key[2:], "\x00")+1
	case len(key) > 1 && key[0] == prefixBalance:
		return strings.Count(key[1:], "\x00") == 3
	}
	return false
}
