package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// ran is a command that has run to its end.
type ran struct {
	code           int
	stdout, stderr string
}

// command runs a command against p, with what its process would have.
func (p *process) command(t *testing.T, environ []string, args ...string) ran {
	t.Helper()
	return p.answer(t, "", environ, args...)
}

// answer is command, with something on standard input.
func (p *process) answer(t *testing.T, stdin string, environ []string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	environ = append([]string{
		"RECOUP_DATA_DIR=" + p.dir,
		"RECOUP_LISTEN=" + strings.TrimPrefix(p.url, "http://"), "RECOUP_ADMIN_LISTEN=" + strings.TrimPrefix(p.admin, "http://"),
	}, environ...)
	run := program{environ: environ, stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr}
	code := run.run(ctx, args)
	return ran{code, stdout.String(), stderr.String()}
}

// provided is a gateway with a simulated provider behind it.
func provided(t *testing.T, args ...string) (*process, *simulator.Simulator) {
	t.Helper()
	sim, upstream := startSimulator(t)
	args = append([]string{"--provider=openai=" + upstream, "--provider=anthropic=" + upstream}, args...)
	return serve(t, t.TempDir(), args...), sim
}

// post makes a call with these headers, and returns the answer with its body read.
func (p *process) post(t *testing.T, path, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	resp := p.begin(t, path, body, header)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(data)
}

