package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/recoup-gateway/recoup/pricing"
)

func usd(t *testing.T, s string) (sum pricing.Sum) {
	t.Helper()
	if err := sum.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return sum
}

// right is a report of which nothing is wrong.
func right(t *testing.T) *Report {
	paid := billed{InputTokens: 4000, OutputTokens: 1612, USD: usd(t, "0.06424")}
	return &Report{
		ProviderBill:   providerBill{Requests: 37, billed: paid},
		Billed:         paid,
		Reconciliation: reconciliation{Reported: 29, Estimated: 8, Difference: 112, Revisions: 8},
		Outcomes: outcomes{
			Delivered: map[string]int64{"live": 600}, Wasted: map[string]int64{"abandoned": 600}, Lost: map[string]int64{"abandoned": 400, "tail": 12},
		},
		Saved:    saved{OutputTokens: 600, InputTokens: 2000, USD: usd(t, "0.01936"), Upper: usd(t, "0.028")},
		Overhead: map[string]overhead{"unclaimed": {400, usd(t, "0.012")}, "crash": {}, "retry": {}},
		Missed:   missed{Calls: 1, USD: usd(t, "0.0269")},
		Net:      usd(t, "0.00736"),
		ByModel: map[string]byModel{
			large: {1012, usd(t, "0.04036"), usd(t, "0.01936")}, small: {600, usd(t, "0.02388"), usd(t, "0")},
		},
		before: summary{Billed: billed{3900, 1600, usd(t, "0.064")}},
		accounts: []account{
			{large, "input", "wasted", "abandoned", 2000, usd(t, "0.01")},
			{large, "output", "wasted", "abandoned", 600, usd(t, "0.018")},
			{large, "output", "lost", "abandoned", 400, usd(t, "0.012")},
			{large, "output", "lost", "tail", 12, usd(t, "0.00036")},
			{small, "input", "delivered", "live", 2000, usd(t, "0.001")},
			{small, "output", "delivered", "live", 600, usd(t, "0.0012")},
		},
		attempts: 37,
	}
}

func TestVerdict(t *testing.T) {
	if err := right(t).Verdict(); err != nil {
		t.Error(err)
	}
	for name, tt := range map[string]struct {
		spoil func(*Report)
		says  string
	}{
		"imbalance":   {func(r *Report) { r.Imbalance = 3 }, "don't balance, by 3 tokens"},
		"unexplained": {func(r *Report) { r.Reconciliation.Unexplained = 1 }, "1 tokens of the provider's bill are unexplained"},
		"finding":     {func(r *Report) { r.findings = []string{"attempt abc/1: out of bounds"} }, "attempt abc/1"},
		"late":        {func(r *Report) { r.late = "after 20s of waiting" }, "after 20s"},
		"pending":     {func(r *Report) { r.Outcomes.Pending = 5; r.Billed.OutputTokens += 5; r.ProviderBill.OutputTokens += 5 }, "5 tokens have no outcome"},
		"lost token":  {func(r *Report) { r.Outcomes.Lost["tail"] = 11 }, "1612 output tokens were billed, and 1611 have an outcome"},
		"requests":    {func(r *Report) { r.attempts = 36 }, "billed 37 requests, and the books have 36"},
		"money":       {func(r *Report) { r.Billed.USD = usd(t, "0.06") }, "$0.06424"},
	} {
		r := right(t)
		tt.spoil(r)
		err := r.Verdict()
		if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		var out bytes.Buffer
		if err := r.WriteTable(&out, false); err != nil || !strings.Contains(out.String(), "do NOT agree") || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

func TestTable(t *testing.T) {
	var plain, bold bytes.Buffer
	r := right(t)
	if err := errors.Join(r.WriteTable(&plain, false), r.WriteTable(&bold, true)); err != nil {
		t.Fatal(err)
	}
	text := plain.String()
	for i, line := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("line %d has %d columns: %s", i+1, n, line)
		}
	}
	for _, part := range []string{
		"  11  came back to the same answer\n   4  never came back (2 answers were completed unread, 2 were given up)\n   1  had sent no key",
		"Of the other 8:\n   3  were", "That took 37 requests: one for each agent, 8 more after tool calls, 5 to ask again.",
		"│ Paid to the provider                  │          │    $0.0642 │ 100.0 % │         1,612 │",
		"│   used                                │          │    $0.0022 │   3.4 % │           600 │",
		"│     read as it came                   │          │    $0.0022 │   3.4 % │           600 │",
		"│   unusable: read, but not to its end  │          │    $0.0280 │",
		"│     the agent did not come back to it │ agent    │    $0.0280 │",
		"│   never received by anyone            │          │    $0.0124 │",
		"│     written on while nobody came back │ gateway  │    $0.0120 │",
		"billed until the provider stopped",
		"│   +$0.0194 │ +30.1 % │          +600 │", "│   -$0.0120 │ -18.7 % │          -400 │", "│   +$0.0074 │ +11.5 % │          +200 │",
		"At its full price it would be $0.0280.", "Missed: of the 5 that asked again, 1 could", "about $0.0269",
		"│ gpt-5.5-mini │     $0.5 / $2 * │", "costs 15 times as much on gpt-5.5 as on gpt-5.5-mini", "$0.0450 or $0.0030", "* a placeholder",
		"│   $0.06424 │\n│ the books before", "│   $0.06400 │", "112 tokens added, 0 taken away",
		"3 that died with the gateway, 2 given up, 1 cancelled, 1 without a key, 1 failed",
		"The books balance and agree with the provider's bill, to the token: 29 unaided, 8 corrected.",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if strings.Contains(text, "\x1b") || !strings.Contains(bold.String(), "\x1b[1mBy model") {
		t.Error("escape sequences are where they must not be, or not where they should")
	}
}

// The object is a contract: these members, and no others.
func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := right(t).WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	var whole map[string]any
	if err := json.Unmarshal(out.Bytes(), &whole); err != nil {
		t.Fatal(err)
	}
	for name, members := range map[string]string{
		"provider_bill":  "requests input_tokens output_tokens usd",
		"billed":         "input_tokens output_tokens usd",
		"reconciliation": "attempts_reported attempts_estimated difference_tokens posted_revisions unexplained_tokens",
		"outcomes":       "delivered wasted lost pending",
		"saved":          "output_tokens input_tokens usd usd_upper",
		"overhead":       "unclaimed crash retry",
		"missed":         "calls usd",
		"by_model":       "gpt-5.5 gpt-5.5-mini",
	} {
		object, _ := whole[name].(map[string]any)
		got[name] = object
		for _, m := range strings.Fields(members) {
			if _, ok := object[m]; !ok {
				t.Errorf("%s has no %s: %v", name, m, object)
			}
		}
		if len(object) != len(strings.Fields(members)) {
			t.Errorf("%s: %v, want %s", name, object, members)
		}
	}
	if len(whole) != 10 || whole["net_usd"] != "0.00736" || whole["imbalance_tokens"] != 0. {
		t.Errorf("%v", whole)
	}
	if got["provider_bill"]["usd"] != "0.06424" || got["outcomes"]["lost"].(map[string]any)["tail"] != 12. ||
		got["overhead"]["unclaimed"].(map[string]any)["usd"] != "0.012" || got["by_model"][large].(map[string]any)["saved_usd"] != "0.01936" {
		t.Errorf("%v", got)
	}
}

