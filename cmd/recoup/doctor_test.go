package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

func TestDoctor(t *testing.T) {
	_, upstream := startSimulator(t)
	p := holding(t, t.TempDir(), upstream)
	key, id := p.newKey(t, "--name=ci")
	off, _ := p.newKey(t, "--name=off", "--resume=off")
	auto, _ := p.newKey(t, "--name=auto", "--resume=auto")
	with := func(key string, more ...string) map[string]string {
		h := map[string]string{"Authorization": "Bearer " + key, "User-Agent": "OpenAI/Python 2.8.0"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	before := p.command(t, nil, "doctor")
	contains(t, before.stdout, "No calls since", "resume: marked")
	calls := []struct {
		path   string
		header map[string]string
		would  bool
		parts  []string // of why and of what becomes of the answer
	}{
		{chatURL, with(key, "Idempotency-Key", "secret-run:1"), true, []string{"has an Idempotency-Key", "read on for orphan_grace, 1m0s"}},
		{chatURL, with(key, "X-Stainless-Retry-Count", "2"), false, []string{"retry: ", "nobody says that the answer is to be read on", "cancelled at once"}},
		{chatURL, with(key, "Idempotency-Key", "secret-run:2", "Recoup-On-Disconnect", "cancel"), false, []string{"but says Recoup-On-Disconnect: cancel", "cancelled at once: the call says so"}},
		{chatURL, with(off, "Idempotency-Key", "secret-run:3"), false, []string{"resume is off", "cancelled at once"}},
		{"/v1/embeddings", with(key), false, []string{"passed through", "ends with the client's"}},
		{chatURL, with("sk-own"), false, []string{"refused: gateway_key_required"}},
		{chatURL, with(key, "Recoup-Tags", "none"), false, []string{"refused: invalid_tags"}},
		{chatURL, with(key, "Recoup-Resume", "auto"), true, []string{"auto: ", "read on for orphan_grace"}},
		{chatURL, with(key, "Recoup-Resume", "auto", "Recoup-On-Disconnect", "cancel"), false, []string{"Recoup-On-Disconnect: cancel", "cancelled at once"}},
		{chatURL, with(key, "X-Stainless-Retry-Count", "1", "Recoup-On-Disconnect", "continue"), true, []string{"retry: ", "read on for orphan_grace"}},
		{chatURL, with(auto), true, []string{"auto: ", "read on for orphan_grace"}},
		{chatURL, with(auto, "Recoup-Resume", "never"), false, []string{"Recoup-Resume: never"}},
		{"/v1beta/models/gemini-2.5-pro:countTokens?key=" + key, with("sk-own"), false, []string{"passed through"}},
	}
	for _, tt := range calls {
		p.post(t, tt.path, streamedChat, tt.header)
	}
	got := p.command(t, []string{"OPENAI_BASE_URL=" + p.url + "/v1/", "ANTHROPIC_BASE_URL=https://user:pass@example.com"}, "doctor", "--format=json")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	var d diagnosis
	var seen seenCalls
	if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d.Gateway, &seen); err != nil || len(seen.Calls) != len(calls) {
		t.Fatalf("%v: %s", err, d.Gateway)
	}
	slices.Reverse(seen.Calls)
	for i, tt := range calls {
		s := seen.Calls[i]
		if s.WouldResume != tt.would || s.Agent != "OpenAI/Python" || s.Idempotency != (tt.header["Idempotency-Key"] != "") {
			t.Errorf("call %d: %+v", i, s)
		}
		contains(t, s.Why+"\n"+s.Answer, tt.parts...)
	}
	if s := seen.Calls[1]; s.Retry == nil || *s.Retry != 2 || !s.Streamed || s.Credential != "gateway key" || s.Endpoint != chatURL {
		t.Errorf("%+v", s)
	}
	for _, s := range d.Settings {
		want := map[string]string{"OPENAI_BASE_URL": "as it should be", "ANTHROPIC_BASE_URL": "something else, at example.com", "GOOGLE_GEMINI_BASE_URL": "not set", "": ""}
		if s.Here != want[s.Variable] || (s.Key == "the provider's own") != strings.HasPrefix(s.Client, "open (") && !strings.HasPrefix(s.Client, "groq") {
			t.Errorf("%+v", s)
		}
	}
	contains(t, got.stdout, id)
	for _, secret := range []string{key, off, auto, "sk-own", openaiKey, "secret-run", "user:pass"} {
		if strings.Contains(got.stdout, secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	shown := p.command(t, nil, "doctor")
	contains(t, shown.stdout, "OPENAI_BASE_URL", p.url+"/v1", "a gateway key", "reachable", "ready", "Idempotency-Key", "the SDK's retry")

	// What it says is what happens.
	for _, tt := range calls[:4] {
		resp, _ := p.post(t, tt.path, streamedChat, tt.header)
		if resumed := resp.Header.Get("Recoup-Resumed") == "key"; tt.would && !resumed {
			t.Errorf("%v: %v", tt.header, resp.Header)
		}
	}
	for range 60 { // only the last ones are kept
		p.post(t, "/v1/embeddings", streamedChat, with(key))
	}
	if code, _ := get(t, p.admin+"/api/v1/calls"); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	got = p.command(t, nil, "doctor", "--format=json")
	if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d.Gateway, &seen); err != nil || len(seen.Calls) != 50 || seen.Calls[49].Endpoint != "/v1/embeddings" {
		t.Errorf("%v, %d calls", err, len(seen.Calls))
	}
	p.stop(t)
	if got := p.command(t, nil, "doctor"); got.code != exitFailed {
		t.Errorf("nobody is there: %+v", got)
	} else {
		contains(t, got.stdout, "FAILS")
	}
}

// What doctor says of a killed client is what happens to one: the provider is called
// once where it says yes, and again where it says no.
func TestDoctorIsRight(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		says         map[string]string
		once         bool
	}{
		{name: "nothing"},
		{name: "by key", says: map[string]string{"Idempotency-Key": "run:1"}, once: true},
		{name: "auto", says: map[string]string{"Recoup-Resume": "auto"}, once: true},
		{name: "auto by the gateway key", policy: "auto", once: true},
		{name: "auto by the gateway key, and never", policy: "auto", says: map[string]string{"Recoup-Resume": "never"}},
		{name: "a retry", says: map[string]string{"X-Stainless-Retry-Count": "1"}},
		{name: "a retry of what goes on", says: map[string]string{"X-Stainless-Retry-Count": "1", "Recoup-On-Disconnect": "continue"}, once: true},
	} {
		sim, upstream := startSimulator(t)
		p := holding(t, t.TempDir(), upstream)
		key, _ := p.newKey(t, "--name=ci", "--resume="+c.policy)
		header := map[string]string{"Authorization": "Bearer " + key}
		maps.Copy(header, c.says)
		sim.Next(simulator.Script{Tokens: 50, StallAfterEvents: 5})
		killed := p.begin(t, chatURL, streamedChat, header)
		if err := sim.WaitStalled(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		killed.Body.Close()
		await(t, "the gateway knows that its client is gone, and has given up what nobody can come back for", func() bool {
			var s struct {
				State       string
				Connections []struct{}
			}
			got := p.command(t, nil, "streams", "show", killed.Header.Get("Recoup-Stream-Id"), "--format=json")
			return json.Unmarshal([]byte(got.stdout), &s) == nil && s.Connections != nil && len(s.Connections) == 0 && (c.once || s.State == "cancelled")
		})
		sim.Release()
		p.post(t, chatURL, streamedChat, header)
		if n := sim.Calls(); (n == 1) != c.once {
			t.Errorf("%s: %d calls", c.name, n)
		}
		var seen seenCalls
		if got := p.command(t, nil, "doctor", "--format=json"); got.code != 0 {
			t.Errorf("%+v", got)
		} else if err := json.Unmarshal([]byte(got.stdout), &struct{ Gateway *seenCalls }{&seen}); err != nil || len(seen.Calls) != 2 || seen.Calls[1].WouldResume != c.once {
			t.Errorf("%s: %v, doctor says %+v", c.name, err, seen.Calls)
		}
		p.stop(t)
	}
}
