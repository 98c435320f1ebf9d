package pricing

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	yamltoken "github.com/goccy/go-yaml/token"

	"github.com/recoup-gateway/recoup/internal/token"
)

// EveryModel stands for all models of a provider, in a discount.
const EveryModel = "*"

// itemReader reads one item.
type itemReader struct {
	*overlayReader
	entry  entry
	first  *yamltoken.Token
	before int                         // problems before this item
	at     map[string]*yamltoken.Token // where keys are that are looked at once all are known
}

var itemNames = []string{
	"provider", "model", "aliases", "rates", "long", "batch", "flex", "priority", "tools", "discount", "regional_uplift",
	"valid_from", "valid_to", "known_from", "time_of_day", "status", "source", "notes",
}

// itemKeys are the members of an item, and how each is read.
var itemKeys map[string]func(i *itemReader, key *yamltoken.Token, value ast.Node)

func init() {
	itemKeys = map[string]func(*itemReader, *yamltoken.Token, ast.Node){
		"provider":        text("a provider, as the gateway names it", func(i *itemReader) *string { return &i.entry.row.Provider }),
		"model":           text(`a model's id, or "*" with a discount`, func(i *itemReader) *string { return &i.entry.row.Model }),
		"source":          text("where the price is from", func(i *itemReader) *string { return &i.entry.row.Source }),
		"notes":           text("a text", func(i *itemReader) *string { return &i.entry.row.Notes }),
		"valid_from":      day(func(i *itemReader) *time.Time { return &i.entry.row.From }),
		"valid_to":        day(func(i *itemReader) *time.Time { return &i.entry.row.To }),
		"known_from":      day(func(i *itemReader) *time.Time { return &i.entry.row.KnownFrom }),
		"rates":           (*itemReader).standard,
		"long":            (*itemReader).long,
		"batch":           tierOfItem(Batch),
		"flex":            tierOfItem(Flex),
		"priority":        tierOfItem(Priority),
		"aliases":         (*itemReader).aliases,
		"status":          (*itemReader).status,
		"time_of_day":     (*itemReader).timeOfDay,
		"discount":        (*itemReader).discount,
		"regional_uplift": (*itemReader).uplift,
		"tools":           (*itemReader).tools,
	}
}

func text(want string, field func(*itemReader) *string) func(*itemReader, *yamltoken.Token, ast.Node) {
	return func(i *itemReader, key *yamltoken.Token, value ast.Node) {
		if s, ok := i.plain(key.Value, value, want); ok {
			if s == "" || strings.ContainsRune(s, 0) || len(s) > 1000 {
				i.problem(value.GetToken(), "%s: want %s", key.Value, want)
			}
			*field(i) = s
		}
	}
}

func day(field func(*itemReader) *time.Time) func(*itemReader, *yamltoken.Token, ast.Node) {
	const want = "a day, a month or a time, such as 2026-10-01 or 2026-10-01T16:00:00Z"
	return func(i *itemReader, key *yamltoken.Token, value ast.Node) {
		s, ok := i.plain(key.Value, value, want)
		if !ok {
			return
		}
		t, ok := parseDay(s)
		if !ok {
			i.problem(value.GetToken(), "%s: %q is no day: want %s", key.Value, s, want)
		}
		*field(i) = t
		i.remember(key.Value, value)
	}
}

func (i *itemReader) remember(key string, value ast.Node) {
	if i.at == nil {
		i.at = map[string]*yamltoken.Token{}
	}
	i.at[key] = value.GetToken()
}

func (i *itemReader) aliases(key *yamltoken.Token, value ast.Node) {
	const want = "a list of other ids of the model"
	list, ok := value.(*ast.SequenceNode)
	if !ok {
		i.problem(value.GetToken(), "%s: want %s", key.Value, want)
		return
	}
	for _, v := range list.Values {
		if s, ok := i.plain(key.Value, v, want); ok && s != "" {
			i.entry.row.Aliases = append(i.entry.row.Aliases, s)
		}
	}
}

