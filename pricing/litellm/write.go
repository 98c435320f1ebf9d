package litellm

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

const source = "LiteLLM, model_prices_and_context_window.json"

// YAML is the overlay, in the order of the table.
func (i *Import) YAML(o Options) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %d models, made of LiteLLM's table of prices by recoup prices import.\n", len(i.items))
	b.WriteString("# That table has no dates: known_from is the day it was read. What it has and a price\n# book can't express was named when this was made.\n")
	if len(i.items) == 0 {
		b.WriteString("prices: []\n")
		return b.Bytes()
	}
	b.WriteString("prices:\n")
	for n := range i.items {
		i.items[n].write(&b, o)
	}
	return b.Bytes()
}

// yaml is an overlay of this item alone.
func (it *item) yaml(o Options) []byte {
	var b bytes.Buffer
	b.WriteString("prices:\n")
	it.write(&b, o)
	return b.Bytes()
}

var order = []token.Kind{
	token.Input, token.CacheRead, token.CacheWrite5m, token.CacheWrite1h, token.Output, token.Reasoning, token.AudioIn, token.AudioOut,
}

func (it *item) write(b *bytes.Buffer, o Options) {
	fmt.Fprintf(b, "- provider: %s\n  model: %s\n", strconv.Quote(it.provider), strconv.Quote(it.model))
	fmt.Fprintf(b, "  status: %s\n", cmp.Or(o.Status, pricing.List))
	if !o.KnownFrom.IsZero() {
		fmt.Fprintf(b, "  known_from: %s\n", o.KnownFrom.UTC().Format(time.DateOnly))
	}
	for _, tier := range []pricing.Tier{pricing.Standard, pricing.Long, pricing.Batch, pricing.Flex, pricing.Priority} {
		it.writeTier(b, tier)
	}
	if it.searches {
		fmt.Fprintf(b, "  tools: {web_search: %s}\n", pricing.Picodollars(it.search))
	}
	if it.uplift != "" {
		fmt.Fprintf(b, "  regional_uplift: %s\n", it.uplift)
	}
	fmt.Fprintf(b, "  source: %s\n", strconv.Quote(source))
}

func (it *item) writeTier(b *bytes.Buffer, tier pricing.Tier) {
	var parts []string
	name := string(tier)
	switch tier {
	case pricing.Standard:
		name = "rates"
	case pricing.Long:
		if it.above > 0 {
			parts = append(parts, fmt.Sprintf("above: %d", it.above))
		}
	}
	for _, kind := range order {
		if rate, ok := it.rates[tier][kind]; ok {
			parts = append(parts, fmt.Sprintf("%s: %s", kind, rate))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "  %s: {%s}\n", name, strings.Join(parts, ", "))
	}
}
