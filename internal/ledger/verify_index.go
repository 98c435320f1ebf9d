package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// attempts goes through the records. Each entry of an attempt was found in its
// place, so the records name no others if they name as many.
func (v *verifier) attempts() error {
	var named uint64
	err := v.scan(scan{prefix: []byte{prefixAttempt}, values: true}, func(key, value []byte) {
		id := cutAttempt(key)
		r, err := decodeRecord(value)
		if err != nil {
			v.damage(Damage{Attempt: id, What: err.Error()})
			return
		}
		if v.gone(r[0].bill) {
			return
		}
		named += r.entries()
		last := r[len(r)-1]
		for n, at := range r {
			if at.bill == 0 || (at.reversal == 0) != (n == len(r)-1) {
				v.damage(Damage{Attempt: id, What: fmt.Sprintf("its record has no bill, or a wrong reversal, for revision %d", n)})
			}
		}
		if last.outcomes == 0 {
			v.r.Pending++
		}
		if len(r) > 1 {
			v.r.Revised++
		}
	})
	if err != nil {
		return err
	}
	v.expectCount("entries of attempts", v.ofAttempts, named)
	return nil
}

// indexes counts the keys by which entries are found. Each that should be there
// was found, so there are no others if there are as many.
func (v *verifier) indexes() error {
	for _, index := range []struct {
		what   string
		prefix byte
		want   uint64
	}{
		{"attempts by time", prefixAccepted, v.r.Attempts},
		{"attempts by request id", prefixRequest, v.requests},
		{"misses", prefixMiss, v.misses},
	} {
		var n uint64
		err := v.scan(scan{prefix: []byte{index.prefix}, values: v.left}, func(key, value []byte) {
			if !v.left || !v.goneBy(index.prefix, key, value) {
				n++
			}
		})
		if err != nil {
			return err
		}
		v.expectCount(index.what, index.want, n)
	}
	if err := v.standing("unexplained amounts", prefixUnexplained, v.unexplained); err != nil {
		return err
	}
	return v.standing("incidents", prefixIncident, v.incidents)
}

// gone: the entry was summarised, and only waits to be removed.
func (v *verifier) gone(seq uint64) bool { return seq != 0 && seq <= v.base.Seq }

// goneBy is gone of the entry that a key of an index leads to.
func (v *verifier) goneBy(prefix byte, key, value []byte) bool {
	if prefix == prefixMiss {
		return len(value) == 8 && v.gone(decodeSeq(value))
	}
	r, err := readRecord(v.txn, cutAttempt(key))
	return err == nil && len(r) > 0 && v.gone(r[0].bill)
}

func (v *verifier) expectCount(what string, entries, index uint64) {
	if entries != index {
		v.damage(Damage{What: fmt.Sprintf("%s: %d in the chain, %d in the index", what, entries, index)})
	}
}

// standing compares the index of what stands, of several entries about the same.
func (v *verifier) standing(what string, prefix byte, want map[string]uint64) error {
	stored := map[string]uint64{}
	err := v.scan(scan{prefix: []byte{prefix}, values: true}, func(key, value []byte) {
		if len(value) == 8 && !v.gone(decodeSeq(value)) {
			stored[string(key)] = binary.BigEndian.Uint64(value)
		}
	})
	if err != nil {
		return err
	}
	if !maps.Equal(stored, want) {
		v.damage(Damage{What: fmt.Sprintf("%s: the chain has %d, the index %d, or others", what, len(want), len(stored))})
	}
	return nil
}

// tallies compares counters and balances with what follows from the entries.
func (v *verifier) tallies() error {
	stored, err := storedTallies(v.txn)
	if errors.Is(err, ErrDamaged) {
		v.damage(Damage{What: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	keys := slices.Concat(stored.sorted(), v.totals.sorted())
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		is, there := stored[key]
		want, due := v.totals[key]
		if due && !there && is == want { // one that came to nothing is kept too
			v.damage(Damage{What: fmt.Sprintf("total %q is gone", strings.Split(key, "\x00"))})
		}
		if is != want {
			v.damage(Damage{What: fmt.Sprintf("total %q: %d and %s dollars are stored, the entries come to %d and %s dollars",
				strings.Split(key, "\x00"), is.count, is.amount, want.count, want.amount)})
		}
	}
	return nil
}

// scan calls fn with each key until Verify is interrupted.
func (v *verifier) scan(s scan, fn func(key, value []byte)) error {
	return eachIn(v.txn, s, func(key, value []byte) error {
		fn(key, value)
		return v.interrupted()
	})
}

// extract checks an attempt's key in the index by time, and that what stands there
// says what its entries say. One of a program that knew of no extracts says nothing.
func (v *verifier) extract(seq uint64, first *entry) error {
	key := acceptedKey(first.Attempt.At, first.id())
	got, err := get(v.txn, key)
	if err != nil {
		return err
	}
	if got == nil {
		v.wrong(seq, first, "can't be found by its key %x", key)
		return nil
	}
	if len(got) == 0 {
		return nil
	}
	row, err := readRow(v.txn, first.id(), first)
	if errors.Is(err, ErrDamaged) {
		return nil // what is missing is found where it should be
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(got, encodeExtract(&row)) {
		v.wrong(seq, first, "its extract, by key %x, is not what its entries say", key)
	}
	return nil
}
