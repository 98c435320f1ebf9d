package streamlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// summary is the value under prefixHead: what is known of a stream without
// reading its records.
type summary struct {
	Header   Header     `json:"header"`
	Head     *Head      `json:"head,omitempty"`
	Retries  []Attempt  `json:"retries,omitempty"` // all attempts but the first, which the header tells
	End      *End       `json:"end,omitempty"`
	Records  uint64     `json:"records,omitempty"` // with End: the records up to and with it
	Events   uint64     `json:"events,omitempty"`
	Bytes    uint64     `json:"bytes,omitempty"`
	Terminal uint64     `json:"terminal,omitempty"` // 1 + index of the terminal event
	First    *time.Time `json:"first_event,omitempty"`
	Last     *time.Time `json:"last_event,omitempty"`
}

// summary reads a stream's summary; nil if the stream isn't here.
func (b *bucket) summary(id ID) (*summary, error) {
	var s *summary
	err := b.view(func(txn *badger.Txn) error {
		item, err := txn.Get(headKey(id))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return value(item, func(v []byte) error {
			s = new(summary)
			if err := json.Unmarshal(v, s); err != nil {
				return fmt.Errorf("%w: summary: %w", ErrDamaged, err)
			}
			if s.Header.ID != id {
				return fmt.Errorf("%w: summary of stream %s", ErrDamaged, s.Header.ID)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("streamlog: summary of %s: %w", id, err)
	}
	return s, nil
}

// info is the summary as its readers see it.
func (sum *summary) info() Info {
	i := Info{
		Header: sum.Header, State: Streaming, Attempts: sum.attempts(), Head: sum.Head, End: sum.End, Events: sum.Events, Bytes: sum.Bytes,
		Terminal: sum.Terminal > 0, Completing: max(sum.Terminal, 1) - 1,
	}
	if sum.End != nil {
		i.State = sum.End.State
	}
	if sum.First != nil && sum.Last != nil {
		i.First, i.Last = *sum.First, *sum.Last
	}
	return i
}

func (sum *summary) attempts() []Attempt {
	return append([]Attempt{sum.Header.firstAttempt()}, sum.Retries...)
}

// firstAttempt is the one that Open writes with the header.
func (h *Header) firstAttempt() Attempt {
	return Attempt{Number: 1, Started: h.Accepted, UsageInjected: h.UsageInjected}
}

// summarize completes a summary with what the stream holds.
func (p progress) summarize(sum summary) summary {
	sum.Records, sum.Events, sum.Bytes, sum.Terminal = p.rec, p.index, p.offset, p.terminal
	if p.offset > 0 {
		first := sum.Header.Accepted.Add(time.Duration(p.first) * time.Millisecond)
		last := sum.Header.Accepted.Add(time.Duration(p.last) * time.Millisecond)
		sum.First, sum.Last = &first, &last
	}
	return sum
}

// Size is how many events there are, and bytes of them, as far as they are durable:
// what Info says, for who asks often.
func (s *Stream) Size() (events, bytes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.index, s.now.offset
}