func (i *itemReader) status(key *yamltoken.Token, value ast.Node) {
	const want = "list, promo, negotiated or placeholder"
	if s, ok := i.plain(key.Value, value, want); ok {
		i.entry.row.Status = Status(s)
		if !slices.Contains([]Status{List, Promo, Negotiated, Placeholder}, i.entry.row.Status) {
			i.problem(value.GetToken(), "status: %q: want %s", s, want)
		}
	}
}

func (i *itemReader) timeOfDay(key *yamltoken.Token, value ast.Node) {
	const want = "hours in UTC, such as peak 01:00-04:00,06:00-10:00 UTC Mon-Fri"
	if s, ok := i.plain(key.Value, value, want); ok {
		i.entry.row.Hours = s
		if err := i.entry.row.hours.parse(s); err != nil {
			i.problem(value.GetToken(), "%v: want %s", err, want)
		}
	}
}

const wantDiscount = "what is paid of the price below, more than 0 and at most 1, such as 0.85 for 15 percent off"

func (i *itemReader) discount(key *yamltoken.Token, value ast.Node) {
	if s, ok := i.plain(key.Value, value, wantDiscount); ok {
		n, err := parseDecimal(s, rateDecimals)
		if err != nil || n <= 0 || n > 1e6 {
			i.problem(value.GetToken(), "discount: %q: want %s", s, wantDiscount)
		}
		i.entry.discount, i.entry.row.Discount = n, s
		i.remember(key.Value, value)
	}
}

func (i *itemReader) uplift(key *yamltoken.Token, value ast.Node) {
	if s, ok := i.plain(key.Value, value, "a factor from 1 to 10"); ok {
		i.entry.row.RegionalUplift = s
		i.remember(key.Value, value)
	}
}

// tools are dollars per use.
func (i *itemReader) tools(key *yamltoken.Token, value ast.Node) {
	const want = "dollars per use, such as web_search: 0.01"
	m, ok := value.(ast.MapNode)
	if !ok {
		i.problem(value.GetToken(), "tools: want tools with %s", want)
		return
	}
	for it := m.MapRange(); it.Next(); {
		name := it.Key().GetToken().Value
		s, ok := i.plain("tools."+name, it.Value(), want)
		if !ok {
			continue
		}
		amount, err := ParseDollars(s)
		if err != nil || amount < 0 || name == "" {
			i.problem(it.Value().GetToken(), "tools.%s: %q: want %s", name, s, want)
		}
		if i.entry.tools == nil {
			i.entry.tools = map[string]Rate{}
		}
		i.entry.tools[name] = Rate(amount)
	}
}

func (i *itemReader) standard(key *yamltoken.Token, value ast.Node) { i.tier(Standard, key, value) }
func (i *itemReader) long(key *yamltoken.Token, value ast.Node)     { i.tier(Long, key, value) }

func tierOfItem(t Tier) func(*itemReader, *yamltoken.Token, ast.Node) {
	return func(i *itemReader, key *yamltoken.Token, value ast.Node) { i.tier(t, key, value) }
}

// kinds are what rates may be of, in the order in which they are named.
var kinds = []token.Kind{
	token.Input, token.CacheRead, token.CacheWrite5m, token.CacheWrite1h, token.Output, token.Reasoning, token.AudioIn, token.AudioOut,
}

// Kinds are the kinds of tokens that rates may be of, input first.
func Kinds() []token.Kind { return slices.Clone(kinds) }

func kindNames() string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// tier reads the rates of a tier.
func (i *itemReader) tier(t Tier, key *yamltoken.Token, value ast.Node) {
	i.remember(key.Value, value)
	m, ok := value.(ast.MapNode)
	if !ok {
		i.problem(value.GetToken(), "%s: want rates in dollars per million tokens, such as {input: 2.50, output: 10}", key.Value)
		return
	}
	rates := map[token.Kind]Rate{}
	for it := m.MapRange(); it.Next(); {
		name := it.Key().GetToken()
		switch {
		case t == Long && name.Value == "above":
			i.above(it.Value())
		case !slices.Contains(kinds, token.Kind(name.Value)):
			i.problem(name, "%s: unknown kind %q: want one of %s", key.Value, name.Value, kindNames())
		default:
			if rate, ok := i.rate(key.Value+"."+name.Value, it.Value()); ok {
				rates[token.Kind(name.Value)] = rate
			}
		}
	}
	i.entry.row.tier(t).PerToken = rates
}

