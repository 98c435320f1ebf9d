package vendor_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
)

const (
	openAIUsagePage = `{"object":"page","data":[
{"object":"bucket","start_time":1795392000,"end_time":1795478400,"results":[
{"object":"organization.usage.completions.result","input_tokens":3000,"output_tokens":1500,"input_cached_tokens":1000,"input_cache_write_tokens":200,"num_model_requests":2,"project_id":"proj_1","api_key_id":"key_1","model":"gpt-5.5-2026-04-23","batch":false,"service_tier":"default"},
{"object":"organization.usage.completions.result","input_tokens":10,"output_tokens":5,"input_cached_tokens":0,"input_cache_write_tokens":0,"num_model_requests":1,"project_id":"proj_2","api_key_id":"key_2","model":"gpt-5.5-2026-04-23","batch":true,"service_tier":null}]},
{"object":"bucket","start_time":1795478400,"end_time":1795564800,"results":[]}],"has_more":false,"next_page":null}`

	openAICostsPage = `{"object":"page","data":[{"object":"bucket","start_time":1795392000,"end_time":1795478400,"results":[
{"object":"organization.costs.result","amount":{"value":0.0546,"currency":"usd"},"line_item":"gpt-5.5-2026-04-23, output","project_id":"proj_1"},
{"object":"organization.costs.result","amount":{"value":1.0e-7,"currency":"usd"},"line_item":"gpt-5.5-2026-04-23, input","project_id":"proj_1"}]}],"has_more":false}`

	anthropicUsagePage = `{"data":[{"starting_at":"2026-11-23T00:00:00Z","ending_at":"2026-11-24T00:00:00Z","results":[
{"uncached_input_tokens":100,"cache_read_input_tokens":20,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4},"output_tokens":50,"model":"claude-haiku-4-5-20251001","service_tier":"standard","context_window":"0-200k","api_key_id":"apikey_1","workspace_id":null,"server_tool_use":{"web_search_requests":0}}]}],"has_more":false,"next_page":null}`

	anthropicCostsPage = `{"data":[{"starting_at":"2026-11-23T00:00:00Z","ending_at":"2026-11-24T00:00:00Z","results":[
{"amount":"123.4567","currency":"USD","cost_type":"tokens","description":"Claude Haiku 4.5 Usage - Output Tokens","model":"claude-haiku-4-5-20251001","service_tier":"standard","token_type":"output_tokens","context_window":"0-200k","workspace_id":null}]}],"has_more":false,"next_page":null}`

	openAICostsCSV = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_id,organization_name\n" +
		"1795392000,1795478400,2026-11-23T00:00:00Z,2026-11-24T00:00:00Z,0.25,usd,\"gpt-5.5-2026-04-23, output\",proj_1,org_1,Ours\n"
	openAIUsageCSV = "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens\n" +
		"1795392000,1795478400,2026-11-23T00:00:00Z,2026-11-24T00:00:00Z,proj_1,2,u,key_1,gpt-5.5-2026-04-23,False,default,3000,1500,1000\n"
	anthropicUsageCSV = "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed\n" +
		"2026-11-23,claude-haiku-4-5-20251001,ours,Default,message,≤ 200k,100,3,4,20,50,0,global,standard\n"
	anthropicCostsCSV = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed\n" +
		"2026-11-23,Claude Haiku 4.5,Default,ours,message,≤ 200k,output,1.234567,1.234567,token,global,standard\n"
)

// emptyPage is of the two days after those of the others.
const emptyPage = `{"object":"page","data":[{"object":"bucket","start_time":1795564800,"end_time":1795651200,"results":[]},
{"object":"bucket","start_time":1795651200,"end_time":1795737600,"results":[]}],"has_more":false,"next_page":null}`

