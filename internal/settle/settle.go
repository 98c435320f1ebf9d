package settle

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	r, err := s.read(l)
	if err != nil {
		return nil, err
	}
	rest := &left{ended: info.End.At, over: over}
	rest.Provider, rest.Model = r.header.Provider, s.Label(r.header.Provider, r.model())
	if !r.billed() {
		s.posted(Posted{Info: info, Model: rest.Model})
	} else {
		b, err := s.post(l, r, over && !r.live)
		if err != nil {
			return nil, err
		}
		if !b.Settled {
			rest.Tokens, rest.Orphan = b.Pending, !r.live
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
	case known && r.damaged != nil: // what stood behind the bill is more than what can be read now
		return books.Books{Settled: true}, s.settleLost(l.Info())
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
		// It is the attempt that was posted, even if another price book has another
		// name for its model now.
		p.Attempt, p.Bill, p.Revision, p.Reason = row.Attempt, nil, row.Current.Number, row.Current.Reason
	}
	if p.Outcomes != nil {
		p.Outcomes.Labels = s.labels.of(r.header.Tags)
	}
	posted, err := s.ledger.Post(p)
	if err == nil && posted {
		s.posted(Posted{
			Info: l.Info(), Model: p.Attempt.Model, Usage: r.usage, Final: r.final, Evidence: e, Books: b,
			Billed: !known, Settled: b.Settled, Over: over,
		})
	}
	return b, err
}

// adopt takes the figures of the bill as it was posted: an estimate is made once.
func (e *Evidence) adopt(posted json.RawMessage) error {
	var was Evidence
	if err := was.decode(posted); err != nil {
		return err
	}
	f, old := &e.History.Facts, was.History.Facts
	f.Input, f.Output, f.Hidden, f.AudioOut, f.Received = old.Input, old.Output, old.Hidden, old.AudioOut, old.Received
	f.Rates, f.Caching, f.Marked = old.Rates, old.Caching, old.Marked
	if e.shown { // which the bill need not have known
		f.Hidden = 0
	}
	e.Listed = was.Listed
	e.Input, e.Output, e.Bases, e.Unpriced, e.Stated, e.Factor, e.Samples = was.Input, was.Output, was.Bases, was.Unpriced, was.Stated, was.Factor, was.Samples
	return nil
}

func (e *Evidence) decode(posted json.RawMessage) error {
	if err := json.Unmarshal(posted, e); err != nil {
		return fmt.Errorf("settle: evidence of a posting: %w", err)
	}
	return nil
}

// miss posts that a call bought again what an earlier one had broken off, once
// it is known what became of that one; waits: it isn't yet.
func (s *Settler) miss(r *reading) (waits bool, err error) {
	m := r.header.Missed
	if waits, err := s.await(m.Stream, r.header.ID); waits || err != nil {
		return waits, err
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
	if _, err = s.ledger.PostMiss(posting); errors.Is(err, ledger.ErrPosted) {
		err = nil // by an earlier process, and the other's bill has been revised since
	}
	return false, err
}

// await has id looked at again when the other stream is settled, if it isn't.
func (s *Settler) await(other, id streamlog.ID) (waits bool, err error) {
	s.mu.Lock()
	s.missed[other] = append(s.missed[other], id) // before it is asked, since that may happen at any moment
	s.mu.Unlock()
	settled, err := s.settled(other)
	if err == nil && !settled {
		return true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed[other] = slices.DeleteFunc(s.missed[other], func(waiting streamlog.ID) bool { return waiting == id })
	if len(s.missed[other]) == 0 {
		delete(s.missed, other)
	}
	return false, err
}

// settled reports whether all that the provider bills for a stream has its
// outcomes.
func (s *Settler) settled(id streamlog.ID) (bool, error) {
	l, err := s.log.ForBooks(id)
	switch {
	case errors.Is(err, streamlog.ErrNotFound) || errors.Is(err, streamlog.ErrDamaged):
		return true, s.settleLost(lost(id))
	case err != nil:
		return false, err
	}
	defer l.Release()
	if l.Info().End == nil {
		return false, nil
	}
	rows, err := s.ledger.Of(ledger.ID(id))
	if err != nil || len(rows) > 0 {
		return !slices.ContainsFunc(rows, func(row ledger.Row) bool { return row.Current.Outcomes == nil }), err
	}
	r, err := s.read(l)
	return err == nil && !r.billed(), err // else it will be
}
