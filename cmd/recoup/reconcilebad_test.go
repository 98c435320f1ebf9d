package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
)

const (
	costsHead = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
	costsRow  = "1795392000,1795478400,,,1.5,usd,\"gpt-5.5, output\",proj_1\n" // 2026-11-23
	costsPage = `{"object":"page","data":[{"object":"bucket","start_time":1795392000,"end_time":1795478400,"results":[
{"object":"organization.costs.result","amount":{"value":1.5,"currency":"usd"},"line_item":"gpt-5.5, output","project_id":"proj_1"}]}],"has_more":false,"next_page":null}`
	emptyPage = `{"object":"page","data":[{"object":"bucket","start_time":1795392000,"end_time":1795478400,"results":[]}],"has_more":false,"next_page":null}`
	otherPage = `{"data":[{"starting_at":"2026-11-23T00:00:00Z","ending_at":"2026-11-24T00:00:00Z","results":[
{"uncached_input_tokens":1,"output_tokens":1,"model":"claude-haiku-4-5","service_tier":"standard"}]}],"has_more":false,"next_page":null}`
)

// What can't be compared is refused, whoever gave it, with a word of what to do; and
// nothing of it is posted.
func TestReconcileBadInput(t *testing.T) {
	b := newBilled(t)
	b.ask(b.url, paths[vendor.OpenAI], "gpt-5.5", whole)
	b.settled(1)
	more := func(page string) string {
		return strings.Replace(page, `"has_more":false,"next_page":null`, `"has_more":true,"next_page":"page_1"`, 1)
	}
	euros := strings.ReplaceAll(costsRow, "usd", "eur")
	for _, tt := range []struct {
		what  string
		files []string
		args  string
		want  string
	}{
		{"nothing", nil, "", "want files, or --provider openai or anthropic"},
		{"a time backwards", []string{costsHead + costsRow}, "--since=2026-11-24 --until=2026-11-23", "--until is not after --since"},
		{"a time backwards, to fetch", nil, "--provider=openai --since=2026-11-24 --until=2026-11-23", "--until is not after --since"},
		{"no day", nil, "--provider=openai --since=yesterday", "want a day, a month or a time, such as"},
		{"no since", nil, "--provider=openai", "--since: want the day from which on"},
		{"a day to come", nil, "--provider=openai --since=2236-11-24", "there is no whole day (UTC) from then until"},
		{"half a day", nil, "--provider=openai --since=2026-11-23T12:00:00Z", "the reports are fetched by days (UTC)"},
		{"half a day, to post", []string{costsHead + costsRow}, "--until=2026-11-24T12:00:00Z", "only whole days (UTC) can be posted"},
		{"euros", []string{costsHead + costsRow + euros}, "", `file1:3: the currency is "eur": only US dollars`},
		{"euros on a page", []string{strings.Replace(costsPage, `"usd"`, `"eur"`, 1)}, "", `file1: page 1, bucket 1 (2026-11-23T00:00:00Z), result 1: the currency is "eur"`},
		{"a CSV cut in a row", []string{costsHead + costsRow + "1795392000,17"}, "", "file1:3: wrong number of fields: the file is damaged, or was cut off there"},
		{"a CSV cut in its last field", []string{costsHead + costsRow[:len(costsRow)-3]}, "", "file1:2: the last line has no end"},
		{"a CSV cut in quotes", []string{costsHead + costsRow[:40]}, "", "file1:2: extraneous or missing \" in quoted-field: the file is damaged, or was cut off"},
		{"a CSV cut in its head", []string{costsHead[:20]}, "", `file1:1: the columns are those of no export of usage or costs that is known: "start_time,end_time,"`},
		{"a head alone", []string{costsHead}, "", "the reports have no row"},
		{"a page that is cut", []string{costsPage[:200]}, "", "file1:2: the file ends in the middle of a page: it was cut off"},
		{"the first of two pages", []string{more(costsPage)}, "", "the pages of costs say that there are more (has_more): give those too"},
		{"a page twice", []string{costsPage, costsPage}, "", "file2: page 1, bucket 1 (2026-11-23T00:00:00Z), result 1: the bucket of 2026-11-23T00:00:00Z is also in"},
		{"an empty page twice", []string{emptyPage, emptyPage}, "", "it is the same as"},
		{"HTML", []string{"<!doctype html>\n<p>Sign in"}, "", "file1: it is HTML, such as of a page to sign in"},
		{"no text", []string{"PK\x03\x04\x1b[31m"}, "", `"PK\x03\x04\x1b[31m"`},
		{"an error", []string{`{"error":{"message":"no"}}`}, "", "file1: page 1: it has no data: want a page of usage or costs"},
		{"nothing in it", []string{""}, "", "file1: it is empty"},
		{"two vendors", []string{costsPage, otherPage}, "", "it is of anthropic, and what was read before of openai"},
		{"another vendor's provider", []string{costsPage}, "--provider=anthropic", "the reports are of openai, and --provider is anthropic"},
		{"another vendor", []string{costsPage}, "--vendor=anthropic", "the reports are of openai, and --vendor is anthropic"},
		{"a provider that isn't the gateway's", []string{costsPage}, "--provider=openia", `never had a call of provider "openia", which must be the gateway's name of it (--provider): nothing was posted`},
		{"a vendor without reports", nil, "--provider=groq --since=2026-11-23", `of "groq" no admin API is known: want --vendor openai or --vendor anthropic, or files`},
		{"a key in the clear", nil, "--provider=openai --since=2026-11-23 --base-url=http://example.com", "want https"},
	} {
		args := append(strings.Fields(tt.args), "--post")
		for i, text := range tt.files {
			args = append(args, b.file([]string{"file1", "file2"}[i], []byte(text)))
		}
		if did := b.command(t, []string{"OPENAI_ADMIN_KEY=" + adminKey}, append([]string{"reconcile"}, args...)...); did.code != exitFailed || did.stdout != "" || !strings.Contains(did.stderr, tt.want) {
			t.Errorf("%s: no %q in %+v", tt.what, tt.want, did)
		}
	}
	if did := b.command(t, nil, "reconcile", "--provider=openai", "--since=2026-11-23"); did.code != exitFailed || !strings.Contains(did.stderr, "OPENAI_ADMIN_KEY is not set: it wants the admin key") {
		t.Errorf("without a key: %+v", did)
	}
	if got := b.unexplained(); len(got) > 0 {
		t.Errorf("posted: %v", got)
	}
	did := b.command(t, nil, "reconcile", "--post", b.file("file1", []byte(costsHead+costsRow)))
	if got := b.unexplained(); did.code != 0 || len(got) != 1 || got[0] != "openai gpt-5.5  2026-11-23 $1.5" {
		t.Errorf("what is right is not posted: %v %+v", got, did)
	}
}

