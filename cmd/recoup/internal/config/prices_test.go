package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/pricing"
)

const goodPrices = "prices:\n- {provider: openai, model: gpt-5.5, discount: 0.8}\n"

func TestPrices(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.yaml", goodPrices)
	more := write(t, dir, "more.yaml", "prices:\n- {provider: openai, model: gpt-5-mini, rates: {input: 1, output: 2}}\n")
	for name, src := range map[string]sources{
		"file": {file: "prices: [" + good + ", " + more + "]\n"},
		"env":  {file: "prices: [/nowhere]\n", env: []string{"RECOUP_PRICES=" + good + "," + more}},
		"flag": {env: []string{"RECOUP_PRICES=/nowhere"}, args: []string{"--prices=" + good + ", " + more}},
	} {
		s := mustLoad(t, src)
		if len(s.PriceFiles) != 2 || !strings.HasPrefix(s.Prices.Version(), pricing.Embedded().Version()+"+") {
			t.Errorf("%s: %q, %s", name, s.PriceFiles, s.Prices.Version())
		}
		if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "more.yaml:2: gpt-5-mini: the book below has cache_read, flex, priority,") {
			t.Errorf("%s: warnings %q", name, s.Warnings)
		}
	}
	google := write(t, dir, "google.yaml", "prices:\n- {provider: google, model: \"*\", discount: 0.5}\n- {provider: house, model: m, rates: {input: 1, output: 2}}\n")
	if s := mustLoad(t, sources{args: []string{"--prices=" + google}}); len(s.Warnings) != 1 ||
		s.Warnings[0] != google+": the gateway has no provider called google, house: these prices are not used; want the names that it has (anthropic, gemini, groq, openai)" {
		t.Errorf("prices of nobody: %q", s.Warnings)
	}
	if s := mustLoad(t, sources{}); s.Prices.Version() != pricing.Embedded().Version() {
		t.Errorf("without files: %s", s.Prices.Version())
	}
	// What counts for a reload is what stands in the files.
	src := sources{args: []string{"--prices=" + good}}
	before := mustLoad(t, src)
	if reloads, restarts := Changes(before, mustLoad(t, src)); len(reloads)+len(restarts) > 0 {
		t.Errorf("nothing has changed, and %q %q", reloads, restarts)
	}
	write(t, dir, "good.yaml", strings.Replace(goodPrices, "0.8", "0.7", 1))
	if reloads, restarts := Changes(before, mustLoad(t, src)); len(reloads) != 1 || reloads[0] != "prices" || len(restarts) > 0 {
		t.Errorf("the file has changed, and %q %q", reloads, restarts)
	}
}

// A file with an error in its seventh line is refused with that line.
func TestPricesRefused(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, dir, "bad.yaml", "# ours\nprices:\n- provider: openai\n  model: gpt-5.5\n  source: contract\n  valid_from: 2026-10-01\n  rates: {input: four, output: 24}\n")
	worse := write(t, dir, "worse.yaml", "prices:\n- {provider: openai, model: gpt-99, discount: 0.5}\n")
	for _, tt := range []struct {
		prices, want string
	}{
		{bad, `{dir}/bad.yaml:7: rates.input: "four": want dollars per million tokens with at most 6 decimals, such as 2.50
    7 |   rates: {input: four, output: 24}
      |                  ^
`},
		{worse, `{dir}/worse.yaml:2: discount: the book below has no model "gpt-99" of openai to take it from
    2 | - {provider: openai, model: gpt-99, discount: 0.5}
      |    ^
`},
		{dir + "/none.yaml", "--prices: open {dir}/none.yaml: no such file or directory: want a file with prices in YAML\n"},
		{dir, "--prices: read {dir}: is a directory: want a file with prices in YAML\n"},
		{bad + "," + bad, `--prices: "{dir}/bad.yaml" is there twice` + "\n"},
		{bad + ",,", `--prices: "{dir}/bad.yaml,,": a path is empty` + "\n"},
	} {
		_, err := load(t, sources{args: []string{"--prices=" + tt.prices}})
		refused := (*Error)(nil)
		if !errors.As(err, &refused) {
			t.Fatalf("%s is not refused: %v", tt.prices, err)
		}
		if got := strings.ReplaceAll(refused.Report(), dir, "{dir}"); got != tt.want {
			t.Errorf("got\n%s\nwant\n%s", got, tt.want)
		}
	}
}
