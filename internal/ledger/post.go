package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/pricing"
)

// Post posts an attempt's bill, or its outcomes, or both, and returns when that is
// durable: then no crash takes it back. It is false, without an error, if all of it
// was posted before with the same figures; whatever else is in p, times, names and
// evidence, stays as it was then.
//
// A revision of a bill that has outcomes must bring outcomes along. It reverses
// what stands. Errors: ErrInvalid; ErrPosted, where this part of this revision has
// other figures; ErrNoBill, where there are outcomes without one; ErrRevision,
// where the revision before is missing, or a later one stands; an *Imbalance;
// ErrReadOnly; ErrClosed; and that of a commit that failed, after which
// nothing more is taken and what was stored is known only once the ledger is opened
// again.
func (l *Ledger) Post(p Posting) (posted bool, err error) {
	if err := checkAttempt(&p); err != nil {
		return false, err
	}
	if p.Bill != nil {
		if p.Bill, err = normalBill(p.Bill); err != nil {
			return false, err
		}
	}
	if p.Outcomes != nil {
		if p.Outcomes, err = normalOutcomes(p.Outcomes); err != nil {
			return false, err
		}
	}
	id := p.Attempt.ID()
	return l.do(string(attemptKey(id)), func() (*op, error) {
		o, err := l.draft(&p)
		if i := (*Imbalance)(nil); errors.As(err, &i) {
			l.refused(i)
		}
		return o, err
	})
}

// do makes an operation and has it committed. While it does, no one else works on
// what has this key. nil: there is nothing to do.
func (l *Ledger) do(key string, prepare func() (*op, error)) (bool, error) {
	if err := l.enter(); err != nil {
		return false, err
	}
	defer l.leave()
	if l.readOnly {
		return false, ErrReadOnly
	}
	l.posting.RLock()
	defer l.posting.RUnlock()
	defer l.keyed.lock(key)()
	o, err := prepare()
	if err != nil || o == nil {
		return false, err
	}
	o.done = make(chan error, 1)
	if err := l.queue.submit(o); err != nil {
		return false, err
	}
	if err := <-o.done; err != nil {
		return false, err
	}
	return true, nil
}

// drafting is a posting on its way to entries.
type drafting struct {
	op     *op
	id     AttemptID
	now    int64
	record record     // what the books have, then with the new places
	bill   *Bill      // that the outcomes are of
	first  *entry     // the attempt's first bill
	broken []brokenAt // as posted with the bill
	keys   []keyValue
}

// draft makes entries of a posting; nil if all of it is there.
func (l *Ledger) draft(p *Posting) (o *op, err error) {
	d := &drafting{op: &op{}, id: p.Attempt.ID(), now: time.Now().UnixMilli()}
	err = l.db.View(func(txn *badger.Txn) error {
		if d.record, err = readRecord(txn, d.id); err != nil {
			return err
		}
		switch next := len(d.record); {
		case next > 0 && d.record[0].bill <= l.cutAt.Load(): // it only waits to be removed
			return fmt.Errorf("%w: attempt %s", ErrSummarised, d.id)
		case next == 0 && !p.Attempt.At.IsZero() && l.checkOpen(p.Attempt.At) != nil:
			return l.checkOpen(p.Attempt.At)
		case p.Revision > next:
			return ErrRevision
		case p.Revision == next:
			err = d.revise(txn, p)
		default:
			err = d.complete(txn, p)
		}
		if err != nil || len(d.op.drafts) == 0 {
			return err
		}
		return d.extract(txn, p)
	})
	if err != nil || len(d.op.drafts) == 0 {
		return nil, err
	}
	d.op.index = func(first uint64) []keyValue {
		at := &d.record[len(d.record)-1]
		for i, e := range d.op.drafts {
			switch seq := first + uint64(i); e.kind {
			case kindBill:
				at.bill = seq
			case kindOutcomes:
				at.outcomes = seq
			case kindReversal:
				d.record[len(d.record)-2].reversal = seq
			}
		}
		return append(d.keys, keyValue{attemptKey(d.id), d.record.encode()})
	}
	return d.op, nil
}

// revise drafts a new revision, the first one included.
func (d *drafting) revise(txn *badger.Txn, p *Posting) error {
	if p.Bill == nil {
		return ErrNoBill
	}
	e := &entry{Kind: kindBill, Provider: p.Attempt.Provider, Model: p.Attempt.Model}
	var before *entry
	if len(d.record) == 0 {
		d.first = e
		if err := d.begin(p, e); err != nil {
			return err
		}
	} else {
		reversal, outcomes, err := d.reverse(txn, p)
		if err != nil {
			return err
		}
		before = outcomes
		e.Provider, e.Model = reversal.Provider, reversal.Model
	}
	d.record = append(d.record, version{})
	d.bill = p.Bill
	e.Lines = billLines(p.Bill)
	b := p.Bill
	e.Bill = &billBody{b.Hidden, b.Low, b.High, b.InputBasis, b.OutputBasis, b.ProviderCost, b.PriceVersion, b.Unpriced, b.Bounds.body()}
	if p.Outcomes == nil {
		e.Evidence, e.Broken = p.Evidence, brokenBody(p.Broken)
		return d.add(e, p, nil)
	}
	if err := d.add(e, p, nil); err != nil {
		return err
	}
	return d.settle(e, p, before)
}