func (i *itemReader) rate(key string, value ast.Node) (Rate, bool) {
	const want = "dollars per million tokens with at most 6 decimals, such as 2.50"
	s, ok := i.plain(key, value, want)
	if !ok {
		return 0, false
	}
	rate, err := ParseRate(s)
	if err != nil {
		i.problem(value.GetToken(), "%s: %q: want %s", key, s, want)
		return 0, false
	}
	return rate, true
}

func (i *itemReader) above(value ast.Node) {
	const want = "input tokens, such as 200000"
	if s, ok := i.plain("long.above", value, want); ok {
		n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
		if err != nil || n < 1 {
			i.problem(value.GetToken(), "long.above: %q: want %s", s, want)
		}
		i.entry.row.LongAbove = n
	}
}

// finish checks what can be said once all members are known.
func (i *itemReader) finish() {
	e := &i.entry
	e.line, e.column = i.first.Position.Line, i.first.Position.Column
	e.row.Origin = Origin{i.overlay.name, e.line}
	e.every = e.row.Model == EveryModel
	if e.row.Status == "" {
		e.row.Status = Negotiated
	}
	if e.row.KnownFrom.IsZero() {
		e.row.KnownFrom = e.row.From
	}
	e.row.SourceDate = formatDay(e.row.KnownFrom)
	if e.row.Provider == "" || e.row.Model == "" {
		i.problem(i.first, "the item has no provider or no model: want both")
	}
	if from, to := e.row.From, e.row.To; !to.IsZero() && !from.Before(to) {
		i.problem(i.at["valid_to"], "valid_to, %s, is not after valid_from, %s: want a later day, or none", formatDay(to), formatDay(from))
	}
	if len(i.problems)+i.left > i.before {
		return // what follows may be their consequence
	}
	if e.discount > 0 {
		i.finishDiscount()
		return
	}
	i.finishRates()
}

func (i *itemReader) finishDiscount() {
	for _, key := range []string{"rates", "long", "batch", "flex", "priority", "regional_uplift"} {
		if at := i.at[key]; at != nil {
			i.problem(at, "the item has a discount and %s: want one of them", key)
		}
	}
	if i.entry.every && len(i.entry.row.Aliases) > 0 {
		i.problem(i.first, `an item for all models ("*") has no aliases`)
	}
}

func (i *itemReader) finishRates() {
	e := &i.entry
	if e.every {
		i.problem(i.first, `all models ("*") can have a discount, not rates: want a model's id`)
		return
	}
	if !e.row.Standard.Known() {
		i.problem(i.first, "%s has no rates: want rates with input and output at least, or a discount", e.row.Model)
		return
	}
	if i.at["long"] != nil && e.row.LongAbove == 0 {
		i.problem(i.at["long"], "long: want above, the number of input tokens, and the rates beyond it; without rates these are unpriced")
		return
	}
	if len(e.row.Long.PerToken) == 0 {
		e.row.Long.PerToken = nil
	}
	for _, t := range tiers {
		rates := e.row.tier(t).PerToken
		if rates != nil && !e.row.tier(t).Known() {
			i.problem(i.at[string(t)], "%s: want input and output at least", t)
			return
		}
	}
	if e.row.RegionalUplift == "" {
		return
	}
	trial := e.row // it is done again once all that the rates lack is filled in
	if err := trial.uplift(); err != nil {
		i.problem(i.at["regional_uplift"], "%v", err)
	}
}

// formatDay is the shortest form that parseDay reads; empty for no time.
func formatDay(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// withTools are the rates with those of tools.
func withTools(rates map[token.Kind]Rate, tools map[string]Rate) map[token.Kind]Rate {
	all := maps.Clone(rates)
	for name, rate := range tools {
		all[token.Tool(name)] = rate
	}
	return all
}

func (o *Overlay) at(e *entry, format string, args ...any) error {
	return &OverlayError{o.name, []Problem{{e.line, e.column, fmt.Sprintf(format, args...)}}}
}
