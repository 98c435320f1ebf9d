package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// With these limits no sum over one posting can overflow.
const (
	maxTokens = 1 << 40
	maxAmount = 1 << 56 // picodollars: $72,057
	maxLines  = 64
	maxText   = 1 << 10 // bytes
	maxTags   = 64
	maxBroken = 1 << 10
)

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// quantity checks tokens and the amount for them.
func quantity(what string, tokens int64, amount pricing.Picodollars) error {
	if tokens < 0 || tokens > maxTokens || amount < 0 || amount > maxAmount {
		return invalidf("%s: %d tokens, %s dollars", what, tokens, amount)
	}
	return nil
}

// label checks what becomes part of a key, or a label of a metric.
func label(what, s string, required bool) error {
	if required && s == "" || len(s) > maxText || strings.ContainsRune(s, 0) {
		return invalidf("%s %.40q", what, s)
	}
	return nil
}

// check says what is wrong with the attempt as it would be posted first.
func (a *Attempt) check() error {
	if a.At.IsZero() || a.At.Before(time.UnixMilli(1)) {
		return invalidf("attempt %s without its time", a.ID())
	}
	if len(a.Tags) > maxTags {
		return invalidf("%d tags", len(a.Tags))
	}
	for k, v := range a.Tags {
		if len(k) > maxText || len(v) > maxText {
			return invalidf("tag %.40q", k)
		}
	}
	for _, s := range []string{a.AskedModel, a.ResponseID, a.Endpoint, a.ServiceTier} {
		if len(s) > maxText {
			return invalidf("text of %d bytes: %.40q", len(s), s)
		}
	}
	if err := label("request id", a.RequestID, false); err != nil {
		return err
	}
	return nil
}

// checkAttempt checks what every posting names.
func checkAttempt(p *Posting) error {
	a := &p.Attempt
	switch {
	case a.Stream == ID{} || a.Number < 0 || a.Number > 0xffff:
		return invalidf("attempt %s", a.ID())
	case p.Revision < 0 || p.Revision > 0xffff:
		return invalidf("revision %d", p.Revision)
	case p.Revision > 0 && !slices.Contains([]string{Reconciled, LateUsage, PriceVariance, Correction}, p.Reason):
		return invalidf("reason %q of revision %d", p.Reason, p.Revision)
	case p.Revision == 0 && p.Reason != "":
		return invalidf("reason %q of a first posting", p.Reason)
	case p.Bill == nil && p.Outcomes == nil:
		return invalidf("neither bill nor outcomes")
	case len(p.Evidence) > MaxEvidence:
		return invalidf("evidence of %d bytes", len(p.Evidence))
	case p.Evidence != nil && !json.Valid(p.Evidence):
		return invalidf("evidence is not JSON")
	case len(p.Broken) > maxBroken:
		return invalidf("broken %d times", len(p.Broken))
	}
	for _, b := range p.Broken {
		if err := label("cause of a break", b.Cause, true); err != nil {
			return err
		}
	}
	return nil
}

// normalBill returns a copy in canonical form: what is equal is the same.
func normalBill(b *Bill) (*Bill, error) {
	n := *b
	n.Input = nil
	for _, l := range b.Input {
		if l.Kind == "" || l.Kind.IsOutput() {
			return nil, invalidf("%q is no kind of input", l.Kind)
		}
		if l.Tokens != 0 || l.Amount != 0 || l.Variance != 0 {
			n.Input = append(n.Input, l)
		}
	}
	slices.SortFunc(n.Input, func(x, y Line) int { return cmp.Compare(x.Kind, y.Kind) })
	if n.Output.Kind == "" {
		n.Output.Kind = token.Output
	}
	if n.Output.Kind != token.Output || len(n.Input) > maxLines {
		return nil, invalidf("output of kind %q, %d lines of input", n.Output.Kind, len(n.Input))
	}
	for i, l := range n.all() {
		if i > 0 && n.Input[i-1].Kind == l.Kind {
			return nil, invalidf("two lines of kind %q", l.Kind)
		}
		if err := quantity(string(l.Kind), l.Tokens, l.Amount); err != nil {
			return nil, err
		}
		if l.Variance < -maxAmount || l.Variance > maxAmount {
			return nil, invalidf("variance of %s dollars", l.Variance)
		}
		if err := label("kind", string(l.Kind), true); err != nil {
			return nil, err
		}
	}
	return &n, n.checkRest()
}