// answer is one of a vendor's API.
type answer struct {
	what   string
	status int
	header string // "Name: value"
	body   string
	want   string
}

var badAnswers = []answer{
	{"401", 401, "", `{"error":{"message":"Incorrect API key provided: ` + adminKey + `."}}`, `401 Unauthorized ("Incorrect API key provided: …."): it doesn't take the admin key`},
	{"403 in a text", 403, "", `{"error":"Missing scopes: api.usage.read"}`, `403 Forbidden ("Missing scopes: api.usage.read"): the admin key may not read this report`},
	{"404", 404, "", `{"error":{"message":"Invalid URL"}}`, `404 Not Found ("Invalid URL"): the report isn't there: --base-url wants the address before /v1`},
	{"429", 429, "Retry-After: 20", `{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}`, `429 Too Many Requests ("Slow down"): it was asked too often: try again in 20 seconds`},
	{"429 without a time", 429, "", ``, `429 Too Many Requests: it was asked too often: try again in a minute`},
	{"500", 500, "", `<html>oops`, `500 Internal Server Error: it has failed: try again later`},
	{"a redirect", 302, "Location: https://elsewhere.example/login?next=x", ``, `302 Found: it sends on to "https://elsewhere.example", where the admin key isn't sent`},
	{"HTML", 200, "", `<!doctype html><p>Sign in`, `usage of openai, page 1: it is HTML, such as of a page to sign in`},
	{"CSV", 200, "", costsHead + costsRow, `usage of openai, page 1: it begins with 's', and is no page of an admin API`},
	{"nothing", 200, "", ``, `usage of openai, page 1: it is empty`},
	{"half a page", 200, "", costsPage[:200], `usage of openai, page 1:2: the file ends in the middle of a page`},
	{"another report", 200, "", costsPage, `it is of costs of openai, and usage of openai was asked for`},
	{"another vendor's", 200, "", otherPage, `it is of usage of anthropic, and usage of openai was asked for: is --base-url that of another provider?`},
	{"more, but not where", 200, "", strings.Replace(emptyPage, `"has_more":false`, `"has_more":true`, 1), `page 1: it says that there are more pages (has_more), and not where (next_page)`},
	{"the same page for ever", 200, "", strings.Replace(emptyPage, `"has_more":false,"next_page":null`, `"has_more":true,"next_page":"page_1"`, 1), `usage of openai, page 2: it is the same as usage of openai, page 1`},
	{"no buckets", 200, "", `{"object":"page","data":[],"has_more":false}`, `the reports have no bucket in the time that was asked for`},
}

