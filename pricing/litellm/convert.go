package litellm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Options say what is taken from a table, and how.
type Options struct {
	Book      *pricing.Book     // that the overlay is to be laid over
	Providers map[string]string // the gateway's name for LiteLLM's; nil: DefaultProviders
	KnownFrom time.Time         // the day of the table; it has no dates of its own
	Status    pricing.Status
}

// DefaultProviders are LiteLLM's providers that the gateway, or its price book,
// knows too.
func DefaultProviders() map[string]string {
	return map[string]string{
		"openai": "openai", "text-completion-openai": "openai", "anthropic": "anthropic", "gemini": "gemini", "groq": "groq",
		"deepseek": "deepseek", "xai": "xai", "mistral": "mistral", "cohere": "cohere", "cohere_chat": "cohere",
	}
}

// Import is a table as an overlay.
type Import struct {
	items []item
	Left  []Left
}

// Models is how many models are in the overlay.
func (i *Import) Models() int { return len(i.items) }

// Left is something that the overlay doesn't have.
type Left struct {
	Why    string
	Models []string // as the table calls them, in its order
}

// item is a model as the overlay has it.
type item struct {
	key, provider, model string
	rates                map[pricing.Tier]map[token.Kind]pricing.Rate
	above                int64 // tokens; with no rates of pricing.Long: they are not known
	uplift               string
	search               pricing.Rate // per use
	searches             bool
}

// Convert reads a table.
func Convert(r io.Reader, o Options) (*Import, error) {
	if o.Providers == nil {
		o.Providers = DefaultProviders()
	}
	c := &converting{options: o, items: map[[2]string]*item{}, left: map[string]int{}, unknowns: map[string]int{}}
	if err := each(r, c.model); err != nil {
		return nil, err
	}
	for _, name := range c.providers {
		c.leave(fmt.Sprintf("%s (%d)", name, c.unknowns[name]), "left out: models of providers of which the gateway's name is not known; --provider THEIRS=OURS says it")
	}
	c.mergeSnapshots()
	c.result.items = slices.DeleteFunc(c.result.items, func(i item) bool { return c.items[i.id()] == nil })
	return &c.result, nil
}

func (it *item) id() [2]string { return [2]string{it.provider, it.model} }

type converting struct {
	options Options
	result  Import
	items   map[[2]string]*item
	left    map[string]int // where in result.Left

	providers []string // that have no name here
	unknowns  map[string]int
}

// unknown notes a model of a provider that has no name here.
func (c *converting) unknown(provider string) {
	if provider = fmt.Sprintf("%.60s", provider); c.unknowns[provider] == 0 {
		c.providers = append(c.providers, provider)
	}
	c.unknowns[provider]++
}

// leave notes that something of a model is not in the overlay.
func (c *converting) leave(model, why string) {
	i, ok := c.left[why]
	if !ok {
		i = len(c.result.Left)
		c.left[why] = i
		c.result.Left = append(c.result.Left, Left{Why: why})
	}
	c.result.Left[i].Models = append(c.result.Left[i].Models, model)
}

// model takes one member of the table.
func (c *converting) model(key string, fields map[string]json.RawMessage, err error) {
	if err != nil {
		c.leave(key, "left out: it is no object")
		return
	}
	name, mode := text(fields["litellm_provider"]), text(fields["mode"])
	provider, ok := c.options.Providers[name]
	if !ok {
		c.unknown(name)
		return
	}
	if mode != "chat" && mode != "completion" && mode != "responses" {
		c.leave(key, fmt.Sprintf("left out: mode %.60q is not drained", mode))
		return
	}
	it := &item{key: key, provider: provider, model: strings.TrimPrefix(key, name+"/"), rates: map[pricing.Tier]map[token.Kind]pricing.Rate{}}
	if err := plain(it.model); err != nil {
		c.leave(key, "left out: "+err.Error())
		return
	}
	if why := c.fill(it, fields); why != "" {
		c.leave(key, "left out: "+why)
		return
	}
	if c.items[it.id()] != nil {
		c.leave(key, "left out: another member of the table has the same model")
		return
	}
	c.items[it.id()] = it
	c.result.items = append(c.result.items, *it)
}

func text(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // what is no text is none
	return s
}

// plain refuses ids that no request could have.
func plain(id string) error {
	if id == "" || id == pricing.EveryModel || len(id) > 200 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("its id is none of a model")
	}
	return nil
}

