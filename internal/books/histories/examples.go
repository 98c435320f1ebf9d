package histories

import (
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Examples are those of the design's section 7.5.
func Examples() []Example {
	return slices.Concat(examplesOfResumes(), examplesOfLosses(), examplesOfOddities())
}

// Example is a worked example, with its figures.
type Example struct {
	Name     string
	History  books.History
	Outcomes []books.Outcome // with the amounts, where the design gives any
	Input    string
	Paid     string
	Out, In  int64  // saved tokens
	Saved    string // the claim
	Upper    string
	Overhead []books.Overhead
	Net      string
}

func examplesOfResumes() []Example {
	return []Example{{
		Name:     "1 clean",
		History:  Stream(1500, Attach(1), Recv(16), Write(1, 16)),
		Outcomes: []books.Outcome{{Outcome: books.Delivered, Cause: books.Live, Tokens: 1500}},
		Input:    books.Delivered, Paid: "0.055", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name: "2 break at 600, resumed to the end",
		History: Stream(1500, Attach(1), Recv(6), Write(1, 6), Leave(1),
			Recv(10), Attach(2), Write(2, 16)),
		Outcomes: []books.Outcome{
			{Outcome: books.Delivered, Cause: books.Live, Tokens: 600, Amount: Dollars("0.018")},
			{Outcome: books.Delivered, Cause: books.Resumed, Tokens: 900}},
		Input: books.Delivered, Paid: "0.055", Out: 600, In: 2000, Saved: "0.01936", Upper: "0.028", Net: "0.01936",
	}, {
		Name: "3 two breaks",
		History: Stream(1500, Attach(1), Recv(6), Write(1, 6), Leave(1), Recv(2),
			Attach(2), Write(2, 8), Recv(4), Write(2, 12), Leave(2), Recv(3), Attach(3), Recv(1), Write(3, 16)),
		Outcomes: []books.Outcome{
			{Outcome: books.Delivered, Cause: books.Live, Tokens: 600},
			{Outcome: books.Delivered, Cause: books.Resumed, Tokens: 900}},
		Input: books.Delivered, Paid: "0.055", Out: 1000, In: 4000, Saved: "0.03272", Upper: "0.05", Net: "0.03272",
	}, {
		Name: "6 asked again, clean",
		History: Stream(1500, Attach(1), Recv(15), Write(1, 15), Recv(1), Write(1, 16),
			Leave(1)),
		Outcomes: []books.Outcome{{Outcome: books.Delivered, Cause: books.Live, Tokens: 1500}},
		Input:    books.Delivered, Paid: "0.055", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name:     "8 not streamed",
		History:  Body(Attach(1), Leave(1), Recv(1), Attach(2), Write(2, 1), Observe(3), Write(3, 1)),
		Outcomes: []books.Outcome{{Outcome: books.Delivered, Cause: books.Resumed, Tokens: 2500}},
		Input:    books.Delivered, Paid: "0.0053", Out: 2500, In: 1200, Saved: "0.0050408", Upper: "0.0053", Net: "0.0050408",
	}}
}

func examplesOfLosses() []Example {
	unclaimed := []books.Overhead{{Kind: books.Unclaimed, Tokens: 400, Amount: Dollars("0.012")}}
	cut := []books.Step{Attach(1), Recv(6), Write(1, 6), Leave(1), Recv(4), Do(books.Grace)}
	inFull := Stream(1500, Attach(1), Recv(6), Write(1, 6), Leave(1), Recv(10), Do(books.Retention))
	inFull.OnCancel = books.BilledInFull
	atOnce := Stream(600, Attach(1), Recv(6), Write(1, 6), Leave(1), Do(books.Grace))
	atOnce.Reclaimable = false
	stopped := Stream(530, Attach(1), Recv(6), Write(1, 5), Do(books.Cancel))
	stopped.Visible[5], stopped.Received = 520, new(int64(520))
	return []Example{{
		Name:    "4 never came back",
		History: Stream(1012, slices.Concat(cut, []books.Step{Do(books.Retention)})...),
		Outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600},
			{Outcome: books.Lost, Cause: books.Abandoned, Tokens: 400, Amount: Dollars("0.012")},
			{Outcome: books.Lost, Cause: books.Tail, Tokens: 12}},
		Input: books.Wasted, Paid: "0.04036", Saved: "0", Upper: "0", Overhead: unclaimed, Net: "-0.012",
	}, {
		Name:    "4 billed in full anyway",
		History: inFull,
		Outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600},
			{Outcome: books.Lost, Cause: books.Abandoned, Tokens: 900}},
		Input: books.Wasted, Paid: "0.055", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name:     "4 not reclaimable",
		History:  atOnce,
		Outcomes: []books.Outcome{{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600}},
		Input:    books.Wasted, Paid: "0.028", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name:    "5 explicit cancel",
		History: stopped,
		Outcomes: []books.Outcome{
			{Outcome: books.Delivered, Cause: books.Cancelled, Tokens: 500},
			{Outcome: books.Lost, Cause: books.Cancelled, Tokens: 20, Amount: Dollars("0.0006")},
			{Outcome: books.Lost, Cause: books.Tail, Tokens: 10, Amount: Dollars("0.0003")}},
		Input: books.Delivered, Paid: "0.0259", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name:     "6 provider fails",
		History:  Stream(700, Attach(1), Recv(7), Write(1, 7), Do(books.Fail)),
		Outcomes: []books.Outcome{{Outcome: books.Wasted, Cause: books.Upstream, Tokens: 700}},
		Input:    books.Wasted, Paid: "0.031", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name: "9 a resume that failed",
		History: Stream(1012, slices.Concat(cut, []books.Step{
			{Do: books.Attach, Conn: 2, From: 6, Explicit: true}, Write(2, 10)})...),
		Outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 1000},
			{Outcome: books.Lost, Cause: books.Tail, Tokens: 12}},
		Input: books.Wasted, Paid: "0.04036", Saved: "0", Upper: "0", Overhead: unclaimed, Net: "-0.012",
	}}
}

