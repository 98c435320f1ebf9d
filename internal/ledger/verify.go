package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/pricing"
)

// Report is what Verify found.
type Report struct {
	Head     Head // last entry
	Anchor   Head // what the anchor says; zero if it says nothing
	Entries  uint64
	Attempts uint64
	Pending  uint64 // attempts without outcomes
	Revised  uint64 // attempts with a revision beyond 0
	Damages  uint64

	Summarised uint64    // attempts of which only the sums of their months remain
	Closed     time.Time // what was accepted before can be among these; zero: there are none
}

// Verify reads the books again, as they are at one moment, and checks that entries
// are numbered without a gap, that each one's hash follows from it and from the one
// before, up to the anchored head; that every entry balances, and outcomes sum to
// their bill; that an attempt has one bill and one set of outcomes for each
// revision, and each revision reverses what stood; and that indexes, counters and
// balances are what follows from the entries.
//
// report (which may be nil) is called with each thing that is wrong. The error is
// ErrDamaged if there was one, else ctx's, ErrClosed, or nil.
func (l *Ledger) Verify(ctx context.Context, report func(Damage)) (Report, error) {
	v := newVerifier()
	v.report = report
	if err := l.enter(); err != nil {
		return v.r, err
	}
	defer l.leave()
	l.summarising.RLock()
	defer l.summarising.RUnlock()
	// The anchor first: what it names was committed before.
	anchored, noAnchor := l.anchored, l.noAnchor
	if !l.readOnly {
		anchored, _, noAnchor = readAnchor(l.dir)
	}
	v.r.Anchor = anchored
	err := l.db.View(func(txn *badger.Txn) error {
		v.txn = txn
		v.interrupted = func() error { return l.interrupted(ctx) }
		for _, step := range []func() error{v.begin, v.entries, v.attempts, v.indexes, v.tallies} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrDamaged):
		v.damage(Damage{What: err.Error()})
	case err != nil:
		return v.r, err
	}
	if noAnchor != nil {
		v.damage(Damage{What: noAnchor.Error()})
	}
	if v.r.Damages > 0 {
		return v.r, fmt.Errorf("%w in %d places", ErrDamaged, v.r.Damages)
	}
	return v.r, nil
}

