package ledger

import (
	"encoding/binary"
	"maps"
	"slices"
)

// appendTags puts tags behind each other, in the order of their names, each name and
// value after its length.
func appendTags(b []byte, tags map[string]string) []byte {
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		for _, s := range []string{name, tags[name]} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return b
}

// cutTags reads what appendTags wrote.
func cutTags(b []byte) (tags map[string]string, ok bool) {
	tags = map[string]string{}
	name, isName := "", true
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return nil, false
		}
		s := string(b[k : k+int(n)])
		if b = b[k+int(n):]; isName {
			name = s
		} else {
			tags[name] = s
		}
		isName = !isName
	}
	return tags, isName
}
