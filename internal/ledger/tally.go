package ledger

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Families of counters: what follows prefixCounter in a key.
const (
	familyOutput      = 'o' // provider, model, outcome, cause, basis
	familyInput       = 'i' // provider, model, kind, outcome, basis
	familyCost        = 'c' // provider, model, direction, outcome, cause, basis
	familySaved       = 's' // provider, model, direction
	familyUpper       = 'u' // provider, model, direction
	familyOverhead    = 'h' // provider, model, kind
	familyMissed      = 'm' // provider, model, reason
	familyUnpriced    = 'p' // reason
	familyAdjustment  = 'a' // of, reason, sign
	familyUnexplained = 'x' // provider; not a counter: what stands
	familyTagged      = 'g' // provider, outcome, labels as a JSON object with its names in order
)

// Labels of counters.
const (
	directionInput  = "input"
	directionOutput = "output"
	basisReported   = "reported"
	basisEstimated  = "estimated"
	signPlus        = "plus"
	signMinus       = "minus"
	ofOutcomes      = "outcomes"
)

// tally is what a counter or a balance has come to.
type tally struct {
	count  int64
	amount pricing.Sum
}

func (t tally) plus(d delta) tally {
	return tally{t.count + d.count, t.amount.Add(d.amount)}
}

func (t tally) encode() []byte {
	b := binary.AppendVarint(nil, t.count)
	return append(b, t.amount.String()...)
}

func decodeTally(b []byte) (t tally, err error) {
	n, k := binary.Varint(b)
	if k <= 0 {
		return t, damagedf("tally %x", b)
	}
	t.count = n
	if err := t.amount.UnmarshalText(b[k:]); err != nil {
		return t, damagedf("tally: %v", err)
	}
	return t, nil
}

// delta is what a posting adds to a counter or a balance, by its key.
type delta struct {
	key    string
	count  int64
	amount pricing.Picodollars
}

func counter(family byte, count int64, amount pricing.Picodollars, labels ...string) delta {
	return delta{string([]byte{prefixCounter, family}) + strings.Join(labels, "\x00"), count, amount}
}

func balanceKey(provider, model, account string, kind token.Kind) string {
	return string([]byte{prefixBalance}) + strings.Join([]string{provider, model, account, string(kind)}, "\x00")
}

// balanceDeltas is what an entry does to the balances.
func balanceDeltas(e *entry) []delta {
	deltas := make([]delta, 0, len(e.Lines)+len(e.Memo)+8)
	for _, lines := range [][]amountOn{e.Lines, e.Memo} {
		for _, l := range lines {
			deltas = append(deltas, delta{balanceKey(e.Provider, e.Model, l.Account, l.Kind), l.Tokens, pricing.Picodollars(l.Amount)})
		}
	}
	return deltas
}

func basisLabel(b token.Basis) string {
	if b.Estimated() {
		return basisEstimated
	}
	return basisReported
}

// outcomeDeltas is what the counters grow by when outcomes are posted first.
func outcomeDeltas(provider, model string, b *Bill, o *Outcomes) []delta {
	var deltas []delta
	add := func(family byte, count int64, amount pricing.Picodollars, labels ...string) {
		if count != 0 || amount != 0 {
			deltas = append(deltas, counter(family, count, amount, append([]string{provider, model}, labels...)...))
		}
	}
	basis := basisLabel(b.OutputBasis)
	for _, c := range o.Output {
		add(familyOutput, c.Tokens, 0, c.Outcome, c.Cause, basis)
		add(familyCost, 0, c.Amount, directionOutput, c.Outcome, c.Cause, basis)
	}
	basis = basisLabel(b.InputBasis)
	for _, l := range b.Input {
		if !l.Kind.IsTool() { // uses aren't tokens
			add(familyInput, l.Tokens, 0, string(l.Kind), o.Input, basis)
		}
		add(familyCost, 0, l.Amount, directionInput, o.Input, o.InputCause, basis)
	}
	add(familySaved, o.Saved.InputTokens, o.Saved.Input, directionInput)
	add(familySaved, o.Saved.OutputTokens, o.Saved.Output, directionOutput)
	add(familyUpper, o.Upper.InputTokens, o.Upper.Input, directionInput)
	add(familyUpper, o.Upper.OutputTokens, o.Upper.Output, directionOutput)
	for _, h := range o.Overhead {
		add(familyOverhead, h.Tokens, h.Amount, h.Kind)
	}
	if len(o.Labels) == 0 {
		return deltas
	}
	labels, _ := json.Marshal(o.Labels) // of a map of strings: it can't fail
	tagged := func(tokens int64, amount pricing.Picodollars, outcome string) {
		if tokens != 0 || amount != 0 {
			deltas = append(deltas, counter(familyTagged, tokens, amount, provider, outcome, string(labels)))
		}
	}
	for _, c := range o.Output {
		tagged(c.Tokens, c.Amount, c.Outcome)
	}
	for _, l := range b.Input {
		tagged(0, l.Amount, o.Input)
	}
	return deltas
}