// A page on which nothing was billed belongs to a report as any other does, be it the
// first or the last.
func TestEmptyPages(t *testing.T) {
	more := func(page string) string { return strings.Replace(page, `"has_more":false`, `"has_more":true`, 1) }
	for _, files := range [][]string{{more(openAIUsagePage), emptyPage}, {more(emptyPage), openAIUsagePage}, {more(openAIUsagePage) + emptyPage}} {
		s, err := statement(t, vendor.Selection{}, files...)
		if err != nil || s.Rows != 2 || len(s.NoUsage) > 0 {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

func TestDaysWithoutBuckets(t *testing.T) {
	later := strings.NewReplacer("1795392000", "1795651200", "1795478400", "1795737600").Replace(openAIUsageCSV)
	s, err := statement(t, vendor.Selection{}, openAIUsageCSV, later)
	if err != nil || fmt.Sprint(s.NoUsage, s.NoCosts) != "[2026-11-24 2026-11-25] []" {
		t.Errorf("%+v, %v", s, err)
	}
	since := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	s, err = statement(t, vendor.Selection{Since: since, Until: since.AddDate(0, 0, 3)}, openAIUsagePage, openAICostsPage)
	if err != nil || fmt.Sprint(s.NoUsage, s.NoCosts) != "[2026-11-22] [2026-11-22]" {
		t.Errorf("%+v, %v", s, err)
	}
}

func statement(t *testing.T, s vendor.Selection, files ...string) (*vendor.Statement, error) {
	t.Helper()
	r := vendor.NewReading(s)
	for i, f := range files {
		if err := r.File(fmt.Sprintf("file%d", i+1), strings.NewReader(f)); err != nil {
			return nil, err
		}
	}
	return r.Statement("")
}

func TestForms(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  []string
		vendor string
		usage  string
		costs  string
	}{
		{"openai pages", []string{openAIUsagePage, openAIUsagePage[:0] + ""}, "", "", ""},
		{"openai usage", []string{openAIUsagePage}, "openai", "[{gpt-5.5-2026-04-23  2026-11-23 {1800 1000 200 0 1500} 2} {gpt-5.5-2026-04-23 batch 2026-11-23 {10 0 0 0 5} 1}]", "[]"},
		{"openai costs", []string{openAICostsPage}, "openai", "[]", "[{gpt-5.5-2026-04-23   2026-11-23 0.0546001}]"},
		{"anthropic usage", []string{anthropicUsagePage}, "anthropic", "[{claude-haiku-4-5-20251001  2026-11-23 {100 20 3 4 50} unknown}]", "[]"},
		{"anthropic costs, in cents", []string{anthropicCostsPage}, "anthropic", "[]", "[{claude-haiku-4-5-20251001   2026-11-23 1.234567}]"},
		{"openai csv", []string{openAIUsageCSV, openAICostsCSV}, "openai", "[{gpt-5.5-2026-04-23  2026-11-23 {2000 1000 0 0 1500} 2}]", "[{gpt-5.5-2026-04-23   2026-11-23 0.25}]"},
		{"anthropic csv", []string{anthropicUsageCSV, anthropicCostsCSV}, "anthropic", "[{claude-haiku-4-5-20251001  2026-11-23 {100 20 3 4 50} unknown}]", "[{claude-haiku-4-5   2026-11-23 1.234567}]"},
		{"an array of pages", []string{"[" + openAIUsagePage + "]"}, "openai", "[{gpt-5.5-2026-04-23  2026-11-23 {1800 1000 200 0 1500} 2} {gpt-5.5-2026-04-23 batch 2026-11-23 {10 0 0 0 5} 1}]", "[]"},
	} {
		s, err := statement(t, vendor.Selection{}, tt.files...)
		if tt.vendor == "" {
			if err == nil {
				t.Errorf("%s: an empty file is read", tt.name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := fmt.Sprint(s.Usage); s.Vendor != tt.vendor || got != tt.usage {
			t.Errorf("%s: %s, usage %s, want %s", tt.name, s.Vendor, got, tt.usage)
		}
		if got := fmt.Sprint(s.Costs); got != tt.costs {
			t.Errorf("%s: costs %s, want %s", tt.name, got, tt.costs)
		}
	}
}

func TestSelection(t *testing.T) {
	s, err := statement(t, vendor.Selection{Projects: []string{"proj_1"}}, openAIUsagePage)
	if err != nil || len(s.Usage) != 1 || s.LeftOut != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if want := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC); !s.To.Equal(want) {
		t.Errorf("to %s, though the page has an empty bucket up to %s", s.To, want)
	}
}

// within is a CSV file of OpenAI's with an hour of its day, so many seconds after midnight.
func within(day string, after int) string {
	return strings.NewReplacer("1795392000", strconv.Itoa(1795392000+after), "1795478400", strconv.Itoa(1795392000+after+3600)).Replace(day)
}

// What can't be read, or would be compared wrongly, is refused, and the place is named.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		parts []string
	}{
		{"another currency, CSV", []string{strings.Replace(openAICostsCSV, ",usd,", ",eur,", 1)}, []string{"file1:2:", `"eur"`, "US dollars"}},
		{"another currency, page", []string{strings.Replace(openAICostsPage, `"currency":"usd"},"line_item":"gpt-5.5-2026-04-23, input`, `"currency":"cny"},"line_item":"gpt-5.5-2026-04-23, input`, 1)}, []string{"bucket 1", "result 2", `"cny"`}},
		{"another currency, cents", []string{strings.Replace(anthropicCostsPage, `"USD"`, `"EUR"`, 1)}, []string{"result 1", `"EUR"`}},
		{"a CSV cut in a row", []string{openAIUsageCSV + "1795478400,179556"}, []string{"file1:3:", "cut off"}},
		{"a CSV cut in its last field", []string{strings.TrimSuffix(openAIUsageCSV, "00\n")}, []string{"file1:2:", "cut off"}},
		{"a page cut", []string{openAIUsagePage[:len(openAIUsagePage)-40]}, []string{"file1:5:", "cut off"}},
		{"a page cut in a number", []string{openAICostsPage[:150]}, []string{"file1:2:", "cut off"}},
		{"more pages to come", []string{strings.Replace(openAIUsagePage, `"has_more":false`, `"has_more":true`, 1)}, []string{"has_more"}},
		{"pages without a last one", []string{strings.Replace(emptyPage, `"has_more":false`, `"has_more":true`, 1), strings.Replace(openAIUsagePage, `"has_more":false`, `"has_more":true`, 1)}, []string{"usage", "has_more"}},
		{"one empty last page for two reports", []string{strings.Replace(openAIUsagePage, `"has_more":false`, `"has_more":true`, 1), strings.Replace(openAICostsPage, `"has_more":false`, `"has_more":true`, 1), emptyPage}, []string{"has_more"}},
		{"a page twice in a file", []string{openAIUsagePage + "\n" + openAIUsagePage}, []string{"page 2", "bucket 1", "also in file1"}},
		{"a bucket without results", []string{strings.Replace(emptyPage, `"results"`, `"result"`, 1)}, []string{"bucket 1", "no results"}},
		{"a file twice", []string{anthropicUsageCSV, anthropicUsageCSV}, []string{"file2", "also in file1"}},
		{"an hour of a day that is there too", []string{openAIUsageCSV, within(openAIUsageCSV, 3600)}, []string{"file2", "2026-11-23T01:00:00Z", "within that of 2026-11-23T00:00:00Z in file1"}},
		{"a day of an hour that is there too", []string{openAIUsagePage, within(openAIUsageCSV, 3600)}, []string{"file2", "within", "file1"}},
		{"a day and its first hour in a file", []string{openAIUsageCSV + strings.SplitAfter(within(openAIUsageCSV, 0), "\n")[1]}, []string{"file1:3:", "also in file1"}},
		{"two vendors", []string{openAIUsageCSV, anthropicUsageCSV}, []string{"file2:2:", "anthropic", "openai"}},
		{"not grouped by model", []string{strings.Replace(openAIUsagePage, `"model":"gpt-5.5-2026-04-23"`, `"model":null`, 1)}, []string{"bucket 1", "grouped"}},
		{"costs without line items", []string{strings.Replace(openAICostsPage, `"line_item":"gpt-5.5-2026-04-23, output"`, `"line_item":null`, 1)}, []string{"line_item"}},
		{"more cached than there is", []string{strings.Replace(openAIUsagePage, `"input_cached_tokens":1000`, `"input_cached_tokens":4000`, 1)}, []string{"3000 input tokens"}},
		{"no number", []string{strings.Replace(openAIUsageCSV, ",3000,", ",lots,", 1)}, []string{"file1:2:", "lots"}},
		{"a negative count", []string{strings.Replace(openAIUsageCSV, ",1500,", ",-1500,", 1)}, []string{"file1:2:"}},
		{"an amount that is none", []string{strings.Replace(openAICostsCSV, ",0.25,", ",0x25,", 1)}, []string{"file1:2:", "0x25"}},
		{"an amount beyond all", []string{strings.Replace(openAICostsCSV, ",0.25,", ",1e999999,", 1)}, []string{"file1:2:", "1e999999"}},
		{"other columns", []string{"a,b\n1,2\n"}, []string{"file1:1:", "no export"}},
		{"times apart", []string{openAIUsagePage[:0] + openAIUsageCSV, strings.NewReplacer("1795392000", "1795305600", "1795478400", "1795392000").Replace(openAICostsCSV)}, []string{"reports of one time"}},
	} {
		_, err := statement(t, vendor.Selection{}, tt.files...)
		if err == nil {
			t.Errorf("%s: it is taken", tt.name)
			continue
		}
		for _, part := range tt.parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: no %q in %q", tt.name, part, err)
			}
		}
	}
}

// million is a CSV file of a million rows that nobody has to keep.
type million struct {
	row  string
	left int
	rest []byte
	peak uint64 // of the heap, while it was read
}

func (m *million) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		if m.left == 0 {
			return 0, io.EOF
		}
		n := min(m.left, 500)
		m.left -= n
		if m.left%25_000 == 0 {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			m.peak = max(m.peak, now.HeapAlloc)
		}
		m.rest = bytes.Repeat([]byte(m.row), n)
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func TestMillionRows(t *testing.T) {
	head, row, _ := strings.Cut(openAIUsageCSV, "\n")
	r := vendor.NewReading(vendor.Selection{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rows := &million{row: row, left: 1_000_000}
	if err := r.File("big.csv", io.MultiReader(strings.NewReader(head+"\n"), rows)); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if beyond := int64(rows.peak) - int64(before.HeapAlloc); beyond > 16<<20 { // of 129 MB that were read
		t.Errorf("while it was read, the heap had %d bytes more", beyond)
	}
	s, err := r.Statement("")
	if err != nil || s.Rows != 1_000_000 || len(s.Usage) != 1 || s.Usage[0].Tokens.Output != 1_500_000_000 {
		t.Errorf("%+v, %v", s, err)
	}
}
