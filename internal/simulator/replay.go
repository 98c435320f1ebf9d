package simulator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Replay is recorded bytes that a script answers with, as they are, on any
// path. Script.Interval is the time between the writes that Cuts make;
// CutAfterBytes, StallAfterBytes, WriteChunk, Gzip, Headers and what happens
// before the head apply too, all else of a script's form doesn't.
type Replay struct {
	Name        string `json:"name,omitempty"`         // a file of Options.Recordings; its usage is billed unless the script has counts
	Data        []byte `json:"data,omitempty"`         // or the bytes; base64 in JSON
	ContentType string `json:"content_type,omitempty"` // "": the recording's, or text/event-stream
	Cuts        []int  `json:"cuts,omitempty"`         // offsets at which writes are split, each flushed
}

// ReplayOf is a script that replays a recording and bills the usage it
// reports, or no output where it reports none. Cut or left early, output is
// generated in proportion to the bytes written.
func ReplayOf(rec Recording, cuts ...int) (Script, error) {
	body, err := rec.Body()
	if err != nil {
		return Script{}, err
	}
	s := rec.bill()
	s.Replay = &Replay{Data: body, ContentType: rec.ContentType(), Cuts: cuts}
	return s, nil
}

// newReplayAnswer is the whole replay's bill. The recording decides it, so
// no token limit of the request applies.
func (x *exchange) newReplayAnswer() *answer {
	s := &x.script
	if s.Replay.Name != "" && s.Tokens == 0 && s.Hidden == 0 && s.Input == 0 {
		if rec, err := x.sim.recording(s.Replay.Name); err == nil {
			counts := rec.bill()
			s.Tokens, s.Hidden = counts.Tokens, counts.Hidden
			s.Input, s.CacheRead, s.CacheWrite = counts.Input, counts.CacheRead, counts.CacheWrite
		}
	}
	a := &answer{hidden: max(s.Hidden, 0), text: or(s.Tokens, 0), choices: 1, perStep: 1}
	a.planInput(s, len(x.body))
	return a
}

func (x *exchange) replay() End {
	r := x.script.Replay
	data, contentType := r.Data, r.ContentType
	if r.Name != "" {
		rec, err := x.sim.recording(r.Name)
		if err == nil {
			data, err = rec.Body()
		}
		if err != nil {
			return x.reject(http.StatusInternalServerError, ErrorBody{Message: err.Error()})
		}
		if contentType == "" {
			contentType = rec.ContentType()
		}
	}
	if contentType == "" {
		contentType = "text/event-stream"
	}
	if end := x.sleep(x.script.TTFT); end != "" {
		return end
	}
	s := x.newSender(contentType, -1)
	defer s.stop()
	end := s.replay(data, r.Cuts)
	total := x.answer.total()
	x.generated = total
	if len(data) > 0 {
		x.generated = total * x.bytes / len(data)
	}
	x.hidden = min(x.answer.hidden, x.generated)
	x.events = countEvents(data[:x.bytes], contentType)
	return s.close(end)
}

// replay writes data in the segments that cuts make.
func (s *sender) replay(data []byte, cuts []int) End {
	s.splits = slices.Sorted(slices.Values(cuts))
	s.next = time.Now()
	if s.x.script.Interval <= 0 {
		return s.write(data)
	}
	from := 0
	for _, to := range append(slices.Clone(s.splits), len(data)) {
		to = min(max(to, from), len(data))
		if end := s.pace(); end != "" {
			return end
		}
		if end := s.write(data[from:to]); end != "" {
			return end
		}
		from = to
	}
	return ""
}

const eventStreamType = "application/vnd.amazon.eventstream"

// countEvents is how many whole events are in b.
func countEvents(b []byte, contentType string) int {
	n := 0
	if contentType == eventStreamType {
		for len(b) >= 4 {
			size := int(binary.BigEndian.Uint32(b))
			if size < 16 || size > len(b) {
				break
			}
			b, n = b[size:], n+1
		}
		return n
	}
	// An event is a block with data; comments alone are none.
	for block := range bytes.SplitAfterSeq(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n\n")) {
		if bytes.HasSuffix(block, []byte("\n\n")) && (bytes.HasPrefix(block, []byte("data:")) || bytes.Contains(block, []byte("\ndata:"))) {
			n++
		}
	}
	return n
}

// recording finds one by its file name.
func (s *Simulator) recording(name string) (Recording, error) {
	all, err := s.recordings()
	if err != nil {
		return Recording{}, err
	}
	i := slices.IndexFunc(all, func(r Recording) bool { return r.File == name })
	if i < 0 {
		return Recording{}, fmt.Errorf("simulator: no recording %q", name)
	}
	return all[i], nil
}
