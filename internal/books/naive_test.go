package books_test

import (
	"math/big"
	"slices"

	"github.com/recoup-gateway/recoup/internal/books"
)

// The second opinion: the same books, worked out token by token, from who owned when
// each event came and who was given it. Slow, and without a thought for rounding: it
// adds up what each token costs.

// reader is a connection that may own.
type reader struct {
	id          uint32
	ordinal     int
	came        int64 // Unix milliseconds
	start, upTo int
}

// event is what is known of one event in the end.
type event struct {
	owner  *reader          // when it came
	given  map[*reader]bool // as owners
	beside map[*reader]bool // while they were replaced
	doubt  map[*reader]bool // by a kill
}

type goodbye struct {
	who, next    *reader
	cause        string
	at           int64
	upTo         int
	pushed, last bool // taken over; an older one was there
}

type naive struct {
	h       books.History
	events  []event // that came
	total   int     // that will have come
	line    []*reader
	ordinal int
	left    []goodbye
	slain   *reader

	over, told, done, died bool // provider gone; answer given to an owner; settled; killed
	cause, ender           string
	ran                    map[*reader]bool
	sits                   []int // per token
}

func newNaive(h books.History) *naive {
	n := &naive{h: h, ran: map[*reader]bool{}}
count:
	for _, s := range h.Steps {
		switch s.Do {
		case books.Recv:
			n.total = min(n.total+s.N, h.Events)
		case books.Attach, books.Write, books.Detach:
		default:
			break count
		}
	}
	return n
}

func (n *naive) whole() bool { return n.h.Terminal >= 0 && n.total > n.h.Terminal }
func (n *naive) answered() bool {
	return n.h.Terminal >= 0 && len(n.events) > n.h.Terminal
}
func (n *naive) finished() bool { return n.over || n.answered() && len(n.events) == n.h.Events }

func (n *naive) owner() *reader {
	if len(n.line) == 0 {
		return nil
	}
	return n.line[len(n.line)-1]
}

func (n *naive) seen(k int) int64 { // visible tokens of the first k events
	k = min(k, len(n.h.Visible))
	if k == 0 {
		return 0
	}
	return n.h.Visible[k-1]
}

// r is how many tokens came.
func (n *naive) r() int64 {
	switch {
	case n.whole():
		return n.h.Output
	case !n.h.Streamed || n.seen(n.total) == 0:
		return 0
	case n.h.Received != nil:
		return min(*n.h.Received, n.h.Output)
	}
	return min(n.h.Hidden+n.seen(n.total), n.h.Output)
}

// tau is how many tokens the first k events have.
func (n *naive) tau(k int) int64 {
	if n.whole() && k > n.h.Terminal {
		return n.h.Output
	}
	end := n.total
	if n.whole() {
		end = n.h.Terminal + 1
	}
	c, of := n.seen(k), n.seen(end)
	if !n.h.Streamed || c == 0 || of == 0 {
		return 0
	}
	hidden := min(n.h.Hidden, n.r())
	x := new(big.Rat).SetFrac64((n.r()-hidden)*min(c, of), of)
	x.Add(x, big.NewRat(1, 2))
	return hidden + new(big.Int).Quo(x.Num(), x.Denom()).Int64()
}

// eventOf is the event that a token sits on, or -1 if that hasn't come.
func (n *naive) eventOf(token int64) int {
	if n.sits == nil {
		n.sits = slices.Repeat([]int{-1}, int(n.h.Output))
		for e := range n.total {
			for i := n.tau(e); i < n.tau(e+1); i++ {
				n.sits[i] = e
			}
		}
	}
	if e := n.sits[token]; e < len(n.events) {
		return e
	}
	return -1
}

func (n *naive) given(token int64, to *reader) bool {
	e := n.eventOf(token)
	return e >= 0 && (to == nil && len(n.events[e].given) > 0 || n.events[e].given[to])
}

func (n *naive) step(s books.Step) {
	if n.done {
		return
	}
	going := !n.finished() && !n.answered()
	switch s.Do {
	case books.Recv:
		for range s.N {
			if n.over || len(n.events) == n.h.Events {
				break
			}
			n.events = append(n.events, event{n.owner(), map[*reader]bool{}, map[*reader]bool{}, map[*reader]bool{}})
		}
	case books.Attach:
		n.attach(s)
	case books.Write:
		n.write(s)
	case books.Detach:
		n.detach(s)
	default:
		n.end(s)
	}
	if o := n.owner(); o != nil && going {
		n.ran[o] = true
	}
	if n.finished() && (n.told || n.over && !n.answered()) {
		all := true
		for i := range n.r() {
			all = all && n.given(i, nil)
		}
		n.done = n.done || all
	}
}

