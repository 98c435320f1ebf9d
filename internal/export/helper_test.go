package export_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/export"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/ledger/ledgertest"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// site is a real ledger in a directory of its own.
type site struct {
	testing.TB
	dir   string
	books *ledger.Ledger
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	l := ledgertest.Open(t, dir)
	return &site{t, dir, l}
}

// attempt is one as the tests post it: with reasoning, a cache and perhaps a tool.
type attempt struct {
	n       int
	book    *pricing.Book // nil: the embedded one
	model   string
	input   map[token.Kind]int64
	output  int64
	hidden  int64
	written int64 // of the output, then the grace ends; 0: it comes whole
	pending bool
	change  func(*ledger.Attempt)
}

func (s *site) post(a attempt) ledger.ID {
	s.Helper()
	if a.book == nil {
		a.book = pricing.Embedded()
	}
	at := noon.Add(time.Duration(a.n) * time.Second)
	rates, reason := a.book.Rates(pricing.Query{Provider: "openai", Model: a.model, At: at})
	e := settle.Evidence{
		History: books.History{Facts: books.Facts{
			Input: a.input, Rates: rates, Caching: rates.Caching(), Output: a.output, Hidden: a.hidden, Events: 3,
			Visible: []int64{0, a.written, max(a.output-a.hidden, a.written)}, Terminal: 2, Streamed: true, OnCancel: books.BillingStops, Reclaimable: true,
		}},
		Unpriced: string(reason), Output: token.Exactly(a.output), Bases: settle.Bases{Input: token.Reported, Output: token.Reported},
	}
	f := &e.History.Facts
	e.History.Steps = []books.Step{{At: at, Do: books.Attach, Conn: 1}, {At: at, Do: books.Recv, N: 3}, {At: at, Do: books.Write, Conn: 1, To: 3}}
	switch {
	case a.pending:
		e.History.Steps = e.History.Steps[:2]
	case a.written > 0:
		f.Terminal, e.Bases.Output = books.NoTerminal, token.Counted
		e.Output = token.Range{Low: 0, Point: a.output, High: 2 * a.output}
		e.History.Steps = []books.Step{
			{At: at, Do: books.Attach, Conn: 1}, {At: at, Do: books.Recv, N: 2}, {At: at, Do: books.Write, Conn: 1, To: 2},
			{At: at, Do: books.Detach, Conn: 1, Cause: books.Client}, {At: at, Do: books.Recv, N: 1}, {At: at, Do: books.Grace}, {At: at, Do: books.Retention},
		}
	}
	b, err := books.Keep(e.History)
	if err != nil {
		s.Error(err)
		return ledger.ID{}
	}
	p, err := e.Posting(b)
	if err != nil {
		s.Error(err)
		return ledger.ID{}
	}
	id := ledger.ID{1: 1, 14: byte(a.n >> 8), 15: byte(a.n)}
	p.Attempt = ledger.Attempt{
		Stream: id, Number: 1, Provider: "openai", Model: a.model, AskedModel: a.model, RequestID: fmt.Sprint("req_", a.n), At: at, Ended: at.Add(time.Second),
		Tags: map[string]string{"team": "search", "a": "b"}, Endpoint: "chat", Streamed: true,
	}
	if reason == pricing.UnknownModel {
		p.Attempt.Model = settle.Other
	}
	if a.change != nil {
		a.change(&p.Attempt)
	}
	if posted, err := s.books.Post(p); err != nil || !posted {
		s.Errorf("attempt %d: %v, %v", a.n, posted, err)
	}
	return id
}

// table is an export as a reader has it.
type table struct {
	names []string
	rows  []map[string]string
}

func (s *site) write(r export.Request) []byte {
	s.Helper()
	var b bytes.Buffer
	if err := export.Write(s.Context(), s.books, r, &b); err != nil {
		s.Fatal(err)
	}
	return b.Bytes()
}

func readCSV(t testing.TB, data []byte) table {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(records) == 0 {
		t.Fatalf("%v: %.500s", err, data)
	}
	got := table{names: records[0]}
	for _, r := range records[1:] {
		row := map[string]string{}
		for i, v := range r {
			row[got.names[i]] = v
		}
		got.rows = append(got.rows, row)
	}
	return got
}

// readJSONL reads the same, with null as nothing.
func readJSONL(t testing.TB, data []byte) table {
	t.Helper()
	var got table
	for line := range bytes.Lines(data) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		row := map[string]string{}
		names := []string{}
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		for d.More() {
			name, err := d.Token()
			var value any
			if err == nil {
				err = d.Decode(&value)
			}
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			names = append(names, name.(string))
			switch v := value.(type) {
			case nil:
				row[name.(string)] = ""
			case map[string]any:
				b, _ := json.Marshal(v)
				row[name.(string)] = string(b)
			default:
				row[name.(string)] = fmt.Sprint(v)
			}
		}
		got.names, got.rows = names, append(got.rows, row)
	}
	return got
}

func (tab table) sum(t testing.TB, column string) (sum pricing.Sum) {
	t.Helper()
	for _, row := range tab.rows {
		amount, err := pricing.ParseDollars(row[column])
		if err != nil {
			t.Fatalf("%s: %v", column, err)
		}
		sum = sum.Add(amount)
	}
	return sum
}

// paid is what the audit says was paid in all.
func (s *site) paid() pricing.Sum {
	s.Helper()
	sum, err := audit.Sum(s.Context(), s.books)
	if err != nil {
		s.Fatal(err)
	}
	return sum.Billed.USD
}

// agree checks that all tables come to what the audit says, in both formats.
func (s *site) agree() (postings, streams table) {
	s.Helper()
	want := s.paid()
	for _, what := range []string{export.Postings, export.Streams} {
		asCSV := readCSV(s.TB, s.write(export.Request{What: what, Format: export.CSV}))
		asJSON := readJSONL(s.TB, s.write(export.Request{What: what, Format: export.JSONL}))
		if !slices.Equal(asCSV.names, asJSON.names) || len(asCSV.rows) != len(asJSON.rows) {
			s.Fatalf("%s: columns %q and %q, %d and %d rows", what, asCSV.names, asJSON.names, len(asCSV.rows), len(asJSON.rows))
		}
		for i, row := range asCSV.rows {
			for name, v := range row {
				if v != asJSON.rows[i][name] && v != "'"+asJSON.rows[i][name] {
					s.Errorf("%s: %s is %q in CSV and %q in JSON", what, name, v, asJSON.rows[i][name])
				}
			}
		}
		if got := asCSV.sum(s.TB, "BilledCost"); got != want {
			s.Errorf("%s: the rows sum to %s, the audit has %s", what, got, want)
		}
		if what == export.Postings {
			postings = asJSON
		} else {
			streams = asJSON
		}
	}
	return postings, streams
}

func input(fresh, cached int64) map[token.Kind]int64 {
	return map[token.Kind]int64{token.Input: fresh, token.CacheRead: cached}
}

// expect compares some columns of a row.
func expect(t *testing.T, row map[string]string, want ...string) {
	t.Helper()
	for i := 0; i < len(want); i += 2 {
		if got, ok := row[want[i]]; !ok || got != want[i+1] {
			t.Errorf("%s is %q, want %q", want[i], got, want[i+1])
		}
	}
}
