package settle

import (
	"errors"
	"fmt"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
	"github.com/recoup-gateway/recoup/pricing"
)

// View is what the books say of a stream's last attempt.
type View struct {
	Attempt  int
	Revision int // -1: nothing is posted yet
	Settled  bool
	Reason   string // of a revision
	Evidence Evidence
	Books    books.Books
}

// View reckons a stream as it is now: as it was posted, or else as it would be
// if nothing came any more but what is already on its way. nil: the provider
// bills nothing for it.
func (s *Settler) View(l *streamlog.Stream) (*View, error) {
	r, err := s.read(l)
	if err != nil || !r.billed() {
		return nil, err
	}
	v := &View{Attempt: r.number(), Revision: -1}
	row, err := s.ledger.Get(ledger.ID(r.header.ID), v.Attempt)
	switch {
	case err == nil:
		v.Revision, v.Reason = row.Current.Number, row.Current.Reason
	case !errors.Is(err, ledger.ErrNotFound):
		return nil, err
	}
	if v.Settled = err == nil && row.Current.Outcomes != nil; v.Settled {
		err = v.Evidence.decode(row.Current.Evidence)
	} else {
		err = s.current(l, r, v, row)
	}
	if err == nil {
		v.Books, err = books.Keep(v.Evidence.History)
	}
	if err != nil {
		return nil, fmt.Errorf("settle: view of stream %s: %w", r.header.ID, err)
	}
	return v, nil
}

// current is the evidence of what is not settled.
func (s *Settler) current(l *streamlog.Stream, r *reading, v *View, row ledger.Row) error {
	e, err := s.evidence(l, r, false)
	if err != nil {
		return err
	}
	if v.Revision >= 0 {
		err = e.adopt(row.Current.Evidence)
	}
	e.History.Steps = r.steps
	v.Evidence = *e
	return err
}

// Money is what books come to.
type Money struct {
	Bill, Saved, Upper, Overhead, Net pricing.Picodollars
}

// Money adds up.
func (v *View) Money() (m Money, err error) {
	b := v.Books
	m.Bill, m.Net = b.Bill, b.Net
	if m.Saved, err = b.Saved.Input.Plus(b.Saved.Output); err != nil {
		return m, err
	}
	if m.Upper, err = b.Upper.Input.Plus(b.Upper.Output); err != nil {
		return m, err
	}
	for _, o := range b.Overhead {
		if m.Overhead, err = m.Overhead.Plus(o.Amount); err != nil {
			return m, err
		}
	}
	return m, nil
}
