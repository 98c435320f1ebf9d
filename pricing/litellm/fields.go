package litellm

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// base are the fields with a rate, without their suffixes.
var base = map[string]token.Kind{
	"input_cost_per_token":                      token.Input,
	"output_cost_per_token":                     token.Output,
	"cache_read_input_token_cost":               token.CacheRead,
	"input_cost_per_token_cache_hit":            token.CacheRead, // the name that DeepSeek's had first
	"cache_creation_input_token_cost":           token.CacheWrite5m,
	"cache_creation_input_token_cost_above_1hr": token.CacheWrite1h,
	"output_cost_per_reasoning_token":           token.Reasoning,
	"input_cost_per_audio_token":                token.AudioIn,
	"output_cost_per_audio_token":               token.AudioOut,
}

var suffixes = map[string]pricing.Tier{"_batches": pricing.Batch, "_flex": pricing.Flex, "_priority": pricing.Priority}

// field is what a field's name says.
type field struct {
	kind  token.Kind
	tier  pricing.Tier
	above int64 // thousand tokens, of pricing.Long
}

// fieldOf takes a name apart. A tier for a long context and a service tier at once is
// nothing that a price book has.
func fieldOf(name string) (f field, ok bool) {
	f.tier = pricing.Standard
	if kind, ok := base[name]; ok {
		f.kind = kind
		return f, true
	}
	for suffix, tier := range suffixes {
		if rest, ok := strings.CutSuffix(name, suffix); ok {
			f.kind, ok = base[rest]
			f.tier = tier
			return f, ok
		}
	}
	rest, ok := strings.CutSuffix(name, "k_tokens")
	if !ok {
		return f, false
	}
	i := strings.LastIndex(rest, "_above_")
	if i < 0 {
		return f, false
	}
	n, err := strconv.ParseInt(rest[i+len("_above_"):], 10, 32)
	f.kind, ok = base[rest[:i]]
	f.tier, f.above = pricing.Long, n
	return f, ok && err == nil && n > 0
}

// costs says if a field could have to do with what something costs.
func costs(name string) bool {
	for _, part := range []string{"cost", "pric", "uplift", "multiplier"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return name == "provider_specific_entry"
}

// without are fields without which all tokens of a model would be priced wrongly.
var without = map[string]string{
	"tiered_pricing":   "tiered_pricing",
	"off_peak_pricing": "off_peak_pricing",
}

// rateOf reads dollars per token, as JSON has them, exactly or not at all, but for what
// floats make of decimals.
func rateOf(number string) (pricing.Rate, bool) {
	per, ok := decimal(number)
	if !ok {
		return 0, false
	}
	return whole(per.Mul(per, big.NewRat(1e12, 1)))
}

// decimal reads a number of up to $1 a token, or a use.
func decimal(number string) (*big.Rat, bool) {
	// Before it is read exactly: an exponent can make a number of a million digits.
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || len(number) > 40 || value < 0 || value > 1 || value > 0 && value < 1e-15 || strings.ContainsAny(number, "xX_pP") {
		return nil, false
	}
	if mantissa, _, _ := strings.Cut(strings.ToLower(number), "e"); value == 0 {
		return new(big.Rat), !strings.ContainsAny(mantissa, "123456789") // else it is only too small for a float
	}
	return new(big.Rat).SetString(number)
}

// whole is a rate in picodollars, if it is one, or the float next to one.
func whole(picos *big.Rat) (pricing.Rate, bool) {
	if picos.IsInt() && picos.Num().IsInt64() {
		return pricing.Rate(picos.Num().Int64()), true
	}
	value, _ := picos.Float64()
	near := math.Round(value)
	if near == 0 || math.Abs(value-near) > 1e-9*near {
		return 0, false
	}
	return pricing.Rate(near), true
}