// begin fills in what the first bill has, and indexes it.
func (d *drafting) begin(p *Posting, e *entry) error {
	a := &p.Attempt
	if err := errors.Join(label("provider", a.Provider, true), label("model", a.Model, true), a.check()); err != nil {
		return err
	}
	e.Attempt = &attemptBody{
		AskedModel: a.AskedModel, RequestID: a.RequestID, ResponseID: a.ResponseID,
		Endpoint: a.Endpoint, Streamed: a.Streamed, ServiceTier: a.ServiceTier,
		Principal: a.Principal, Tags: a.Tags, At: millis(a.At), Ended: millis(a.Ended),
	}
	if a.RequestID != "" {
		d.keys = append(d.keys, keyValue{requestKey(a.Provider, a.RequestID, d.id), nil})
	}
	return nil
}

// reverse drafts the reversal of all that stands. It returns that, and the entry
// of the outcomes that stood, or nil.
func (d *drafting) reverse(txn *badger.Txn, p *Posting) (reversal, outcomes *entry, err error) {
	stands := d.record[len(d.record)-1]
	bill, err := readEntry(txn, stands.bill)
	if err != nil {
		return nil, nil, err
	}
	if err := sameAttempt(bill, &p.Attempt); err != nil {
		return nil, nil, err
	}
	r := &entry{Kind: kindReversal, Provider: bill.Provider, Model: bill.Model}
	if stands.outcomes != 0 {
		if p.Outcomes == nil {
			return nil, nil, invalidf("revision %d of %s has a bill but no outcomes, of which there are some", p.Revision, d.id)
		}
		if outcomes, err = readEntry(txn, stands.outcomes); err != nil {
			return nil, nil, err
		}
		r.Reverses = append(r.Reverses, stands.outcomes)
		r.Lines, r.Memo = reversed(outcomes.Lines), reversed(outcomes.Memo)
	}
	r.Reverses = append(r.Reverses, stands.bill)
	r.Lines = append(r.Lines, reversed(bill.Lines)...)
	if err := d.add(r, &Posting{Attempt: p.Attempt, Revision: p.Revision - 1, Reason: p.Reason}, nil); err != nil {
		return nil, nil, err
	}
	return r, outcomes, nil
}

// complete compares a posting with what is there, and drafts the outcomes if
// those are missing.
func (d *drafting) complete(txn *badger.Txn, p *Posting) error {
	at := d.record[p.Revision]
	bill, err := readEntry(txn, at.bill)
	if err != nil {
		return err
	}
	if err := sameAttempt(bill, &p.Attempt); err != nil {
		return err
	}
	d.bill, d.broken = bill.bill(), bill.Broken
	if p.Bill != nil && !equalJSON(p.Bill, d.bill) {
		return ErrPosted
	}
	if p.Outcomes == nil {
		return nil
	}
	if at.outcomes != 0 {
		there, err := readEntry(txn, at.outcomes)
		if err == nil && !equalJSON(p.Outcomes, there.outcomes()) {
			err = ErrPosted
		}
		return err
	}
	if p.Revision != len(d.record)-1 {
		return ErrRevision // it was reversed before it had outcomes
	}
	return d.settle(bill, p, nil)
}

// settle drafts the outcomes of the bill.
func (d *drafting) settle(bill *entry, p *Posting, before *entry) error {
	o := p.Outcomes
	if err := balance(d.id, d.bill, o); err != nil {
		return err
	}
	return d.add(&entry{
		Kind: kindOutcomes, Provider: bill.Provider, Model: bill.Model,
		Outcomes: &outcomesBody{o.Input, o.InputCause, o.Uncertain, o.Breaks, o.Resumes, o.Labels},
		Lines:    outcomeLines(d.bill, o), Memo: memoLines(o), Evidence: p.Evidence, Broken: brokenBody(p.Broken),
	}, p, before)
}

// add puts an entry of the posting p into the operation.
func (d *drafting) add(e *entry, p *Posting, before *entry) error {
	e.Posted, e.Stream, e.Number = d.now, d.id.Stream, d.id.Number
	e.Revision, e.Reason = p.Revision, p.Reason
	return d.op.add(e, entryDeltas(e, d.bill, before))
}

// sameAttempt refuses a posting for another provider or model.
func sameAttempt(bill *entry, a *Attempt) error {
	if a.Provider != "" && a.Provider != bill.Provider || a.Model != "" && a.Model != bill.Model {
		return ErrPosted
	}
	return nil
}

