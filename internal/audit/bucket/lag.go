package bucket

import (
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
)

// maxMoved is how many calls are tried as late ones.
const maxMoved = 64

// lags finds calls that the vendor counts to the day after that of the gateway. Only
// what explains a day's whole difference, but for estimates, is a lag: the calls that
// ended last are moved on, one after the other, until it does.
func (c *comparing) lags(h *shelf) {
	models := map[[2]string]bool{}
	for k := range c.cells {
		models[[2]string{k.model, k.tier}] = true
	}
	days := daysOf(c.s)
	for m := range models {
		var in []call // moved here from the day before
		fixed := false
		for i, day := range days {
			at := c.cells[key{m[0], m[1], day}]
			var before []call
			if i == 0 {
				if b := h.by[key{m[0], m[1], early}]; b != nil {
					before = b.late
				}
			}
			next, last := (*cell)(nil), i == len(days)-1
			if !last {
				next = c.cells[key{m[0], m[1], days[i+1]}]
			}
			in, fixed = at.move(before, in, fixed, func(out []call) bool {
				return len(out) == 0 || last || next != nil && next.takes(out)
			})
		}
	}
}

// takes says if calls of the day before can be what a day has more.
func (at *cell) takes(in []call) bool {
	for n := 0; n <= min(len(at.books.late), maxMoved); n++ {
		if at.fits(at.difference(sum(in), sum(at.books.late[:n]))) {
			return true
		}
	}
	return false
}

// move finds what came to a day late, if that isn't fixed, and what went on from it, if
// the next day takes it.
func (at *cell) move(before, in []call, fixed bool, taken func([]call) bool) (out []call, found bool) {
	if at == nil {
		return nil, false
	}
	first, last := 0, min(len(before), maxMoved)
	if fixed {
		before, first, last = in, len(in), len(in)
	}
	for k := first; k <= last; k++ {
		for n := 0; n <= min(len(at.books.late), maxMoved); n++ {
			d := at.difference(sum(before[:k]), sum(at.books.late[:n]))
			if !at.fits(d) || !taken(at.books.late[:n]) {
				continue
			}
			at.moved(before[:k], at.books.late[:n])
			return at.books.late[:n], n > 0
		}
	}
	if fixed { // what went on from the day before, went here
		at.moved(in, nil)
	}
	return nil, false
}

// difference is what the bill has more, but for what came late and went on.
func (at *cell) difference(in, out Side) Side {
	d := Side{
		Tokens:   at.billed.Tokens.Minus(at.books.Tokens).Minus(in.Tokens).Plus(out.Tokens),
		Requests: at.billed.Requests - at.books.Requests - in.Requests + out.Requests,
	}
	if !at.counted {
		d.Requests = 0
	}
	return d
}

// fits says if estimates can be all of a difference.
func (at *cell) fits(d Side) bool {
	b := at.books
	kinds := d.Tokens
	kinds.Output = 0
	if b.in == (room{}) && kinds.Size() > 0 {
		return false
	}
	return b.in.has(d.Tokens.AllInput()) && b.out.has(d.Tokens.Output) && -b.maybe <= d.Requests && d.Requests <= 0
}

func (at *cell) moved(in, out []call) {
	came, went := sum(in), sum(out)
	at.lag = Side{came.Tokens.Minus(went.Tokens), came.Requests - went.Requests, came.USD.Minus(went.USD)}
	at.late, at.gone = len(in), len(out)
}

func sum(calls []call) (s Side) {
	for _, c := range calls {
		s.add(c.Side)
	}
	return s
}

// daysOf are the days of a statement.
func daysOf(s *vendor.Statement) (days []string) {
	for t := s.From.UTC().Truncate(24 * time.Hour); t.Before(s.To); t = t.AddDate(0, 0, 1) {
		days = append(days, t.Format(time.DateOnly))
	}
	return days
}
