package bucket

import (
	"fmt"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/pricing"
)

// cell is a model, tier and day that is being compared.
type cell struct {
	key
	billed  Side
	books   *booked
	counted bool // the bill tells requests
	known   bool // the books have had the model in this time
	priced  bool // the bill tells what it cost
	lag     Side
	late    int // calls that came late, and that went on to the next day
	gone    int
	parts   []Part
}

// split splits the difference in tokens.
func (at *cell) split() {
	if at.late+at.gone > 0 {
		at.parts = append(at.parts, Part{
			Name: Lag, Tokens: at.lag.Tokens, Requests: at.lag.Requests, USD: at.lag.USD,
			Text: fmt.Sprintf("calls of the day before that are on this day's bill: %d; of this day on the next one's: %d", at.late, at.gone),
		})
	}
	left := at.billed.Tokens.Minus(at.books.Tokens).Minus(at.lag.Tokens)
	requests := int64(0)
	if at.counted {
		requests = at.billed.Requests - at.books.Requests - at.lag.Requests
	}
	if left.Size() == 0 && requests == 0 {
		return
	}
	if taken, text := at.bypassed(left, requests); text != "" {
		at.part(Bypassed, taken, max(requests, 0), text)
		left, requests = left.Minus(taken), min(requests, 0)
	}
	if taken := at.estimates(left); taken != (vendor.Tokens{}) || requests < 0 && requests >= -at.books.maybe {
		n := max(requests, -at.books.maybe)
		at.part(Estimated, taken, n, "of estimates, within their bounds: "+attempts(at.books.estimated))
		left, requests = left.Minus(taken), requests-n
	}
	if text := at.onCancel(left.Output); text != "" {
		at.part(OnCancel, vendor.Tokens{Output: left.Output}, 0, text)
		left.Output = 0
	}
	if left.Size() > 0 || requests != 0 {
		at.part(Unexplained, left, requests, "the provider reported other tokens for these calls when they ended")
	}
}

func (at *cell) part(name string, t vendor.Tokens, requests int64, text string) {
	at.parts = append(at.parts, Part{Name: name, Tokens: t, Requests: requests, Text: text + shifted(t)})
}

// shifted names the kinds where they differ and their sum doesn't, which a table would
// show as nothing.
func shifted(t vendor.Tokens) string {
	if t.AllInput() != 0 || t.Input == 0 && t.CacheRead == 0 && t.CacheWrite5m == 0 && t.CacheWrite1h == 0 {
		return ""
	}
	return fmt.Sprintf("; of other kinds: input %+d, cache_read %+d, cache_write_5m %+d, cache_write_1h %+d", t.Input, t.CacheRead, t.CacheWrite5m, t.CacheWrite1h)
}

// bypassed is what calls that the books don't have can be.
func (at *cell) bypassed(left vendor.Tokens, requests int64) (taken vendor.Tokens, text string) {
	positive := vendor.Tokens{
		Input: max(left.Input, 0), CacheRead: max(left.CacheRead, 0), CacheWrite5m: max(left.CacheWrite5m, 0),
		CacheWrite1h: max(left.CacheWrite1h, 0), Output: max(left.Output, 0),
	}
	switch {
	case positive.Size() == 0 && requests <= 0:
		return taken, ""
	case !at.known:
		return positive, "the books have no call of this model"
	case requests > 0:
		return positive, fmt.Sprintf("requests that the bill has more than the books: %d", requests)
	case !at.counted && left.AllInput() > at.books.in.more:
		return positive, "the bill has more input than the books' calls can have sent"
	}
	return taken, ""
}

// estimates is what of a difference the bounds of estimates have room for.
func (at *cell) estimates(left vendor.Tokens) (taken vendor.Tokens) {
	b := at.books
	if b.in != (room{}) {
		if b.in.has(left.AllInput()) {
			taken = left
		} else {
			taken.Input = b.in.clamp(left.Input)
		}
	}
	taken.Output = b.out.clamp(left.Output)
	return taken
}

func (r room) clamp(n int64) int64 { return max(-r.less, min(r.more, n)) }

// onCancel says if cut attempts can be what differs in output.
func (at *cell) onCancel(output int64) string {
	switch b := at.books; {
	case output > 0 && b.stopped > 0:
		return "on_cancel says billing_stops, and the provider billed on after a cut: " + attempts(b.stopped)
	case output < 0 && b.full > 0:
		return "on_cancel says billed_in_full, and the provider billed less after a cut: " + attempts(b.full)
	}
	return ""
}

// splitMoney splits a difference where the bill tells no tokens.
func (at *cell) splitMoney() {
	left := at.billed.USD.Minus(at.books.USD)
	if negligible(left) {
		return
	}
	if !at.known {
		at.parts = append(at.parts, Part{Name: Bypassed, USD: left, Text: "the books have no call of this model"})
		return
	}
	taken := left
	switch less, more := (pricing.Sum{}).Minus(at.books.usd[0]), at.books.usd[1]; {
	case left.Minus(more).Sign() > 0:
		taken = more
	case left.Minus(less).Sign() < 0:
		taken = less
	}
	if taken.Sign() != 0 {
		at.parts = append(at.parts, Part{Name: Estimated, USD: taken, Text: "of estimates: " + attempts(at.books.estimated)})
	}
	if left = left.Minus(taken); !negligible(left) {
		at.parts = append(at.parts, Part{Name: Unexplained, USD: left, Text: "the bill tells no tokens: give the usage too, and it can be split"})
	}
}

func attempts(n int64) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
