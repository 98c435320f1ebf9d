package ledger

import (
	"encoding/binary"

	"github.com/dgraph-io/badger/v4"
)

// checkChain verifies the chain after the entry from, up to the head.
func (l *Ledger) checkChain(from Head) error {
	return l.db.View(func(txn *badger.Txn) error {
		at := from
		s := scan{prefix: []byte{prefixEntry}, from: entryKey(from.Seq + 1), values: true}
		err := eachIn(txn, s, func(key, value []byte) error {
			hash, body, ok := cutEntry(value)
			if len(key) != 9 || !ok {
				return damagedf("key %x with %d bytes", key, len(value))
			}
			seq := binary.BigEndian.Uint64(key[1:])
			if seq != at.Seq+1 {
				return damagedf("entries %d to %d are missing", at.Seq+1, seq-1)
			}
			if chain(at.Hash, seq, body) != hash {
				return damagedf("entry %d, its hash or the hash before is not what it was", seq)
			}
			at = Head{seq, hash}
			return nil
		})
		if err == nil && at != l.head {
			err = damagedf("the chain ends at entry %d, not at %d", at.Seq, l.head.Seq)
		}
		return err
	})
}

// chainBegin is what the first entry follows on.
func (l *Ledger) chainBegin() (h Head, err error) {
	err = l.db.View(func(txn *badger.Txn) error {
		b, err := readBase(txn)
		h = b.Head
		return err
	})
	return h, err
}

// hashOf returns the stored hash of an entry.
func (l *Ledger) hashOf(seq uint64) (h Hash, err error) {
	err = l.db.View(func(txn *badger.Txn) error {
		v, err := get(txn, entryKey(seq))
		if err != nil {
			return err
		}
		var ok bool
		if h, _, ok = cutEntry(v); !ok {
			return damagedf("entry %d is missing", seq)
		}
		return nil
	})
	return h, err
}
