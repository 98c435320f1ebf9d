package bucket

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// key is a model, tier and day.
type key struct{ model, tier, day string }

func (k key) compare(l key) int {
	return cmp.Or(cmp.Compare(k.day, l.day), cmp.Compare(k.model, l.model), cmp.Compare(k.tier, l.tier))
}

// booked is what the books have of a key.
type booked struct {
	Side
	estimated int64          // attempts of which something is
	maybe     int64          // of them those that may not be on the bill at all
	in, out   room           // of the estimates
	usd       [2]pricing.Sum // what they may cost less and more
	stopped   int64          // cut attempts that are said to have stopped the bill
	full      int64          // and those that are said to be billed in full
	rates     pricing.Rates
	mixed     bool                   // not all attempts had these rates
	late      []call                 // near the end of the day, the latest first
	tools     map[string]pricing.Sum // of USD: for uses of tools, by the tool's name
}

// room is how much less, and more, an estimate may be.
type room struct{ less, more int64 }

func (r room) has(n int64) bool { return -r.less <= n && n <= r.more }

// call is an attempt that can be on the next day's bill.
type call struct {
	Side
	ended time.Time
	tools map[string]pricing.Sum
}

// maxLate bounds the calls that are kept of a day.
const maxLate = 1000

// shelf is what the books have of a statement's time.
type shelf struct {
	c       *comparing
	lag     time.Duration
	by      map[key]*booked
	seen    map[string]bool // models
	all     int64
	pending int64
}

// lagOf is how much later than the gateway a vendor may count a call: a bucket, and no
// more than an hour.
func lagOf(s *vendor.Statement) time.Duration { return min(s.Width, time.Hour) }

// read reads the books of the time, and of the hours before it.
func (c *comparing) read(ctx context.Context) (*shelf, error) {
	h := &shelf{c: c, lag: lagOf(c.s), by: map[key]*booked{}, seen: map[string]bool{}}
	err := c.books.Between(ctx, c.s.From.Add(-h.lag-time.Hour), c.s.To, func(row ledger.Row) error {
		if row.Provider != c.s.Provider {
			return nil
		}
		if err := h.add(&row); err != nil {
			return fmt.Errorf("attempt %s: %w", row.ID(), err)
		}
		return nil
	})
	for _, b := range h.by {
		b.keepLatest()
	}
	return h, err
}

// keyOf is where an attempt belongs. Before the time of the bill it is only kept for
// what may have come late.
func (h *shelf) keyOf(row *ledger.Row) key {
	k := key{row.Model, vendor.Tier(row.ServiceTier), row.At.UTC().Format(time.DateOnly)}
	if k.model == settle.Other && row.AskedModel != "" {
		k.model = row.AskedModel
	}
	return h.c.tierless(k)
}

func (h *shelf) add(row *ledger.Row) error {
	var e settle.Evidence
	if err := json.Unmarshal(row.Current.Evidence, &e); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	k := h.keyOf(row)
	before := row.At.Before(h.c.s.From)
	if before {
		k.day = early
	}
	b := h.by[k]
	if b == nil {
		b = &booked{rates: e.History.Rates}
		h.by[k] = b
	}
	s, tools := h.side(row), toolsOf(row)
	if row.Ended.After(row.At) && h.late(row.Ended, row.At) || h.late(row.At, row.At) {
		b.late = append(b.late, call{s, cmp.Or(row.Ended, row.At), tools})
		if len(b.late) > 2*maxLate {
			b.keepLatest()
		}
	}
	if before {
		return nil
	}
	h.all++
	h.seen[k.model] = true
	if row.Current.Outcomes == nil {
		h.pending++
	}
	b.Side.add(s)
	for name, usd := range tools {
		if b.tools == nil {
			b.tools = map[string]pricing.Sum{}
		}
		b.tools[name] = b.tools[name].Plus(usd)
	}
	b.mixed = b.mixed || !maps.Equal(b.rates.PerToken, e.History.Rates.PerToken)
	b.estimates(row, &e, s)
	return nil
}

