package export

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// Formats.
const (
	CSV   = "csv"
	JSONL = "jsonl"
)

// writer writes rows of cells.
type writer interface {
	header(names []string) error
	row(cells []cell) error
	flush() error
}

func newWriter(format string, w io.Writer) writer {
	buffered := bufio.NewWriterSize(w, 64<<10)
	if format == CSV {
		return &csvWriter{csv: csv.NewWriter(buffered), to: buffered}
	}
	return &jsonWriter{to: buffered}
}

// csvWriter writes RFC 4180 with a header. A text that a spreadsheet would take for a
// formula gets an apostrophe in front; so does one that has one already, so that
// taking one away gives the text back.
type csvWriter struct {
	csv  *csv.Writer
	to   *bufio.Writer
	text []string
}

func (c *csvWriter) header(names []string) error { return c.csv.Write(names) }

func (c *csvWriter) row(cells []cell) error {
	c.text = c.text[:0]
	for _, v := range cells {
		if v.form == formText {
			v.text = harmless(v.text)
		}
		c.text = append(c.text, v.text)
	}
	return c.csv.Write(c.text)
}

func (c *csvWriter) flush() error {
	if c.csv.Flush(); c.csv.Error() != nil {
		return c.csv.Error()
	}
	return c.to.Flush()
}

// harmless is a text that no spreadsheet runs.
func harmless(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n'＝＋－＠", first) {
		return "'" + s
	}
	return s
}

// jsonWriter writes an object in each line, with its members in the order of the
// columns.
type jsonWriter struct {
	to    *bufio.Writer
	names []string // with quotes and colon
	line  []byte
}

func (j *jsonWriter) header(names []string) error {
	for i, name := range names {
		before := `,"`
		if i == 0 {
			before = `{"`
		}
		j.names = append(j.names, before+name+`":`)
	}
	return nil
}

func (j *jsonWriter) row(cells []cell) error {
	line := j.line[:0]
	for i, v := range cells {
		line = append(line, j.names[i]...)
		switch {
		case v.text == "":
			line = append(line, "null"...)
		case v.form == formText:
			b, err := json.Marshal(v.text)
			if err != nil {
				return err
			}
			line = append(line, b...)
		case v.form == formDecimal, v.form == formTime:
			line = append(append(append(line, '"'), v.text...), '"')
		default:
			line = append(line, v.text...)
		}
	}
	j.line = append(line, '}', '\n')
	_, err := j.to.Write(j.line)
	return err
}

func (j *jsonWriter) flush() error { return j.to.Flush() }
