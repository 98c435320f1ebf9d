package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/export"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/reprice"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// The fourth of the design's worked examples, row by row.
func TestPostings(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, model: "gpt-5.5", input: input(2000, 0), output: 1000, written: 600})
	postings, streams := s.agree()
	if len(postings.rows) != 3 {
		t.Fatalf("%d rows", len(postings.rows))
	}
	expect(t, postings.rows[0], "BilledCost", "0.01", "EffectiveCost", "0.01", "ListCost", "0.01", "ConsumedQuantity", "2000", "ConsumedUnit", "Tokens",
		"PricingQuantity", "0.002", "PricingUnit", "1000000 Tokens", "ListUnitPrice", "5", "ContractedUnitPrice", "5", "x_Kind", "input", "x_Outcome", "wasted",
		"x_Cause", "abandoned", "ChargeClass", "", "ChargePeriodStart", "2026-11-23T12:00:01.000Z", "ChargePeriodEnd", "2026-11-23T12:00:02.000Z",
		"BillingPeriodStart", "2026-11-01T00:00:00.000Z", "BillingPeriodEnd", "2026-12-01T00:00:00.000Z", "ProviderName", "openai", "SkuId", "openai/gpt-5.5",
		"SkuPriceId", "openai/gpt-5.5/standard/input", "ResourceId", "00010000000000000000000000000001/1", "Tags", `{"a":"b","team":"search"}`,
		"x_Schema", "recoup-postings-1", "x_PriceVariance", "0", "x_PriceVersion", pricing.Embedded().Version(), "x_Basis", "reported", "x_Entry", "charge",
		"ChargeDescription", "input of gpt-5.5, wasted (abandoned)")
	expect(t, postings.rows[1], "x_Kind", "output", "x_Outcome", "lost", "x_Cause", "abandoned", "ConsumedQuantity", "400", "BilledCost", "0.012",
		"ListCost", "0.012", "ListUnitPrice", "30", "x_Basis", "counted")
	expect(t, postings.rows[2], "x_Kind", "output", "x_Outcome", "wasted", "ConsumedQuantity", "600", "BilledCost", "0.018")
	expect(t, streams.rows[0], "BilledCost", "0.04", "ResourceId", "00010000000000000000000000000001", "x_WastedTokens", "600", "x_LostTokens", "400",
		"x_DeliveredTokens", "0", "x_WastedCost", "0.028", "x_LostCost", "0.012", "x_OverheadTokens", "400", "x_OverheadCost", "0.012", "x_Breaks", "1",
		"x_Settled", "true", "x_Basis", "counted", "x_Schema", "recoup-streams-1", "x_InputTokens", "2000")
}