func (n *naive) attach(s books.Step) {
	if s.Observe {
		return
	}
	c := &reader{id: s.Conn, ordinal: n.ordinal, came: s.At.UnixMilli(), start: min(s.From, n.h.Events)}
	n.ordinal++
	if s.FromNow {
		c.start = len(n.events)
	}
	c.upTo = c.start
	if n.slain != nil && s.Explicit && !s.FromNow {
		for e := range min(s.From, len(n.events)) {
			delete(n.events[e].doubt, n.slain)
		}
		for e := n.slain.upTo; e < min(s.From, len(n.events)); e++ {
			n.events[e].given[n.slain] = true
		}
	}
	n.slain = nil
	if o := n.owner(); o != nil {
		n.leave(o, c, books.Client, s, true, false)
	} else if k := len(n.left) - 1; k >= 0 && n.left[k].next == nil && !n.left[k].last {
		n.left[k].next = c
	}
	n.line = append(n.line, c)
}

func (n *naive) leave(o, next *reader, cause string, s books.Step, pushed, last bool) {
	if !n.told && !(n.h.Terminal >= 0 && n.whole() && o.upTo > n.h.Terminal) {
		n.left = append(n.left, goodbye{o, next, cause, s.At.UnixMilli(), o.upTo, pushed, last})
	}
}

func (n *naive) find(id uint32) int {
	return slices.IndexFunc(n.line, func(c *reader) bool { return c.id == id })
}

func (n *naive) write(s books.Step) {
	i := n.find(s.Conn)
	if i < 0 {
		return
	}
	c, owns := n.line[i], i == len(n.line)-1
	to := min(s.To, len(n.events))
	for ; c.upTo < to; c.upTo++ {
		if owns {
			n.events[c.upTo].given[c] = true
		} else {
			n.events[c.upTo].beside[c] = true
		}
	}
	if owns && n.whole() && c.start <= n.h.Terminal && to > n.h.Terminal {
		n.told = true
	}
}

func (n *naive) detach(s books.Step) {
	i := n.find(s.Conn)
	if i < 0 {
		return
	}
	c, owned := n.line[i], i == len(n.line)-1
	n.line = slices.Delete(n.line, i, i+1)
	if !owned {
		return
	}
	n.leave(c, nil, s.Cause, s, false, len(n.line) > 0)
	for len(n.line) > 1 && n.answered() && n.owner().start > n.h.Terminal {
		n.line = n.line[:len(n.line)-1]
	}
	if o := n.owner(); o != nil {
		for e := range n.events {
			if n.events[e].beside[o] {
				n.events[e].given[o] = true
			}
		}
		n.left = slices.DeleteFunc(n.left, func(g goodbye) bool { return g.pushed && g.who == o })
	}
}

func (n *naive) end(s books.Step) {
	causes := map[books.Do]string{books.Grace: "abandoned", books.Supersede: "superseded", books.Fail: "upstream",
		books.Kill: "crash", books.Cancel: "cancelled", books.Damage: "damaged", books.Retention: "abandoned"}
	switch s.Do {
	case books.Cancel:
		if n.told || n.over && !n.answered() {
			return
		}
		n.done = true
	case books.Retention:
		n.done = true
	case books.Damage:
		if o := n.owner(); o != nil {
			n.leave(o, nil, books.Gateway, s, false, false)
		}
		n.cause, n.done = "damaged", true
	case books.Kill:
		n.kill(s)
	}
	if n.done {
		n.over = true
		if n.cause == "" {
			n.cause = causes[s.Do]
		}
		if n.ender == "" {
			n.ender = n.cause
		}
		return
	}
	if !n.finished() {
		n.over = true
		if !n.answered() || s.Do == books.Supersede {
			n.cause, n.ender = causes[s.Do], causes[s.Do]
		}
	}
}

func (n *naive) kill(s books.Step) {
	if o := n.owner(); o != nil {
		for e := max(s.Marks[o.id], o.start); e < len(n.events) && !n.told; e++ {
			n.events[e].doubt[o] = true
		}
		if !n.answered() {
			for e := range n.events {
				if e >= s.Marks[o.id] {
					delete(n.events[e].given, o)
				}
			}
			o.upTo = min(o.upTo, max(s.Marks[o.id], o.start))
		}
		n.leave(o, nil, books.Gateway, s, false, false)
		n.slain = o
	}
	n.died = n.died || !n.over && !n.answered()
	n.line = nil
}
