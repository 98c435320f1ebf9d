package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
)

// reportPaths are a vendor's usage and costs.
var reportPaths = map[string][2]string{
	vendor.OpenAI:    {"/v1/organization/usage/completions", "/v1/organization/costs"},
	vendor.Anthropic: {"/v1/organizations/usage_report/messages", "/v1/organizations/cost_report"},
}

// report fetches one, all on one page.
func (b *billed) report(path, width string, from, to time.Time) []byte {
	b.t.Helper()
	query := fmt.Sprintf("?bucket_width=%s&limit=100&start_time=%d&end_time=%d", width, from.Unix(), to.Unix())
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.upstream+path+query, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s %s %v", path, resp.Status, data, err)
	}
	return data
}

func (b *billed) file(name string, data []byte) string {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return file
}

// byHours compares files of hourly pages up to the hour that runs, in which the late calls
// are missing. Anthropic has no costs by the hour.
func (b *billed) byHours(of string, want []string) {
	b.t.Helper()
	to := time.Now().UTC().Truncate(time.Hour).Add(time.Hour)
	since := midnight(to.Add(-time.Hour))
	if b.sim.Bill()[0].Started.Before(to.Add(-time.Hour)) {
		b.t.Log("the hour has passed meanwhile: not compared by hours")
		return
	}
	b.delay = time.Hour
	files := []string{b.file("usage.json", b.report(reportPaths[of][0], "1h", since, to))}
	if of == vendor.OpenAI {
		files = append(files, b.file("costs.json", b.report(reportPaths[of][1], "1h", since, to)))
	} else {
		want = slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.Contains(w, "$") })
	}
	b.delay = 0
	args := append([]string{"--since=" + since.Format(time.RFC3339), "--until=" + to.Format(time.RFC3339)}, files...)
	r := b.reconcile(time.Now(), args...)
	lag := map[string]string{vendor.OpenAI: late[0] + ": lag -2", vendor.Anthropic: late[1] + ": lag -2"}[of]
	want = append(slices.Clone(want), lag+" -400+0+0+0/-80")
	slices.Sort(want)
	b.found("by hours", &r, want)
}

// fromConsole compares CSV files as the vendor's console exports them.
func (b *billed) fromConsole(of string, since time.Time, want []string) {
	b.t.Helper()
	export := map[string]func(time.Time) (usage, costs [][]string){vendor.OpenAI: b.openAIExport, vendor.Anthropic: b.anthropicExport}[of]
	usage, costs := export(since)
	var files []string
	for name, rows := range map[string][][]string{"usage.csv": usage, "costs.csv": costs} {
		var text bytes.Buffer
		if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
			b.t.Fatal(err)
		}
		files = append(files, b.file(name, text.Bytes()))
	}
	r := b.reconcile(time.Now(), files...)
	b.found("from CSV files", &r, want)
	b.exact(&r)
}

func (b *billed) openAIExport(since time.Time) (usage, costs [][]string) {
	b.t.Helper()
	until := since.AddDate(0, 0, 1)
	times := []string{strconv.FormatInt(since.Unix(), 10), strconv.FormatInt(until.Unix(), 10), since.Format(time.RFC3339), until.Format(time.RFC3339)}
	head := []string{"start_time", "end_time", "start_time_iso", "end_time_iso"}
	usage = [][]string{append(slices.Clone(head), "project_id", "num_model_requests", "user_id", "api_key_id", "model", "batch", "service_tier",
		"input_tokens", "output_tokens", "input_cached_tokens")}
	costs = [][]string{append(slices.Clone(head), "amount_value", "amount_currency", "line_item", "project_id", "organization_id", "organization_name")}
	n := strconv.Itoa
	for _, r := range consoleRows(b, reportPaths[vendor.OpenAI][0], since, until) {
		usage = append(usage, append(slices.Clone(times), "proj_1", n(r.Requests), "u", "key_1", r.Model, strings.ToUpper(strconv.FormatBool(r.Batch)), r.ServiceTier,
			n(r.Input), n(r.Output), n(r.Cached)))
	}
	for _, r := range consoleRows(b, reportPaths[vendor.OpenAI][1], since, until) {
		var amount struct{ Value json.Number }
		if err := json.Unmarshal(r.Amount, &amount); err != nil {
			b.t.Fatal(err)
		}
		costs = append(costs, append(slices.Clone(times), amount.Value.String(), "usd", r.LineItem, "proj_1", "org_1", "Ours"))
	}
	return usage, costs
}

func (b *billed) anthropicExport(since time.Time) (usage, costs [][]string) {
	b.t.Helper()
	until := since.AddDate(0, 0, 1)
	usage = [][]string{strings.Split("usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"+
		"usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed", ",")}
	costs = [][]string{strings.Split("usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed", ",")}
	day, n := since.Format(time.DateOnly), strconv.Itoa
	for _, r := range consoleRows(b, reportPaths[vendor.Anthropic][0], since, until) {
		usage = append(usage, []string{day, r.Model, "ours", "Default", r.usageType(), "≤ 200k", n(r.Uncached), n(r.Creation.Short), n(r.Creation.Long), n(r.Read), n(r.Output), "0", "global", "standard"})
	}
	for _, r := range consoleRows(b, reportPaths[vendor.Anthropic][1], since, until) {
		cents, err := strconv.ParseFloat(strings.Trim(string(r.Amount), `"`), 64)
		if err != nil {
			b.t.Fatal(err)
		}
		usd := strconv.FormatFloat(cents/100, 'f', 10, 64)
		costs = append(costs, []string{day, r.displayed(), "Default", "ours", r.usageType(), "≤ 200k", r.TokenType, usd, usd, r.CostType, "global", "standard"})
	}
	return usage, costs
}

// consoleRow is what the four reports have of a row.
type consoleRow struct {
	Model       string
	ServiceTier string `json:"service_tier"`
	Batch       bool
	Requests    int    `json:"num_model_requests"`
	Input       int    `json:"input_tokens"`
	Cached      int    `json:"input_cached_tokens"`
	LineItem    string `json:"line_item"`
	Amount      json.RawMessage
	CostType    string `json:"cost_type"`
	TokenType   string `json:"token_type"`
	Uncached    int    `json:"uncached_input_tokens"`
	Read        int    `json:"cache_read_input_tokens"`
	Output      int    `json:"output_tokens"`
	Creation    struct {
		Short int `json:"ephemeral_5m_input_tokens"`
		Long  int `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
}

func consoleRows(b *billed, path string, from, to time.Time) (rows []consoleRow) {
	b.t.Helper()
	var page struct {
		Data []struct{ Results []consoleRow }
	}
	if err := json.Unmarshal(b.report(path, "1d", from, to), &page); err != nil {
		b.t.Fatal(err)
	}
	for _, bucket := range page.Data {
		rows = append(rows, bucket.Results...)
	}
	return rows
}

func (r *consoleRow) usageType() string {
	if r.ServiceTier == "batch" {
		return "batch"
	}
	return "message"
}

// displayed is a model's name in the console: claude-haiku-4-5 is Claude Haiku 4.5.
func (r *consoleRow) displayed() string {
	words := strings.Split(r.Model, "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	name := strings.Join(words, " ")
	if n := len(words); n > 2 && len(words[n-1]) == 1 && len(words[n-2]) == 1 {
		name = name[:len(name)-2] + "." + words[n-1]
	}
	return name
}
