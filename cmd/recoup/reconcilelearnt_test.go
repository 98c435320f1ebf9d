package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// A bill has another price than the books. Once that is learnt and posted, the same bill
// agrees: what stood as unexplained is taken back, and the audit says so.
func TestReconcileLearntPrice(t *testing.T) {
	b := newBilled(t)
	since := midnight(time.Now())
	until := since.AddDate(0, 0, 1)
	const model = "gpt-5.4" // of the dear ones: its output is billed at twice the list's price
	for range 3 {
		b.ask(b.url, "/v1/chat/completions", model, whole)
	}
	b.settled(3)
	if !midnight(time.Now()).Equal(since) {
		t.Skip("midnight has passed meanwhile: the calls are of two days")
	}
	b.stop(t)
	day, tomorrow := since.Format(time.DateOnly), until.Add(2*time.Hour)
	window := []string{"--base-url=" + b.upstream, "--provider=openai", "--since=" + day, "--until=" + until.Format(time.DateOnly), "--data-dir=" + b.dir, "--post"}

	before := b.reconcile(tomorrow, window...)
	b.found("before", &before, []string{model + ": price 0 0+0+0+0/0 $0.0018"})
	if state := b.reconciled(); before.Posted != 1 || state.State != report.StateUnexplained || state.Unexplained.String() != "0.0018" {
		t.Errorf("%d posted; %+v", before.Posted, state)
	}

	rates, _ := pricing.Embedded().Rates(pricing.Query{Provider: "openai", Model: model, At: since})
	rate := func(k token.Kind) pricing.Rate { r, _ := rates.Of(k); return r }
	learnt := filepath.Join(t.TempDir(), "learnt.yaml")
	row := fmt.Sprintf("prices:\n  - provider: openai\n    model: %s\n    valid_from: %s\n    known_from: %s\n    source: the bill\n    rates: {input: %s, cache_read: %s, output: %s}\n",
		model, day, day, rate(token.Input), rate(token.CacheRead), 2*rate(token.Output))
	if err := os.WriteFile(learnt, []byte(row), 0o600); err != nil {
		t.Fatal(err)
	}
	did := b.command(t, nil, "prices", "reprice", "--since="+day, "--data-dir="+b.dir, "--prices="+learnt, "--post")
	if did.code != 0 || !strings.Contains(did.stdout, "0.0018") || !strings.Contains(did.stdout, "compared before that, openai "+day+": until") {
		t.Fatalf("%+v", did)
	}
	for posted := 1; posted >= 0; posted-- {
		after := b.reconcile(tomorrow, append(window, "--prices="+learnt)...)
		if after.State != bucket.Reconciled || after.Posted != posted || len(after.Cells) != 0 {
			t.Errorf("once the price is learnt: %+v", after)
		}
	}
	if state := b.reconciled(); state.State != report.StateReconciled || state.Share != "1.0000" || state.Unexplained.Sign() != 0 {
		t.Errorf("once the price is learnt: %+v", state)
	}
	if did := b.command(t, nil, "verify", "--data-dir="+b.dir, "--prices="+learnt); did.code != 0 {
		t.Errorf("%+v", did)
	}
}

// reconciled is what the audit of the data directory says of bills.
func (b *billed) reconciled() report.Bills {
	b.t.Helper()
	did := b.command(b.t, nil, "audit", "--format=json", "--data-dir="+b.dir)
	var audited report.Report
	if err := json.Unmarshal([]byte(did.stdout), &audited); err != nil || did.code != 0 {
		b.t.Fatalf("%v %+v", err, did)
	}
	return audited.Bills
}
