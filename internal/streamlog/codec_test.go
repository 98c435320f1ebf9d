package streamlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// example is the stream of the worked example in doc.go.
var example = struct {
	id      ID
	from    progress
	records []record
}{
	id:   ID{0x01, 0x98, 0xf0, 0x3a, 0x5c, 0x00, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0x2a},
	from: progress{rec: 3},
	records: []record{
		Mark{Kind: MarkAttach, Conn: 1, Explicit: true, Cause: "id"}.record(250),
		{kind: kindEvent | flagText, at: 300, body: []byte("data: 1\n\n")},
		Mark{Kind: MarkDelivered, Conn: 1, Index: 1}.record(301),
		{kind: kindEvent | flagTerm, at: 302, body: []byte("data: 2\n\n")},
	},
}

func TestWorkedExampleOfThePackageDoc(t *testing.T) {
	s := &Stream{header: Header{ID: example.id}, tail: startAt(example.from)}
	for _, r := range example.records {
		s.put(r)
	}
	o := &op{stream: s, data: s.data, from: example.from, to: s.next}
	l, b := &Log{}, &bucket{group: 1}
	journal := appendFrame(nil, nil, l.encode(nil, b, o), false)
	block := appendBlock(nil, example.from, s.next, s.data, false)

	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	// Of the lines of the example, the hexadecimal columns.
	inDoc := func(name string) string {
		_, rest, ok := strings.Cut(string(text), "// "+name+":\n//\n")
		if !ok {
			t.Fatalf("doc.go has no example %q", name)
		}
		var all strings.Builder
		for line := range strings.Lines(rest) {
			m := regexp.MustCompile(`^//\t([0-9a-f ]+?)(?:  .*)?\n$`).FindStringSubmatch(line)
			if m == nil {
				break
			}
			all.WriteString(strings.ReplaceAll(m[1], " ", ""))
		}
		return all.String()
	}
	if got, want := inDoc("The journal frame"), hex.EncodeToString(journal); got != want {
		t.Errorf("journal frame in doc.go:\n%s\nis:\n%s", got, want)
	}
	if got, want := inDoc("The block"), hex.EncodeToString(block); got != want {
		t.Errorf("block in doc.go:\n%s\nis:\n%s", got, want)
	}
}

func randomRecords(r *rand.Rand, n int) []record {
	kinds := []kind{kindEvent, kindEvent | flagMore, kindEvent | flagText, kindEvent | flagTerm, kindMark, kindHead, kindEnd}
	records := make([]record, n)
	for i := range records {
		body := make([]byte, r.IntN(200))
		for j := range body {
			body[j] = byte(r.IntN(4)) // compressible
		}
		records[i] = record{kind: kinds[r.IntN(len(kinds))], at: r.Uint32(), body: body}
	}
	return records
}

func TestBlockRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		from := progress{rec: r.Uint64N(1 << 40), index: r.Uint64N(1 << 40), offset: r.Uint64N(1 << 40), terminal: r.Uint64N(3), first: r.Uint32(), last: r.Uint32(), open: r.IntN(2) == 0}
		records, to, payload := randomRecords(r, r.IntN(100)), from, []byte(nil)
		for _, rec := range records {
			payload = appendRecord(payload, rec)
			to = to.after(rec)
		}
		prefix := bytes.Repeat([]byte{0xee}, r.IntN(3)) // frames are appended
		frame := appendBlock(bytes.Clone(prefix), from, to, payload, i%2 == 0)
		if !bytes.HasPrefix(frame, prefix) {
			t.Fatal("appendBlock changed what stood before")
		}
		blk, err := openBlock(frame[len(prefix):])
		if err != nil || blk.from != from || blk.to != to || len(blk.records) != len(records) {
			t.Fatalf("%v: from %+v to %+v, want %+v %+v", err, blk.from, blk.to, from, to)
		}
		for j, rec := range blk.records {
			if rec.kind != records[j].kind || rec.at != records[j].at || !bytes.Equal(rec.body, records[j].body) {
				t.Fatalf("record %d is %+v, want %+v", j, rec, records[j])
			}
		}
	}
}

// Every single bit of a frame counts.
func TestFlippedBitIsDamage(t *testing.T) {
	records := randomRecords(rand.New(rand.NewPCG(3, 4)), 20)
	var payload []byte
	var to progress
	for _, rec := range records {
		payload = appendRecord(payload, rec)
		to = to.after(rec)
	}
	for _, payload := range [][]byte{payload, nil} {
		if payload == nil {
			to = progress{}
		}
		frame := appendBlock(nil, progress{}, to, payload, false)
		for bit := range len(frame) * 8 {
			bad := bytes.Clone(frame)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := openBlock(bad); !errors.Is(err, ErrDamaged) {
				t.Fatalf("bit %d of %d bytes flipped: %v", bit, len(frame), err)
			}
		}
		for n := range frame {
			if _, err := openBlock(frame[:n]); !errors.Is(err, ErrDamaged) {
				t.Fatalf("cut to %d of %d bytes: %v", n, len(frame), err)
			}
		}
	}
}

