package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Summarised is what Summarise did.
type Summarised struct {
	Before   time.Time // attempts accepted before are closed
	Entries  uint64    // that are gone
	Attempts int64     // of which only the sums of their months remain now
}

// Summarise replaces the attempts of closed months, those that ended before a time,
// by what they came to in each month, by provider, model and tags. Balances and
// counters stay as they are. The chain of hashes goes on: an entry says what it was
// where it was cut, and all that preceded.
//
// Entries go in their order, so whatever of an attempt, or of an unexplained amount,
// was posted late holds back what came after its first entry, until it is old too; so
// does a bill without outcomes. What is posted later for closed months is refused with
// ErrSummarised, but for revisions of attempts that are still there.
//
// It reads what it is to remove twice, and first checks that it is what was written:
// ErrDamaged. If the process dies meanwhile, the next Open goes on.
func (l *Ledger) Summarise(ctx context.Context, before time.Time) (done Summarised, err error) {
	if l.readOnly {
		return done, ErrReadOnly
	}
	if err := l.enter(); err != nil {
		return done, err
	}
	defer l.leave()
	l.summarising.Lock()
	defer l.summarising.Unlock()
	before = time.Date(before.UTC().Year(), before.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	done.Before = before
	for range cutTries {
		c := &cutting{ctx: ctx, l: l, before: before.UnixMilli(), rows: newRows(), totals: sums{}, incidents: map[int]incidentBody{}}
		if err := l.db.View(c.prepare); err != nil {
			return done, fmt.Errorf("ledger: summarise: %w", err)
		}
		if c.to.Seq == c.base.Seq {
			return done, nil
		}
		cut, err := c.cut()
		if err != nil {
			return done, fmt.Errorf("ledger: summarise: %w", err)
		}
		if cut {
			done.Entries, done.Attempts = c.to.Seq-c.base.Seq, c.attempts-c.base.body.Tried
			return done, l.removeCut(ctx)
		}
	}
	return done, nil
}

// cutTries is how often Summarise begins anew where closed months are posted to. Then it
// is for the next time.
const cutTries = 5

// cut posts the summary. It is false if what it sums up has been revised since it was read.
// Nobody else posts meanwhile: it would be lost.
func (c *cutting) cut() (bool, error) {
	c.l.posting.Lock()
	defer c.l.posting.Unlock()
	overtaken, err := c.overtaken()
	if err != nil || overtaken {
		return false, err
	}
	if err := c.post(); err != nil {
		return false, err
	}
	c.l.closedBefore.Store(c.before)
	c.l.cutAt.Store(c.to.Seq)
	return true, nil
}

// overtaken says if something was posted, after the entries that were read, of what these
// are of.
func (c *cutting) overtaken() (is bool, err error) {
	s := scan{prefix: []byte{prefixEntry}, from: entryKey(c.read + 1), values: true}
	err = c.l.db.View(func(txn *badger.Txn) error {
		err := eachIn(txn, s, func(_, value []byte) error {
			_, body, _ := cutEntry(value)
			e, err := decodeEntry(body)
			if err != nil {
				return err
			}
			switch e.Kind {
			case kindMiss, kindIncident, kindSummary, kindCut: // by itself
			case kindUnexplained:
				day, err := time.Parse(time.DateOnly, e.unexplained().Day)
				is = err == nil && day.UnixMilli() < c.before
			default:
				r, err := readRecord(txn, e.id())
				if err != nil {
					return err
				}
				is = len(r) > 0 && r[0].bill <= c.to.Seq
			}
			if is {
				return ErrStop
			}
			return nil
		})
		if errors.Is(err, ErrStop) {
			return nil
		}
		return err
	})
	return is, err
}

// cutting is one run of Summarise.
type cutting struct {
	ctx      context.Context
	l        *Ledger
	before   int64
	base     base
	read     uint64 // the last entry when it was read
	to       Head   // the new cut
	rows     *rows
	totals   sums
	attempts int64

	incidents map[int]incidentBody // as they stood
}

func (c *cutting) prepare(txn *badger.Txn) (err error) {
	if c.base, err = readBase(txn); err != nil {
		return err
	}
	newest, err := lastEntry(txn)
	if err != nil {
		return err
	}
	c.read = newest.Seq
	c.before = max(c.before, c.base.before)
	c.attempts = c.base.body.Tried
	c.to = c.base.Head
	last, err := c.reach(txn)
	if err != nil || last == c.base.Seq {
		return err
	}
	if c.totals, err = c.base.sums(txn); err != nil {
		return err
	}
	if err := c.base.eachSummary(txn, func(s summaryBody) error {
		for _, row := range s.Rows {
			c.rows.merge(row)
		}
		for _, i := range s.Incidents {
			c.incidents[i.Number] = i
		}
		return nil
	}); err != nil {
		return err
	}
	return c.add(txn, last)
}

// reach finds the last entry up to which all there is belongs to what is closed, and
// complete by then.
func (c *cutting) reach(txn *badger.Txn) (last uint64, err error) {
	last = c.base.Seq
	until, some := last, false // all that was met so far ends here; some of it is more than an earlier summary
	s := scan{prefix: []byte{prefixEntry}, from: entryKey(last + 1), values: true}
	err = eachIn(txn, s, func(key, value []byte) error {
		if err := c.l.interrupted(c.ctx); err != nil {
			return err
		}
		seq := decodeSeq(key[1:])
		_, body, ok := cutEntry(value)
		if !ok {
			return damagedf("entry %d has %d bytes", seq, len(value))
		}
		e, err := decodeEntry(body)
		if err != nil {
			return err
		}
		end, err := c.endOf(txn, seq, e)
		if err != nil {
			return err
		}
		if end == 0 {
			return ErrStop
		}
		some = some || e.Kind != kindSummary && e.Kind != kindCut
		if until = max(until, end); until == seq && some {
			last = seq
		}
		return nil
	})
	if errors.Is(err, ErrStop) {
		err = nil
	}
	return last, err
}

// endOf is the last entry of what an entry is of; 0 if that is not closed.
func (c *cutting) endOf(txn *badger.Txn, seq uint64, e *entry) (end uint64, err error) {
	switch e.Kind {
	case kindMiss:
		if e.Miss == nil || e.Miss.At >= c.before {
			return 0, nil
		}
		return seq, nil
	case kindUnexplained:
		u := e.unexplained()
		day, err := time.Parse(time.DateOnly, u.Day)
		if err != nil || day.UnixMilli() >= c.before {
			return 0, nil
		}
		v, err := get(txn, textKey(prefixUnexplained, u.Provider, u.Model, u.Tier, u.Day))
		if err != nil || len(v) != 8 {
			return 0, err
		}
		return decodeSeq(v), nil
	case kindSummary, kindCut, kindIncident:
		return seq, nil // the new summary has all that it says
	}
	r, err := readRecord(txn, e.id())
	if err != nil || len(r) == 0 {
		return 0, err
	}
	first, err := readEntry(txn, r[0].bill)
	if err != nil || first.Attempt == nil || first.Attempt.At >= c.before || r[len(r)-1].outcomes == 0 {
		return 0, err
	}
	for _, v := range r {
		end = max(end, v.bill, v.outcomes, v.reversal)
	}
	return end, nil
}

// add sums up the entries up to last, and checks that they are a chain.
func (c *cutting) add(txn *badger.Txn, last uint64) error {
	v := newVerifier()
	v.txn, v.totals, v.interrupted = txn, c.totals, func() error { return c.l.interrupted(c.ctx) }
	v.r.Head, v.base = c.base.Head, c.base
	var damage error
	v.report = func(d Damage) {
		if damage == nil {
			damage = damagedf("%s", d)
		}
	}
	s := scan{prefix: []byte{prefixEntry}, from: entryKey(c.base.Seq + 1), values: true}
	err := eachIn(txn, s, func(key, value []byte) error {
		seq := decodeSeq(key[1:])
		if seq > last {
			return ErrStop
		}
		if err := v.link(seq, value); err != nil || damage != nil {
			return errors.Join(err, damage)
		}
		return c.sum(txn, v.recent[seq%uint64(len(v.recent))].e)
	})
	if errors.Is(err, ErrStop) {
		err = nil
	}
	c.to = v.r.Head
	return err
}

// sum adds what an entry says to the summaries; an attempt with its first one, and
// all that stands of it.
func (c *cutting) sum(txn *badger.Txn, e *entry) error {
	switch e.Kind {
	case kindBill:
		if e.Revision > 0 {
			return nil
		}
		row, err := readRow(txn, e.id(), e)
		if err != nil {
			return err
		}
		c.rows.attempt(&row)
		c.attempts++
	case kindMiss:
		to := c.rows.row(Summary{Month: monthOf(e.miss().At), Provider: e.Provider, Model: e.Model})
		to.Misses++
		c.rows.lines(to, e.Memo, exact)
	case kindIncident:
		if e.Incident != nil {
			i := *e.Incident
			i.Posted = e.Posted
			c.incidents[i.Number] = i
		}
	case kindUnexplained:
		c.rows.lines(c.rows.row(Summary{Month: e.unexplained().Day[:len("2006-01")], Provider: e.Provider, Model: e.Model}), e.Lines, exact)
	}
	return nil
}

const (
	summaryRows     = 200 // in an entry; also tallies
	summariesAtOnce = 64  // entries that wait for one commit: until all are there, nobody else can post
)

// post posts the summary, and with its last entry the cut.
func (c *cutting) post() error {
	var bodies []summaryBody
	for part := range slices.Chunk(c.rows.sorted(), summaryRows) {
		bodies = append(bodies, summaryBody{Rows: part})
	}
	for part := range slices.Chunk(slices.Sorted(maps.Keys(c.totals)), summaryRows) {
		s := summaryBody{Sums: map[string]sumsBody{}}
		for _, key := range part {
			s.Sums[key] = sumsBody{c.totals[key].count, c.totals[key].amount}
		}
		bodies = append(bodies, s)
	}
	for _, n := range slices.Sorted(maps.Keys(c.incidents)) { // the figures of one can be long
		bodies = append(bodies, summaryBody{Incidents: []incidentBody{c.incidents[n]}})
	}
	of := make([]uint64, 0, len(bodies))
	for part := range slices.Chunk(bodies, summariesAtOnce) {
		ops := make([]*op, len(part))
		for i := range part {
			ops[i] = &op{index: func(seq uint64) []keyValue {
				of = append(of, seq)
				return nil
			}}
			if err := ops[i].add(&entry{Kind: kindSummary, Posted: time.Now().UnixMilli(), Summary: &part[i]}, nil); err != nil {
				return err
			}
		}
		if err := c.l.submit(ops...); err != nil {
			return err
		}
	}
	cut := &entry{Kind: kindCut, Posted: time.Now().UnixMilli(), Cut: &cutBody{c.to.Seq, c.to.Hash, c.before, of, c.attempts}}
	o := &op{index: func(seq uint64) []keyValue { return []keyValue{{metaCut, encodeSeq(seq)}} }}
	if err := o.add(cut, nil); err != nil {
		return err
	}
	return c.l.submit(o)
}

// submit has the writer commit operations, several at a time.
func (l *Ledger) submit(ops ...*op) error {
	for _, o := range ops {
		o.done = make(chan error, 1)
		if err := l.queue.submit(o); err != nil {
			return err
		}
	}
	for _, o := range ops {
		if err := <-o.done; err != nil {
			return err
		}
	}
	return nil
}

// checkOpen refuses what is of a month that was summarised.
func (l *Ledger) checkOpen(at time.Time) error {
	if before := l.closedBefore.Load(); before != 0 && at.UnixMilli() < before {
		return fmt.Errorf("%w: before %s", ErrSummarised, time.UnixMilli(before).UTC().Format(time.DateOnly))
	}
	return nil
}
