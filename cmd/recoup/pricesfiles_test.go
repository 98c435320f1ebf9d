package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/pricing"
)

// priceFile is a file with prices in a directory of its own.
func priceFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "negotiated.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const ourPrices = `prices:
- provider: openai
  model: gpt-5.5
  valid_from: 2026-10-01
  known_from: 2026-09-20
  rates: {input: 4, cache_read: 0.4, output: 24, reasoning: 20}
  tools: {web_search: 0.02}
- {provider: openai, model: gpt-5-mini, discount: 0.5, source: contract 4711}
`

func TestPricesAt(t *testing.T) {
	path := priceFile(t, ourPrices)
	rates := func(args ...string) string {
		t.Helper()
		code, out, log := prices(t, append([]string{"list", "--provider=openai", "--prices=" + path}, args...)...)
		if code != 0 || log != "" {
			t.Fatalf("%q: %d %s", args, code, log)
		}
		var all []string
		for _, line := range cellsOf(out, "gpt-5.5 ", "standard") {
			status, _, _ := strings.Cut(line[12], " [")
			all = append(all, line[3]+" "+status)
		}
		return strings.Join(all, ", ")
	}
	for _, tt := range []struct{ args, want string }{
		{"", "5 list, 4 negotiated"},
		{"--at=2026-10-15", "4 negotiated"},
		{"--at=2026-09-15", "5 list"},
		{"--at=2026-03", ""},
		{"--at=2026-10-15 --known-at=2026-09-01", "5 list"},
		{"--status=list", "5 list"},
		{"--status=negotiated", "4 negotiated"},
	} {
		if got := rates(strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
	}
	if code, _, log := prices(t, "list", "--at=noon"); code != exitFailed || !strings.Contains(log, `--at: "noon": want a day`) {
		t.Errorf("%d %s", code, log)
	}
}

// Each rate says where it comes from.
func TestPricesShow(t *testing.T) {
	path := priceFile(t, ourPrices)
	code, out, log := prices(t, "show", "--prices="+path, "--at=2026-10-15", "gpt-5.5-2026-04-23")
	if code != 0 || log != "" {
		t.Fatalf("%d %s", code, log)
	}
	contains(t, out, "gpt-5.5 of openai at 2026-10-15T00:00:00Z, negotiated", "from: embedded", "from: "+path+":2")
	for kind, want := range map[string]string{
		"reasoning": "20|" + path + ":2", "tool:web_search": "0.02 a use|" + path + ":2", "cache_read": "0.4|" + path + ":2",
	} {
		if lines := cellsOf(out, "standard", kind); len(lines) != 1 || lines[0][2]+"|"+lines[0][3] != want {
			t.Errorf("%s: %q, want %s", kind, lines, want)
		}
	}
	_, out, _ = prices(t, "show", "--prices="+path, "--at=2026-09-15", "gpt-5.5")
	if lines := cellsOf(out, "standard", "cache_read"); len(lines) != 1 || lines[0][2] != "0.5" || lines[0][3] != "embedded" {
		t.Errorf("%q", lines)
	}
	_, out, _ = prices(t, "show", "--prices="+path, "--at=2026-10-15", "gpt-5-mini")
	if lines := cellsOf(out, "standard", "output", path); len(lines) != 1 || lines[0][2] != "1" || lines[0][3] != path+":8, contract 4711: 0.5 of list (embedded)" {
		t.Errorf("%q\n%s", lines, out)
	}
	_, out, _ = prices(t, "show", "--prices="+path, "--format=json", "--at=2026-10-15", "gpt-5-mini")
	var got struct {
		Version string
		Rows    []struct{ From, Discount, Status string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Rows) != 1 || got.Rows[0].From != path+":8" || got.Rows[0].Discount != "0.5" ||
		!strings.HasPrefix(got.Version, pricing.Embedded().Version()+"+") {
		t.Errorf("%v %s", err, out)
	}
	if code, _, log := prices(t, "show", "--at=2026-01-01", "gpt-5.5"); code != 0 {
		t.Errorf("%d %s", code, log)
	}
	if code, _, log := prices(t, "show", "gpt-5.5-nano"); code != exitFailed || !strings.Contains(log, "near it are") {
		t.Errorf("%d %s", code, log)
	}
}

func TestPricesDiff(t *testing.T) {
	path := priceFile(t, ourPrices)
	find := func(out, kind string) []string {
		t.Helper()
		lines := cellsOf(out, "gpt-5.5 ", "standard", kind)
		if len(lines) != 1 {
			t.Fatalf("%s: %q\n%s", kind, lines, out)
		}
		return lines[0]
	}
	for _, args := range [][]string{{"diff", "--at=2026-10-15", path}, {"diff", "--at=2026-10-15", "--prices=" + path}, {"diff", "--at=2026-10-15", "--prices=" + path, "embedded", "effective"}} {
		code, out, log := prices(t, args...)
		if code != 0 || log != "" {
			t.Fatalf("%q: %d %s", args, code, log)
		}
		if line := find(out, " input "); strings.Join(line[4:], "|") != "5|4|-20.0|"+path+":2" {
			t.Errorf("%q: %q", args, line)
		}
		if line := find(out, "web_search"); strings.Join(line[4:], "|") != "0.01 a use|0.02 a use|100.0|"+path+":2" {
			t.Errorf("%q: %q", args, line)
		}
		if strings.Contains(out, "gpt-5.4 ") {
			t.Errorf("what doesn't differ: %s", out)
		}
	}
	if _, out, _ := prices(t, "diff", "--at=2026-10-15", path, "embedded"); find(out, " input ")[5] != "5" {
		t.Errorf("the other way round: %s", out)
	}
	if _, out, _ := prices(t, "diff"); !strings.Contains(out, "no difference") {
		t.Errorf("nothing is configured: %s", out)
	}
	code, out, _ := prices(t, "diff", "--at=2026-10-15", "--format=json", path)
	var got struct{ Changes []map[string]string }
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || len(got.Changes) == 0 || got.Changes[0]["model"] == "" {
		t.Errorf("%v %s", err, out)
	}
	if code, _, log := prices(t, "diff", "nowhere.yaml"); code != exitUsage || !strings.Contains(log, "nowhere.yaml") {
		t.Errorf("%d %s", code, log)
	}
}

func TestPricesLint(t *testing.T) {
	good := priceFile(t, ourPrices)
	code, out, _ := prices(t, "lint", good)
	if code != 0 || !strings.Contains(out, good+":2: gpt-5.5: the book below has batch, flex, long, priority, and this item has not") || !strings.Contains(out, "2 prices, 1 warning; the price book would be "+pricing.Embedded().Version()+"+") {
		t.Errorf("%d %s", code, out)
	}
	if code, _, log := prices(t, "lint", "--strict", good); code != exitFailed || !strings.Contains(log, "1 warning") {
		t.Errorf("strict: %d %s", code, log)
	}
	bad := priceFile(t, strings.Replace(ourPrices, "web_search: 0.02", "web_search: free", 1))
	code, out, log := prices(t, "lint", bad)
	want := bad + `:7: tools.web_search: "free": want dollars per use, such as web_search: 0.01
    7 |   tools: {web_search: free}
      |                       ^
