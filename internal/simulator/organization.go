package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reported is what the reports of usage and costs say of one request.
type Reported struct {
	At        time.Time // by which it is put into a bucket
	Anthropic bool      // whose report it is in
	Model     string
	Project   string // or workspace
	APIKey    string // its id
	Tier      string // "": the standard one
	Requests  int
	Searches  int // on the web, which are charged for apart

	Input, CacheRead, CacheWrite, CacheWrite1h, Output int
}

// organizationPaths are the reports, by the path of the admin API.
var organizationPaths = map[string]func(*organization) (any, error){
	"/v1/organization/usage/completions":      (*organization).openAIUsage,
	"/v1/organization/costs":                  (*organization).openAICosts,
	"/v1/organizations/usage_report/messages": (*organization).anthropicUsage,
	"/v1/organizations/cost_report":           (*organization).anthropicCosts,
}

// organization answers for an organization's admin API from the bill.
type organization struct {
	sim      *Simulator
	r        *http.Request
	rows     []Reported
	from, to time.Time
	width    time.Duration
	limit    int
}

// maxWindow bounds what one report is of.
const maxWindow = 400 * 24 * time.Hour

type object = map[string]any

// organize serves the admin API. It makes no entry on the bill.
func (s *Simulator) organize(w http.ResponseWriter, r *http.Request) {
	status, body := http.StatusOK, any(nil)
	o := &organization{sim: s, r: r}
	err := o.read()
	switch {
	case r.Method != http.MethodGet:
		status, err = http.StatusMethodNotAllowed, fmt.Errorf("not allowed to %s", r.Method)
	case r.Header.Get("X-Api-Key") == "" && r.Header.Get("Authorization") == "":
		status, err = http.StatusUnauthorized, fmt.Errorf("no admin key was given")
	case err == nil:
		body, err = organizationPaths[r.URL.Path](o)
	}
	if err != nil {
		if status == http.StatusOK {
			status = http.StatusBadRequest
		}
		body = object{"error": object{"type": "invalid_request_error", "message": err.Error()}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have left
}

// read reads the parameters that both vendors have, and the bill.
func (o *organization) read() (err error) {
	q := o.r.URL.Query()
	o.width = map[string]time.Duration{"": 24 * time.Hour, "1d": 24 * time.Hour, "1h": time.Hour, "1m": time.Minute}[q.Get("bucket_width")]
	if o.width == 0 {
		return fmt.Errorf("bucket_width %q: want 1m, 1h or 1d", q.Get("bucket_width"))
	}
	if o.from, err = moment(q.Get("start_time"), q.Get("starting_at")); err != nil {
		return err
	}
	if o.to, err = moment(q.Get("end_time"), q.Get("ending_at")); err != nil {
		return err
	}
	if !o.from.Before(o.to) || o.to.Sub(o.from) > maxWindow {
		return fmt.Errorf("from %s to %s: want an end after the start, at most 400 days", o.from.Format(time.RFC3339), o.to.Format(time.RFC3339))
	}
	if o.limit, err = strconv.Atoi(cmp.Or(q.Get("limit"), "7")); err != nil || o.limit < 1 {
		return fmt.Errorf("limit %q: want a number of buckets", q.Get("limit"))
	}
	if page, ok := strings.CutPrefix(q.Get("page"), "page_"); ok {
		if o.from, err = moment(page, ""); err != nil {
			return err
		}
	}
	o.from = o.from.Truncate(o.width)
	for _, e := range o.sim.Bill() {
		if row, ok := reported(&e); ok {
			o.rows = append(o.rows, row)
		}
	}
	if o.sim.opts.Report != nil {
		o.rows = o.sim.opts.Report(o.rows)
	}
	return nil
}

func moment(unix, text string) (time.Time, error) {
	if unix != "" {
		n, err := strconv.ParseInt(unix, 10, 64)
		return time.Unix(n, 0).UTC(), err
	}
	return time.Parse(time.RFC3339, text)
}

// reported is what an entry is in the reports, if it was billed at all.
func reported(e *Entry) (row Reported, ok bool) {
	if e.Ended.IsZero() || e.Model == "" || e.InputTotal()+e.Billed == 0 {
		return row, false
	}
	key := cmp.Or(e.Header.Get("X-Api-Key"), bearer(e.Header.Get("Authorization")))
	key = strings.TrimPrefix(key, "sha256:")
	return Reported{
		At: e.Started, Anthropic: apiPath(e.Path) == "/v1/messages", Model: e.Model, Project: "proj_simulated", APIKey: "key_" + key[:min(len(key), 8)],
		Tier: e.Tier, Requests: 1, Input: e.Input, CacheRead: e.CacheRead, CacheWrite: e.CacheWrite, CacheWrite1h: e.CacheWrite1h, Output: e.Billed, Searches: e.Searches,
	}, true
}

// buckets calls each for all buckets of the page, with what is in them by model, project,
// key and tier.
func (o *organization) buckets(anthropic bool, each func(from, to time.Time, rows []Reported)) (next any) {
	for n, from := 0, o.from; from.Before(o.to); n, from = n+1, from.Add(o.width) {
		if n == o.limit {
			return "page_" + strconv.FormatInt(from.Unix(), 10)
		}
		sums := map[[4]string]Reported{}
		for _, r := range o.rows {
			if r.Anthropic != anthropic || r.At.Before(from) || !r.At.Before(from.Add(o.width)) {
				continue
			}
			key := [4]string{r.Model, r.Project, r.APIKey, r.Tier}
			s := sums[key]
			r.Input, r.CacheRead, r.CacheWrite = r.Input+s.Input, r.CacheRead+s.CacheRead, r.CacheWrite+s.CacheWrite
			r.CacheWrite1h, r.Output, r.Requests = r.CacheWrite1h+s.CacheWrite1h, r.Output+s.Output, r.Requests+s.Requests
			r.Searches += s.Searches
			sums[key] = r
		}
		rows := []Reported{}
		for _, r := range sums {
			rows = append(rows, r)
		}
		slices.SortFunc(rows, func(a, b Reported) int {
			return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Project, b.Project), cmp.Compare(a.APIKey, b.APIKey), cmp.Compare(a.Tier, b.Tier))
		})
		each(from, from.Add(o.width), rows)
	}
	return nil
}

