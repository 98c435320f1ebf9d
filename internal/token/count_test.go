package token

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// Counts of OpenAI's tiktoken, o200k_base, special tokens as text.
var golden = []struct {
	name, text string
	want       int64
}{
	{"newline blank newline", "\n \n", 1},
	{"blank lines", "\n\n\n", 1},
	{"indented blank lines", "a\n    \n    b\n \n \nc", 7},
	{"CRLF", "one\r\n\r\ntwo\r\n", 4},
	{"blanks", "        ", 1},
	{"blanks and word", "        x", 2},
	{"tabs", "\t\t\tif x {\n\t\t\t\treturn\n\t\t\t}", 10},
	{"one word", "hello", 1},
	{"sentence", "The quick brown fox jumps over the lazy dog.", 10},
	{"contractions", "I'm sure they'd've said it's what WE'LL do", 11},
	{"numbers", "1234567890 3.14159 1,000,000", 15},
	{"Go", "func (c Count) Get() (int64, bool) { return c.n, c.known }\n\nif err != nil {\n\treturn fmt.Errorf(\"reading: %w\", err)\n}\n", 39},
	{"JSON", "{\"city\":\"Paris\",\"days\":[1,2,3],\"units\":null}", 17},
	{"markdown table", "| a | b |\n| --- | --- |\n| 1 | 2 |\n", 17},
	{"URL", "https://example.com/a/b?c=d&e=f#g", 12},
	{"Chinese", "今天天气很好，我们去公园散步吧。", 12},
	{"Japanese", "吾輩は猫である。名前はまだ無い。", 14},
	{"Korean", "모든 인간은 태어날 때부터 자유롭다.", 13},
	{"Thai", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน", 20},
	{"Hindi", "सभी मनुष्यों को गौरव और अधिकारों के मामले में", 14},
	{"Arabic", "يولد جميع الناس أحرارا متساوين", 10},
	{"Russian", "Все люди рождаются свободными", 6},
	{"German", "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz", 16},
	{"emoji", "🙂🙃🚀 done ✅", 7},
	{"emoji family", "👩\u200d👩\u200d👧\u200d👦", 11},
	{"flags", "🇫🇷🇯🇵", 8},
	{"combining marks", "e\u0301a\u0300 Z\u0351\u036b\u0313", 11},
	{"base64", "aGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0IG9mIGJhc2U2NA==", 34},
	{"special tokens", "<|im_start|>user<|im_end|><|endoftext|>", 19},
	{"punctuation", "!!!???...---///\\\\\\***", 8},
	{"hex", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", 43},
	{"a word after another", strings.Repeat("ab ", 10_000), 10_001},
	{"lines", strings.Repeat("word\n", 5_000), 10_000},
	{"Chinese clauses", strings.Repeat("今天天气很好，", 1_000), 5_000},
	{"digits", strings.Repeat("0123456789, ", 1_000), 6_000},
	{"one letter", strings.Repeat("a", 1000), 125},
	{"many blanks", strings.Repeat(" ", 1000), 9},
	{"nothing", "", 0},
}

func TestGolden(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			if got := Len(tt.text); got != tt.want {
				t.Errorf("%.60q: %d tokens, want %d", tt.text, got, tt.want)
			}
			// However it is cut into pieces, it is the same text.
			r := rand.New(rand.NewPCG(1, 2))
			counts := Cumulative(pieces(r, tt.text, 40))
			if len(counts) > 0 && counts[len(counts)-1] != tt.want {
				t.Errorf("%.60q in pieces: %d tokens, want %d", tt.text, counts[len(counts)-1], tt.want)
			}
		})
	}
}

// pieces cuts text between runes, in pieces of up to most, some of them empty.
func pieces(r *rand.Rand, text string, most int) [][]byte {
	var all [][]byte
	for text != "" {
		n := min(r.IntN(most), len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		all = append(all, []byte(text[:n]))
		text = text[n:]
	}
	return all
}

func TestCumulative(t *testing.T) {
	// "hello", " world", "!" are the tokens.
	for _, tt := range []struct {
		name   string
		pieces []string
		want   []int64
	}{
		{"none", nil, []int64{}},
		{"one", []string{"hello world!"}, []int64{3}},
		{"at tokens", []string{"hello", " world", "!"}, []int64{1, 2, 3}},
		{"within tokens", []string{"hel", "lo wor", "ld", "!"}, []int64{0, 1, 2, 3}},
		{"empty ones", []string{"", "hello", "", " world!", ""}, []int64{0, 1, 1, 3, 3}},
		{"only empty ones", []string{"", ""}, []int64{0, 0}},
		{"a rune in two", []string{"\xe4\xbb", "\x8a"}, []int64{0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var in [][]byte
			for _, p := range tt.pieces {
				in = append(in, []byte(p))
			}
			got := Cumulative(in)
			if len(got) != len(tt.want) {
				t.Fatalf("%d counts, want %d", len(got), len(tt.want))
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("after piece %d: %d, want %d", i, got[i], tt.want[i])
				}
			}
		})
	}
}

