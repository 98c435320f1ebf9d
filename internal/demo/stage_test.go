package demo

import (
	"strings"
	"testing"
)

func TestStageWrapsWordsBesideTheirLabel(t *testing.T) {
	var out strings.Builder
	s := &stage{out: &out}
	s.heading("1. Part")
	for range 20 {
		s.word("live", green, " word")
	}
	s.word("missed", yellow, " other")
	s.word("missed", yellow, "")
	s.mark(red, "end")
	want := "\n1. Part\n" +
		"   live      " + strings.TrimSpace(strings.Repeat(" word", 14)) + "\n" +
		"             " + strings.TrimSpace(strings.Repeat(" word", 6)) + "\n" +
		"   missed    other\n" +
		"   end\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestStageColoursOnlyWhereAsked(t *testing.T) {
	var out strings.Builder
	s := &stage{out: &out, colour: true}
	s.word("live", green, "word")
	if want := "\x1b[90m   live      \x1b[0m\x1b[32mword\x1b[0m"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestDifferenceNamesTheFirstByte(t *testing.T) {
	for _, tt := range []struct{ got, want, text string }{
		{"same", "same", ""},
		{"sane", "same", "4 bytes were read and 4 sent; they differ at byte 2"},
		{"sam", "same", "3 bytes were read and 4 sent; they differ at byte 3"},
		{"", "same", "0 bytes were read and 4 sent; they differ at byte 0"},
	} {
		if got := difference([]byte(tt.got), []byte(tt.want)); got != tt.text {
			t.Errorf("%q, %q: %q, want %q", tt.got, tt.want, got, tt.text)
		}
	}
}

func TestCursorsAreThoseOfTheGateway(t *testing.T) {
	const text = "0000000000000025_0000000000007297"
	c, err := parseCursor(text)
	if err != nil || c != (cursor{25, 7297}) || c.String() != text {
		t.Errorf("%v, %v", c, err)
	}
	for _, bad := range []string{"", "25", "25_", "_25", "x_1", "1_x"} {
		if c, err := parseCursor(bad); err == nil {
			t.Errorf("%q: %v", bad, c)
		}
	}
}
