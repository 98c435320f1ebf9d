package books_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// What the design says nothing is claimed for. Each case is one change away from a
// break at 600 of 1,500 tokens that was resumed to the end.
func TestNothingIsClaimed(t *testing.T) {
	end := []books.Step{recv(10), write(2, 16)}
	begin := []books.Step{attach(1), recv(6), write(1, 6)}
	for name, steps := range map[string][]books.Step{
		"":                       {leave(1), attach(2)},
		"the gateway's break":    {detach(1, books.Gateway), attach(2)},
		"the slow reader's":      {detach(1, books.SlowReader), attach(2)},
		"the crash's":            {leave(1), attach(3), {Do: books.Kill, Marks: map[uint32]int{3: 0}}, attach(2)},
		"an observer":            {observe(3), write(3, 6), leave(3), observe(2), recv(10), write(1, 16)},
		"a resume that skipped":  {leave(1), recv(1), {Do: books.Attach, Conn: 2, FromNow: true}},
		"an offset that skipped": {leave(1), recv(1), {Do: books.Attach, Conn: 2, From: 7, Explicit: true}},
		"no terminal event":      {leave(1), attach(2), recv(9), write(2, 15), do(books.Fail)},
		"a retry never made":     {leave(1), recv(10), do(books.Retention)},
		"after the terminal":     {recv(10), write(1, 16), leave(1), attach(2)},
		"got it itself":          {attach(2), recv(10), write(1, 16)},
		"a take-over undone":     {attach(2), leave(2), recv(10), write(1, 16)},
		"cancelled":              {leave(1), attach(2), do(books.Cancel)},
		"nothing was written":    {{Do: books.Kill, Marks: map[uint32]int{1: 0}}, attach(3), leave(3), attach(2)},
	} {
		t.Run(name, func(t *testing.T) {
			b := keep(t, stream(1500, slices.Concat(begin, steps, end)...))
			if name == "" {
				if b.Saved.OutputTokens != 600 || b.Saved.Input == 0 {
					t.Errorf("claims %+v", b.Saved)
				}
				return
			}
			if b.Saved != (books.Saving{}) || b.Upper != (books.Saving{}) {
				t.Errorf("claims %+v, at most %+v", b.Saved, b.Upper)
			}
		})
	}
}

func TestClaimOfInput(t *testing.T) {
	for _, c := range []struct {
		name    string
		input   int64
		caching string
		marked  int64
		away    time.Duration
		want    string
	}{
		{"hit", 2000, pricing.CachingAuto, 0, 5 * time.Minute, "0.00136"},
		{"too late", 2000, pricing.CachingAuto, 0, 5*time.Minute + time.Millisecond, "0.01"},
		{"a nanosecond isn't", 2000, pricing.CachingAuto, 0, 5*time.Minute + time.Nanosecond, "0.00136"},
		{"least", 1024, pricing.CachingAuto, 0, 0, "0.000512"},
		{"too short", 1023, pricing.CachingAuto, 0, 0, "0.005115"},
		{"marked", 2000, pricing.CachingMarked, 500, 0, "0.00775"},
		{"more marked than sent", 2000, pricing.CachingMarked, 5000, 0, "0.001"},
		{"no cache", 2000, pricing.CachingNone, 500, 0, "0.01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := stream(1500, attach(1), recv(6), write(1, 6), leave(1), attach(2), recv(10), write(2, 16))
			h.Input, h.Caching, h.Marked = map[token.Kind]int64{token.Input: c.input}, c.caching, c.marked
			h.Steps[4].At = h.Steps[3].At.Add(c.away)
			if got := keep(t, h).Saved.Input.String(); got != c.want {
				t.Errorf("$%s, not $%s", got, c.want)
			}
		})
	}
	t.Run("never above what was paid", func(t *testing.T) {
		h := stream(1500, attach(1), recv(1), write(1, 1), leave(1), attach(2), recv(1), write(2, 2), leave(2),
			attach(3), recv(1), write(3, 3), leave(3), attach(4), recv(13), write(4, 16))
		h.Input, h.Caching = map[token.Kind]int64{token.Input: 100, token.CacheRead: 1900, token.Tool("search"): 9}, pricing.CachingNone
		h.Rates.PerToken[token.Tool("search")] = 1_000_000_000
		b := keep(t, h)
		if b.Saved.Input != dollars("0.00145") || b.Upper.Input != dollars("0.02") ||
			b.Saved.InputTokens != 6000 || b.Upper.InputTokens != 4000 {
			t.Errorf("claims %+v, at most %+v", b.Saved, b.Upper)
		}
	})
}

