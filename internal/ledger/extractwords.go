package ledger

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/recoup-gateway/recoup/internal/token"
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

// words are what extracts mostly consist of, by their numbers. They are stored: more
// can be added at the end. The first stands for all others.
var words = []string{
	"\x00", "", Delivered, Wasted, Lost, Live, Resumed, Cancelled, Damaged, Upstream, Crash, Superseded, Abandoned, Tail,
	OverheadRetry, OverheadUnclaimed, BrokenByClient, BrokenByGateway, BrokenBySlowReader,
	Reconciled, LateUsage, PriceVariance, Correction,
	string(token.Input), string(token.CacheRead), string(token.CacheWrite5m), string(token.CacheWrite1h), string(token.Output), string(token.AudioIn),
	string(token.Reported), string(token.Partial), string(token.Counted), string(token.Calibrated), string(token.Bounded),
}

var wordNumbers = func() map[string]byte {
	numbers := map[string]byte{}
	for n, w := range words[1:] {
		numbers[w] = byte(n + 1)
	}
	return numbers
}()