// What isn't UTF-8 is what decoders make of it, with the counts still in order.
func TestInvalid(t *testing.T) {
	if got, want := Len("ab\xff\xfecd"), Len("ab\ufffdcd"); got != want {
		t.Errorf("%d tokens, want %d", got, want)
	}
	got := Cumulative([][]byte{[]byte("hello\xff"), []byte("\xfe"), []byte(" world")})
	if got[0] > got[1] || got[1] >= got[2] || got[2] != Len("hello\ufffd\ufffd world") {
		t.Errorf("counts %d", got)
	}
}

// Where a text is cut for speed no token is: the parts' counts add up. Where it has
// to be cut anywhere, the count is off by no more than a token per cut.
func TestSegment(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("The quick brown fox, 1234 it's.\n\n\tif x { y() }\r\n", 500),
		strings.Repeat("今天天气很好，我们去公园散步吧。", 600),
		strings.Repeat("Все люди рождаются свободными и равными. ", 400),
		strings.Repeat("12, 3456,\n", 2500),
	} {
		want, _, err := codec().Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Len(text); got != int64(len(want)) {
			t.Errorf("%.20q...: %d tokens, want %d", text, got, len(want))
		}
		if n := segment(text); n < window || n > window+run {
			t.Errorf("%.20q...: cut at %d", text, n)
		}
	}
	text := strings.Repeat("aGVsbG8gd29ybGQ", 300)
	want, _, err := codec().Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, cuts := Len(text), int64(len(text)/run); got < int64(len(want))-cuts || got > int64(len(want))+cuts {
		t.Errorf("base64: %d tokens, want %d", got, len(want))
	}
}

// Text without an end of a word is cut too, or its time would grow with the square
// of its length. All of it is counted.
func TestHostile(t *testing.T) {
	for _, unit := range []string{"a", "A", " ", "\n", "今", "!", "é", "\u0301", "🙂", "'s"} {
		text := strings.Repeat(unit, 5_000/len(unit))
		for rest := text; rest != ""; {
			n := segment(rest)
			if n == 0 || n > run+utf8.UTFMax {
				t.Fatalf("%q: a segment of %d bytes", unit, n)
			}
			rest = rest[n:]
		}
		if c := Cumulative([][]byte{[]byte(text[:len(text)/2]), []byte(text[len(text)/2:])}); c[1] != Len(text) {
			t.Errorf("%q: %d tokens, by Len %d", unit, c[1], Len(text))
		}
	}
}

func FuzzCumulative(f *testing.F) {
	for _, tt := range golden[:20] {
		f.Add([]byte(tt.text), uint64(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		if len(text) > 4000 {
			t.Skip()
		}
		in := pieces(rand.New(rand.NewPCG(seed, 1)), string(text), 20)
		counts := Cumulative(in)
		last := int64(0)
		for i, n := range counts {
			if n < last {
				t.Fatalf("%d after %d, at %d of %q", n, last, i, in)
			}
			last = n
		}
		if want := Len(string(bytes.Join(in, nil))); utf8.Valid(text) && last != want {
			t.Fatalf("%d tokens, by Len %d: %q", last, want, in)
		}
	})
}

// Per byte, hostile text costs a few times what prose does: see the package's
// documentation for the ratio.
func BenchmarkCumulative(b *testing.B) {
	for _, bm := range []struct{ name, unit string }{
		{"prose", "The quick brown fox jumps over the lazy dog. It's done, all 27 of them.\n"},
		{"letter", "a"},
		{"blank", " "},
	} {
		b.Run(bm.name, func(b *testing.B) {
			text := strings.Repeat(bm.unit, 100_000/len(bm.unit))
			in := pieces(rand.New(rand.NewPCG(1, 2)), text, 9)
			codec()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Cumulative(in)
			}
		})
	}
}
