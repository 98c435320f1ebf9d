package main

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/recoup-gateway/recoup/internal/gatewaykeys"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

const (
	openaiKey    = "sk-provider-openai-0001"
	anthropicKey = "sk-provider-anthropic-0001"
	geminiKey    = "provider-gemini-0001"
)

// holding is a gateway that holds the keys of its providers, and a simulator that
// is all of them.
func holding(t *testing.T, dir, upstream string, environ ...string) *process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "recoup.yaml")
	write(t, path, "providers:\n"+
		"  openai: {base_url: '"+upstream+"', api_key_env: OPENAI_KEY}\n"+
		"  anthropic: {base_url: '"+upstream+"', api_key_env: ANTHROPIC_KEY}\n"+
		"  gemini: {base_url: '"+upstream+"', api_key_env: GEMINI_KEY}\n"+
		"  open: {base_url: '"+upstream+"'}\n")
	environ = append([]string{"OPENAI_KEY=" + openaiKey, "ANTHROPIC_KEY=" + anthropicKey, "GEMINI_KEY=" + geminiKey}, environ...)
	return serveWith(t, environ, dir, "--config="+path, "--log-level=debug")
}

func startSimulator(t *testing.T) (*simulator.Simulator, string) {
	t.Helper()
	sim := simulator.New(simulator.Options{Default: simulator.Script{Text: "One two three.", Usage: simulator.UsageAlways}})
	upstream, err := sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close() })
	return sim, upstream.URL
}

// newKey makes a key by the command, and returns it with its id.
func (p *process) newKey(t *testing.T, args ...string) (key, id string) {
	t.Helper()
	got := p.command(t, nil, append([]string{"keys", "create"}, args...)...)
	if got.code != 0 {
		t.Fatalf("keys create %v: %+v", args, got)
	}
	id, _, _ = strings.Cut(got.stderr, ",")
	return strings.TrimSpace(got.stdout), id
}

// last is the last line of the bill.
func last(t *testing.T, sim *simulator.Simulator) simulator.Entry {
	t.Helper()
	bill := sim.Bill()
	if len(bill) == 0 {
		t.Fatal("nothing reached the provider")
	}
	return bill[len(bill)-1]
}

// hidden expects that no file of the directory, no line of the log and no header
// that a provider saw has one of these.
func hiddenEverywhere(t *testing.T, p *process, sim *simulator.Simulator, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
		for _, e := range sim.Bill() {
			if strings.HasPrefix(secret, "rk_") && (strings.Contains(e.Query, secret) || headerHas(e.Header, secret)) {
				t.Errorf("a gateway key reached the provider: %s?%s %v", e.Path, e.Query, e.Header)
			}
		}
	}
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s is in %s", secret, path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// headerHas reports whether a provider saw a credential: the bill shows hashes.
func headerHas(h http.Header, secret string) bool {
	for _, values := range h {
		for _, v := range values {
			if strings.Contains(v, secret) || v == simulator.HashCredential(secret) || v == simulator.HashCredential("Bearer "+secret) {
				return true
			}
		}
	}
	return false
}