// refused counts a posting that doesn't balance.
func (l *Ledger) refused(i *Imbalance) {
	l.imbalances.Add(1)
	l.imbalanceTokens.Add(max(i.Tokens, -i.Tokens))
	l.opts.Logger.Error("a posting doesn't balance and was refused",
		"attempt", i.Attempt.String(), "tokens", i.Tokens, "dollars", i.Amount.String())
}

// PostMiss posts a memo of a call that could have been a resume. There is one for
// each call: false if it was there. Errors as those of Post.
func (l *Ledger) PostMiss(m Miss) (posted bool, err error) {
	if m.Stream == (ID{}) || m.At.IsZero() {
		return false, invalidf("miss of stream %s at %v", m.Stream, m.At)
	}
	if err := errors.Join(label("provider", m.Provider, true), label("model", m.Model, true),
		label("reason", m.Reason, true), quantity("miss", 0, m.Amount)); err != nil {
		return false, err
	}
	key := missKey(m.Stream)
	return l.do(string(key), func() (*op, error) {
		there, err := l.lookUp(key)
		if err != nil {
			return nil, err
		}
		if there != nil {
			was := there.miss()
			m.At = fromMillis(millis(m.At))
			if was != m {
				return nil, ErrPosted
			}
			return nil, nil
		}
		if err := l.checkOpen(m.At); err != nil {
			return nil, err
		}
		e := &entry{
			Kind: kindMiss, Posted: time.Now().UnixMilli(), Stream: m.Stream, Provider: m.Provider, Model: m.Model,
			Miss: &missBody{m.Orphan, m.Reason, millis(m.At)},
			Memo: []amountOn{{Account: prefixMissed + m.Reason, Amount: int64(m.Amount)}},
		}
		return single(e, key)
	})
}

// PostUnexplained makes u.Amount what stands unexplained for u's provider, model,
// tier and day, and its parts what it is made of. It is false if that stood: nothing
// does where no bill was compared. Errors as those of Post.
func (l *Ledger) PostUnexplained(u Unexplained) (posted bool, err error) {
	day, err := u.check()
	if err != nil {
		return false, err
	}
	key := textKey(prefixUnexplained, u.Provider, u.Model, u.Tier, u.Day)
	return l.do(string(key), func() (*op, error) {
		there, err := l.lookUp(key)
		if err != nil {
			return nil, err
		}
		if there == nil {
			if err := l.checkOpen(day); err != nil {
				return nil, err
			}
		}
		body := u.body()
		difference := body.Amount
		if there != nil && there.Unexplained != nil {
			difference -= there.Unexplained.Amount
			if difference == 0 && maps.Equal(there.Unexplained.Parts, body.Parts) {
				return nil, nil
			}
		}
		e := &entry{
			Kind: kindUnexplained, Posted: time.Now().UnixMilli(), Provider: u.Provider, Model: u.Model, Unexplained: body,
			Lines: []amountOn{
				{Account: accountUnexplained, Amount: difference},
				{Account: accountProvider, Amount: -difference},
			},
		}
		return single(e, key)
	})
}

// check says what is wrong with it, else which day it is of.
func (u *Unexplained) check() (day time.Time, err error) {
	day, err = time.Parse(time.DateOnly, u.Day)
	if err != nil {
		return day, invalidf("day %.40q", u.Day)
	}
	err = errors.Join(label("provider", u.Provider, true), label("model", u.Model, false), label("tier", u.Tier, false))
	var sum pricing.Sum
	for name, amount := range u.Parts {
		err = errors.Join(err, label("part", name, true))
		sum = sum.Add(amount)
	}
	if err == nil && len(u.Parts) > 0 && sum != (pricing.Sum{}).Add(u.Amount) {
		err = invalidf("unexplained: %s dollars, in parts that come to %s", u.Amount, sum)
	}
	return day, errors.Join(err, u.addable())
}

// addable says if it can replace any other amount without an overflow.
func (u *Unexplained) addable() error {
	if u.Amount > math.MaxInt64/2 || u.Amount < -math.MaxInt64/2 {
		return invalidf("unexplained: %s dollars", u.Amount)
	}
	return nil
}

func (u *Unexplained) body() *unexplainedBody {
	b := &unexplainedBody{Tier: u.Tier, Day: u.Day, Amount: int64(u.Amount)}
	for name, amount := range u.Parts {
		if b.Parts == nil {
			b.Parts = map[string]int64{}
		}
		b.Parts[name] = int64(amount)
	}
	return b
}

// single is the operation that posts e, and whose number is to be found by key.
func single(e *entry, key []byte) (*op, error) {
	o := &op{index: func(first uint64) []keyValue { return []keyValue{{key, encodeSeq(first)}} }}
	return o, o.add(e, entryDeltas(e, nil, nil))
}
