package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// origin is where a value was written.
type origin struct {
	name   string // the file, the environment variable or the flag; empty: nowhere, it is the default
	line   int    // in a file, from 1; else 0
	source string // in a file, the line and a mark below it
}

func (o origin) String() string {
	switch {
	case o.name == "":
		return "default"
	case o.line > 0:
		return fmt.Sprintf("%s:%d", o.name, o.line)
	}
	return o.name
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Key    string // empty: it is about no key
	Where  string // "recoup.yaml:3", "RECOUP_LISTEN", "--listen", "default"
	Text   string // what is wrong and what was expected
	Source string // the lines of the file to look at; empty outside of files
}

// String is the problem in one line.
func (p Problem) String() string {
	switch {
	case p.Where == "default":
		return fmt.Sprintf("%s (default): %s", p.Key, p.Text)
	case p.Key == "" || strings.HasPrefix(p.Where, "--") || strings.HasPrefix(p.Where, envPrefix):
		return fmt.Sprintf("%s: %s", p.Where, p.Text)
	}
	return fmt.Sprintf("%s: %s: %s", p.Where, p.Key, p.Text)
}

// Error is why a configuration is refused. It has at least one Problem.
type Error struct{ Problems []Problem }

// Error is all problems in one line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "; ")
}

// Report is one line per problem, each with the lines of the file that it is
// about. It ends with a newline.
func (e *Error) Report() string {
	var b strings.Builder
	for _, p := range e.Problems {
		b.WriteString(p.String())
		b.WriteByte('\n')
		b.WriteString(p.Source)
	}
	return b.String()
}

// excerpt shows line (from 1) of a file with a mark below column (from 1).
func excerpt(data []byte, line, column int) string {
	lines := strings.Split(string(data), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	text := strings.ToValidUTF8(strings.TrimRight(lines[line-1], "\r"), "�")
	number := fmt.Sprintf("%5d | ", line)
	column = min(max(column, 1), utf8.RuneCountInString(text)+1)
	before := []rune(text)[:column-1]
	for i, r := range before {
		if r != '\t' { // kept, so that the mark stands where the tab leads
			before[i] = ' '
		}
	}
	return fmt.Sprintf("%s%s\n%s%s^\n", number, text, strings.Repeat(" ", len(number)-2)+"| ", string(before))
}

// nearest returns the candidate that name was most likely meant to be, or "".
func nearest(name string, candidates []string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if d := editDistance(name, c); d < distance && d < len(c) {
			best, distance = c, d
		}
	}
	return best
}

// editDistance is the number of bytes to insert, remove, replace or swap with
// their neighbour to get from a to b.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// didYouMean is how an unknown name ends its sentence.
func didYouMean(name string, candidates []string) string {
	if best := nearest(name, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known are " + strings.Join(candidates, ", ")
}
