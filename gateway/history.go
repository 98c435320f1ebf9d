package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// What the dashboards' first line says of a time takes a memory of how the totals
// stood before. Prometheus has one; for who has none, the gateway reads them once a
// minute and remembers a day of that, since its start.
const (
	readEvery = time.Minute
	lately    = 5 * time.Minute // what is being lost now
	pace      = time.Hour       // at which the log fills
	day       = 24 * time.Hour

	year = 8760.0 // hours: a log that lasts them is not filling
)

// reading is how the totals stood. They only grow, but for net.
type reading struct {
	at               time.Time
	forNothing       pricing.Sum // wasted and lost
	net              pricing.Sum // avoided less caused
	missed, unpriced int64
	breaks, resumed  int64 // since the start

	logTaken, logFree int64 // bytes; only in those that are remembered
}

// history is what is remembered.
type history struct {
	breaks, resumed atomic.Int64 // as they are counted for the metrics: resumed to the end
	reader          sync.WaitGroup

	mu       sync.Mutex
	readings []reading // oldest first; the first one that is a day old is kept
}

func (h *history) add(r reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readings = append(h.readings, r)
	for len(h.readings) > 1 && r.at.Sub(h.readings[1].at) >= day {
		h.readings = h.readings[1:] // append moves what is left
	}
}

// read reads the totals.
func (g *Gateway) read(t ledger.Totals) reading {
	r := reading{at: time.Now(), breaks: g.history.breaks.Load(), resumed: g.history.resumed.Load()}
	for _, v := range t.Cost {
		if v.Outcome == ledger.Wasted || v.Outcome == ledger.Lost {
			r.forNothing = r.forNothing.Plus(v.Amount)
		}
	}
	for _, v := range t.Saved {
		r.net = r.net.Plus(v.Amount)
	}
	for _, v := range t.Overhead {
		r.net = r.net.Minus(v.Amount)
	}
	for _, v := range t.Missed {
		r.missed += v.Calls
	}
	for _, v := range t.Unpriced {
		r.unpriced += v.Attempts
	}
	return r
}

// totals are the books', or none where no books are kept.
func (g *Gateway) totals() ledger.Totals {
	if g.books.Ledger == nil {
		return ledger.Totals{}
	}
	return g.books.Ledger.Totals()
}

// rememberTotals reads the totals and the log's sizes, and remembers them.
func (g *Gateway) rememberTotals() {
	r, st := g.read(g.totals()), g.log.Stats()
	r.logTaken, r.logFree = st.DiskBytes, st.FreeBytes
	g.history.add(r)
}

// readTotals reads them until there is nothing more to be watched.
func (g *Gateway) readTotals() {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.rememberTotals()
		case <-g.watchers.over:
			return
		}
	}
}

// firstLineJSON is what the dashboards' first line says. What is of a time says since
// when, and how long it is when the gateway has run for so long.
type firstLineJSON struct {
	Lately  latelyJSON   `json:"lately"`
	Day     dayJSON      `json:"day"`
	Balance *balanceJSON `json:"balance,omitempty"` // left out where no books are kept
	Log     logJSON      `json:"log"`
}

type spanJSON struct {
	Since  time.Time `json:"since"`
	Window float64   `json:"window_seconds"`
}

// latelyJSON is what was posted as wasted or lost.
type latelyJSON struct {
	spanJSON
	USD pricing.Sum `json:"for_nothing_usd"`
}

type dayJSON struct {
	spanJSON
	Net      pricing.Sum `json:"net_usd"`
	Breaks   int64       `json:"breaks"`
	Resumed  int64       `json:"resumed"` // to the end
	Missed   int64       `json:"missed"`
	Unpriced int64       `json:"unpriced_attempts"`
}

// balanceJSON is what must be 0. Unexplained is there once a bill was compared.
type balanceJSON struct {
	Imbalance   int64        `json:"imbalance_tokens"`
	Unexplained *pricing.Sum `json:"unexplained_usd,omitempty"`
}

// logJSON is how full the stream log is, of what it takes and may still take.
type logJSON struct {
	spanJSON
	Full  float64  `json:"full"`
	Hours *float64 `json:"hours_left,omitempty"` // at the pace of that time, a year at most; left out until it is known
}

func (g *Gateway) firstLine() firstLineJSON {
	t := g.totals()
	line := g.history.line(g.read(t))
	if g.books.Ledger == nil {
		return line
	}
	line.Balance = &balanceJSON{Imbalance: g.books.Ledger.Stats().ImbalanceTokens}
	if len(t.Unexplained) > 0 {
		var sum pricing.Sum
		for _, v := range t.Unexplained {
			if v.Amount.Sign() < 0 {
				v.Amount = pricing.Sum{}.Minus(v.Amount)
			}
			sum = sum.Plus(v.Amount)
		}
		line.Balance.Unexplained = &sum
	}
	return line
}

// line compares how the totals stand with how they stood.
func (h *history) line(now reading) firstLineJSON {
	h.mu.Lock()
	defer h.mu.Unlock()
	few, all := h.before(now.at.Add(-lately)), h.before(now.at.Add(-day))
	return firstLineJSON{
		Lately: latelyJSON{span(few, lately), now.forNothing.Minus(few.forNothing)},
		Day: dayJSON{
			span(all, day), now.net.Minus(all.net), now.breaks - all.breaks, now.resumed - all.resumed, now.missed - all.missed, now.unpriced - all.unpriced,
		},
		Log: h.log(),
	}
}

func span(from reading, window time.Duration) spanJSON { return spanJSON{from.at, window.Seconds()} }

// before is the last reading that is not younger than at; the first if all are.
func (h *history) before(at time.Time) reading {
	i := len(h.readings) - 1
	for i > 0 && h.readings[i].at.After(at) {
		i--
	}
	return h.readings[i]
}

// log is how full the log was at the last reading, and how long the rest lasts.
func (h *history) log() logJSON {
	last := h.readings[len(h.readings)-1]
	from := h.before(last.at.Add(-pace))
	j := logJSON{spanJSON: span(from, pace)}
	if all := last.logTaken + last.logFree; all > 0 {
		j.Full = float64(last.logTaken) / float64(all)
	}
	if from.at.Before(last.at) {
		hours := min(float64(last.logFree)/max(-h.slope(from.at), 1)/3600, year)
		j.Hours = &hours
	}
	return j
}

// slope is by how many bytes in a second the free ones have become more since then:
// that of the line with the least squares, as Prometheus has it.
func (h *history) slope(since time.Time) float64 {
	var n, sx, sy, sxy, sxx float64
	for _, r := range h.readings {
		if r.at.Before(since) {
			continue
		}
		x, y := r.at.Sub(since).Seconds(), float64(r.logFree)
		n, sx, sy, sxy, sxx = n+1, sx+x, sy+y, sxy+x*y, sxx+x*x
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
