package token

import (
	"unicode"
	"unicode/utf8"
)

// Class is what a text is written in, as far as it matters to tokenizers.
type Class string

// The classes.
const (
	Latin Class = "latin" // most letters are Latin; also text without any, such as code's
	CJK   Class = "cjk"   // a third of the letters at least are Han, Kana or Hangul
	Other Class = "other"
)

var cjk = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul}

// ClassOf returns the class of a text that came in pieces.
func ClassOf(pieces [][]byte) Class {
	var letters, latin, east int
	for _, p := range pieces {
		for len(p) > 0 {
			r, size := utf8.DecodeRune(p)
			p = p[size:]
			switch {
			case r < utf8.RuneSelf:
				if isASCIILetter(r) {
					letters++
					latin++
				}
			case !unicode.IsLetter(r):
			case unicode.In(r, cjk...):
				letters++
				east++
			default:
				letters++
				if unicode.Is(unicode.Latin, r) {
					latin++
				}
			}
		}
	}
	switch {
	case letters > 0 && 3*east >= letters:
		return CJK
	case 2*latin >= letters:
		return Latin
	}
	return Other
}
