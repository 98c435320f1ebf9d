package pricing

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	t.Fatalf("%q is no time", text)
	return time.Time{}
}

const anyDay = "2026-10-20" // a Tuesday, off-peak at midnight

// Every row of the file can be had, with the rates that it states.
func TestEmbedded(t *testing.T) {
	b := Embedded()
	records, err := csv.NewReader(strings.NewReader(embedded)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := b.Rows("")
	if len(rows) != len(records)-1 || len(rows) < 100 {
		t.Fatalf("%d rows of %d lines", len(rows), len(records))
	}
	if !slices.Equal(records[0], columns) {
		t.Errorf("columns %q, documented are %q", records[0], columns)
	}
	for i, row := range rows {
		text := func(column string) string { return records[i+1][slices.Index(records[0], column)] }
		for tier, prefix := range map[Tier]string{Standard: "", Long: "long_", Batch: "batch_", Flex: "flex_", Priority: "priority_"} {
			for kind, column := range map[token.Kind]string{token.Input: "input", token.Output: "output"} {
				rate, ok := row.rates(tier, false).Of(kind)
				if want := text(prefix + column); ok != (want != "") || ok && rate.String() != want {
					t.Errorf("%s %s: %s is %v, want %q", row.Model, tier, prefix+column, rate, want)
				}
			}
		}
		if _, priced := row.Standard.Of(token.Input); !priced && row.Model != "gpt-4o-2024-05-13" {
			t.Errorf("%s has no rates", row.Model)
		}
		if id, ok := b.Resolve(row.Provider, row.Model); !ok || id != row.Model {
			t.Errorf("%s is %q", row.Model, id)
		}
		if row.KnownFrom.IsZero() {
			t.Errorf("%s: since when is it known?", row.Model)
		}
	}
	if v := b.Version(); !strings.HasPrefix(v, "2026-11-23-") || len(v) != 19 {
		t.Errorf("version %q", v)
	}
}

// Two rows of a model never hold at the same time with nothing to tell them apart.
func TestEmbeddedIsUnambiguous(t *testing.T) {
	rows := Embedded().Rows("")
	for i, a := range rows {
		for _, b := range rows[:i] {
			if a.Provider != b.Provider || a.Model != b.Model || precedence(&a, &b) != 0 {
				continue
			}
			apart := !a.To.IsZero() && !a.To.After(b.From) || !b.To.IsZero() && !b.To.After(a.From)
			if !apart {
				t.Errorf("two rows of %s from %v", a.Model, a.From)
			}
		}
	}
}

func TestRates(t *testing.T) {
	for _, tt := range []struct {
		name          string
		query         Query
		at            string
		tier          Tier
		input, output string
		reason        Reason
	}{
		{"plain", Query{Provider: "openai", Model: "gpt-5.5"}, anyDay, Standard, "5", "30", ""},
		{"at the threshold", Query{Provider: "openai", Model: "gpt-5.5", InputTokens: 272_000}, anyDay, Standard, "5", "30", ""},
		{"beyond it, all of it", Query{Provider: "openai", Model: "gpt-5.5", InputTokens: 272_001}, anyDay, Long, "10", "45", ""},
		{"a small model has none", Query{Provider: "openai", Model: "gpt-5-mini", InputTokens: 399_000}, anyDay, Standard, "0.25", "2", ""},
		{"a long tier without figures", Query{Provider: "openai", Model: "gpt-6-sol", InputTokens: 272_001}, anyDay, "", "", "", UnpricedTier},
		{"default tier", Query{Provider: "openai", Model: "gpt-5.5", ServiceTier: "default"}, anyDay, Standard, "5", "30", ""},
		{"batch", Query{Provider: "openai", Model: "gpt-5.5", ServiceTier: "batch"}, anyDay, Batch, "2.5", "15", ""},
		{"flex", Query{Provider: "openai", Model: "gpt-5.5", ServiceTier: "flex"}, anyDay, Flex, "2.5", "15", ""},
		{"priority", Query{Provider: "openai", Model: "gpt-5.5", ServiceTier: "Priority"}, anyDay, Priority, "12.5", "75", ""},
		{"priority without rates", Query{Provider: "openai", Model: "gpt-5.5-pro", ServiceTier: "priority"}, anyDay, "", "", "", UnpricedTier},
		{"flex and long", Query{Provider: "openai", Model: "gpt-5.5", ServiceTier: "flex", InputTokens: 300_000}, anyDay, "", "", "", UnpricedTier},
		{"a tier nobody knows", Query{Provider: "openai", Model: "gpt-5.5", ServiceTier: "scale"}, anyDay, "", "", "", UnpricedTier},
		{"Anthropic's fast mode", Query{Provider: "anthropic", Model: "claude-opus-4-8", ServiceTier: "fast"}, anyDay, Priority, "10", "50", ""},
		{"Anthropic's priority", Query{Provider: "anthropic", Model: "claude-opus-4-8", ServiceTier: "priority"}, anyDay, "", "", "", UnpricedTier},
		{"a region", Query{Provider: "openai", Model: "gpt-5.5", Regional: true}, anyDay, Standard, "5.5", "33", ""},
		{"a region without figures", Query{Provider: "openai", Model: "gpt-5", Regional: true}, anyDay, "", "", "", UnpricedTier},
		{"Haiku's threshold", Query{Provider: "anthropic", Model: "claude-haiku-5-5", InputTokens: 100_001}, anyDay, Long, "0.5", "2.5", ""},

		{"o3 before its cut", Query{Provider: "openai", Model: "o3"}, "2025-06-09T23:59:59Z", Standard, "10", "40", ""},
		{"o3 since", Query{Provider: "openai", Model: "o3"}, "2025-06-10", Standard, "2", "8", ""},
		{"terra before", Query{Provider: "openai", Model: "gpt-5.6-terra"}, "2026-07-29T23:59:59Z", Standard, "2.5", "15", ""},
		{"terra since", Query{Provider: "openai", Model: "gpt-5.6-terra"}, "2026-07-30", Standard, "2", "12", ""},
		{"terra, a time elsewhere", Query{Provider: "openai", Model: "gpt-5.6-terra"}, "2026-07-30T01:00:00+02:00", Standard, "2.5", "15", ""},
		{"before there was a price", Query{Provider: "openai", Model: "gpt-5.5"}, "2026-04-22", "", "", "", NoRate},
		{"a model without rates", Query{Provider: "openai", Model: "gpt-4o-2024-05-13"}, anyDay, "", "", "", NoRate},
		{"a placeholder", Query{Provider: "openai", Model: "gpt-5.5-mini"}, anyDay, Standard, "0.5", "2", ""},

		{"the promotion's end", Query{Provider: "deepseek", Model: "deepseek-v4-pro"}, "2026-08-16T15:59:59Z", Standard, "0.435", "0.87", ""},
		{"off-peak", Query{Provider: "deepseek", Model: "deepseek-v4-pro"}, "2026-10-20T00:59:59Z", Standard, "0.66", "1.98", ""},
		{"peak", Query{Provider: "deepseek", Model: "deepseek-v4-pro"}, "2026-10-20T01:00:00Z", Standard, "1.32", "3.96", ""},
		{"peak's end", Query{Provider: "deepseek", Model: "deepseek-v4-pro"}, "2026-10-20T04:00:00Z", Standard, "0.66", "1.98", ""},
		{"the second peak", Query{Provider: "deepseek", Model: "deepseek-v4-pro"}, "2026-10-20T11:59:59+02:00", Standard, "1.32", "3.96", ""},
		{"no peak on Sundays", Query{Provider: "deepseek", Model: "deepseek-v4-pro"}, "2026-10-25T02:00:00Z", Standard, "0.66", "1.98", ""},
		{"a window", Query{Provider: "deepseek", Model: "deepseek-chat"}, "2026-10-25T00:30:00Z", Standard, "0.27", "1.1", ""},
		{"outside of the window", Query{Provider: "deepseek", Model: "deepseek-chat"}, "2026-10-25T16:30:00Z", Standard, "0.135", "0.55", ""},

		{"unknown", Query{Provider: "openai", Model: "gpt-7"}, anyDay, "", "", "", UnknownModel},
		{"of another provider", Query{Provider: "openai", Model: "claude-opus-5"}, anyDay, "", "", "", UnknownModel},
		{"nothing", Query{}, anyDay, "", "", "", UnknownModel},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.query.At = at(t, tt.at)
			got, reason := Embedded().Rates(tt.query)
			if reason != tt.reason || got.Known() != (reason == "") || got.Version != Embedded().Version() {
				t.Fatalf("reason %q: %+v; want %q", reason, got, tt.reason)
			}
			if reason != "" {
				if (got.Model != "") != (reason != UnknownModel) || len(got.PerToken) != 0 {
					t.Errorf("%q, but %+v", reason, got)
				}
				return
			}
			input, _ := got.Of(token.Input)
			output, _ := got.Of(token.Output)
			if input.String() != tt.input || output.String() != tt.output || got.Tier != tt.tier || got.Regional != tt.query.Regional {
				t.Errorf("%v and %v, %s, regional %v; want %s and %s, %s", input, output, got.Tier, got.Regional, tt.input, tt.output, tt.tier)
			}
		})
	}
}

