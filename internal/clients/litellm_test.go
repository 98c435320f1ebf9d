package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// A lite is LiteLLM as a proxy. Its models are the provider's own, and those that it takes
// from the gateway, with "recoup-" in front.
type lite struct {
	url string
}

// liteConfig is its configuration: the provider, the gateway, one that tells callers apart by
// LiteLLM's header. docs/litellm.md has the settings and why.
const liteConfig = `
model_list:
  - {model_name: gpt-5.5, litellm_params: {model: openai/gpt-5.5, api_base: "%[1]s/v1", api_key: sk-bob}}
  - {model_name: claude-opus-4-8, litellm_params: {model: anthropic/claude-opus-4-8, api_base: "%[1]s", api_key: sk-bob}}
  - {model_name: recoup-gpt-5.5, litellm_params: {model: openai/gpt-5.5, api_base: "%[2]s/v1", api_key: sk-alice}}
  - {model_name: recoup-claude-opus-4-8, litellm_params: {model: anthropic/claude-opus-4-8, api_base: "%[2]s", api_key: sk-alice}}
  - model_name: recoup-tagged
    litellm_params:
      model: openai/gpt-5.5
      api_base: "%[2]s/v1"
      api_key: sk-alice
      extra_headers: {Recoup-Tags: "team=search", Recoup-Resume: auto}
  - {model_name: recoup-hasty, litellm_params: {model: openai/gpt-5.5, api_base: "%[2]s/v1", api_key: sk-alice, timeout: 2, stream_timeout: 2, num_retries: 1, extra_headers: {Recoup-Resume: auto}}}
  - {model_name: own-gpt-5.5, litellm_params: {model: openai/gpt-5.5, api_base: "%[3]s/v1", api_key: sk-alice}}
litellm_settings: {num_retries: 0, add_user_information_to_llm_headers: true}
general_settings:
  master_key: sk-alice
  custom_auth: anybody.may
  forward_client_headers_to_llm_api: true
  cancel_on_disconnect: true
`

// anybody is how LiteLLM knows more than one key, without a database.
const anybody = `
from litellm.proxy._types import UserAPIKeyAuth


async def may(request, api_key):
    return UserAPIKeyAuth(api_key=api_key)
`

// callerHeader is what LiteLLM names its caller in.
const callerHeader = "X-Litellm-User_api_key_hash"

// startLite runs it until the test ends.
func startLite(t *testing.T, s *site) *lite {
	t.Helper()
	interpreter, err := venv("litellm-proxy.txt")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(addr) // as Addr makes it
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	apart := s.startGateway([]string{"--principal=header:" + callerHeader})
	for path, text := range map[string]string{config: fmt.Sprintf(liteConfig, s.provider, s.gateway, apart), filepath.Join(dir, "anybody.py"): anybody} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	cmd := exec.Command(filepath.Join(filepath.Dir(interpreter), "litellm"), "--config", config, "--host", "127.0.0.1", "--port", port)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &output, &output
	// It asks the Internet for prices, and tells it of its use, unless it is told not to.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_TELEMETRY=False", "LITELLM_MODE=PRODUCTION"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("LiteLLM: %s", output.Bytes()[max(0, output.Len()-4096):])
		}
	})
	l := &lite{url: "http://" + addr}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(3 * patience)
	for {
		if resp, err := http.Get(l.url + "/health/liveliness"); err == nil {
			_ = resp.Body.Close()
			return l
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("LiteLLM has ended: %v", err)
		case <-late:
			t.Fatal("LiteLLM doesn't get ready")
		}
	}
}

// A post is a call without an SDK: what is said of headers and events is of the wire.
type post struct {
	url     string
	model   string
	plain   bool
	prompt  string
	headers map[string]string
}

