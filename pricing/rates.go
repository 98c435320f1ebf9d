package pricing

import (
	"fmt"
	"maps"
	"slices"

	"github.com/recoup-gateway/recoup/internal/token"
)

// Status says what kind of price a row states.
type Status string

// The statuses. Whatever shows a placeholder says so.
const (
	List        Status = "list"
	Promo       Status = "promo"
	Negotiated  Status = "negotiated"
	Placeholder Status = "placeholder"
)

// Tier says which of a row's rates apply to a request.
type Tier string

// The tiers.
const (
	Standard Tier = "standard"
	Long     Tier = "long" // the whole request, for its long context
	Batch    Tier = "batch"
	Flex     Tier = "flex"
	Priority Tier = "priority"
)

// How a model caches its input.
const (
	CachingAuto   = "auto"   // by itself
	CachingMarked = "marked" // what the request marks
	CachingNone   = "none"
)

// Rates are what one attempt is billed at. They stand for themselves: stored as JSON,
// they price the same usage to the same amount whatever later books say. The zero
// value knows no rate.
//
// Pass them by value. PerToken is shared by all that were given these rates, so it
// must not be changed.
type Rates struct {
	Version  string              `json:"version,omitzero"`  // of the book
	Provider string              `json:"provider,omitzero"` // whose model it is
	Model    string              `json:"model,omitzero"`    // canonical
	Status   Status              `json:"status,omitzero"`
	Tier     Tier                `json:"tier,omitzero"`
	Regional bool                `json:"regional,omitzero"` // the uplift is in the rates
	PerToken map[token.Kind]Rate `json:"rates,omitzero"`
}

// Known says if there are rates: for input and for output.
func (r Rates) Known() bool {
	_, input := r.stated(token.Input)
	_, output := r.stated(token.Output)
	return input && output
}

// Of returns the rate of a kind, and whether it is known. Reasoning without a rate of
// its own is output, tokens read from a cache are fresh input, and so are those
// written to one where the model has no rate for any such writes.
func (r Rates) Of(kind token.Kind) (Rate, bool) {
	if rate, ok := r.PerToken[kind]; ok {
		return rate, rate != unstated
	}
	switch kind {
	case token.Reasoning:
		return r.stated(token.Output)
	case token.CacheRead:
		return r.stated(token.Input)
	case token.CacheWrite5m, token.CacheWrite1h:
		_, short := r.PerToken[token.CacheWrite5m]
		_, long := r.PerToken[token.CacheWrite1h]
		if !short && !long {
			return r.stated(token.Input)
		}
	}
	return 0, false
}

func (r Rates) stated(kind token.Kind) (Rate, bool) {
	rate, ok := r.PerToken[kind]
	return rate, ok && rate != unstated
}

// Caching says what the model caches: CachingNone if cached input has no rate of its
// own, CachingMarked for Anthropic's models, else CachingAuto.
func (r Rates) Caching() string {
	switch _, cached := r.PerToken[token.CacheRead]; {
	case !cached:
		return CachingNone
	case r.Provider == "anthropic":
		return CachingMarked
	}
	return CachingAuto
}

// Line is one kind on a Bill.
type Line struct {
	Kind     token.Kind  `json:"kind"`
	Quantity int64       `json:"quantity"`
	Rate     Rate        `json:"rate"`
	Amount   Picodollars `json:"amount"`
}

// Bill is what an attempt costs. Its lines are disjoint: fresh input is without
// audio, output without reasoning and audio.
type Bill struct {
	Lines    []Line
	Input    Picodollars // tools included
	Output   Picodollars
	Unpriced []token.Kind // used, but without a rate: the amounts are too low by these
}

// Total is the whole bill, or ErrOverflow.
func (b Bill) Total() (Picodollars, error) { return b.Input.Plus(b.Output) }

// Cost is the bill for a usage. What is unknown in it gives no line, so an estimate
// has to be put in before. The error is ErrOverflow, or of a usage that contradicts
// itself: negative, or with parts that are larger than the whole.
func (r Rates) Cost(u token.Usage) (Bill, error) {
	audioIn, audioOut, reasoning := u.AudioIn.Or(0), u.AudioOut.Or(0), u.Reasoning.Or(0)
	fresh, visible := u.Input, u.Output
	if n, ok := fresh.Get(); ok {
		fresh = token.Known(n - audioIn)
	}
	if n, ok := visible.Get(); ok {
		visible = token.Known(n - reasoning - audioOut)
	} else {
		reasoning, audioOut = 0, 0 // parts of what isn't known
	}
	if !u.Input.IsKnown() {
		audioIn = 0
	}
	var b Bill
	for _, part := range []struct {
		kind     token.Kind
		quantity int64
	}{
		{token.Input, fresh.Or(0)}, {token.AudioIn, audioIn}, {token.CacheRead, u.CacheRead.Or(0)},
		{token.CacheWrite5m, u.CacheWrite5m.Or(0)}, {token.CacheWrite1h, u.CacheWrite1h.Or(0)},
		{token.Output, visible.Or(0)}, {token.Reasoning, reasoning}, {token.AudioOut, audioOut},
	} {
		if err := b.add(r, part.kind, part.quantity); err != nil {
			return Bill{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.Tools)) {
		if err := b.add(r, token.Tool(name), u.Tools[name]); err != nil {
			return Bill{}, err
		}
	}
	return b, nil
}

func (b *Bill) add(r Rates, kind token.Kind, quantity int64) error {
	if quantity < 0 {
		return fmt.Errorf("pricing: %s: a quantity of %d", kind, quantity)
	}
	if quantity == 0 {
		return nil
	}
	rate, ok := r.Of(kind)
	if !ok {
		b.Unpriced = append(b.Unpriced, kind)
		return nil
	}
	amount, err := rate.Times(quantity)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	side := &b.Input
	if kind.IsOutput() {
		side = &b.Output
	}
	if *side, err = side.Plus(amount); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	b.Lines = append(b.Lines, Line{kind, quantity, rate, amount})
	return nil
}
