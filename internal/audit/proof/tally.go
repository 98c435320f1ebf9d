package proof

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// account is one that sums are kept of.
type account struct {
	provider, model, name string
	kind                  token.Kind
}

// tokensAndMoney is what is on it.
type tokensAndMoney struct {
	tokens int64
	amount pricing.Sum
}

// tallying goes through all attempts, checks each by itself, and adds them up.
type tallying struct {
	v    *verifying
	sums map[account]tokensAndMoney
}

func (t *tallying) add(row ledger.Row, name string, kind token.Kind, tokens int64, amount pricing.Picodollars) {
	a := account{row.Provider, row.Model, name, kind}
	s := t.sums[a]
	t.sums[a] = tokensAndMoney{s.tokens + tokens, s.amount.Add(amount)}
}

// opening is how long after its acceptance a call is in the log at the latest, be the
// machine slow.
const opening = time.Minute

// row checks an attempt with all its revisions.
func (t *tallying) row(row ledger.Row) error {
	t.v.progress("books")(0)
	for _, rev := range append(slices.Clone(row.Earlier), row.Current) {
		wrong := func(format string, args ...any) {
			t.v.damageOf("money", row.ID(), "revision %d: %s", rev.Number, fmt.Sprintf(format, args...))
		}
		checkIdentities(rev, wrong)
		t.v.money(row, rev, wrong)
	}
	// A process that goes on may have begun a stream since the log was read, or have
	// accepted its call before, and written it then.
	if row.Current.Outcomes == nil && !(t.v.p.Live && row.At.After(t.v.p.Began.Add(-opening))) {
		t.v.pending[row.ID()] = true
	}
	t.sum(row)
	return nil
}

// checkIdentities checks one revision's figures against each other.
func checkIdentities(rev ledger.Revision, wrong func(string, ...any)) {
	b, o := rev.Bill, rev.Outcomes
	g := b.Output.Tokens
	if b.Hidden > g || (b.Low != 0 || b.High != 0) && (b.Low > g || b.High < g) {
		wrong("%d output tokens, %d of them hidden, between %d and %d", g, b.Hidden, b.Low, b.High)
	}
	if o == nil {
		return
	}
	by := map[string]int64{}
	tokens, amount := int64(0), pricing.Sum{}
	for _, c := range o.Output {
		by[c.Outcome] += c.Tokens
		tokens += c.Tokens
		amount = amount.Add(c.Amount)
	}
	if tokens != g || amount != (pricing.Sum{}).Add(b.Output.Amount) {
		wrong("delivered, wasted and lost come to %d tokens and %v dollars, the bill to %d and %v", tokens, amount, g, b.Output.Amount)
	}
	want := ledger.Lost
	switch {
	case by[ledger.Delivered] > 0:
		want = ledger.Delivered
	case by[ledger.Wasted] > 0:
		want = ledger.Wasted
	case g == 0:
		want = o.Input // it may be an answer that was had, and empty
	}
	if o.Input != want && o.Input != ledger.Delivered {
		wrong("its input is %s, its output says %s", o.Input, want)
	}
	overhead := int64(0)
	for _, h := range o.Overhead {
		overhead += h.Tokens
	}
	if overhead > by[ledger.Wasted]+by[ledger.Lost] {
		wrong("%d tokens of overhead, and %d wasted or lost", overhead, by[ledger.Wasted]+by[ledger.Lost])
	}
	if o.Saved.OutputTokens > g || o.Saved.OutputTokens > o.Upper.OutputTokens && o.Upper.OutputTokens > 0 {
		wrong("%d output tokens saved, at most %d, of %d", o.Saved.OutputTokens, o.Upper.OutputTokens, g)
	}
}

// storedEvidence is what money is recomputed from, as it is stored.
type storedEvidence struct {
	History struct {
		Input map[token.Kind]int64 `json:"in"`
		G     int64                `json:"g"`
		H     int64                `json:"h"`
		Audio int64                `json:"audio"`
		Rates pricing.Rates        `json:"rates"`
	} `json:"history"`
	// Listed are the rates of the first posting, where other ones are known by now: what
	// those differ in is price variance.
	Listed *pricing.Rates `json:"listed"`
}

// first are the rates by which the attempt was posted first.
func (e *storedEvidence) first() pricing.Rates {
	if e.Listed != nil {
		return *e.Listed
	}
	return e.History.Rates
}

