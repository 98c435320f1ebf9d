package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/simulator"
)

// script is an hour in a minute: clean runs, a deploy that cuts agents, a failing
// provider, a kill of the gateway, and answers that nobody comes back for.
type script struct {
	t      *testing.T
	sim    *simulator.Simulator
	url    string
	agents sync.WaitGroup
	next   int
}

const (
	chatURL     = "/v1/chat/completions"
	messagesURL = "/v1/messages"
)

// ask makes a call that the provider answers as scripted. The caller closes the body.
func (s *script) ask(ctx context.Context, model, key, text string, does simulator.Script) (*http.Response, error) {
	path := chatURL
	if strings.HasPrefix(model, "claude") {
		path = messagesURL
	}
	body := fmt.Sprintf(`{"model":%q,"stream":true,"max_tokens":2000000,"messages":[{"role":"user","content":%q}]}`, model, text)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer key")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(simulator.ScriptHeader, does.Header())
	req.Header.Set("Recoup-Tags", "team="+[]string{"search", "support"}[len(text)%2])
	if path == messagesURL {
		req.Header.Set("Anthropic-Version", "2023-06-01")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return client.Do(req)
}

// agent does something beside the script.
func (s *script) agent(does func() error) {
	s.agents.Go(func() {
		if err := does(); err != nil {
			s.t.Error(err)
		}
	})
}

// name is one that no other call has.
func (s *script) name() string {
	s.next++
	return fmt.Sprintf("call %d", s.next)
}

// clean is a call that is answered and read.
func (s *script) clean(model string, does simulator.Script) {
	text := s.name()
	s.agent(func() error {
		resp, err := s.ask(s.t.Context(), model, text, text, does)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s, %w", text, resp.Status, err)
		}
		return nil
	})
}

// cut is an agent that is cut off after some events, and comes back after some
// time; less than 0: it never does.
func (s *script) cut(model, key string, back time.Duration, does simulator.Script) {
	text := s.name()
	if key == "key" {
		key = text
	}
	does.Interval = 20 * time.Millisecond
	s.agent(func() error {
		ctx, cancel := context.WithCancel(s.t.Context())
		defer cancel()
		resp, err := s.ask(ctx, model, key, text, does)
		if err != nil {
			return err
		}
		_, err = io.ReadFull(resp.Body, make([]byte, 1000))
		cancel()
		resp.Body.Close()
		if err != nil || back < 0 {
			return err
		}
		<-time.After(back)
		does.Interval = 0
		if resp, err = s.ask(s.t.Context(), model, key, text, does); err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return fmt.Errorf("%s, come back: %w", text, err)
		}
		return nil
	})
}

// fail is a call that the provider fails.
func (s *script) fail(does simulator.Script) {
	text := s.name()
	s.agent(func() error {
		resp, err := s.ask(s.t.Context(), "gpt-5.5", "", text, does)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode == http.StatusOK {
			return fmt.Errorf("%s: the provider was to fail", text)
		}
		return nil
	})
}

// passThrough is a call that is not drained.
func (s *script) passThrough() {
	resp, err := client.Get(s.url + "/v1/models")
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
}

// beforeTheKill is the first half of the hour.
func (s *script) beforeTheKill() {
	tick := func() { <-time.After(500 * time.Millisecond) }
	for range 8 { // nothing happens
		s.clean("gpt-5.5", simulator.Script{Tokens: 60, Input: 3000, CacheRead: 1024, Hidden: 20})
		s.clean("gpt-5.5-mini", simulator.Script{Tokens: 60, Input: 3000})
		s.clean("claude-opus-4-8", simulator.Script{Tokens: 60, Input: 2000, CacheRead: 1024, CacheWrite: 500})
		s.passThrough()
		tick()
	}
	for range 6 { // a deploy cuts agents, most of them come back
		s.cut("gpt-5.5", "key", 300*time.Millisecond, simulator.Script{Tokens: 80, Input: 3000})
		s.cut("gpt-5.5-mini", "key", 600*time.Millisecond, simulator.Script{Tokens: 80, Input: 3000})
		tick()
	}
	s.cut("gpt-5.5", "", 100*time.Millisecond, simulator.Script{Tokens: 80, Input: 3000}) // and one has no key
	s.cut("gpt-5.5-mini", "key", -1, simulator.Script{Tokens: 80, Input: 3000})
	for range 14 { // some never do, which is found out when their time is over
		s.cut("gpt-5.5", "key", -1, simulator.Script{Tokens: 30, Hidden: 800_000, Input: 3000})
		tick()
	}
	for range 14 { // the provider fails
		s.fail(simulator.Script{Status: http.StatusServiceUnavailable})
		s.fail(simulator.Script{Tokens: 40, CutAfterEvents: 10})
		s.clean("gpt-5.5", simulator.Script{Tokens: 20, Input: 100})
		tick()
	}
	s.agents.Wait()
}

// killed are calls during which the gateway is killed.
func (s *script) killed(c *child) {
	for range 3 {
		text := s.name()
		s.agent(func() error {
			resp, err := s.ask(s.t.Context(), "gpt-5.5", text, text, simulator.Script{Tokens: 200, Input: 3000, StallAfterEvents: 50})
			if err != nil {
				return nil // it was killed before the answer's head
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				return fmt.Errorf("%s: the gateway was killed, and the answer is whole", text)
			}
			return nil
		})
	}
	if err := s.sim.WaitStalled(s.t.Context(), 3); err != nil {
		s.t.Fatal(err)
	}
	c.kill()
	s.sim.Release()
	s.agents.Wait()
}

// afterTheKill is the second half.
func (s *script) afterTheKill() {
	for range 8 {
		s.clean("gpt-5.5", simulator.Script{Tokens: 60, Input: 3000})
		s.clean("mystery-1", simulator.Script{Tokens: 10, Input: 100}) // which has no price
		<-time.After(500 * time.Millisecond)
	}
	s.agents.Wait()
}

// bill is what the provider asks for what it calls openai's, and for a call that it
// says was made past the gateway.
func (s *script) bill() audit.Bill {
	bill := billOf(s.sim)
	kept := bill.Lines[:0]
	for _, l := range bill.Lines {
		if !strings.HasPrefix(l.Model, "claude") {
			kept = append(kept, l)
		}
	}
	past := kept[slices.IndexFunc(kept, func(l audit.Line) bool { return l.Model == "gpt-5.5" })]
	past.RequestID, past.Output = "req_past", 10_000
	past.Started, past.Ended = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
	bill.Lines = append(kept, past)
	return bill
}
