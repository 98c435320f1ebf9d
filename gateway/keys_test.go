package gateway_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

const heldKey = "sk-held-by-the-gateway"

func TestSecretIsNotPrinted(t *testing.T) {
	p := gateway.Provider{Name: "openai", APIKey: heldKey}
	data, err := json.Marshal(struct{ Key gateway.Secret }{p.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", p.APIKey, "provider", p)
	if all := fmt.Sprintf("%v %+v %#v %s %q %s %s", p, p, p, p.APIKey, p.APIKey, data, &log); strings.Contains(all, heldKey) {
		t.Errorf("it is printed: %s", all)
	}
}

// No span has a key, wherever in the request it came.
func TestKeysAreOnNoSpan(t *testing.T) {
	var store *gatewaykeys.Store
	s, spans := newTracedSite(t, func(s *site) {
		var err error
		if store, err = gatewaykeys.Open(s.dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		s.keys = store
		p := s.config.Providers["openai"]
		p.APIKeyEnv, p.APIKey = "KEY", heldKey
		s.config.Providers["openai"] = p
	})
	_, key, err := store.Create(gatewaykeys.New{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	s.must(200, http.MethodPost, chatPath, chatBody, header{"Authorization": "Bearer " + key})
	s.must(401, http.MethodPost, chatPath, chatBody, header{"Authorization": "Bearer none", "X-Other": key})
	for _, h := range []header{
		{"Authorization": "", "Sec-Websocket-Protocol": "realtime, openai-insecure-api-key." + key},
		{"Authorization": "", "Sec-Websocket-Protocol": "openai-insecure-api-key." + key},
		{"Authorization": "", "X-Goog-Api-Key": key},
	} {
		resp := s.do(http.MethodGet, "/v1/realtime?model=m&key="+key, "", h)
		resp.Body.Close()
		bill := s.sim.Bill()
		e := bill[len(bill)-1]
		if seen := fmt.Sprint(e.Header, e.Query); strings.Contains(seen, key) || e.Header.Get("Authorization") != simulator.HashCredential("Bearer "+heldKey) || e.Query != "model=m" {
			t.Errorf("%v: the provider saw %s", h, seen)
		}
	}
	if len(spans.Ended()) < 4 {
		t.Errorf("only %s", spans)
	}
	for _, span := range spans.Ended() {
		if text := fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Links(), span.Status()); strings.Contains(text, key) || strings.Contains(text, heldKey) {
			t.Errorf("a key is on the span %s", text)
		}
	}
}
