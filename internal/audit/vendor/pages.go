package vendor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// bucket is one of either vendor's.
type bucket struct {
	StartTime  *int64            `json:"start_time"` // OpenAI
	EndTime    int64             `json:"end_time"`
	StartingAt time.Time         `json:"starting_at"` // Anthropic
	EndingAt   time.Time         `json:"ending_at"`
	Results    []json.RawMessage `json:"results"`
}

// readPages reads pages one after the other, or in an array.
func readPages(name string, r io.Reader, c *lineCounter, s sink) error {
	d := json.NewDecoder(r)
	p := &pages{d: d, sink: s}
	for {
		err := p.next()
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF) && p.depth == 0:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%s:%d: the file ends in the middle of a page: it was cut off", name, c.lines+1)
		}
		if p.number > 0 && !s.asked { // whose name has the page
			name = fmt.Sprintf("%s: page %d", name, p.number)
		}
		if p.place != "" {
			name += ", " + p.place
		}
		return fmt.Errorf("%s: %w", name, err)
	}
}

type pages struct {
	d      *json.Decoder
	sink   sink
	depth  int // 0: between pages
	array  bool
	number int
	place  string
	kind   Kind
}

// next reads a page, or a bracket around pages.
func (p *pages) next() error {
	if p.array && !p.d.More() {
		_, err := p.d.Token()
		if err == nil {
			p.array, p.depth = false, 0
		}
		return err
	}
	p.place = ""
	t, err := p.d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('['):
		if p.array || p.number > 0 {
			return errors.New("want pages, as the API answers with them")
		}
		p.array, p.depth = true, 1
		return nil
	case json.Delim('{'):
	default:
		return fmt.Errorf("want a page, as the API answers with it, not %v", t)
	}
	p.number++
	p.depth = 2
	err = p.page()
	if err == nil {
		p.depth = 0
		if p.array {
			p.depth = 1
		}
	}
	return err
}

func (p *pages) page() error {
	more, data, next := false, false, (*string)(nil)
	p.kind = ""
	for p.d.More() {
		key, err := p.d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "data":
			data = true
			err = p.buckets()
		case "has_more":
			err = p.d.Decode(&more)
		case "next_page":
			err = p.d.Decode(&next)
		default:
			var skipped json.RawMessage
			err = p.d.Decode(&skipped)
		}
		if err != nil {
			return err
		}
		p.place = ""
	}
	if _, err := p.d.Token(); err != nil {
		return err
	}
	if !data {
		return errors.New("it has no data: want a page of usage or costs")
	}
	p.sink.page(p.kind, more, text(next))
	return nil
}

func (p *pages) buckets() error {
	if t, err := p.d.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(err, errors.New("data: want an array of buckets"))
	}
	for n := 1; p.d.More(); n++ {
		p.place = fmt.Sprintf("bucket %d", n)
		var b bucket
		if err := p.d.Decode(&b); err != nil {
			return err
		}
		if err := p.bucket(&b, n); err != nil {
			return err
		}
	}
	_, err := p.d.Token()
	return err
}

func (p *pages) bucket(b *bucket, n int) error {
	decode, from, to := openAIResult, time.Time{}, b.EndingAt
	switch {
	case b.StartTime != nil:
		from, to = time.Unix(*b.StartTime, 0), time.Unix(b.EndTime, 0)
	case !b.StartingAt.IsZero():
		decode, from = anthropicResult, b.StartingAt
	default:
		return errors.New("it has neither start_time nor starting_at")
	}
	if b.Results == nil {
		return errors.New("it has no results: one of nothing has an empty list")
	}
	if len(b.Results) == 0 {
		return p.sink.bucket("", from.UTC(), to.UTC())
	}
	for i, raw := range b.Results {
		p.place = fmt.Sprintf("bucket %d (%s), result %d", n, from.UTC().Format(time.RFC3339), i+1)
		r, err := decode(raw)
		if err != nil {
			return err
		}
		r.Start, r.End = from.UTC(), to.UTC()
		if p.kind != "" && p.kind != r.Kind {
			return fmt.Errorf("it is of %s, and those before are of %s", r.Kind, p.kind)
		}
		p.kind = r.Kind
		if i == 0 {
			if err := p.sink.bucket(r.Kind, r.Start, r.End); err != nil {
				return err
			}
		}
		if err := errors.Join(r.check(), p.sink.row(r)); err != nil {
			return err
		}
	}
	return nil
}

// decimal is a number, in quotes or not, as it is written.
type decimal string

func (d *decimal) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*d = decimal(s)
		return nil
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	*d = decimal(n)
	return err
}

// text is that of a member that may be null.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