func TestKill(t *testing.T) {
	kill := books.Step{Do: books.Kill, Marks: map[uint32]int{1: 3}}
	for _, c := range []struct {
		name      string
		steps     []books.Step
		outcome   books.Outcome
		uncertain int64
	}{
		{"the last mark counts", []books.Step{recv(8), write(1, 6), kill, do(books.Retention)},
			books.Outcome{Outcome: books.Wasted, Cause: books.Crash, Tokens: 300}, 500},
		{"an offset proves more", []books.Step{recv(8), write(1, 6), kill,
			{Do: books.Attach, Conn: 2, From: 5, Explicit: true}, do(books.Retention)},
			books.Outcome{Outcome: books.Wasted, Cause: books.Crash, Tokens: 500}, 300},
		{"a start at the beginning doesn't", []books.Step{recv(8), write(1, 6), kill, attach(2), do(books.Retention)},
			books.Outcome{Outcome: books.Wasted, Cause: books.Crash, Tokens: 300}, 500},
		{"a later owner got it", []books.Step{recv(8), write(1, 6), kill, attach(2), write(2, 7), do(books.Retention)},
			books.Outcome{Outcome: books.Wasted, Cause: books.Crash, Tokens: 700}, 100},
		{"complete, and handed over", []books.Step{recv(16), write(1, 15), kill, do(books.Retention)},
			books.Outcome{Outcome: books.Wasted, Cause: books.Abandoned, Tokens: 1499}, 1200},
		{"complete, with the terminal event", []books.Step{recv(16), write(1, 16), kill},
			books.Outcome{Outcome: books.Delivered, Cause: books.Live, Tokens: 1500}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := stream(1500, slices.Concat([]books.Step{attach(1)}, c.steps)...)
			if c.name == "complete, and handed over" {
				h.Output, h.Visible[15] = 1500, 1501 // so that the last event has a token
			}
			b := keep(t, h)
			got := b.Outcomes[0]
			got.Amount = 0
			if !b.Settled || got != c.outcome || b.Uncertain != c.uncertain {
				t.Errorf("settled %v, %+v, %d uncertain", b.Settled, b.Outcomes, b.Uncertain)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []books.Step
		want  bool
	}{
		{"nothing", nil, false},
		{"half of it written", []books.Step{recv(8), write(1, 8), leave(1)}, false},
		{"terminal event not written", []books.Step{recv(16), write(1, 14)}, false},
		{"usage to come", []books.Step{recv(15), write(1, 15)}, false},
		{"delivered", []books.Step{recv(16), write(1, 16)}, true},
		{"cancelled", []books.Step{recv(8), do(books.Cancel)}, true},
		{"damaged", []books.Step{recv(8), do(books.Damage)}, true},
		{"dead, all written", []books.Step{recv(8), write(1, 8), do(books.Fail)}, true},
		{"dead, not all written", []books.Step{recv(8), write(1, 7), do(books.Fail)}, false},
		{"a skipped gap", []books.Step{leave(1), recv(1), {Do: books.Attach, Conn: 2, FromNow: true}, recv(15), write(2, 16)}, false},
		{"retention", []books.Step{recv(8), do(books.Retention)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := stream(1500, slices.Concat([]books.Step{attach(1)}, c.steps)...)
			h.Terminal = 14
			if b := keep(t, h); b.Settled != c.want || c.want != (b.Pending == 0 && b.InputOutcome != "") {
				t.Errorf("settled %v, %d pending, input %q", b.Settled, b.Pending, b.InputOutcome)
			}
		})
	}
}

func TestUnpriced(t *testing.T) {
	h := stream(1500, attach(1), recv(6), write(1, 6), leave(1), attach(2), recv(10), write(2, 16))
	h.Rates = pricing.Rates{}
	b := keep(t, h)
	want := []books.Outcome{{Outcome: books.Delivered, Cause: books.Live, Tokens: 600},
		{Outcome: books.Delivered, Cause: books.Resumed, Tokens: 900}}
	if !b.Unpriced || b.Bill != 0 || b.Net != 0 || b.Saved != (books.Saving{InputTokens: 2000, OutputTokens: 600}) ||
		!slices.Equal(b.Outcomes, want) || !slices.Equal(b.Input, []books.Line{{Kind: token.Input, Tokens: 2000}}) {
		t.Errorf("%+v", b)
	}

	h.Rates, h.Input = gpt55(), map[token.Kind]int64{token.Input: 2000, token.AudioIn: 7, token.Tool("search"): 0}
	if b := keep(t, h); !b.Unpriced || b.Bill.String() != "0.055" || len(b.Input) != 2 {
		t.Errorf("without a rate for audio: %+v", b)
	}
}

func TestOverflow(t *testing.T) {
	for name, change := range map[string]func(*books.History){
		"output":    func(h *books.History) { h.Output = 1 << 40 },
		"reasoning": func(h *books.History) { h.Output, h.Hidden = 1<<40, 1<<40 },
		"input":     func(h *books.History) { h.Input = map[token.Kind]int64{token.Input: 1 << 40} },
		"bill":      func(h *books.History) { h.Input = map[token.Kind]int64{token.Input: 6e11, token.CacheRead: 6e11} },
		"fresh": func(h *books.History) {
			h.Input = map[token.Kind]int64{token.CacheRead: 1 << 40}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := stream(1500, attach(1), recv(6), write(1, 6), leave(1), attach(2), recv(10), write(2, 16))
			h.Rates.PerToken = map[token.Kind]pricing.Rate{token.Input: 10_000_000, token.CacheRead: 10_000_000, token.Output: 30_000_000}
			if name == "fresh" {
				h.Rates.PerToken[token.CacheRead] = 1
			}
			change(&h)
			if b, err := books.Keep(h); !errors.Is(err, pricing.ErrOverflow) {
				t.Errorf("%v, %+v", err, b)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	for name, change := range map[string]func(*books.History){
		"negative output":       func(h *books.History) { h.Output = -1 },
		"absurd output":         func(h *books.History) { h.Output = 1<<40 + 1 },
		"negative hidden":       func(h *books.History) { h.Hidden = -1 },
		"negative received":     func(h *books.History) { h.Received = new(int64(-1)) },
		"negative input":        func(h *books.History) { h.Input = map[token.Kind]int64{token.Input: -1} },
		"output in the input":   func(h *books.History) { h.Input = map[token.Kind]int64{token.Reasoning: 1} },
		"falling visible":       func(h *books.History) { h.Visible[3] = 0 },
		"more counted than are": func(h *books.History) { h.Events = 15 },
		"terminal behind all":   func(h *books.History) { h.Terminal = 16 },
		"terminal before all":   func(h *books.History) { h.Terminal = -2 },
		"unknown step":          func(h *books.History) { h.Steps[0].Do = "jump" },
		"unknown cause":         func(h *books.History) { h.Steps[0] = detach(1, "bored") },
		"negative count":        func(h *books.History) { h.Steps[1].N = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			h := stream(1500, attach(1), recv(16), write(1, 16))
			change(&h)
			if b, err := books.Keep(h); !errors.Is(err, books.ErrInvalid) {
				t.Errorf("%v, %+v", err, b)
			}
			if c := books.Compact(h); !reflect.DeepEqual(c, h) {
				t.Errorf("became %+v", c)
			}
		})
	}
}

func TestBreaks(t *testing.T) {
	b := keep(t, stream(1500, attach(1), recv(2), write(1, 2), leave(1), attach(2), write(2, 2),
		detach(2, books.SlowReader), attach(3), attach(4), leave(4), recv(1), detach(3, books.Gateway),
		books.Step{Do: books.Attach, Conn: 5, FromNow: true}, recv(13), write(5, 16), leave(5), do(books.Retention)))
	// The take-over of 3 by 4 was undone, but 4's end is a break; 5 skipped.
	want := map[string]int64{books.Client: 2, books.SlowReader: 1, books.Gateway: 1}
	if !maps.Equal(b.Breaks, want) || b.Resumes != 2 {
		t.Errorf("breaks %v, %d resumes", b.Breaks, b.Resumes)
	}
}

// Corners that random histories seldom find.
func TestCorners(t *testing.T) {
	reasoning := stream(1800, attach(1), recv(1), leave(1), attach(2), recv(5), write(2, 6), leave(2),
		attach(3), recv(10), write(3, 16))
	reasoning.Hidden, reasoning.Visible[0] = 300, 0
	late := body(attach(1), leave(1), recv(1), attach(2), leave(2), attach(3), recv(1), write(3, 2))
	late.Events = 2
	usage := stream(1500, attach(1), recv(14), write(1, 14), do(books.Cancel), recv(2))
	usage.Terminal = 13
	for _, c := range []struct {
		name      string
		history   books.History
		delivered int64
		saved     int64
	}{
		{"hidden tokens began before the owner did", reasoning, 1800, 600},
		{"not streamed, owned after the answer only", late, 2500, 2500},
		{"a cancel too late, then usage", usage, 1500, 0},
		{"a write that says less", stream(1500, attach(1), recv(10), write(1, 10), recv(6), write(1, 5), leave(1),
			do(books.Cancel)), 1000, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := checkEveryStep(t, c.history)
			checkCompact(t, c.history, b)
			delivered := int64(0)
			for _, o := range b.Outcomes {
				if o.Outcome == books.Delivered {
					delivered += o.Tokens
				}
			}
			if !b.Settled || delivered != c.delivered || b.Saved.OutputTokens != c.saved {
				t.Errorf("%d delivered, %+v", delivered, b)
			}
		})
	}
	if in := keep(t, late).Saved.InputTokens; in != 1200 {
		t.Errorf("not streamed: %d tokens of input saved; one break was while the attempt ran", in)
	}
}

// A long answer with a break must fit well into a posting.
func TestEvidenceIsSmall(t *testing.T) {
	h := long(4000)
	text, err := json.Marshal(books.Compact(h))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 1024 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	checkCompact(t, h, keep(t, h))
}

// long is an answer of n events, written one by one, with a break in the middle and an
// older connection that reads along.
func long(n int) books.History {
	h := stream(int64(3*n), attach(1))
	h.Events, h.Terminal, h.Visible = n, n-1, nil
	for i := range n {
		h.Visible = append(h.Visible, int64(3*i))
		switch i {
		case n / 2:
			h.Steps = append(h.Steps, leave(1), attach(2))
		case n * 2 / 3:
			h.Steps = append(h.Steps, attach(3), observe(4))
		}
		h.Steps = append(h.Steps, recv(1), write(1, i+1), write(2, i+1), write(3, i+1), write(4, i+1))
	}
	timed(h.Steps)
	return h
}

func keep(t *testing.T, h books.History) books.Books {
	t.Helper()
	b, err := books.Keep(h)
	if err != nil {
		t.Fatal(err)
	}
	balanced(t, h, b)
	return b
}

func detach(conn uint32, cause string) books.Step {
	return books.Step{Do: books.Detach, Conn: conn, Cause: cause}
}

func BenchmarkKeep(b *testing.B) {
	clean := stream(1500, attach(1), recv(16), write(1, 16), leave(1))
	clean.Visible = nil
	for name, h := range map[string]books.History{
		"clean":   clean,
		"resumed": stream(1500, attach(1), recv(6), write(1, 6), leave(1), recv(10), attach(2), write(2, 16)),
		"long":    long(4000),
		"compact": books.Compact(long(4000)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := books.Keep(h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompact(b *testing.B) {
	h := long(4000)
	for b.Loop() {
		books.Compact(h)
	}
}
