package export

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
)

// What can be exported, and the schemas of that.
const (
	Postings    = "postings"
	Streams     = "streams"
	Adjustments = "adjustments"

	PostingsSchema    = "recoup-postings-1"
	StreamsSchema     = "recoup-streams-1"
	AdjustmentsSchema = "recoup-adjustments-1"
)

// table is one thing that can be exported.
type table struct {
	schema string
	write  func(context.Context, *ledger.Ledger, Request, writer) error
}

var tables = map[string]table{
	Postings:    {PostingsSchema, writePostings},
	Streams:     {StreamsSchema, writeStreams},
	Adjustments: {AdjustmentsSchema, writeAdjustments},
}

// Request says what is exported, and how.
type Request struct {
	What   string    // Postings, Streams or Adjustments
	Format string    // CSV or JSONL
	Since  time.Time // attempts accepted then, or later; days of adjustments
	Until  time.Time // and before; zero: no end
}

// Check says what is wrong with a request, and fills in what it doesn't say.
func (r *Request) Check() error {
	if r.What == "" {
		r.What = Postings
	}
	switch _, known := tables[r.What]; {
	case !known:
		return fmt.Errorf("what: %q: want %s, %s or %s", r.What, Postings, Streams, Adjustments)
	case !slices.Contains([]string{CSV, JSONL}, r.Format):
		return fmt.Errorf("format: %q: want %s or %s", r.Format, CSV, JSONL)
	case !r.Until.IsZero() && !r.Since.Before(r.Until):
		return fmt.Errorf("until, %s, is not after since, %s", r.Until.Format(time.RFC3339), r.Since.Format(time.RFC3339))
	}
	return nil
}

// Schema names the columns.
func (r *Request) Schema() string { return tables[r.What].schema }

// far is beyond every attempt, and what the ledger can have in a key.
var far = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Write writes the rows that are asked for. After an error what was written is not
// all there is.
func Write(ctx context.Context, books *ledger.Ledger, r Request, w io.Writer) error {
	if err := r.Check(); err != nil {
		return err
	}
	if r.Until.IsZero() {
		r.Until = far
	}
	out := newWriter(r.Format, w)
	err := tables[r.What].write(ctx, books, r, out)
	if err == nil {
		err = out.flush()
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
