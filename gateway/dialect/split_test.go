package dialect

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestSplitter(t *testing.T) {
	for _, test := range []struct {
		name, body string
		events     []string // whole ones
		rest       string
	}{
		{"empty", "", nil, ""},
		{"one", "data: 1\n\n", []string{"data: 1\n\n"}, ""},
		{"lines", "event: x\ndata: 1\ndata: 2\n\ndata: 3\n\n", []string{"event: x\ndata: 1\ndata: 2\n\n", "data: 3\n\n"}, ""},
		{"crlf", "data: 1\r\n\r\ndata: 2\r\n\r\n", []string{"data: 1\r\n\r\n", "data: 2\r\n\r\n"}, ""},
		{"cr", "data: 1\r\rdata: 2\r\r", []string{"data: 1\r\r", "data: 2\r\r"}, ""},
		{"lf then crlf", "a\n\r\nb\n\n", []string{"a\n\r\n", "b\n\n"}, ""},
		{"lf then cr", "a\n\rb\n\n", []string{"a\n\r", "b\n\n"}, ""},
		{"crlf then lf", "a\r\n\nb\n\n", []string{"a\r\n\n", "b\n\n"}, ""},
		{"crlf then cr", "a\r\n\rb\n\n", []string{"a\r\n\r", "b\n\n"}, ""},
		{"crlf then cr at the end", "a\r\n\r", []string{"a\r\n\r"}, ""},
		{"cr then crlf: the lf is the next one's", "a\r\r\nb\r\r", []string{"a\r\r", "\nb\r\r"}, ""},
		{"one line of crlf is no blank line", "a\r\nb\r\n", nil, "a\r\nb\r\n"},
		{"comments", ": a\n\n: b\n\ndata: 1\n\n", []string{": a\n\n", ": b\n\n", "data: 1\n\n"}, ""},
		{"comment in an event", ": a\ndata: 1\n\n", []string{": a\ndata: 1\n\n"}, ""},
		{"blank lines in front", "\n\r\n\rdata: 1\n\n", []string{"\n\r\n\rdata: 1\n\n"}, ""},
		{"blank lines between", "a\n\n\n\nb\n\n", []string{"a\n\n", "\n\nb\n\n"}, ""},
		{"blank lines at the end", "a\n\n\n\r\n", []string{"a\n\n"}, "\n\r\n"},
		{"only blank lines", "\n\n\n", nil, "\n\n\n"},
		{"cut off", "a\n\ndata: 2\n", []string{"a\n\n"}, "data: 2\n"},
		{"cut off in a line", "data: 1", nil, "data: 1"},
		{"a space is no blank line", "a\n \n\n", []string{"a\n \n\n"}, ""},
		{"nul", "data: \x00\n\n", []string{"data: \x00\n\n"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []heldPart
			for _, e := range test.events {
				want = append(want, heldPart{data: e, whole: true})
			}
			if test.rest != "" {
				want = append(want, heldPart{data: test.rest})
			}
			body := []byte(test.body)
			if got := split(NewSSE(0), body); !slices.Equal(got, want) {
				t.Fatalf("got %+v\nwant %+v", got, want)
			}
			for a := range len(body) + 1 {
				for b := a; b <= len(body); b++ {
					if got := split(NewSSE(0), body, a, b); !slices.Equal(got, want) {
						t.Fatalf("cut at %d and %d: got %+v\nwant %+v", a, b, got, want)
					}
				}
			}
		})
	}
}

// An event is handed out with the read that has its last byte, but for the one "\r" that has to wait.
func TestSplitterPrompt(t *testing.T) {
	for _, test := range []struct {
		feed string
		now  int
	}{
		{"data: 1\n\n", 1},
		{"data: 1\r\n\r\n", 1},
		{"data: 1\r\r", 1},
		{"data: 1\r\n\r", 0},
		{"data: 1\n\r", 0},
		{"data: 1\r\n\rd", 1},
	} {
		if got := len(NewSSE(0).Feed([]byte(test.feed))); got != test.now {
			t.Errorf("%q: %d events at once, want %d", test.feed, got, test.now)
		}
	}
}

func TestSplitterParts(t *testing.T) {
	event := func(n int) string { return strings.Repeat("x", n-2) + "\n\n" }
	for _, test := range []struct {
		name, body string
		want       []heldPart
	}{
		{"just fits", event(8) + "y\n\n", []heldPart{{event(8), false, true}, {"y\n\n", false, true}}},
		{"one over", event(9), []heldPart{{"xxxxxxx\n", true, false}, {"\n", false, true}}},
		{"twice and one", event(17), []heldPart{{"xxxxxxxx", true, false}, {"xxxxxxx\n", true, false}, {"\n", false, true}}},
		{"exactly twice", event(16), []heldPart{{"xxxxxxxx", true, false}, {"xxxxxx\n\n", false, true}}},
		{"behind another", "y\n\n" + event(9), []heldPart{{"y\n\n", false, true}, {"xxxxxxx\n", true, false}, {"\n", false, true}}},
		{"cut off", "xxxxxxxxx", []heldPart{{"xxxxxxxx", true, false}, {"x", false, false}}},
		{"crlf over the edge", "xxxxx\r\n\r\n", []heldPart{{"xxxxx\r\n\r", true, false}, {"\n", false, true}}},
		{"cr at the edge", "xxxxx\r\n\ry\n\n", []heldPart{{"xxxxx\r\n\r", false, true}, {"y\n\n", false, true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := []byte(test.body)
			for a := range len(body) + 1 {
				for b := a; b <= len(body); b++ {
					if got := split(NewSSE(8), body, a, b); !slices.Equal(got, test.want) {
						t.Fatalf("cut at %d and %d: got %+v\nwant %+v", a, b, got, test.want)
					}
				}
			}
		})
	}
}

// Events that lie in one read are not copied.
func TestSplitterAliases(t *testing.T) {
	s := NewSSE(0)
	s.Feed([]byte("data: 0"))
	p := []byte("\n\ndata: 1\n\ndata: 2\n\ndata")
	parts := s.Feed(p)
	if len(parts) != 3 || string(parts[0].Data) != "data: 0\n\n" {
		t.Fatalf("parts %+v", hold(parts))
	}
	if &parts[1].Data[0] != &p[2] || &parts[2].Data[0] != &p[11] {
		t.Error("an event within the read was copied")
	}
}

// A Splitter's buffers don't stay large after a large event, nor grow beyond the part size.
func TestSplitterMemory(t *testing.T) {
	const max = 1 << 20
	s := NewSSE(max)
	read := bytes.Repeat([]byte("x"), 32<<10)
	for range 256 { // 8 MiB
		s.Feed(read)
		if n := cap(s.carry) + cap(s.spare); n > 4*max {
			t.Fatalf("buffers of %d bytes in an event of 8 MiB", n)
		}
	}
	s.Feed([]byte("\n\ndata"))
	for range 2 {
		s.Feed([]byte(": 1\n\ndata"))
	}
	if n := cap(s.carry) + cap(s.spare); n > keepBuffer {
		t.Errorf("buffers of %d bytes after a large event", n)
	}
}