// answered posts what an API says that answers everything in this way.
func (b *billed) answered(a answer, since, until string) ran {
	b.t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if name, value, ok := strings.Cut(a.header, ": "); ok {
			w.Header().Set(name, value)
		}
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.body)) // the command may have left
	}))
	defer api.Close()
	return b.command(b.t, []string{"OPENAI_ADMIN_KEY=" + adminKey}, "reconcile", "--base-url="+api.URL, "--provider=openai", "--since="+since, "--until="+until, "--post")
}

func TestReconcileBadAnswers(t *testing.T) {
	b := newBilled(t)
	b.ask(b.url, paths[vendor.OpenAI], "gpt-5.5", whole)
	b.settled(1)
	for _, a := range badAnswers {
		if did := b.answered(a, "2026-11-23", "2026-11-24"); did.code != exitFailed || did.stdout != "" || !strings.Contains(did.stderr, a.want) || strings.Contains(did.stderr, adminKey) {
			t.Errorf("%s: no %q in %+v", a.what, a.want, did)
		}
	}
	if did := b.command(t, []string{"OPENAI_ADMIN_KEY=" + adminKey}, "reconcile", "--provider=openai", "--since=2026-11-23", "--base-url=http://127.0.0.1:1"); did.code != exitFailed || !strings.Contains(did.stderr, "http://127.0.0.1:1 can't be asked") || strings.Contains(did.stderr, "group_by") {
		t.Errorf("%+v", did)
	}

	// Nothing was billed, and nothing was called: that agrees. The books have a call of today.
	if did := b.answered(answer{status: 200, body: emptyPage}, "2026-11-23", "2026-11-24"); did.code != 0 || !strings.Contains(did.stdout, "agree: neither has anything.\n") {
		t.Errorf("%+v", did)
	}
	b.ahead.Store(int64(26 * time.Hour))
	today := midnight(time.Now())
	dated := strings.NewReplacer("1795392000", strconv.FormatInt(today.Unix(), 10), "1795478400", strconv.FormatInt(today.AddDate(0, 0, 1).Unix(), 10))
	did := b.answered(answer{status: 200, body: dated.Replace(emptyPage)}, today.Format(time.DateOnly), today.AddDate(0, 0, 1).Format(time.DateOnly))
	if did.code != exitFailed || !strings.Contains(did.stderr, "the reports have no row at all, and the books have calls: 1; the key may be of another organization, or the reports late: nothing was posted") {
		t.Errorf("%+v", did)
	}
	if got := b.unexplained(); len(got) > 0 {
		t.Errorf("posted: %v", got)
	}
}
