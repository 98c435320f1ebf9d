package simulator_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func TestCredentials(t *testing.T) {
	f := start(t, simulator.Options{Keys: []string{"k1", "k2"}})
	for name, tc := range map[string]struct {
		header, value, query string
		status               int
	}{
		"none":           {"X-Other", "k1", "", 401},
		"bearer":         {"Authorization", "Bearer k1", "", 200},
		"lower bearer":   {"Authorization", "bearer k2", "", 200},
		"anthropic key":  {"X-Api-Key", "k1", "", 200},
		"google key":     {"X-Goog-Api-Key", "k2", "", 200},
		"key in a query": {"X-Other", "", "?key=k1", 200},
		"a wrong one":    {"Authorization", "Bearer k3", "", 401},
	} {
		r, err := http.NewRequestWithContext(ctx(t), http.MethodPost, f.url+chatPath+tc.query, strings.NewReader(chatWhole))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(tc.header, tc.value)
		resp := f.open(r)
		if resp.StatusCode != tc.status {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
		if e := f.last(); (e.InputTotal() > 0) != (tc.status == 200) {
			t.Errorf("%s: entry %+v", name, e)
		}
	}
	r := f.request(ctx(t), messagesPath, messagesWhole)
	r.Header.Del("Authorization")
	body, _ := io.ReadAll(f.open(r).Body)
	contains(t, body, `"type":"error"`, "authentication_error", "x-api-key header is required", f.last().RequestID)
}

func TestMalformedRequests(t *testing.T) {
	f := start(t, simulator.Options{})
	for _, body := range []string{"", "{", "[]", `{"max_tokens":"many"}`} {
		for path, want := range map[string]string{chatPath: `{"error":{"message":"We could not parse`, messagesPath: `{"type":"error","error":{"type":"invalid_request_error"`} {
			resp, got, err := f.post(path, body)
			if err != nil || resp.StatusCode != http.StatusBadRequest || !bytes.HasPrefix(got, []byte(want)) {
				t.Errorf("%s %q: %d %s %v", path, body, resp.StatusCode, got, err)
			}
		}
	}
}

func TestOtherPaths(t *testing.T) {
	f := start(t, simulator.Options{})
	get := func(method, path string, header ...string) (int, []byte) {
		r := f.request(ctx(t), path, `{"input":["one two","three"],"model":"e"}`)
		r.Method = method
		for _, h := range header {
			r.Header.Set(h, "2023-06-01")
		}
		resp := f.open(r)
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	_, models := get(http.MethodGet, "/v1/models")
	contains(t, models, `"object":"list"`, `"id":"gpt-5.5"`)
	_, models = get(http.MethodGet, "/v1/models", "Anthropic-Version")
	contains(t, models, `"has_more":false`, `"type":"model"`)
	for _, tc := range []struct {
		method, path string
		status       int
		want         string
	}{
		{http.MethodGet, "/v1/none", 404, "Invalid URL (GET /v1/none)"},
		{http.MethodPost, "/", 404, "Invalid URL"},
		{http.MethodGet, chatPath, 405, "Not allowed to GET"},
		{http.MethodGet, messagesPath, 405, `"type":"error"`},
		{http.MethodGet, "/simulator/none", 404, "not found"},
	} {
		status, body := get(tc.method, tc.path)
		if status != tc.status {
			t.Errorf("%s: status %d", tc.path, status)
		}
		contains(t, body, tc.want)
	}
	_, first := get(http.MethodPost, "/v1/embeddings")
	_, second := get(http.MethodPost, "/v1/embeddings")
	got := decode[struct {
		Data []struct{ Embedding []float64 }
	}](t, string(first))
	if !bytes.Equal(first, second) || len(got.Data) != 2 || len(got.Data[0].Embedding) != 8 || reflect.DeepEqual(got.Data[0], got.Data[1]) {
		t.Errorf("embeddings %s", first)
	}
	if e := f.last(); e.Input != 3 || e.Billed != 0 || e.Model != "e" || e.End != simulator.EndCompleted {
		t.Errorf("entry %+v", e)
	}
	if resp, _, _ := f.post("/v1/embeddings", `{"input":7}`); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestEchoTellsWhatArrived(t *testing.T) {
	f := start(t, simulator.Options{})
	r := f.request(ctx(t), "/v1/echo?a=%2Fb&a=c", "hello")
	r.Header["X-Twice"] = []string{"1", "2"}
	var got struct {
		Method, Path, URI, Query, Body string
		Headers                        http.Header
	}
	if err := json.NewDecoder(f.open(r).Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.Path != "/v1/echo" || got.URI != "/v1/echo?a=%2Fb&a=c" || got.Body != "hello" || len(got.Headers["X-Twice"]) != 2 || got.Headers.Get("Authorization") != "Bearer sk-test" {
		t.Errorf("%+v", got)
	}
	_, body, _ := f.post("/v1/echo", "\xff\x00")
	contains(t, body, `"body_base64":"/wA="`)
}

func TestControlOverHTTP(t *testing.T) {
	f := start(t, simulator.Options{})
	call := func(method, what, body string) []byte {
		t.Helper()
		r := f.request(ctx(t), "/simulator/"+what, body)
		r.Method = method
		r.Header.Del("Authorization")
		got, err := io.ReadAll(f.open(r).Body)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	contains(t, call(http.MethodPost, "next", `[{"tokens":5,"stall_after_events":2}]`), `"queued":1`)
	contains(t, call(http.MethodPost, "next", `[{"cut":"x"}]`), "want fin")
	resp := f.open(f.request(ctx(t), chatPath, chatStream))
	if err := f.WaitStalled(ctx(t), 1); err != nil {
		t.Fatal(err)
	}
	contains(t, call(http.MethodPost, "release", ""), `"released":1`)
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	want := f.last()
	var bill []simulator.Entry
	if err := json.Unmarshal(call(http.MethodGet, "bill", ""), &bill); err != nil {
		t.Fatal(err)
	}
	if len(bill) != 1 || bill[0].Billed != 5 || bill[0].RequestID != want.RequestID || !bill[0].Ended.Equal(want.Ended) {
		t.Errorf("bill %+v", bill)
	}
	call(http.MethodPost, "reset", "")
	if f.Calls() != 0 {
		t.Errorf("%d calls", f.Calls())
	}
}
