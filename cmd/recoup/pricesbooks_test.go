package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/audit/proof"
	"github.com/recoup-gateway/recoup/internal/reprice"
	"github.com/recoup-gateway/recoup/pricing"
)

const discounted = `# ours
prices:
- provider: openai
  model: gpt-5.5
  source: contract
  valid_from: 2026-05-01
  discount: 0.8
`

// paid waits until n attempts are settled, and returns what they cost.
func (p *process) paid(t *testing.T, n int64) pricing.Sum {
	t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		var sum audit.Summary
		status, body := get(t, p.admin+"/api/v1/audit")
		if err := json.Unmarshal([]byte(body), &sum); err != nil || status != 200 {
			t.Fatalf("%d %v %s", status, err, body)
		}
		if sum.Evidence["reported"].Attempts == n && sum.Pending == 0 && sum.Billed.USD.Sign() > 0 { // which is read before
			return sum.Billed.USD
		}
		if time.Now().After(deadline) {
			t.Fatalf("not settled: %+v\n%s", sum, p.log)
		}
	}
}

// version is that of the price book in use.
func (p *process) version(t *testing.T) string {
	t.Helper()
	var book struct{ Version string }
	if status, body := get(t, p.admin+"/api/v1/prices"); status != 200 || json.Unmarshal([]byte(body), &book) != nil {
		t.Fatalf("%d %.300s", status, body)
	}
	_, metrics := get(t, p.admin+"/metrics")
	contains(t, metrics, `recoup_price_book_info{version="`+book.Version+`"} 1`)
	return book.Version
}