// keepLatest sorts the calls that can be on the next day's bill, and drops what are too many.
func (b *booked) keepLatest() {
	slices.SortStableFunc(b.late, func(a, b call) int { return b.ended.Compare(a.ended) })
	b.late = b.late[:min(len(b.late), maxLate)]
}

// early is the day of what came before the bill's time.
const early = ""

// late says if something at t is near the end of the day of at, or of the bill's time,
// or after it.
func (h *shelf) late(t, at time.Time) bool {
	end := at.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	for _, edge := range []time.Time{h.c.s.From, h.c.s.To} {
		if at.Before(edge) && edge.Before(end) {
			end = edge
		}
	}
	return !t.Before(end.Add(-h.lag))
}

// side is an attempt's figures.
func (h *shelf) side(row *ledger.Row) (s Side) {
	bill := &row.Current.Bill
	s.USD = pricing.Sum{}.Add(bill.Output.Amount)
	s.Tokens.Output = bill.Output.Tokens
	for _, l := range bill.Input {
		s.USD = s.USD.Add(l.Amount)
		switch {
		case l.Kind.IsTool():
		case l.Kind == token.CacheRead:
			s.Tokens.CacheRead += l.Tokens
		case l.Kind == token.CacheWrite5m && !h.c.s.NoWrites:
			s.Tokens.CacheWrite5m += l.Tokens
		case l.Kind == token.CacheWrite1h && !h.c.s.NoWrites:
			s.Tokens.CacheWrite1h += l.Tokens
		default: // audio too, which reports have among all input
			s.Tokens.Input += l.Tokens
		}
	}
	if s.Tokens.Size() > 0 || bill.InputBasis.Estimated() || bill.OutputBasis.Estimated() {
		s.Requests = 1
	}
	return s
}

// estimates adds what the bounds of an attempt with these figures leave open.
func (b *booked) estimates(row *ledger.Row, e *settle.Evidence, point Side) {
	bill := &row.Current.Bill
	if !bill.InputBasis.Estimated() && !bill.OutputBasis.Estimated() {
		return
	}
	b.estimated++
	if bill.InputBasis.Estimated() {
		b.in.widen(e.Input, point.Tokens.AllInput())
		if e.Input.Low == 0 {
			b.maybe++
		}
	}
	output := e.Output
	if stops(row, e) {
		output.High = min(output.High, output.Point+max(tailLeast, output.Point/tailShare))
	}
	if bill.OutputBasis.Estimated() {
		b.out.widen(output, point.Tokens.Output)
	}
	if bounds := e.Bounds(); bounds != nil {
		b.usd[0] = b.usd[0].Plus(point.USD).Minus(pricing.Sum{}.Add(bounds.Input.From).Add(bounds.Output.From))
		b.usd[1] = b.usd[1].Plus(pricing.Sum{}.Add(bounds.Input.To).Add(bounds.Output.To)).Minus(point.USD)
	}
	if !bill.OutputBasis.Estimated() || !cut(e) {
		return
	}
	switch e.History.OnCancel {
	case books.BillingStops:
		b.stopped++
	case books.BilledInFull:
		b.full++
	}
}

// A provider that stops when it is cut bills a little of what it had not sent yet: at
// most so many tokens, or such a share of what came.
const (
	tailLeast = 64
	tailShare = 4
)

// stops says if a cut attempt, by its on_cancel, is billed about as far as it came. Of a
// model that can hide its reasoning nobody knows how far that was.
func stops(row *ledger.Row, e *settle.Evidence) bool {
	return cut(e) && e.History.OnCancel == books.BillingStops && e.History.Hidden == 0 && token.NeverHides(cmp.Or(row.AskedModel, row.Model))
}

func (r *room) widen(e token.Range, point int64) {
	r.less += max(point-e.Low, 0)
	r.more += max(e.High-point, 0)
}

// cut says if the gateway has broken the provider's answer off.
func cut(e *settle.Evidence) bool {
	return e.History.Terminal == books.NoTerminal && slices.ContainsFunc(e.History.Steps, func(s books.Step) bool {
		return s.Do == books.Grace || s.Do == books.Cancel
	})
}