func (b *Bill) checkRest() error {
	g := b.Output.Tokens
	if b.Hidden < 0 || b.Hidden > g {
		return invalidf("%d hidden of %d output tokens", b.Hidden, g)
	}
	if (b.Low != 0 || b.High != 0) && (b.Low < 0 || b.Low > g || b.High < g || b.High > maxTokens) {
		return invalidf("%d output tokens between %d and %d", g, b.Low, b.High)
	}
	if b.Bounds != nil {
		for _, i := range []Interval{b.Bounds.Input, b.Bounds.Output} {
			if err := errors.Join(quantity("bounds", i.Low, i.From), quantity("bounds", i.High, i.To)); err != nil {
				return err
			}
		}
	}
	for _, basis := range []token.Basis{b.InputBasis, b.OutputBasis} {
		if basis != "" && !slices.Contains(token.Bases(), basis) {
			return invalidf("basis %q", basis)
		}
	}
	if len(b.ProviderCost) > maxText || len(b.PriceVersion) > maxText {
		return invalidf("cost %.40q or price version %.40q", b.ProviderCost, b.PriceVersion)
	}
	return label("reason of being unpriced", b.Unpriced, false)
}

// normalOutcomes returns a copy in canonical form.
func normalOutcomes(o *Outcomes) (*Outcomes, error) {
	n := *o
	n.Output, n.Overhead, n.Breaks = nil, nil, nil
	for _, c := range o.Output {
		if !slices.Contains(causes[c.Outcome], c.Cause) {
			return nil, invalidf("outcome %q, cause %q", c.Outcome, c.Cause)
		}
		if err := quantity(c.Outcome, c.Tokens, c.Amount); err != nil {
			return nil, err
		}
		if c.Tokens != 0 || c.Amount != 0 {
			n.Output = append(n.Output, c)
		}
	}
	slices.SortFunc(n.Output, func(x, y Outcome) int {
		return cmp.Or(cmp.Compare(x.Outcome, y.Outcome), cmp.Compare(x.Cause, y.Cause))
	})
	for i := range n.Output {
		if x := n.Output[i]; i > 0 && n.Output[i-1].Outcome == x.Outcome && n.Output[i-1].Cause == x.Cause {
			return nil, invalidf("%s/%s twice", x.Outcome, x.Cause)
		}
	}
	if causes[n.Input] == nil || n.InputCause != "" && !slices.Contains(causes[n.Input], n.InputCause) {
		return nil, invalidf("outcome of the input %q, cause %q", n.Input, n.InputCause)
	}
	if err := n.normalMemo(o); err != nil {
		return nil, err
	}
	if len(n.Labels) > maxTags {
		return nil, invalidf("%d labels", len(n.Labels))
	}
	for k, v := range n.Labels {
		if err := errors.Join(label("label", k, true), label("label "+k, v, false)); err != nil {
			return nil, err
		}
	}
	return &n, nil
}

// normalMemo fills n with o's figures beside the outcomes.
func (n *Outcomes) normalMemo(o *Outcomes) error {
	for _, s := range []Saving{n.Saved, n.Upper} {
		if err := quantity("saved input", s.InputTokens, s.Input); err != nil {
			return err
		}
		if err := quantity("saved output", s.OutputTokens, s.Output); err != nil {
			return err
		}
	}
	for _, h := range o.Overhead {
		if !slices.Contains([]string{OverheadCrash, OverheadRetry, OverheadUnclaimed}, h.Kind) {
			return invalidf("overhead of kind %q", h.Kind)
		}
		if err := quantity("overhead", h.Tokens, h.Amount); err != nil {
			return err
		}
		if slices.ContainsFunc(n.Overhead, func(x Overhead) bool { return x.Kind == h.Kind }) {
			return invalidf("overhead %s twice", h.Kind)
		}
		if h.Tokens != 0 || h.Amount != 0 {
			n.Overhead = append(n.Overhead, h)
		}
	}
	slices.SortFunc(n.Overhead, func(x, y Overhead) int { return cmp.Compare(x.Kind, y.Kind) })
	if len(o.Breaks) > maxLines || n.Resumes < 0 || n.Uncertain < 0 || n.Uncertain > maxTokens {
		return invalidf("%d causes of breaks, %d resumes, %d tokens uncertain", len(o.Breaks), n.Resumes, n.Uncertain)
	}
	for cause, count := range o.Breaks {
		if count < 0 || len(cause) > maxText {
			return invalidf("%d breaks of cause %.40q", count, cause)
		}
		if count > 0 {
			if n.Breaks == nil {
				n.Breaks = map[string]int64{}
			}
			n.Breaks[cause] = count
		}
	}
	return nil
}

// balance refuses outcomes that don't sum to their bill.
func balance(id AttemptID, b *Bill, o *Outcomes) error {
	tokens, amount := -b.Output.Tokens, -b.Output.Amount
	for _, c := range o.Output {
		tokens += c.Tokens
		amount += c.Amount
	}
	if tokens != 0 || amount != 0 {
		return &Imbalance{Attempt: id, Tokens: tokens, Amount: amount}
	}
	return nil
}

func equalJSON(x, y any) bool {
	a, err := json.Marshal(x)
	b, err2 := json.Marshal(y)
	return err == nil && err2 == nil && string(a) == string(b)
}
