package audit

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// near is how far apart the gateway's time of a request and the provider's may
// be, where there is nothing else to go by: clocks differ, and connections take
// time to make.
const near = 5 * time.Second

// byID finds the attempt that a line is of by its request id. again: it is
// another line's already.
func (r *reconciling) byID(l *Line) (row ledger.Row, found, again bool, err error) {
	if l.RequestID == "" {
		return row, false, false, nil
	}
	rows, err := r.books.ByRequestID(r.bill.Provider, l.RequestID)
	for _, row := range rows {
		if !r.matched[row.ID()] {
			r.matched[row.ID()] = true
			return row, true, false, nil
		}
	}
	return row, false, len(rows) > 0, err
}

// pair is a line, and an attempt that it may be of.
type pair struct {
	line     int
	row      int
	distance time.Duration
}

// byTime pairs lines with attempts of which no request id is known: those of a
// gateway that died before it had stored the head of the response, or of a
// provider that sends none. The nearest in time are paired first. It returns the
// lines that no attempt is near to.
func (r *reconciling) byTime(ctx context.Context, lines []*Line, fn func(ledger.Row, *Line) error) (left []*Line, err error) {
	if len(lines) == 0 {
		return nil, nil
	}
	rows, err := r.anonymous(ctx, lines)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for i, l := range lines {
		for j := range rows {
			if d := rows[j].At.Sub(l.Started).Abs(); d <= near && r.sameModel(&rows[j], l) {
				pairs = append(pairs, pair{i, j, d})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.row, b.row), cmp.Compare(a.line, b.line))
	})
	paired := map[int]bool{}
	for _, p := range pairs {
		id := rows[p.row].ID()
		if paired[p.line] || r.matched[id] {
			continue
		}
		paired[p.line], r.matched[id] = true, true
		if err := fn(rows[p.row], lines[p.line]); err != nil {
			return nil, err
		}
	}
	for i, l := range lines {
		if !paired[i] {
			left = append(left, l)
		}
	}
	return left, nil
}

// anonymous are the attempts without a request id, of about the time of lines.
func (r *reconciling) anonymous(ctx context.Context, lines []*Line) (rows []ledger.Row, err error) {
	var from, to time.Time
	for _, l := range lines {
		if l.Started.IsZero() {
			continue
		}
		if from.IsZero() || l.Started.Before(from) {
			from = l.Started
		}
		if l.Started.After(to) {
			to = l.Started
		}
	}
	if from.IsZero() {
		return nil, nil
	}
	err = r.books.Between(ctx, from.Add(-near), to.Add(near+time.Millisecond), func(row ledger.Row) error {
		if row.Provider == r.bill.Provider && row.RequestID == "" {
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

// sameModel says if a line's model can be that of an attempt: bills name
// snapshots, clients aliases.
func (r *reconciling) sameModel(row *ledger.Row, l *Line) bool {
	if l.Model == row.AskedModel || l.Model == row.Model {
		return true
	}
	id, ok := r.prices.Resolve(row.Provider, l.Model)
	return ok && id == row.Model
}
