package gateway_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/metrics"
)

const (
	azureChat = "/azure/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
	azureBody = `{"stream":true,"messages":[{"role":"user","content":"hello"}]}`
)

// azure adds the provider as the configuration knows it.
func azure(s *site) {
	p := s.config.Providers["openai"]
	p.Name, p.Deployments, p.KeyHeader, p.BillsFilter = "azure", true, "Api-Key", true
	s.config.Providers["azure"] = p
}

func withAzureKey(key string, more ...string) header {
	return with(header{"Authorization": "", "Api-Key": key}, more...)
}

// TestAzureIsDrained: each of Azure's paths is a stream, goes to the provider as it
// came, and is billed at the model that the answer names, whatever the deployment is
// called.
func TestAzureIsDrained(t *testing.T) {
	s := newSite(t, azure)
	for path, body := range map[string]string{
		azureChat: azureBody,
		"/azure/openai/deployments/gpt-4o/completions?api-version=2024-10-21": `{"stream":true,"prompt":"hello"}`,
		"/azure/openai/v1/chat/completions":                                   strings.Replace(azureBody, "{", `{"model":"gpt-4o",`, 1),
		"/azure/openai/v1/responses":                                          `{"model":"gpt-4o","stream":true,"input":"hello"}`,
		"/azure/openai/responses?api-version=2025-04-01-preview":              `{"model":"gpt-4o","stream":true,"input":"hello"}`,
		"/azure/openai/deployments/gpt-4o/chat/completions":                   `{"model":"gpt-4o","messages":[]}`,
	} {
		s.sim.Next(simulator.Script{Model: "gpt-5.5-2026-04-23", Tokens: 100, Input: 1000})
		resp, got := s.must(200, http.MethodPost, path, body, withAzureKey("sk-alice"))
		id := resp.Header.Get("Recoup-Stream-Id")
		if id == "" {
			t.Errorf("%s is not drained", path)
			continue
		}
		if bytes.Contains(got, []byte(`"usage":{`)) != (strings.Contains(path, "responses") || !strings.Contains(body, "stream")) {
			t.Errorf("%s: the client is shown what it didn't ask for, or not: %s", path, got)
		}
		s.awaitState(id, streamlog.Completed)
		bill := s.sim.Bill()
		e := bill[len(bill)-1]
		if e.Path+"?"+e.Query != strings.TrimPrefix(path, "/azure") && e.Path != strings.TrimPrefix(path, "/azure") {
			t.Errorf("%s went to %s?%s", path, e.Path, e.Query)
		}
		if e.Header.Get("Api-Key") != simulator.HashCredential("sk-alice") {
			t.Errorf("%s went with %v", path, e.Header)
		}
		_, data := s.must(200, http.MethodGet, "/recoup/streams/"+id+"/status", "", withAzureKey("sk-alice"))
		if !bytes.Contains(data, []byte(`"model":"gpt-4o"`)) {
			t.Errorf("%s: the status doesn't name the deployment: %s", path, data)
		}
	}
	s.gateway.SettleForTest()
	for _, r := range s.postings() {
		// gpt-5.5: 1,000 in and 100 out
		if r.Attempt.Model != "gpt-5.5" || r.Attempt.AskedModel != "gpt-4o" || paid(r.Current.Bill) != "$0.008" {
			t.Errorf("booked %+v: %s", r.Attempt, paid(r.Current.Bill))
		}
	}
	s.sameBill()
}

// TestAzureDeploymentsAreNoModels: an answer that was cut before it named its model has no
// price, even if the deployment is called like a model.
func TestAzureDeploymentsAreNoModels(t *testing.T) {
	s := newSite(t, azure)
	s.sim.Next(simulator.Script{CutAfterEvents: -1, Cut: simulator.CutClean})
	resp, _, _ := s.all(http.MethodPost, azureChat, azureBody, withAzureKey("sk-alice"))
	s.awaitConnections(resp.Header.Get("Recoup-Stream-Id"), 0)
	s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Interrupted)
	s.gateway.SettleForTest()
	for _, r := range s.postings() {
		if r.Attempt.Model != "other" || paid(r.Current.Bill) != "$0" {
			t.Errorf("booked %+v: %s", r.Attempt, paid(r.Current.Bill))
		}
	}
}

