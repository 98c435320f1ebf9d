package books_test

import (
	"slices"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// The worked examples of the design's section 7.5, with its figures.
func TestExamples(t *testing.T) {
	for _, e := range slices.Concat(examplesOfResumes(), examplesOfLosses(), examplesOfOddities()) {
		t.Run(e.name, func(t *testing.T) { e.check(t, e.history) })
		t.Run(e.name+", compact", func(t *testing.T) { e.check(t, books.Compact(e.history)) })
	}
}

type example struct {
	name     string
	history  books.History
	outcomes []books.Outcome // with the amounts, where the design gives any
	input    string
	paid     string
	out, in  int64  // saved tokens
	saved    string // the claim
	upper    string
	overhead []books.Overhead
	net      string
}

func (e *example) check(t *testing.T, h books.History) {
	b, err := books.Keep(h)
	if err != nil {
		t.Fatal(err)
	}
	balanced(t, h, b)
	if !b.Settled || b.Pending != 0 {
		t.Fatalf("not settled: %d pending", b.Pending)
	}
	got := slices.Clone(b.Outcomes)
	for i := range got {
		if i < len(e.outcomes) && e.outcomes[i].Amount == 0 {
			got[i].Amount = 0
		}
	}
	if !slices.Equal(got, e.outcomes) || b.InputOutcome != e.input {
		t.Errorf("outcomes %v, input %s; not %v, %s", b.Outcomes, b.InputOutcome, e.outcomes, e.input)
	}
	if b.Saved.OutputTokens != e.out || b.Saved.InputTokens != e.in {
		t.Errorf("saved %d out and %d in, not %d and %d", b.Saved.OutputTokens, b.Saved.InputTokens, e.out, e.in)
	}
	if !slices.Equal(b.Overhead, e.overhead) {
		t.Errorf("overhead %v, not %v", b.Overhead, e.overhead)
	}
	for _, m := range []struct{ name, got, want string }{
		{"paid", b.Bill.String(), e.paid},
		{"saved", b.Saved.Amount().String(), e.saved},
		{"upper", b.Upper.Amount().String(), e.upper},
		{"net", b.Net.String(), e.net},
	} {
		if m.got != m.want {
			t.Errorf("%s $%s, not $%s", m.name, m.got, m.want)
		}
	}
}

func examplesOfResumes() []example {
	return []example{{
		name:     "1 clean",
		history:  stream(1500, attach(1), recv(16), write(1, 16)),
		outcomes: []books.Outcome{{Outcome: books.Delivered, Cause: books.Live, Tokens: 1500}},
		input:    books.Delivered, paid: "0.055", saved: "0", upper: "0", net: "0",
	}, {
		name: "2 break at 600, resumed to the end",
		history: stream(1500, attach(1), recv(6), write(1, 6), leave(1),
			recv(10), attach(2), write(2, 16)),
		outcomes: []books.Outcome{
			{Outcome: books.Delivered, Cause: books.Live, Tokens: 600, Amount: dollars("0.018")},
			{Outcome: books.Delivered, Cause: books.Resumed, Tokens: 900}},
		input: books.Delivered, paid: "0.055", out: 600, in: 2000, saved: "0.01936", upper: "0.028", net: "0.01936",
	}, {
		name: "3 two breaks",
		history: stream(1500, attach(1), recv(6), write(1, 6), leave(1), recv(2),
			attach(2), write(2, 8), recv(4), write(2, 12), leave(2), recv(3), attach(3), recv(1), write(3, 16)),
		outcomes: []books.Outcome{
			{Outcome: books.Delivered, Cause: books.Live, Tokens: 600},
			{Outcome: books.Delivered, Cause: books.Resumed, Tokens: 900}},
		input: books.Delivered, paid: "0.055", out: 1000, in: 4000, saved: "0.03272", upper: "0.05", net: "0.03272",
	}, {
		name: "6 asked again, clean",
		history: stream(1500, attach(1), recv(15), write(1, 15), recv(1), write(1, 16),
			leave(1)),
		outcomes: []books.Outcome{{Outcome: books.Delivered, Cause: books.Live, Tokens: 1500}},
		input:    books.Delivered, paid: "0.055", saved: "0", upper: "0", net: "0",
	}, {
		name:     "8 not streamed",
		history:  body(attach(1), leave(1), recv(1), attach(2), write(2, 1), observe(3), write(3, 1)),
		outcomes: []books.Outcome{{Outcome: books.Delivered, Cause: books.Resumed, Tokens: 2500}},
		input:    books.Delivered, paid: "0.0053", out: 2500, in: 1200, saved: "0.0050408", upper: "0.0053", net: "0.0050408",
	}}
}

func examplesOfLosses() []example {
	unclaimed := []books.Overhead{{Kind: books.Unclaimed, Tokens: 400, Amount: dollars("0.012")}}
	cut := []books.Step{attach(1), recv(6), write(1, 6), leave(1), recv(4), do(books.Grace)}
	inFull := stream(1500, attach(1), recv(6), write(1, 6), leave(1), recv(10), do(books.Retention))
	inFull.OnCancel = books.BilledInFull
	atOnce := stream(600, attach(1), recv(6), write(1, 6), leave(1), do(books.Grace))
	atOnce.Reclaimable = false
	stopped := stream(530, attach(1), recv(6), write(1, 5), do(books.Cancel))
	stopped.Visible[5], stopped.Received = 520, new(int64(520))
	return []example{{
		name:    "4 never came back",
		history: stream(1012, slices.Concat(cut, []books.Step{do(books.Retention)})...),
		outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600},
			{Outcome: books.Lost, Cause: books.Abandoned, Tokens: 400, Amount: dollars("0.012")},
			{Outcome: books.Lost, Cause: books.Tail, Tokens: 12}},
		input: books.Wasted, paid: "0.04036", saved: "0", upper: "0", overhead: unclaimed, net: "-0.012",
	}, {
		name:    "4 billed in full anyway",
		history: inFull,
		outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600},
			{Outcome: books.Lost, Cause: books.Abandoned, Tokens: 900}},
		input: books.Wasted, paid: "0.055", saved: "0", upper: "0", net: "0",
	}, {
		name:     "4 not reclaimable",
		history:  atOnce,
		outcomes: []books.Outcome{{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600}},
		input:    books.Wasted, paid: "0.028", saved: "0", upper: "0", net: "0",
	}, {
		name:    "5 explicit cancel",
		history: stopped,
		outcomes: []books.Outcome{
			{Outcome: books.Delivered, Cause: books.Cancelled, Tokens: 500},
			{Outcome: books.Lost, Cause: books.Cancelled, Tokens: 20, Amount: dollars("0.0006")},
			{Outcome: books.Lost, Cause: books.Tail, Tokens: 10, Amount: dollars("0.0003")}},
		input: books.Delivered, paid: "0.0259", saved: "0", upper: "0", net: "0",
	}, {
		name:     "6 provider fails",
		history:  stream(700, attach(1), recv(7), write(1, 7), do(books.Fail)),
		outcomes: []books.Outcome{{Outcome: books.Wasted, Cause: books.Upstream, Tokens: 700}},
		input:    books.Wasted, paid: "0.031", saved: "0", upper: "0", net: "0",
	}, {
		name: "9 a resume that failed",
		history: stream(1012, slices.Concat(cut, []books.Step{
			{Do: books.Attach, Conn: 2, From: 6, Explicit: true}, write(2, 10)})...),
		outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 1000},
			{Outcome: books.Lost, Cause: books.Tail, Tokens: 12}},
		input: books.Wasted, paid: "0.04036", saved: "0", upper: "0", overhead: unclaimed, net: "-0.012",
	}}
}

