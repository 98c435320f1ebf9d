package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// Whether a word is one token only the tokenizer's vocabulary can say, which is
// not at hand here. These lists were checked with it.
func TestWordsAreThoseThatWereChecked(t *testing.T) {
	const checked = "f24c9507c703e24f9bea2519ef8fff0956e0c6ef81902a5d6ff0a038fafa22ed"
	sum := sha256.Sum256([]byte(strings.Join(strings.Fields(plainWords+wideWords), " ")))
	if got := hex.EncodeToString(sum[:]); got != checked {
		t.Errorf("the words are not those that were checked: see that each is one token of o200k_base, then write %s here", got)
	}
}

// A text is cut into its words again wherever a blank stands, so that no two of
// them can make one token together, and no word two.
func TestTextIsMadeOfWords(t *testing.T) {
	for _, unicode := range []bool{false, true} {
		known := map[string]bool{}
		for _, w := range append(append([]string{}, plain...), wide...) {
			if known[w] || strings.Count(w, " ") != 1 || w[0] != ' ' {
				t.Errorf("word %q", w)
			}
			known[w] = true
		}
		var text strings.Builder
		const n = 2000
		wideOnes := 0
		for i := range n {
			w := word(7, i, unicode)
			text.WriteString(w)
			if i == 0 {
				w = " " + w
			}
			if !known[w] {
				t.Fatalf("token %d is %q", i, w)
			}
			if !isASCII(w) {
				wideOnes++
			}
			if got := len(strings.Split(text.String(), " ")); got != i+1 {
				t.Fatalf("%d tokens make %d words", i+1, got)
			}
		}
		if unicode != (wideOnes == n/2) || !unicode && wideOnes > 0 {
			t.Errorf("unicode %v: %d of %d words are wide", unicode, wideOnes, n)
		}
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
