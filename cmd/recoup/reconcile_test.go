package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/simulator"
	"github.com/recoup-gateway/recoup/pricing"
)

// billed is a gateway whose provider also reports usage and costs.
type billed struct {
	*process
	t        *testing.T
	sim      *simulator.Simulator
	upstream string
	delay    time.Duration // of the calls of lateModel, in the reports
}

const lateModel, dearModel = "gpt-5.1", "gpt-5.4"

const adminKey = "sk-admin-secret"

func newBilled(t *testing.T) *billed {
	t.Helper()
	b := &billed{t: t}
	b.sim = simulator.New(simulator.Options{
		Default: simulator.Script{Tokens: 40, Input: 200, Usage: simulator.UsageAlways},
		Price: func(r *simulator.Reported, kind string, tokens int) string {
			if r.Model == dearModel && kind == "output" {
				tokens *= 2
			}
			return listPrice(r, kind, tokens)
		},
		Report: func(rows []simulator.Reported) []simulator.Reported {
			for i := range rows {
				if rows[i].Model == lateModel {
					rows[i].At = rows[i].At.Add(b.delay)
				}
			}
			return rows
		},
	})
	srv, err := b.sim.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	b.upstream = srv.URL
	b.process = serve(t, t.TempDir(), "--provider=openai="+b.upstream, "--provider=anthropic="+b.upstream, "--retention=1s", "--orphan-grace=1s")
	return b
}

// ask makes a call that is read to its end.
func (b *billed) ask(base, path, model string, script simulator.Script) {
	b.t.Helper()
	resp := b.open(base, path, model, script)
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s %v %s", model, resp.Status, err, body)
	}
}

