package dialect

import "bytes"

// maxSegments is how many segments of an event are learned.
const maxSegments = 4

// maxLearned is the size of the largest event that is learned of, and so what a template holds at most.
const maxLearned = 4 << 10

// A template is how the last event was built. The events of an answer are alike but for the piece of text
// in them, so what is learned of one spares the parsing of the next: its fixed bytes are compared,
// and the reader goes on with the state that it had behind them. Nothing is guessed: the same bytes
// from the same state lead to the same state, and a free string changes nothing but what the
// watcher is told of it. So does a literal where only its value matters.
type template struct {
	segments [maxSegments]segment
	known    int // how many of them there are

	learning bool
	from     int // where in the event the segment begins that is being learned
}

// A segment is a stretch of fixed bytes, and the free string or the literal that follows it.
type segment struct {
	fixed []byte // with the quote that opens the string; of the last one, up to the event's end
	place node   // of the string or literal; unwatched in the last one
	after reader // the reader behind the string's closing quote or the literal, or at the event's end
}

// skip finds the end of what follows a segment: where its text ends, and where to go on. It returns -1
// if it isn't all there.
func (s *segment) skip(rest []byte) (end, next int) {
	if s.place&counter == counter {
		for end < len(rest) && literalByte(rest[end]) {
			end++
		}
		if end == len(rest) || !literal(rest[:end]) {
			return -1, 0
		}
		return end, end
	}
	var text scanner
	end = text.closing(rest, 0)
	// A line's end within the string means that it isn't one line of data.
	if end < 0 || bytes.IndexByte(rest[:end], '\n') >= 0 || bytes.IndexByte(rest[:end], '\r') >= 0 {
		return -1, 0
	}
	return end, end + 1
}

// stop leaves what is known and learns no more.
func (t *template) stop() { t.learning = false }

// learn begins to learn at position from of an event of which the first known segments are good.
func (t *template) learn(known, from int) {
	t.known, t.from, t.learning = known, from, known < maxSegments
}

// add learns a segment that ends before fixed, where a free string begins that ends before next.
func (t *template) add(p []byte, fixed, next int, place node, r *reader) {
	if t.learning {
		t.set(p[t.from:fixed], place, r)
		t.from = next
	}
}

// finish learns the last segment.
func (t *template) finish(p []byte, r *reader) {
	if t.learning {
		t.set(p[t.from:], unwatched, r)
	}
	t.learning = false
}

func (t *template) set(fixed []byte, place node, r *reader) {
	// The choices behind the first are not part of the reader, so it can't be gone back to.
	if t.learning = r.facts.closed <= 1; !t.learning {
		return
	}
	s := &t.segments[t.known]
	s.fixed = append(s.fixed[:0], fixed...)
	s.place = place
	s.after = *r
	t.known++
	t.learning = t.known < maxSegments
}

// replay reads as much of p, a whole event, as is built like the last one, and returns where
// to go on. From there it is learned anew.
func (o *sse) replay(p []byte, w watcher) int {
	t := &o.learned
	i, n := 0, 0
	for n < t.known && bytes.HasPrefix(p[i:], t.segments[n].fixed) {
		s := &t.segments[n]
		rest := p[i+len(s.fixed):]
		if s.place == unwatched {
			if len(rest) > 0 {
				break
			}
			o.reader = s.after
			return len(p)
		}
		end, next := s.skip(rest)
		if end < 0 {
			break
		}
		w.value(s.place, rest[:end], s.place&counter == free)
		i += len(s.fixed) + next
		n++
	}
	if n > 0 {
		o.reader = t.segments[n-1].after
	}
	t.learn(n, i)
	return i
}