func TestMarkRoundTrip(t *testing.T) {
	for _, m := range []Mark{
		{Kind: MarkAttach, Conn: 1, Observe: true, Cause: "key"},
		{Kind: MarkDelivered, Conn: 1<<32 - 1, Index: 1<<64 - 1},
		{Kind: MarkDetach, Conn: 2, Index: 77, Cause: "slow_reader"},
		{Kind: MarkCancel, Cause: "grace"},
		{Kind: MarkClaim, Conn: 3},
		{Kind: MarkAttach, Conn: 4, Index: 12, Explicit: true, Cause: "id"},
		{Kind: MarkAttach, Conn: 5, Index: 12, Explicit: true, Observe: true, Cause: "id"},
		{Kind: MarkKill},
	} {
		if got, err := parseMark(m.record(0).body); err != nil || got != m {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte("p"), bytes.Repeat([]byte("abc "), 100))
	f.Fuzz(func(t *testing.T, preface, payload []byte) {
		if _, _, err := openFrame(payload); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		preface = preface[:min(len(preface), 255)]
		p, q, err := openFrame(appendFrame(nil, preface, payload, false))
		if err != nil || !bytes.Equal(p, preface) || !bytes.Equal(q, payload) {
			t.Fatalf("%v: %x %x came back as %x %x", err, preface, payload, p, q)
		}
	})
}

// The CRC stands in a fuzzer's way, so what is behind it is fed directly.
func FuzzPayloads(f *testing.F) {
	f.Add([]byte{}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(appendRecord(nil, example.records[0]), progress{rec: 1}.append(progress{}.append(nil)))
	l, b := &Log{}, &bucket{group: 1}
	s := &Stream{header: Header{ID: example.id}}
	f.Add(l.encode(nil, b, &op{stream: s, data: appendRecord(nil, example.records[1])}), []byte{1})
	f.Fuzz(func(t *testing.T, payload, preface []byte) {
		damaged := func(what string, err error) {
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		blk, err := openBlock(appendFrame(nil, preface[:min(len(preface), 255)], payload, false))
		damaged("block", err)
		if err == nil {
			var again []byte
			p := blk.from
			for _, r := range blk.records {
				again = appendRecord(again, r)
				p = p.after(r)
			}
			if other, err := openBlock(appendBlock(nil, blk.from, p, again, false)); err != nil || !reflect.DeepEqual(other, blk) {
				t.Fatalf("%v: %+v came back as %+v", err, blk, other)
			}
		}
		_, err = parseGroup(payload)
		damaged("group", err)
		m, err := parseMark(payload)
		damaged("mark", err)
		if err == nil {
			if other, err := parseMark(m.record(0).body); err != nil || other != m {
				t.Fatalf("%v: %+v came back as %+v", err, m, other)
			}
		}
		at := rand.Uint32()
		_, err = decode[End](record{kind: kindEnd, at: at, body: payload})
		damaged("end", err)
	})
}

func TestIDs(t *testing.T) {
	id, err := NewID()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := ParseID(id.String()); err != nil || p != id {
		t.Errorf("%s came back as %s, %v", id, p, err)
	}
	for _, s := range []string{"", "x", strings.ToUpper(id.String()[:35]) + "F", "{" + id.String() + "}", "urn:uuid:" + id.String(), strings.ReplaceAll(id.String(), "-", "")} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("%q was taken for an id", s)
		}
	}
	var h Hash
	if err := h.UnmarshalText([]byte("00ff00000000000000000000000000a0")); err != nil || h[1] != 0xff || h[15] != 0xa0 {
		t.Errorf("hash %v, %v", h, err)
	}
	for _, s := range []string{"", "00", "zz000000000000000000000000000000"} {
		if err := h.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("%q was taken for a hash", s)
		}
	}
}

func TestTimesBeforeAcceptAndFarAfter(t *testing.T) {
	s := &Stream{header: Header{Accepted: time.Unix(1000, 0)}}
	for at, want := range map[time.Time]uint32{time.Unix(0, 0): 0, time.Unix(1001, 0): 1000, time.Unix(1000, 0).AddDate(1, 0, 0): 1<<32 - 1} {
		if got := s.since(at); got != want {
			t.Errorf("since(%v) = %d, want %d", at, got, want)
		}
	}
}
