package audit

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// ErrInvalid is in the error of a bill that contradicts itself.
var ErrInvalid = errors.New("audit: invalid bill")

// Bill is what a provider says it billed.
type Bill struct {
	Provider string `json:"provider"` // as the gateway names it
	Lines    []Line `json:"lines"`

	// Complete says that Lines are all that the provider billed for requests that
	// came in [From, To): what is not among them was not billed. What stays
	// unexplained is then posted for each of these days (UTC), but not for one of which
	// the bill has only a part, where the books have calls in the rest.
	Complete bool      `json:"complete,omitempty"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
}

// Line is one request on a bill. Quantities are tokens.
type Line struct {
	RequestID string               `json:"request_id,omitempty"` // "": the bill has none
	Model     string               `json:"model"`
	Input     map[token.Kind]int64 `json:"input,omitempty"` // by kind, each apart; of tools: uses
	Output    int64                `json:"output"`
	Hidden    token.Count          `json:"hidden,omitzero"` // of Output: reasoning, if the bill says
	Started   time.Time            `json:"started"`
	Ended     time.Time            `json:"ended,omitzero"`
	USD       string               `json:"usd,omitempty"` // decimal dollars, if the bill says
}

// Tokens are an input and an output.
type Tokens struct {
	Input  int64 `json:"input"` // of all kinds, without uses of tools
	Output int64 `json:"output"`
}

func (t Tokens) minus(u Tokens) Tokens { return Tokens{t.Input - u.Input, t.Output - u.Output} }

// size is how many tokens t is off zero.
func (t Tokens) size() int64 { return max(t.Input, -t.Input) + max(t.Output, -t.Output) }

func (l *Line) tokens() Tokens { return Tokens{inputTotal(l.Input), l.Output} }

func inputTotal(kinds map[token.Kind]int64) (sum int64) {
	for kind, n := range kinds {
		if !kind.IsTool() {
			sum += n
		}
	}
	return sum
}

// maxQuantity is far beyond any request, so that what it costs can't overflow.
const maxQuantity = 1 << 32

func (b *Bill) check() error {
	if b.Provider == "" {
		return fmt.Errorf("%w: it names no provider: want the gateway's name of it, such as openai", ErrInvalid)
	}
	if b.Complete && !b.From.Before(b.To) {
		return fmt.Errorf("%w: complete from %s to %s: want the time that it is of, from before to", ErrInvalid, stamp(b.From), stamp(b.To))
	}
	for i := range b.Lines {
		err := b.Lines[i].check()
		if at := b.Lines[i].Started; err == nil && b.Complete && !at.IsZero() && (b.From.Sub(at) > oneDay || at.Sub(b.To) > oneDay) {
			err = fmt.Errorf("it began at %s, and the bill is of %s to %s", stamp(at), stamp(b.From), stamp(b.To))
		}
		if err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrInvalid, i+1, err)
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (l *Line) check() error {
	for kind, n := range l.Input {
		if kind == "" || kind.IsOutput() || n < 0 || n > maxQuantity {
			return fmt.Errorf("input: %d of kind %q", n, kind)
		}
	}
	if h := l.Hidden.Or(0); l.Output < 0 || l.Output > maxQuantity || h < 0 || h > l.Output {
		return fmt.Errorf("output: %d tokens, %s of them hidden", l.Output, l.Hidden)
	}
	if l.RequestID == "" && l.Started.IsZero() {
		return errors.New("it has neither a request id nor a time")
	}
	if l.USD != "" {
		if _, err := pricing.ParseDollars(l.USD); err != nil {
			return err
		}
	}
	return nil
}

// nonzero is a copy without the kinds of which there is nothing.
func nonzero(kinds map[token.Kind]int64) map[token.Kind]int64 {
	kept := maps.Clone(kinds)
	maps.DeleteFunc(kept, func(_ token.Kind, n int64) bool { return n == 0 })
	return kept
}