func TestGatewayKeys(t *testing.T) {
	sim, upstream := startSimulator(t)
	dir := t.TempDir()
	p := holding(t, dir, upstream)
	key, id := p.newKey(t, "--name=ci", "--tag=team=search", "--expires=720h")
	bearer := map[string]string{"Authorization": "Bearer " + key}

	t.Run("the provider's key goes out", func(t *testing.T) {
		for _, tt := range []struct {
			path, body   string
			given        map[string]string
			header, want string
		}{
			{chatURL, streamedChat, bearer, "Authorization", "Bearer " + openaiKey},
			{chatURL, streamedChat, map[string]string{"X-Api-Key": key, "Authorization": "Bearer sk-own", "X-Other": "key " + key}, "Authorization", "Bearer " + openaiKey},
			{chatURL + "?api-version=1&key=" + key, streamedChat, nil, "Authorization", "Bearer " + openaiKey},
			{messagesURL, wholeMessages, map[string]string{"X-Api-Key": key, "Anthropic-Version": "2023-06-01"}, "X-Api-Key", anthropicKey},
			{messagesURL, wholeMessages, map[string]string{"Authorization": "Bearer " + key, "Anthropic-Version": "2023-06-01"}, "X-Api-Key", anthropicKey},
			{"/v1beta/models/g:embedContent?alt=sse", `{}`, map[string]string{"X-Goog-Api-Key": key}, "X-Goog-Api-Key", geminiKey},
			{"/v1/embeddings", `{"model":"e","input":"x"}`, bearer, "Authorization", "Bearer " + openaiKey},
		} {
			p.post(t, tt.path, tt.body, tt.given)
			e := last(t, sim)
			if got := e.Header.Get(tt.header); got != simulator.HashCredential(tt.want) {
				t.Errorf("%s %v: the provider saw %s: %s", tt.path, tt.given, tt.header, got)
			}
			for _, name := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key"} {
				if name != tt.header && e.Header.Get(name) != "" {
					t.Errorf("%s: and %s", tt.path, name)
				}
			}
		}
		if e := sim.Bill()[2]; e.Query != "api-version=1" {
			t.Errorf("the query is %q", e.Query)
		}
	})
	t.Run("refused", func(t *testing.T) {
		calls := sim.Calls()
		for _, tt := range []struct {
			path, code string
			given      map[string]string
		}{
			{chatURL, "gateway_key_required", nil},
			{chatURL, "gateway_key_required", map[string]string{"Authorization": "Bearer sk-own"}},
			{chatURL, "gateway_key_required", map[string]string{"Authorization": "Bearer " + key + "x"}},
			{"/v1/embeddings", "gateway_key_required", nil},
			{"/open/v1/chat/completions", "provider_key_required", bearer},
			{"/open/v1/models", "provider_key_required", map[string]string{"Authorization": "Bearer sk-own", "X-Api-Key": key}},
		} {
			resp, body := p.post(t, tt.path, streamedChat, tt.given)
			var e struct{ Error struct{ Code string } }
			if err := json.Unmarshal([]byte(body), &e); err != nil || resp.StatusCode != http.StatusUnauthorized || e.Error.Code != tt.code || resp.Header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s %v: %s %v %s", tt.path, tt.given, resp.Status, resp.Header, body)
			}
		}
		resp, body := p.post(t, messagesURL, wholeMessages, map[string]string{"Anthropic-Version": "2023-06-01"})
		if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, `"authentication_error"`) {
			t.Errorf("in Anthropic's shape: %s", body)
		}
		if n := sim.Calls(); n != calls {
			t.Errorf("%d calls reached the provider", n-calls)
		}
		p.post(t, "/open/v1/chat/completions", streamedChat, map[string]string{"Authorization": "Bearer sk-own"})
		if e := last(t, sim); e.Header.Get("Authorization") != simulator.HashCredential("Bearer sk-own") {
			t.Errorf("a provider without a key here saw %v", e.Header)
		}
	})
	t.Run("tags", func(t *testing.T) {
		resp, _ := p.post(t, chatURL, streamedChat, map[string]string{"Authorization": "Bearer " + key, "Recoup-Tags": "team=other,feature=chat"})
		got := p.command(t, nil, "streams", "show", resp.Header.Get("Recoup-Stream-Id"))
		contains(t, got.stdout, "feature=chat,team=search")
	})
	t.Run("list", func(t *testing.T) {
		got := p.command(t, nil, "keys", "list")
		contains(t, got.stdout, "ci", id, "team=search")
		var list struct{ Keys []gatewaykeys.Key }
		got = p.command(t, nil, "keys", "list", "--format=json")
		if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || len(list.Keys) != 1 || list.Keys[0].Used == "" || list.Keys[0].Expires.IsZero() {
			t.Errorf("%v: %s", err, got.stdout)
		}
		if code, _ := get(t, p.admin+keysPath); code != http.StatusUnauthorized {
			t.Errorf("without the admin token: %d", code)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		resp, _ := p.post(t, chatURL, streamedChat, bearer)
		stored := "/recoup/streams/" + resp.Header.Get("Recoup-Stream-Id")
		if code, body := getAs(t, p.url+stored, key); code != http.StatusOK || !strings.Contains(body, "[DONE]") {
			t.Errorf("its own stream: %d %s", code, body)
		}
		contains(t, p.command(t, nil, "keys", "revoke", id).stdout, id, "ci")
		for _, path := range []string{stored, stored + "/status", "/recoup/streams", "/v1/models", "/open/v1/models"} {
			if code, body := getAs(t, p.url+path, key); code != http.StatusUnauthorized || !strings.Contains(body, "gateway_key_revoked") {
				t.Errorf("%s with a revoked key: %d %s", path, code, body)
			}
		}
		resp, body := p.post(t, chatURL, streamedChat, bearer)
		if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "gateway_key_revoked") {
			t.Errorf("a call with a revoked key: %s", body)
		}
	})
	p.stop(t)
	hiddenEverywhere(t, p, sim, key, strings.TrimPrefix(key, "rk_"), openaiKey, anthropicKey, geminiKey)
}

