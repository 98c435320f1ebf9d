package audit_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/pricing"
)

// settle posts the outcomes of an attempt that was pending, as the settling does:
// with the figures of the bill that stands.
func (s *site) settle(row ledger.Row) {
	s.Helper()
	var e settle.Evidence
	if err := json.Unmarshal(row.Current.Evidence, &e); err != nil {
		s.Fatal(err)
	}
	e.History.Steps = append(e.History.Steps, books.Step{At: noon, Do: books.Retention})
	b, err := books.Keep(e.History)
	if err != nil {
		s.Fatal(err)
	}
	p, err := e.Posting(b)
	if err != nil {
		s.Fatal(err)
	}
	p.Attempt = ledger.Attempt{Stream: row.Stream, Number: row.Number}
	p.Revision, p.Reason, p.Bill = row.Current.Number, row.Current.Reason, nil
	if _, err := s.books.Post(p); err != nil {
		s.Fatal(err)
	}
}

func (s *site) serve() *httptest.Server {
	srv := httptest.NewServer(audit.Handler(audit.Options{Ledger: s.books, Prices: pricing.Embedded, Logger: slog.New(slog.DiscardHandler)}))
	s.Cleanup(srv.Close)
	return srv
}

func (s *site) call(method, url, body string, into any) int {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		s.Fatalf("%s: %v", data, err)
	}
	return resp.StatusCode
}

func TestHandler(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s := newSite(t)
	s.post(attempt{n: 1, requestID: "req_1"})
	s.post(attempt{n: 2, requestID: "req_2", facts: graced})
	if _, err := s.books.PostMiss(ledger.Miss{Stream: ledger.ID{1}, Provider: "openai", Model: model, Reason: "ended", At: noon, Amount: 5_000_000_000}); err != nil {
		t.Fatal(err)
	}
	srv := s.serve()
	bill := `{"provider":"openai","complete":true,"from":"2026-11-23T00:00:00Z","to":"2026-11-24T00:00:00Z","lines":[
		{"request_id":"req_1","model":"gpt-5.5","input":{"input":2000},"output":1500,"started":"2026-11-23T12:01:00Z"},
		{"request_id":"req_2","model":"gpt-5.5","input":{"input":2000},"output":1012,"started":"2026-11-23T12:02:00Z","usd":"0.04036"}]}`
	var r audit.Reconciliation
	if code := s.call(http.MethodPost, srv.URL+"/api/v1/reconcile", bill, &r); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	s.expect(r, audit.Reconciliation{Reported: 1, Estimated: 1, Difference: 112, Revisions: 1})
	var sum map[string]any
	if code := s.call(http.MethodGet, srv.URL+"/api/v1/audit", "", &sum); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	for path, want := range map[string]any{
		"billed.usd": "0.09536", "outcomes.delivered.live": 1500., "outcomes.lost.tail": 12., "outcomes.pending": 0., "net_usd": "-0.012",
		"missed.calls": 1., "missed.usd": "0.005", "overhead.crash.usd": "0", "overhead.unclaimed.tokens": 400.,
		"by_model.gpt-5.5.usd": "0.09536", "by_model.gpt-5.5.output_tokens": 2512., "saved.usd_upper": "0", "imbalance_tokens": 0.,
		"evidence.reported.attempts": 1., "evidence.reconciled.usd": "0.04036", "evidence.estimated.attempts": 0., "basis": "reported",
	} {
		if got := at(sum, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	var accounts float64
	for _, a := range sum["accounts"].([]any) {
		accounts += a.(map[string]any)["tokens"].(float64)
	}
	if accounts != 4000+2512 {
		t.Errorf("the accounts hold %v tokens: %v", accounts, sum["accounts"])
	}
}

// at follows a path through JSON objects. Names of models have dots.
func at(v any, path string) any {
	for path != "" {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		found := false
		for name, member := range object {
			if rest, ok := strings.CutPrefix(path, name); ok && (rest == "" || rest[0] == '.') {
				v, path, found = member, strings.TrimPrefix(rest, "."), true
				break
			}
		}
		if !found {
			return nil
		}
	}
	return v
}

func TestHandlerRefuses(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s := newSite(t)
	srv := s.serve()
	for _, tt := range []struct {
		method, path, body, code string
		status                   int
	}{
		{"POST", "/api/v1/reconcile", `{"provider":`, "invalid_bill", 400},
		{"POST", "/api/v1/reconcile", `{"provider":"openai","line":[]}`, "invalid_bill", 400},
		{"POST", "/api/v1/reconcile", `{"provider":"openai"} {}`, "invalid_bill", 400},
		{"POST", "/api/v1/reconcile", `{}`, "invalid_bill", 400},
		{"POST", "/api/v1/reconcile", `{"provider":"` + strings.Repeat("x", 64<<20) + `"}`, "bill_too_large", 413},
		{"GET", "/api/v1/reconcile", "", "not_found", 404},
		{"GET", "/api/v1/nothing", "", "not_found", 404},
	} {
		var got struct {
			Error struct{ Code, Message string }
		}
		if status := s.call(tt.method, srv.URL+tt.path, tt.body, &got); status != tt.status || got.Error.Code != tt.code || got.Error.Message == "" {
			t.Errorf("%s %s %.40s: %d %+v", tt.method, tt.path, tt.body, status, got)
		}
	}
	if err := s.books.Close(); err != nil {
		t.Fatal(err)
	}
	var got struct{ Error struct{ Code string } }
	if status := s.call("GET", srv.URL+"/api/v1/audit", "", &got); status != 500 || got.Error.Code != "books_failed" {
		t.Errorf("without books: %d %+v", status, got)
	}
}
