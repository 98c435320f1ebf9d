package ledger

import (
	"encoding/binary"
	"strings"
	"time"
)

// Keys. Numbers are big endian, so that they sort; texts end with NUL.
const (
	prefixEntry       = 'E' // seq u64 -> hash 32 B, body
	prefixAttempt     = 'A' // stream 16 B, number u16 -> record
	prefixAccepted    = 'T' // unix ms u64, stream 16 B, number u16 -> extract
	prefixRequest     = 'R' // provider, request id, stream 16 B, number u16 -> nothing
	prefixMiss        = 'N' // stream 16 B -> seq u64
	prefixUnexplained = 'U' // provider, model, tier, day -> seq u64 of what stands
	prefixIncident    = 'I' // number u32 -> seq u64 of how it stands
	prefixCounter     = 'C' // family u8, labels -> tally
	prefixBalance     = 'B' // provider, model, account, kind -> tally
	prefixMeta        = 'M' // name -> value
)

var (
	metaFormat  = []byte("Mformat")  // u32
	metaCut     = []byte("Mcut")     // seq u64 of the newest cut; absent: nothing was summarised
	metaRemoved = []byte("Mremoved") // seq u64 of the last entry before it that is gone
)

const formatVersion = 1

func entryKey(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{prefixEntry}, seq) }

func appendAttempt(b []byte, id AttemptID) []byte {
	return binary.BigEndian.AppendUint16(append(b, id.Stream[:]...), uint16(id.Number))
}

// cutAttempt reads what appendAttempt wrote at the end of a key.
func cutAttempt(key []byte) (id AttemptID) {
	if len(key) < len(id.Stream)+2 {
		return id
	}
	at := len(key) - len(id.Stream) - 2
	copy(id.Stream[:], key[at:])
	id.Number = int(binary.BigEndian.Uint16(key[at+len(id.Stream):]))
	return id
}

func attemptKey(id AttemptID) []byte { return appendAttempt([]byte{prefixAttempt}, id) }

func acceptedKey(ms int64, id AttemptID) []byte {
	return appendAttempt(binary.BigEndian.AppendUint64([]byte{prefixAccepted}, uint64(ms)), id)
}

func timeKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixAccepted}, uint64(max(t.UnixMilli(), 0)))
}

// textKey is a key of texts.
func textKey(prefix byte, texts ...string) []byte {
	return append(append([]byte{prefix}, strings.Join(texts, "\x00")...), 0)
}

func requestKey(provider, requestID string, id AttemptID) []byte {
	return appendAttempt(textKey(prefixRequest, provider, requestID), id)
}

func missKey(stream ID) []byte { return append([]byte{prefixMiss}, stream[:]...) }

// version is where the entries of one revision are; 0: there is none.
type version struct {
	bill, outcomes uint64
	reversal       uint64 // of this revision, by the next
}

// record is what the books have of an attempt: one version for each revision.
type record []version

func (r record) encode() []byte {
	b := make([]byte, 0, len(r)*8)
	for _, v := range r {
		b = binary.AppendUvarint(b, v.bill)
		b = binary.AppendUvarint(b, v.outcomes)
		b = binary.AppendUvarint(b, v.reversal)
	}
	return b
}

func decodeRecord(b []byte) (record, error) {
	var r record
	for len(b) > 0 {
		var n [3]uint64
		for i := range n {
			v, k := binary.Uvarint(b)
			if k <= 0 {
				return nil, damagedf("record of an attempt: %x", b)
			}
			n[i], b = v, b[k:]
		}
		r = append(r, version{n[0], n[1], n[2]})
	}
	if len(r) == 0 {
		return nil, damagedf("empty record of an attempt")
	}
	return r, nil
}

// entries is how many entries the record names.
func (r record) entries() (n uint64) {
	for _, v := range r {
		for _, seq := range []uint64{v.bill, v.outcomes, v.reversal} {
			if seq != 0 {
				n++
			}
		}
	}
	return n
}
