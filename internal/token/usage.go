package token

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
)

// Kind is a kind of quantity that is billed at a rate of its own. Apart from tools
// the unit is the token.
type Kind string

// The kinds of tokens. Reasoning and AudioOut are parts of Output, AudioIn is one of
// Input; the other kinds of input are disjoint.
const (
	Input        Kind = "input" // fresh: neither read from a cache nor written to one
	CacheRead    Kind = "cache_read"
	CacheWrite5m Kind = "cache_write_5m"
	CacheWrite1h Kind = "cache_write_1h"
	Output       Kind = "output"
	Reasoning    Kind = "reasoning"
	AudioIn      Kind = "audio_in"
	AudioOut     Kind = "audio_out"
)

const toolPrefix = "tool:"

// Tool is the kind of the uses of a provider's tool, as in "tool:web_search".
func Tool(name string) Kind { return Kind(toolPrefix + name) }

// ToolName is the name of the tool whose uses k counts; ok: there is one.
func (k Kind) ToolName() (name string, ok bool) { return strings.CutPrefix(string(k), toolPrefix) }

// IsTool says if k counts uses of a tool, not tokens.
func (k Kind) IsTool() bool { return strings.HasPrefix(string(k), toolPrefix) }

// IsOutput says if k is output. All else, tools included, goes with the input.
func (k Kind) IsOutput() bool { return k == Output || k == Reasoning || k == AudioOut }

// Count is a number that may be unknown. The zero value is unknown; a known zero is
// something else. Counts can be compared with ==. In JSON it is a number or null.
type Count struct {
	n     int64
	known bool
}

// Known is the Count n.
func Known(n int64) Count { return Count{n, true} }

// Get returns the number, and whether it is known; it is 0 if not.
func (c Count) Get() (int64, bool) { return c.n, c.known }

// Or returns the number, or d if it is unknown.
func (c Count) Or(d int64) int64 {
	if c.known {
		return c.n
	}
	return d
}

// IsKnown says if the number is known.
func (c Count) IsKnown() bool { return c.known }

// IsZero says if the number is unknown: such members are left out by omitzero.
func (c Count) IsZero() bool { return !c.known }

// String is the number, or "unknown".
func (c Count) String() string {
	if !c.known {
		return "unknown"
	}
	return fmt.Sprint(c.n)
}

// MarshalJSON implements json.Marshaler.
func (c Count) MarshalJSON() ([]byte, error) {
	if !c.known {
		return []byte("null"), nil
	}
	return json.Marshal(c.n)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Count) UnmarshalJSON(data []byte) error {
	var n *int64
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("a count of tokens: %w", err)
	}
	*c = Count{}
	if n != nil {
		*c = Known(*n)
	}
	return nil
}

// Usage is the normal form of what a provider reports for one attempt. The zero
// value is a report that says nothing.
type Usage struct {
	// Disjoint: their sum is the whole input.
	Input        Count `json:"input,omitzero"`
	CacheRead    Count `json:"cache_read,omitzero"`
	CacheWrite5m Count `json:"cache_write_5m,omitzero"`
	CacheWrite1h Count `json:"cache_write_1h,omitzero"`

	Output    Count `json:"output,omitzero"`    // all that is billed as output, hidden included
	Reasoning Count `json:"reasoning,omitzero"` // of Output
	AudioIn   Count `json:"audio_in,omitzero"`  // of Input
	AudioOut  Count `json:"audio_out,omitzero"` // of Output

	Tools       map[string]int64 `json:"tools,omitzero"`        // uses that are billed by the use, by the tool's name
	ServiceTier string           `json:"service_tier,omitzero"` // as the provider said it
	CostUSD     string           `json:"cost_usd,omitzero"`     // decimal, where the provider states it
}

// InputTotal is the sum of all input. It is unknown if the fresh input is; a kind of
// cached input of which nothing was said counts as none. Beyond int64 it is the
// largest one.
func (u Usage) InputTotal() Count {
	if !u.Input.known {
		return Count{}
	}
	sum := u.Input.n
	for _, c := range []Count{u.CacheRead, u.CacheWrite5m, u.CacheWrite1h} {
		if c.n > 0 && sum > math.MaxInt64-c.n {
			return Known(math.MaxInt64)
		}
		sum += c.n
	}
	return Known(sum)
}

// Merge returns u with what is known in later put over it, member by member. Running
// reports are cumulative, so the last word on each member holds. Neither u nor later
// is changed, and the result shares nothing with them.
func (u Usage) Merge(later Usage) Usage {
	for _, m := range []struct {
		to   *Count
		from Count
	}{
		{&u.Input, later.Input}, {&u.CacheRead, later.CacheRead},
		{&u.CacheWrite5m, later.CacheWrite5m}, {&u.CacheWrite1h, later.CacheWrite1h},
		{&u.Output, later.Output}, {&u.Reasoning, later.Reasoning},
		{&u.AudioIn, later.AudioIn}, {&u.AudioOut, later.AudioOut},
	} {
		if m.from.known {
			*m.to = m.from
		}
	}
	if later.ServiceTier != "" {
		u.ServiceTier = later.ServiceTier
	}
	if later.CostUSD != "" {
		u.CostUSD = later.CostUSD
	}
	u.Tools = maps.Clone(u.Tools)
	if u.Tools == nil && len(later.Tools) > 0 {
		u.Tools = make(map[string]int64, len(later.Tools))
	}
	maps.Copy(u.Tools, later.Tools)
	return u
}
