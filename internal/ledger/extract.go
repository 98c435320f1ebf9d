package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// An extract is what a report needs of an attempt as it stands: it is kept in the
// index by time, so that sums over many attempts needn't read their entries. It
// follows from those, and Verify compares it with them. Attempts that a program
// without extracts has posted have none until they are revised.

// extractVersion is the first byte of an extract.
const extractVersion = 1

func (b *Bounds) body() *boundsBody {
	if b == nil {
		return nil
	}
	four := func(i Interval) [4]int64 { return [4]int64{i.Low, i.High, int64(i.From), int64(i.To)} }
	return &boundsBody{four(b.Input), four(b.Output)}
}

func (b *boundsBody) bounds() *Bounds {
	if b == nil {
		return nil
	}
	interval := func(n [4]int64) Interval {
		return Interval{n[0], n[1], pricing.Picodollars(n[2]), pricing.Picodollars(n[3])}
	}
	return &Bounds{interval(b.Input), interval(b.Output)}
}

func brokenBody(all []Break) (body []brokenAt) {
	for _, b := range all {
		body = append(body, brokenAt{millis(b.At), b.Cause})
	}
	return body
}

func breaks(body []brokenAt) (all []Break) {
	for _, b := range body {
		all = append(all, Break{fromMillis(b.At), b.Cause})
	}
	return all
}

// extract drafts the attempt's key in the index by time, as it stands after p.
func (d *drafting) extract(txn *badger.Txn, p *Posting) (err error) {
	if d.first == nil {
		if d.first, err = readEntry(txn, d.record[0].bill); err != nil {
			return err
		}
	}
	row := Row{Attempt: d.first.attempt(), Current: Revision{
		Number: p.Revision, Reason: p.Reason, Posted: fromMillis(d.now), Bill: *d.bill, Outcomes: p.Outcomes, Broken: breaks(d.broken),
	}}
	if p.Broken != nil {
		row.Current.Broken = breaks(brokenBody(p.Broken))
	}
	d.keys = append(d.keys, keyValue{acceptedKey(millis(row.At), d.id), encodeExtract(&row)})
	return nil
}

