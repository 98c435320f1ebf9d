package books

import (
	"maps"
	"slices"
)

// Compact returns a history that says the same in fewer steps and events, to be stored
// as evidence. Keep returns the same books for it, also after its quantities were
// corrected. What is dropped: observers; receiving and writing without an effect of its
// own between two other steps, with its times; events that no step tells apart. A
// history that isn't valid is returned as it is.
func Compact(h History) History {
	if h.validate() != nil {
		return h
	}
	c := compactor{history: &h, open: make(map[uint32]int)}
	for i := range h.Steps {
		c.take(h.Steps[i])
	}
	c.flush()
	h.Steps = c.steps
	h.renumber()
	return h
}

// compactor merges what stands between two control steps. While the attempt runs
// nothing there can settle its books, so each connection's last write says it all.
// After that, the order of the writes may matter, and only neighbours are merged.
type compactor struct {
	history  *History
	steps    []Step
	open     map[uint32]int // connections that may own, and their starts
	received int
	ending   bool // no later step may be merged freely
	dead     bool // and nothing comes any more

	came   int    // events, since the last control step
	writes []Step // one for each connection
}

func (c *compactor) take(s Step) {
	switch s.Do {
	case Recv:
		c.recv(s)
	case Write:
		c.write(s)
	case Attach:
		if s.Observe {
			return
		}
		s.From = min(s.From, c.history.Events)
		c.open[s.Conn] = s.From
		if s.FromNow {
			c.open[s.Conn] = c.received
		}
		c.control(s)
	case Detach:
		if _, ok := c.open[s.Conn]; ok {
			delete(c.open, s.Conn)
			c.control(s)
		}
	default:
		c.end(s)
	}
}

func (c *compactor) recv(s Step) {
	n := min(s.N, c.history.Events-c.received)
	if n == 0 || c.dead {
		return
	}
	if c.received += n; c.received == c.history.Events && !c.ending {
		c.flush()
		c.ending = true
	}
	if c.ending {
		c.merge(Step{Do: Recv, N: n})
		return
	}
	c.came += n
}

func (c *compactor) write(s Step) {
	to := min(s.To, c.received)
	if start, ok := c.open[s.Conn]; !ok || to <= start {
		return
	}
	w := Step{Do: Write, Conn: s.Conn, To: to}
	if c.ending {
		c.merge(w)
		return
	}
	if i := slices.IndexFunc(c.writes, func(s Step) bool { return s.Conn == w.Conn }); i >= 0 {
		c.writes[i].To = max(c.writes[i].To, to)
		return
	}
	c.writes = append(c.writes, w)
}

// merge appends a Recv or a Write, into its neighbour of the same sort if it can.
func (c *compactor) merge(s Step) {
	n := len(c.steps)
	before := func(back int, do Do) bool {
		return n >= back && c.steps[n-back].Do == do && c.steps[n-back].Conn == s.Conn
	}
	switch {
	case before(1, s.Do):
		c.steps[n-1].N += s.N
		c.steps[n-1].To = max(c.steps[n-1].To, s.To)
	case s.Do == Write && n >= 2 && c.steps[n-1].Do == Recv && before(2, Write):
		last := c.steps[n-1]
		s.To = max(s.To, c.steps[n-2].To)
		c.steps = c.steps[:n-2]
		c.merge(last)
		c.steps = append(c.steps, s)
	default:
		c.steps = append(c.steps, s)
	}
}

// flush writes down what came since the last control step.
func (c *compactor) flush() {
	if c.came > 0 {
		c.steps = append(c.steps, Step{Do: Recv, N: c.came})
	}
	c.steps = append(c.steps, c.writes...)
	c.came, c.writes = 0, nil
}

func (c *compactor) control(s Step) {
	c.flush()
	c.steps = append(c.steps, s)
}

func (c *compactor) end(s Step) {
	if s.Do == Kill {
		s.Marks = c.marks(s.Marks)
		clear(c.open)
	}
	c.control(s)
	c.ending = true
	c.dead = c.dead || s.Do != Cancel // which may come too late to end anything
}

// marks are those that say something.
func (c *compactor) marks(all map[uint32]int) (marks map[uint32]int) {
	for conn, mark := range all {
		if start, ok := c.open[conn]; ok && mark > start {
			if marks == nil {
				marks = make(map[uint32]int)
			}
			marks[conn] = min(mark, c.history.Events)
		}
	}
	return marks
}

// renumber leaves only such events as some step needs. The steps are h's own.
func (h *History) renumber() {
	borders := h.borders()
	number := func(event int) int {
		n, _ := slices.BinarySearch(borders, event)
		return n
	}
	received := 0
	for i := range h.Steps {
		s := &h.Steps[i]
		switch s.Do {
		case Recv:
			s.N, received = number(received+s.N)-number(received), received+s.N
		case Attach:
			s.From = number(s.From)
		case Write:
			s.To = number(s.To)
		case Kill:
			for conn, mark := range s.Marks {
				s.Marks[conn] = number(mark)
			}
		}
	}
	if len(h.Visible) > 0 {
		visible := make([]int64, 0, len(borders))
		for _, b := range borders[1:] {
			visible = append(visible, h.visible(b))
		}
		h.Visible = visible
	}
	if h.Terminal != NoTerminal {
		h.Terminal = number(h.Terminal)
	}
	h.Events = number(h.Events)
}

// borders are the events that some step begins or ends with, in order.
func (h *History) borders() []int {
	borders := []int{0, h.Events}
	if h.Terminal != NoTerminal {
		borders = append(borders, h.Terminal, h.Terminal+1)
	}
	received := 0
	for i := range h.Steps {
		s := &h.Steps[i]
		switch s.Do {
		case Recv:
			received += s.N
			borders = append(borders, received)
		case Attach:
			borders = append(borders, s.From)
		case Write:
			borders = append(borders, s.To)
		case Kill:
			borders = slices.AppendSeq(borders, maps.Values(s.Marks))
		}
	}
	slices.Sort(borders)
	return slices.Compact(borders)
}
