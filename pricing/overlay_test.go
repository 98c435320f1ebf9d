package pricing

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/token"
)

// over lays YAML over the embedded book.
func over(t *testing.T, texts ...string) *Book {
	t.Helper()
	b := Embedded()
	for i, text := range texts {
		o, err := ParseOverlay(fmt.Sprintf("prices%d.yaml", i+1), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = b.Over(o); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// priced asks for rates at a time and compares them: kind and rate in turn; "?" is
// one that is not known.
func priced(t *testing.T, b *Book, q Query, when string, want ...string) Rates {
	t.Helper()
	q.At = at(t, when)
	got, reason := b.Rates(q)
	if reason != "" || got.Version != b.Version() {
		t.Fatalf("%+v at %s: reason %q, version %q of %q", q, when, reason, got.Version, b.Version())
	}
	for i := 0; i < len(want); i += 2 {
		rate, ok := got.Of(token.Kind(want[i]))
		if text := rate.String(); ok != (want[i+1] != "?") || ok && text != want[i+1] {
			t.Errorf("%s at %s: %s is %q (%v), want %q", q.Model, when, want[i], text, ok, want[i+1])
		}
	}
	return got
}

func unpriced(t *testing.T, b *Book, q Query, when string, want Reason) {
	t.Helper()
	q.At = at(t, when)
	if got, reason := b.Rates(q); reason != want || got.Known() {
		t.Errorf("%+v at %s: reason %q, want %q", q, when, reason, want)
	}
}

const negotiated = `
prices:
  - provider: openai
    model: gpt-5.5
    valid_from: 2026-10-01
    valid_to: 2026-11-01
    known_from: 2026-09-20
    rates: {input: 4, cache_read: 0.4, output: 24, reasoning: 20, audio_in: 8}
    long: {above: 200000, input: 8, cache_read: 0.8, output: 36}
    flex: {input: 2, output: 12}
    tools: {web_search: 0.0085}
    regional_uplift: 1.05
    source: contract 4711
`

func TestOverlay(t *testing.T) {
	b := over(t, negotiated)
	q := Query{Provider: "openai", Model: "gpt-5.5-2026-04-23"}
	got := priced(t, b, q, "2026-10-01", "input", "4", "cache_read", "0.4", "output", "24", "reasoning", "20", "audio_in", "8", string(token.Tool("web_search")), "8500")
	if got.Status != Negotiated || got.Model != "gpt-5.5" || got.Provider != "openai" {
		t.Errorf("%+v", got)
	}
	priced(t, b, q, "2026-09-30T23:59:59Z", "input", "5", "reasoning", "30")
	priced(t, b, q, "2026-11-01", "input", "5")
	long := q
	long.InputTokens = 200_001
	priced(t, b, long, "2026-10-20", "input", "8", "output", "36", string(token.Tool("web_search")), "8500", "reasoning", "?")
	flex := q
	flex.ServiceTier = "flex"
	priced(t, b, flex, "2026-10-20", "input", "2", "cache_read", "0.4")
	regional := q
	regional.Regional = true
	priced(t, b, regional, "2026-10-20", "input", "4.2", "output", "25.2", string(token.Tool("web_search")), "8500")

	// What the book below has and the item doesn't state is unknown, not the standard rate.
	q.ServiceTier = "batch"
	unpriced(t, b, q, "2026-10-20", UnpricedTier)
	priced(t, b, q, "2026-09-20", "input", "2.5")
	if w := b.Warnings(); len(w) != 1 || !strings.Contains(w[0], "prices1.yaml:3: gpt-5.5: the book below has batch, priority,") {
		t.Errorf("warnings %q", w)
	}

	// It was not known before it was known.
	q.ServiceTier, q.KnownAt = "", at(t, "2026-09-19")
	priced(t, b, q, "2026-10-20T00:00:00Z", "input", "5")
	if rates, _ := Embedded().Rates(Query{Provider: "openai", Model: "gpt-5.5", At: at(t, "2026-10-20")}); rates.Status != List || rates.Version != Embedded().Version() {
		t.Errorf("the embedded book was changed: %+v", rates)
	}
}

// A minimal item is a whole one: what it doesn't say is not guessed.
func TestOverlayOfLittle(t *testing.T) {
	b := over(t, "prices:\n- {provider: openai, model: gpt-5.5, rates: {input: 4, output: 24}}\n")
	q := Query{Provider: "openai", Model: "gpt-5.5"}
	priced(t, b, q, anyDay, "input", "4", "cache_read", "?", "cache_write_5m", "4", "reasoning", "24")
	q.InputTokens = 272_001
	unpriced(t, b, q, anyDay, UnpricedTier)
	if w := b.Warnings(); len(w) != 1 || !strings.Contains(w[0], "has batch, cache_read, flex, long, priority, and this item has not") {
		t.Errorf("%q", w)
	}
}

// Beyond a threshold without rates nothing is guessed.
func TestOverlayWithoutLongRates(t *testing.T) {
	b := over(t, "prices:\n- {provider: p, model: m, rates: {input: 4, output: 24}, long: {above: 1000}}\n")
	priced(t, b, Query{Provider: "p", Model: "m", InputTokens: 1000}, anyDay, "input", "4")
	unpriced(t, b, Query{Provider: "p", Model: "m", InputTokens: 1001}, anyDay, UnpricedTier)
}

func TestOverlayOfAnotherProvider(t *testing.T) {
	b := over(t, `
prices:
- {provider: azure-eu, model: gpt-5.5, rates: {input: 5.5, cache_read: 0.55, output: 33}}
- {provider: azure-eu, model: house-model, aliases: [house], rates: {input: 1, output: 2}}
- {provider: my-claude, model: claude-opus-4-8, discount: 0.9}
`)
	priced(t, b, Query{Provider: "azure-eu", Model: "openai/gpt-5.5"}, anyDay, "input", "5.5")
	priced(t, b, Query{Provider: "azure-eu", Model: "house"}, anyDay, "input", "1")
	priced(t, b, Query{Provider: "openai", Model: "gpt-5.5"}, anyDay, "input", "5")
	// It has no other prices for other models, nor for other providers.
	priced(t, b, Query{Provider: "azure-eu", Model: "gpt-5-mini"}, anyDay, "input", "0.25")
	priced(t, b, Query{Provider: "azure-us", Model: "gpt-5.5"}, anyDay, "input", "5")
	unpriced(t, b, Query{Provider: "azure-us", Model: "house-model"}, anyDay, UnknownModel)
	unpriced(t, b, Query{Provider: "openai", Model: "house-model"}, anyDay, UnknownModel)
	got := priced(t, b, Query{Provider: "my-claude", Model: "claude-opus-4-8"}, anyDay)
	if got.Caching() != CachingMarked {
		t.Errorf("caching %s, of a model of %s", got.Caching(), got.Provider)
	}
}

func TestDiscount(t *testing.T) {
	b := over(t, `
prices:
- provider: openai
  model: "*"
  discount: 0.85
  valid_from: 2026-10-01
- provider: openai
  model: gpt-5.5
  discount: 0.7
  valid_from: 2026-10-01
  tools: {web_search: 0.009}
`, `
prices:
- {provider: openai, model: gpt-5-mini, discount: 0.5, valid_from: 2026-10-15}
`)
	q := func(model string) Query { return Query{Provider: "openai", Model: model} }
	priced(t, b, q("gpt-5.5"), anyDay, "input", "3.5", "cache_read", "0.35", "output", "21", string(token.Tool("web_search")), "9000")
	priced(t, b, q("gpt-5.5"), "2026-09-30", "input", "5")
	priced(t, b, q("gpt-5.4"), anyDay, "input", "2.125", "output", "12.75")
	priced(t, b, q("gpt-5.6"), anyDay, "input", "3.4") // by its alias, off the promotion that holds then
	// Off what the first overlay made of it.
	priced(t, b, q("gpt-5-mini"), "2026-10-14", "input", "0.2125")
	priced(t, b, q("gpt-5-mini"), anyDay, "input", "0.10625", "cache_read", "0.010625")
	priced(t, b, Query{Provider: "openai", Model: "gpt-5.5", InputTokens: 272_001}, anyDay, "input", "7", "output", "31.5")
	priced(t, b, Query{Provider: "openai", Model: "gpt-5.5", ServiceTier: "batch"}, anyDay, "input", "1.75")
	priced(t, b, Query{Provider: "openai", Model: "gpt-5.5", Regional: true}, anyDay, "input", "3.85")
	for _, row := range b.Rows("openai") {
		if row.Model == "gpt-5.5" && row.Discount == "0.7" && (row.Origin.String() != "prices1.yaml:7" || row.Source != "0.7 of list (embedded)") {
			t.Errorf("%s: %s", row.Origin, row.Source)
		}
	}
	if got := scaled(Rates{PerToken: map[token.Kind]Rate{token.Input: 3, token.Output: unstated}}, &entry{discount: 500_000}).PerToken; got[token.Input] != 2 || got[token.Output] != unstated {
		t.Errorf("half of 3 is %d, rounded half up; half of what isn't known is %d", got[token.Input], got[token.Output])
	}
}

// A discount with a peak of its own below it follows the hours below.
func TestDiscountFollowsHours(t *testing.T) {
	b := over(t, "prices:\n- {provider: deepseek, model: deepseek-v4-pro, discount: 0.5}\n")
	q := Query{Provider: "deepseek", Model: "deepseek-v4-pro"}
	priced(t, b, q, "2026-10-20T00:59:59Z", "input", "0.33")
	priced(t, b, q, "2026-10-20T01:00:00Z", "input", "0.66")
	priced(t, b, q, "2026-08-16T15:59:59Z", "input", "0.2175")
}

func TestOverlayVersion(t *testing.T) {
	a, b := over(t, negotiated), over(t, negotiated)
	if a.Version() != b.Version() || !strings.HasPrefix(a.Version(), Embedded().Version()+"+") || len(a.Version()) != 28 {
		t.Errorf("versions %s and %s", a.Version(), b.Version())
	}
	two := "prices:\n- {provider: openai, model: gpt-5.4, discount: 0.5}\n"
	if ab, ba := over(t, negotiated, two), over(t, two, negotiated); ab.Version() == ba.Version() || ab.Version() == a.Version() {
		t.Errorf("versions %s, %s", ab.Version(), ba.Version())
	}
}

// Each file is refused with these lines, and none else.
func TestOverlayRefuses(t *testing.T) {
	line := func(text string) string {
		return "prices:\n- provider: openai\n  model: gpt-5.5\n  # line 4\n  # line 5\n  # line 6\n  " + text + "\n"
	}
	ok := "rates: {input: 1, output: 2}"
	for name, tt := range map[string]struct{ text, want string }{
		"a rate that is a word":  {line("rates: {input: four, output: 24}"), `p.yaml:7: rates.input: "four": want dollars per million tokens with at most 6 decimals, such as 2.50`},
		"a negative rate":        {line("rates: {input: -4, output: 24}"), `p.yaml:7: rates.input: "-4": want dollars per million`},
		"too many decimals":      {line("rates: {input: 0.0000001, output: 24}"), `p.yaml:7: rates.input: "0.0000001": want dollars`},
		"an exponent":            {line("rates: {input: 1e-6, output: 24}"), `p.yaml:7: rates.input: "1e-6": want dollars`},
		"a rate that isn't one":  {line("rates: {input: [4], output: 24}"), `p.yaml:7: rates.input is not a plain value: want dollars`},
		"a kind":                 {line("rates: {input: 4, cached: 1, output: 24}"), `p.yaml:7: rates: unknown kind "cached": want one of input, cache_read,`},
		"no output":              {line("rates: {input: 4}"), "p.yaml:2: gpt-5.5 has no rates: want rates with input and output at least, or a discount"},
		"a tier without output":  {line(ok + "\n  batch: {input: 1}"), "p.yaml:8: batch: want input and output at least"},
		"rates that are none":    {line("rates: 4"), "p.yaml:7: rates: want rates in dollars per million tokens"},
		"a day":                  {line("valid_from: 2026-13-01\n  " + ok), `p.yaml:7: valid_from: "2026-13-01" is no day: want a day, a month or a time, such as 2026-10-01`},
		"a reversed time":        {line("valid_to: 2026-10-01\n  valid_from: 2026-11-01\n  " + ok), "p.yaml:7: valid_to, 2026-10-01, is not after valid_from, 2026-11-01: want a later day, or none"},
		"no time at all":         {line("valid_to: 2026-10-01\n  valid_from: 2026-10-01\n  " + ok), "p.yaml:7: valid_to, 2026-10-01, is not after"},
		"a status":               {line("status: cheap\n  " + ok), `p.yaml:7: status: "cheap": want list, promo, negotiated or placeholder`},
		"hours":                  {line("time_of_day: nights\n  " + ok), `p.yaml:7: time_of_day: "nights" is not understood: want hours in UTC`},
		"a tool":                 {line("tools: {web_search: cheap}\n  " + ok), `p.yaml:7: tools.web_search: "cheap": want dollars per use, such as web_search: 0.01`},
		"a discount above one":   {line("discount: 1.2"), `p.yaml:7: discount: "1.2": want what is paid of the price below`},
		"a discount of nothing":  {line("discount: 0"), `p.yaml:7: discount: "0": want what is paid`},
		"both":                   {line("discount: 0.5\n  " + ok), "p.yaml:8: the item has a discount and rates: want one of them"},
		"an uplift":              {line("regional_uplift: 0.9\n  " + ok), "p.yaml:7: regional_uplift: \"0.9\" is no factor"},
		"a long tier, no above":  {line("long: {input: 2, output: 3}\n  " + ok), "p.yaml:7: long: want above"},
		"half a long tier":       {line("long: {above: 9, input: 4}\n  " + ok), "p.yaml:7: long: want input and output at least"},
		"above nothing":          {line("long: {above: -9, input: 2, output: 3}\n  " + ok), `p.yaml:7: long.above: "-9": want input tokens`},
		"a misspelt key":         {line("vaild_from: 2026-10-01\n  " + ok), `p.yaml:7: unknown key "vaild_from": want one of provider, model,`},
		"the same key twice":     {line(ok + "\n  " + ok), `p.yaml:8: mapping key "rates" already defined at [7:3]`},
		"no value":               {line("valid_from:\n  " + ok), "p.yaml:7: valid_from has no value: want a day"},
		"an anchor of YAML":      {line("source: &a x\n  " + ok), "p.yaml:7: source is not a plain value"},
		"no YAML":                {line("rates: {input: 1"), "p.yaml:7: "},
		"all models, with rates": {"prices:\n- provider: openai\n  model: \"*\"\n  " + ok, `p.yaml:2: all models ("*") can have a discount, not rates`},
		"no model":               {"prices:\n- provider: openai\n  " + ok, "p.yaml:2: the item has no provider or no model: want both"},
		"no list":                {"prices: {openai: 1}", "p.yaml:1: want prices: and a list"},
		"another top":            {"price:\n- 1", `p.yaml:1: unknown key "price": want prices: and a list`},
		"a text":                 {"hello", "p.yaml:1: want prices: and a list"},
		"an item that is none":   {"prices:\n- 5", "p.yaml:2: want an item with provider, model"},
		"an empty item":          {"prices:\n- {}", "p.yaml:2: the item is empty"},
		"nothing":                {"", "p.yaml: it is empty: want prices:"},
		"only a comment":         {"# later\n", "p.yaml: it is empty: want prices:"},
		"two documents":          {"prices: []\n---\nprices: []\n", "p.yaml:3: a second document begins here: want one"},
		"an overlap": {"prices:\n- provider: openai\n  model: m\n  rates: {input: 1, output: 2}\n  valid_to: 2026-10-02\n- provider: openai\n  model: m\n" +
			"  rates: {input: 1, output: 2}\n", "p.yaml:6: m of openai has a price for the same time in line 2: want a valid_to in one of them"},
		"of an alias":          {"prices:\n- provider: openai\n  model: gpt-5.6\n  " + ok, "p.yaml:2: model: gpt-5.6 is another id of gpt-5.6-sol: want gpt-5.6-sol"},
		"an alias that is one": {"prices:\n- provider: openai\n  model: mine\n  aliases: [gpt-5.5]\n  " + ok, "p.yaml:2: gpt-5.5 is an id of gpt-5.5 and of mine"},
		"off nothing":          {"prices:\n- {provider: openai, model: gpt-99, discount: 0.5}", `p.yaml:2: discount: the book below has no model "gpt-99" of openai`},
		"off a time before":    {"prices:\n- {provider: openai, model: gpt-5.5, discount: 0.5, valid_to: 2020-01-01}", "p.yaml:2: discount: the book below has no price of gpt-5.5 in that time"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := ParseOverlay("p.yaml", []byte(tt.text))
			if err == nil {
				_, err = Embedded().Over(o)
			}
			var refused *OverlayError
			if !errors.As(err, &refused) || len(refused.Problems) != 1 || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("%v\nwant %s", err, tt.want)
			}
		})
	}
}

// Everything that is wrong is named at once, but of a wholly wrong file not all.
func TestOverlayNamesAll(t *testing.T) {
	text := "prices:\n" + strings.Repeat("- {provider: p, model: m, rates: {input: x, output: y}}\n", 100)
	_, err := ParseOverlay("p.yaml", []byte(text))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != maxProblems+1 || !strings.HasPrefix(lines[2], "p.yaml:3: rates.input") || lines[maxProblems] != "p.yaml: and 150 more problems" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestOverlayOfTheLargestSize(t *testing.T) {
	if _, err := ParseOverlay("p.yaml", make([]byte, MaxOverlay+1)); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("too large: %v", err)
	}
	many := "prices:\n" + strings.Repeat("- {provider: p, model: m, rates: {input: 1, output: 2}}\n", 5_000)
	if _, err := ParseOverlay("p.yaml", []byte(many)); err == nil || !strings.Contains(err.Error(), "p.yaml: and 950 more problems") {
		t.Errorf("many of one model: %v", err)
	}
	var text strings.Builder
	text.WriteString("prices:\n")
	const n = 5_000
	for i := range n {
		fmt.Fprintf(&text, "- {provider: p%d, model: m%d, rates: {input: %d, output: 2}}\n", i%7, i, i)
	}
	b := over(t, text.String())
	priced(t, b, Query{Provider: fmt.Sprintf("p%d", (n-1)%7), Model: fmt.Sprintf("m%d", n-1)}, anyDay, "input", fmt.Sprint(n-1))
}

// Whatever the file is, it is read or refused with its line; what is read holds
// together.
func FuzzOverlay(f *testing.F) {
	f.Add([]byte(negotiated))
	f.Add([]byte("prices:\n- {provider: openai, model: \"*\", discount: 0.85, valid_from: 2026-10}\n"))
	f.Add([]byte("prices:\n- {provider: p, model: m, aliases: [a, b], rates: {input: 1, output: 2}, time_of_day: peak 01:00-04:00 UTC Mon-Fri, status: promo}\n"))
	f.Add([]byte("prices:\n- &a {provider: p}\n- *a\n- ? [x]\n  : 5\n--- |\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ParseOverlay("p.yaml", data)
		var b *Book
		if err == nil {
			b, err = Embedded().Over(o)
		}
		if err != nil {
			refused := (*OverlayError)(nil)
			if !errors.As(err, &refused) || len(refused.Problems) == 0 || !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Fatalf("%v", err)
			}
			return
		}
		for _, row := range b.Rows("") {
			if row.Origin.File == "" {
				continue
			}
			if row.Origin.Line < 1 || !row.Standard.Known() {
				t.Fatalf("%+v", row)
			}
			rates, reason := b.Rates(Query{Provider: row.Provider, Model: row.Model, At: at(t, anyDay)})
			if reason == "" {
				if _, err := rates.Cost(token.Usage{Input: token.Known(10), Output: token.Known(10)}); err != nil && !errors.Is(err, ErrOverflow) {
					t.Fatalf("%v", err)
				}
			}
		}
	})
}
