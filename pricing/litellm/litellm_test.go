package litellm_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
	"github.com/recoup-gateway/recoup/pricing/litellm"
)

var options = litellm.Options{Book: pricing.Embedded(), KnownFrom: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}

// convert makes an overlay of a table, and lays it over the embedded book.
func convert(t *testing.T, table string) (*pricing.Book, *litellm.Import) {
	t.Helper()
	got, err := litellm.Convert(strings.NewReader(table), options)
	if err != nil {
		t.Fatal(err)
	}
	o, err := pricing.ParseOverlay("litellm.yaml", got.YAML(options))
	if err != nil {
		t.Fatalf("%v\n%s", err, got.YAML(options))
	}
	b, err := pricing.Embedded().Over(o)
	if err != nil {
		t.Fatalf("%v\n%s", err, got.YAML(options))
	}
	return b, got
}

// left wants these reasons, and no others, each with its models.
func left(t *testing.T, got *litellm.Import, want map[string]string) {
	t.Helper()
	for _, l := range got.Left {
		models := strings.Join(l.Models, " ")
		i := slices.IndexFunc(slices.Collect(mapsKeys(want)), func(why string) bool { return strings.Contains(l.Why, why) && want[why] == models })
		if i < 0 {
			t.Errorf("left: %s: %s", l.Why, models)
		}
	}
	if len(got.Left) != len(want) {
		t.Errorf("%d reasons, want %d", len(got.Left), len(want))
	}
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

const table = `{
  "sample_spec": {"mode": "one of many", "input_cost_per_token": 0.0},
  "gpt-99": {
    "litellm_provider": "openai", "mode": "responses", "max_input_tokens": 1000000, "supports_vision": true,
    "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
    "cache_creation_input_token_cost": 0.0000015625, "cache_creation_input_token_cost_above_1hr": 2.5e-6, "output_cost_per_reasoning_token": 1.1e-05,
    "input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": 8e-05,
    "input_cost_per_token_above_272k_tokens": 2.5e-06, "output_cost_per_token_above_272k_tokens": 1.5e-05, "cache_read_input_token_cost_above_272k_tokens": 2.5e-07,
    "input_cost_per_token_batches": 6.25e-07, "output_cost_per_token_batches": 5e-06, "input_cost_per_token_flex": 6.25e-07, "output_cost_per_token_flex": 5e-06,
    "input_cost_per_token_priority": 2.5e-06, "output_cost_per_token_priority": 2e-05, "cache_read_input_token_cost_priority": 2.5e-07,
    "input_cost_per_token_above_272k_tokens_priority": 5e-06, "input_cost_per_image": 0.01, "input_cost_per_second": null,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01, "search_context_size_high": 0.01},
    "regional_processing_uplift_multiplier_eu": 1.1, "regional_processing_uplift_multiplier_us": 1.1
  },
  "deepseek/deepseek-x": {"litellm_provider": "deepseek", "mode": "chat", "input_cost_per_token": 1.0000000000000002e-07, "output_cost_per_token": 2e-07, "input_cost_per_token_cache_hit": 1e-08,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.02}}
}`

func TestConvert(t *testing.T) {
	b, got := convert(t, table)
	if got.Models() != 2 {
		t.Fatalf("%d models", got.Models())
	}
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		provider, model, tier string
		input                 int64
		want                  map[token.Kind]string
	}{
		{"openai", "gpt-99", "", 1, map[token.Kind]string{
			token.Input: "1.25", token.Output: "10", token.CacheRead: "0.125", token.CacheWrite5m: "1.5625", token.CacheWrite1h: "2.5", token.Reasoning: "11",
			token.AudioIn: "40", token.AudioOut: "80", token.Tool("web_search"): "10000"}},
		{"openai", "gpt-99", "", 272_001, map[token.Kind]string{token.Input: "2.5", token.Output: "15", token.CacheRead: "0.25"}},
		{"openai", "gpt-99", "batch", 1, map[token.Kind]string{token.Input: "0.625", token.Output: "5"}},
		{"openai", "gpt-99", "flex", 1, map[token.Kind]string{token.Input: "0.625", token.Output: "5"}},
		{"openai", "gpt-99", "priority", 1, map[token.Kind]string{token.Input: "2.5", token.Output: "20", token.CacheRead: "0.25"}},
		{"deepseek", "deepseek-x", "", 1, map[token.Kind]string{token.Input: "0.1", token.Output: "0.2", token.CacheRead: "0.01"}},
	} {
		rates, reason := b.Rates(pricing.Query{Provider: tt.provider, Model: tt.model, At: at, ServiceTier: tt.tier, InputTokens: tt.input})
		if reason != "" || rates.Status != pricing.List {
			t.Errorf("%s %s: %q, %s", tt.model, tt.tier, reason, rates.Status)
		}
		for kind, want := range tt.want {
			if rate, ok := rates.Of(kind); !ok || rate.String() != want {
				t.Errorf("%s %s: %s is %s, want %s", tt.model, tt.tier, kind, rate, want)
			}
		}
	}
	if rates, _ := b.Rates(pricing.Query{Provider: "openai", Model: "gpt-99", At: at, Regional: true}); rates.PerToken[token.Input].String() != "1.375" {
		t.Errorf("with data residency: %v", rates.PerToken)
	}
	left(t, got, map[string]string{
		"not taken: input_cost_per_image":                            "gpt-99",
		"not taken: input_cost_per_token_above_272k_tokens_priority": "gpt-99",
		"search_context_cost_per_query that depends on the size":     "deepseek/deepseek-x",
	})
}

