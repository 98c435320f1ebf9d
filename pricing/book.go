package pricing

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Reason is why something is unpriced. The set is closed, so it can be a metric's
// label. Empty: it isn't.
type Reason string

// The reasons.
const (
	UnknownModel Reason = "unknown_model" // the book doesn't have it
	NoRate       Reason = "no_rate"       // it has, but no rates for that time
	UnpricedTier Reason = "tier"          // it has, but no rates for that tier of it
)

// Reasons are all reasons.
func Reasons() []Reason { return []Reason{UnknownModel, NoRate, UnpricedTier} }

// Query asks for the rates of one attempt.
type Query struct {
	Provider    string    // as the gateway calls it
	Model       string    // as requests or answers name it
	At          time.Time // when the provider accepted it
	KnownAt     time.Time // as was known then; zero: as is known now
	InputTokens int64     // the whole input, cached included
	ServiceTier string    // as the provider says it; "" is its standard one
	Regional    bool      // with data residency, where that costs more
}

// Book is a set of dated prices. It doesn't change, so it can be used concurrently.
type Book struct {
	version  string
	overlays [sha256.Size]byte // hash of what was laid over; zero: nothing
	layers   int
	warnings []string
	rows     []Row
	byName   map[string]catalogue // of each provider
	lists    map[string]bool      // providers of which the lowest layer has all models
	anywhere catalogue            // for gateway providers that the book doesn't know by name
	prefixes map[string]bool      // what may stand before a model's id, up to a slash
}

// catalogue has models by all ids that they have in the book. Nil: the id is that of
// several models.
type catalogue map[string]*model

type model struct {
	provider, id string
	rows         []*Row // the first that holds is the one that counts
}

//go:embed prices.csv
var embedded string

// Embedded is the book that comes with the program.
var Embedded = sync.OnceValue(func() *Book {
	b, err := Parse(strings.NewReader(embedded))
	if err != nil {
		panic(fmt.Sprintf("the embedded price book: %v", err)) // a wrong build: TestEmbedded
	}
	return b
})

// Version names the book's content: the day of its newest price and a hash; where
// overlays were laid over it, a plus and the hash of these follow.
func (b *Book) Version() string { return b.version }

// Rates returns what an attempt is billed at, or why that isn't known. With a reason,
// the rates have the version, and provider and model if the model is known, but
// Known is false. It allocates nothing.
func (b *Book) Rates(q Query) (Rates, Reason) {
	m := b.lookup(q.Provider, q.Model)
	if m == nil {
		return Rates{Version: b.version}, UnknownModel
	}
	none := Rates{Version: b.version, Provider: m.provider, Model: m.id}
	row := m.at(q.At, q.KnownAt)
	if row == nil || !row.rates(Standard, false).Known() {
		return none, NoRate
	}
	tier, ok := tierOf(m.provider, q.ServiceTier)
	if !ok {
		return none, UnpricedTier
	}
	if row.LongAbove > 0 && q.InputTokens > row.LongAbove {
		if tier != Standard { // no source has both at once
			return none, UnpricedTier
		}
		tier = Long
	}
	rates := row.rates(tier, q.Regional)
	if !rates.Known() {
		return none, UnpricedTier
	}
	return *rates, ""
}

// at is the row that holds at t, as was known at known.
func (m *model) at(t, known time.Time) *Row {
	for _, row := range m.rows {
		if row.holds(t) && (known.IsZero() || !row.KnownFrom.After(known)) {
			return row
		}
	}
	return nil
}

// tierOf is the tier that a provider's name for it means.
func tierOf(provider, name string) (Tier, bool) {
	is := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	switch {
	case is("", "default", "standard", "auto", "standard_only", "on_demand"):
		return Standard, true
	case is("batch"):
		return Batch, true
	case is("flex"):
		return Flex, true
	// What Anthropic calls priority is bought by commitment, not by the token.
	case is("fast"), is("priority") && provider != "anthropic":
		return Priority, true
	}
	return "", false
}

// Models are the canonical ids of a provider's models, sorted; "" is all providers.
func (b *Book) Models(provider string) []string {
	ids := map[string]bool{}
	for _, row := range b.Rows(provider) {
		ids[row.Model] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// Rows are the rows of a provider, in the book's order; "" is all providers. What
// they refer to must not be changed.
func (b *Book) Rows(provider string) []Row {
	return slices.DeleteFunc(slices.Clone(b.rows), func(r Row) bool { return provider != "" && r.Provider != provider })
}

// At is the row of a model that counts at t, as was known at known; zero: as is known
// now. The model may be any id of it.
func (b *Book) At(provider, id string, t, known time.Time) (Row, bool) {
	m := b.lookup(provider, id)
	if m == nil {
		return Row{}, false
	}
	row := m.at(t, known)
	if row == nil {
		return Row{}, false
	}
	return *row, true
}

// Is says if two rows, of one book, are the same.
func (r *Row) Is(other *Row) bool {
	return r.Provider == other.Provider && r.Model == other.Model && r.layer == other.layer && r.Origin == other.Origin && r.below == other.below &&
		r.From.Equal(other.From) && r.To.Equal(other.To) && r.KnownFrom.Equal(other.KnownFrom) && r.Hours == other.Hours
}