// interrupted says why to end early, if there is a reason.
func (l *Ledger) interrupted(ctx context.Context) error {
	select {
	case <-l.closing:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// verifier is one run of Verify.
type verifier struct {
	txn         *badger.Txn
	base        base // where the chain begins that is there
	report      func(Damage)
	interrupted func() error
	r           Report

	id          AttemptID // of record
	record      record
	newest      uint64            // cut that was met
	left        bool              // not all that was summarised is gone yet
	recent      [4]numbered       // entries read, by number modulo 4
	totals      sums              // as they follow from the entries
	ofAttempts  uint64            // entries that records should name
	requests    uint64            // attempts with a request id
	misses      uint64            //
	unexplained map[string]uint64 // latest entry by key
	incidents   map[string]uint64 // likewise
	final       map[int]bool      // incidents
}

type numbered struct {
	seq uint64
	e   *entry
}

func newVerifier() *verifier {
	return &verifier{totals: sums{}, unexplained: map[string]uint64{}, incidents: map[string]uint64{}, final: map[int]bool{}}
}

func (v *verifier) damage(d Damage) {
	v.r.Damages++
	if v.report != nil {
		v.report(d)
	}
}

func (v *verifier) wrong(seq uint64, e *entry, format string, args ...any) {
	d := Damage{Seq: seq, What: fmt.Sprintf(format, args...)}
	if e != nil {
		d.Attempt = e.id()
	}
	v.damage(d)
}

// entries goes through the chain.
func (v *verifier) entries() error {
	s := scan{prefix: []byte{prefixEntry}, from: entryKey(v.base.Seq + 1), values: true}
	err := eachIn(v.txn, s, func(key, value []byte) error {
		if err := v.interrupted(); err != nil {
			return err
		}
		if len(key) != 9 {
			v.damage(Damage{What: fmt.Sprintf("key %x", key)})
			return nil
		}
		return v.link(binary.BigEndian.Uint64(key[1:]), value)
	})
	if err != nil {
		return err
	}
	if v.newest != v.base.cut {
		v.wrong(v.newest, nil, "is the newest cut, and another is in force: %d", v.base.cut)
	}
	if head, anchor := v.r.Head, v.r.Anchor; head.Seq < anchor.Seq {
		v.wrong(head.Seq+1, nil, "%d entries at the end are lost: the anchor is at entry %d", anchor.Seq-head.Seq, anchor.Seq)
	}
	return nil
}

// link checks an entry's place in the chain.
func (v *verifier) link(seq uint64, value []byte) error {
	hash, body, ok := cutEntry(value)
	prev := v.r.Head
	v.r.Entries++
	v.r.Head = Head{seq, hash}
	if !ok {
		v.wrong(seq, nil, "has %d bytes", len(value))
		return nil
	}
	e, err := decodeEntry(body)
	if err != nil {
		v.wrong(seq, nil, "%v", err)
	}
	switch {
	case seq != prev.Seq+1:
		v.wrong(prev.Seq+1, nil, "missing, as are all up to %d", seq-1)
	case chain(prev.Hash, seq, body) != hash:
		v.wrong(seq, e, "it, its hash or the hash before is not what it was")
	}
	if seq == v.r.Anchor.Seq && hash != v.r.Anchor.Hash {
		v.wrong(seq, e, "isn't the one that was anchored")
	}
	if e == nil {
		return nil
	}
	v.recent[seq%uint64(len(v.recent))] = numbered{seq, e}
	return v.content(seq, e)
}

// content checks what an entry says.
func (v *verifier) content(seq uint64, e *entry) error {
	if tokens, amount := imbalance(e.Lines); tokens != 0 || amount != 0 {
		v.wrong(seq, e, "doesn't balance: %d tokens, %s dollars", tokens, pricing.Picodollars(amount))
	}
	switch e.Kind {
	case kindBill, kindOutcomes, kindReversal:
		v.ofAttempts++
		return v.ofAttempt(seq, e)
	case kindMiss:
		v.misses++
		if err := v.expectKey(seq, e, missKey(e.Stream), encodeSeq(seq)); err != nil {
			return err
		}
	case kindUnexplained:
		u := e.unexplained()
		v.unexplained[string(textKey(prefixUnexplained, u.Provider, u.Model, u.Tier, u.Day))] = seq
	case kindSummary:
		return nil // those that count were read in the beginning
	case kindCut:
		v.newest = seq
		return nil
	case kindIncident:
		i := e.incident()
		if v.final[i.Number] {
			v.wrong(seq, e, "incident %d is changed after it was final", i.Number)
		}
		v.incidents[string(incidentKey(i.Number))], v.final[i.Number] = seq, !i.Final.IsZero()
	default:
		v.wrong(seq, e, "kind %q", e.Kind)
		return nil
	}
	v.totals.add(entryDeltas(e, nil, nil))
	return nil
}

// ofAttempt checks an entry of an attempt against the attempt's record, which has
// one place for each kind and revision, and against the entries that it follows from.
func (v *verifier) ofAttempt(seq uint64, e *entry) error {
	if v.record == nil || v.id != e.id() {
		r, err := readRecord(v.txn, e.id())
		if err != nil {
			return err
		}
		v.id, v.record = e.id(), r
	}
	if e.Revision < 0 || e.Revision >= len(v.record) {
		v.wrong(seq, e, "revision %d, of %d in the attempt's record", e.Revision, len(v.record))
		return nil
	}
	at := v.record[e.Revision]
	switch place := map[string]uint64{kindBill: at.bill, kindOutcomes: at.outcomes, kindReversal: at.reversal}[e.Kind]; place {
	case seq:
	case 0:
		v.wrong(seq, e, "the attempt's record has no %s for revision %d", e.Kind, e.Revision)
		return nil
	default:
		v.wrong(seq, e, "the attempt has another %s for revision %d: entry %d", e.Kind, e.Revision, place)
		return nil
	}
	switch e.Kind {
	case kindBill:
		return v.bill(seq, e)
	case kindOutcomes:
		return v.outcomes(seq, e, at)
	}
	return v.reversal(seq, e, at)
}

// at reads an entry that another one follows from; nil, and reported for seq, if
// it isn't there.
func (v *verifier) at(number, seq uint64, e *entry) *entry {
	if n := v.recent[number%uint64(len(v.recent))]; n.seq == number && n.e != nil {
		return n.e
	}
	found, err := readEntry(v.txn, number)
	if err != nil {
		v.wrong(seq, e, "follows from another: %v", err)
		return nil
	}
	return found
}

func (v *verifier) bill(seq uint64, e *entry) error {
	if !slices.Equal(e.Lines, billLines(e.bill())) {
		v.wrong(seq, e, "its lines are not those of a bill")
	}
	v.totals.add(entryDeltas(e, nil, nil))
	if e.Revision > 0 {
		return nil
	}
	v.r.Attempts++
	if e.Attempt == nil {
		v.wrong(seq, e, "doesn't say what the attempt was")
		return nil
	}
	if id := e.Attempt.RequestID; id != "" {
		v.requests++
		if err := v.expectKey(seq, e, requestKey(e.Provider, id, e.id()), nil); err != nil {
			return err
		}
	}
	return v.extract(seq, e)
}

func (v *verifier) outcomes(seq uint64, e *entry, at version) error {
	bill := v.at(at.bill, seq, e)
	if bill == nil {
		return nil
	}
	var before *entry
	if e.Revision > 0 && v.record[e.Revision-1].outcomes != 0 {
		if before = v.at(v.record[e.Revision-1].outcomes, seq, e); before == nil {
			return nil
		}
	}
	b, o := bill.bill(), e.outcomes()
	if err := balance(e.id(), b, o); err != nil {
		v.wrong(seq, e, "%v", err)
	}
	if !slices.Equal(e.Lines, outcomeLines(b, o)) {
		v.wrong(seq, e, "its lines are not those of outcomes of entry %d", at.bill)
	}
	v.totals.add(entryDeltas(e, b, before))
	return nil
}

func (v *verifier) reversal(seq uint64, e *entry, at version) error {
	want := &entry{}
	for _, number := range []uint64{at.outcomes, at.bill} {
		if number == 0 {
			continue
		}
		of := v.at(number, seq, e)
		if of == nil {
			return nil
		}
		want.Reverses = append(want.Reverses, number)
		want.Lines = append(want.Lines, reversed(of.Lines)...)
		want.Memo = append(want.Memo, reversed(of.Memo)...)
	}
	if !slices.Equal(e.Reverses, want.Reverses) || !slices.Equal(e.Lines, want.Lines) || !slices.Equal(e.Memo, want.Memo) {
		v.wrong(seq, e, "doesn't reverse entries %v", want.Reverses)
	}
	v.totals.add(entryDeltas(e, nil, nil))
	return nil
}

// expectKey checks a key by which an entry is found.
func (v *verifier) expectKey(seq uint64, e *entry, key, want []byte) error {
	got, err := get(v.txn, key)
	if err != nil {
		return err
	}
	if got == nil || !bytes.Equal(got, want) {
		v.wrong(seq, e, "can't be found by its key %x", key)
	}
	return nil
}