// TestAzureDeploymentsAreApart: the same body for another deployment is another call.
func TestAzureDeploymentsAreApart(t *testing.T) {
	s := newSite(t, azure)
	h := withAzureKey("alice", "Idempotency-Key", "k")
	s.must(200, http.MethodPost, azureChat, azureBody, h)
	if resp, _ := s.must(200, http.MethodPost, strings.Replace(azureChat, "2024-10-21", "2025-01-01", 1), azureBody, h); resp.Header.Get("Recoup-Resumed") != "key" {
		t.Errorf("the same call of another version: %v", resp.Header)
	}
	s.must(422, http.MethodPost, strings.Replace(azureChat, "gpt-4o", "other", 1), azureBody, h)
	if bob, _ := s.must(200, http.MethodPost, azureChat, azureBody, with(h, "Api-Key", "bob")); bob.Header.Get("Recoup-Resumed") != "no" {
		t.Errorf("bob was given alice's answer: %v", bob.Header)
	}
	if n := s.sim.Calls(); n != 2 {
		t.Errorf("%d calls", n)
	}
}

// TestAzureKeys: a key that the gateway holds goes where Azure looks for it, the client's
// own nowhere, and neither is kept or logged.
func TestAzureKeys(t *testing.T) {
	logs := &lines{}
	var store *gatewaykeys.Store
	s := newSite(t, azure, func(s *site) {
		s.logs = logs
		var err error
		if store, err = gatewaykeys.Open(s.dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		s.keys = store
		p := s.config.Providers["azure"]
		p.APIKeyEnv, p.APIKey = "KEY", heldKey
		s.config.Providers["azure"] = p
	})
	_, key, err := store.Create(gatewaykeys.New{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	s.must(401, http.MethodPost, azureChat, azureBody, withAzureKey("my-own"))
	for _, h := range []header{withAzureKey(key), {"Authorization": "Bearer " + key}} {
		s.must(200, http.MethodPost, azureChat, azureBody, h)
		bill := s.sim.Bill()
		e := bill[len(bill)-1]
		if e.Header.Get("Api-Key") != simulator.HashCredential(heldKey) || e.Header.Get("Authorization") != "" || strings.Contains(fmt.Sprint(e.Header), key) {
			t.Errorf("%v went with %v", h, e.Header)
		}
	}
	s.stop()
	defer s.start()
	logs.mu.Lock()
	defer logs.mu.Unlock()
	for _, secret := range []string{key, heldKey, "my-own"} {
		if file := grep(t, s.dir, secret); file != "" || bytes.Contains(logs.text.Bytes(), []byte(secret)) {
			t.Errorf("%s is in %q, or logged", secret, file)
		}
	}
}

// TestAzureBillsWhatItFilters: a prompt that the filter refuses was read, and is billed;
// another bad request is not.
func TestAzureBillsWhatItFilters(t *testing.T) {
	s := newSite(t, azure)
	filtered := simulator.Script{Status: 400, Error: simulator.ErrorBody{Code: "content_filter", Message: "The prompt was filtered."}}
	wrong := simulator.Script{Status: 400, Error: simulator.ErrorBody{Code: "invalid_value", Message: "No such tool."}}
	whole := `{"messages":[{"role":"user","content":"` + strings.Repeat("hello ", 100) + `"}]}`
	for path, script := range map[string]simulator.Script{azureChat: filtered, azureChat + "&x": wrong, "/v1/chat/completions": filtered} {
		s.sim.Next(script)
		resp, _ := s.must(400, http.MethodPost, path, whole, withAzureKey("sk-alice"))
		s.awaitState(resp.Header.Get("Recoup-Stream-Id"), streamlog.Failed)
	}
	s.gateway.SettleForTest()
	rows := s.postings()
	if len(rows) != 1 {
		t.Fatalf("%d attempts are booked, want that of Azure's filter", len(rows))
	}
	bill := rows[0].Current.Bill
	if bill.Output.Tokens != 0 || len(bill.Input) != 1 || bill.Input[0].Tokens < 50 || bill.Input[0].Tokens > 400 {
		t.Errorf("booked %+v", bill)
	}
}

// TestAzureRecording: the bytes of a recording, asked for by Azure's path, with the first chunk
// that has no choice.
func TestAzureRecording(t *testing.T) {
	s := newSite(t, azure)
	for _, rec := range recordings(t) {
		if rec.Provider != "azure" {
			continue
		}
		path, body := azureChat, azureBody
		if rec.Dialect == "openai-responses" {
			path, body = "/azure/openai/responses?api-version=2025-04-01-preview", strings.Replace(responsesBody, "gpt-5.5", "prod", 1)
		}
		s.sim.Next(rec.script(t))
		resp, got := s.must(200, http.MethodPost, path, body, nil)
		sameBytes(t, rec.File, got, rec.body)
		id := resp.Header.Get("Recoup-Stream-Id")
		s.awaitConnections(id, 0)
		s.awaitState(id, streamlog.Completed)
		if e := s.getInfo(id).End; e.State != streamlog.Completed || e.Model != rec.Model {
			t.Errorf("%s: ended %+v", rec.File, e)
		}
	}
}

// TestGenAINames: what the conventions call providers and operations.
func TestGenAINames(t *testing.T) {
	s, spans := newTracedSite(t, azure, func(s *site) {
		for _, name := range []string{"xai", "mistral", "deepseek", "groq", "perplexity", "mine"} {
			p := s.config.Providers["openai"]
			p.Name = name
			s.config.Providers[name] = p
		}
		p := s.config.Providers["openai"]
		p.Name, p.GenAI = "fast", "groq"
		s.config.Providers["fast"] = p
	})
	for path, want := range map[string]struct{ body, provider, span string }{
		chatPath:                  {chatBody, "openai", "chat gpt-5.5"},
		responsesPath:             {responsesBody, "openai", "chat gpt-5.5"},
		completionsPath:           {completionsBody, "openai", "text_completion gpt-5.5"},
		messagesPath:              {messagesBody, "anthropic", "chat claude-opus-4-8"},
		geminiEventsPath:          {geminiBody, "gcp.gemini", "generate_content gemini-2.5-pro"},
		azureChat:                 {azureBody, "azure.ai.openai", "chat gpt-4o"},
		"/xai" + chatPath:         {chatBody, "x_ai", "chat gpt-5.5"},
		"/mistral" + chatPath:     {chatBody, "mistral_ai", "chat gpt-5.5"},
		"/deepseek" + chatPath:    {chatBody, "deepseek", "chat gpt-5.5"},
		"/groq/openai" + chatPath: {chatBody, "groq", "chat gpt-5.5"},
		"/perplexity" + chatPath:  {chatBody, "perplexity", "chat gpt-5.5"},
		"/fast" + chatPath:        {chatBody, "groq", "chat gpt-5.5"},
		"/mine" + chatPath:        {chatBody, "mine", "chat gpt-5.5"},
	} {
		s.sim.Next(simulator.Script{Tokens: 3})
		resp, _ := s.must(200, http.MethodPost, path, want.body, nil)
		s.awaitConnections(resp.Header.Get("Recoup-Stream-Id"), 0)
		s.gateway.SettleForTest()
		operation, _, _ := strings.Cut(want.span, " ")
		span := spans.of(resp.Header.Get("Recoup-Stream-Id"), want.span)
		spans.expect(span, map[attribute.Key]string{metrics.AttrOperation: operation, metrics.AttrProvider: want.provider})
	}
}

// of returns the ended span of a stream with that name; it may take a moment.
func (r recorded) of(id, name string) sdktrace.ReadOnlySpan {
	r.t.Helper()
	for patience := time.Now().Add(20 * time.Second); time.Now().Before(patience); r.site.gateway.SettleForTest() {
		for _, s := range r.Ended() {
			if s.Name() == name && attributeOf(s, metrics.AttrStreamID).String() == id {
				return s
			}
		}
	}
	r.t.Fatalf("stream %s has no span %q among %s", id, name, r)
	return nil
}

// postings are all attempts that are booked.
func (s *site) postings() (rows []ledger.Row) {
	s.t.Helper()
	err := s.ledger.Attempts(s.t.Context(), 0, func(r ledger.Row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}

// paid is what a bill comes to.
func paid(b ledger.Bill) string {
	sum := b.Output.Amount
	for _, line := range b.Input {
		sum += line.Amount
	}
	return "$" + sum.String()
}
