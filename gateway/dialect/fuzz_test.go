package dialect

import (
	"slices"
	"strings"
	"testing"
)

// cutsOf makes positions in a body of n bytes out of fuzzed bytes.
func cutsOf(seed []byte, n int) []int {
	var cuts []int
	for at, i := 0, 0; i < len(seed); i++ {
		if at += int(seed[i]); at > n {
			break
		}
		cuts = append(cuts, at)
	}
	return cuts
}

// However it is cut, a body comes out as it went in, in the same parts, each of which is what it says.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("data: 1\n\ndata: 2\r\n\r\n"), []byte{3, 1, 9}, uint8(0))
	f.Add([]byte(": c\r\rdata: 2\r\r\n\r\n\n\ndata"), []byte{1, 1, 1, 1, 1, 1, 1}, uint8(3))
	f.Add([]byte("\n\r\n\r\r\n\n"), []byte{1, 0, 0, 2}, uint8(1))
	f.Fuzz(func(t *testing.T, body, seed []byte, max uint8) {
		want := split(NewSSE(int(max)), body)
		got := split(NewSSE(int(max)), body, cutsOf(seed, len(body))...)
		if !slices.Equal(got, want) {
			t.Fatalf("cut: %+v\nwhole: %+v", got, want)
		}
		if joined(want) != string(body) {
			t.Fatalf("the parts joined are %q", joined(want))
		}
		var event string
		for i, p := range want {
			if max > 0 && (len(p.data) > int(max) || p.more && len(p.data) != int(max)) {
				t.Fatalf("part of %d bytes, more: %v", len(p.data), p.more)
			}
			event += p.data
			switch {
			case p.more:
				continue
			case !p.whole && i != len(want)-1:
				t.Fatalf("part %d is not whole", i)
			case p.whole && !isEvent(event):
				t.Fatalf("%q is not one event", event)
			case !p.whole && max == 0 && isEvent(event):
				t.Fatalf("%q is an event", event)
			}
			event = ""
		}
	})
}

// isEvent tells whether s is lines, of which the last and only it is blank behind one with text.
func isEvent(s string) bool {
	lines := strings.SplitAfter(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\n")
	if lines[len(lines)-1] != "" {
		return false
	}
	text := false
	for i, line := range lines[:len(lines)-1] {
		if line == "\n" && text {
			return i == len(lines)-2
		}
		text = text || line != "\n"
	}
	return false
}