// An operator's prices: taken at the start, changed by SIGHUP, with an error kept out,
// and posted as variance once that is asked for.
func TestPricesOfARunningGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "negotiated.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(discounted)
	p, _ := provided(t, "--prices="+path)
	call := func() {
		t.Helper()
		resp, body := p.post(t, "/v1/chat/completions", `{"model":"gpt-5.5","messages":[{"role":"user","content":"Hi"}]}`, map[string]string{"Authorization": "Bearer sk-alice", "Recoup-Tags": "team==1+1"})
		if resp.StatusCode != 200 {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	call()
	first, version := p.paid(t, 1), p.version(t)

	write(strings.Replace(discounted, "0.8", "lots", 1))
	p.signals <- syscall.SIGHUP
	refused := p.log.await(t, "the new configuration is refused, the old one goes on")
	contains(t, attr(refused, "problem"), path+`:7: discount: "lots": want what is paid of the price below`)
	if now := p.version(t); now != version {
		t.Errorf("price book %s, was %s", now, version)
	}

	write(strings.Replace(discounted, "0.8", "0.4", 1))
	p.signals <- syscall.SIGHUP
	if keys := attr(p.log.await(t, "configuration reloaded"), "changed"); keys != "[prices]" {
		t.Errorf("changed: %s", keys)
	}
	if now := p.version(t); now == version {
		t.Errorf("price book %s, as before", now)
	}
	if now := p.paid(t, 1); now != first {
		t.Errorf("the past is repriced: %s, was %s", now, first)
	}

	shown := p.command(t, nil, "prices", "reprice", "--since=2026-05-01")
	contains(t, shown.stdout, "nothing was posted; --post does", path+":3", "negotiated")
	if now := p.paid(t, 1); shown.code != 0 || now != first {
		t.Errorf("%+v; paid %s, was %s", shown, now, first)
	}
	posted := p.command(t, nil, "prices", "reprice", "--since=2026-05-01", "--post", "--format=json")
	var result reprice.Result
	if err := json.Unmarshal([]byte(posted.stdout), &result); err != nil || result.Posted != 1 || result.Difference.Sign() >= 0 {
		t.Fatalf("%v %+v", err, posted)
	}
	second := p.paid(t, 1)
	if second.Plus(second) != first || second.Minus(first) != result.Difference {
		t.Errorf("paid %s, was %s, difference %s", second, first, result.Difference)
	}
	_, metrics := get(t, p.admin+"/metrics")
	contains(t, metrics, `recoup_adjustment_usd_total{reason="price_variance",sign="minus"}`)
	exports(t, p, second)
}

// exports compares an export of a running gateway with those of its directory, while
// it runs and after.
func exports(t *testing.T, p *process, paid pricing.Sum) {
	t.Helper()
	running := p.command(t, nil, "export", "--format=csv")
	records, err := csv.NewReader(strings.NewReader(running.stdout)).ReadAll()
	if err != nil || running.code != 0 || records[0][0] != "BilledCost" {
		t.Fatalf("%v: %+v", err, running)
	}
	sum := pricing.Sum{}
	for _, r := range records[1:] {
		amount, err := pricing.ParseDollars(r[0])
		if err != nil {
			t.Fatal(err)
		}
		sum = sum.Add(amount)
	}
	if sum != paid {
		t.Errorf("rows of %s, paid %s", sum, paid)
	}
	contains(t, running.stdout, `"{""team"":""=1+1""}"`, "Reversal of input of gpt-5.5")
	offline := func(when string) {
		t.Helper()
		for _, args := range [][]string{{"--format=csv"}, {"--format=jsonl", "--what=streams"}} {
			want := running
			if args[0] != "--format=csv" {
				want = ran{}
			}
			got := p.command(t, nil, append([]string{"export", "--data-dir=" + p.dir}, args...)...)
			if got.code != 0 || got.stderr != "" || want.stdout != "" && got.stdout != want.stdout || len(got.stdout) == 0 {
				t.Errorf("%s, %q: code %d, %s, %d bytes, want %d", when, args, got.code, got.stderr, len(got.stdout), len(want.stdout))
			}
		}
	}
	offline("while it runs")
	p.stop(t)
	offline("after it was stopped")
	// What was repriced is proved, and its first rates are looked up in the book that had them.
	book := filepath.Join(t.TempDir(), "negotiated.yaml")
	if err := os.WriteFile(book, []byte(discounted), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]uint64{"--prices=" + book: 1, "--prices=": 0} {
		got := p.command(t, nil, "verify", "--data-dir="+p.dir, "--format=json", args)
		var proved proof.Proof
		if err := json.Unmarshal([]byte(got.stdout), &proved); err != nil || got.code != 0 || !proved.Proved || proved.Ledger.Revised != 1 || proved.Money.ByBook != want {
			t.Errorf("%s: %v, %+v", args, err, got)
		}
	}
	if got := p.command(t, nil, "verify", "--data-dir="+p.dir, "--prices="+p.dir); got.code != exitUnread || !strings.Contains(got.stderr, "--prices") {
		t.Errorf("%+v", got)
	}
	back := p.command(t, nil, "prices", "reprice", "--since=2026-05-01", "--data-dir="+p.dir, "--post")
	contains(t, back.stdout, "posted as price variance, in 1 revision", "embedded")
	if again := p.command(t, nil, "prices", "reprice", "--since=2026-05-01", "--data-dir="+p.dir); !strings.Contains(again.stdout, "no difference") {
		t.Errorf("%+v", again)
	}
}

func TestExportRefuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{}, `format: "": want csv or jsonl`},
		{[]string{"--format=csv", "--what=x"}, `what: "x": want postings, streams or adjustments`},
		{[]string{"--format=csv", "--since=soon"}, `--since: "soon": want a day`},
		{[]string{"--format=csv", "--since=2026-02", "--until=2026-01"}, "is not after since"},
		{[]string{"--format=csv", "--data-dir=" + t.TempDir()}, "has no ledger: want the directory of a gateway"},
		{[]string{"--format=csv", "--admin-url=http://127.0.0.1:1"}, "is the gateway running there?"},
	} {
		var stdout, stderr bytes.Buffer
		p := program{stdout: &stdout, stderr: &stderr}
		if code := p.run(t.Context(), append([]string{"export"}, tt.args...)); code != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: %d, %q, %q", tt.args, code, stdout.String(), stderr.String())
		}
	}
}