// money recomputes a bill from the tokens and the rates that are stored with it: all
// but its variance by the first, and where others have come, all of it by those.
func (v *verifying) money(row ledger.Row, rev ledger.Revision, wrong func(string, ...any)) {
	var e storedEvidence
	if err := json.Unmarshal(rev.Evidence, &e); err != nil {
		wrong("its evidence: %v", err)
		return
	}
	h, b := e.History, rev.Bill
	input := map[token.Kind]int64{}
	for _, l := range b.Input {
		input[l.Kind] = l.Tokens
	}
	if !maps.Equal(nonzero(h.Input), nonzero(input)) || h.G != b.Output.Tokens {
		wrong("%v and %d output tokens are billed, its evidence says %v and %d", input, b.Output.Tokens, h.Input, h.G)
	}
	e.priced(b, e.first(), net, wrong)
	if e.Listed != nil {
		e.priced(b, h.Rates, gross, wrong)
	}
	if rev.Number == row.Current.Number {
		v.countMoney(row, rev, &e, wrong)
	}
}

// priced checks a bill against some rates; booked is the part of a line that they are
// the rates of.
func (e *storedEvidence) priced(b ledger.Bill, rates pricing.Rates, booked func(ledger.Line) *big.Int, wrong func(string, ...any)) {
	for _, l := range b.Input {
		if want := price(rates, l.Kind, l.Tokens); want.Cmp(booked(l)) != 0 {
			wrong("%d %s cost %v, and were booked with %v", l.Tokens, l.Kind, picos(want), picos(booked(l)))
		}
	}
	h := e.History
	hidden := min(h.H, h.G)
	audio := min(h.Audio, h.G-hidden)
	want := price(rates, token.Output, h.G-hidden-audio)
	want.Add(want, price(rates, token.Reasoning, hidden)).Add(want, price(rates, token.AudioOut, audio))
	if want.Cmp(booked(b.Output)) != 0 {
		wrong("%d output tokens cost %v, and were booked with %v", h.G, picos(want), picos(booked(b.Output)))
	}
}

func gross(l ledger.Line) *big.Int { return big.NewInt(int64(l.Amount)) }

// net is what a line was booked with, but for the variance.
func net(l ledger.Line) *big.Int {
	n := big.NewInt(int64(l.Amount))
	return n.Sub(n, big.NewInt(int64(l.Variance)))
}

// price is rate × quantity, in picodollars; without a rate nothing.
func price(r pricing.Rates, kind token.Kind, n int64) *big.Int {
	rate, ok := r.Of(kind)
	if !ok {
		return new(big.Int)
	}
	amount := big.NewInt(int64(rate))
	return amount.Mul(amount, big.NewInt(n))
}

func picos(n *big.Int) pricing.Picodollars { return pricing.Picodollars(n.Int64()) }

// countMoney notes what the amounts rest on, and looks the rates up where the price
// book is the one that they are from.
func (v *verifying) countMoney(row ledger.Row, rev ledger.Revision, e *storedEvidence, wrong func(string, ...any)) {
	m := &v.p.Money
	if rev.Bill.Unpriced != "" {
		m.Unpriced++
	}
	rates := e.first()
	if rates.Known() || e.History.Rates.Known() {
		m.Recomputed++
	}
	if !rates.Known() {
		return
	}
	if rates.Version != v.o.Book.Version() {
		m.OtherBooks[rates.Version]++
		return
	}
	m.ByBook++
	first := row.Current
	if len(row.Earlier) > 0 {
		first = row.Earlier[0]
	}
	tokens, _ := tokensOf(first.Bill)
	q := pricing.Query{
		Provider: row.Provider, Model: row.Model, At: row.At, KnownAt: first.Posted, InputTokens: tokens,
		ServiceTier: tierName(rates), Regional: rates.Regional,
	}
	if again, reason := v.o.Book.Rates(q); reason != "" || !maps.Equal(again.PerToken, rates.PerToken) {
		wrong("price book %s has other rates for %s of %s at %s than those that it was booked with", rates.Version, row.Model, row.Provider, row.At)
	}
}

// tierName is a name of a tier that the price book understands.
func tierName(r pricing.Rates) string {
	switch r.Tier {
	case pricing.Standard, pricing.Long:
		return ""
	case pricing.Priority:
		if r.Provider == "anthropic" {
			return "fast"
		}
	}
	return string(r.Tier)
}

