package streamlog

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// lastBlockBefore returns the last block of id whose key is at most that of
// (index, rec); ok is false if there is none. If there is one that can't be
// read, ok is true and err ErrDamaged.
func (b *bucket) lastBlockBefore(id ID, index, rec uint64) (blk block, ok bool, err error) {
	err = b.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: append([]byte{prefixContent}, id[:]...)})
		defer it.Close()
		if it.Seek(contentKey(id, index, rec)); !it.Valid() {
			return nil
		}
		ok = true
		blk, err = readBlock(it.Item())
		return err
	})
	if err != nil {
		return block{}, ok, fmt.Errorf("streamlog: stream %s at event %d: %w", id, index, err)
	}
	return blk, ok, nil
}

// readBlock reads the block under a key of prefixContent.
func readBlock(item *badger.Item) (blk block, err error) {
	err = value(item, func(v []byte) (err error) {
		blk, err = openBlock(v)
		return err
	})
	if err != nil {
		return block{}, err
	}
	if index, rec := contentPlace(item); blk.from.index != index || blk.from.rec != rec {
		return block{}, fmt.Errorf("%w: block of event %d, record %d stands at event %d, record %d", ErrDamaged, blk.from.index, blk.from.rec, index, rec)
	}
	return blk, nil
}

// contentPlace returns what a key of prefixContent says.
func contentPlace(item *badger.Item) (index, rec uint64) {
	k := item.Key()[1+len(ID{}):]
	return binary.BigEndian.Uint64(k), binary.BigEndian.Uint64(k[8:])
}

// blocks reads consecutive blocks of id from the one that begins exactly at
// (index, rec), until fn returns false.
func (b *bucket) blocks(id ID, index, rec uint64, fn func(block) bool) error {
	err := b.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: append([]byte{prefixContent}, id[:]...)})
		defer it.Close()
		for it.Seek(contentKey(id, index, rec)); it.Valid(); it.Next() {
			blk, err := readBlock(it.Item())
			if err != nil {
				return err
			}
			if blk.from.rec != rec {
				return fmt.Errorf("%w: records %d to %d are missing", ErrDamaged, rec, blk.from.rec)
			}
			rec = blk.to.rec
			if !fn(blk) {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("streamlog: stream %s: %w", id, err)
	}
	return nil
}

// lastRecord returns the number of the record that the last block of id begins
// with, by its key alone.
func (b *bucket) lastRecord(id ID) (rec uint64, err error) {
	err = b.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Reverse: true, Prefix: append([]byte{prefixContent}, id[:]...)})
		defer it.Close()
		if it.Seek(contentKey(id, 1<<63, 1<<63)); it.Valid() {
			_, rec = contentPlace(it.Item())
		}
		return nil
	})
	return rec, err
}

// readable returns how far id's blocks can be read from the start, and what
// stands in the way.
func (b *bucket) readable(id ID) (p progress, err error) {
	err = b.blocks(id, 0, 0, func(blk block) bool {
		p = blk.to
		return true
	})
	return p, err
}
