package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// The reports have what the bill has, page by page, and make no entry of their own.
func TestReportsOfAnOrganization(t *testing.T) {
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	sim := simulator.New(simulator.Options{
		Price: func(*simulator.Reported, string, int) string { return "0.5" },
		Report: func(rows []simulator.Reported) []simulator.Reported {
			for i := range rows { // one in each hour
				rows[i].At = day.Add(time.Duration(i) * time.Hour)
			}
			return rows
		},
	})
	srv, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	send := func(method, path, body string) (int, map[string]any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", "sk-any")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer := map[string]any{}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, answer
	}
	for range 3 {
		send(http.MethodPost, "/v1/messages", `{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`)
	}
	if err := sim.WaitEnded(t.Context(), 3); err != nil { // a client has its answer a little before
		t.Fatal(err)
	}
	window := "bucket_width=1h&limit=2&starting_at=2026-11-23T00:00:00Z&ending_at=2026-11-23T03:00:00Z"
	output, cents, buckets, page := 0.0, []string{}, 0, ""
	for range 2 {
		_, usage := send(http.MethodGet, "/v1/organizations/usage_report/messages?"+window+page, "")
		_, costs := send(http.MethodGet, "/v1/organizations/cost_report?"+window+page, "")
		for i, b := range usage["data"].([]any) {
			buckets++
			for _, r := range b.(map[string]any)["results"].([]any) {
				output += r.(map[string]any)["output_tokens"].(float64)
			}
			for _, r := range costs["data"].([]any)[i].(map[string]any)["results"].([]any) {
				cents = append(cents, r.(map[string]any)["amount"].(string))
			}
		}
		page = fmt.Sprint("&page=", usage["next_page"])
		if more := usage["has_more"].(bool); more != (buckets == 2) {
			t.Errorf("after %d buckets has_more is %v", buckets, more)
		}
	}
	want := 0
	for _, e := range sim.Bill() {
		want += e.Billed
	}
	if int(output) != want || buckets != 3 || sim.Calls() != 3 {
		t.Errorf("%v tokens in %d buckets, want %d; %d calls", output, buckets, want, sim.Calls())
	}
	if got := strings.Join(cents, " "); got != strings.TrimSpace(strings.Repeat("50.00 ", 6)) {
		t.Errorf("cents: %s", got)
	}
	for query, want := range map[string]string{
		"bucket_width=1y&start_time=0&end_time=1":               "bucket_width",
		"bucket_width=1d&start_time=0&end_time=34646400":        "from 1970-01-01T00:00:00Z to 1971-02-06T00:00:00Z: want an end after the start, at most 400 days",
		"bucket_width=1d&start_time=86400&end_time=86400":       "want an end after the start",
		"bucket_width=1d&start_time=86400":                      "parsing time",
		"bucket_width=1d&start_time=0&end_time=86400&limit=all": "limit",
	} {
		status, answer := send(http.MethodGet, "/v1/organization/costs?"+query, "")
		refused, _ := answer["error"].(map[string]any)
		if message := fmt.Sprint(refused["message"]); status != http.StatusBadRequest || !strings.Contains(message, want) || strings.Contains(message, "%!") {
			t.Errorf("%s: %d %v", query, status, answer)
		}
	}
}

// The tier that a script names is in the answer, on the bill and in the reports; searches
// are charged for apart.
func TestTiersInReports(t *testing.T) {
	f := start(t, simulator.Options{
		Price: func(_ *simulator.Reported, kind string, n int) string {
			return map[bool]string{true: "0.01", false: "1"}[kind == "web_search"]
		},
		Report: func(rows []simulator.Reported) []simulator.Reported { rows[0].Searches = 3; return rows },
	})
	for _, tier := range []string{"batch", "priority"} {
		for _, path := range []string{chatPath, messagesPath} {
			f.Next(simulator.Script{Tier: tier})
			resp, body, err := f.post(path, map[string]string{chatPath: chatWhole, messagesPath: messagesWhole}[path])
			if err != nil || resp.StatusCode != http.StatusOK || f.last().Tier != tier {
				t.Fatal(resp.Status, err, f.last())
			}
			contains(t, body, `"service_tier":"`+tier+`"`)
		}
	}
	now := time.Now().UTC()
	window := fmt.Sprintf("?bucket_width=1d&start_time=%d&end_time=%d", now.Add(-24*time.Hour).Unix(), now.Add(time.Hour).Unix())
	for path, want := range map[string][]string{
		"/v1/organization/usage/completions":      {`"batch":true`, `"service_tier":"priority"`},
		"/v1/organization/costs":                  {`"line_item":"web search tool calls"`},
		"/v1/organizations/usage_report/messages": {`"service_tier":"batch"`, `"service_tier":"priority"`},
		"/v1/organizations/cost_report":           {`"service_tier":"batch"`},
	} {
		r, err := http.NewRequestWithContext(ctx(t), http.MethodGet, f.url+path+window, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Api-Key", "sk-any")
		body, _ := io.ReadAll(f.open(r).Body)
		contains(t, body, want...)
		if strings.HasSuffix(path, "cost_report") && strings.Contains(string(body), "priority") {
			t.Errorf("%s charges for tokens that are bought by commitment: %s", path, body)
		}
	}
}
