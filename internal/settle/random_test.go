package settle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// walk is a stream to which things happen at random, and what is true of it.
type walk struct {
	*play
	r         *rand.Rand
	said      []string
	conns     []*walker // connected; of those that may own the last one owns
	words     int
	terminal  bool
	ended     bool
	delivered bool // an owner was given the terminal event
	cancelled bool
}

type walker struct {
	conn     *streamlog.Conn
	observe  bool
	from, to uint64
}

// TestRandomStreams: whatever happens in whatever order, at every moment each
// token that is billed is pending or has one outcome; in the end all have; what an
// owner got to its end is delivered, and nothing else is; and what is stored as
// evidence comes to the same books.
func TestRandomStreams(t *testing.T) {
	s := newSite(t)
	var walks []*walk
	for seed := range uint64(150) {
		w := &walk{play: s.stream(), r: rand.New(rand.NewPCG(seed, 1))}
		w.head(200)
		w.come(false)
		for range 6 + w.r.IntN(20) {
			w.step()
			w.identity()
		}
		w.over()
		walks = append(walks, w)
	}
	s.expire()
	s.expire()
	for i, w := range walks {
		if err := w.check(); err != nil {
			t.Errorf("%d: %v\n%v: booked as %s", i, err, w.said, w.booked())
		}
	}
	if _, err := s.ledger.Verify(t.Context(), nil); err != nil || s.log.Stats().Unsettled > 0 {
		t.Errorf("%d are unsettled, %v", s.log.Stats().Unsettled, err)
	}
}

func (w *walk) say(format string, args ...any) { w.said = append(w.said, fmt.Sprintf(format, args...)) }

func (w *walk) come(observe bool) {
	from := uint64(0)
	if len(w.said) > 0 && w.r.IntN(2) == 0 {
		from = w.r.Uint64N(w.events + 1)
	}
	w.conns = append(w.conns, &walker{w.attach(streamlog.Attachment{Index: from, Via: "id", Observe: observe, Explicit: from > 0}), observe, from, from})
	w.say("come %d from %d, observe %v", len(w.said), from, observe)
}

func (w *walk) owner() (o *walker) {
	for _, c := range w.conns {
		if !c.observe {
			o = c
		}
	}
	return o
}

// give writes more to a connection.
func (w *walk) give(c *walker, to uint64) {
	whole := uint64(w.words) + 1
	if w.terminal && c == w.owner() && to > c.to && c.from < whole && whole <= to {
		w.delivered = w.delivered || !w.cancelled
	}
	c.to = to
	c.conn.Delivered(to)
	w.say("conn %d has %d", c.conn.ID(), to)
}

func (w *walk) step() {
	switch n := w.r.IntN(20); {
	case n < 5 && !w.terminal && !w.ended:
		w.play.words(1)
		w.words++
		w.say("word")
	case n < 7 && !w.terminal && !w.ended && w.words > 2:
		w.finish(20, w.words+w.r.IntN(3))
		w.terminal = true
		w.say("complete")
	case n < 12 && len(w.conns) > 0:
		c := w.conns[w.r.IntN(len(w.conns))]
		w.give(c, c.to+w.r.Uint64N(w.events-c.to+1))
	case n < 15 && len(w.conns) > 0:
		i := w.r.IntN(len(w.conns))
		w.goes(i)
	case n < 17 && len(w.conns) < 3 && w.words > 0:
		w.come(w.r.IntN(3) == 0)
	case n == 17 && !w.ended && w.words > 0:
		w.stop()
	case n == 18 && w.owner() == nil && w.terminal && !w.delivered:
		w.mark(streamlog.Mark{Kind: streamlog.MarkCancel, Cause: "cancelled"})
		w.cancelled = true
		w.say("waived")
	}
}

// goes ends a connection, as the gateway does.
func (w *walk) goes(i int) {
	c, cause := w.conns[i], "client"
	if c.to == w.events && w.ended {
		cause = "done"
	}
	w.leave(c.conn, c.to, cause)
	w.conns = slices.Delete(w.conns, i, i+1)
	w.say("conn %d leaves, %s", c.conn.ID(), cause)
}

// stop ends the attempt.
func (w *walk) stop() {
	w.ended = true
	if w.terminal {
		w.completed()
		w.say("completed")
		return
	}
	causes := []string{"upstream", "shutdown", "disk_full", "cancelled"}
	if w.owner() == nil {
		causes = append(causes, "grace", "superseded", "cap", "disconnect")
	}
	cause := causes[w.r.IntN(len(causes))]
	w.end(streamlog.Interrupted, cause)
	w.say("ended, %s", cause)
}

// over is the end of all.
func (w *walk) over() {
	if !w.ended {
		w.stop()
	}
	for len(w.conns) > 0 {
		w.goes(w.r.IntN(len(w.conns)))
	}
}

func (w *walk) identity() {
	w.t.Helper()
	v, err := w.settler.View(w.log)
	if err != nil {
		w.t.Fatalf("%v: %v", w.said, err)
	}
	sum := v.Books.Pending
	for _, o := range v.Books.Outcomes {
		sum += o.Tokens
	}
	if billed := v.Evidence.History.Output; sum != billed {
		w.t.Errorf("%v: %d in outcomes and pending, %d billed", w.said, sum, billed)
	}
}

func (w *walk) check() error {
	current := w.row().Current
	o := current.Outcomes
	if o == nil {
		return fmt.Errorf("is not settled")
	}
	var e Evidence
	if err := e.decode(current.Evidence); err != nil {
		return err
	}
	b, err := books.Keep(e.History)
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, out := range o.Output {
		sum += out.Tokens
		if !slices.Contains(b.Outcomes, books.Outcome(out)) {
			return fmt.Errorf("by its evidence %+v", b.Outcomes)
		}
	}
	if sum != current.Bill.Output.Tokens || len(b.Outcomes) != len(o.Output) {
		return fmt.Errorf("%d tokens of %d have outcomes, by its evidence %+v", sum, current.Bill.Output.Tokens, b.Outcomes)
	}
	if delivered := o.Input == ledger.Delivered && o.InputCause != ledger.Cancelled; delivered != w.delivered {
		return fmt.Errorf("delivered: %v, want %v", delivered, w.delivered)
	}
	return nil
}
