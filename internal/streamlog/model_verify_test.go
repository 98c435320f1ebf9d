package streamlog

import (
	"fmt"
	"io"
	"slices"
)

// verify compares a stream with the model as a whole.
func (m *modelStream) verify(s *Stream) error {
	i := s.Info()
	if (i.End == nil) != (m.end == nil) || m.end != nil && i.State != m.end.State || i.Events != m.events || (i.Head != nil) != m.head || i.Damaged != nil {
		return fmt.Errorf("info %+v, want %d events", i, m.events)
	}
	if err := m.check(s, 0, m.events); err != nil {
		return err
	}
	r, err := s.Reader(m.events)
	if err != nil {
		return err
	}
	defer r.Close()
	for ; m.end != nil && err == nil; _, err = r.Read(1 << 20) { // a part that was never completed
	}
	if m.end != nil && err != io.EOF {
		return fmt.Errorf("after the last event: %v, want EOF", err)
	}
	return m.verifyHistory(s)
}

func (m *modelStream) verifyHistory(s *Stream) error {
	var events, offset, delivered uint64
	var marks []Mark
	attempts, ends, attached := 0, 0, map[uint32]bool{}
	err := s.History(func(e Entry) error {
		switch {
		case e.Attempt != nil:
			attempts++
		case e.End != nil:
			ends++
		case e.Event != nil:
			if e.Event.Index != events || e.Event.Offset != offset {
				return fmt.Errorf("history: event %d at %d, want %d at %d", e.Event.Index, e.Event.Offset, events, offset)
			}
			if offset += uint64(len(e.Event.Data)); !e.Event.More {
				events++
			}
		case e.Mark != nil && e.Mark.Conn == 1<<20:
			marks = append(marks, *e.Mark)
		case e.Mark != nil:
			switch c := e.Mark.Conn; e.Mark.Kind {
			case MarkAttach:
				if attached[c] {
					return fmt.Errorf("history: connection %d attached twice", c)
				}
				attached[c], delivered = true, 0
			default:
				if !attached[c] || e.Mark.Index < delivered || e.Mark.Index > events {
					return fmt.Errorf("history: %+v, delivered %d, events %d, attached %v", *e.Mark, delivered, events, attached[c])
				}
				delivered = e.Mark.Index
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	wantEnds := 0
	if m.end != nil {
		wantEnds = 1
	}
	if events != m.events || attempts != 1 || ends != wantEnds || !slices.Equal(marks, m.marks) {
		return fmt.Errorf("history has %d events, %d attempts, %d ends, %d marks; want %d, 1, %d, %d", events, attempts, ends, len(marks), m.events, wantEnds, len(m.marks))
	}
	return nil
}