// What a table can't know, it doesn't say.
func TestTableOfAnotherCourse(t *testing.T) {
	printed := func(r *Report) string {
		t.Helper()
		var out bytes.Buffer
		if err := r.WriteTable(&out, false); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	const names, opposite, open, repeated = "They are: 3 that died", "dollars the other", "no outcome yet", "Missed:"
	usual := printed(right(t))
	if !strings.Contains(usual, names) || strings.Contains(usual, opposite) || strings.Contains(usual, open) || !strings.Contains(usual, repeated) {
		t.Errorf("the usual course:\n%s", usual)
	}
	r := right(t)
	r.Reconciliation.Estimated, r.Missed = 7, missed{}
	r.before.Billed.USD = usd(t, "0.065")
	r.accounts = append(r.accounts, account{small, "output", "pending", "", 5, usd(t, "0.00001")})
	other := printed(r)
	if strings.Contains(other, names) || !strings.Contains(other, opposite) || !strings.Contains(other, open) || strings.Contains(other, repeated) {
		t.Errorf("another course:\n%s", other)
	}
}

func TestCorrectedHasBothSigns(t *testing.T) {
	r := right(t)
	r.Reconciliation.Difference = 132
	if more, fewer := r.corrected(); more != 122 || fewer != 10 {
		t.Errorf("%d more, %d fewer", more, fewer)
	}
}

// What the table blames the gateway for is what the books have as its overhead.
func TestBlameIsTheOverhead(t *testing.T) {
	r := right(t)
	r.Overhead["crash"] = overhead{20, usd(t, "0.02")}
	r.accounts = append(r.accounts,
		account{large, "output", "wasted", "crash", 15, usd(t, "0.015")}, account{large, "output", "lost", "crash", 5, usd(t, "0.005")})
	var blamed, caused overhead
	for _, part := range parts {
		for _, b := range part.causes {
			if b.blame == "gateway" {
				usd, tokens := r.became(part.outcome, b.cause)
				blamed = overhead{blamed.Tokens + tokens, blamed.USD.Plus(usd)}
			}
		}
	}
	for _, o := range r.Overhead {
		caused = overhead{caused.Tokens + o.Tokens, caused.USD.Plus(o.USD)}
	}
	if blamed != caused {
		t.Errorf("blamed %+v, caused %+v", blamed, caused)
	}
}
