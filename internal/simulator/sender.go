package simulator

import (
	"bytes"
	"compress/gzip"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// frame is one event of a stream, before its SSE framing.
type frame struct {
	event          string // "" for none
	data           []byte // valid until the next frame
	tokens, hidden int    // generated with it; hidden is counted in tokens
	exception      bool   // Bedrock: it is no event but an error
	prelude        bool   // comes before the first token, and doesn't wait for it
}

const comment = ": OPENROUTER PROCESSING"

// sender puts a body on the wire: pace, batches, and every fault that happens
// after the head. Its methods return "" to go on, or how the request ended.
type sender struct {
	x   *exchange
	out io.Writer
	gz  *gzip.Writer
	eol string
	// array: the events are elements of one JSON array, and not SSE.
	array bool
	// amazon: they are frames of an AWS event stream.
	amazon bool

	buf      []byte
	ends     []int // body offsets at which buffered events end
	whole    int   // how many of ends have been written
	rendered int   // events, buffered ones included
	offset   int   // body bytes, buffered ones included

	cutAt, stallAt int   // body offsets, -1 for none
	splits         []int // further offsets at which writes are split, ascending

	timer *time.Timer
	next  time.Time // when the next token event is due
}

// whole sends an answer as one JSON body, after the time it takes.
func (x *exchange) whole(body []byte) End {
	a, started := x.answer, time.Now()
	deltas := (a.visible() + a.perStep - 1) / a.perStep
	ttft, rest := x.script.TTFT, x.script.Interval*time.Duration(max(0, deltas-1))
	if end := x.sleep(ttft + rest); end != "" {
		passed := time.Since(started)
		x.hidden = share(a.hidden, passed, ttft)
		x.generated = x.hidden
		if passed > ttft {
			x.generated += share(a.visible(), passed-ttft, rest)
		}
		return end
	}
	x.generated, x.hidden = a.total(), a.hidden
	s := x.newSender("application/json", len(body))
	return s.close(s.write(body))
}

// newSender writes the head. length is that of the body if it is known, else -1.
func (x *exchange) newSender(contentType string, length int) *sender {
	s := &sender{x: x, out: x.w, eol: "\n", cutAt: -1, stallAt: -1}
	if x.script.CRLF {
		s.eol = "\r\n"
	}
	if n, ok := at(x.script.CutAfterBytes); ok {
		s.cutAt = n
	}
	if n, ok := at(x.script.StallAfterBytes); ok {
		s.stallAt = n
	}
	if x.compress() {
		x.w.Header().Set("Content-Encoding", "gzip")
		s.gz = gzip.NewWriter(x.w)
		s.out = s.gz
		length = -1
	}
	if s.cutAt >= 0 && x.cutEnd() == EndClean {
		length = -1 // a shorter body could not end well under a longer length
	}
	x.head(200, contentType, length)
	return s
}

func (x *exchange) compress() bool {
	switch x.script.Gzip {
	case GzipForced:
		return true
	case GzipAccepted:
		return strings.Contains(strings.Join(x.r.Header.Values("Accept-Encoding"), ","), "gzip")
	default:
		return false
	}
}

func (x *exchange) cutEnd() End {
	switch x.script.Cut {
	case CutRST:
		return EndCutRST
	case CutClean:
		return EndClean
	default:
		return EndCutFIN
	}
}

// stream sends an answer as SSE.
func (x *exchange) stream(frames iter.Seq[frame]) End {
	return x.newSender("text/event-stream; charset=utf-8", -1).stream(frames)
}

// elements sends an answer as one JSON array.
func (x *exchange) elements(frames iter.Seq[frame]) End {
	s := x.newSender("application/json; charset=UTF-8", -1)
	s.array = true
	return s.stream(frames)
}

func (s *sender) stream(frames iter.Seq[frame]) End {
	x := s.x
	defer s.stop()
	for range x.script.Comments {
		s.comment()
	}
	end := s.flush()
	if end == "" {
		end = s.checkpoint()
	}
	if end == "" {
		end = s.frames(frames)
	}
	if end == "" {
		s.closeArray()
	}
	if end == "" {
		end = s.flush()
	}
	return s.close(end)
}

func (s *sender) frames(frames iter.Seq[frame]) End {
	batch := max(1, s.x.script.EventsPerWrite)
	first := true
	for f := range frames {
		if first && !f.prelude {
			first = false
			if end := s.firstToken(); end != "" {
				return end
			}
		}
		if f.tokens > 0 {
			if end := s.pace(); end != "" {
				return end
			}
		}
		if s.x.r.Context().Err() != nil {
			return s.x.gone()
		}
		s.event(f)
		if len(s.ends) >= batch {
			if end := s.flush(); end != "" {
				return end
			}
		}
		if end := s.checkpoint(); end != "" {
			return end
		}
	}
	return ""
}

// firstToken waits out the time to the first token. Hidden tokens that aren't
// shown are generated in it at an even pace, so whoever leaves meanwhile is
// billed for those that were.
func (s *sender) firstToken() End {
	if end := s.flush(); end != "" {
		return end
	}
	x, ttft, started := s.x, s.x.script.TTFT, time.Now()
	unseen := x.answer.hidden
	if x.answer.shown {
		unseen = 0
	}
	if end := x.sleep(ttft); end != "" {
		unseen = share(unseen, time.Since(started), ttft)
		x.generated, x.hidden = unseen, unseen
		return end
	}
	x.generated, x.hidden = unseen, unseen
	s.next = time.Now()
	return ""
}

// share is the part of n that belongs to the part of whole that passed.
func share(n int, passed, whole time.Duration) int {
	if passed >= whole {
		return n
	}
	return int(float64(n) * float64(passed) / float64(whole))
}

// pace waits until the next token event is due. The schedule is absolute: a
// slow reader delays events but not those after them.
func (s *sender) pace() End {
	interval := s.x.script.Interval
	if interval <= 0 {
		return ""
	}
	due := s.next
	s.next = due.Add(interval)
	d := time.Until(due)
	if d <= 0 {
		return ""
	}
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	select {
	case <-s.timer.C:
		return ""
	case <-s.x.r.Context().Done():
		return s.x.gone()
	}
}

func (s *sender) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// event frames one event into the buffer and counts its tokens as generated.
func (s *sender) event(f frame) {
	x, from := s.x, len(s.buf)
	switch {
	case s.array:
		s.element()
	case s.amazon:
	default:
		s.buf = s.appendPrefix(s.buf, f.event)
	}
	line := len(s.buf)
	s.buf = append(s.buf, f.data...)
	if f.tokens > 0 {
		s.dress(line)
	}
	switch {
	case s.amazon:
		s.appendMessage(f, line)
	case !s.array:
		s.buf = append(s.buf, s.eol...)
		s.buf = append(s.buf, s.eol...)
	}
	s.offset += len(s.buf) - from
	s.ends = append(s.ends, s.offset)
	s.rendered++
	x.generated += f.tokens
	x.hidden += f.hidden
}

// appendPrefix is what comes before an event's data.
func (s *sender) appendPrefix(b []byte, event string) []byte {
	if event != "" {
		b = append(b, "event: "...)
		b = append(b, event...)
		b = append(b, s.eol...)
	}
	return append(b, "data: "...)
}

// element begins an element of the array.
func (s *sender) element() {
	if s.rendered == 0 {
		s.buf = append(s.buf, '[')
		return
	}
	s.buf = append(s.buf, ',')
	s.buf = append(s.buf, s.eol...)
}

// closeArray ends the array, if there is one. It belongs to no event.
func (s *sender) closeArray() {
	if !s.array {
		return
	}
	from := len(s.buf)
	if s.rendered == 0 {
		s.buf = append(s.buf, '[')
	}
	s.buf = append(s.buf, s.eol...)
	s.buf = append(s.buf, ']')
	s.offset += len(s.buf) - from
}

// dress stamps and pads the JSON object that starts at line and ends the
// buffer. Padding is white space before the last brace, as Anthropic's own.
func (s *sender) dress(line int) {
	script := &s.x.script
	if script.Stamp {
		s.buf = append(s.buf[:len(s.buf)-1], `,"sim_ns":`...)
		s.buf = strconv.AppendInt(s.buf, time.Now().UnixNano(), 10)
		s.buf = append(s.buf, '}')
	}
	if missing := script.PadLineBytes - (len(s.buf) - line); missing > 0 {
		s.buf = append(s.buf[:len(s.buf)-1], bytes.Repeat([]byte{' '}, missing)...)
		s.buf = append(s.buf, '}')
	}
}

func (s *sender) comment() {
	if s.array || s.amazon {
		return // JSON has none, and neither have frames
	}
	from := len(s.buf)
	s.buf = append(s.buf, comment...)
	s.buf = append(s.buf, s.eol...)
	s.buf = append(s.buf, s.eol...)
	s.offset += len(s.buf) - from
}

// checkpoint runs what the script has for the number of events so far.
func (s *sender) checkpoint() End {
	script, n := &s.x.script, s.rendered
	is := func(count int) bool {
		at, ok := at(count)
		return ok && at == n
	}
	if is(script.StallAfterEvents) || slices.Contains(script.StallAlso, n) {
		if end := s.flush(); end != "" {
			return end
		}
		if end := s.stall(); end != "" {
			return end
		}
	}
	if is(script.ErrorAfterEvents) {
		s.errorEvent()
		if end := s.flush(); end != "" {
			return end
		}
		return EndError
	}
	if is(script.CutAfterEvents) {
		if end := s.flush(); end != "" {
			return end
		}
		return s.x.cutEnd()
	}
	if script.CommentEvery > 0 && n > 0 && n%script.CommentEvery == 0 {
		s.comment()
	}
	return ""
}

// stall moves the schedule by the time that it took, lest a released stream
// comes as one burst.
func (s *sender) stall() End {
	started := time.Now()
	end := s.x.stall()
	s.next = s.next.Add(time.Since(started))
	return end
}

func (s *sender) errorEvent() {
	x := s.x
	status := x.script.Status
	if status == 0 {
		status = 529 // overloaded is what breaks real streams
	}
	e := x.script.Error.fill(x.dialect, status)
	if s.amazon {
		s.event(e.exceptionFrame())
		return
	}
	f := frame{data: e.json(x.dialect, "")}
	if apiPath(x.r.URL.Path) == responsesPath {
		f = frame{event: "error", data: e.responseEvent(s.rendered)}
	}
	if x.dialect == cohere {
		f = frame{event: "message-end", data: cohereError(e)}
	}
	if x.dialect == anthropic || x.script.NamedError {
		f.event = "error"
	}
	s.event(f)
	s.closeArray()
}
