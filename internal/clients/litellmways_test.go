package clients

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// fromProvider is a header of the gateway's as LiteLLM shows it.
const fromProvider = "Llm_provider-"

// inFront: client, LiteLLM, gateway, provider.
func inFront(t *testing.T, s *site, l *lite) {
	t.Run("the same answers", func(t *testing.T) {
		sameAnswers(t, s, func(c client) (string, string) { return l.url, c.dialect.model },
			func(c client) (string, string) { return l.url, "recoup-" + c.dialect.model })
	})
	t.Run("headers", func(t *testing.T) { headersInFront(t, s.in(t), l) })
	t.Run("hasty", func(t *testing.T) { hasty(t, s.in(t), l) })
	t.Run("callers", func(t *testing.T) { callersApart(t, l) })
	for _, model := range []string{"recoup-gpt-5.5", "recoup-claude-opus-4-8"} {
		for _, left := range []death{midStream, beforeHead, wholeJSON} {
			for name, value := range map[string]string{"X-Idempotency-Key": "run-7:", "X-Recoup-Resume": "auto"} {
				t.Run(fmt.Sprintf("%s killed %s, %s", model, left, name), func(t *testing.T) {
					comesBack(t, s.in(t), left, post{url: l.url, model: model, prompt: string(left) + name, headers: map[string]string{name: value}})
				})
			}
		}
	}
	t.Run("cut", func(t *testing.T) {
		for model, cut := range map[string]simulator.Cut{"gpt-5.5": simulator.CutClean, "claude-opus-4-8": simulator.CutFIN} {
			s.sim.Reset()
			s.sim.Next(simulator.Script{Tokens: 40, CutAfterEvents: 20, Cut: cut})
			_, body, broken := post{url: l.url, model: "recoup-" + model}.done(t)
			if strings.Contains(body, `"finish_reason":"stop"`) || strings.Contains(body, "message_stop") || !broken && !strings.Contains(body, `"error"`) {
				t.Errorf("%s looks whole: %s", model, body)
			}
		}
	})
}

func headersInFront(t *testing.T, s *site, l *lite) {
	s.sim.Reset()
	resp, body, _ := post{url: l.url, model: "recoup-gpt-5.5", headers: map[string]string{
		"X-Recoup-Tags": "team=web", "X-Idempotency-Key": "run-7:headers", "Idempotency-Key": "run-7:unseen", "Recoup-On-Disconnect": "bad",
	}}.done(t)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "[DONE]") {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if strings.Contains(body, `"usage"`) {
		t.Errorf("usage that nobody asked for: %s", body)
	}
	id := resp.Header.Get(fromProvider + "Recoup-Stream-Id")
	if state := s.status(id); state.Tags["team"] != "web" || state.Books.Output.Tokens != simulator.DefaultTokens || state.Books.Output.Basis != "reported" {
		t.Errorf("stream %q: %+v", id, state)
	}
	h := s.header()
	if h.Get("X-Idempotency-Key") != "run-7:headers" || h.Get("Idempotency-Key") != "" {
		t.Errorf("the provider saw %v", h)
	}
	resp, _, _ = post{url: l.url, model: "recoup-tagged", headers: map[string]string{"X-Recoup-Tags": "team=web"}}.done(t)
	if state := s.status(resp.Header.Get(fromProvider + "Recoup-Stream-Id")); state.Tags["team"] != "search" {
		t.Errorf("LiteLLM's own header lost: %+v", state)
	}
	resp, _, _ = post{url: l.url, model: "recoup-claude-opus-4-8", plain: true}.done(t)
	if id := resp.Header.Get(fromProvider + "Recoup-Stream-Id"); id != "" {
		t.Errorf("it shows headers of messages that are not streamed: docs/litellm.md says that it doesn't")
	}
}

// hasty: LiteLLM gives up, and repeats the call by itself. Without auto it would buy it again.
func hasty(t *testing.T, s *site, l *lite) {
	for _, plain := range []bool{false, true} {
		s.sim.Reset()
		s.sim.Next(simulator.Script{Tokens: 60, StallHead: true})
		done := make(chan *http.Response, 1)
		go func() {
			resp, _, _ := post{url: l.url, model: "recoup-hasty", plain: plain, prompt: fmt.Sprint("hasty ", plain)}.done(t)
			done <- resp
		}()
		s.waitStalled()
		s.await("the second call", func(n streamStatus) bool { return len(n.Connections) == 1 && n.Connections[0].Via == "auto" })
		s.sim.Release()
		resp := <-done
		s.waitIdle()
		if got := resp.Header.Get(fromProvider + "Recoup-Resumed"); got != "auto" || s.sim.Calls() != 1 {
			t.Errorf("resumed by %q, the provider was called %d times", got, s.sim.Calls())
		}
	}
}

// callersApart: a gateway that goes by LiteLLM's word keeps its callers apart, and none can
// say to be another.
func callersApart(t *testing.T, l *lite) {
	resumed := func(caller string, more map[string]string) string {
		headers := map[string]string{"Authorization": "Bearer " + caller, "X-Idempotency-Key": "run-7:shared"}
		maps.Copy(headers, more)
		resp, _, _ := post{url: l.url, model: "own-gpt-5.5", headers: headers}.done(t)
		return resp.Header.Get(fromProvider + "Recoup-Resumed")
	}
	for i, call := range []struct {
		caller  string
		headers map[string]string
		want    string
	}{
		{"sk-carol", nil, "no"},
		{"sk-dave", nil, "no"},
		{"sk-carol", nil, "key"},
		{"sk-erin", map[string]string{callerHeader: "sk-carol"}, "no"},
		{"sk-frank", map[string]string{callerHeader: "sk-carol"}, "no"}, // else that would be erin's
	} {
		if got := resumed(call.caller, call.headers); got != call.want {
			t.Errorf("call %d, of %s: %q", i, call.caller, got)
		}
	}
}

