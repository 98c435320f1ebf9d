package ledger

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A backup is a line of text, then blocks, each with its length u32, the CRC-32C of its
// content u32 (both big endian) and its content: first a backupHeader, as JSON, then
// the body of each entry in order, then a line of text. Indexes and totals are not in it:
// they follow from the entries.
const (
	backupBegin = "recoup ledger backup 1\n"
	backupEnd   = "recoup ledger backup end\n"
	maxBody     = 64 << 20 // bytes; no entry is near this
)

type backupHeader struct {
	Base Head  `json:"base"` // what the first entry follows on
	Head Head  `json:"head"`
	Made int64 `json:"made"` // unix ms
	// Bare is the last entry of an attempt that a program without extracts has posted;
	// 0: none has.
	Bare uint64 `json:"bare,omitempty"`
}

// Backup writes the books, as they are at one moment, and returns their head. Posting
// goes on meanwhile.
func (l *Ledger) Backup(ctx context.Context, w io.Writer) (head Head, err error) {
	if err := l.enter(); err != nil {
		return head, err
	}
	defer l.leave()
	out := bufio.NewWriterSize(w, 64<<10)
	err = l.db.View(func(txn *badger.Txn) error {
		b, err := readBase(txn)
		if err != nil {
			return err
		}
		if head, err = lastEntry(txn); err != nil {
			return err
		}
		bare, err := l.lastBare(ctx, txn)
		if err != nil {
			return err
		}
		header, err := json.Marshal(backupHeader{b.Head, head, time.Now().UnixMilli(), bare})
		if err == nil {
			_, err = out.WriteString(backupBegin)
		}
		if err == nil {
			err = writeBlock(out, header)
		}
		if err != nil {
			return err
		}
		return l.backupEntries(ctx, txn, b.Head, head, out)
	})
	if err == nil {
		_, err = out.WriteString(backupEnd)
	}
	return head, errors.Join(err, out.Flush())
}

// lastBare is the last entry of an attempt without an extract; 0: all have theirs. What
// such an entry lacks a report finds in its evidence, which an extract doesn't have.
func (l *Ledger) lastBare(ctx context.Context, txn *badger.Txn) (last uint64, err error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixAccepted}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := l.interrupted(ctx); err != nil {
			return 0, err
		}
		key := it.Item().Key()
		if it.Item().ValueSize() > 0 || len(key) != 1+8+16+2 {
			continue
		}
		r, err := readRecord(txn, cutAttempt(key))
		if err != nil {
			return 0, err
		}
		for _, v := range r {
			last = max(last, v.bill, v.outcomes, v.reversal)
		}
	}
	return last, nil
}

// backupEntries writes the entries behind a place in the chain, and checks that they
// are the chain: a backup of damaged books would be none.
func (l *Ledger) backupEntries(ctx context.Context, txn *badger.Txn, at, head Head, out *bufio.Writer) error {
	s := scan{prefix: []byte{prefixEntry}, from: entryKey(at.Seq + 1), values: true}
	err := eachIn(txn, s, func(key, value []byte) error {
		if err := l.interrupted(ctx); err != nil {
			return err
		}
		hash, body, ok := cutEntry(value)
		seq := decodeSeq(key[1:])
		if !ok || seq != at.Seq+1 || chain(at.Hash, seq, body) != hash {
			return damagedf("entry %d, or one before it, is not what it was", seq)
		}
		at = Head{seq, hash}
		return writeBlock(out, body)
	})
	if err == nil && at != head {
		err = damagedf("the chain ends at entry %d, not at %d", at.Seq, head.Seq)
	}
	return err
}

func writeBlock(w io.Writer, b []byte) error {
	header := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	header = binary.BigEndian.AppendUint32(header, crc32.Checksum(b, castagnoli))
	if _, err := w.Write(header); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// backupReader reads what Backup wrote.
type backupReader struct {
	r  *bufio.Reader
	at int64 // bytes that were read
}

func (b *backupReader) damaged(format string, args ...any) error {
	return damagedf("the backup, at byte %d: %s", b.at, fmt.Sprintf(format, args...))
}

func (b *backupReader) read(n int) ([]byte, error) {
	p := make([]byte, n)
	got, err := io.ReadFull(b.r, p)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		b.at += int64(got)
		return nil, b.damaged("it ends here")
	case err != nil:
		return nil, fmt.Errorf("ledger: read backup: %w", err)
	}
	return p, nil
}

func (b *backupReader) text(want string) error {
	p, err := b.read(len(want))
	if err != nil {
		return err
	}
	if string(p) != want {
		return b.damaged("%q is not %q", p, want)
	}
	b.at += int64(len(want))
	return nil
}

func (b *backupReader) block() ([]byte, error) {
	header, err := b.read(8)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(header)
	if n > maxBody {
		return nil, b.damaged("a block of %d bytes", n)
	}
	b.at += 8
	body, err := b.read(int(n))
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(header[4:]) {
		return nil, b.damaged("the block that begins here is not what was written")
	}
	b.at += int64(n)
	return body, nil
}

// readBackup calls fn with each entry of a backup, and checks that they are the chain
// that its header promises, and that nothing follows. start gets the header before.
func readBackup(r io.Reader, start func(backupHeader) error, fn func(Head, []byte) error) (head Head, err error) {
	b := &backupReader{r: bufio.NewReaderSize(r, 64<<10)}
	if err := b.text(backupBegin); err != nil {
		return head, err
	}
	first, err := b.block()
	if err != nil {
		return head, err
	}
	var h backupHeader
	if err := json.Unmarshal(first, &h); err != nil || h.Head.Seq < h.Base.Seq {
		return head, b.damaged("its header can't be read: %v", err)
	}
	if err := start(h); err != nil {
		return head, err
	}
	for at := h.Base; at != h.Head; {
		if at.Seq == h.Head.Seq {
			return head, b.damaged("entry %d has another hash than the head that was backed up", at.Seq)
		}
		body, err := b.block()
		if err != nil {
			return head, fmt.Errorf("%w: entry %d of %d", err, at.Seq+1, h.Head.Seq)
		}
		at = Head{at.Seq + 1, chain(at.Hash, at.Seq+1, body)}
		if err := fn(at, body); err != nil {
			return head, err
		}
	}
	if err := b.text(backupEnd); err != nil {
		return head, err
	}
	if _, err := b.r.ReadByte(); !errors.Is(err, io.EOF) {
		return head, b.damaged("something follows its end")
	}
	return h.Head, nil
}

// CheckBackup reads a backup to its end, and returns the head that it has. It is
// ErrDamaged, with the byte, if it is not whole.
func CheckBackup(r io.Reader) (Head, error) {
	return readBackup(r, func(backupHeader) error { return nil }, func(Head, []byte) error { return nil })
}
