package simulator

import (
	"fmt"
	"slices"
)

// flush writes the buffer.
func (s *sender) flush() End {
	end := s.write(s.buf)
	s.buf, s.ends, s.whole = s.buf[:0], s.ends[:0], 0
	return end
}

// write sends b in the pieces that the script asks for, and stops or stalls
// at the offsets it names.
func (s *sender) write(b []byte) End {
	x := s.x
	for {
		if x.bytes == s.stallAt {
			s.stallAt = -1
			if err := s.put(nil); err != nil { // the head may still be buffered
				return x.gone()
			}
			if end := s.stall(); end != "" {
				return end
			}
		}
		if x.bytes == s.cutAt {
			return x.cutEnd()
		}
		if len(b) == 0 && x.bytes > 0 {
			return ""
		}
		n := s.piece(len(b))
		if err := s.put(b[:n]); err != nil {
			return x.gone()
		}
		b = b[n:]
		x.bytes += n
		for s.whole < len(s.ends) && s.ends[s.whole] <= x.bytes {
			s.whole++
			x.events++
		}
		if n == 0 {
			return ""
		}
	}
}

// piece is how many of n bytes go into the next write.
func (s *sender) piece(n int) int {
	if chunk := s.x.script.WriteChunk; chunk > 0 {
		n = min(n, chunk)
	}
	for _, limit := range []int{s.cutAt, s.stallAt} {
		if limit > s.x.bytes {
			n = min(n, limit-s.x.bytes)
		}
	}
	if i, _ := slices.BinarySearch(s.splits, s.x.bytes+1); i < len(s.splits) {
		n = min(n, s.splits[i]-s.x.bytes)
	}
	return n
}

// put writes and flushes. With nothing to write it still sends the head.
func (s *sender) put(b []byte) error {
	if len(b) > 0 {
		if _, err := s.out.Write(b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if s.gz != nil {
		if err := s.gz.Flush(); err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
	}
	if err := s.x.rc.Flush(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// close ends the body well where it is to end well.
func (s *sender) close(end End) End {
	if end == "" {
		end = EndCompleted
	}
	if s.gz != nil && (end == EndCompleted || end == EndClean || end == EndError) {
		if err := s.gz.Close(); err != nil {
			return s.x.gone()
		}
	}
	return end
}