// leave makes a call whose client goes away while the provider is silent.
func (b *billed) leave(model string, script simulator.Script) {
	b.t.Helper()
	resp := b.open(b.url, "/v1/chat/completions", model, script)
	if err := b.sim.WaitStalled(b.t.Context(), 1); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.ReadAtLeast(resp.Body, make([]byte, 4<<10), 100); err != nil {
		b.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := b.sim.WaitIdle(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *billed) open(base, path, model string, script simulator.Script) *http.Response {
	b.t.Helper()
	body := fmt.Sprintf(`{"model":%q,"max_tokens":400,"stream":true,"messages":[{"role":"user","content":"Hi"}]}`, model)
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-ours")
	if strings.Contains(path, "messages") {
		req.Header.Set("X-Api-Key", "sk-ours")
		req.Header.Set("Anthropic-Version", "2023-06-01")
	}
	req.Header.Set(simulator.ScriptHeader, script.Header())
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

// settled waits until n attempts are.
func (b *billed) settled(n int64) {
	b.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; runtime.Gosched() {
		var sum audit.Summary
		if _, body := get(b.t, b.admin+"/api/v1/audit"); json.Unmarshal([]byte(body), &sum) != nil {
			b.t.Fatal(body)
		}
		if sum.Evidence["reported"].Attempts+sum.Evidence["estimated"].Attempts == n && sum.Pending == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not settled: %+v\n%s", sum.Evidence, b.log)
		}
	}
}

// reconcile runs the command with --format json.
func (b *billed) reconcile(now time.Time, args ...string) (r bucket.Result) {
	b.t.Helper()
	var stdout, stderr bytes.Buffer
	run := program{
		environ: []string{"RECOUP_DATA_DIR=" + b.dir, "RECOUP_ADMIN_LISTEN=" + strings.TrimPrefix(b.admin, "http://"), "OPENAI_ADMIN_KEY=" + adminKey, "ANTHROPIC_ADMIN_KEY=" + adminKey},
		stdout:  &stdout, stderr: &stderr, now: func() time.Time { return now },
	}
	code := run.run(b.t.Context(), append([]string{"reconcile", "--format=json"}, args...))
	if code != 0 || json.Unmarshal(stdout.Bytes(), &r) != nil {
		b.t.Fatalf("exit code %d: %s%s", code, &stdout, &stderr)
	}
	return r
}

// partsOf is what a result names, by model.
func partsOf(r bucket.Result) (all []string) {
	for _, c := range r.Cells {
		for _, p := range c.Parts {
			all = append(all, fmt.Sprintf("%s %s %d %d/%d", c.Model, p.Name, p.Requests, p.Tokens.AllInput(), p.Tokens.Output))
		}
	}
	slices.Sort(all)
	return all
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// Seven differences, from HTTP to the books and back from the provider's own reports:
// each is named, none is invented, and what is posted makes the books come to the bill.
func TestReconcileWithReports(t *testing.T) {
	b := newBilled(t)
	const chat = "/v1/chat/completions"
	since := midnight(time.Now())
	for _, m := range []string{"gpt-5.5", "gpt-5-mini", "gpt-4.1", "gpt-5", dearModel} {
		b.ask(b.url, chat, m, simulator.Script{Tokens: 40, Input: 200, Usage: simulator.UsageAlways})
	}
	b.ask(b.url, "/v1/messages", "claude-haiku-4-5", simulator.Script{Tokens: 30, Input: 100})
	b.leave("gpt-5.5", simulator.Script{Tokens: 300, StallAfterEvents: 60, TailTokens: 12})
	b.leave("gpt-4.1", simulator.Script{Tokens: 300, StallAfterEvents: 60, OnDisconnect: simulator.BillFull})
	b.ask(b.upstream, chat, "gpt-5-mini", simulator.Script{Tokens: 25, Input: 70})
	b.ask(b.upstream, chat, "gpt-of-nobody", simulator.Script{Tokens: 9, Input: 50})
	b.ask(b.url, chat, "gpt-5", simulator.Script{Tokens: 40, Input: 200, Usage: simulator.UsageAlways, BillExtra: 7})
	b.ask(b.url, chat, lateModel, simulator.Script{Tokens: 40, Input: 200, Usage: simulator.UsageAlways})
	b.settled(10)
	bill := b.sim.Bill()
	until := midnight(bill[len(bill)-1].Started).AddDate(0, 0, 1)
	window := []string{"--base-url=" + b.upstream, "--since=" + since.Format(time.DateOnly), "--until=" + until.Format(time.DateOnly)}

	six := partsOf(b.reconcile(time.Now(), append(window, "--provider=openai")...))
	t.Logf("%s", strings.Join(six, "\n"))
	for i, want := range []string{
		"gpt-4.1 estimated 0 ", "gpt-4.1 on_cancel 0 0/", "gpt-5 unexplained 0 0/7", "gpt-5-mini bypassed 1 70/25", dearModel + " price 0 0/0",
		"gpt-5.5 estimated 0 ", "gpt-of-nobody bypassed 1 50/9",
	} {
		if !slices.ContainsFunc(six, func(p string) bool { return strings.HasPrefix(p, want) }) {
			t.Errorf("%d: no %q in\n%s", i, want, strings.Join(six, "\n"))
		}
	}
	if r := b.reconcile(time.Now(), append(window, "--provider=anthropic")...); r.State != bucket.Reconciled || r.Attempts != 1 {
		t.Errorf("anthropic: %+v", r)
	}

	// The seventh, by hours: a call that the next hour's bucket has.
	b.delay = time.Hour
	hour := bill[len(bill)-1].Started.UTC().Truncate(time.Hour).Add(time.Hour)
	files := b.download(since, hour)
	late := []string{"--since=" + since.Format(time.RFC3339), "--until=" + hour.Format(time.RFC3339)}
	seven := partsOf(b.reconcile(time.Now(), append(late, files...)...))
	b.delay = 0
	if want := slices.Sorted(slices.Values(append(slices.Clone(six), lateModel+" lag -1 -200/-40"))); !slices.Equal(seven, want) {
		t.Errorf("by hours:\n%s\nwant\n%s", strings.Join(seven, "\n"), strings.Join(want, "\n"))
	}

	// A day that isn't over can't be posted.
	ran := b.command(t, []string{"OPENAI_ADMIN_KEY=" + adminKey}, append([]string{"reconcile", "--provider=openai", "--post"}, window...)...)
	if ran.code != exitFailed || !strings.Contains(ran.stderr, "an hour after its end") {
		t.Errorf("%+v", ran)
	}
	b.stop(t)

	over := until.Add(2 * time.Hour)
	offline := append(window, "--provider=openai", "--data-dir="+b.dir)
	posted := b.reconcile(over, append(offline, "--post")...)
	priced := 0 // a model that nobody has a price of has its tokens named, and no amount
	for _, c := range posted.Cells {
		if c.Adjustment.Sign() != 0 {
			priced++
		}
	}
	if !slices.Equal(partsOf(posted), six) || posted.Posted != priced || priced < 5 {
		t.Errorf("posted %d of %d: %v", posted.Posted, len(posted.Cells), partsOf(posted))
	}
	again := b.reconcile(over, append(offline, "--post")...)
	if !slices.Equal(partsOf(again), six) || again.Posted != 0 || again.Standing != posted.Adjustment {
		t.Errorf("again: %d posted, $%s stand, $%s were posted", again.Posted, again.Standing, posted.Adjustment)
	}
	if sum := posted.Booked.USD.Plus(posted.Adjustment); !close6(sum, posted.Billed.USD) {
		t.Errorf("the books come to $%s, the bill to $%s", sum, posted.Billed.USD)
	}
	if strings.Contains(b.log.String(), adminKey) {
		t.Error("the admin key is in the log")
	}
}

// close6 is equal but for rounding.
func close6(a, b pricing.Sum) bool {
	d := a.Minus(b).Dollars()
	return -1e-6 < d && d < 1e-6
}

// download saves the provider's reports by hours.
func (b *billed) download(from, to time.Time) (files []string) {
	b.t.Helper()
	for name, path := range map[string]string{"usage.json": "/v1/organization/usage/completions", "costs.json": "/v1/organization/costs"} {
		req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet,
			fmt.Sprintf("%s%s?bucket_width=1h&limit=100&start_time=%d&end_time=%d", b.upstream, path, from.Unix(), to.Unix()), nil)
		if err != nil {
			b.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+adminKey)
		resp, err := client.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		file := filepath.Join(b.t.TempDir(), name)
		if err != nil || resp.StatusCode != http.StatusOK || os.WriteFile(file, data, 0o600) != nil {
			b.t.Fatalf("%s: %s %s %v", path, resp.Status, data, err)
		}
		files = append(files, file)
	}
	return files
}

func TestReconcileIsRefused(t *testing.T) {
	p, _ := provided(t)
	file := filepath.Join(t.TempDir(), "costs.csv")
	head := "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
	write := func(text string) string {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, tt := range []struct {
		text string // of the file; "": there is none
		args []string
		want string
	}{
		{"", nil, "want files"},
		{"", []string{"--provider=openai", "--since=2026-11-01"}, "OPENAI_ADMIN_KEY is not set"},
		{"", []string{"--provider=openai"}, "--since"},
		{"", []string{"--provider=groq", "--since=2026-11-01"}, `"groq"`},
		{"", []string{"--since=2026-11-02", "--until=2026-11-01"}, "not after"},
		{head + "1795392000,1795478400,,,1.5,eur,\"gpt-5.5, output\",p\n", []string{"--post"}, `costs.csv:2: the currency is "eur"`},
		{head + "1795392000,1795478400,,,1.5,usd,\"gpt-5.5, output\",p\n1795392000,17954", []string{"--post"}, "costs.csv:3:"},
	} {
		args := append([]string{"reconcile"}, tt.args...)
		if tt.text != "" {
			args = append(args, write(tt.text))
		}
		if ran := p.command(t, nil, args...); ran.code == 0 || !strings.Contains(ran.stderr, tt.want) {
			t.Errorf("%v: %d %s%s", tt.args, ran.code, ran.stdout, ran.stderr)
		}
	}
	if ran := p.command(t, []string{"OPENAI_ADMIN_KEY=k"}, "reconcile", "--provider=openai", "--since=2026-11-01", "--base-url=http://example.com"); !strings.Contains(ran.stderr, "want https") {
		t.Errorf("%+v", ran)
	}
}