// A negotiated price has the list price beside it, a correction has rows of its own.
func TestCorrections(t *testing.T) {
	s := newSite(t)
	overlay := func(text string) *pricing.Book {
		o, err := pricing.ParseOverlay("p.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		b, err := pricing.Embedded().Over(o)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	discounted := overlay("prices:\n- {provider: openai, model: gpt-5.5, discount: 0.8}\n")
	s.post(attempt{n: 1, book: discounted, model: "gpt-5.5", input: input(2000, 100), output: 1000, hidden: 500, written: 300})
	s.post(attempt{n: 2, model: "nobodys", input: input(2000, 0), output: 1000})
	postings, _ := s.agree()
	expect(t, postings.rows[0], "x_Kind", "cache_read", "BilledCost", "0.00004", "ListCost", "0.00005", "ListUnitPrice", "0.5", "ContractedUnitPrice", "0.4", "x_PriceStatus", "negotiated")
	expect(t, postings.rows[len(postings.rows)-1], "BilledCost", "0", "ListCost", "0", "ContractedUnitPrice", "", "x_Unpriced", "unknown_model",
		"x_Model", "other", "x_AskedModel", "nobodys", "SkuPriceId", "openai/other/unpriced/output")
	before := len(postings.rows)

	dearer := overlay("prices:\n- {provider: openai, model: gpt-5.5, rates: {input: 5, cache_read: 0.5, output: 33.333333}}\n")
	if _, err := reprice.Run(t.Context(), s.books, dearer, reprice.Request{Since: noon, Post: true}); err != nil {
		t.Fatal(err)
	}
	postings, _ = s.agree()
	var reversed, variance pricing.Sum
	corrections := 0
	for _, row := range postings.rows {
		amount, _ := pricing.ParseDollars(row["BilledCost"])
		part, _ := pricing.ParseDollars(row["x_PriceVariance"])
		switch {
		case row["ChargeClass"] == "":
			reversed = reversed.Add(amount)
		case row["x_Entry"] == "reversal":
			corrections++
			reversed = reversed.Add(amount)
			expect(t, row, "x_Reason", "price_variance", "x_Revision", "0")
		default:
			corrections++
			variance = variance.Add(part)
			expect(t, row, "x_Reason", "price_variance", "x_Revision", "1", "x_PriceVersion", discounted.Version())
		}
	}
	if len(postings.rows) != before+corrections || corrections != 8 || reversed.Sign() != 0 {
		t.Errorf("%d rows, before %d, %d are corrections; charges and their reversals come to %s", len(postings.rows), before, corrections, reversed)
	}
	// $0.01004 and $0.024 became $0.01005 and $0.033333333.
	if variance.String() != "0.011343333" {
		t.Errorf("variance %s", variance)
	}
}

// Whatever is posted and corrected, the rows come to what the audit says.
func TestRandomExports(t *testing.T) {
	s := newSite(t)
	r := rand.New(rand.NewPCG(5, 5))
	for n := range 48 {
		a := attempt{n: n, model: []string{"gpt-5.5", "gpt-5-mini", "gpt-5.6-sol", "nobodys"}[r.IntN(4)], input: input(r.Int64N(400_000), r.Int64N(5000)), output: r.Int64N(3000), pending: r.IntN(6) == 0}
		a.hidden = r.Int64N(a.output/2 + 1)
		if r.IntN(3) == 0 {
			a.input[token.Tool("web_search")] = r.Int64N(4)
		}
		if !a.pending && r.IntN(2) == 0 {
			a.written = r.Int64N(a.output - a.hidden + 1)
		}
		s.post(a)
	}
	s.agree()
	for range 3 {
		text := fmt.Sprintf("prices:\n- {provider: openai, model: gpt-5.5, rates: {input: %d.%06d, cache_read: 0.1, output: %d, reasoning: 7.777777}, tools: {web_search: 0.01}}\n", r.IntN(9), r.IntN(1e6), r.IntN(60))
		o, err := pricing.ParseOverlay("p.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		book, err := pricing.Embedded().Over(o)
		if err == nil {
			_, err = reprice.Run(t.Context(), s.books, book, reprice.Request{Since: noon, Post: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		postings, streams := s.agree()
		if got := postings.sum(t, "x_PriceVariance"); got != streams.sum(t, "x_PriceVariance") {
			t.Errorf("variance: postings %s, streams %s", got, streams.sum(t, "x_PriceVariance"))
		}
	}
	// Windows are disjoint and leave nothing out, and the same asked twice is the same.
	all := readCSV(t, s.write(export.Request{Format: export.CSV}))
	parts := 0
	for n := 0; n < 48; n += 12 {
		w := export.Request{Format: export.CSV, Since: noon.Add(time.Duration(n) * time.Second), Until: noon.Add(time.Duration(n+12) * time.Second)}
		parts += len(readCSV(t, s.write(w)).rows)
		if !bytes.Equal(s.write(w), s.write(w)) {
			t.Error("the same export twice differs")
		}
	}
	if parts != len(all.rows) || parts == 0 {
		t.Errorf("%d rows in the windows, %d in all", parts, len(all.rows))
	}
}

// What a client can write into the books is no formula in a spreadsheet, and is what it
// was in JSON.
func TestHostileTexts(t *testing.T) {
	s := newSite(t)
	for n, text := range []string{`=cmd|' /C calc'!A1`, "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'quoted", `a,"b"` + "\nc", "＝1", "ordinary"} {
		s.post(attempt{n: n, model: "gpt-5.5", input: input(1, 0), output: 1, change: func(a *ledger.Attempt) {
			a.AskedModel, a.Tags = text, map[string]string{text: text}
		}})
	}
	asCSV := readCSV(t, s.write(export.Request{Format: export.CSV}))
	asJSON := readJSONL(t, s.write(export.Request{Format: export.JSONL}))
	for i, row := range asCSV.rows {
		text, model := row["x_AskedModel"], asJSON.rows[i]["x_AskedModel"]
		if strings.ContainsAny(text[:1], "=+-@\t\r") || strings.HasPrefix(text, "＝") {
			t.Errorf("%q is a formula", text)
		}
		if undone := strings.TrimPrefix(text, "'"); strings.ReplaceAll(undone, "\r\n", "\n") != model {
			t.Errorf("%q is %q in JSON", text, model)
		}
		var tags map[string]string
		if err := json.Unmarshal([]byte(row["Tags"]), &tags); err != nil || tags[model] != model || row["Tags"][0] != '{' {
			t.Errorf("tags %q, %v", row["Tags"], err)
		}
	}
}

func TestRefuses(t *testing.T) {
	s := newSite(t)
	for _, tt := range []struct {
		r    export.Request
		want string
	}{
		{export.Request{Format: "xml"}, `format: "xml": want csv or jsonl`},
		{export.Request{}, `format: "": want csv or jsonl`},
		{export.Request{Format: export.CSV, What: "money"}, `what: "money": want postings, streams or adjustments`},
		{export.Request{Format: export.CSV, Since: noon, Until: noon.Add(-time.Hour)}, "until, 2026-11-23T11:00:00Z, is not after since, 2026-11-23T12:00:00Z"},
	} {
		if err := export.Write(t.Context(), s.books, tt.r, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s", tt.r, err, tt.want)
		}
	}
	full := errors.New("disk full")
	if err := export.Write(t.Context(), s.books, export.Request{Format: export.CSV}, failing{full}); !errors.Is(err, full) {
		t.Errorf("an error of the writer: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Of months that were summarised a header says what is missing; the rows add up alone.
func TestMissing(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, model: "gpt-5.5", input: input(2000, 0), output: 1000})
	if _, err := s.books.PostUnexplained(ledger.Unexplained{Provider: "openai", Model: "gpt-5.5", Day: "2026-11-23", Amount: 5_000_000_000}); err != nil {
		t.Fatal(err)
	}
	s.post(attempt{n: 2 * 31 * 86400, model: "gpt-5.5", input: input(2000, 0), output: 1000})
	if done, err := s.books.Summarise(t.Context(), noon.AddDate(0, 1, 0)); err != nil || done.Attempts != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	server := httptest.NewServer(export.Handler(s.books, slog.New(slog.DiscardHandler)))
	defer server.Close()
	for query, want := range map[string]string{
		"":                  "not in the rows: 1 attempt of 2026-11, of which only the sums of the whole months remain; they came to 0.04 USD",
		"&since=2026-11-30": "not in the rows: 1 attempt of 2026-11, of which only the sums of the whole months remain; they came to 0.04 USD",
		"&since=2026-12":    "", "&until=2026-11": "",
		"&what=adjustments": "not in the rows: adjustments of 2026-11, of which only the sums of the whole months remain; they came to 0.005 USD",
	} {
		resp, err := server.Client().Get(server.URL + "?format=csv" + query)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get(export.MissingHeader); resp.StatusCode != http.StatusOK || got != want {
			t.Errorf("%q: %s, %q, want %q", query, resp.Status, got, want)
		}
	}
}

func TestHandler(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, model: "gpt-5.5", input: input(2000, 0), output: 1000})
	server := httptest.NewServer(export.Handler(s.books, nil))
	defer server.Close()
	get := func(query string) (*http.Response, string) {
		t.Helper()
		resp, err := server.Client().Get(server.URL + "/api/v1/export?" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	resp, body := get("format=csv&since=2026-11-23&until=2026-12")
	if resp.StatusCode != http.StatusOK || body != string(s.write(export.Request{Format: export.CSV})) || resp.Header.Get("Recoup-Export-Schema") != "recoup-postings-1" ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("%s %v: %.200s", resp.Status, resp.Header, body)
	}
	resp, body = get("format=jsonl&what=streams")
	if resp.StatusCode != http.StatusOK || body != string(s.write(export.Request{What: export.Streams, Format: export.JSONL})) || resp.Header.Get("Recoup-Export-Schema") != "recoup-streams-1" {
		t.Errorf("%s: %.200s", resp.Status, body)
	}
	for query, want := range map[string]string{
		"": "want csv or jsonl", "format=csv&from=1": "unknown parameter", "format=csv&since=soon": "want a day", "format=csv&format=jsonl": "is there 2 times", "format=csv&since=2026-12&until=2026-11": "is not after since",
	} {
		if resp, body := get(query); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, want) || !strings.Contains(body, `"code":"invalid_request"`) {
			t.Errorf("%q: %s %s", query, resp.Status, body)
		}
	}
}

// The books of a gateway that runs, one that was killed, and a directory that can't be
// written are read alike, and left as they are.
func TestDirectories(t *testing.T) {
	s := newSite(t)
	for n := range 50 {
		s.post(attempt{n: n, model: "gpt-5.5", input: input(2000, 0), output: 1000})
	}
	want := s.write(export.Request{Format: export.CSV})
	check := func(name, dir string, open func(string, ledger.Options) (*ledger.Ledger, error)) {
		t.Helper()
		before := files(t, dir)
		l, err := open(dir, ledger.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var b bytes.Buffer
		if err := export.Write(t.Context(), l, export.Request{Format: export.CSV}, &b); err != nil || !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s: %v, %d bytes, want %d", name, err, b.Len(), len(want))
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if after := files(t, dir); after != before {
			t.Errorf("%s: the files were\n%s\nand are\n%s", name, before, after)
		}
	}
	check("in use", s.dir, openCopy)
	if _, err := ledger.OpenReadOnly(s.dir, ledger.Options{}); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("in use: %v", err)
	}
	// A copy of what is in use is what a kill leaves.
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	check("killed", killed, ledger.OpenReadOnly)
	for _, dir := range []string{filepath.Join(killed, "ledger"), killed} {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(dir, 0o700)
	}
	check("read-only", killed, openCopy)
}

func openCopy(dir string, opts ledger.Options) (*ledger.Ledger, error) {
	l, _, err := ledger.OpenCopy(context.Background(), dir, "", opts)
	return l, err
}

// files are names and sizes below a directory, but for what only holds a lock.
func files(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LOCK" || d.Name() == "ledger.lock" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(&b, "%s %d\n", path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// postMany posts attempts from many goroutines, which share the ledger's syncs.
func (s *site) postMany(hands, each int) {
	s.Helper()
	var wg sync.WaitGroup
	for hand := range hands {
		wg.Go(func() {
			for n := range each {
				s.post(attempt{n: hand*each + n, model: "gpt-5.5", input: input(2000, 100), output: 1000, written: 300})
			}
		})
	}
	wg.Wait()
}

// BenchmarkWrite writes out attempts of four rows each; the time is of one attempt.
func BenchmarkWrite(b *testing.B) {
	const hands, each = 64, 32
	s := newSite(b)
	s.postMany(hands, each)
	for _, r := range []export.Request{{Format: export.CSV}, {Format: export.JSONL}, {Format: export.CSV, What: export.Streams}} {
		b.Run(r.Format+r.What, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; n < b.N; n += hands * each {
				if err := export.Write(b.Context(), s.books, r, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// An export of many attempts takes no more memory than one of few.
func TestConstantMemory(t *testing.T) {
	s := newSite(t)
	const hands, each = 64, 20
	s.postMany(hands, each)
	grown := func(until time.Time) uint64 {
		p := &peak{}
		if err := export.Write(t.Context(), s.books, export.Request{Format: export.JSONL, Since: noon, Until: until}, p); err != nil {
			t.Fatal(err)
		}
		if p.writes < 2 {
			t.Fatalf("%d writes", p.writes)
		}
		return p.most
	}
	few := grown(noon.Add(hands * each / 16 * time.Second))
	if all := grown(time.Time{}); all > few+16<<20 {
		t.Errorf("%d bytes for a sixteenth, %d for all", few, all)
	}
}

// peak notes the most memory that was in use at any write.
type peak struct {
	writes int
	most   uint64
}

func (p *peak) Write(b []byte) (int, error) {
	if p.writes++; p.writes%8 == 1 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	return len(b), nil
}
