package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// loadCut goes on with what an earlier process began to remove.
func (l *Ledger) loadCut() error {
	if err := l.readCut(); err != nil {
		return err
	}
	return l.removeCut(context.Background())
}

func (l *Ledger) readCut() error {
	return l.db.View(func(txn *badger.Txn) error {
		b, err := readBase(txn)
		l.closedBefore.Store(b.before)
		l.cutAt.Store(b.Seq)
		return err
	})
}

// removeCut removes what precedes the cut. It may be done again.
func (l *Ledger) removeCut(ctx context.Context) error {
	for more := true; more; {
		if err := l.interrupted(ctx); err != nil {
			return err
		}
		var err error
		if more, err = l.removeSome(); err != nil {
			return fmt.Errorf("ledger: remove what was summarised: %w", err)
		}
	}
	return nil
}

// removeSome removes a part. Nobody else posts meanwhile: an incident that is changed
// between the look at it and the removal would lose its change.
func (l *Ledger) removeSome() (more bool, err error) {
	l.posting.Lock()
	defer l.posting.Unlock()
	err = l.db.Update(func(txn *badger.Txn) (err error) {
		more, err = removeSome(txn)
		return err
	})
	return more, err
}

// removeSome removes the first of the entries before the cut, and what leads to them.
// It notes how far it came, so that nobody looks through all that is gone.
func removeSome(txn *badger.Txn) (more bool, err error) {
	const most = 500
	b, err := readBase(txn)
	if err != nil {
		return false, err
	}
	removed, err := readRemoved(txn)
	if err != nil || removed >= b.Seq {
		return false, err
	}
	var keys [][]byte
	s := scan{prefix: []byte{prefixEntry}, from: entryKey(removed + 1), values: true}
	removed = b.Seq
	err = eachIn(txn, s, func(key, value []byte) error {
		seq := decodeSeq(key[1:])
		if seq > b.Seq {
			return ErrStop
		}
		if len(keys) >= most {
			more, removed = true, seq-1
			return ErrStop
		}
		_, body, _ := cutEntry(value)
		e, err := decodeEntry(body)
		if err != nil {
			return err
		}
		keys = append(keys, slices.Clone(key))
		if e.Kind == kindIncident {
			if v, err := get(txn, leading(e)[0]); err != nil || len(v) != 8 || decodeSeq(v) > b.Seq {
				return err // it has changed since
			}
		}
		keys = append(keys, leading(e)...)
		return nil
	})
	if err != nil && !errors.Is(err, ErrStop) {
		return false, err
	}
	for _, key := range keys {
		if err := txn.Delete(key); err != nil {
			return false, err
		}
	}
	return more, txn.Set(metaRemoved, encodeSeq(removed))
}

// readRemoved is the last entry that was removed; 0: none was.
func readRemoved(txn *badger.Txn) (uint64, error) {
	v, err := get(txn, metaRemoved)
	if err != nil || v == nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, damagedf("number of the last entry that was removed: %x", v)
	}
	return decodeSeq(v), nil
}

// cutHalfway tells of attempts that were summarised, and only wait to be removed.
func cutHalfway(txn *badger.Txn) (gone func(AttemptID) bool, err error) {
	b, err := readBase(txn)
	if err != nil {
		return nil, err
	}
	removed, err := readRemoved(txn)
	if err != nil {
		return nil, err
	}
	return func(id AttemptID) bool {
		if removed >= b.Seq {
			return false
		}
		r, err := readRecord(txn, id)
		return err == nil && len(r) > 0 && r[0].bill <= b.Seq
	}, nil
}

// leading are the keys that lead to an entry.
func leading(e *entry) (keys [][]byte) {
	switch e.Kind {
	case kindBill:
		keys = append(keys, attemptKey(e.id()))
		if a := e.Attempt; a != nil {
			keys = append(keys, acceptedKey(a.At, e.id()))
			if a.RequestID != "" {
				keys = append(keys, requestKey(e.Provider, a.RequestID, e.id()))
			}
		}
	case kindMiss:
		keys = append(keys, missKey(e.Stream))
	case kindUnexplained:
		u := e.unexplained()
		keys = append(keys, textKey(prefixUnexplained, u.Provider, u.Model, u.Tier, u.Day))
	case kindIncident:
		keys = append(keys, incidentKey(e.incident().Number))
	}
	return keys
}
