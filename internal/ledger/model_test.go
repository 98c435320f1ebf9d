package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// book is the ledger as it would be without a disk: what stands, per attempt, and
// counters that are plain maps.
type book struct {
	attempts map[AttemptID]*attempt
	counters map[string]*big.Int
}

type attempt struct {
	provider, model string
	revisions       []*revision
}

type revision struct {
	bill     Bill
	outcomes *Outcomes
}

func newBook() *book {
	return &book{attempts: map[AttemptID]*attempt{}, counters: map[string]*big.Int{}}
}

func (b *book) count(n int64, labels ...any) {
	addTo(b.counters, n, labels...)
}

func addTo(m map[string]*big.Int, n int64, labels ...any) {
	if n == 0 {
		return
	}
	key := strings.TrimSuffix(fmt.Sprintln(labels...), "\n")
	if m[key] == nil {
		m[key] = new(big.Int)
	}
	m[key].Add(m[key], big.NewInt(n))
	if m[key].Sign() == 0 {
		delete(m, key)
	}
}

// post says what Post must say.
func (b *book) post(p Posting) (posted bool, want error) {
	id := p.Attempt.ID()
	a := b.attempts[id]
	if a == nil {
		a = &attempt{provider: p.Attempt.Provider, model: p.Attempt.Model}
	}
	n := len(a.revisions)
	if p.Revision > n {
		return false, ErrRevision
	}
	if p.Revision < n {
		r := a.revisions[p.Revision]
		if p.Bill != nil && !sameBill(*p.Bill, r.bill) {
			return false, ErrPosted
		}
		switch {
		case p.Outcomes == nil:
			return false, nil
		case r.outcomes != nil && !sameOutcomes(p.Outcomes, r.outcomes):
			return false, ErrPosted
		case r.outcomes != nil:
			return false, nil
		case p.Revision < n-1:
			return false, ErrRevision
		case unequal(r.bill, p.Outcomes):
			return false, ErrImbalance
		}
		r.outcomes = p.Outcomes
		b.grow(a, r, nil, p.Reason)
		return true, nil
	}
	if p.Bill == nil {
		return false, ErrNoBill
	}
	var before *Outcomes
	if n > 0 {
		if before = a.revisions[n-1].outcomes; before != nil && p.Outcomes == nil {
			return false, ErrInvalid
		}
	}
	if p.Outcomes != nil && unequal(*p.Bill, p.Outcomes) {
		return false, ErrImbalance
	}
	r := &revision{*p.Bill, p.Outcomes}
	if p.Outcomes != nil {
		var old *revision
		if before != nil {
			old = a.revisions[n-1]
		}
		b.grow(a, r, old, p.Reason)
	}
	if n == 0 && p.Bill.Unpriced != "" {
		b.count(1, "unpriced", p.Bill.Unpriced)
	}
	a.revisions = append(a.revisions, r)
	b.attempts[id] = a
	return true, nil
}

func unequal(b Bill, o *Outcomes) bool {
	for _, c := range o.Output {
		b.Output.Tokens -= c.Tokens
		b.Output.Amount -= c.Amount
	}
	return b.Output.Tokens != 0 || b.Output.Amount != 0
}

func sameBill(x, y Bill) bool {
	return fmt.Sprint(x.Output.Tokens, x.Output.Amount, x.Output.Variance, x.Unpriced, x.OutputBasis, x.Input) ==
		fmt.Sprint(y.Output.Tokens, y.Output.Amount, y.Output.Variance, y.Unpriced, y.OutputBasis, y.Input)
}

func sameOutcomes(x, y *Outcomes) bool { return fmt.Sprint(*x) == fmt.Sprint(*y) }

// places is where the outcomes put tokens and money.
func (r *revision) places() map[string]*big.Int {
	m := map[string]*big.Int{}
	put := func(tokens int64, amount pricing.Picodollars, labels ...any) {
		addTo(m, tokens, append(labels, "tokens")...)
		addTo(m, int64(amount), append(labels, "amount")...)
	}
	for _, c := range r.outcomes.Output {
		put(c.Tokens, c.Amount, "outcomes", "output/"+c.Outcome+"/"+c.Cause, "output")
	}
	for _, l := range r.bill.Input {
		put(l.Tokens, l.Amount, "outcomes", "input/"+r.outcomes.Input, l.Kind)
	}
	put(r.outcomes.Saved.OutputTokens, r.outcomes.Saved.Output, "saved", "saved", "output")
	for _, h := range r.outcomes.Overhead {
		put(h.Tokens, h.Amount, "overhead", "overhead/"+h.Kind, "output")
	}
	return m
}

