package streamlog

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/dgraph-io/badger/v4"
)

var discarded = slog.New(slog.DiscardHandler)

// stream verifies one, and shows it.
func (v *verifier) stream(l *Log, b *bucket, id ID, journal *digest, open bool) error {
	v.Streams++
	wrong := func(p progress, format string, args ...any) {
		v.damage(Damage{Stream: id, Event: p.index, Offset: p.offset, What: fmt.Sprintf(format, args...)})
	}
	sum, err := b.summary(id)
	if errors.Is(err, ErrDamaged) {
		wrong(progress{}, "%v", err)
		return nil
	} else if err != nil {
		return err
	}
	var blocks digest
	var p progress
	err = b.blocks(id, 0, 0, func(blk block) bool {
		for _, r := range blk.records {
			blocks.add(r)
		}
		p = blk.to
		return true
	})
	switch {
	case errors.Is(err, ErrDamaged):
		wrong(p, "%v", err)
	case err != nil:
		return err
	default:
		for _, what := range sum.differences(p, open) {
			wrong(p, "%s", what)
		}
		switch {
		case journal == nil && blocks.records > 0:
			wrong(p, "the journal has none of its %d records", blocks.records)
		case journal != nil && !journal.short && *journal != blocks:
			wrong(p, "the journal has %d records of it, its blocks %d, and they are not the same", journal.records, blocks.records)
		}
	}
	v.Events += p.index
	v.Content += p.offset
	if open {
		v.Open++
	}
	owed, err := v.keys(b, id, sum, wrong)
	if err != nil {
		return err
	}
	return v.show(l, id, Settling{Open: open, Settled: !open && !owed})
}

// differences are what a summary says that its stream doesn't come to.
func (sum *summary) differences(p progress, open bool) (all []string) {
	if sum.End == nil {
		if !open {
			all = append(all, "it has lost its end")
		}
		return all
	}
	if open {
		all = append(all, "it has an end, and stands among those without")
	}
	is, want := p.summarize(summary{Header: sum.Header}), sum
	if is.Records < want.Records || is.Events != want.Events || is.Bytes != want.Bytes || is.Terminal != want.Terminal {
		all = append(all, fmt.Sprintf("%d events in %d bytes are there, %d in %d were written", is.Events, is.Bytes, want.Events, want.Bytes))
	}
	return all
}

// keys checks that a stream can be found by what it is looked for with.
func (v *verifier) keys(b *bucket, id ID, sum *summary, wrong func(progress, string, ...any)) (owed bool, err error) {
	h := &sum.Header
	want := map[string][]byte{"caller": principalKey(h.Principal, id)}
	if !h.Key.IsZero() {
		want["idempotency key"] = idempotencyKey(h.Principal, h.Key)
	}
	if !h.Fingerprint.IsZero() {
		want["fingerprint"] = callKey(h.Fingerprint)
	}
	if e := sum.End; e != nil && e.ResponseID != "" && len(e.ResponseID) <= maxResponseID {
		want["response id"] = responseKey(h.Principal, e.ResponseID)
	}
	err = b.view(func(txn *badger.Txn) error {
		for name, key := range want {
			item, err := txn.Get(key)
			if err == nil && item.ValueSize() > 0 {
				err = value(item, func(stored []byte) error {
					// To it, or to another with the same: of those that came at once any.
					if len(stored) != len(id) {
						return fmt.Errorf("%w: it leads to %x", ErrDamaged, stored)
					}
					if _, err := txn.Get(headKey(ID(stored))); err != nil {
						return fmt.Errorf("%w: it leads to %x: %w", ErrDamaged, stored, err)
					}
					return nil
				})
			}
			switch {
			case errors.Is(err, badger.ErrKeyNotFound):
				wrong(progress{}, "it can't be found by its %s", name)
			case errors.Is(err, ErrDamaged):
				wrong(progress{}, "its %s: %v", name, err)
			case err != nil:
				return err
			}
		}
		_, err := txn.Get(unsettledKey(id))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		owed = true
		return err
	})
	return owed, err
}

// show lets See have the stream, with what of it can be read.
func (v *verifier) show(l *Log, id ID, s Settling) (err error) {
	if v.opts.See == nil {
		return nil
	}
	// Nothing writes to this log, and nobody waits for what is in it: no handle is kept.
	if s.Stream = l.streams[id]; s.Stream == nil {
		s.Stream, err = l.load(l.buckets[0], id)
	}
	if errors.Is(err, ErrDamaged) || s.Stream == nil {
		return nil // and reported
	}
	if err != nil {
		return err
	}
	return v.opts.See(s)
}
