package gateway_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/recoup-gateway/recoup/gateway"
	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// holding has the gateway hold the keys of all providers, and keys of its own.
func holding(s *site) {
	s.t.Helper()
	store, err := gatewaykeys.Open(s.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	s.keys = store
	for name, p := range s.config.Providers {
		p.APIKeyEnv, p.APIKey = "KEY", heldKey
		s.config.Providers[name] = p
	}
}

// newKey makes a gateway key whose calls can be resumed as resume says.
func (s *site) newKey(resume string) string {
	s.t.Helper()
	_, key, err := s.keys.Create(gatewaykeys.New{Name: "test", Resume: resume})
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

func bearing(key string, more ...string) header {
	return with(header{"Authorization": "Bearer " + key}, more...)
}

// TestPolicyOfAKey: which equal calls of a gateway key continue an orphan. What is
// off for the provider is off, else the key's policy holds, and the call's own word
// as ever.
func TestPolicyOfAKey(t *testing.T) {
	global := func(r gateway.Resume) func(*gateway.Config) { return func(c *gateway.Config) { c.Resume = r } }
	ofProvider := func(r gateway.Resume) func(*gateway.Config) { return func(c *gateway.Config) { resumeOf(c, r) } }
	const missed = "no; reason=not-opted-in"
	for _, c := range []struct {
		name   string
		key    string
		config func(*gateway.Config)
		says   []string // headers of both calls
		want   string
	}{
		{name: "auto", key: gatewaykeys.ResumeAuto, want: "auto"},
		{name: "auto, marked for the provider", key: gatewaykeys.ResumeAuto, config: ofProvider(gateway.ResumeMarked), want: "auto"},
		{name: "auto, an SDK's own retry", key: gatewaykeys.ResumeAuto, says: []string{"X-Stainless-Retry-Count", "1"}, want: "retry"},
		{name: "auto, and the call says never", key: gatewaykeys.ResumeAuto, says: []string{"Recoup-Resume", "never"}, want: "no"},
		{name: "auto, off for all", key: gatewaykeys.ResumeAuto, config: global(gateway.ResumeOff), want: "no"},
		{name: "auto, off for the provider", key: gatewaykeys.ResumeAuto, config: ofProvider(gateway.ResumeOff), want: "no"},
		{name: "marked", key: gatewaykeys.ResumeMarked, want: "no"},
		{name: "marked, auto for all", key: gatewaykeys.ResumeMarked, config: global(gateway.ResumeAuto), want: "no"},
		{name: "marked, auto for the provider", key: gatewaykeys.ResumeMarked, config: ofProvider(gateway.ResumeAuto), want: "no"},
		{name: "marked, and the call says auto", key: gatewaykeys.ResumeMarked, says: []string{"Recoup-Resume", "auto"}, want: "auto"},
		{name: "none, auto for the provider", config: ofProvider(gateway.ResumeAuto), want: "auto"},
		{name: "off, and the call says auto", key: gatewaykeys.ResumeOff, says: []string{"Recoup-Resume", "auto"}, want: missed},
		{name: "off, auto for all", key: gatewaykeys.ResumeOff, config: global(gateway.ResumeAuto), want: missed},
		{name: "off, by key", key: gatewaykeys.ResumeOff, says: []string{"Idempotency-Key", "k"}, want: missed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, holding, func(s *site) {
				p := s.config.Providers["anthropic"]
				p.OnCancel = gateway.BilledInFull // so that there is an orphan, whatever is said
				s.config.Providers["anthropic"] = p
				if c.config != nil {
					c.config(&s.config)
				}
			})
			h := bearing(s.newKey(c.key), c.says...)
			first := s.orphan(messagesPath, messagesBody, h)
			s.waitStalled(1)
			if strings.HasPrefix(c.want, "no") {
				s.awaitConnections(first.id, 0)
				s.sim.Release()
			} else {
				s.releaseOnce(first.id)
			}
			resumed, id, _ := s.again(messagesPath, messagesBody, h)
			if c.want == "no" { // the reason is not what this is about
				resumed, _, _ = strings.Cut(resumed, ";")
			}
			if resumed != c.want && !(c.want == missed && strings.HasPrefix(resumed, "no")) || (id == first.id) == strings.HasPrefix(c.want, "no") {
				t.Errorf("Recoup-Resumed %q, want %q; stream %s after %s", resumed, c.want, id, first.id)
			}
			if e := s.sim.Bill()[0]; e.Header.Get("X-Api-Key") != simulator.HashCredential(heldKey) || e.Header.Get("Authorization") != "" {
				t.Errorf("the provider saw %v", e.Header)
			}
		})
	}
}

