package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// get returns a copy of the value of a key; nil if the key isn't there.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err == nil {
		var v []byte
		if v, err = item.ValueCopy(nil); err == nil {
			return append([]byte{}, v...), nil
		}
	}
	return nil, damagedf("read key %x: %v", key, err)
}

// cutEntry takes a stored entry apart.
func cutEntry(v []byte) (h Hash, body []byte, ok bool) {
	if len(v) < len(h) {
		return h, nil, false
	}
	return Hash(v[:len(h)]), v[len(h):], true
}

// readEntry reads an entry of which the number stands somewhere: it must be there.
func readEntry(txn *badger.Txn, seq uint64) (*entry, error) {
	v, err := get(txn, entryKey(seq))
	if err != nil {
		return nil, err
	}
	_, body, ok := cutEntry(v)
	if !ok {
		return nil, damagedf("entry %d is missing", seq)
	}
	e, err := decodeEntry(body)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", seq, err)
	}
	return e, nil
}

// readRecord reads what the books have of an attempt; nil if nothing.
func readRecord(txn *badger.Txn, id AttemptID) (record, error) {
	v, err := get(txn, attemptKey(id))
	if err != nil || v == nil {
		return nil, err
	}
	return decodeRecord(v)
}

// lookUp reads the entry of which the number stands under key; nil if none, or if it only
// waits to be removed.
func (l *Ledger) lookUp(key []byte) (e *entry, err error) {
	err = l.db.View(func(txn *badger.Txn) error {
		v, err := get(txn, key)
		if err != nil || v == nil {
			return err
		}
		e, err = numberedEntry(txn, key, v, l.cutAt.Load())
		return err
	})
	return e, err
}

// readRow reads an attempt; ErrNotFound. first is its first bill, if that was read.
func readRow(txn *badger.Txn, id AttemptID, first *entry) (row Row, err error) {
	r, err := readRecord(txn, id)
	if err != nil {
		return row, err
	}
	if r == nil {
		return row, fmt.Errorf("%w: attempt %s", ErrNotFound, id)
	}
	row.Seq = r[0].bill
	for n, v := range r {
		bill := first
		if n > 0 || bill == nil {
			if bill, err = readEntry(txn, v.bill); err != nil {
				return row, err
			}
		}
		if n == 0 {
			row.Attempt = bill.attempt()
		}
		rev := Revision{Number: n, Reason: bill.Reason, Posted: fromMillis(bill.Posted), Bill: *bill.bill(), Evidence: bill.Evidence, Broken: breaks(bill.Broken)}
		if v.outcomes != 0 {
			o, err := readEntry(txn, v.outcomes)
			if err != nil {
				return row, err
			}
			rev.Posted, rev.Outcomes = fromMillis(o.Posted), o.outcomes()
			if o.Evidence != nil {
				rev.Evidence = o.Evidence
			}
			if o.Broken != nil {
				rev.Broken = breaks(o.Broken)
			}
		}
		if n == len(r)-1 {
			row.Current = rev
		} else {
			row.Earlier = append(row.Earlier, rev)
		}
	}
	return row, nil
}

// Get returns an attempt; ErrNotFound if nothing was posted for it.
func (l *Ledger) Get(stream ID, number int) (row Row, err error) {
	if number < 0 || number > 0xffff {
		return row, fmt.Errorf("%w: attempt %s/%d", ErrNotFound, stream, number)
	}
	if err := l.enter(); err != nil {
		return row, err
	}
	defer l.leave()
	err = l.db.View(func(txn *badger.Txn) error {
		row, err = readRow(txn, AttemptID{stream, number}, nil)
		return err
	})
	return row, err
}

// Of returns a stream's attempts in the order of their numbers; none if nothing was
// posted for it.
func (l *Ledger) Of(stream ID) ([]Row, error) {
	return l.collect(append([]byte{prefixAttempt}, stream[:]...))
}

// ByRequestID returns the attempts that have this request id of the provider.
func (l *Ledger) ByRequestID(provider, requestID string) ([]Row, error) {
	if label("", provider, true) != nil || label("", requestID, true) != nil {
		return nil, nil // none has
	}
	return l.collect(textKey(prefixRequest, provider, requestID))
}

// collect reads the attempts that keys with this prefix name at their end.
func (l *Ledger) collect(prefix []byte) (rows []Row, err error) {
	err = l.each(context.Background(), scan{prefix: prefix}, func(txn *badger.Txn, key, _ []byte) error {
		if len(prefix)+2 > len(key) {
			return damagedf("key %x", key)
		}
		row, err := readRow(txn, cutAttempt(key), nil)
		rows = append(rows, row)
		return err
	})
	return rows, err
}

// Attempts calls fn with all attempts as they stand, in the order in which their
// first bills were posted, of which those after the entry with this number
// (Row.Seq). Figures are of one moment. fn's error ends it and is returned, but for
// ErrStop. Other errors: ctx's, ErrDamaged, ErrClosed.
func (l *Ledger) Attempts(ctx context.Context, after uint64, fn func(Row) error) error {
	first := []byte(`{"k":"` + kindBill + `"`)
	s := scan{prefix: []byte{prefixEntry}, from: entryKey(max(after, l.cutAt.Load()) + 1), values: true}
	var gone summarised
	return l.each(ctx, s, func(txn *badger.Txn, key, value []byte) error {
		_, body, ok := cutEntry(value)
		if !ok {
			return damagedf("entry %x has %d bytes", key, len(value))
		}
		if !bytes.HasPrefix(body, first) {
			return nil
		}
		if is, err := gone.has(txn, decodeSeq(key[1:])); is || err != nil {
			return err
		}
		e, err := decodeEntry(body)
		if err != nil {
			return err
		}
		if e.Revision > 0 {
			return nil
		}
		row, err := readRow(txn, e.id(), e)
		if err != nil {
			return err
		}
		return fn(row)
	})
}