func (o *organization) openAIUsage() (any, error) {
	data := []object{}
	next := o.buckets(false, func(from, to time.Time, rows []Reported) {
		results := []object{}
		for _, r := range rows {
			batch, tier := r.Tier == "batch", cmp.Or(r.Tier, "default")
			if batch {
				tier = "default"
			}
			results = append(results, object{
				"object": "organization.usage.completions.result", "input_tokens": r.Input + r.CacheRead + r.CacheWrite + r.CacheWrite1h,
				"input_cached_tokens": r.CacheRead, "input_cache_write_tokens": r.CacheWrite + r.CacheWrite1h, "input_uncached_tokens": r.Input,
				"output_tokens": r.Output, "num_model_requests": r.Requests, "project_id": r.Project, "api_key_id": r.APIKey, "user_id": nil,
				"model": r.Model, "batch": batch, "service_tier": tier,
			})
		}
		data = append(data, object{"object": "bucket", "start_time": from.Unix(), "end_time": to.Unix(), "results": results})
	})
	return object{"object": "page", "data": data, "has_more": next != nil, "next_page": next}, nil
}

func (o *organization) openAICosts() (any, error) {
	data := []object{}
	next := o.buckets(false, func(from, to time.Time, rows []Reported) {
		results := []object{}
		for _, r := range rows {
			for _, c := range o.charges(&r) {
				results = append(results, object{
					"object": "organization.costs.result", "amount": object{"value": json.Number(c.usd), "currency": "usd"},
					"line_item": lineItem(&r, c.kind), "project_id": r.Project, "api_key_id": r.APIKey, "quantity": nil,
				})
			}
		}
		data = append(data, object{"object": "bucket", "start_time": from.Unix(), "end_time": to.Unix(), "results": results})
	})
	return object{"object": "page", "data": data, "has_more": next != nil, "next_page": next}, nil
}

func (o *organization) anthropicUsage() (any, error) {
	data := []object{}
	next := o.buckets(true, func(from, to time.Time, rows []Reported) {
		results := []object{}
		for _, r := range rows {
			results = append(results, object{
				"uncached_input_tokens": r.Input, "cache_read_input_tokens": r.CacheRead, "output_tokens": r.Output,
				"cache_creation":  object{"ephemeral_5m_input_tokens": r.CacheWrite, "ephemeral_1h_input_tokens": r.CacheWrite1h},
				"server_tool_use": object{"web_search_requests": r.Searches}, "workspace_id": r.Project, "api_key_id": r.APIKey,
				"model": r.Model, "service_tier": cmp.Or(r.Tier, "standard"), "context_window": "0-200k",
			})
		}
		data = append(data, object{"starting_at": from.Format(time.RFC3339), "ending_at": to.Format(time.RFC3339), "results": results})
	})
	return object{"data": data, "has_more": next != nil, "next_page": next}, nil
}

func (o *organization) anthropicCosts() (any, error) {
	data := []object{}
	next := o.buckets(true, func(from, to time.Time, rows []Reported) {
		results := []object{}
		for _, r := range rows {
			if r.Tier == "priority" {
				continue // it is bought by commitment, and never among the costs
			}
			for _, c := range o.charges(&r) {
				result := object{
					"amount": cents(c.usd), "currency": "USD", "cost_type": "tokens", "token_type": c.kind, "description": r.Model + " usage",
					"workspace_id": r.Project, "model": r.Model, "service_tier": cmp.Or(r.Tier, "standard"), "context_window": "0-200k",
				}
				if c.kind == searches {
					result["cost_type"], result["description"] = searches, "Web Search Usage"
					result["token_type"], result["model"], result["service_tier"], result["context_window"] = nil, nil, nil, nil
				}
				results = append(results, result)
			}
		}
		data = append(data, object{"starting_at": from.Format(time.RFC3339), "ending_at": to.Format(time.RFC3339), "results": results})
	})
	return object{"data": data, "has_more": next != nil, "next_page": next}, nil
}

// lineItem is how OpenAI names a charge.
func lineItem(r *Reported, kind string) string {
	if kind == searches {
		return "web search tool calls"
	}
	return r.Model + ", " + kind
}

type charge struct{ kind, usd string }

// searches is the kind of charge that is not for tokens.
const searches = "web_search"

// charges are what a sum costs, by kind. Without Options.Price nothing costs anything.
func (o *organization) charges(r *Reported) (all []charge) {
	if o.sim.opts.Price == nil {
		return nil
	}
	for _, c := range []struct {
		kind  string
		count int
	}{{"input", r.Input}, {"cache_read", r.CacheRead}, {"cache_write_5m", r.CacheWrite}, {"cache_write_1h", r.CacheWrite1h}, {"output", r.Output}, {searches, r.Searches}} {
		if c.count > 0 {
			all = append(all, charge{c.kind, o.sim.opts.Price(r, c.kind, c.count)})
		}
	}
	return all
}

// cents moves the point of decimal dollars.
func cents(usd string) string {
	whole, fraction, _ := strings.Cut(usd, ".")
	fraction += "00"
	return strings.TrimLeft(whole, "0") + fraction[:2] + "." + fraction[2:] + "0"
}