// What would be priced wrongly is left out, with the reason.
func TestLeftOut(t *testing.T) {
	model := func(rest string) string {
		return `{"m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06` + rest + `}}`
	}
	for table, want := range map[string]string{
		model(`, "tiered_pricing": [{"range": [0, 1]}]`):                                                                        "without tiered_pricing",
		model(`, "off_peak_pricing": {"hours_utc": "x"}`):                                                                       "without off_peak_pricing",
		model(`, "input_cost_per_token_above_128k_tokens": 2e-6, "input_cost_per_token_above_200k_tokens": 3e-6`):               "more than one length of context",
		model(`, "cache_read_input_token_cost": 1.23456789e-07`):                                                                "cache_read_input_token_cost is no number of dollars that can be exact",
		model(`, "cache_read_input_token_cost": -1e-07`):                                                                        "is no number of dollars",
		model(`, "cache_read_input_token_cost": "cheap"`):                                                                       "is no number of dollars",
		model(`, "cache_read_input_token_cost": [1]`):                                                                           "is no number of dollars",
		model(`, "cache_read_input_token_cost": 1e-999999999`):                                                                  "is no number of dollars",
		model(`, "cache_read_input_token_cost": 5`):                                                                             "is no number of dollars",
		model(`, "cache_read_input_token_cost": 1e-7, "input_cost_per_token_cache_hit": 2e-7`):                                  "say different things of the same rate",
		`{"m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06}}`:                                  "no rates for both input and output",
		`{"m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0}}`:        "its rates are 0",
		`{"m": {"litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 1e-06, "output_cost_per_token": 0}}`: `mode "embedding" is not drained`,
		`{"m": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}}`:                  `mode "" is not drained`,
		`{"m": 5}`:    "it is no object",
		`{"m": null}`: "it is no object",
		`{"m": "x"}`:  "it is no object",
		`{"a b": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}}`:     "its id is none of a model",
		`{"*": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}}`:       "its id is none of a model",
		`{"gpt-5.6": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}}`: "another id of a model in the book that the table has not",
	} {
		_, got := convert(t, table)
		if got.Models() != 0 || len(got.Left) != 1 || !strings.Contains(got.Left[0].Why, want) {
			t.Errorf("%s: %d models, left %+v, want %s", table, got.Models(), got.Left, want)
		}
	}
	if _, got := convert(t, `{"bedrock/a": {"litellm_provider": "bedrock"}, "b": {"litellm_provider": "bedrock"}, "c": {}}`); len(got.Left) != 1 ||
		strings.Join(got.Left[0].Models, ",") != "bedrock (2), (1)" || !strings.Contains(got.Left[0].Why, "--provider THEIRS=OURS") {
		t.Errorf("%+v", got.Left)
	}
}

// Half a tier is not taken, and beyond a threshold without both rates nothing is guessed.
func TestHalfTiers(t *testing.T) {
	b, got := convert(t, `{"m": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06,
		"input_cost_per_token_above_200k_tokens": 2e-06, "input_cost_per_token_flex": 5e-7}}`)
	for _, q := range []pricing.Query{{InputTokens: 200_001}, {ServiceTier: "flex"}} {
		q.Provider, q.Model, q.At = "openai", "m", time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
		if _, reason := b.Rates(q); reason != pricing.UnpricedTier {
			t.Errorf("%+v: %q", q, reason)
		}
	}
	left(t, got, map[string]string{"tier long without both": "m", "tier flex without both": "m"})
}

// Dated ids of a model are that model, if their prices are.
func TestSnapshots(t *testing.T) {
	entry := func(id, rate string) string {
		return fmt.Sprintf(`%q: {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": %s, "output_cost_per_token": 3e-05}`, id, rate)
	}
	_, got := convert(t, "{"+entry("gpt-5.5", "5e-06")+","+entry("gpt-5.5-2026-04-23", "5e-06")+","+entry("openai/gpt-5.5-2026-05-01", "6e-06")+","+entry("openai/gpt-5.5", "7e-6")+"}")
	if got.Models() != 1 {
		t.Errorf("%d models\n%s", got.Models(), got.YAML(options))
	}
	left(t, got, map[string]string{
		"not needed: it is another id":           "gpt-5.5-2026-04-23",
		"another id of gpt-5.5, which has other": "openai/gpt-5.5-2026-05-01",
		"another member of the table has the":    "openai/gpt-5.5",
	})
}

func TestGarbage(t *testing.T) {
	for _, text := range []string{
		"", "[]", "5", "null", "{", `{"a"`, `{"a":`, `{"a": {}`, `{"a": {"b": }}`, "\x00\xff", `{"a": {}} trailing? no matter`, "prices:\n- 1\n", strings.Repeat("[", 100_000), `{"a": ` + strings.Repeat("[", 20_000),
	} {
		got, err := litellm.Convert(strings.NewReader(text), options)
		if strings.Contains(text, "trailing") {
			if err != nil || got.Models() != 0 {
				t.Errorf("%v", err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), "litellm: ") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if _, err := litellm.Convert(endless{}, options); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("without end: %v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// Whatever the table is, what is made of it can be read, and prices no token below zero.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(table))
	f.Add([]byte(`{"gpt-5.5": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": "1e-6", "output_cost_per_token": 3E-05}}`))
	f.Add([]byte(`{"x\u0000\n: y": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := litellm.Convert(bytes.NewReader(data), options)
		if err != nil {
			return
		}
		text := got.YAML(options)
		o, err := pricing.ParseOverlay("litellm.yaml", text)
		if err == nil {
			_, err = pricing.Embedded().Over(o)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}