// TestOneKeyOneCaller: of two gateway keys, neither is given what the other has
// bought, and with a header that says who is calling the key still is who.
func TestOneKeyOneCaller(t *testing.T) {
	s := newSite(t, holding, func(s *site) {
		s.config.PrincipalHeader = "X-Agent-Id"
		p := s.config.Providers["full"]
		p.APIKeyEnv, p.APIKey = "", ""
		s.config.Providers["full"] = p
	})
	a, b := s.newKey(gatewaykeys.ResumeAuto), s.newKey(gatewaykeys.ResumeAuto)
	first := s.orphan(messagesPath, messagesBody, bearing(a, "X-Agent-Id", "a"))
	s.waitStalled(1)
	s.sim.Release()
	if resumed, id, _ := s.again(messagesPath, messagesBody, bearing(b, "X-Agent-Id", "a")); resumed != "no" || id == first.id {
		t.Errorf("another key: %q", resumed)
	}
	s.must(404, http.MethodGet, "/recoup/streams/"+first.id, "", bearing(b, "X-Agent-Id", "a"))
	if resumed, id, _ := s.again(messagesPath, messagesBody, header{"Authorization": "", "X-Api-Key": a}); resumed != "auto" || id != first.id {
		t.Errorf("the same key: %q", resumed)
	}
	// Without a gateway key, it is the header; a call that is passed through needs none.
	s.must(400, http.MethodPost, "/full"+chatPath, chatBody, nil)
	s.must(200, http.MethodPost, "/full"+chatPath, chatBody, header{"X-Agent-Id": "a"})
	s.must(200, http.MethodGet, "/full/v1/models", "", nil)
}

// TestResponsesOfAKey: a response is read on by the gateway key that has made it, by
// no other one, and by none that resumes nothing.
func TestResponsesOfAKey(t *testing.T) {
	s := newSite(t, holding)
	key, other, off := s.newKey(""), s.newKey(""), s.newKey(gatewaykeys.ResumeOff)
	for maker, reader := range map[string]string{key: key, other: key, off: off} {
		resp, data := s.must(200, http.MethodPost, responsesPath, responsesBody, bearing(maker))
		s.awaitConnections(resp.Header.Get("Recoup-Stream-Id"), 0)
		calls := s.sim.Calls()
		again := s.do(http.MethodGet, after(idOf(t, data), 3), "", bearing(reader))
		again.Body.Close()
		ours := maker == key
		if got := again.Header.Get("Recoup-Resumed"); (got == "id") != ours || !ours && s.sim.Calls() == calls {
			t.Errorf("ours %v: Recoup-Resumed %q, status %d, %d calls after %d", ours, got, again.StatusCode, s.sim.Calls(), calls)
		}
	}
}