// sum adds what stands of an attempt to its accounts.
func (t *tallying) sum(row ledger.Row) {
	b, o := row.Current.Bill, row.Current.Outcomes
	for _, l := range append(slices.Clone(b.Input), b.Output) {
		t.add(row, "provider", l.Kind, -l.Tokens, l.Variance-l.Amount)
		t.add(row, "price_variance", l.Kind, 0, -l.Variance)
		switch {
		case o == nil:
			t.add(row, pending, l.Kind, l.Tokens, l.Amount)
		case l.Kind != token.Output:
			name := "input/" + o.Input
			if o.InputCause != "" {
				name += "/" + o.InputCause
			}
			t.add(row, name, l.Kind, l.Tokens, l.Amount)
		}
	}
	if o == nil {
		return
	}
	for _, c := range o.Output {
		t.add(row, "output/"+c.Outcome+"/"+c.Cause, token.Output, c.Tokens, c.Amount)
	}
	for name, s := range map[string]ledger.Saving{"saved": o.Saved, "saved_upper": o.Upper} {
		t.add(row, name, token.Input, s.InputTokens, s.Input)
		t.add(row, name, token.Output, s.OutputTokens, s.Output)
	}
	for _, h := range o.Overhead {
		t.add(row, "overhead/"+h.Kind, token.Output, h.Tokens, h.Amount)
	}
}

// compare holds the balances that are stored against the sums of what was posted.
func (t *tallying) compare(l *ledger.Ledger) error {
	err := l.Summaries(t.v.ctx, func(s ledger.Summary) error {
		for _, p := range s.Lines {
			a := account{s.Provider, s.Model, p.Account, p.Kind}
			t.sums[a] = tokensAndMoney{t.sums[a].tokens + p.Tokens, t.sums[a].amount.Plus(p.Amount)}
		}
		return nil
	})
	if err == nil {
		err = t.others(l)
	}
	if unreadable(err) {
		return nil // and reported
	} else if err != nil {
		return err
	}
	t.compareBalances(l)
	return nil
}

// others adds what is of no attempt.
func (t *tallying) others(l *ledger.Ledger) error {
	other := func(a account, amount pricing.Picodollars) {
		s := t.sums[a]
		t.sums[a] = tokensAndMoney{s.tokens, s.amount.Add(amount)}
	}
	err := l.Misses(t.v.ctx, func(m ledger.Miss) error {
		other(account{m.Provider, m.Model, "missed/" + m.Reason, ""}, m.Amount)
		return nil
	})
	if err != nil {
		return err
	}
	return l.Unexplained(t.v.ctx, func(u ledger.Unexplained) error {
		other(account{u.Provider, u.Model, "unexplained", ""}, u.Amount)
		other(account{u.Provider, u.Model, "provider", ""}, -u.Amount)
		return nil
	})
}

func (t *tallying) compareBalances(l *ledger.Ledger) {
	stored := map[account]tokensAndMoney{}
	for _, b := range l.Balances() {
		stored[account{b.Provider, b.Model, b.Account, b.Kind}] = tokensAndMoney{b.Tokens, b.Amount}
	}
	keys := slices.Collect(maps.Keys(stored))
	for a := range t.sums {
		if _, ok := stored[a]; !ok {
			keys = append(keys, a)
		}
	}
	slices.SortFunc(keys, func(a, b account) int {
		return cmp.Or(cmp.Compare(a.provider, b.provider), cmp.Compare(a.model, b.model), cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
	})
	for _, a := range keys {
		if is, want := stored[a], t.sums[a]; is != want {
			t.v.p.add(Damage{Part: "ledger", What: fmt.Sprintf("balance of %s, %s, %s %s: %d and %v dollars are stored, the attempts come to %d and %v",
				a.provider, a.model, a.name, a.kind, is.tokens, is.amount, want.tokens, want.amount)})
		} else {
			t.v.p.Ledger.Totals++
		}
	}
}

const pending = "pending" // an account

// tokensOf is what a bill has of input, of all kinds but uses of tools, and of output.
func tokensOf(b ledger.Bill) (input, output int64) {
	for _, l := range b.Input {
		if !l.Kind.IsTool() {
			input += l.Tokens
		}
	}
	return input, b.Output.Tokens
}

// nonzero is a copy without the kinds of which there is nothing.
func nonzero(kinds map[token.Kind]int64) map[token.Kind]int64 {
	kept := map[token.Kind]int64{}
	for kind, n := range kinds {
		if n != 0 {
			kept[kind] = n
		}
	}
	return kept
}
