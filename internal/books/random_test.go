package books_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Random histories, each checked in every way: at every step, against the naive
// model, compacted, stored and read again, and with its bill corrected.
func TestRandomHistories(t *testing.T) {
	const histories = 2500
	seen := map[string]int{}
	for seed := range uint64(histories) {
		rng := rand.New(rand.NewPCG(seed, 7))
		choices := make([]byte, 400)
		for i := range choices {
			choices[i] = byte(rng.Uint32())
		}
		checkRandom(t, choices, seen)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	// The histories are of no use if they don't get everywhere.
	for _, what := range []string{"delivered/live", "delivered/resumed", "delivered/cancelled", "wasted/damaged",
		"wasted/upstream", "wasted/crash", "wasted/superseded", "wasted/abandoned", "lost/damaged", "lost/cancelled",
		"lost/upstream", "lost/crash", "lost/superseded", "lost/abandoned", "lost/tail", "saved", "saved input",
		"crash", "retry", "unclaimed", "uncertain", "not settled", "unpriced", "undone take-over"} {
		if seen[what] < histories/500 {
			t.Errorf("%s in only %d histories", what, seen[what])
		}
	}
}

func FuzzKeep(f *testing.F) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 8))
		choices := make([]byte, 20*seed)
		for i := range choices {
			choices[i] = byte(rng.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) { checkRandom(t, choices, map[string]int{}) })
}

func checkRandom(t *testing.T, choices []byte, seen map[string]int) {
	d := dice(choices)
	h := d.history()
	b := checkEveryStep(t, h)
	note(seen, h, b)
	checkCompact(t, h, b)

	compact := books.Compact(h)
	d.correct(&h.Facts)
	compact.Output, compact.Hidden, compact.Input, compact.Received = h.Output, h.Hidden, h.Input, h.Received
	corrected := checkEveryStep(t, h)
	checkCompact(t, h, corrected)
	if again, err := books.Keep(compact); err != nil || !reflect.DeepEqual(again, corrected) {
		t.Errorf("corrected after compacting: %+v, %v\nnot %+v", again, err, corrected)
	}
	if t.Failed() {
		text, _ := json.Marshal(h)
		t.Logf("%s", text)
	}
}

// checkEveryStep keeps the books of h beside the naive model.
func checkEveryStep(t *testing.T, h books.History) books.Books {
	t.Helper()
	a, err := books.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	model := newNaive(h)
	var before books.Books
	for i, s := range h.Steps {
		a.Next()
		model.step(s)
		b, err := a.Books()
		if err != nil {
			t.Fatal(err)
		}
		balanced(t, h, b)
		switch {
		case a.Pending() != model.pending(), a.Pending() != b.Pending:
			t.Errorf("step %d (%s): %d pending, books say %d, the model %d", i, s.Do, a.Pending(), b.Pending, model.pending())
		case b.Settled != model.done:
			t.Errorf("step %d (%s): settled %v", i, s.Do, b.Settled)
		case !b.Settled && b.Pending < before.Pending:
			t.Errorf("step %d (%s): pending fell from %d to %d", i, s.Do, before.Pending, b.Pending)
		case before.Settled && !reflect.DeepEqual(b, before):
			t.Errorf("step %d (%s) changed settled books: %+v, were %+v", i, s.Do, b, before)
		}
		before = b
	}
	kept, err := books.Keep(h)
	if err != nil || !reflect.DeepEqual(kept, before) && len(h.Steps) > 0 {
		t.Errorf("in one go: %+v, %v\nby steps: %+v", kept, err, before)
	}
	if kept.Settled && !t.Failed() {
		model.agrees(t, kept)
	}
	return kept
}

func (n *naive) agrees(t *testing.T, b books.Books) {
	t.Helper()
	want := n.tally(b.OutputAmount, b.InputAmount)
	got := tally{outcomes: map[[2]string][2]int64{}, overhead: map[string][2]int64{}, input: b.InputOutcome,
		savedOut: b.Saved.OutputTokens, savedIn: b.Saved.InputTokens, claim: int64(b.Saved.Amount()),
		upper: int64(b.Upper.Amount()), received: b.Received, uncertain: b.Uncertain, resumes: b.Resumes}
	for _, o := range b.Outcomes {
		got.outcomes[[2]string{o.Outcome, o.Cause}] = [2]int64{o.Tokens, int64(o.Amount)}
	}
	for _, n := range b.Breaks {
		got.breaks += n
	}
	net := b.Saved.Amount()
	for _, o := range b.Overhead {
		got.overhead[o.Kind] = [2]int64{o.Tokens, int64(o.Amount)}
		net -= o.Amount
	}
	if !reflect.DeepEqual(got, want) || net != b.Net {
		t.Errorf("books  %+v\nmodel  %+v\nnet %v, not %v", got, want, b.Net, net)
	}
}

func checkCompact(t *testing.T, h books.History, want books.Books) {
	t.Helper()
	c := books.Compact(h)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var read books.History
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]books.History{"compact": c, "read": read, "compact twice": books.Compact(c)} {
		if got, err := books.Keep(h); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\nnot %+v", name, got, err, want)
		}
	}
	if len(c.Steps) > len(h.Steps) || c.Events > h.Events {
		t.Errorf("%d steps and %d events became %d and %d", len(h.Steps), h.Events, len(c.Steps), c.Events)
	}
}

