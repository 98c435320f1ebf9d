package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/simulator"
)

// watched is what the console reads of an event.
type watched struct {
	name string
	data struct {
		Live, Orphaned int
		Streams        []struct {
			ID       string
			Orphaned bool
			Model    string
			Tags     map[string]string
			Tokens   int64 `json:"output_tokens"`
			Unpriced bool
		}
		Figures *struct {
			Paid   string               `json:"paid_usd"`
			AtRisk struct{ USD string } `json:"at_risk"`
		}
		Line struct {
			Lately struct {
				Since time.Time
				USD   string `json:"for_nothing_usd"`
			}
			Day struct {
				Since                     time.Time
				Net                       string `json:"net_usd"`
				Breaks, Resumed, Unpriced int
			}
			Balance *struct {
				Imbalance   int     `json:"imbalance_tokens"`
				Unexplained *string `json:"unexplained_usd"`
			}
			Log struct{ Full float64 }
		} `json:"first_line"`
	}
	happened []struct {
		Seq                             uint64
		What, Stream, Cause, Via, State string
	}
}

// watch opens the events of a gateway. next returns the next one; false: they have ended.
func (p *process) watch(t *testing.T) (resp *http.Response, next func() (watched, bool)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.admin+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	return resp, func() (w watched, ok bool) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF {
				return w, false
			}
			if err != nil {
				t.Fatal(err)
			}
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				w.name = strings.TrimSpace(name)
			}
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				continue
			}
			var into any = &w.data
			if w.name == "happened" {
				into = &w.happened
			}
			if err := json.Unmarshal([]byte(data), into); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
			return w, true
		}
	}
}

// chat calls with a key and these tags, and reads the first event.
func (p *process) chat(t *testing.T, key string, s simulator.Script) *http.Response {
	t.Helper()
	resp := p.begin(t, "/v1/chat/completions", streamedChat, map[string]string{
		"Authorization": "Bearer sk", "Idempotency-Key": key, "Recoup-Tags": "team=<script>", simulator.ScriptHeader: s.Header(),
	})
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return resp
}

// Who watches sees a stream come, break off, be resumed and end, and what it cost.
func TestEvents(t *testing.T) {
	t.Parallel()
	p, sim := provided(t)
	resp, next := p.watch(t)
	if got := resp.Header; resp.StatusCode != 200 || got.Get("Content-Type") != "text/event-stream" || got.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", resp.Status, got)
	}
	if first, ok := next(); !ok || first.name != "hello" {
		t.Errorf("the first event is %+v", first)
	}
	overview := func(what string, is func(watched) bool) {
		t.Helper()
		for {
			w, ok := next()
			if !ok {
				t.Fatalf("never: %s", what)
			}
			if w.name == "overview" && is(w) {
				return
			}
		}
	}
	happened := func(want string) {
		t.Helper()
		for {
			w, ok := next()
			if !ok {
				t.Fatalf("no %s", want)
			}
			for _, h := range w.happened {
				if strings.Join([]string{h.What, h.Cause, h.Via, h.State}, " ") == want {
					return
				}
			}
		}
	}
	slow := simulator.Script{Tokens: 20, StallAfterEvents: 10, Usage: simulator.UsageAlways}
	first := p.chat(t, "k", slow)
	id := first.Header.Get("Recoup-Stream-Id")
	overview("it is live", func(w watched) bool {
		return w.data.Live == 1 && w.data.Orphaned == 0 && w.data.Streams[0].ID == id && w.data.Streams[0].Tags["team"] == "<script>" && w.data.Streams[0].Tokens > 0 && !w.data.Streams[0].Unpriced
	})
	_ = first.Body.Close()
	happened("break client  ")
	p.chat(t, "k", slow)
	happened("resume  key ")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := sim.WaitStalled(ctx, 1); err != nil {
		t.Fatal(err)
	}
	sim.Release()
	overview("it is paid, and the resume counted", func(w watched) bool {
		day := w.data.Line.Day
		return w.data.Live == 0 && w.data.Figures != nil && w.data.Figures.Paid != "0" &&
			day.Breaks == 1 && day.Resumed == 1 && day.Net != "0" && day.Net[0] != '-' && w.data.Line.Lately.USD == "0" && day.Since.Equal(w.data.Line.Lately.Since)
	})

	// What has no price doesn't cost nothing.
	p.begin(t, "/v1/chat/completions", `{"model":"nobody-knows","stream":true,"messages":[{"role":"user","content":"x"}]}`, map[string]string{
		"Authorization": "Bearer sk", simulator.ScriptHeader: slow.Header(),
	})
	overview("it has no price", func(w watched) bool {
		return w.data.Live == 1 && w.data.Streams[0].Model == "nobody-knows" && w.data.Streams[0].Tokens > 0 && w.data.Streams[0].Unpriced
	})
	if err := sim.WaitStalled(ctx, 1); err != nil {
		t.Fatal(err)
	}
	sim.Release()
	overview("it has ended", func(w watched) bool { return w.data.Live == 0 })

	// All have ended when the gateway has, which doesn't wait for them.
	began := time.Now()
	p.stop(t)
	for ok := true; ok; {
		_, ok = next()
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the stop took %s", took)
	}
}

