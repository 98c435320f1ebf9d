package ledger

import (
	"strings"
	"time"
)

// begin takes what was summarised as the beginning.
func (v *verifier) begin() error {
	b, err := readBase(v.txn)
	if err != nil {
		return err
	}
	removed, err := readRemoved(v.txn)
	if err != nil {
		return err
	}
	if v.left = removed < b.Seq; removed > b.Seq {
		v.wrong(removed, nil, "was removed, and only what precedes %d was summarised", b.Seq+1)
	}
	v.base, v.r.Head, v.r.Summarised = b, b.Head, uint64(b.body.Tried)
	if b.before != 0 {
		v.r.Closed = time.UnixMilli(b.before)
	}
	if v.totals, err = b.sums(v.txn); err != nil {
		return err
	}
	return v.summary()
}

// summary checks that rows and sums of what was summarised agree.
func (v *verifier) summary() error {
	rows := sums{}
	var attempts int64
	err := v.base.eachSummary(v.txn, func(s summaryBody) error {
		for _, i := range s.Incidents {
			v.final[i.Number] = i.Final != 0
		}
		for _, row := range s.Rows {
			attempts += row.Attempts
			for _, p := range row.Lines {
				key := balanceKey(row.Provider, row.Model, p.Account, p.Kind)
				t := rows[key]
				rows[key] = tally{t.count + p.Tokens, t.amount.Plus(p.Amount)}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if attempts != v.base.body.Tried {
		v.wrong(v.base.cut, nil, "%d attempts were summarised, the months have %d", v.base.body.Tried, attempts)
	}
	for key, want := range v.totals {
		if key[0] == prefixBalance && rows[key] != want {
			v.wrong(v.base.cut, nil, "balance %q of what was summarised: the months come to %d and %s dollars, the sum to %d and %s",
				strings.Split(key, "\x00"), rows[key].count, rows[key].amount, want.count, want.amount)
		}
		delete(rows, key)
	}
	for key, is := range rows {
		if is != (tally{}) {
			v.wrong(v.base.cut, nil, "balance %q of what was summarised is in the months alone", strings.Split(key, "\x00"))
		}
	}
	return nil
}