// grow is what the counters do when outcomes are posted, for the first time or
// instead of old ones.
func (b *book) grow(a *attempt, r, old *revision, reason string) {
	if old != nil {
		is, was := r.places(), old.places()
		all := maps.Clone(is)
		maps.Copy(all, was)
		for place := range all {
			d := new(big.Int)
			if is[place] != nil {
				d.Add(d, is[place])
			}
			if was[place] != nil {
				d.Sub(d, was[place])
			}
			f := strings.Fields(place)
			of, unit := f[0], f[len(f)-1]
			if strings.HasPrefix(f[2], "tool:") && unit == "tokens" {
				continue
			}
			sign := "plus"
			if d.Sign() < 0 {
				sign = "minus"
				d.Neg(d)
			}
			b.count(d.Int64(), "adjustment", of, reason, sign, unit)
		}
		return
	}
	estimated := r.bill.OutputBasis != token.Reported && r.bill.OutputBasis != token.Reconciled
	for _, c := range r.outcomes.Output {
		b.count(c.Tokens, "output", a.provider, a.model, c.Outcome, c.Cause, estimated)
		b.count(int64(c.Amount), "cost", a.provider, a.model, "output", c.Outcome, c.Cause, estimated)
	}
	for _, l := range r.bill.Input {
		if !strings.HasPrefix(string(l.Kind), "tool:") {
			b.count(l.Tokens, "input", a.provider, a.model, l.Kind, r.outcomes.Input, false)
		}
		b.count(int64(l.Amount), "cost", a.provider, a.model, "input", r.outcomes.Input, "", false)
	}
	b.count(r.outcomes.Saved.OutputTokens, "saved", a.provider, a.model, "output", "tokens")
	b.count(int64(r.outcomes.Saved.Output), "saved", a.provider, a.model, "output", "amount")
	for _, h := range r.outcomes.Overhead {
		b.count(h.Tokens, "overhead", a.provider, a.model, h.Kind, "tokens")
		b.count(int64(h.Amount), "overhead", a.provider, a.model, h.Kind, "amount")
	}
}

// balances is what the accounts must be, from what stands.
func (b *book) balances() map[string]*big.Int {
	m := map[string]*big.Int{}
	for _, a := range b.attempts {
		r := a.revisions[len(a.revisions)-1]
		put := func(account string, kind token.Kind, tokens int64, amount pricing.Picodollars) {
			addTo(m, tokens, a.provider, a.model, account, kind, "tokens")
			addTo(m, int64(amount), a.provider, a.model, account, kind, "amount")
		}
		for _, l := range append(r.bill.Input[:len(r.bill.Input):len(r.bill.Input)], r.bill.Output) {
			put("provider", l.Kind, -l.Tokens, l.Variance-l.Amount)
			put("price_variance", l.Kind, 0, -l.Variance)
			switch {
			case r.outcomes == nil:
				put("pending", l.Kind, l.Tokens, l.Amount)
			case l.Kind != token.Output:
				put("input/"+r.outcomes.Input, l.Kind, l.Tokens, l.Amount)
			}
		}
		if r.outcomes == nil {
			continue
		}
		for _, c := range r.outcomes.Output {
			put("output/"+c.Outcome+"/"+c.Cause, token.Output, c.Tokens, c.Amount)
		}
		put("saved", token.Output, r.outcomes.Saved.OutputTokens, r.outcomes.Saved.Output)
		for _, h := range r.outcomes.Overhead {
			put("overhead/"+h.Kind, token.Output, h.Tokens, h.Amount)
		}
	}
	return m
}

// picos is an exact number of picodollars.
func picos(s pricing.Sum) *big.Int {
	r, ok := new(big.Rat).SetString(s.String())
	if !ok {
		panic(s.String())
	}
	r.Mul(r, big.NewRat(1_000_000_000_000, 1))
	if !r.IsInt() {
		panic(s.String())
	}
	return new(big.Int).Set(r.Num())
}

