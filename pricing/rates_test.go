package pricing

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/recoup-gateway/recoup/internal/token"
)

func ratesOf(t *testing.T, provider, model, tier string) Rates {
	t.Helper()
	rates, reason := Embedded().Rates(Query{Provider: provider, Model: model, At: at(t, anyDay), ServiceTier: tier})
	if reason != "" {
		t.Fatalf("%s: %s", model, reason)
	}
	return rates
}

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		provider, model, tier string
		kind                  token.Kind
		want                  string // empty: not known
	}{
		{"openai", "gpt-5.5", "", token.CacheRead, "0.5"},
		{"openai", "gpt-5.5", "", token.Reasoning, "30"},
		{"openai", "gpt-5.5", "", token.CacheWrite5m, "5"}, // writes cost nothing more there
		{"openai", "gpt-5.5", "", token.CacheWrite1h, "5"},
		{"openai", "gpt-5.5-pro", "", token.CacheRead, "30"},
		{"openai", "gpt-6.1-sol", "", token.CacheWrite5m, "2.5"},
		{"openai", "gpt-6.1-sol", "", token.CacheWrite1h, ""},
		{"anthropic", "claude-opus-5-5", "", token.CacheWrite1h, "8"},
		{"openai", "gpt-5.5", "", token.AudioIn, ""},
		{"openai", "gpt-5.5", "", token.AudioOut, ""},
		{"openai", "gpt-5.5", "", token.Tool("web_search"), "10000"}, // $0.01 a use
		{"openai", "gpt-5.5", "flex", token.Tool("web_search"), "10000"},
		{"openai", "gpt-4.1", "", token.Tool("web_search"), "25000"},
		{"openai", "gpt-5.5", "", token.Tool("file_search"), ""},
		{"openai", "gpt-5.5", "batch", token.CacheRead, "0.5"}, // the standard one: no more than that
		{"openai", "gpt-4o", "batch", token.CacheRead, "1.25"},
		{"openai", "gpt-5.5", "priority", token.CacheRead, "1.25"},
		{"anthropic", "claude-opus-5-5", "fast", token.CacheRead, ""}, // it has one, nobody says which
		{"anthropic", "claude-opus-4-8", "fast", token.CacheWrite5m, ""},
	} {
		rate, ok := ratesOf(t, tt.provider, tt.model, tt.tier).Of(tt.kind)
		if ok != (tt.want != "") || ok && rate.String() != tt.want {
			t.Errorf("%s %s %s: %v, %v; want %q", tt.model, tt.tier, tt.kind, rate, ok, tt.want)
		}
	}
	if _, ok := (Rates{}).Of(token.Reasoning); ok || (Rates{}).Known() {
		t.Error("no rates know one")
	}
	if rate, ok := (Rates{PerToken: map[token.Kind]Rate{token.Reasoning: 7, token.Output: 2}}).Of(token.Reasoning); rate != 7 || !ok {
		t.Errorf("reasoning with a rate of its own: %v, %v", rate, ok)
	}
}

func TestCaching(t *testing.T) {
	for _, tt := range []struct{ provider, model, tier, want string }{
		{"openai", "gpt-5.5", "", CachingAuto}, {"openai", "gpt-5.5-pro", "", CachingNone}, {"azure", "gpt-5.5", "", CachingAuto},
		{"anthropic", "claude-opus-5", "", CachingMarked}, {"bedrock", "anthropic.claude-opus-5", "", CachingMarked}, {"anthropic", "claude-opus-5-5", "fast", CachingMarked},
		{"deepseek", "deepseek-chat", "", CachingAuto}, {"mistral", "pixtral-large", "", CachingNone},
	} {
		if got := ratesOf(t, tt.provider, tt.model, tt.tier).Caching(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.model, got, tt.want)
		}
	}
	if got := (Rates{}).Caching(); got != CachingNone {
		t.Errorf("no rates: %s", got)
	}
}