func note(seen map[string]int, h books.History, b books.Books) {
	count := func(what string, is bool) {
		if is {
			seen[what]++
		}
	}
	for _, o := range b.Outcomes {
		seen[o.Outcome+"/"+o.Cause]++
	}
	for _, o := range b.Overhead {
		seen[o.Kind]++
	}
	count("saved", b.Saved.OutputTokens > 0)
	count("saved input", b.Saved.Input > 0)
	count("uncertain", b.Uncertain > 0)
	count("not settled", !b.Settled)
	count("unpriced", b.Unpriced)
	attached := map[uint32]bool{}
	for _, s := range h.Steps {
		switch s.Do {
		case books.Kill:
			clear(attached)
		case books.Attach:
			attached[s.Conn] = !s.Observe
		case books.Detach:
			older := false
			for conn, owns := range attached {
				older = older || owns && conn < s.Conn
			}
			count("undone take-over", attached[s.Conn] && older)
			delete(attached, s.Conn)
		}
	}
}

// dice makes choices; once they are used up, each is the first.
type dice []byte

func (d *dice) upTo(n int) int {
	if len(*d) == 0 || n <= 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % (n + 1)
}

func pick[T any](d *dice, from ...T) T { return from[d.upTo(len(from)-1)] }

func (d *dice) history() books.History {
	h := books.History{Facts: d.facts()}
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	conns := 0
	for range 2 + d.upTo(30) {
		at = at.Add(pick(d, time.Millisecond, time.Second, 4*time.Minute, time.Minute))
		s := d.step(h.Events, &conns)
		s.At = at
		h.Steps = append(h.Steps, s)
	}
	if d.upTo(9) < 8 {
		h.Steps = append(h.Steps, books.Step{Do: books.Retention, At: at})
	}
	return h
}

func (d *dice) facts() books.Facts {
	f := books.Facts{Terminal: books.NoTerminal, Streamed: d.upTo(3) < 3, Retry: d.upTo(9) == 9,
		OnCancel: pick(d, books.BillingStops, books.BilledInFull, books.BillingUnknown), Marked: int64(d.upTo(255) * 8),
		Caching: pick(d, pricing.CachingAuto, pricing.CachingMarked, pricing.CachingNone)}
	f.Events = d.upTo(14)
	visible := int64(0)
	for range f.Events {
		visible += pick(d, int64(0), 1, 1, 3, 9, 20)
		f.Visible = append(f.Visible, visible)
	}
	if d.upTo(9) == 9 {
		f.Visible = f.Visible[:f.Events-d.upTo(f.Events)]
	}
	if f.Events > 0 && d.upTo(3) < 3 {
		f.Terminal = max(0, f.Events-1-d.upTo(2))
	}
	f.Rates = rates(pick(d, "5", "0.73", "1.3"), pick(d, "0.5", "0.027", "7"), pick(d, "30", "2", "0.333333"))
	switch d.upTo(15) {
	case 13:
		f.Rates = pricing.Rates{}
	case 14:
		f.Rates.PerToken[token.Reasoning] = 7_100_000
	case 15:
		f.AudioOut = int64(d.upTo(50))
		f.Rates.PerToken[token.AudioOut] = 64_000_001
	}
	d.correct(&f)
	return f
}

// correct gives f other quantities: those of another bill.
func (d *dice) correct(f *books.Facts) {
	f.Hidden = pick(d, int64(0), 0, 1, 40, 300)
	f.Output = int64(d.upTo(40))
	if n := len(f.Visible); n > 0 && d.upTo(7) < 7 {
		f.Output = f.Hidden + f.Visible[n-1] + int64(d.upTo(20))
	}
	f.Received = nil
	if d.upTo(5) == 5 {
		r := max(0, f.Output-int64(d.upTo(20)))
		f.Received = &r
	}
	f.Input = maps.Clone(f.Input)
	f.Input = map[token.Kind]int64{token.Input: pick(d, int64(0), 5, 900, 1024, 2000, 100_000), token.CacheRead: pick(d, int64(0), 0, 8000)}
	if d.upTo(9) == 9 {
		f.Input[token.Tool("search")] = 3
		f.Input[token.CacheWrite5m] = 1500
	}
}

func (d *dice) step(events int, conns *int) books.Step {
	conn := uint32(*conns - d.upTo(3))
	if int(conn) > *conns {
		conn = 0
	}
	switch p := d.upTo(99); {
	case p < 30:
		return books.Step{Do: books.Recv, N: d.upTo(5)}
	case p < 50:
		*conns++
		s := books.Step{Do: books.Attach, Conn: uint32(*conns), Observe: d.upTo(4) == 4}
		switch d.upTo(3) {
		case 2:
			s.FromNow = true
		case 3:
			s.From, s.Explicit = d.upTo(events+2), d.upTo(1) == 0
		}
		return s
	case p < 78:
		return books.Step{Do: books.Write, Conn: conn, To: d.upTo(events + 3)}
	case p < 90:
		return books.Step{Do: books.Detach, Conn: conn, Cause: pick(d, books.Client, books.Client, books.Gateway, books.SlowReader)}
	case p < 93:
		marks := map[uint32]int{}
		for c := range *conns {
			marks[uint32(c+1)] = d.upTo(events)
		}
		return books.Step{Do: books.Kill, Marks: marks}
	}
	return books.Step{Do: pick(d, books.Grace, books.Fail, books.Supersede, books.Cancel, books.Damage, books.Grace, books.Fail)}
}
