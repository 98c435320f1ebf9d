package streamlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

// ErrDamaged says that what was read back is not what was written.
var ErrDamaged = errors.New("streamlog: damaged")

const (
	frameVersion = 1
	frameHeader  = 1 + 1 + 1 + 4 + 4

	codecS2        = 0x01 // the payload is S2; otherwise as it is
	codecEncrypted = 0x80 // the database encrypts at rest; a fact to read back, the codec does nothing

	minCompress = 128       // below this S2 cannot win
	maxRaw      = 256 << 20 // no frame is near this; a larger length is damage
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends a frame to dst: version, codec, length of the payload,
// CRC, length of the preface, preface, payload. The payload is compressed where
// that helps; the preface is not, so that a payload need not be moved to have
// something in front of it.
func appendFrame(dst, preface, payload []byte, encrypted bool) []byte {
	start := len(dst)
	need := frameHeader + len(preface) + max(s2.MaxEncodedLen(len(payload)), 0)
	dst = slices.Grow(dst, need)
	frame := dst[start : start+need]
	codec := byte(0)
	body := frame[frameHeader+copy(frame[frameHeader:], preface):]
	if len(payload) >= minCompress {
		if enc := s2.Encode(body, payload); len(enc) < len(payload) {
			codec, body = codecS2, enc
		}
	}
	if codec == 0 {
		body = body[:copy(body, payload)]
	}
	if encrypted {
		codec |= codecEncrypted
	}
	frame = frame[:frameHeader+len(preface)+len(body)]
	frame[0], frame[1], frame[2] = frameVersion, codec, byte(len(preface))
	binary.BigEndian.PutUint32(frame[3:], uint32(len(payload)))
	binary.BigEndian.PutUint32(frame[7:], frameSum(frame))
	return dst[:start+len(frame)]
}

// frameSum is the CRC of all of a frame but the place where it stands.
func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:7], castagnoli), castagnoli, frame[frameHeader:])
}

// openFrame returns a frame's preface and payload, the latter in memory of its
// own.
func openFrame(frame []byte) (preface, payload []byte, err error) {
	if len(frame) < frameHeader || len(frame) < frameHeader+int(frame[2]) {
		return nil, nil, fmt.Errorf("%w: frame of %d bytes", ErrDamaged, len(frame))
	}
	if frame[0] != frameVersion {
		return nil, nil, fmt.Errorf("%w: frame version %d", ErrDamaged, frame[0])
	}
	raw, sum := binary.BigEndian.Uint32(frame[3:]), binary.BigEndian.Uint32(frame[7:])
	if frameSum(frame) != sum {
		return nil, nil, fmt.Errorf("%w: checksum", ErrDamaged)
	}
	if raw > maxRaw {
		return nil, nil, fmt.Errorf("%w: frame says %d bytes", ErrDamaged, raw)
	}
	preface, body := frame[frameHeader:frameHeader+int(frame[2])], frame[frameHeader+int(frame[2]):]
	if frame[1]&codecS2 == 0 {
		if int(raw) != len(body) {
			return nil, nil, fmt.Errorf("%w: frame says %d bytes, holds %d", ErrDamaged, raw, len(body))
		}
		return preface, slices.Clone(body), nil
	}
	switch n, err := s2.DecodedLen(body); {
	case err != nil:
		return nil, nil, fmt.Errorf("%w: compressed frame: %w", ErrDamaged, err)
	case n != int(raw):
		return nil, nil, fmt.Errorf("%w: frame says %d bytes, holds %d compressed", ErrDamaged, raw, n)
	}
	if payload, err = s2.Decode(nil, body); err != nil {
		return nil, nil, fmt.Errorf("%w: compressed frame: %w", ErrDamaged, err)
	}
	return preface, payload, nil
}

func appendRecord(dst []byte, r record) []byte {
	dst = append(dst, byte(r.kind))
	dst = binary.AppendUvarint(dst, uint64(r.at))
	dst = binary.AppendUvarint(dst, uint64(len(r.body)))
	return append(dst, r.body...)
}

// cursor reads a payload's fields one after the other; the first field that
// is not there sets err, and all later ones are zero.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: payload ends in %s", ErrDamaged, what)
	}
	c.b = nil
}

func (c *cursor) uvarint(what string) uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail(what)
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n uint64, what string) []byte {
	if n > uint64(len(c.b)) {
		c.fail(what)
		return nil
	}
	p := c.b[:n:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) record() record {
	k := c.bytes(1, "kind")
	r := record{at: uint32(c.uvarint("time"))}
	r.body = c.bytes(c.uvarint("length"), "body")
	if c.err == nil {
		r.kind = kind(k[0])
	}
	return r
}

// progress is how far a stream's log has come: what stands after its last
// record.
type progress struct {
	rec      uint64 // number of the next record
	index    uint64 // of the next event
	offset   uint64 // of the next event's first byte in the body
	terminal uint64 // 1 + index of the terminal event; 0: it has not come
	first    uint32 // ms since accept of the first event
	last     uint32 // ms since accept of the last event
	open     bool   // the last event goes on in the next event record
}

// after returns the progress once r is written.
func (p progress) after(r record) progress {
	p.rec++
	if !r.is(kindEvent) {
		return p
	}
	if p.offset == 0 {
		p.first = r.at
	}
	p.last = r.at
	p.offset += uint64(len(r.body))
	if r.kind&flagTerm != 0 && p.terminal == 0 {
		p.terminal = p.index + 1
	}
	if p.open = r.kind&flagMore != 0; !p.open {
		p.index++
	}
	return p
}

func (p progress) append(dst []byte) []byte {
	open := uint64(0)
	if p.open {
		open = 1
	}
	for _, v := range [...]uint64{p.rec, p.index, p.offset, p.terminal, uint64(p.first), uint64(p.last), open} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func (c *cursor) progress() progress {
	return progress{
		rec: c.uvarint("record number"), index: c.uvarint("event index"), offset: c.uvarint("byte offset"),
		terminal: c.uvarint("terminal"), first: uint32(c.uvarint("first time")), last: uint32(c.uvarint("last time")),
		open: c.uvarint("open event") == 1,
	}
}

// block is consecutive records of one stream, with the progress before and
// after them: enough to check that nothing is missing between two blocks.
type block struct {
	from, to progress
	records  []record
}

// appendBlock appends the frame of a block, whose encoded records are payload.
func appendBlock(dst []byte, from, to progress, payload []byte, encrypted bool) []byte {
	var preface [2 * 7 * binary.MaxVarintLen64]byte
	return appendFrame(dst, to.append(from.append(preface[:0])), payload, encrypted)
}

func openBlock(frame []byte) (block, error) {
	preface, payload, err := openFrame(frame)
	if err != nil {
		return block{}, err
	}
	c := cursor{b: preface}
	b := block{from: c.progress(), to: c.progress()}
	if c.err != nil {
		return block{}, c.err
	}
	c.b = payload
	if n := b.to.rec - b.from.rec; n <= uint64(len(payload)) { // what is said is not yet believed
		b.records = make([]record, 0, n)
	}
	p := b.from
	for c.err == nil && len(c.b) > 0 {
		r := c.record()
		b.records = append(b.records, r)
		p = p.after(r)
	}
	if c.err != nil {
		return block{}, c.err
	}
	if p != b.to {
		return block{}, fmt.Errorf("%w: block ends at record %d, event %d instead of %d, %d", ErrDamaged, p.rec, p.index, b.to.rec, b.to.index)
	}
	return b, nil
}