// TestProviderNeverSeesAGatewayKey: whatever the dialect, and wherever the client puts
// its key, the provider gets its own, where it expects it.
func TestProviderNeverSeesAGatewayKey(t *testing.T) {
	s := newSite(t, holding)
	key := s.newKey("")
	bare := header{"Authorization": ""}
	for _, c := range []struct {
		name, path, body string
		h                header
		in, query        string // where the provider's key is, and what is left of the query
	}{
		{"gemini, in the query", geminiEventsPath + "&key=" + key, geminiBody, bare, "X-Goog-Api-Key", "alt=sse"},
		{"gemini, alone in the query", geminiArrayPath + "?key=" + key, geminiBody, bare, "X-Goog-Api-Key", ""},
		{"gemini, escaped in the query", geminiEventsPath + "&k%65y=" + strings.Replace(key, "rk_", "rk%5F", 1), geminiBody, bare, "X-Goog-Api-Key", "alt=sse"},
		{"gemini, in another parameter too", geminiEventsPath + "&other=" + key, geminiBody, bearing(key), "X-Goog-Api-Key", "alt=sse"},
		{"gemini, in its header", geminiEventsPath, geminiBody, with(bare, "X-Goog-Api-Key", key), "X-Goog-Api-Key", "alt=sse"},
		{"gemini, as a bearer", geminiEventsPath, geminiBody, bearing(key), "X-Goog-Api-Key", "alt=sse"},
		{"gemini, passed through", "/v1beta/models/gemini-2.5-pro:countTokens?key=" + key, geminiBody, bare, "X-Goog-Api-Key", ""},
		{"passed through, in the idempotency key too", "/v1/embeddings", `{"model":"m","input":"x"}`, bearing(key, "Idempotency-Key", key+":1", "X-Idempotency-Key", key), "Authorization", ""},
		{"passed through, under another subprotocol", "/v1/embeddings", `{"model":"m","input":"x"}`, bearing(key, "Sec-Websocket-Protocol", "realtime, other."+key), "Authorization", ""},
		{"cohere", coherePath, cohereBody, bearing(key), "Authorization", ""},
		{"responses", responsesPath, responsesBody, bearing(key), "Authorization", ""},
		{"anthropic, in other headers too", messagesPath, messagesBody, with(bare, "X-Api-Key", key, "Api-Key", key, "Cookie", "k="+key, "Tracestate", "k="+key), "X-Api-Key", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := s.do(http.MethodPost, c.path, c.body, c.h)
			resp.Body.Close()
			if id := resp.Header.Get("Recoup-Stream-Id"); id != "" {
				s.awaitConnections(id, 0)
			}
			bill := s.sim.Bill()
			e := bill[len(bill)-1]
			want := heldKey
			if c.in == "Authorization" {
				want = "Bearer " + heldKey
			}
			for _, name := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key", "Cookie"} {
				if got := e.Header.Get(name); name == c.in && got != simulator.HashCredential(want) || name != c.in && got != "" {
					t.Errorf("%s: %q", name, got)
				}
			}
			if seen := fmt.Sprint(e.Header, e.Query); e.Query != c.query || strings.Contains(seen, key) {
				t.Errorf("the provider saw %s", seen)
			}
		})
	}
}

// TestKeyOfAWebSocket: the key that a browser puts among the subprotocols is who is
// calling, and does not go on with the upgrade.
func TestKeyOfAWebSocket(t *testing.T) {
	seen := make(chan http.Header, 1)
	says := realtime(t)
	s := newSite(t, providedBy(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		says(w, r)
	}), holding)
	key := s.newKey("")
	dial := func(protocols ...string) (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(t.Context(), s.server.URL+realtimePath, &websocket.DialOptions{HTTPClient: s.client, Subprotocols: protocols})
	}
	for _, protocols := range [][]string{{"realtime", "openai-insecure-api-key." + key}, {"openai-insecure-api-key." + key, "realtime", "openai-beta.realtime-v1"}} {
		ws, _, err := dial(protocols...)
		if err != nil {
			t.Fatal(err)
		}
		say(t, ws, websocket.MessageText, []byte("hello"))
		ws.CloseNow()
		h := <-seen
		if text := fmt.Sprint(h); strings.Contains(text, key) || strings.Contains(text, "insecure") || h.Get("Authorization") != "Bearer "+heldKey || ws.Subprotocol() != "realtime" {
			t.Errorf("%v: the provider saw %s, agreed on %q", protocols, text, ws.Subprotocol())
		}
	}
	if _, resp, err := dial("realtime", "openai-insecure-api-key.sk-own"); err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with another key: %v", err)
	}
}
