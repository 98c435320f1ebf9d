package settle

import (
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// Booked is what the books say of the last attempt of a stream that the log needn't
// have any more. The error is ledger.ErrNotFound where they have none, and where its
// month was summarised.
func (s *Settler) Booked(id streamlog.ID) (*View, ledger.Row, error) {
	rows, err := s.ledger.Of(ledger.ID(id))
	if err != nil {
		return nil, ledger.Row{}, err
	}
	if len(rows) == 0 {
		return nil, ledger.Row{}, ledger.ErrNotFound
	}
	row := rows[len(rows)-1]
	v := &View{Attempt: row.Number, Revision: row.Current.Number, Reason: row.Current.Reason, Settled: row.Current.Outcomes != nil}
	if row.Current.Evidence == nil {
		return nil, row, ledger.ErrNotFound
	}
	if err := v.Evidence.decode(row.Current.Evidence); err != nil {
		return nil, row, err
	}
	v.Books, err = books.Keep(v.Evidence.History)
	return v, row, err
}