// What a book learnt later doesn't change what was known.
func TestKnownAt(t *testing.T) {
	b := parse(t, `provider,model,input,output,effective_from,source_date,time_of_day
p,m,1,10,,2026-01-01,
p,m,2,20,2026-03-01,2026-02-01,
p,m,3,30,2026-03-01,2026-04,
p,m,4,40,,2026-05-01,"peak 01:00-02:00 UTC"`)
	for _, tt := range []struct{ at, known, want string }{
		{"2026-02-15", "", "1"},
		{"2026-03-15", "", "3"},
		{"2026-03-15", "2026-03-15", "2"},
		{"2026-03-15", "2026-03-31T23:59:59Z", "2"},
		{"2026-03-15", "2026-04-01", "3"},
		{"2026-03-15", "2026-01-15", "1"},
		{"2026-03-15", "2025-12-31", ""},
		{"2026-03-15T01:00:00Z", "", "4"},
		{"2026-03-15T01:00:00Z", "2026-04-30", "3"},
	} {
		q := Query{Provider: "p", Model: "m", At: at(t, tt.at)}
		if tt.known != "" {
			q.KnownAt = at(t, tt.known)
		}
		rates, reason := b.Rates(q)
		if input, ok := rates.Of(token.Input); ok != (tt.want != "") || ok && input.String() != tt.want || !ok && reason != NoRate {
			t.Errorf("at %s, as known at %s: %v, %q; want %q", tt.at, tt.known, input, reason, tt.want)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, tt := range []struct{ provider, model, want string }{
		{"openai", "gpt-5.5", "gpt-5.5"},
		{"openai", "gpt-5.5-2026-04-23", "gpt-5.5"},
		{"openai", "openai/gpt-5.5", "gpt-5.5"},
		{"openai", "gpt-5.6", "gpt-5.6-sol"},
		{"openai", "gpt-5.5-mini", "gpt-5.5-mini"},
		{"openai", "gpt-5.5-mini-2026-04-23", "gpt-5.5-mini"},
		{"openai", "gpt-5.5-nano", ""},
		{"openai", "gpt-5.5-2026-13-23", ""},
		{"openai", "gpt-5.5-20260423x", ""},
		{"openai", "gpt-5.5-0423", ""},
		{"openai", "gpt-5.", ""},
		{"openai", "gpt-4", ""},
		{"openai", "ft:gpt-4o:acme::id", ""},
		{"openai", "acme/gpt-5.5", ""},
		{"openai", "gpt-4o-2024-08-06", "gpt-4o"},
		{"openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"},
		{"openai", "gpt-chat-latest", "gpt-chat-latest"},
		{"openai", "", ""},
		{"openai", "-2026-04-23", ""},
		{"openai", "openai/", ""},
		{"azure", "gpt-5.5", "gpt-5.5"},
		{"my-openai", "gpt-5-mini-2025-08-07", "gpt-5-mini"},
		{"anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"},
		{"anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4-0"},
		{"anthropic", "claude-opus-5-5-latest", "claude-opus-5-5"},
		{"vertex", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"},
		{"bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"},
		{"bedrock", "anthropic.claude-opus-4-6-v1", "claude-opus-4-6"},
		{"bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"},
		{"bedrock", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"},
		{"bedrock", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"},
		{"bedrock", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/claude-haiku-4-5", ""},
		{"bedrock", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", ""},
		{"bedrock", "us.amazon.nova-2-lite-v1:0", ""},
		{"openrouter", "openrouter/anthropic/claude-opus-5", "claude-opus-5"},
		{"openrouter", "anthropic/claude-opus-5:beta", ""},
		{"anthropic", "claude-opus-5-5-mini", ""},
		{"gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"},
		{"google", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"},
		{"google", "gemini-2.5-flash-preview-09-2025", ""},
		{"groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b"},
		{"groq", "groq/openai/gpt-oss-120b", "openai/gpt-oss-120b"},
		{"fireworks", "openai/gpt-oss-120b", ""}, // what Groq asks for it is no guide
		{"xai", "grok-4-0709", "grok-4-0709"},
		{"mistral", "magistral-medium-latest", "magistral-medium"},
		{"mistral", "magistral-medium-2509", ""},
	} {
		id, ok := Embedded().Resolve(tt.provider, tt.model)
		if id != tt.want || ok != (tt.want != "") {
			t.Errorf("%s's %q is %q, %v; want %q", tt.provider, tt.model, id, ok, tt.want)
		}
	}
}

// Where two providers have a model of that id, no third one's price is guessed.
func TestResolveAmbiguous(t *testing.T) {
	b := parse(t, "provider,model,input,output,aliases\np,m,1,2,n\nq,m,3,4,\nq,n,5,6,\nq,o,5,6,")
	for _, tt := range []struct{ provider, model, want string }{
		{"p", "m", "m"}, {"q", "m", "m"}, {"r", "m", ""}, {"p", "n", "m"}, {"r", "n", ""}, {"q", "n", "n"}, {"r", "o", "o"}, {"r", "q/m", ""},
	} {
		if id, _ := b.Resolve(tt.provider, tt.model); id != tt.want {
			t.Errorf("%s's %s is %q, want %q", tt.provider, tt.model, id, tt.want)
		}
	}
}

func TestStatus(t *testing.T) {
	for model, want := range map[string]Status{"gpt-5.5": List, "gpt-5.6-sol": Promo, "gpt-5.5-mini": Placeholder} {
		rates, reason := Embedded().Rates(Query{Provider: "openai", Model: model, At: at(t, anyDay)})
		if rates.Status != want || reason != "" {
			t.Errorf("%s: %s, %s", model, rates.Status, reason)
		}
	}
}

// A look-up is on the way of each request.
func TestLookUpAllocatesNothing(t *testing.T) {
	b := Embedded()
	queries := []Query{
		{Provider: "openai", Model: "gpt-5.5", At: time.Now()},
		{Provider: "openai", Model: "gpt-5.5-2026-04-23", At: time.Now(), ServiceTier: "PRIORITY", InputTokens: 5},
		{Provider: "bedrock", Model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0", At: time.Now()},
		{Provider: "openai", Model: "gpt-5.5", At: time.Now(), Regional: true, InputTokens: 300_000},
		{Provider: "openai", Model: "no-such-model"},
	}
	for _, q := range queries {
		if n := testing.AllocsPerRun(100, func() {
			b.Resolve(q.Provider, q.Model)
			b.Rates(q)
		}); n != 0 {
			t.Errorf("%s's %s: %v allocations", q.Provider, q.Model, n)
		}
	}
}

func TestModels(t *testing.T) {
	groq := Embedded().Models("groq")
	if len(groq) != 8 || !slices.IsSorted(groq) || !slices.Contains(groq, "qwen/qwen3-32b") {
		t.Errorf("Groq's: %v", groq)
	}
	if all := Embedded().Models(""); len(all) <= len(groq) || !slices.Contains(all, "gpt-5.5") {
		t.Errorf("all: %v", all)
	}
	if none := Embedded().Models("nobody"); len(none) != 0 {
		t.Errorf("nobody's: %v", none)
	}
}

func parse(t *testing.T, text string) *Book {
	t.Helper()
	b, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                   "header",
		"provider,model,price\n":                             `unknown column "price"`,
		"provider,model,aliases\np,m,x\np,n,x\n":             "x is an id of m and of n",
		"provider,model\np,m\np\n":                           "wrong number of fields",
		"provider,model\np,m\n,m\n":                          "line 3: no provider",
		"provider,model,status\np,m,free\n":                  "line 2: status",
		"provider,model,input\np,m,x\n":                      "line 2: input",
		"provider,model,input\np,m,1\n":                      "without input or output",
		"provider,model,input,output\np,m,0.0000001,1\n":     "more than 6 decimals",
		"provider,model,batch_input,batch_output\np,m,1,1\n": "batch rates without standard ones",
		"provider,model,effective_from\np,m,soon\n":          "effective_from",
		"provider,model,effective_from,effective_to\np,m,2026-01-02,2026-01-02\n": "not after",
		"provider,model,time_of_day\np,m,at night\n":                              "time_of_day",
		"provider,model,time_of_day\np,m,peak 22:00-04:00 UTC\n":                  "is not before",
		"provider,model,time_of_day\np,m,peak 22:00 UTC\n":                        "time_of_day",
		"provider,model,time_of_day\np,m,25:00:00Z/26:00:00Z\n":                   "time_of_day",
		"provider,model,long_context_threshold\np,m,1.5\n":                        "long_context_threshold",
		"provider,model,input,output,regional_uplift\np,m,1,1,0.5\n":              "regional_uplift",
		"provider,model,input,output,regional_uplift\np,m,0.000001,1,1.1\n":       "regional_uplift",
		"provider,model,input,output,regional_uplift\np,m,9000000000000,1,1.1\n":  "regional_uplift",
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A version names the content.
func TestVersion(t *testing.T) {
	const head = "provider,model,input,output,source_date\n"
	a, again, b := parse(t, head+"p,m,1,2,2026-01-05\n"), parse(t, head+"p,m,1,2,2026-01-05\n"), parse(t, head+"p,m,1,3,2026-01-05\n")
	if a.Version() != again.Version() || a.Version() == b.Version() || !strings.HasPrefix(a.Version(), "2026-01-05-") {
		t.Error(a.Version(), again.Version(), b.Version())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("provider,model,input,output\np,m,1,2\n")
	f.Add(strings.Join(strings.SplitAfterN(embedded, "\n", 6)[:5], ""))
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, row := range b.Rows("") {
			if id, ok := b.Resolve(row.Provider, row.Model); ok && id != row.Model && !slices.Contains(row.Aliases, row.Model) {
				t.Fatalf("%q is %q", row.Model, id)
			}
			b.Rates(Query{Provider: row.Provider, Model: row.Model, At: row.From})
		}
	})
}

func BenchmarkRates(b *testing.B) {
	book := Embedded()
	q := Query{Provider: "openai", Model: "gpt-5.5-2026-04-23", At: time.Now(), InputTokens: 1000}
	b.ReportAllocs()
	for b.Loop() {
		if _, reason := book.Rates(q); reason != "" {
			b.Fatal(reason)
		}
	}
}

func ExampleBook_Rates() {
	rates, reason := Embedded().Rates(Query{Provider: "openai", Model: "gpt-5.5", At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if reason != "" {
		fmt.Println("unpriced:", reason)
		return
	}
	bill, err := rates.Cost(token.Usage{Input: token.Known(2000), Output: token.Known(1500)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bill.Input, bill.Output)
	// Output: 0.01 0.045
}
