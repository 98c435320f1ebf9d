package vendor

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Vendors whose reports are understood.
const (
	OpenAI    = "openai"
	Anthropic = "anthropic"
)

// Kind is what a row tells of.
type Kind string

// The kinds.
const (
	Usage Kind = "usage"
	Cost  Kind = "costs"
)

// Tokens are by kind, each apart. Input is fresh: neither read from a cache nor
// written to one.
type Tokens struct {
	Input        int64 `json:"input"`
	CacheRead    int64 `json:"cache_read"`
	CacheWrite5m int64 `json:"cache_write_5m"`
	CacheWrite1h int64 `json:"cache_write_1h"`
	Output       int64 `json:"output"`
}

// Plus is the sum.
func (t Tokens) Plus(u Tokens) Tokens {
	return Tokens{
		t.Input + u.Input, t.CacheRead + u.CacheRead, t.CacheWrite5m + u.CacheWrite5m,
		t.CacheWrite1h + u.CacheWrite1h, t.Output + u.Output,
	}
}

// Minus is the difference.
func (t Tokens) Minus(u Tokens) Tokens {
	return t.Plus(Tokens{-u.Input, -u.CacheRead, -u.CacheWrite5m, -u.CacheWrite1h, -u.Output})
}

// AllInput is the input of all kinds.
func (t Tokens) AllInput() int64 { return t.Input + t.CacheRead + t.CacheWrite5m + t.CacheWrite1h }

// Size is how many tokens t is off zero, kind by kind.
func (t Tokens) Size() (sum int64) {
	for _, n := range t.Kinds() {
		sum += max(n, -n)
	}
	return sum
}

// Kinds are the figures by the books' names.
func (t Tokens) Kinds() map[token.Kind]int64 {
	return map[token.Kind]int64{
		token.Input: t.Input, token.CacheRead: t.CacheRead, token.CacheWrite5m: t.CacheWrite5m,
		token.CacheWrite1h: t.CacheWrite1h, token.Output: t.Output,
	}
}

// Row is one line of a report, whoever made it.
type Row struct {
	Kind       Kind
	Vendor     string
	Start, End time.Time // of the bucket, in UTC
	Model      string    // as the report has it; "" of a charge that is no model's
	Tier       string    // "" is the standard one
	Context    string    // the context window, where the report tells
	Project    string    // or workspace
	APIKey     string    // its id
	Tokens     Tokens
	Requests   token.Count
	Amount     pricing.Sum // of a cost, in US dollars
	Item       string      // of a cost: what it is for, as the report says
	AnyTier    bool        // the report doesn't tell tiers apart
	NoPriority bool        // nor Anthropic's priority tier from the standard one
	NoWrites   bool        // it doesn't tell tokens written to a cache from fresh ones
}

// Tier is a provider's name of a service tier as rows have it.
func Tier(name string) string {
	switch name = strings.ToLower(name); name {
	case "default", "standard", "auto", "standard_only", "on_demand":
		return ""
	}
	return name
}

const (
	maxQuantity = 1 << 50 // tokens of a row: sums of thousands of rows don't overflow
	maxDollars  = 1 << 20 // of a row
	maxText     = 256     // bytes of a name
)

func (r *Row) check() error {
	for kind, n := range r.Tokens.Kinds() {
		if n < 0 || n > maxQuantity {
			return fmt.Errorf("%d tokens of %s", n, kind)
		}
	}
	if n := r.Requests.Or(0); n < 0 || n > maxQuantity {
		return fmt.Errorf("%d requests", n)
	}
	if !r.Start.Before(r.End) {
		return fmt.Errorf("the bucket is from %s to %s", r.Start.Format(time.RFC3339), r.End.Format(time.RFC3339))
	}
	for _, s := range []string{r.Model, r.Tier, r.Context, r.Project, r.APIKey, r.Item} {
		if len(s) > maxText {
			return fmt.Errorf("%.40q… has %d bytes", s, len(s))
		}
	}
	return nil
}

// money reads decimal dollars, or cents. What is finer than a picodollar is rounded:
// OpenAI's figures are binary fractions.
func money(text, currency string, perDollar int64) (pricing.Sum, error) {
	if !strings.EqualFold(currency, "usd") {
		return pricing.Sum{}, fmt.Errorf("the currency is %.20q: only US dollars can be compared with the books", currency)
	}
	if text == "" || len(text) > 80 || strings.Trim(text, "0123456789.eE+-") != "" {
		return pricing.Sum{}, fmt.Errorf("amount %.40q: want decimal digits", text)
	}
	f, _, err := big.ParseFloat(text, 10, 256, big.ToNearestEven)
	if err != nil {
		return pricing.Sum{}, fmt.Errorf("amount %.40q: want decimal digits", text)
	}
	f.Quo(f, new(big.Float).SetInt64(perDollar))
	if new(big.Float).Abs(f).Cmp(big.NewFloat(maxDollars)) > 0 {
		return pricing.Sum{}, fmt.Errorf("amount %.40s: more than $%d in one row", text, maxDollars)
	}
	f.Mul(f, big.NewFloat(1e12))
	half := big.NewFloat(0.5)
	if f.Sign() < 0 {
		half.Neg(half)
	}
	n, _ := f.Add(f, half).Int64() // which cuts off
	return pricing.Sum{}.Add(pricing.Picodollars(n)), nil
}

var errNoModel = errors.New("it names no model: the report must be grouped by it")
