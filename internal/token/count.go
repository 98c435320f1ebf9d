package token

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer"
)

// Text is encoded in segments. The encoder's time grows with the square of what it
// can't split, so that is limited to run bytes; and it copies what it is given, so
// that is limited to about window bytes.
const (
	window = 16 << 10
	run    = 1 << 10
)

// The version of the tokenizer is pinned on purpose: v0.9.0 and v0.10.0 count "\n \n"
// as two tokens. TestGolden knows.
var codec = sync.OnceValue(func() tokenizer.Codec {
	c, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		panic(fmt.Sprintf("token: the compiled-in vocabulary: %v", err)) // a wrong build
	}
	return c
})

// Len returns the number of o200k tokens of text.
func Len(text string) int64 {
	var n int64
	eachToken(text, func(int) { n++ })
	return n
}

// Cumulative counts the tokens of one text that came in pieces: element i is the
// number of those that end at or before the end of piece i. The last is the count of
// the whole text. A sum of the pieces' own counts would be too high, since tokens
// span pieces.
func Cumulative(pieces [][]byte) []int64 {
	counts := make([]int64, len(pieces))
	whole := bytes.Join(pieces, nil)
	if !utf8.Valid(whole) {
		pieces = repaired(pieces)
		whole = bytes.Join(pieces, nil)
	}
	i, pieceEnd, end := 0, 0, 0
	if len(pieces) > 0 {
		pieceEnd = len(pieces[0])
	}
	var n int64
	next := func() {
		counts[i] = n
		if i++; i < len(pieces) {
			pieceEnd += len(pieces[i])
		}
	}
	eachToken(string(whole), func(size int) {
		end += size
		for i < len(pieces) && pieceEnd < end {
			next()
		}
		n++
	})
	for i < len(pieces) {
		next()
	}
	return counts
}

// repaired are the pieces with what isn't UTF-8 replaced, as decoders show it.
func repaired(pieces [][]byte) [][]byte {
	valid := make([][]byte, len(pieces))
	for i, p := range pieces {
		valid[i] = bytes.ToValidUTF8(p, []byte(string(utf8.RuneError)))
	}
	return valid
}

// eachToken calls fn with the length in bytes of each token of text.
func eachToken(text string, fn func(size int)) {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	for text != "" {
		n := segment(text)
		_, tokens, err := codec().Encode(text[:n])
		if err != nil {
			// Only a time limit, which isn't set, can end a match. A token has at
			// least a byte, so this is a bound.
			tokens = strings.Split(text[:n], "")
		}
		for _, t := range tokens {
			fn(len(t))
		}
		text = text[n:]
	}
}

// segment returns where to cut text, at most a little after window. If it can, it
// cuts where a token ends whatever follows.
func segment(text string) int {
	boundary := 0
	var last rune
	for i, r := range text {
		if ends(last, r) {
			if i >= window {
				return i
			}
			boundary = i
		}
		if i-boundary >= run {
			return i
		}
		last = r
	}
	return len(text)
}

// ends says if o200k's pattern ends a piece between two runes in all contexts:
// letters, marks and a contraction belong together, and so do digits.
func ends(last, r rune) bool {
	if last < utf8.RuneSelf && r < utf8.RuneSelf {
		return isASCIILetter(last) && !isASCIILetter(r) && r != '\'' || isASCIIDigit(last) && !isASCIIDigit(r)
	}
	return unicode.IsLetter(last) && !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '\'' ||
		unicode.IsNumber(last) && !unicode.IsNumber(r)
}

func isASCIILetter(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' }
func isASCIIDigit(r rune) bool  { return '0' <= r && r <= '9' }