// Between is like Attempts, for those accepted in [from, to), in the order of that.
func (l *Ledger) Between(ctx context.Context, from, to time.Time, fn func(Row) error) error {
	end := timeKey(to)
	s := scan{prefix: []byte{prefixAccepted}, from: timeKey(from)}
	var gone summarised
	return l.each(ctx, s, func(txn *badger.Txn, key, _ []byte) error {
		if bytes.Compare(key, end) >= 0 {
			return ErrStop
		}
		row, err := readRow(txn, cutAttempt(key), nil)
		if err != nil {
			return err
		}
		if is, err := gone.has(txn, row.Seq); is || err != nil {
			return err
		}
		return fn(row)
	})
}

// Misses calls fn with all misses, in the order of their streams' ids. Errors as
// those of Attempts.
func (l *Ledger) Misses(ctx context.Context, fn func(Miss) error) error {
	return l.numbered(ctx, prefixMiss, func(e *entry) error { return fn(e.miss()) })
}

// Unexplained calls fn with what stands unexplained. Errors as those of Attempts.
func (l *Ledger) Unexplained(ctx context.Context, fn func(Unexplained) error) error {
	return l.numbered(ctx, prefixUnexplained, func(e *entry) error { return fn(e.unexplained()) })
}

// numbered calls fn with each entry whose number stands under a key with this prefix.
func (l *Ledger) numbered(ctx context.Context, prefix byte, fn func(*entry) error) error {
	var gone summarised
	return l.each(ctx, scan{prefix: []byte{prefix}, values: true}, func(txn *badger.Txn, key, value []byte) error {
		cut, err := gone.upTo(txn)
		if err != nil {
			return err
		}
		e, err := numberedEntry(txn, key, value, cut)
		if e == nil || err != nil {
			return err
		}
		return fn(e)
	})
}

// numberedEntry reads the entry of which the number is value, which stands under key; nil
// if it is none after the cut, and only waits to be removed.
func numberedEntry(txn *badger.Txn, key, value []byte, cut uint64) (*entry, error) {
	if len(value) != 8 {
		return nil, damagedf("number of an entry, by key %x: %x", key, value)
	}
	seq := decodeSeq(value)
	if seq <= cut {
		return nil, nil
	}
	return readEntry(txn, seq)
}

// summarised tells of entries that a transaction knows to be summarised, and that only
// wait to be removed. What is summarised meanwhile is there for it as it was.
type summarised struct {
	read bool
	cut  uint64
}

func (s *summarised) has(txn *badger.Txn, seq uint64) (bool, error) {
	cut, err := s.upTo(txn)
	return seq <= cut, err
}

func (s *summarised) upTo(txn *badger.Txn) (cut uint64, err error) {
	if !s.read {
		b, err := readBase(txn)
		if err != nil {
			return 0, err
		}
		s.read, s.cut = true, b.Seq
	}
	return s.cut, nil
}

// scan is which keys to go through.
type scan struct {
	prefix []byte
	from   []byte // the first; nil: that of the prefix
	values bool
}

// each calls fn with each key, in one transaction. key and value are valid until
// it returns.
func (l *Ledger) each(ctx context.Context, s scan, fn func(txn *badger.Txn, key, value []byte) error) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave()
	err := l.db.View(func(txn *badger.Txn) error {
		return eachIn(txn, s, func(key, value []byte) error {
			select {
			case <-l.closing:
				return ErrClosed
			case <-ctx.Done():
				return ctx.Err()
			default:
			}
			return fn(txn, key, value)
		})
	})
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

func eachIn(txn *badger.Txn, s scan, fn func(key, value []byte) error) error {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = s.prefix, s.values
	it := txn.NewIterator(o)
	defer it.Close()
	if s.from == nil {
		s.from = s.prefix
	}
	for it.Seek(s.from); it.ValidForPrefix(s.prefix); it.Next() {
		item := it.Item()
		var value []byte
		if s.values {
			v, err := item.ValueCopy(nil)
			if err != nil {
				return damagedf("read key %x: %v", item.Key(), err)
			}
			value = v
		}
		if err := fn(item.Key(), value); err != nil {
			return err
		}
	}
	return nil
}

// lastEntry returns the head of the books.
func lastEntry(txn *badger.Txn) (h Head, err error) {
	o := badger.DefaultIteratorOptions
	o.Reverse, o.PrefetchValues = true, false
	it := txn.NewIterator(o)
	defer it.Close()
	it.Seek([]byte{prefixEntry + 1})
	if !it.ValidForPrefix([]byte{prefixEntry}) {
		return h, nil
	}
	key := it.Item().KeyCopy(nil)
	if len(key) != 9 {
		return h, damagedf("key %x", key)
	}
	v, err := get(txn, key)
	if err != nil {
		return h, err
	}
	hash, _, ok := cutEntry(v)
	if !ok {
		return h, damagedf("entry %d has %d bytes", binary.BigEndian.Uint64(key[1:]), len(v))
	}
	return Head{binary.BigEndian.Uint64(key[1:]), hash}, nil
}

// storedTallies reads the tallies.
func storedTallies(txn *badger.Txn) (sums, error) {
	stored := sums{}
	for _, prefix := range []byte{prefixCounter, prefixBalance} {
		err := eachIn(txn, scan{prefix: []byte{prefix}, values: true}, func(key, value []byte) error {
			t, err := decodeTally(value)
			if err != nil {
				return err
			}
			if !validTallyKey(string(key)) {
				return damagedf("key of a tally: %q; a later version of this program may have written it", key)
			}
			stored[string(key)] = t
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return stored, nil
}
