package settle

import (
	"context"
	"errors"
	"fmt"

	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// pending is the ledger's account of what is billed and has no outcome.
const pending = "pending"

// pendingTokens is the sum of that account, over all kinds.
func (s *Settler) pendingTokens() (sum int64) {
	for _, b := range s.ledger.Balances() {
		if b.Account == pending {
			sum += b.Tokens
		}
	}
	return sum
}

// findLost begins to settle what is pending for streams that are lost, if there are
// some. Nothing must be posted before it returns.
func (s *Settler) findLost(ctx context.Context, offered []streamlog.ID) {
	some, err := s.lost(offered)
	switch {
	case err != nil:
		s.logger.Error("the ledger's pending bills could not be read", "error", err)
		return
	case !some:
		return
	}
	s.logger.Warn("bills are pending whose streams the log does not have; they are settled as damaged")
	s.wg.Go(func() {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.logger.Error("bills of lost streams could not be settled; the next start tries again", "error", err)
		}
	})
}

// lost reports whether more is pending in the ledger than for those streams
// which the log has to offer. It is asked before anything is posted.
func (s *Settler) lost(offered []streamlog.ID) (bool, error) {
	tokens := s.pendingTokens()
	if tokens == 0 {
		return false, nil
	}
	for _, id := range offered {
		rows, err := s.ledger.Of(ledger.ID(id))
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			if row.Current.Outcomes != nil {
				continue
			}
			tokens -= row.Current.Bill.Output.Tokens
			for _, line := range row.Current.Bill.Input {
				tokens -= line.Tokens
			}
		}
	}
	return tokens != 0, nil
}

// sweep settles all that is pending for streams of which the log has lost every
// trace, and so does not offer: those of a damaged bucket that was moved away. It
// goes through the whole ledger.
func (s *Settler) sweep(ctx context.Context) error {
	return s.ledger.Attempts(ctx, 0, func(row ledger.Row) error {
		if row.Current.Outcomes != nil {
			return nil
		}
		l, err := s.log.ForBooks(streamlog.ID(row.Stream))
		switch {
		case err == nil:
			l.Release()
			return nil
		case errors.Is(err, streamlog.ErrNotFound) || errors.Is(err, streamlog.ErrDamaged):
			return s.settleLost(lost(streamlog.ID(row.Stream)))
		}
		return err
	})
}

// lost is what is known of a stream of which the log has nothing left.
func lost(id streamlog.ID) streamlog.Info { return streamlog.Info{Header: streamlog.Header{ID: id}} }

// settleLost settles what was billed for a stream of which the log has nothing
// left that could be read: by what stood behind the bill.
func (s *Settler) settleLost(info streamlog.Info) error {
	rows, err := s.ledger.Of(ledger.ID(info.Header.ID))
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
		p.Outcomes.Labels = s.labels.of(row.Tags)
		posted, err := s.ledger.Post(p)
		if err != nil {
			return err
		}
		if posted {
			info.Header.Provider = row.Provider
			s.posted(Posted{Info: info, Model: row.Model, Evidence: &e, Books: b, Settled: true, Over: true})
		}
	}
	return nil
}