// begin makes a call whose answer is to be read.
func (p *process) begin(t *testing.T, path, body string, header map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, v := range header {
		req.Header.Set(name, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

const (
	streamedChat  = `{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"Count"}]}`
	wholeMessages = `{"model":"claude-opus-4-8","max_tokens":100,"messages":[{"role":"user","content":"Count"}]}`
)

func TestStreams(t *testing.T) {
	p, sim := provided(t)
	alice := map[string]string{"Authorization": "Bearer sk-alice", "Recoup-Tags": "team=search"}
	bob := map[string]string{"X-Api-Key": "sk-bob", "Anthropic-Version": "2023-06-01"}
	resp, _ := p.post(t, chatURL, streamedChat, alice)
	chat := resp.Header.Get("Recoup-Stream-Id")
	resp, _ = p.post(t, messagesURL, wholeMessages, bob)
	message := resp.Header.Get("Recoup-Stream-Id")
	sim.Next(simulator.Script{Tokens: 50, StallAfterEvents: 5})
	open := p.begin(t, chatURL, streamedChat, alice)
	running := open.Header.Get("Recoup-Stream-Id")
	if err := sim.WaitStalled(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	sim.Next(simulator.Script{Tokens: 50, CutAfterEvents: 5})
	cut := p.begin(t, chatURL, streamedChat, alice)
	_, _ = io.Copy(io.Discard, cut.Body)
	interrupted := cut.Header.Get("Recoup-Stream-Id")

	t.Run("list", func(t *testing.T) {
		all := p.command(t, nil, "streams", "list")
		contains(t, all.stdout, chat, message, running, interrupted, "team=search", "claude-opus-4-8", "streaming", "interrupted (upstream)")
		some := p.command(t, nil, "streams", "list", "--state=completed", "--provider=anthropic", "--format=json")
		var page streamsPage
		if err := json.Unmarshal([]byte(some.stdout), &page); err != nil || len(page.Streams) != 1 || page.Streams[0].ID != message {
			t.Errorf("%v: %s", err, some.stdout)
		}
		first := p.command(t, nil, "streams", "list", "--limit=1")
		contains(t, first.stdout, interrupted, "More: --cursor "+interrupted)
		next := p.command(t, nil, "streams", "list", "--limit=1", "--cursor="+interrupted)
		contains(t, next.stdout, running)
		mine := p.command(t, []string{"OPENAI_API_KEY=sk-alice"}, "streams", "list", "--as-caller", "--state=completed")
		contains(t, mine.stdout, chat)
		if strings.Contains(mine.stdout, message) {
			t.Errorf("alice sees bob's stream:\n%s", mine.stdout)
		}
	})
	t.Run("show", func(t *testing.T) {
		shown := p.command(t, nil, "streams", "show", chat)
		contains(t, shown.stdout, chat, "completed", "/v1/chat/completions", "team=search", "delivered", "3 tokens", "$")
		theirs := p.command(t, []string{"KEY=sk-alice"}, "streams", "show", message, "--as-caller", "--key-env=KEY")
		if theirs.code != exitFailed {
			t.Errorf("code %d: %s", theirs.code, theirs.stdout)
		}
		contains(t, theirs.stderr, "404 stream_not_found")
		own := p.command(t, []string{"KEY=sk-bob"}, "streams", "show", message, "--as-caller", "--key-env=KEY")
		contains(t, own.stdout, message)
	})
	t.Run("tail", func(t *testing.T) {
		for _, tt := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{chat}, 0, "One two three."},
			{[]string{message}, 0, "One two three."},
			{[]string{"--raw", chat}, 0, "data: [DONE]\n\n"},
			{[]string{interrupted}, exitInterrupted, ""},
			{[]string{"--as-caller", chat}, 0, "One two three."},
		} {
			got := p.command(t, []string{"OPENAI_API_KEY=sk-alice"}, append([]string{"streams", "tail"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.stdout, tt.want) {
				t.Errorf("%v: code %d, %q, %s", tt.args, got.code, got.stdout, got.stderr)
			}
		}
	})
	t.Run("wrong", func(t *testing.T) {
		for _, tt := range []struct{ args, want string }{
			{"streams show nonsense", "is not the id of a stream"},
			{"streams show 01a2074c-f1e1-77ad-a80c-728fc60ccbb0", "404 stream_not_found"},
			{"streams list --state=nonsense", "400 invalid_state"},
			{"streams list --as-caller", "OPENAI_API_KEY nor ANTHROPIC_API_KEY is not set"},
			{"streams list --format=xml", "none of table, json"},
			{"streams list --url=http://127.0.0.1:1", "--url and --key-env are for --as-caller"},
			{"streams list --admin-url=http://127.0.0.1:1", "is the gateway running there?"},
			{"streams list --admin-token-file=/nonexistent", "/nonexistent"},
		} {
			got := p.command(t, nil, strings.Fields(tt.args)...)
			if got.code != exitFailed {
				t.Errorf("%s: code %d", tt.args, got.code)
			}
			contains(t, got.stderr, tt.want)
		}
		other := filepath.Join(t.TempDir(), "token")
		write(t, other, strings.Repeat("x", 40))
		got := p.command(t, nil, "streams", "list", "--admin-token-file="+other)
		contains(t, got.stderr, "401 admin_token", "--admin-token-file names the file")
	})
	t.Run("cancel", func(t *testing.T) {
		for _, no := range []string{"", "n\n", "what\n"} {
			if got := p.answer(t, no, nil, "streams", "cancel", running); got.code != exitFailed || !strings.Contains(got.stderr, "nothing was done") {
				t.Errorf("%q: %+v", no, got)
			}
		}
		got := p.answer(t, "y\n", nil, "streams", "cancel", running)
		contains(t, got.stderr, "Cancel "+running+" (streaming, openai, gpt-5.5, 5 events)?")
		contains(t, got.stdout, "cancelled")
		if _, err := io.Copy(io.Discard, open.Body); err == nil {
			t.Error("the client's body has a clean end")
		}
		again := p.command(t, nil, "streams", "cancel", "--yes", running)
		contains(t, again.stdout, "cancelled")
		if got := p.command(t, nil, "streams", "tail", running); got.code != exitCancelled {
			t.Errorf("tail of a cancelled stream: %+v", got)
		}
	})
	p.stop(t)
}

// What is done from the admin plane never owns a stream.
func TestOperatorObserves(t *testing.T) {
	p, sim := provided(t)
	sim.Next(simulator.Script{Tokens: 50, StallAfterEvents: 5})
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+chatURL, strings.NewReader(streamedChat))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-alice")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := sim.WaitStalled(ctx, 1); err != nil {
		t.Fatal(err)
	}
	id := resp.Header.Get("Recoup-Stream-Id")
	tailed := make(chan ran)
	go func() { tailed <- p.command(t, nil, "streams", "tail", id) }()
	var s streamView
	for range 2000 {
		if len(s.Connections) == 2 {
			break
		}
		got := p.command(t, nil, "streams", "show", id, "--format=json")
		if err := json.Unmarshal([]byte(got.stdout), &s); err != nil {
			t.Fatalf("%v: %+v", err, got)
		}
	}
	if len(s.Connections) != 2 {
		t.Fatalf("the operator is not connected: %+v, %+v", s, <-tailed)
	}
	if c := s.Connections[1]; c.Via != "admin" || c.Owner {
		t.Errorf("the operator is connected as %+v", c)
	}
	leave()
	if got := <-tailed; got.code != exitCancelled || !strings.Contains(got.stderr, "disconnect") {
		t.Errorf("when the owner has left: %+v", got)
	}
	// Nothing on the admin plane shows answers without the token.
	for _, path := range []string{"/api/v1/streams", "/api/v1/streams/" + id, "/api/v1/streams/" + id + "/body"} {
		if code, _ := get(t, p.admin+path); code != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d", path, code)
		}
	}
	p.stop(t)
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a b|c": "a b|c", "données": "données", "שלום": "שלום", "🚀": "🚀",
		"a\nb\x1b[31m": "ab[31m", "a\u202eb\u2066c\u200bd": "abcd", "\u0085\u009b": "", "12345678901": "123456789…",
	} {
		if got := printable(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
