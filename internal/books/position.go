package books

import "math/bits"

// positions says where in the output of an attempt its events sit: between 0 and G, in
// the order in which they were generated. All of it is known only in hindsight: the
// scale is that of what was received in the end.
type positions struct {
	facts    *Facts
	complete bool  // the terminal event was received
	shown    int64 // C: visible tokens received, up to the terminal event
	received int64 // R
	hidden   int64 // H, of what was received
}

// newPositions takes the number of events that the attempt received before it ended.
func newPositions(f *Facts, events int) positions {
	p := positions{facts: f, complete: f.Terminal != NoTerminal && f.Terminal < events}
	switch {
	case p.complete:
		p.shown, p.received = f.visible(f.Terminal+1), f.Output
	case f.Streamed && f.visible(events) > 0:
		p.shown = f.visible(events)
		p.received = f.Hidden + p.shown
		if f.Received != nil {
			p.received = *f.Received
		}
		p.received = min(p.received, f.Output)
	}
	p.hidden = min(f.Hidden, p.received)
	return p
}

// at is the number of output tokens in the first n events: τ of the last of them.
func (p *positions) at(n int) int64 {
	if p.complete && n > p.facts.Terminal {
		return p.received
	}
	c := p.facts.visible(n)
	if c == 0 || !p.facts.Streamed {
		return 0
	}
	return p.hidden + scale(p.received-p.hidden, c, p.shown)
}

// tokens turns a set of events into the set of their tokens.
func (p *positions) tokens(events spans) (tokens spans) {
	for _, e := range events {
		tokens.add(span{p.at(int(e.from)), p.at(int(e.to))})
	}
	return tokens
}

// firstVisible is the index of the event that hidden tokens fall on; ok is false if no
// event shows anything.
func (p *positions) firstVisible() (event int, ok bool) {
	if p.shown == 0 {
		return 0, false
	}
	for p.facts.Visible[event] == 0 {
		event++
	}
	return event, true
}

// scale is n·c/of for c ≤ of, rounded half up.
func scale(n, c, of int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(c))
	q, r := bits.Div64(hi, lo, uint64(of))
	if r >= uint64(of)-r {
		q++
	}
	return int64(q)
}
