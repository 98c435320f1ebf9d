package books

import "slices"

// span is the events, or the tokens, from the one up to and without the other.
type span struct{ from, to int64 }

func (s span) and(t span) span { return span{max(s.from, t.from), min(s.to, t.to)} }

func (s span) empty() bool { return s.from >= s.to }

// spans are a set: in order, with a gap between any two.
type spans []span

// add puts t into the set.
func (s *spans) add(t span) {
	if t.empty() {
		return
	}
	i := 0
	for i < len(*s) && (*s)[i].to < t.from {
		i++
	}
	j := i
	for j < len(*s) && (*s)[j].from <= t.to {
		t = span{min(t.from, (*s)[j].from), max(t.to, (*s)[j].to)}
		j++
	}
	*s = slices.Replace(*s, i, j, t)
}

// or is what is in either.
func (s spans) or(t spans) spans {
	either := slices.Clone(s)
	for _, p := range t {
		either.add(p)
	}
	return either
}

// cut removes what is not before n.
func (s *spans) cut(n int64) { *s = s.and(spans{{0, n}}) }

// and is what is in both.
func (s spans) and(t spans) (both spans) {
	for _, p := range s {
		for _, q := range t {
			if r := p.and(q); !r.empty() {
				both = append(both, r)
			}
		}
	}
	return both
}

// minus is what is in s and not in t.
func (s spans) minus(t spans) (rest spans) {
	for _, p := range s {
		for _, q := range t {
			if q.to <= p.from || p.to <= q.from {
				continue
			}
			if p.from < q.from {
				rest = append(rest, span{p.from, q.from})
			}
			p.from = q.to
		}
		if !p.empty() {
			rest = append(rest, p)
		}
	}
	return rest
}

// covers says if all of t is in s.
func (s spans) covers(t span) bool {
	return t.empty() || slices.ContainsFunc(s, func(p span) bool { return p.from <= t.from && t.to <= p.to })
}

func (s spans) total() (n int64) {
	for _, p := range s {
		n += p.to - p.from
	}
	return n
}