// adjustmentDeltas is what a revision of outcomes adds to the counters: for each
// account, what it has now more, or less, than before.
func adjustmentDeltas(reason string, before, after *entry) []delta {
	type place struct {
		account string
		kind    token.Kind
	}
	differences := map[place]delta{}
	for _, lines := range [][]amountOn{reversed(before.Lines), reversed(before.Memo), after.Lines, after.Memo} {
		for _, l := range lines {
			p := place{l.Account, l.Kind}
			d := differences[p]
			d.count += l.Tokens
			d.amount += pricing.Picodollars(l.Amount)
			differences[p] = d
		}
	}
	var deltas []delta
	for p, d := range differences {
		of, _, _ := strings.Cut(p.account, "/")
		switch of {
		case "input", "output":
			of = ofOutcomes
		case accountPending:
			continue // the same, with the sign turned
		}
		if p.kind.IsTool() {
			d.count = 0
		}
		plus, minus := delta{count: max(d.count, 0), amount: max(d.amount, 0)}, delta{count: max(-d.count, 0), amount: max(-d.amount, 0)}
		if plus != (delta{}) {
			deltas = append(deltas, counter(familyAdjustment, plus.count, plus.amount, of, reason, signPlus))
		}
		if minus != (delta{}) {
			deltas = append(deltas, counter(familyAdjustment, minus.count, minus.amount, of, reason, signMinus))
		}
	}
	return deltas
}

// entryDeltas is all that an entry does to balances and counters. bill is the one
// that stands with outcomes; before is the entry of the outcomes that it replaces,
// or nil.
func entryDeltas(e *entry, bill *Bill, before *entry) []delta {
	deltas := balanceDeltas(e)
	switch e.Kind {
	case kindBill:
		if e.Revision == 0 && e.Bill != nil && e.Bill.Unpriced != "" {
			deltas = append(deltas, counter(familyUnpriced, 1, 0, e.Bill.Unpriced))
		}
	case kindOutcomes:
		if before != nil {
			return append(deltas, adjustmentDeltas(e.Reason, before, e)...)
		}
		return append(deltas, outcomeDeltas(e.Provider, e.Model, bill, e.outcomes())...)
	case kindMiss:
		m := e.miss()
		return append(deltas, counter(familyMissed, 1, m.Amount, m.Provider, m.Model, m.Reason))
	case kindUnexplained:
		for _, l := range e.Lines {
			if l.Account == accountUnexplained {
				deltas = append(deltas, counter(familyUnexplained, 0, pricing.Picodollars(l.Amount), e.Provider))
			}
		}
	}
	return deltas
}

// tallies are all counters and balances, as of the last commit. Only the writer
// changes them.
type tallies struct {
	mu     sync.Mutex
	index  map[string]int
	keys   []string // never changed, only added to
	values []tally
}

// snapshot is all tallies at one moment. It holds the writer up for a copy of the
// values only.
func (t *tallies) snapshot() ([]string, []tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[:len(t.keys):len(t.keys)], slices.Clone(t.values)
}

// get returns the tally of a key; zero if there is none. Only for the writer.
func (t *tallies) get(key string) tally {
	if i, ok := t.index[key]; ok {
		return t.values[i]
	}
	return tally{}
}

// set makes the tallies those that changed has.
func (t *tallies) set(changed map[string]tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.index == nil {
		t.index = map[string]int{}
	}
	for key, v := range changed {
		i, ok := t.index[key]
		if !ok {
			i = len(t.keys)
			t.index[key] = i
			t.keys, t.values = append(t.keys, key), append(t.values, tally{})
		}
		t.values[i] = v
	}
}

// sums is tallies that are being added up, by key.
type sums map[string]tally

func (s sums) add(deltas []delta) {
	for _, d := range deltas {
		s[d.key] = s[d.key].plus(d)
	}
}

// sorted returns the keys in order.
func (s sums) sorted() []string { return slices.Sorted(maps.Keys(s)) }