`
	if code != exitFailed || out != want || !strings.Contains(log, "problems: 1") {
		t.Errorf("%d\n%s\nwant\n%s%s", code, out, want, log)
	}
	if code, out, _ := prices(t, "lint", good, filepath.Join(t.TempDir(), "none.yaml")); code != exitFailed || !strings.Contains(out, "no such file") {
		t.Errorf("%d %s", code, out)
	}
	if code, _, log := prices(t, "list", "--prices="+bad); code != exitUsage || !strings.Contains(log, bad+":7: tools.web_search") {
		t.Errorf("%d %s", code, log)
	}
}

func TestPricesImport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "litellm.json")
	text := `{"gpt-99": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "input_cost_per_image": 1},
		"azure/gpt-99": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06},
		"x/y": {"litellm_provider": "x", "mode": "chat"}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, log := prices(t, "import", "--provider=azure=azure-eu", "--known-from=2026-11-20", path)
	if code != 0 {
		t.Fatalf("%d %s", code, log)
	}
	contains(t, log, `not taken: input_cost_per_image: "gpt-99"`, `"x (1)"`, "2 models are taken")
	contains(t, out, `provider: "azure-eu"`, "known_from: 2026-11-20", "rates: {input: 3, output: 4}")
	if code, out, _ := prices(t, "lint", priceFile(t, out)); code != 0 || !strings.Contains(out, "2 prices, 0 warnings") {
		t.Errorf("%d %s", code, out)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{filepath.Join(t.TempDir(), "none.json")}, "no such file"},
		{[]string{"--provider=azure", path}, `--provider: "azure": want LiteLLM's name and the gateway's`},
		{[]string{"--known-from=today", path}, "--known-from"},
		{[]string{priceFile(t, ourPrices)}, "want a JSON object with a model in each member"},
		{[]string{"--status=cheap", path}, `status: "cheap": want list`},
	} {
		if code, out, log := prices(t, append([]string{"import"}, tt.args...)...); code != exitFailed || out != "" || !strings.Contains(log, tt.want) {
			t.Errorf("%q: %d %q %s", tt.args, code, out, log)
		}
	}
}
