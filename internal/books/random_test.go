package books_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
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
	d := histories.Dice(choices)
	h := d.History()
	b := checkEveryStep(t, h)
	note(seen, h, b)
	checkCompact(t, h, b)

	compact := books.Compact(h)
	d.Correct(&h.Facts)
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
