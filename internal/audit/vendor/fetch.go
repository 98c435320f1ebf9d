package vendor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Source is a vendor's admin API.
type Source struct {
	Vendor  string
	BaseURL string // empty: the vendor's own
	Key     string // the admin key, which goes nowhere else
	Client  *http.Client
}

// report is one of the two that a vendor has.
type report struct {
	kind Kind
	path string
	by   []string
	page int // buckets of a page
}

var reports = map[string][]report{
	OpenAI: {
		{Usage, "/v1/organization/usage/completions", []string{"project_id", "api_key_id", "model", "batch", "service_tier"}, 31},
		{Cost, "/v1/organization/costs", []string{"project_id", "api_key_id", "line_item"}, 180},
	},
	Anthropic: {
		{Usage, "/v1/organizations/usage_report/messages", []string{"workspace_id", "api_key_id", "model", "service_tier", "context_window"}, 31},
		{Cost, "/v1/organizations/cost_report", []string{"workspace_id", "description"}, 31},
	},
}

var homes = map[string]string{OpenAI: "https://api.openai.com", Anthropic: "https://api.anthropic.com"}

// maxPages is more than any time that is compared at once has.
const maxPages = 1000

// maxPage bounds one page, in bytes.
const maxPage = 256 << 20

// Fetch reads a vendor's reports of the time from r.Since on, before r.Until, by days.
func (r *Reading) Fetch(ctx context.Context, s Source) error {
	home, ok := homes[s.Vendor]
	if !ok {
		return fmt.Errorf("provider %q has no admin API that is known: openai and anthropic have", s.Vendor)
	}
	if s.BaseURL == "" {
		s.BaseURL = home
	}
	r.s.Vendor, r.s.HasUsage = s.Vendor, true // also of a time of nothing
	for _, one := range reports[s.Vendor] {
		if one.kind == Cost && s.Vendor == Anthropic && len(r.APIKeys) > 0 {
			continue // which has no keys
		}
		if err := r.fetch(ctx, &s, one); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reading) fetch(ctx context.Context, s *Source, one report) error {
	next := ""
	r.asked = one.kind
	defer func() { r.asked = "" }()
	for n := 1; n <= maxPages; n++ {
		name := fmt.Sprintf("%s of %s, page %d", one.kind, s.Vendor, n)
		body, err := s.get(ctx, one.path, r.query(s.Vendor, one, next))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		err = r.File(name, io.LimitReader(body, maxPage))
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
		if r.next == "" && r.more {
			return fmt.Errorf("%s: it says that there are more pages (has_more), and not where (next_page): ask for less time at once", name)
		}
		if r.next == "" {
			return nil
		}
		if r.next == next {
			return fmt.Errorf("%s: it says that it is followed by itself", name)
		}
		next = r.next
	}
	return fmt.Errorf("%s of %s: more than %d pages", one.kind, s.Vendor, maxPages)
}

func (r *Reading) query(vendor string, one report, page string) url.Values {
	q := url.Values{"bucket_width": {"1d"}, "limit": {strconv.Itoa(one.page)}, "group_by[]": one.by}
	from, to, format := "start_time", "end_time", func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	if vendor == Anthropic {
		from, to, format = "starting_at", "ending_at", func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	}
	q.Set(from, format(r.Since))
	q.Set(to, format(r.Until))
	if page != "" {
		q.Set("page", page)
	}
	return q
}

// get asks for a page. The key is sent to the base URL and nowhere else: who calls sees
// to it that the client follows no redirects.
func (s *Source) get(ctx context.Context, path string, q url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.BaseURL, "/")+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if s.Vendor == Anthropic {
		req.Header.Set("X-Api-Key", s.Key)
		req.Header.Set("Anthropic-Version", "2023-06-01")
	} else {
		req.Header.Set("Authorization", "Bearer "+s.Key)
	}
	resp, err := s.Client.Do(req)
	if at := (*url.Error)(nil); errors.As(err, &at) {
		return nil, fmt.Errorf("%s can't be asked: %w", s.BaseURL, at.Err) // without the query, which says nothing
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	said := resp.Status
	if message := strings.ReplaceAll(reason(resp.Body), s.Key, "…"); message != "" {
		said += fmt.Sprintf(" (%.200q)", message)
	}
	return nil, fmt.Errorf("%s answers with %s: %s", s.BaseURL, said, advice(resp))
}

// reason is what an error says of itself: OpenAI's and Anthropic's have a message, proxies
// before them may have a text.
func reason(body io.Reader) string {
	var answer struct{ Error json.RawMessage }
	_ = json.NewDecoder(io.LimitReader(body, 64<<10)).Decode(&answer) // what it says is worth a look, no more
	var object struct{ Message string }
	var message string
	if json.Unmarshal(answer.Error, &object) == nil {
		return object.Message
	}
	_ = json.Unmarshal(answer.Error, &message) // likewise
	return message
}

// advice is what to do about an answer that is no report.
func advice(resp *http.Response) string {
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized:
		return "it doesn't take the admin key, which is another than the one for calls: the owner of the organization makes it"
	case code == http.StatusForbidden:
		return "the admin key may not read this report"
	case code == http.StatusNotFound:
		return "the report isn't there: --base-url wants the address before /v1"
	case code == http.StatusTooManyRequests:
		if after, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 20); err == nil {
			return fmt.Sprintf("it was asked too often: try again in %d seconds", after)
		}
		return "it was asked too often: try again in a minute"
	case code/100 == 3:
		to := ""
		if u, err := resp.Location(); err == nil {
			to = fmt.Sprintf(" to %.100q", u.Scheme+"://"+u.Host)
		}
		return "it sends on" + to + ", where the admin key isn't sent: if that is right, give it as --base-url"
	case code/100 == 5:
		return "it has failed: try again later"
	}
	return "no report can be had there"
}
