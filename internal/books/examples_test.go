package books_test

import (
	"slices"
	"testing"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
)

var (
	stream, body, timed          = histories.Stream, histories.Body, histories.Timed
	recv, attach, observe, write = histories.Recv, histories.Attach, histories.Observe, histories.Write
	leave, do                    = histories.Leave, histories.Do
	gpt55, dollars               = histories.GPT55, histories.Dollars
)

// The worked examples of the design's section 7.5, with its figures.
func TestExamples(t *testing.T) {
	for _, e := range histories.Examples() {
		t.Run(e.Name, func(t *testing.T) { check(t, &e, e.History) })
		t.Run(e.Name+", compact", func(t *testing.T) { check(t, &e, books.Compact(e.History)) })
	}
}

func check(t *testing.T, e *histories.Example, h books.History) {
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
		if i < len(e.Outcomes) && e.Outcomes[i].Amount == 0 {
			got[i].Amount = 0
		}
	}
	if !slices.Equal(got, e.Outcomes) || b.InputOutcome != e.Input {
		t.Errorf("outcomes %v, input %s; not %v, %s", b.Outcomes, b.InputOutcome, e.Outcomes, e.Input)
	}
	if b.Saved.OutputTokens != e.Out || b.Saved.InputTokens != e.In {
		t.Errorf("saved %d out and %d in, not %d and %d", b.Saved.OutputTokens, b.Saved.InputTokens, e.Out, e.In)
	}
	if !slices.Equal(b.Overhead, e.Overhead) {
		t.Errorf("overhead %v, not %v", b.Overhead, e.Overhead)
	}
	for _, m := range []struct{ name, got, want string }{
		{"paid", b.Bill.String(), e.Paid},
		{"saved", b.Saved.Amount().String(), e.Saved},
		{"upper", b.Upper.Amount().String(), e.Upper},
		{"net", b.Net.String(), e.Net},
	} {
		if m.got != m.want {
			t.Errorf("%s $%s, not $%s", m.name, m.got, m.want)
		}
	}
}
