package settle

import (
	"math/rand/v2"
	"testing"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// A bill that is repriced before its outcomes are known: these follow by the price that
// stands, and what of it is variance stays known.
func TestRepricedWhilePending(t *testing.T) {
	s := newSite(t)
	p := s.stream(func(h *streamlog.Header) { h.Model = "gpt-5.5" })
	conn := p.owner()
	p.head(200).event(streamlog.Event{Text: true}, `data: {"id":"c","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":null}]}`+"\n\n")
	p.leave(conn, 1, "client").finish(2000, 1).completed()
	s.settler.Flush()
	row := p.row()
	if row.Current.Outcomes != nil {
		t.Fatalf("it is settled: %+v", row)
	}
	o, err := pricing.ParseOverlay("p.yaml", []byte("prices:\n- {provider: openai, model: gpt-5.5, rates: {input: 4, cache_read: 0.4, output: 60}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	book, err := pricing.Embedded().Over(o)
	if err != nil {
		t.Fatal(err)
	}
	q, was, err := Query(row)
	if err != nil || was.Version != pricing.Embedded().Version() {
		t.Fatalf("posted by %s, %v", was.Version, err)
	}
	rates, reason := book.Rates(q)
	posting, ok, err := Reprice(row, rates)
	if reason != "" || !ok || err != nil || posting.Outcomes != nil {
		t.Fatalf("%q, %v, %v: %+v", reason, ok, err, posting)
	}
	if posted, err := s.ledger.Post(posting); err != nil || !posted {
		t.Fatal(posted, err)
	}
	s.expire()
	p.want("wasted/abandoned 1, input wasted/abandoned 2000 (reported, reported)")
	now := p.row()
	b := now.Current.Bill
	if now.Current.Number != 1 || now.Current.Reason != ledger.PriceVariance || b.PriceVersion != was.Version ||
		b.Input[0].Amount.String() != "0.008" || b.Input[0].Variance.String() != "-0.002" || b.Output.Amount.String() != "0.00006" || b.Output.Variance.String() != "0.00003" {
		t.Errorf("%+v", now.Current)
	}
	if again, ok, err := Reprice(now, rates); ok || err != nil {
		t.Errorf("again: %+v, %v", again, err)
	}
	// At the first price again nothing of it is variance.
	back, ok, err := Reprice(now, was)
	if !ok || err != nil || back.Bill.Input[0].Variance != 0 || back.Bill.Output.Variance != 0 || back.Outcomes == nil {
		t.Errorf("back: %v, %v, %+v", ok, err, back)
	}
	if _, err := s.ledger.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// Whatever a provider reports, each token of it is billed once, cached or fresh, and
// the books come to what the price book says of the whole report.
func TestEachTokenIsBilledOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 4))
	some := func(most int64) token.Count {
		if r.IntN(5) == 0 {
			return token.Count{}
		}
		return token.Known(r.Int64N(most + 1))
	}
	kinds := pricing.Kinds()
	for range 5000 {
		rates := pricing.Rates{PerToken: map[token.Kind]pricing.Rate{token.Tool("web_search"): 10_000_000_000}}
		for _, kind := range kinds {
			rates.PerToken[kind] = pricing.Rate(r.Int64N(100_000_000))
		}
		u := token.Usage{
			Input: token.Known(r.Int64N(1 << 20)), CacheRead: some(1 << 20), CacheWrite5m: some(1 << 18), CacheWrite1h: some(1 << 18),
			Output: token.Known(r.Int64N(1 << 18)), Tools: map[string]int64{"web_search": r.Int64N(4)},
		}
		u.AudioIn = some(u.Input.Or(0))
		u.Reasoning = some(u.Output.Or(0))
		u.AudioOut = some(u.Output.Or(0) - u.Reasoning.Or(0))
		want, err := rates.Cost(u)
		if err != nil {
			t.Fatal(err)
		}
		e := &Evidence{}
		f := &e.History.Facts
		f.Rates, f.Terminal, f.Streamed = rates, books.NoTerminal, true
		s := &Settler{}
		read := &reading{usage: u, final: true}
		s.output(e, read, counted{})
		s.input(e, read)
		tokens := int64(0)
		for kind, n := range f.Input {
			if !kind.IsTool() {
				tokens += n
			}
		}
		if tokens != u.InputTotal().Or(-1) || f.Output != u.Output.Or(-1) {
			t.Fatalf("%d and %d tokens are billed of %+v", tokens, f.Output, u)
		}
		b, err := books.Keep(e.History)
		if err != nil || b.InputAmount != want.Input || b.OutputAmount != want.Output {
			t.Fatalf("booked %s and %s (%v), priced %s and %s: %+v", b.InputAmount, b.OutputAmount, err, want.Input, want.Output, u)
		}
	}
}
