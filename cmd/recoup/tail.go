package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/recoup-gateway/recoup/gateway/dialect"
)

func (f *streamsFlags) tailCommand() *cobra.Command {
	var raw, now bool
	c := &cobra.Command{
		Use:   "tail ID",
		Short: "Print the answer of a stream from its start, and go on as it comes",
		Long: `Print the answer of a stream from its start, and go on as it comes: its text, or with
--raw the provider's bytes. To look doesn't make an owner.

The exit code says how the stream has ended: 0 completed, 3 interrupted, 4 failed,
5 cancelled. It is 1 if it could not be followed to its end.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, path, err := f.one(args[0])
			if err != nil {
				return err
			}
			body := path + "/body?"
			if f.asCaller {
				body = path + "?observe=1&"
			}
			if now {
				body += "offset=now"
			}
			if err := follow(c, r, body, raw); err != nil {
				return err
			}
			s, _, err := f.status(c.Context(), r, path)
			if err != nil {
				return err
			}
			return outcome(s)
		},
	}
	c.Flags().BoolVar(&raw, "raw", false, "the provider's bytes instead of the text")
	c.Flags().BoolVar(&now, "now", false, "only what comes from now on")
	return c
}

// outcome is the error for how a stream has ended.
func outcome(s streamView) error {
	code, known := map[string]int{"completed": 0, "interrupted": exitInterrupted, "failed": exitStreamFails, "cancelled": exitCancelled}[s.State]
	switch {
	case !known:
		return fmt.Errorf("the connection to the gateway broke; the stream is still %s", s.State)
	case code == 0:
		return nil
	}
	return &exitCode{code, fmt.Errorf("the stream is %s: %s", stateOf(s), printable(firstText(s.Detail, s.Cause), 200))}
}

// follow prints an answer to its end, proper or not: how it has ended, the
// gateway knows.
func follow(c *cobra.Command, r *remote, path string, raw bool) error {
	resp, err := r.do(c.Context(), http.MethodGet, path, nil)
	var refused *problem
	if errors.As(err, &refused) && refused.status >= 499 && refused.status != http.StatusInternalServerError {
		return nil // the provider gave no answer, and the state says why
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := &printer{to: c.OutOrStdout(), raw: raw || resp.StatusCode != http.StatusOK}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && media == "text/event-stream" {
		out.events = dialect.NewSSE(0)
	}
	var wrote *writeError
	if _, err := io.Copy(out, resp.Body); errors.As(err, &wrote) {
		return wrote.err
	}
	return out.end()
}

// writeError tells a failed write from a failed read.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

// printer prints the text of an answer.
type printer struct {
	to     io.Writer
	raw    bool
	events *dialect.Splitter // nil: the answer is one JSON body
	part   []byte            // the beginning of an event that came in parts
	body   []byte            // of a JSON answer
	text   bool              // some was printed
}

func (p *printer) Write(data []byte) (int, error) {
	switch {
	case p.raw:
		return len(data), p.print(data)
	case p.events == nil:
		p.body = append(p.body, data...)
		return len(data), nil
	}
	for _, part := range p.events.Feed(data) {
		p.part = append(p.part, part.Data...)
		if part.More {
			continue
		}
		if err := p.print(textOf(eventData(p.part))); err != nil {
			return 0, err
		}
		p.part = p.part[:0]
	}
	return len(data), nil
}

func (p *printer) print(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	p.text = true
	if _, err := p.to.Write(data); err != nil {
		return &writeError{err}
	}
	return nil
}

// end prints what is left.
func (p *printer) end() error {
	if p.raw {
		return nil
	}
	if len(p.body) > 0 {
		if err := p.print(firstBytes(textOf(p.body), p.body)); err != nil {
			return err
		}
	}
	if !p.text {
		return nil
	}
	_, err := fmt.Fprintln(p.to)
	return err
}

func firstBytes(a, b []byte) []byte {
	if len(a) > 0 {
		return a
	}
	return b
}

// eventData is the data of an event.
func eventData(event []byte) []byte {
	var data []byte
	for line := range bytes.FieldsFuncSeq(event, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if rest, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(data, bytes.TrimPrefix(rest, []byte(" "))...)
		}
	}
	return data
}

// answered are the places at which dialects have text.
type answered struct {
	Type    string
	Delta   json.RawMessage // Responses: the text itself; Messages: an object that has it
	Choices []struct {
		Delta, Message struct{ Content json.RawMessage }
		Text           string
	}
	Candidates []struct {
		Content struct{ Parts []struct{ Text string } }
	}
	Content json.RawMessage
	Output  []struct{ Content json.RawMessage }
}

// textOf is the text in an event's data, or in a JSON body: for eyes, so what has
// none, such as a call of a tool, is left out.
func textOf(data []byte) (text []byte) {
	var a answered
	if json.Unmarshal(data, &a) != nil {
		return nil
	}
	for _, c := range a.Choices {
		text = append(append(append(text, parts(c.Delta.Content)...), parts(c.Message.Content)...), c.Text...)
	}
	for _, c := range a.Candidates {
		for _, p := range c.Content.Parts {
			text = append(text, p.Text...)
		}
	}
	for _, o := range a.Output {
		text = append(text, parts(o.Content)...)
	}
	switch a.Type {
	case "response.output_text.delta":
		text = append(text, parts(a.Delta)...)
	case "content_block_delta":
		var d struct{ Text string }
		if json.Unmarshal(a.Delta, &d) == nil {
			text = append(text, d.Text...)
		}
	}
	return append(text, parts(a.Content)...)
}

// parts reads a text, or a list of objects that have texts.
func parts(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list []struct{ Text string }
	if json.Unmarshal(raw, &list) != nil {
		return ""
	}
	for _, p := range list {
		s += p.Text
	}
	return s
}
