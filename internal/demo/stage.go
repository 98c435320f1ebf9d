package demo

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// style is the escape sequence that begins a way of writing; plain has none.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	grey   style = "\x1b[90m"
	red    style = "\x1b[1;31m"
	green  style = "\x1b[32m"
	yellow style = "\x1b[33m"
	reset        = "\x1b[0m"
)

const (
	margin = 3
	column = 13 // where text begins
	width  = 84
)

// stage is where the demo is written: paragraphs of words that come one by one,
// with a label at their side, readable in a log as on a terminal.
type stage struct {
	out    io.Writer
	colour bool
	err    error // the first

	current string // label of the paragraph that is being written
	at      int    // column; 0 at the beginning of a line
}

func (s *stage) print(st style, text string) {
	if s.colour && st != plain {
		text = string(st) + text + reset
	}
	if _, err := io.WriteString(s.out, text); err != nil && s.err == nil {
		s.err = fmt.Errorf("print: %w", err)
	}
}

// endLine ends the paragraph that is being written.
func (s *stage) endLine() {
	if s.at > 0 {
		s.print(plain, "\n")
	}
	s.at, s.current = 0, ""
}

// say writes a line.
func (s *stage) say(format string, args ...any) {
	s.endLine()
	s.print(plain, fmt.Sprintf(format, args...)+"\n")
}

// heading begins a part.
func (s *stage) heading(format string, args ...any) {
	s.endLine()
	s.print(bold, "\n"+fmt.Sprintf(format, args...)+"\n")
}

// mark writes a line under a paragraph.
func (s *stage) mark(st style, format string, args ...any) {
	s.endLine()
	s.print(st, strings.Repeat(" ", margin)+fmt.Sprintf(format, args...)+"\n")
}

// label begins a paragraph.
func (s *stage) label(name string) {
	s.endLine()
	s.print(grey, strings.Repeat(" ", margin)+name+strings.Repeat(" ", max(1, column-margin-utf8.RuneCountInString(name))))
	s.at, s.current = column, name
}

// word continues the paragraph of that label, or begins one. A word brings its
// leading blank along; where a line begins, that is dropped.
func (s *stage) word(label string, st style, text string) {
	if text == "" {
		return
	}
	if s.current != label {
		s.label(label)
	}
	if s.at > column && strings.HasPrefix(text, " ") && s.at+utf8.RuneCountInString(text) > width {
		s.print(plain, "\n"+strings.Repeat(" ", column))
		s.at = column
	}
	if s.at == column {
		text = strings.TrimPrefix(text, " ")
	}
	s.print(st, text)
	s.at += utf8.RuneCountInString(text)
}
