package histories

import (
	"maps"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Dice makes choices; once they are used up, each is the first.
type Dice []byte

func (d *Dice) upTo(n int) int {
	if len(*d) == 0 || n <= 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % (n + 1)
}

func pick[T any](d *Dice, from ...T) T { return from[d.upTo(len(from)-1)] }

// History is a random one.
func (d *Dice) History() books.History {
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

func (d *Dice) facts() books.Facts {
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
	f.Rates = Rates(pick(d, "5", "0.73", "1.3"), pick(d, "0.5", "0.027", "7"), pick(d, "30", "2", "0.333333"))
	switch d.upTo(15) {
	case 13:
		f.Rates = pricing.Rates{}
	case 14:
		f.Rates.PerToken[token.Reasoning] = 7_100_000
	case 15:
		f.AudioOut = int64(d.upTo(50))
		f.Rates.PerToken[token.AudioOut] = 64_000_001
	}
	d.Correct(&f)
	return f
}

// Correct gives f other quantities: those of another bill.
func (d *Dice) Correct(f *books.Facts) {
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

func (d *Dice) step(events int, conns *int) books.Step {
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