// The caller is its gateway key: a restart with another key of the provider, or a
// kill, takes no answer from it.
func TestProviderKeyRotates(t *testing.T) {
	sim, upstream := startSimulator(t)
	dir := t.TempDir()
	p := holding(t, dir, upstream)
	key, _ := p.newKey(t, "--name=agent")
	other, _ := p.newKey(t, "--name=other")
	off, _ := p.newKey(t, "--name=off", "--resume=off")
	call := func(key string) map[string]string {
		return map[string]string{"Authorization": "Bearer " + key, "Idempotency-Key": "run:1"}
	}
	first, whole := p.post(t, chatURL, streamedChat, call(key))
	p.signals <- syscall.SIGTERM
	if code := p.awaitExit(t); code != 0 {
		t.Fatal(p.log)
	}

	p = holding(t, dir, upstream, "OPENAI_KEY=sk-provider-openai-0002")
	again, answer := p.post(t, chatURL, streamedChat, call(key))
	if again.Header.Get("Recoup-Resumed") != "key" || again.Header.Get("Recoup-Stream-Id") != first.Header.Get("Recoup-Stream-Id") || answer != whole {
		t.Errorf("%v: %q", again.Header, answer)
	}
	if n := sim.Calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
	if resp, _ := p.post(t, chatURL, streamedChat, call(other)); resp.Header.Get("Recoup-Resumed") != "no" {
		t.Errorf("another key's call: %v", resp.Header)
	}
	if e := last(t, sim); e.Header.Get("Authorization") != simulator.HashCredential("Bearer sk-provider-openai-0002") {
		t.Errorf("the provider saw %v", e.Header)
	}
	if code, _ := getAs(t, p.url+"/recoup/streams/"+first.Header.Get("Recoup-Stream-Id"), other); code != http.StatusNotFound {
		t.Errorf("another key reads: %d", code)
	}

	// A key whose resume is off resumes nothing.
	var id string
	for range 2 {
		resp, _ := p.post(t, chatURL, streamedChat, call(off))
		if id = resp.Header.Get("Recoup-Stream-Id"); !strings.HasPrefix(resp.Header.Get("Recoup-Resumed"), "no") {
			t.Errorf("resume is off: %v", resp.Header)
		}
	}
	if n := sim.Calls(); n != 4 {
		t.Errorf("%d calls", n)
	}
	if code, body := getAs(t, p.url+"/recoup/streams/"+id, off); code != http.StatusForbidden || !strings.Contains(body, "resume_off") {
		t.Errorf("resume is off: %d %s", code, body)
	}
	p.stop(t)
	hiddenEverywhere(t, p, sim, key, other, off, openaiKey, "sk-provider-openai-0002")
}

func TestMissingProviderKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recoup.yaml")
	write(t, path, "providers:\n  openai: {api_key_env: NO_SUCH_KEY}\n")
	code, stderr := fails(t, "serve", "--config="+path, "--data-dir="+t.TempDir())
	if code != exitUsage {
		t.Errorf("code %d", code)
	}
	contains(t, stderr, path+":2: providers.openai.api_key_env: the variable NO_SUCH_KEY is not set")
	write(t, path, "providers:\n  openai: {api_key_env: gsk_0123456789}\n")
	if _, stderr = fails(t, "serve", "--config="+path, "--data-dir="+t.TempDir()); strings.Contains(stderr, "gsk_") {
		t.Errorf("a key in the wrong place is shown:\n%s", stderr)
	}
}

func getAs(t *testing.T, url, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