func examplesOfOddities() []Example {
	free := Stream(0, Attach(1), Recv(7), Write(1, 7), Do(books.Fail))
	free.Input = nil
	killed := Stream(3412, Attach(1), Recv(4), Write(1, 4),
		books.Step{Do: books.Kill, Marks: map[uint32]int{1: 4}})
	killed.Hidden, killed.Input = 3000, map[token.Kind]int64{token.Input: 2000, token.CacheRead: 8000}
	mini := Stream(600, Attach(1), Recv(6), Write(1, 6), Leave(1), Do(books.Grace))
	mini.Rates, mini.Input = Rates("0.5", "0.05", "2"), nil
	big := mini
	big.Rates = GPT55()
	lost := []books.Outcome{{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 600}}
	return []Example{{
		Name:    "6 the bill shows it as free",
		History: free,
		Input:   books.Lost, Paid: "0", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name:    "7 reasoning, then the gateway is killed",
		History: killed,
		Outcomes: []books.Outcome{
			{Outcome: books.Wasted, Cause: books.Crash, Tokens: 3400},
			{Outcome: books.Lost, Cause: books.Crash, Tokens: 12}},
		Input: books.Wasted, Paid: "0.11636", Saved: "0", Upper: "0", Net: "-0.11636",
		Overhead: []books.Overhead{{Kind: books.Crash, Tokens: 3412, Amount: Dollars("0.11636")}},
	}, {
		Name: "10 on gpt-5.5", History: big, Outcomes: lost,
		Input: books.Wasted, Paid: "0.018", Saved: "0", Upper: "0", Net: "0",
	}, {
		Name: "10 on gpt-5.5-mini", History: mini, Outcomes: lost,
		Input: books.Wasted, Paid: "0.0012", Saved: "0", Upper: "0", Net: "0",
	}}
}

// Stream is a streamed attempt on gpt-5.5 with 2,000 tokens of fresh input: events of
// 100 tokens, of which the sixteenth, without any, ends the answer.
func Stream(g int64, steps ...books.Step) books.History {
	f := books.Facts{Input: map[token.Kind]int64{token.Input: 2000}, Rates: GPT55(), Output: g,
		Events: 16, Terminal: 15, Streamed: true, OnCancel: books.BillingStops, Reclaimable: true,
		Caching: pricing.CachingAuto}
	for n := int64(1); n <= 16; n++ {
		f.Visible = append(f.Visible, min(100*n, 1500))
	}
	return books.History{Facts: f, Steps: Timed(steps)}
}

// Body is an answer of gpt-5-mini that is not streamed.
func Body(steps ...books.Step) books.History {
	return books.History{Steps: Timed(steps), Facts: books.Facts{
		Input: map[token.Kind]int64{token.Input: 1200}, Rates: Rates("0.25", "0.025", "2"), Output: 2500,
		Hidden: 1900, Events: 1, Terminal: 0, OnCancel: books.BillingStops, Reclaimable: true,
		Caching: pricing.CachingAuto}}
}

// Timed puts a second between the steps.
func Timed(steps []books.Step) []books.Step {
	for i := range steps {
		steps[i].At = time.Date(2026, 11, 23, 12, 0, i, 0, time.UTC)
	}
	return steps
}

// Recv is N events that come.
func Recv(n int) books.Step { return books.Step{Do: books.Recv, N: n} }

// Attach is a connection that begins.
func Attach(conn uint32) books.Step { return books.Step{Do: books.Attach, Conn: conn} }

// Observe is one that only looks.
func Observe(conn uint32) books.Step { return books.Step{Do: books.Attach, Conn: conn, Observe: true} }

// Write is what a connection was given.
func Write(conn uint32, to int) books.Step { return books.Step{Do: books.Write, Conn: conn, To: to} }

// Leave is a client that breaks its connection off.
func Leave(conn uint32) books.Step {
	return books.Step{Do: books.Detach, Conn: conn, Cause: books.Client}
}

// Do is a step that has nothing to say.
func Do(what books.Do) books.Step { return books.Step{Do: what} }

// GPT55 is what gpt-5.5 costs.
func GPT55() pricing.Rates { return Rates("5", "0.5", "30") }

// Rates are those of a model, in dollars per million tokens.
func Rates(input, cached, output string) pricing.Rates {
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

// Dollars is an amount.
func Dollars(s string) pricing.Picodollars {
	p, err := pricing.ParseDollars(s)
	if err != nil {
		panic(err)
	}
	return p
}
