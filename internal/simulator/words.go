package simulator

import "strings"

// plainWords are each one token of o200k_base and of cl100k_base, at the start
// of a text and after a blank. Both cut a text before each blank first, so the
// words make as many tokens in any order, and in a text that breaks off after any
// of them: whoever counts with the right tokenizer must arrive at the simulator's
// own figure. That holds for generated text alone: a script's fixed text and a
// tool's arguments are cut by rules of our own, see split and pieces.
const plainWords = `
the of and to in is that it was for on are with as they at
be this from have or by one had not but what all were when we there
can an your which their said if do will each about how up out them then
she many some so these would other into has more her two like him see time
could no make than first been its who now people my made over did down only
way find use may water long little very after words called just where most know get
through back much before go good new write our used me man too any day same
right look think also around another came come work three word must because does part even
place well such here take why things help put years different away again off went old
number great tell men say small every found still between name should home big give air
line set own under read last never us left end along while might next sound below
something thought both few those always show large often money house world going want school important
until form food keep children river land side without boy once animals life sometimes four head
above kind almost live page got earth need far hand high year mother light parts country
father let night following picture being study second eyes soon times story boys since white days
ever paper hard near sentence better best during today others however sure means try young sun`

// wideWords have characters of two to four bytes of UTF-8. After a blank, which is
// where they stand, each is one token of o200k_base; of cl100k_base most are more.
const wideWords = `世界 数据 中国 日本 東京 한국 🙂 👍 ❤️ café über Straße мир שלום`

// Tokens carry their leading blank; a text's first token drops it.
var (
	plain = spaced(plainWords)
	wide  = spaced(wideWords)
)

func spaced(list string) []string {
	words := strings.Fields(list)
	for i, w := range words {
		words[i] = " " + w
	}
	return words
}

// word is token i of a generated text. It allocates nothing, since a long
// answer asks for thousands.
func word(seed uint64, i int, unicode bool) string {
	h := mix(seed + uint64(i)*0x9e3779b97f4a7c15)
	list := plain
	if unicode && i%2 == 1 {
		list = wide
	}
	w := list[h%uint64(len(list))]
	if i == 0 {
		return w[1:]
	}
	return w
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// maxTokenRunes bounds a token of a fixed text, so that a text without blanks
// (Chinese, base64) is still made of many.
const maxTokenRunes = 16

// split cuts a fixed text into the simulator's tokens: a word with the white
// space before it, at most maxTokenRunes long. No tokenizer counts the same, but
// for a text of words like ours.
func split(text string) []string {
	var tokens []string
	start, runes, inWord := 0, 0, false
	for i, r := range text {
		blank := r == ' ' || r == '\n' || r == '\t' || r == '\r'
		if i > start && (blank && inWord || runes == maxTokenRunes) {
			tokens = append(tokens, text[start:i])
			start, runes, inWord = i, 0, false
		}
		inWord = inWord || !blank
		runes++
	}
	if start < len(text) {
		tokens = append(tokens, text[start:])
	}
	return tokens
}

// pieces cuts a tool's arguments into tokens of at most four bytes, never
// inside a character. Real tokenizers cut JSON elsewhere, so what they count of it
// is another figure than ours.
func pieces(s string) []string {
	var out []string
	start := 0
	for i := range s {
		if i-start >= 4 {
			out = append(out, s[start:i])
			start = i
		}
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}