func examplesOfOddities() []example {
	free := stream(0, attach(1), recv(7), write(1, 7), do(books.Fail))
	free.Input = nil
	killed := stream(3412, attach(1), recv(4), write(1, 4),
		books.Step{Do: books.Kill, Marks: map[uint32]int{1: 4}})
	killed.Hidden, killed.Input = 3000, map[token.Kind]int64{token.Input: 2000, token.CacheRead: 8000}
	mini := stream(600, attach(1), recv(6), write(1, 6), leave(1), do(books.Grace))
	mini.Rates, mini.Input = rates("0.5", "0.05", "2"), nil
	big := mini
	big.Rates = gpt55()
	lost := []books.Outcome{{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600}}
	return []example{{
		name:    "6 the bill shows it as free",
		history: free,
		input:   books.Lost, paid: "0", saved: "0", upper: "0", net: "0",
	}, {
		name:    "7 reasoning, then the gateway is killed",
		history: killed,
		outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Crash, Tokens: 3400},
			{Outcome: books.Lost, Cause: books.Crash, Tokens: 12}},
		input: books.Wasted, paid: "0.11636", saved: "0", upper: "0", net: "-0.11636",
		overhead: []books.Overhead{{Kind: books.Crash, Tokens: 3412, Amount: dollars("0.11636")}},
	}, {
		name: "10 on gpt-5.5", history: big, outcomes: lost,
		input: books.Wasted, paid: "0.018", saved: "0", upper: "0", net: "0",
	}, {
		name: "10 on gpt-5.5-mini", history: mini, outcomes: lost,
		input: books.Wasted, paid: "0.0012", saved: "0", upper: "0", net: "0",
	}}
}

