package settle

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// left is what remains to be done for a stream.
type left struct {
	Open
	ended time.Time
	over  bool // its time was over, but somebody still reads it
}

// settle posts what is known of a stream, and returns what is left; nil: nothing.
func (s *Settler) settle(l *streamlog.Stream) (*left, error) {
	info := l.Info()
	if info.End == nil {
		return nil, nil // whoever ends it will tell
	}
	over := s.now().Sub(info.End.At) >= s.log.Retention()
	r, err := read(l)
	if err != nil {
		return nil, err
	}
	rest := &left{ended: info.End.At, over: over}
	if r.billed() {
		b, err := s.post(l, r, over && !r.live)
		if err != nil {
			return nil, err
		}
		if !b.Settled {
			rest.Open = Open{Provider: r.header.Provider, Model: s.Label(r.header.Provider, r.model()), Tokens: b.Pending, Orphan: !r.live}
			if b.Pending > 0 {
				rest.Amount = b.OutputAmount
			}
			return rest, nil
		}
	}
	if r.header.Missed != nil && r.billed() {
		if waits, err := s.miss(r); waits || err != nil {
			return rest, err
		}
	}
	return nil, l.Settled()
}

// post posts what is not in the ledger yet, and returns the books as they are.
func (s *Settler) post(l *streamlog.Stream, r *reading, over bool) (books.Books, error) {
	row, err := s.ledger.Get(ledger.ID(r.header.ID), r.number())
	known := err == nil
	switch {
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return books.Books{}, err
	case known && row.Current.Outcomes != nil:
		return books.Books{Settled: true}, nil
	}
	e, err := s.evidence(l, r, !known)
	if err != nil {
		return books.Books{}, err
	}
	if known {
		if err := e.adopt(row.Current.Evidence); err != nil {
			return books.Books{}, err
		}
	}
	e.History.Steps = r.steps
	b, err := e.reckon(over)
	if err != nil {
		return b, fmt.Errorf("settle: %w", err)
	}
	if known && !b.Settled {
		return b, nil
	}
	p, err := e.Posting(b)
	if err != nil {
		return b, err
	}
	p.Attempt = s.attempt(r)
	if known {
		p.Bill, p.Revision, p.Reason = nil, row.Current.Number, row.Current.Reason
	}
	_, err = s.ledger.Post(p)
	return b, err
}

// adopt takes the figures of the bill as it was posted: an estimate is made once.
func (e *Evidence) adopt(posted json.RawMessage) error {
	var was Evidence
	if err := was.decode(posted); err != nil {
		return err
	}
	f, old := &e.History.Facts, was.History.Facts
	f.Input, f.Output, f.Hidden, f.AudioOut, f.Received, f.Rates = old.Input, old.Output, old.Hidden, old.AudioOut, old.Received, old.Rates
	if e.shown { // which the bill need not have known
		f.Hidden = 0
	}
	e.Input, e.Output, e.Bases, e.Unpriced, e.Stated, e.Factor, e.Samples = was.Input, was.Output, was.Bases, was.Unpriced, was.Stated, was.Factor, was.Samples
	return nil
}

func (e *Evidence) decode(posted json.RawMessage) error {
	if err := json.Unmarshal(posted, e); err != nil {
		return fmt.Errorf("settle: evidence of a posting: %w", err)
	}
	return nil
}

// settleLost settles what was billed for a stream of which the log has nothing
// left: by what stood behind the bill.
func (s *Settler) settleLost(id streamlog.ID) error {
	rows, err := s.ledger.Of(ledger.ID(id))
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Current.Outcomes != nil {
			continue
		}
		var e Evidence
		if err := e.decode(row.Current.Evidence); err != nil {
			return err
		}
		e.History.Steps = append(e.History.Steps, books.Step{At: row.Ended, Do: books.Damage})
		b, err := e.reckon(true)
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		p, err := e.Posting(b)
		if err != nil {
			return err
		}
		p.Attempt, p.Bill, p.Revision, p.Reason = row.Attempt, nil, row.Current.Number, row.Current.Reason
		if _, err := s.ledger.Post(p); err != nil {
			return err
		}
	}
	return nil
}

// miss posts that a call bought again what an earlier one had broken off, once
// it is known what became of that one; waits: it isn't yet.
func (s *Settler) miss(r *reading) (waits bool, err error) {
	m := r.header.Missed
	if s.await(m.Stream, r.header.ID) {
		return true, nil
	}
	rows, err := s.ledger.Of(ledger.ID(m.Stream))
	if err != nil {
		return false, err
	}
	posting := ledger.Miss{
		Stream: ledger.ID(r.header.ID), Orphan: ledger.ID(m.Stream), Provider: r.header.Provider,
		Model: s.Label(r.header.Provider, r.model()), Reason: m.Reason, At: r.header.Accepted,
	}
	for _, row := range rows {
		if o := row.Current.Outcomes; o != nil && o.Input == ledger.Delivered {
			return false, nil // it was had after all
		}
		for _, line := range append(row.Current.Bill.Input, row.Current.Bill.Output) {
			if posting.Amount, err = posting.Amount.Plus(line.Amount); err != nil {
				return false, err
			}
		}
	}
	_, err = s.ledger.PostMiss(posting)
	return false, err
}

// await has id looked at again when the other stream is settled, if it isn't.
func (s *Settler) await(other, id streamlog.ID) bool {
	running := false
	if l, err := s.log.ForBooks(other); err == nil { // else it is gone, with all that was billed for it
		running = l.Info().End == nil
		l.Release()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if running || s.state[other] != 0 || s.open[other] != nil {
		s.missed[other] = append(s.missed[other], id)
		return true
	}
	return false
}
