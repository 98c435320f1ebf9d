package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/pricing"
)

// prices runs the command.
func prices(t *testing.T, args ...string) (code int, out, log string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{stdout: &stdout, stderr: &stderr}
	code = p.run(t.Context(), append([]string{"prices"}, args...))
	return code, stdout.String(), stderr.String()
}

// cellsOf are the cells of the lines of a table that have all of the words.
func cellsOf(out string, words ...string) [][]string {
	var found [][]string
lines:
	for line := range strings.Lines(out) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		if !strings.HasPrefix(line, "│") {
			continue
		}
		var cells []string
		for c := range strings.SplitSeq(strings.Trim(line, "│\n"), "│") {
			cells = append(cells, strings.TrimSpace(c))
		}
		found = append(found, cells)
	}
	return found
}

func TestPricesOfOneModel(t *testing.T) {
	code, out, log := prices(t, "gpt-5.5-2026-04-23")
	if code != 0 || log != "" {
		t.Fatalf("exit code %d, %s", code, log)
	}
	lines := cellsOf(out, "gpt-5.5")
	want := [][]string{
		{"openai", "gpt-5.5", "standard", "5", "0.5", "-", "-", "30", "2026-04-23", "", "", "2026-08-21", "list"},
		{"openai", "gpt-5.5", "input > 272,000", "10", "1", "-", "-", "45", "2026-04-23", "", "", "2026-08-21", "list"},
		{"openai", "gpt-5.5", "batch", "2.5", "0.5", "-", "-", "15", "2026-04-23", "", "", "2026-08-21", "list"},
		{"openai", "gpt-5.5", "flex", "2.5", "0.5", "-", "-", "15", "2026-04-23", "", "", "2026-08-21", "list"},
		{"openai", "gpt-5.5", "priority", "12.5", "1.25", "-", "-", "75", "2026-04-23", "", "", "2026-08-21", "list"},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines\n%s", len(lines), out)
	}
	for i := range want {
		if strings.Join(lines[i], "|") != strings.Join(want[i], "|") {
			t.Errorf("%q\nwant %q", lines[i], want[i])
		}
	}
	for _, part := range []string{pricing.Embedded().Version(), "source: litellm", "data residency: 1.1 times", "note: snapshot id"} {
		if !strings.Contains(out, part) {
			t.Errorf("nothing of %q in\n%s", part, out)
		}
	}
}

func TestPricesDetails(t *testing.T) {
	_, out, _ := prices(t, "deepseek-v4-pro")
	if lines := cellsOf(out, "deepseek-v4-pro"); len(lines) != 3 || lines[2][10] != "peak" {
		t.Errorf("%q", lines)
	}
	if !strings.Contains(out, "from 2026-08-16T16:00:00Z when peak 01:00-04:00,06:00-10:00 UTC Mon-Fri") {
		t.Error(out)
	}
	_, out, _ = prices(t, "gpt-5.6")
	if !strings.Contains(out, "also called: gpt-5.6\n") || !strings.Contains(out, "promo [1]") || !strings.Contains(out, "\n[1] gpt-5.6-sol, promo: ") {
		t.Error(out)
	}
	_, out, _ = prices(t, "claude-opus-5-5")
	if lines := cellsOf(out, "priority", "claude-opus-5-5"); len(lines) != 1 || lines[0][4] != "?" {
		t.Errorf("a rate that isn't known: %q", lines)
	}
	_, out, _ = prices(t, "gpt-4o-2024-05-13")
	if lines := cellsOf(out, "unpriced"); len(lines) != 1 || lines[0][3] != "-" {
		t.Errorf("no rates: %q", lines)
	}
}

func TestPricesOfAll(t *testing.T) {
	code, out, log := prices(t)
	if code != 0 || log != "" {
		t.Fatalf("exit code %d, %s", code, log)
	}
	for _, model := range pricing.Embedded().Models("") {
		if len(cellsOf(out, model)) == 0 {
			t.Errorf("no line of %s", model)
		}
	}
	mini := cellsOf(out, "gpt-5.5-mini")
	if len(mini) != 1 || !strings.HasPrefix(mini[0][12], "placeholder [") || !strings.Contains(out, "gpt-5.5-mini, placeholder: NOT FOUND") {
		t.Errorf("the placeholder is not marked: %q", mini)
	}
	if _, groq, _ := prices(t, "--provider", "groq"); len(cellsOf(groq, "groq")) != 8 || strings.Contains(groq, "gpt-5.5") {
		t.Errorf("only of Groq:\n%s", groq)
	}
}

func TestPricesJSON(t *testing.T) {
	code, out, log := prices(t, "--format", "json", "gpt-5.5")
	if code != 0 {
		t.Fatalf("exit code %d, %s", code, log)
	}
	var got struct {
		Version string
		Rows    []struct {
			Provider, Model, Status string
			Tiers                   []struct {
				Tier  string
				Above int64             `json:"above_input_tokens"`
				Rates map[string]string `json:"usd_per_million"`
			}
			ValidFrom string `json:"valid_from"`
			Source    string
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Version != pricing.Embedded().Version() || len(got.Rows) != 1 {
		t.Fatalf("%+v", got)
	}
	row := got.Rows[0]
	if row.Provider != "openai" || row.Model != "gpt-5.5" || row.Status != "list" || row.ValidFrom != "2026-04-23T00:00:00Z" || row.Source == "" ||
		len(row.Tiers) != 5 || row.Tiers[1].Tier != "long" || row.Tiers[1].Above != 272_000 || row.Tiers[1].Rates["output"] != "45" {
		t.Errorf("%+v", row)
	}
	_, out, _ = prices(t, "--format", "json")
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Rows) != len(pricing.Embedded().Rows("")) {
		t.Errorf("all: %d rows, %v", len(got.Rows), err)
	}
}

func TestPricesRefuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"gpt-5.5-nano"}, exitFailed, `no model "gpt-5.5-nano" in the price book; near it are gpt-5.4-nano, `},
		{[]string{"Claude-Opus-5"}, exitFailed, "near it are claude-opus-5, "},
		{[]string{"wholly-unlike-anything-there-is"}, exitFailed, "in the price book; recoup prices lists all"},
		{[]string{"--provider", "groq", "gpt-5.5"}, exitFailed, `no model "gpt-5.5"`},
		{[]string{"--provider", "nobody"}, exitFailed, "it has openai, anthropic"},
		{[]string{"--format", "yaml"}, exitFailed, "--format"},
		{[]string{"a", "b"}, exitUsage, "at most 1"},
	} {
		code, out, log := prices(t, tt.args...)
		if code != tt.code || out != "" || !strings.Contains(log, tt.want) {
			t.Errorf("%q: exit code %d, %q, %q", tt.args, code, out, log)
		}
	}
}