// Rates that were stored price what they priced.
func TestRatesJSON(t *testing.T) {
	rates := 0
	for _, row := range Embedded().Rows("") {
		for _, tier := range []Tier{Standard, Long, Batch, Flex, Priority} {
			for _, regional := range []bool{false, true} {
				in := *row.rates(tier, regional)
				if in.Known() {
					rates++
				}
				data, err := json.Marshal(in)
				if err != nil {
					t.Fatal(err)
				}
				var out Rates
				if err := json.Unmarshal(data, &out); err != nil || !reflect.DeepEqual(in, out) {
					t.Fatalf("%s is read as %+v, %v", data, out, err)
				}
			}
		}
	}
	if rates < 200 {
		t.Errorf("only %d", rates)
	}
	data, err := json.Marshal(ratesOf(t, "anthropic", "claude-opus-5-5", "fast"))
	want := `{"version":"` + Embedded().Version() + `","provider":"anthropic","model":"claude-opus-5-5","status":"list","tier":"priority",` +
		`"rates":{"cache_read":"","cache_write_1h":"","cache_write_5m":"","input":"8","output":"40","tool:web_search":"10000"}}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v\nwant %s", data, err, want)
	}
}

// The bills of DESIGN 7.5, and some with all there is.
func TestCost(t *testing.T) {
	k := token.Known
	for _, tt := range []struct {
		name                    string
		provider, model         string
		usage                   token.Usage
		input, output, unpriced string
	}{
		{"1: clean", "openai", "gpt-5.5", token.Usage{Input: k(2000), Output: k(1500)}, "0.01", "0.045", ""},
		{"4: cut at 1,012", "openai", "gpt-5.5", token.Usage{Input: k(2000), Output: k(1012)}, "0.01", "0.03036", ""},
		{"5: cancelled at 530", "openai", "gpt-5.5", token.Usage{Input: k(2000), Output: k(530)}, "0.01", "0.0159", ""},
		{"6: failed at 700", "openai", "gpt-5.5", token.Usage{Input: k(2000), Output: k(700)}, "0.01", "0.021", ""},
		{"7: reasoning and cache", "openai", "gpt-5.5", token.Usage{Input: k(2000), CacheRead: k(8000), Output: k(3412), Reasoning: k(3000)}, "0.014", "0.10236", ""},
		{"8: mini", "openai", "gpt-5-mini", token.Usage{Input: k(1200), Output: k(2500), Reasoning: k(1900)}, "0.0003", "0.005", ""},
		{"10: of a placeholder", "openai", "gpt-5.5-mini", token.Usage{Output: k(600)}, "0", "0.0012", ""},
		{"a retry's input", "openai", "gpt-5.5", token.Usage{Input: k(80), CacheRead: k(1920)}, "0.00136", "0", ""},
		{"Anthropic", "anthropic", "claude-opus-5-5", token.Usage{Input: k(100), CacheRead: k(1000), CacheWrite5m: k(200), CacheWrite1h: k(300), Output: k(50)}, "0.004", "0.001", ""},
		{"tools and audio", "openai", "gpt-5.5", token.Usage{Input: k(100), AudioIn: k(40), Output: k(50), AudioOut: k(20), Tools: map[string]int64{"web_search": 2, "x": 3, "a": 0}}, "0.0203", "0.0009", "audio_in audio_out tool:x"},
		{"nothing known", "openai", "gpt-5.5", token.Usage{Reasoning: k(5), AudioIn: k(5), AudioOut: k(5)}, "0", "0", ""},
		{"zero", "openai", "gpt-5.5", token.Usage{Input: k(0), Output: k(0)}, "0", "0", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := ratesOf(t, tt.provider, tt.model, "").Cost(tt.usage)
			if err != nil {
				t.Fatal(err)
			}
			unpriced := ""
			for _, kind := range b.Unpriced {
				unpriced += " " + string(kind)
			}
			if b.Input.String() != tt.input || b.Output.String() != tt.output || unpriced != "" && unpriced[1:] != tt.unpriced || unpriced == "" && tt.unpriced != "" {
				t.Errorf("%v and %v, unpriced%s; want %s and %s, unpriced %s", b.Input, b.Output, unpriced, tt.input, tt.output, tt.unpriced)
			}
			sums := map[bool]Picodollars{}
			for _, line := range b.Lines {
				sums[line.Kind.IsOutput()] += line.Amount
				if amount, err := line.Rate.Times(line.Quantity); err != nil || amount != line.Amount {
					t.Errorf("%+v: %v, %v", line, amount, err)
				}
			}
			if total, err := b.Total(); sums[false] != b.Input || sums[true] != b.Output || err != nil || total != b.Input+b.Output {
				t.Errorf("the lines sum up to %v, the total is %v, %v", sums, total, err)
			}
		})
	}
}

func TestCostRefuses(t *testing.T) {
	rates := ratesOf(t, "openai", "gpt-5.5", "")
	for name, u := range map[string]token.Usage{
		"negative":                   {Input: token.Known(-1)},
		"more reasoning than output": {Output: token.Known(5), Reasoning: token.Known(6)},
		"more audio than input":      {Input: token.Known(5), AudioIn: token.Known(6)},
		"negative tools":             {Tools: map[string]int64{"a": -1}},
	} {
		if b, err := rates.Cost(u); err == nil {
			t.Errorf("%s: %+v", name, b)
		}
	}
	huge := token.Known(math.MaxInt64 / 30_000_000)
	for name, u := range map[string]token.Usage{
		"a line": {Output: token.Known(math.MaxInt64)},
		"a sum":  {Input: token.Known(math.MaxInt64 / 5_000_000), CacheRead: huge},
	} {
		if b, err := rates.Cost(u); !errors.Is(err, ErrOverflow) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	b, err := rates.Cost(token.Usage{Input: token.Known(math.MaxInt64 / 5_000_000), Output: huge})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Total(); !errors.Is(err, ErrOverflow) {
		t.Errorf("a total: %v", err)
	}
}

// Pricing leaves the book as it is.
func TestCostChangesNothing(t *testing.T) {
	rates := ratesOf(t, "openai", "gpt-5.5", "")
	before := maps.Clone(rates.PerToken)
	if _, err := rates.Cost(token.Usage{Input: token.Known(1), CacheWrite1h: token.Known(1), Output: token.Known(1)}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, rates.PerToken) {
		t.Errorf("%v became %v", before, rates.PerToken)
	}
}

// Each token of a usage is on one line, whatever its kind: none is charged twice,
// once as cached and once as fresh, and none is left out.
func TestCostChargesEachTokenOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 42))
	for range 20_000 {
		rates := Rates{PerToken: map[token.Kind]Rate{}}
		for _, kind := range kinds {
			if kind == token.Input || kind == token.Output || r.IntN(2) == 0 {
				rates.PerToken[kind] = Rate(r.Int64N(1_000_000_000))
			}
		}
		some := func(most int64) int64 { return r.Int64N(most + 1) }
		u := token.Usage{
			Input: token.Known(some(1 << 20)), CacheRead: token.Known(some(1 << 20)), CacheWrite5m: token.Known(some(1 << 16)),
			CacheWrite1h: token.Known(some(1 << 16)), Output: token.Known(some(1 << 20)),
		}
		u.AudioIn = token.Known(some(u.Input.Or(0)))
		u.Reasoning = token.Known(some(u.Output.Or(0)))
		u.AudioOut = token.Known(some(u.Output.Or(0) - u.Reasoning.Or(0)))
		bill, err := rates.Cost(u)
		if err != nil {
			t.Fatal(err)
		}
		var input, output int64
		var sum Picodollars
		lines := map[token.Kind]bool{}
		for _, l := range bill.Lines {
			if rate, _ := rates.Of(l.Kind); lines[l.Kind] || l.Rate != rate || l.Amount != Picodollars(l.Rate)*Picodollars(l.Quantity) {
				t.Fatalf("%+v of %+v", l, bill)
			}
			lines[l.Kind] = true
			sum += l.Amount
			if l.Kind.IsOutput() {
				output += l.Quantity
			} else {
				input += l.Quantity
			}
		}
		if len(bill.Unpriced) > 0 {
			continue // what has no rate has no line
		}
		if total, err := bill.Total(); err != nil || total != sum || input != u.InputTotal().Or(0) || output != u.Output.Or(0) {
			t.Fatalf("%+v: %d input, %d output, %v (%v) for %+v", bill, input, output, total, err, u)
		}
	}
}