// compare looks for differences between the ledger and the book. The savings of
// input, and the upper ones, are left out.
func (b *book) compare(t *testing.T, l *Ledger) {
	t.Helper()
	balances, counters := map[string]*big.Int{}, map[string]*big.Int{}
	set := func(m map[string]*big.Int, n *big.Int, labels ...any) {
		if n.Sign() != 0 {
			m[strings.TrimSuffix(fmt.Sprintln(labels...), "\n")] = n
		}
	}
	for _, x := range l.Balances() {
		if x.Account == accountSavedUpper || x.Account == accountSaved && x.Kind == token.Input {
			continue
		}
		set(balances, big.NewInt(x.Tokens), x.Provider, x.Model, x.Account, x.Kind, "tokens")
		set(balances, picos(x.Amount), x.Provider, x.Model, x.Account, x.Kind, "amount")
	}
	totals := l.Totals()
	for _, x := range totals.Output {
		set(counters, big.NewInt(x.Tokens), "output", x.Provider, x.Model, x.Outcome, x.Cause, x.Estimated)
	}
	for _, x := range totals.Input {
		set(counters, big.NewInt(x.Tokens), "input", x.Provider, x.Model, x.Kind, x.Outcome, x.Estimated)
	}
	for _, x := range totals.Cost {
		set(counters, picos(x.Amount), "cost", x.Provider, x.Model, x.Direction, x.Outcome, x.Cause, x.Estimated)
	}
	for _, x := range totals.Saved {
		if x.Direction == "output" {
			set(counters, big.NewInt(x.Tokens), "saved", x.Provider, x.Model, "output", "tokens")
			set(counters, picos(x.Amount), "saved", x.Provider, x.Model, "output", "amount")
		}
	}
	for _, x := range totals.Overhead {
		set(counters, big.NewInt(x.Tokens), "overhead", x.Provider, x.Model, x.Kind, "tokens")
		set(counters, picos(x.Amount), "overhead", x.Provider, x.Model, x.Kind, "amount")
	}
	for _, x := range totals.Unpriced {
		set(counters, big.NewInt(x.Attempts), "unpriced", x.Reason)
	}
	for _, x := range totals.Adjustments {
		if x.Of != accountSavedUpper && (x.Of != accountSaved || x.Reason != Correction) {
			set(counters, big.NewInt(x.Tokens), "adjustment", x.Of, x.Reason, x.Sign, "tokens")
			set(counters, picos(x.Amount), "adjustment", x.Of, x.Reason, x.Sign, "amount")
		}
	}
	maps.DeleteFunc(b.counters, func(k string, _ *big.Int) bool { return strings.HasPrefix(k, "adjustment saved "+Correction) })
	difference(t, "balance", balances, b.balances())
	difference(t, "counter", counters, b.counters)
}

func difference(t *testing.T, what string, got, want map[string]*big.Int) {
	t.Helper()
	all := maps.Clone(got)
	maps.Copy(all, want)
	for key := range all {
		if g, w := got[key], want[key]; g == nil || w == nil || g.Cmp(w) != 0 {
			t.Errorf("%s %q: the ledger has %v, the model %v", what, key, g, w)
		}
	}
}

// randomPosting is one of few attempts, sometimes in order and sometimes not.
func randomPosting(r *rand.Rand) Posting {
	n := 1 + r.IntN(12)
	p := example(n)
	p.Attempt.Number = n % 3
	p.Attempt.Provider = []string{"openai", "azure"}[n%2]
	p.Attempt.Model = []string{"gpt-5.5", "other", "gpt-5-mini"}[n%3]
	p.Revision = min(r.IntN(4), r.IntN(4))
	if p.Revision > 0 {
		p.Reason = []string{Reconciled, LateUsage, PriceVariance, Correction}[p.Revision]
	}
	variant := int64(r.IntN(3))
	g := 100*variant + int64(n)
	p.Bill = &Bill{
		Input:      []Line{{Kind: token.Input, Tokens: 50 + variant, Amount: 700}, {Kind: token.Tool("search"), Tokens: 2, Amount: pricing.Picodollars(4 + variant)}},
		Output:     Line{Kind: token.Output, Tokens: g, Amount: pricing.Picodollars(30*g + variant), Variance: pricing.Picodollars(variant - 1)},
		InputBasis: token.Reported, OutputBasis: []token.Basis{token.Reported, token.Counted, token.Reconciled}[variant],
		Unpriced: []string{"", "tier"}[n/12],
	}
	written := g * int64(r.IntN(3)) / 2
	amount := pricing.Stretch(p.Bill.Output.Amount, 0, written, g)
	p.Outcomes = &Outcomes{
		Output: []Outcome{{Lost, Crash, g - written, p.Bill.Output.Amount - amount}, {Wasted, Crash, written, amount}},
		Input:  []string{Lost, Wasted}[min(written, 1)],
		Saved:  Saving{OutputTokens: variant, Output: pricing.Picodollars(written)},
	}
	if g != written {
		p.Outcomes.Overhead = []Overhead{{OverheadCrash, g - written, 5}}
	}
	switch r.IntN(12) {
	case 0, 1, 2:
		p.Outcomes = nil
	case 3, 4:
		p.Bill = nil
	case 5:
		p.Outcomes.Output[0].Tokens++
	}
	return p
}

// TestModel posts at random and compares with the naive book.
func TestModel(t *testing.T) {
	rounds, steps := 6, 150
	if os.Getenv("RECOUP_FULL") != "" {
		rounds = 60
	}
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		dir := t.TempDir()
		l, b := open(t, dir), newBook()
		outcomes := map[error]int{}
		for i := range steps {
			p := randomPosting(r)
			wantPosted, want := b.post(p)
			posted, err := l.Post(p)
			if posted != wantPosted || !errors.Is(err, want) {
				t.Fatalf("seed %d, step %d, %s revision %d: %v, %v; the model says %v, %v", seed, i, p.Attempt.ID(), p.Revision, posted, err, wantPosted, want)
			}
			outcomes[want]++
			if r.IntN(60) == 0 {
				shut(t, l)
				l = open(t, dir)
			}
		}
		b.compare(t, l)
		verify(t, l)
		shut(t, l)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		if seed == 0 {
			t.Log(outcomes)
		}
	}
}