// stream is a streamed attempt on gpt-5.5 with 2,000 tokens of fresh input: events of
// 100 tokens, of which the sixteenth, without any, ends the answer.
func stream(g int64, steps ...books.Step) books.History {
	f := books.Facts{Input: map[token.Kind]int64{token.Input: 2000}, Rates: gpt55(), Output: g,
		Events: 16, Terminal: 15, Streamed: true, OnCancel: books.BillingStops, Reclaimable: true,
		Caching: pricing.CachingAuto}
	for n := int64(1); n <= 16; n++ {
		f.Visible = append(f.Visible, min(100*n, 1500))
	}
	return books.History{Facts: f, Steps: timed(steps)}
}

// body is an answer of gpt-5-mini that is not streamed.
func body(steps ...books.Step) books.History {
	return books.History{Steps: timed(steps), Facts: books.Facts{
		Input: map[token.Kind]int64{token.Input: 1200}, Rates: rates("0.25", "0.025", "2"), Output: 2500,
		Hidden: 1900, Events: 1, Terminal: 0, OnCancel: books.BillingStops, Reclaimable: true,
		Caching: pricing.CachingAuto}}
}

// timed puts a second between the steps.
func timed(steps []books.Step) []books.Step {
	for i := range steps {
		steps[i].At = time.Date(2026, 11, 23, 12, 0, i, 0, time.UTC)
	}
	return steps
}

func recv(n int) books.Step                { return books.Step{Do: books.Recv, N: n} }
func attach(conn uint32) books.Step        { return books.Step{Do: books.Attach, Conn: conn} }
func observe(conn uint32) books.Step       { return books.Step{Do: books.Attach, Conn: conn, Observe: true} }
func write(conn uint32, to int) books.Step { return books.Step{Do: books.Write, Conn: conn, To: to} }
func leave(conn uint32) books.Step {
	return books.Step{Do: books.Detach, Conn: conn, Cause: books.Client}
}
func do(what books.Do) books.Step { return books.Step{Do: what} }

func gpt55() pricing.Rates { return rates("5", "0.5", "30") }

func rates(input, cached, output string) pricing.Rates {
	r := pricing.Rates{PerToken: map[token.Kind]pricing.Rate{}}
	for kind, s := range map[token.Kind]string{token.Input: input, token.CacheRead: cached, token.Output: output} {
		rate, err := pricing.ParseRate(s)
		if err != nil {
			panic(err)
		}
		r.PerToken[kind] = rate
	}
	return r
}

func dollars(s string) pricing.Picodollars {
	p, err := pricing.ParseDollars(s)
	if err != nil {
		panic(err)
	}
	return p
}