// fill reads the fields; why: the model can't be in the overlay.
func (c *converting) fill(it *item, fields map[string]json.RawMessage) (why string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		raw := fields[name]
		if string(raw) == "null" {
			continue
		}
		f, isRate := fieldOf(name)
		switch {
		case without[name] != "":
			return "without " + name + ", which a price book can't express, all would be priced wrongly"
		case isRate:
			if why := it.rate(f, name, raw); why != "" {
				return why
			}
		case name == "search_context_cost_per_query":
			if !it.readSearch(raw) {
				c.leave(it.key, "not taken: search_context_cost_per_query that depends on the size, or isn't read")
			}
		case costs(name) && !strings.HasPrefix(name, "regional_processing_uplift"):
			c.leave(it.key, "not taken: "+name)
		}
	}
	if why := it.check(c); why != "" {
		return why
	}
	if !it.readUplift(fields) {
		c.leave(it.key, "not taken: regional_processing_uplift_multiplier that differs by region, or isn't exact")
	}
	return ""
}

// rate takes the rate of a field.
func (it *item) rate(f field, name string, raw json.RawMessage) (why string) {
	rate, ok := rateOf(strings.Trim(string(raw), `"`))
	if !ok {
		return fmt.Sprintf("%s is no number of dollars that can be exact: %.40s", name, raw)
	}
	if f.tier == pricing.Long {
		if it.above != 0 && it.above != f.above*1000 {
			return "it has tiers for more than one length of context, and a price book one"
		}
		it.above = f.above * 1000
	}
	if it.rates[f.tier] == nil {
		it.rates[f.tier] = map[token.Kind]pricing.Rate{}
	}
	if was, ok := it.rates[f.tier][f.kind]; ok && was != rate {
		return name + " and another field say different things of the same rate"
	}
	it.rates[f.tier][f.kind] = rate
	return ""
}

// check says if there is enough to price a model by, and takes tiers away that lack
// half of it.
func (it *item) check(c *converting) (why string) {
	complete := func(t pricing.Tier) bool {
		_, in := it.rates[t][token.Input]
		_, out := it.rates[t][token.Output]
		return in && out
	}
	standard := it.rates[pricing.Standard]
	if !complete(pricing.Standard) {
		return "no rates for both input and output"
	}
	if standard[token.Input] == 0 && standard[token.Output] == 0 {
		return "its rates are 0, which may be free, and may be unknown"
	}
	for _, t := range []pricing.Tier{pricing.Long, pricing.Batch, pricing.Flex, pricing.Priority} {
		if it.rates[t] != nil && !complete(t) {
			delete(it.rates, t) // of long, above stays: beyond it is unpriced
			c.leave(it.key, fmt.Sprintf("not taken: tier %s without both input and output; it is unpriced", t))
		}
	}
	return ""
}

// readSearch reads what a web search costs, if that is one price.
func (it *item) readSearch(raw json.RawMessage) bool {
	var sizes map[string]json.Number
	if err := json.Unmarshal(raw, &sizes); err != nil || len(sizes) == 0 {
		return false
	}
	for _, size := range slices.Sorted(maps.Keys(sizes)) {
		amount, ok := rateOf(sizes[size].String())
		if !ok || it.searches && amount != it.search {
			it.search, it.searches = 0, false
			return false
		}
		it.search, it.searches = amount, true
	}
	return true
}

// readUplift reads the factor for data residency, if there is one and it is exact.
func (it *item) readUplift(fields map[string]json.RawMessage) bool {
	factor := ""
	for _, region := range []string{"eu", "us"} {
		raw := strings.Trim(string(fields["regional_processing_uplift_multiplier_"+region]), `"`)
		switch {
		case raw == "" || raw == "null":
		case factor != "" && factor != raw:
			return false
		default:
			factor = raw
		}
	}
	if factor == "" {
		return true
	}
	it.uplift = factor
	if _, err := pricing.ParseOverlay("", it.yaml(Options{})); err != nil {
		it.uplift = ""
		return false
	}
	return true
}

// mergeSnapshots takes out the models that the book knows by another id: one with the
// same prices is that one, and of the others it isn't clear which is right.
func (c *converting) mergeSnapshots() {
	for i := range c.result.items {
		it := &c.result.items[i]
		id, ok := c.options.Book.Resolve(it.provider, it.model)
		if !ok || id == it.model {
			continue
		}
		delete(c.items, it.id())
		named := it.named(c.result.items, id)
		switch {
		case named == nil:
			c.leave(it.key, "left out: it is another id of a model in the book that the table has not")
		case !named.same(it):
			c.leave(it.key, "left out: it is another id of "+named.key+", which has other prices")
		default:
			c.leave(it.key, "not needed: it is another id of a model with the same prices")
		}
	}
}

// named is the item of the same provider with another id.
func (it *item) named(items []item, id string) *item {
	i := slices.IndexFunc(items, func(o item) bool { return o.provider == it.provider && o.model == id })
	if i < 0 {
		return nil
	}
	return &items[i]
}

func (it *item) same(other *item) bool {
	return it.above == other.above && it.uplift == other.uplift && it.search == other.search && it.searches == other.searches &&
		maps.EqualFunc(it.rates, other.rates, maps.Equal[map[token.Kind]pricing.Rate, map[token.Kind]pricing.Rate])
}