// What nobody comes back for is being lost, as the dashboards' first line says it, from
// when it is posted.
func TestLosing(t *testing.T) {
	t.Parallel()
	p, _ := provided(t, "--retention=2s", "--orphan-grace=1s")
	_, next := p.watch(t)
	_ = p.chat(t, "k", simulator.Script{Tokens: 20, StallAfterEvents: 10, Usage: simulator.UsageAlways}).Body.Close()
	for {
		w, ok := next()
		if !ok {
			t.Fatal("nothing is lost")
		}
		if line := w.data.Line; w.name == "overview" && line.Lately.USD != "0" {
			if b := line.Balance; line.Lately.USD[0] == '-' || line.Day.Breaks != 1 || line.Day.Resumed != 0 || line.Log.Full <= 0 || b == nil || b.Imbalance != 0 || b.Unexplained != nil {
				t.Errorf("%+v", line)
			}
			break
		}
	}
	p.stop(t)
}

// A browser that reads nothing keeps no stream waiting, and there can't be any number.
func TestEventsUnread(t *testing.T) {
	t.Parallel()
	p, _ := provided(t)
	for range 32 {
		if resp, _ := p.watch(t); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	if resp, _ := p.watch(t); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one more: %s", resp.Status)
	}
	for range 20 {
		if resp, body := p.post(t, "/v1/chat/completions", streamedChat, map[string]string{"Authorization": "Bearer sk"}); resp.StatusCode != 200 || !strings.Contains(body, "[DONE]") {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	p.stop(t)
}

// The story of a stream is told from the log, and from the books when that has
// forgotten it.
func TestStory(t *testing.T) {
	t.Parallel()
	p, _ := provided(t, "--retention=2s", "--orphan-grace=1s")
	resp, _ := p.post(t, "/v1/chat/completions", streamedChat, map[string]string{"Authorization": "Bearer sk", "Recoup-Tags": "team=a"})
	path := p.admin + "/api/v1/streams/" + resp.Header.Get("Recoup-Stream-Id") + "/story"
	told := func(kept bool, want string) bool {
		t.Helper()
		code, body := get(t, path)
		var s struct {
			Kept  bool
			Model string
			Tags  map[string]string
			Story []struct{ What string }
			Books *struct {
				Settled bool
				Bill    string `json:"bill_usd"`
			}
		}
		if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 {
			t.Fatalf("%d %s: %v", code, body, err)
		}
		var all []string
		for _, c := range s.Story {
			all = append(all, c.What)
		}
		return s.Kept == kept && s.Model == "gpt-5.5" && s.Tags["team"] == "a" && s.Books != nil && s.Books.Settled && s.Books.Bill != "0" && strings.Join(all, " ") == want
	}
	until(t, "it is told from the log", func() bool {
		return told(true, "accepted connected ended left") || told(true, "accepted connected left ended")
	})
	until(t, "it is told from the books", func() bool { return told(false, "accepted connected ended") })
	for _, id := range []string{"nothing", "01a2074c-f1e1-77ad-a80c-728fc60ccbb0"} {
		if code, _ := get(t, p.admin+"/api/v1/streams/"+id+"/story"); code != http.StatusNotFound {
			t.Errorf("%s: %d", id, code)
		}
	}
	p.stop(t)
}

// Neither a page of another site nor a name that leads here gets at the admin plane
// through the operator's browser.
func TestAdminFromBrowser(t *testing.T) {
	t.Parallel()
	p, _ := provided(t, "--pprof")
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "the-token-of-this-gateway")
	guarded := serve(t, t.TempDir(), "--admin-token-file="+file)
	data, err := os.ReadFile(filepath.Join(p.dir, adminTokenName))
	if err != nil {
		t.Fatal(err)
	}
	own := "Bearer " + strings.TrimSpace(string(data))
	cancel := "/api/v1/streams/01a2074c-f1e1-77ad-a80c-728fc60ccbb0/cancel"
	for _, tt := range []struct {
		name, method, path string
		at                 *process
		header             map[string]string // Host is the request's
		status             int
	}{
		{"the page", "GET", "/console/", p, nil, 200},
		{"its script", "GET", "/console/main.js", p, nil, 200},
		{"the page of a guarded gateway", "GET", "/console/", guarded, nil, 200},
		{"events of a guarded gateway", "GET", "/api/v1/events", guarded, nil, 401},
		{"a story of a guarded gateway", "GET", "/api/v1/streams/x/story", guarded, nil, 401},
		{"the same with its token", "GET", "/api/v1/streams/x/story", guarded, map[string]string{"Authorization": "Bearer the-token-of-this-gateway"}, 404},
		{"by another name", "GET", "/api/v1/events", p, map[string]string{"Host": "evil.example"}, 403},
		{"the audit by another name", "GET", "/api/v1/audit", p, map[string]string{"Host": "evil.example:8485"}, 403},
		{"a bill by another name", "POST", "/api/v1/reconcile", p, map[string]string{"Host": "evil.example"}, 403},
		{"as localhost", "GET", "/api/v1/audit", p, map[string]string{"Host": "localhost:8485"}, 200},
		{"IPv6", "GET", "/api/v1/audit", p, map[string]string{"Host": "[::1]:8485"}, 200},
		{"health by another name", "GET", "/healthz", p, map[string]string{"Host": "gateway.internal"}, 200},
		{"a guarded one by another name", "GET", "/api/v1/audit", guarded, map[string]string{"Host": "gateway.internal", "Authorization": "Bearer the-token-of-this-gateway"}, 200},
		{"cancel without the token", "POST", cancel, p, nil, 401},
		{"cancel from another site", "POST", cancel, p, map[string]string{"Sec-Fetch-Site": "cross-site", "Authorization": own}, 403},
		{"cancel from another origin", "POST", cancel, p, map[string]string{"Origin": "http://evil.example", "Authorization": own}, 403},
		{"cancel from the console", "POST", cancel, p, map[string]string{"Sec-Fetch-Site": "same-origin", "Authorization": own}, 404},
		{"cancel by a program", "POST", cancel, p, map[string]string{"Authorization": own}, 404},
		{"a bill without the token", "POST", "/api/v1/reconcile", p, nil, 401},
		{"a statement without the token", "POST", "/api/v1/reconcile/statement", p, nil, 401},
		{"other prices without the token", "POST", "/api/v1/prices/reprice", p, nil, 401},
		{"a bill, escaped", "POST", "/api/v1/%72econcile", p, nil, 401},
		{"an incident by another slash", "POST", "/api/v1/x%2F..%2Fincidents", p, nil, 401},
		{"out of the console", "GET", "/console/..%2Fapi/v1/streams", p, nil, 404},
		{"a bill with the token", "POST", "/api/v1/reconcile", p, map[string]string{"Authorization": own}, 400},
		{"profiles by another name", "GET", "/debug/pprof/cmdline", p, map[string]string{"Host": "evil.example"}, 403},
		{"profiles", "GET", "/debug/pprof/cmdline", p, nil, 200},
		{"a bill from another site", "POST", "/api/v1/reconcile", p, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.at.admin+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range tt.header {
			req.Header.Set(name, v)
		}
		req.Host = tt.header["Host"]
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %s, want %d", tt.name, resp.Status, tt.status)
		}
		if strings.HasPrefix(tt.path, "/api/") && resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", tt.name, resp.Header.Get("Cache-Control"))
		}
	}
	guarded.stop(t)
	p.stop(t)
}