// Extracts is like Between for what a report needs: rows have neither evidence nor
// earlier revisions, nor of the attempt its ids at the provider, its endpoint and the
// name of the model that was asked for. Those posted by a program that knew of no
// extracts are whole. A row is valid until fn returns. to may be zero: up to the
// last. It returns the head of the books as they are read.
func (l *Ledger) Extracts(ctx context.Context, from, to time.Time, fn func(*Row) error) (head Head, err error) {
	if err := l.enter(); err != nil {
		return head, err
	}
	defer l.leave()
	end := []byte{prefixAccepted + 1}
	if !to.IsZero() {
		end = timeKey(to)
	}
	err = l.db.View(func(txn *badger.Txn) error {
		if head, err = lastEntry(txn); err != nil {
			return err
		}
		gone, err := cutHalfway(txn)
		if err != nil {
			return err
		}
		o := badger.DefaultIteratorOptions
		o.Prefix, o.PrefetchValues = []byte{prefixAccepted}, false
		it := txn.NewIterator(o)
		defer it.Close()
		x := extractor{txn: txn, texts: map[string]string{}, tags: map[string]map[string]string{}}
		for it.Seek(timeKey(from)); it.Valid(); it.Next() {
			item := it.Item()
			if bytes.Compare(item.Key(), end) >= 0 {
				return nil
			}
			if err := l.interrupted(ctx); err != nil {
				return err
			}
			row, err := x.row(item)
			if err == nil && !gone(AttemptID{row.Stream, row.Number}) {
				err = fn(row)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrStop) {
		err = nil
	}
	return head, err
}

// Accepted returns when the first and the last attempt was accepted; zero times where
// there is none.
func (l *Ledger) Accepted() (first, last time.Time, err error) {
	if err := l.enter(); err != nil {
		return first, last, err
	}
	defer l.leave()
	return first, last, l.db.View(func(txn *badger.Txn) error {
		at := func(reverse bool, seek []byte) time.Time {
			it := txn.NewIterator(badger.IteratorOptions{Reverse: reverse})
			defer it.Close()
			it.Seek(seek)
			if !it.ValidForPrefix([]byte{prefixAccepted}) || len(it.Item().Key()) < 9 {
				return time.Time{}
			}
			return fromMillis(int64(binary.BigEndian.Uint64(it.Item().Key()[1:])))
		}
		first, last = at(false, []byte{prefixAccepted}), at(true, []byte{prefixAccepted + 1})
		return nil
	})
}

// extractor reads extracts into one row.
type extractor struct {
	txn      *badger.Txn
	r        Row
	outcomes Outcomes
	bounds   Bounds
	texts    map[string]string // the few that come again and again
	tags     map[string]map[string]string
	in       []byte
	bad      bool
}

// maxKept bounds what an extractor remembers.
const maxKept = 4096

func (x *extractor) row(item *badger.Item) (*Row, error) {
	key := item.Key()
	if len(key) != 1+8+16+2 {
		return nil, damagedf("key %x", key)
	}
	id := cutAttempt(key)
	old := false
	err := item.Value(func(v []byte) error {
		if old = len(v) == 0; old {
			return nil
		}
		return x.decode(int64(binary.BigEndian.Uint64(key[1:])), id, v)
	})
	if err != nil || !old {
		return &x.r, err
	}
	row, err := readRow(x.txn, id, nil)
	return &row, err
}

// encodeExtract puts a row into an extract. The time and the name of the attempt
// stand in the key.
func encodeExtract(r *Row) []byte {
	b := append(make([]byte, 0, 256), extractVersion)
	num := func(all ...int64) {
		for _, n := range all {
			b = binary.AppendVarint(b, n)
		}
	}
	text := func(all ...string) {
		for _, s := range all {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	word := func(all ...string) {
		for _, s := range all {
			n := wordNumbers[s]
			if b = append(b, n); n == 0 {
				text(s)
			}
		}
	}
	text(r.Provider, r.Model, string(appendTags(nil, r.Tags)))
	b = append(b, r.Principal[:]...)
	c, bill := &r.Current, &r.Current.Bill
	num(millis(r.Ended), int64(c.Number), millis(c.Posted))
	text(bill.PriceVersion)
	word(c.Reason, bill.Unpriced, string(bill.InputBasis), string(bill.OutputBasis))
	num(int64(len(bill.Input)))
	for _, l := range bill.all() {
		word(string(l.Kind))
		num(l.Tokens, int64(l.Amount), int64(l.Variance))
	}
	num(bill.Hidden, bill.Low, bill.High)
	if bill.Bounds == nil {
		num(0)
	} else {
		body := bill.Bounds.body()
		num(append(append([]int64{1}, body.Input[:]...), body.Output[:]...)...)
	}
	num(int64(len(c.Broken)))
	for _, k := range c.Broken {
		num(millis(k.At))
		word(k.Cause)
	}
	if c.Outcomes == nil {
		num(0)
		return b
	}
	o := c.Outcomes
	num(1, int64(len(o.Output)))
	for _, x := range o.Output {
		word(x.Outcome, x.Cause)
		num(x.Tokens, int64(x.Amount))
	}
	word(o.Input, o.InputCause)
	for _, s := range []Saving{o.Saved, o.Upper} {
		num(s.InputTokens, s.OutputTokens, int64(s.Input), int64(s.Output))
	}
	num(int64(len(o.Overhead)))
	for _, h := range o.Overhead {
		word(h.Kind)
		num(h.Tokens, int64(h.Amount))
	}
	num(o.Uncertain, o.Resumes)
	return b
}

func (x *extractor) decode(at int64, id AttemptID, v []byte) error {
	if v[0] != extractVersion {
		return damagedf("extract of attempt %s of version %d; a later version of this program may have written it", id, v[0])
	}
	x.in, x.bad = v[1:], false
	r := &x.r
	*r = Row{Current: Revision{Bill: Bill{Input: r.Current.Bill.Input[:0]}, Broken: r.Current.Broken[:0]}}
	r.Stream, r.Number, r.At = id.Stream, id.Number, fromMillis(at)
	r.Provider, r.Model, r.Tags = x.text(), x.text(), x.tagsOf()
	copy(r.Principal[:], x.bytes(uint64(len(r.Principal))))
	c, bill := &r.Current, &r.Current.Bill
	r.Ended, c.Number, c.Posted = fromMillis(x.num()), int(x.num()), fromMillis(x.num())
	bill.PriceVersion, c.Reason, bill.Unpriced = x.text(), x.word(), x.word()
	bill.InputBasis, bill.OutputBasis = token.Basis(x.word()), token.Basis(x.word())
	for n := x.num(); n > 0 && !x.bad; n-- {
		bill.Input = append(bill.Input, x.line())
	}
	bill.Output = x.line()
	bill.Hidden, bill.Low, bill.High = x.num(), x.num(), x.num()
	if x.num() == 1 {
		x.bounds = Bounds{x.interval(), x.interval()}
		bill.Bounds = &x.bounds
	}
	for n := x.num(); n > 0 && !x.bad; n-- {
		c.Broken = append(c.Broken, Break{fromMillis(x.num()), x.word()})
	}
	if x.num() == 1 {
		c.Outcomes = x.outcome()
	}
	if x.bad || len(x.in) > 0 {
		return damagedf("extract of attempt %s", id)
	}
	return nil
}

func (x *extractor) outcome() *Outcomes {
	o := &x.outcomes
	*o = Outcomes{Output: o.Output[:0], Overhead: o.Overhead[:0]}
	for n := x.num(); n > 0 && !x.bad; n-- {
		o.Output = append(o.Output, Outcome{x.word(), x.word(), x.num(), pricing.Picodollars(x.num())})
	}
	o.Input, o.InputCause = x.word(), x.word()
	for _, s := range []*Saving{&o.Saved, &o.Upper} {
		s.InputTokens, s.OutputTokens = x.num(), x.num()
		s.Input, s.Output = pricing.Picodollars(x.num()), pricing.Picodollars(x.num())
	}
	for n := x.num(); n > 0 && !x.bad; n-- {
		o.Overhead = append(o.Overhead, Overhead{x.word(), x.num(), pricing.Picodollars(x.num())})
	}
	o.Uncertain, o.Resumes = x.num(), x.num()
	return o
}

func (x *extractor) line() Line {
	return Line{token.Kind(x.word()), x.num(), pricing.Picodollars(x.num()), pricing.Picodollars(x.num())}
}

func (x *extractor) interval() Interval {
	return Interval{x.num(), x.num(), pricing.Picodollars(x.num()), pricing.Picodollars(x.num())}
}

func (x *extractor) num() int64 {
	if len(x.in) > 0 && x.in[0] < 0x80 { // most are small
		n := int64(x.in[0]>>1) ^ -int64(x.in[0]&1)
		x.in = x.in[1:]
		return n
	}
	n, k := binary.Varint(x.in)
	if k <= 0 {
		x.bad, x.in = true, nil
		return 0
	}
	x.in = x.in[k:]
	return n
}

// bytes are valid as long as the extract is.
func (x *extractor) bytes(n uint64) []byte {
	if n > uint64(len(x.in)) {
		x.bad, x.in = true, nil
		return nil
	}
	b := x.in[:n]
	x.in = x.in[n:]
	return b
}

func (x *extractor) sized() []byte {
	n, k := binary.Uvarint(x.in)
	if k <= 0 {
		x.bad, x.in = true, nil
		return nil
	}
	x.in = x.in[k:]
	return x.bytes(n)
}

// word is one of words, by its number, or another after a 0.
func (x *extractor) word() string {
	if len(x.in) == 0 || int(x.in[0]) >= len(words) {
		x.bad, x.in = true, nil
		return ""
	}
	n := x.in[0]
	if x.in = x.in[1:]; n == 0 {
		return x.text()
	}
	return words[n]
}

func (x *extractor) text() string {
	b := x.sized()
	if len(b) == 0 {
		return ""
	}
	if s, ok := x.texts[string(b)]; ok {
		return s
	}
	if len(x.texts) >= maxKept {
		clear(x.texts)
	}
	s := string(b)
	x.texts[s] = s
	return s
}

func (x *extractor) tagsOf() map[string]string {
	b := x.sized()
	if len(b) == 0 {
		return nil
	}
	if tags, ok := x.tags[string(b)]; ok {
		return tags
	}
	tags, ok := cutTags(b)
	if !ok {
		x.bad = true
		return nil
	}
	if len(x.tags) >= maxKept {
		clear(x.tags)
	}
	x.tags[string(b)] = tags
	return tags
}