// A death is when a client leaves.
type death string

const (
	midStream  death = "in mid-stream"
	beforeHead death = "before the answer"
	wholeJSON  death = "waiting for JSON"
)

// comesBack is a client that leaves and makes its call again: the provider is called once,
// for an answer that arrives whole.
func comesBack(t *testing.T, s *site, left death, p post) {
	p.plain = left == wholeJSON
	if key := p.headers["X-Idempotency-Key"]; key != "" {
		p.headers["X-Idempotency-Key"] = key + p.model + string(left)
	}
	script, read := simulator.Script{Tokens: 60, StallHead: true}, 0
	if left == midStream {
		script, read = simulator.Script{Tokens: 60, StallAfterEvents: 20}, 500
	}
	s.sim.Reset()
	s.sim.Next(script)
	p.leave(t, s, read)
	s.awaitNoReader()
	again := make(chan string, 1)
	go func() {
		_, body, _ := p.done(t)
		again <- body
	}()
	s.awaitBack()
	s.sim.Release()
	body := <-again
	s.waitIdle()
	if n := s.sim.Calls(); n != 1 {
		t.Fatalf("the provider was called %d times", n)
	}
	if e := s.sim.Bill()[0]; e.End != simulator.EndCompleted || e.Billed != 60 {
		t.Errorf("the bill says %+v", e)
	}
	if n := strings.Count(body, `"text_delta"`) + strings.Count(body, `"content":"`); !p.plain && n < 60 {
		t.Errorf("%d pieces of 60: %s", n, body)
	}
}

// awaitBack waits until it is read again.
func (s *site) awaitBack() {
	s.t.Helper()
	s.await("a reader", func(n streamStatus) bool { return len(n.Connections) > 0 })
}

// await waits until the newest stream is as it should be.
func (s *site) await(what string, is func(streamStatus) bool) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		if id := s.newest(); id != "" && is(s.status(id)) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// behindIt: client, gateway, LiteLLM, provider. The gateway's provider is LiteLLM.
func behindIt(t *testing.T, s *site, l *lite) {
	t.Run("the same answers", func(t *testing.T) {
		sameAnswers(t, s, func(c client) (string, string) { return l.url, c.dialect.model },
			func(c client) (string, string) { return s.gateway, c.dialect.model })
	})
	t.Run("headers and usage", func(t *testing.T) {
		s := s.in(t)
		s.sim.Reset()
		resp, body, cut := post{url: s.gateway, model: "gpt-5.5", headers: map[string]string{"X-Recoup-Tags": "team=web"}}.done(t)
		if cut || strings.Contains(body, `"usage"`) || !strings.Contains(body, "[DONE]") {
			t.Errorf("cut: %v, or usage that nobody asked for: %s", cut, body)
		}
		if resp.Header.Get("X-Litellm-Call-Id") == "" || resp.Header.Get("Recoup-Resumed") != "no" {
			t.Errorf("head %v", resp.Header)
		}
		state := s.status(resp.Header.Get("Recoup-Stream-Id"))
		if state.Tags["team"] != "web" || state.Books.Output.Tokens != simulator.DefaultTokens || state.Books.Output.Basis != "reported" || state.Books.Input.Tokens == 0 {
			t.Errorf("%+v", state)
		}
		for name := range s.header() {
			if strings.Contains(name, "Recoup") {
				t.Errorf("the provider saw %s", name)
			}
		}
	})
	for _, left := range []death{midStream, beforeHead, wholeJSON} {
		t.Run("killed "+string(left), func(t *testing.T) {
			comesBack(t, s.in(t), left, post{url: s.gateway, model: "gpt-5.5", prompt: string(left), headers: map[string]string{"X-Idempotency-Key": "run-8:"}})
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		s := s.in(t)
		s.sim.Reset()
		s.sim.Next(simulator.Script{Tokens: 60, StallAfterEvents: 20})
		post{url: s.gateway, model: "gpt-5.5", prompt: "stop"}.leave(t, s, 500)
		s.waitIdle()
		if e := s.sim.Bill()[0]; e.End != simulator.EndGone || e.Billed > 20 {
			t.Errorf("LiteLLM did not pass it on: %+v", e)
		}
	})
	t.Run("errors", func(t *testing.T) {
		s.sim.Reset()
		s.sim.Next(simulator.Script{Status: http.StatusTooManyRequests})
		if resp, body, _ := (post{url: s.gateway, model: "gpt-5.5"}).done(t); resp.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "RateLimitError") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})
	t.Run("cut", func(t *testing.T) { cutBehind(t, s.in(t)) })
}

// cutBehind: what LiteLLM makes of an answer that its provider ends early is all that the gateway has.
func cutBehind(t *testing.T, s *site) {
	for _, c := range []struct {
		model string
		cut   simulator.Cut
		whole bool
	}{
		{"gpt-5.5", simulator.CutFIN, false},
		{"claude-opus-4-8", simulator.CutFIN, false},
		{"claude-opus-4-8", simulator.CutClean, false},
		{"gpt-5.5", simulator.CutClean, true}, // it makes up a finish_reason
	} {
		s.sim.Reset()
		s.sim.Next(simulator.Script{Tokens: 40, CutAfterEvents: 20, Cut: c.cut})
		resp, body, broken := post{url: s.gateway, model: c.model, prompt: "cut"}.done(t)
		whole := !broken && resp.StatusCode == http.StatusOK && !strings.Contains(body, `"error"`)
		if whole != c.whole {
			t.Errorf("%s, %s: looks whole: %v, %d %s", c.model, c.cut, whole, resp.StatusCode, body)
		}
	}
}