// send makes a call. The connection is closed when ctx ends.
func (p post) send(ctx context.Context, t *testing.T) *http.Response {
	t.Helper()
	if p.prompt == "" {
		p.prompt = "hello"
	}
	path := "/v1/chat/completions"
	if strings.Contains(p.model, "claude") {
		path = "/v1/messages"
	}
	body, err := json.Marshal(map[string]any{"model": p.model, "max_tokens": 500, "stream": !p.plain, "messages": []any{map[string]string{"role": "user", "content": p.prompt}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/json")
	for name, value := range p.headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// done makes a call to its end. cut says that its body was broken off.
func (p post) done(t *testing.T) (head *http.Response, body string, cut bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp := p.send(ctx, t)
	if resp == nil {
		t.Fatal("no answer comes")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err != nil
}

// leave makes a call, and closes the connection when the provider is silent; of a stream,
// when that much of the body has been read.
func (p post) leave(t *testing.T, s *site, read int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	left, had := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		if resp := p.send(ctx, t); resp != nil {
			defer resp.Body.Close()
			_, _ = io.CopyN(io.Discard, resp.Body, int64(read))
			close(had)
			<-ctx.Done()
		}
	}()
	s.waitStalled()
	if read > 0 {
		select {
		case <-had:
		case <-ctx.Done():
			t.Error("the stream doesn't begin")
		}
	}
	cancel()
	<-left
}

// liteClients are those that LiteLLM is tried with: the newest SDK of each of its dialects.
func liteClients() (list []client) {
	for _, c := range pythonClients {
		if c.name == "openai-python/chat.create" || c.name == "anthropic-python/messages.stream" || c.name == "litellm/openai" {
			list = append(list, c)
		}
	}
	return list
}

// LiteLLM in front of the gateway and behind it. docs/litellm.md says what works, what
// doesn't, and what it takes; each of its sentences is tried here.
func TestLiteLLM(t *testing.T) {
	if !installed(python.name) {
		t.Skip("it is not of Go: set RECOUP_CLIENTS=1")
	}
	t.Parallel()
	s := newSite(t)
	l := startLite(t, s)
	t.Run("in front", func(t *testing.T) { inFront(t, s.in(t), l) })
	behind := &site{t: t, sim: s.sim, provider: l.url, caller: s.caller}
	behind.gateway = behind.startGateway(nil)
	t.Run("behind", func(t *testing.T) { behindIt(t, behind.in(t), l) })
}

// sameAnswers compares two ways to an answer, of each client.
func sameAnswers(t *testing.T, s *site, direct, through func(client) (base, model string)) {
	for _, c := range liteClients() {
		for _, call := range c.calls {
			if short() && (call == plain || c.module == "litellm") {
				continue
			}
			var got [2]outcome
			for i, way := range []func(client) (string, string){direct, through} {
				base, model := way(c)
				got[i] = s.in(t).once(c, base+c.root, job{Call: call, Model: model}, simulator.Script{Tokens: 20, Seed: 5})
			}
			if a := got[0].Answer; a == nil || !a.Complete || a.Usage.Output != 20 || a.Usage.Input == 0 {
				t.Fatalf("%s, %s: %s", c.name, call, show(got[0]))
			}
			if !reflect.DeepEqual(got[0], got[1]) {
				t.Errorf("%s, %s: through the gateway\n%s\nwithout it\n%s", c.name, call, show(got[1]), show(got[0]))
			}
		}
	}
}

// header is what the provider saw of the newest call.
func (s *site) header() http.Header {
	s.t.Helper()
	s.waitIdle()
	bill := s.sim.Bill()
	if len(bill) == 0 {
		s.t.Fatal("the provider was not called")
	}
	return bill[len(bill)-1].Header
}

// streamStatus is what the gateway says of a stream.
type streamStatus struct {
	State       string
	Tags        map[string]string
	Connections []struct{ Via string }
	Books       struct {
		Input  struct{ Tokens int }
		Output struct {
			Tokens int
			Basis  string
		}
	}
}

func (s *site) status(id string) (state streamStatus) {
	s.t.Helper()
	s.ask(http.MethodGet, "/recoup/streams/"+id+"/status", &state)
	return state
}
