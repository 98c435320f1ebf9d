package reprice_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/ledger/ledgertest"
	"github.com/recoup-gateway/recoup/internal/reprice"
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
	*testing.T
	books *ledger.Ledger
	next  atomic.Uint32
}

func newSite(t *testing.T) *site {
	t.Helper()
	l := ledgertest.Open(t, t.TempDir())
	return &site{T: t, books: l}
}

func bookWith(t *testing.T, text string) *pricing.Book {
	t.Helper()
	o, err := pricing.ParseOverlay("later.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := pricing.Embedded().Over(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// attempt is one as the tests post it, at the embedded prices.
type attempt struct {
	model   string
	asked   string
	tier    string
	input   map[token.Kind]int64
	output  int64
	written int64 // of the output, then the grace ends; 0: it comes whole
	pending bool
}

func (s *site) post(a attempt) ledger.ID {
	s.Helper()
	n := s.next.Add(1)
	at := noon.Add(time.Duration(n) * time.Second)
	q := pricing.Query{Provider: "openai", Model: a.asked, At: at, ServiceTier: a.tier}
	for kind, n := range a.input {
		if !kind.IsTool() {
			q.InputTokens += n
		}
	}
	rates, reason := pricing.Embedded().Rates(q)
	e := settle.Evidence{
		History: books.History{Facts: books.Facts{
			Input: a.input, Rates: rates, Caching: rates.Caching(), Output: a.output, Events: 3, Visible: []int64{0, a.written, a.output}, Terminal: 2,
			Streamed: true, OnCancel: books.BillingStops, Reclaimable: true,
		}},
		Input: token.Exactly(q.InputTokens), Output: token.Exactly(a.output), Unpriced: string(reason),
		Bases: settle.Bases{Input: token.Reported, Output: token.Reported},
	}
	f := &e.History.Facts
	e.History.Steps = []books.Step{{At: at, Do: books.Attach, Conn: 1}, {At: at, Do: books.Recv, N: 3}, {At: at, Do: books.Write, Conn: 1, To: 3}}
	switch {
	case a.pending:
		e.History.Steps = e.History.Steps[:2]
	case a.written > 0:
		received := a.output
		f.Received, f.Terminal = &received, books.NoTerminal
		e.Bases.Output = token.Counted
		e.History.Steps = []books.Step{
			{At: at, Do: books.Attach, Conn: 1}, {At: at, Do: books.Recv, N: 2}, {At: at, Do: books.Write, Conn: 1, To: 2},
			{At: at, Do: books.Detach, Conn: 1, Cause: books.Client}, {At: at, Do: books.Recv, N: 1}, {At: at, Do: books.Grace}, {At: at, Do: books.Retention},
		}
	}
	b, err := books.Keep(e.History)
	if err != nil || b.Settled == a.pending {
		s.Errorf("settled %v, %v", b.Settled, err) // not Fatal: others than the test's goroutine post too
		return ledger.ID{}
	}
	if b.Unpriced && e.Unpriced == "" {
		e.Unpriced = string(pricing.NoRate)
	}
	p, err := e.Posting(b)
	if err != nil {
		s.Error(err)
		return ledger.ID{}
	}
	id := ledger.ID{14: byte(n >> 8), 15: byte(n)}
	p.Attempt = ledger.Attempt{
		Stream: id, Number: 1, Provider: "openai", Model: a.model, AskedModel: a.asked, ServiceTier: a.tier, RequestID: fmt.Sprint("req_", n), At: at, Ended: at,
	}
	if posted, err := s.books.Post(p); err != nil || !posted {
		s.Errorf("%v, %v", posted, err)
	}
	return id
}

func (s *site) row(id ledger.ID) ledger.Row {
	s.Helper()
	row, err := s.books.Get(id, 1)
	if err != nil {
		s.Fatal(err)
	}
	return row
}

func (s *site) run(book *pricing.Book, post bool) reprice.Result {
	s.Helper()
	r, err := reprice.Run(s.Context(), s.books, book, reprice.Request{Since: noon, Post: post})
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// bill is what an attempt's bill comes to, and its price variance.
func bill(b ledger.Bill) (total, variance pricing.Picodollars) {
	for _, l := range append(b.Input[:len(b.Input):len(b.Input)], b.Output) {
		total += l.Amount
		variance += l.Variance
	}
	return total, variance
}

// identities checks every attempt and the sums: bill = Σ rate × quantity at the first
// price + variance = Σ outcomes + input, and what counters and accounts say of it.
func (s *site) identities() (total pricing.Sum) {
	s.Helper()
	var variances, settled pricing.Sum
	err := s.books.Attempts(s.Context(), 0, func(row ledger.Row) error {
		first := row.Current
		if len(row.Earlier) > 0 {
			first = row.Earlier[0]
		}
		var e settle.Evidence
		if err := json.Unmarshal(first.Evidence, &e); err != nil {
			return err
		}
		listed := pricing.Picodollars(0)
		b := row.Current.Bill
		for _, l := range append(b.Input[:len(b.Input):len(b.Input)], b.Output) {
			rate, _ := e.History.Rates.Of(l.Kind)
			amount, err := rate.Times(l.Tokens)
			if err != nil {
				return err
			}
			listed += amount
			if l.Amount != amount+l.Variance {
				s.Errorf("%s: %s costs %s, of that %s are variance, and it was %s", row.ID(), l.Kind, l.Amount, l.Variance, amount)
			}
		}
		amount, variance := bill(b)
		if amount != listed+variance || b.PriceVersion != e.History.Rates.Version {
			s.Errorf("%s: %s is not %s + %s; version %s, first %s", row.ID(), amount, listed, variance, b.PriceVersion, e.History.Rates.Version)
		}
		if o := row.Current.Outcomes; o != nil {
			sum := amount - b.Output.Amount
			for _, out := range o.Output {
				sum += out.Amount
			}
			if sum != amount {
				s.Errorf("%s: outcomes and input are %s, the bill %s", row.ID(), sum, amount)
			}
			settled = settled.Add(amount)
		}
		total, variances = total.Add(amount), variances.Add(variance)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	s.sums(total, variances, settled)
	return total
}

// sums compares the ledger's accounts and counters, and the audit.
func (s *site) sums(total, variances, settled pricing.Sum) {
	s.Helper()
	var owed pricing.Sum
	for _, b := range s.books.Balances() {
		if b.Account == "price_variance" {
			owed = owed.Minus(b.Amount)
		}
	}
	counted := pricing.Sum{}
	totals := s.books.Totals()
	for _, c := range totals.Cost {
		counted = counted.Plus(c.Amount)
	}
	for _, a := range totals.Adjustments {
		switch {
		case a.Of != "outcomes":
		case a.Sign == "plus":
			counted = counted.Plus(a.Amount)
		default:
			counted = counted.Minus(a.Amount)
		}
	}
	sum, err := audit.Sum(s.Context(), s.books)
	if err != nil {
		s.Fatal(err)
	}
	if owed != variances || counted != settled || sum.Billed.USD != total || sum.Imbalance != 0 {
		s.Errorf("variance on its account %s, of the attempts %s; counters %s, settled %s; audit %s, bills %s; imbalance %d",
			owed, variances, counted, settled, sum.Billed.USD, total, sum.Imbalance)
	}
	if _, err := s.books.Verify(s.Context(), nil); err != nil {
		s.Error(err)
	}
}

const later = `
prices:
- provider: openai
  model: gpt-5.5
  valid_from: 2026-11-01
  known_from: 2026-11-20
  rates: {input: 4, cache_read: 0.4, output: 33}
  long: {above: 272000, input: 8, cache_read: 0.8, output: 40}
  flex: {input: 2, cache_read: 0.4, output: 12}
  tools: {web_search: 0.01}
- {provider: openai, model: house-model, rates: {input: 1, output: 2}}
`

func input(fresh, cached int64) map[token.Kind]int64 {
	return map[token.Kind]int64{token.Input: fresh, token.CacheRead: cached}
}

func TestReprice(t *testing.T) {
	s := newSite(t)
	whole := s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: input(2000, 8000), output: 1500})
	graced := s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5-2026-04-23", input: input(2000, 0), output: 1000, written: 600})
	pending := s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: input(10, 0), output: 10, pending: true})
	flex := s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", tier: "flex", input: input(1_000_000/4, 0), output: 100})
	long := s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: input(300_000, 0), output: 100})
	tool := s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: map[token.Kind]int64{token.Input: 100, token.Tool("web_search"): 3}, output: 100})
	house := s.post(attempt{model: settle.Other, asked: "house-model", input: input(1000, 0), output: 1000})
	s.post(attempt{model: "gpt-5-mini", asked: "gpt-5-mini", input: input(1000, 0), output: 1000})
	s.post(attempt{model: settle.Other, asked: "nobodys", input: input(1000, 0), output: 1000})
	before := s.identities()

	if r := s.run(pricing.Embedded(), true); len(r.Changes) != 0 || r.Posted != 0 || r.Attempts != 9 || r.Unpriced != 2 {
		t.Errorf("the same book: %+v", r)
	}
	book := bookWith(t, later)
	shown := s.run(book, false)
	if len(s.row(whole).Earlier) != 0 || s.identities() != before {
		t.Error("it was only to be shown")
	}
	posted := s.run(book, true)
	if posted.Posted != 7 || shown.Posted != 0 || posted.Difference != shown.Difference || len(posted.Changes) != len(shown.Changes) || posted.Unpriced != 1 {
		t.Errorf("shown %+v\nposted %+v", shown, posted)
	}
	after := s.identities()
	if after.Minus(before) != posted.Difference {
		t.Errorf("bills grew by %s, not %s", after.Minus(before), posted.Difference)
	}
	for _, c := range posted.Changes {
		if c.From != "later.yaml:3" && c.From != "later.yaml:11" || c.After != book.Version() {
			t.Errorf("%+v", c)
		}
	}
	for id, want := range map[ledger.ID]string{
		whole: "0.0607", graced: "0.041", pending: "0.00037", flex: "0.5012", long: "2.404", tool: "0.0337", house: "0.003",
	} {
		row := s.row(id)
		if amount, _ := bill(row.Current.Bill); amount.String() != want || row.Current.Reason != ledger.PriceVariance || row.Current.Number != 1 ||
			row.Current.Bill.Unpriced != "" || (row.Current.Outcomes == nil) != (id == pending) {
			t.Errorf("%s costs %s, want %s: %+v", row.ID(), amount, want, row.Current)
		}
	}
	if _, v := bill(s.row(house).Current.Bill); v.String() != "0.003" {
		t.Errorf("of what had no price all is variance, not %s", v)
	}
	// Again there is nothing to do; back, and all is as it was.
	if r := s.run(book, true); len(r.Changes) != 0 || r.Posted != 0 {
		t.Errorf("again: %+v", r)
	}
	if r := s.run(pricing.Embedded(), true); r.Posted != 6 || r.Lost != 1 {
		t.Errorf("back: %+v", r)
	}
	if _, v := bill(s.row(whole).Current.Bill); v != 0 || len(s.row(whole).Earlier) != 2 {
		t.Errorf("variance %s, %d earlier revisions", v, len(s.row(whole).Earlier))
	}
	s.identities()
}

// What bills had beyond the books was worked out with the prices before, if it is of days
// on which something changes.
func TestRepriceAfterComparison(t *testing.T) {
	s := newSite(t)
	s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: input(2000, 0), output: 1000})
	book := bookWith(t, later)
	if r := s.run(book, false); len(r.Changes) != 1 || len(r.Again) != 0 {
		t.Errorf("no bill was compared: %+v", r)
	}
	day := noon.Format(time.DateOnly)
	for _, u := range []ledger.Unexplained{
		{Provider: "openai", Model: "gpt-5.5", Day: day},
		{Provider: "openai", Model: "gpt-5-mini", Day: day, Amount: 5},
		{Provider: "openai", Model: "gpt-5.5", Day: noon.AddDate(0, 0, 1).Format(time.DateOnly), Amount: 5},
		{Provider: "anthropic", Model: "gpt-5.5", Day: day, Amount: 5},
	} {
		if _, err := s.books.PostUnexplained(u); err != nil {
			t.Fatal(err)
		}
	}
	for _, post := range []bool{false, true} {
		if r := s.run(book, post); !slices.Equal(r.Again, []reprice.Day{{Provider: "openai", Day: day}}) {
			t.Errorf("posted %v: %+v", post, r)
		}
	}
	if r := s.run(book, true); len(r.Again) != 0 {
		t.Errorf("nothing changed: %+v", r)
	}
}

// A bill of the provider corrects tokens, at the price that stands; what part of it is
// variance is still known.
func TestRepriceThenReconcile(t *testing.T) {
	s := newSite(t)
	id := s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: input(2000, 0), output: 1000, written: 600})
	s.run(bookWith(t, later), true)
	line := audit.Line{RequestID: "req_1", Model: "gpt-5.5", Input: input(2000, 0), Output: 1012, Hidden: token.Known(0), Started: noon.Add(time.Second)}
	b := audit.Bill{Provider: "openai", Complete: true, From: noon.Add(-12 * time.Hour), To: noon.Add(12 * time.Hour), Lines: []audit.Line{line}}
	for n, want := range []int{1, 0} {
		r, err := audit.Reconcile(t.Context(), s.books, pricing.Embedded(), b)
		if err != nil || r.Revisions != want || r.Unexplained != 0 {
			t.Errorf("%d: %+v, %v", n, r, err)
		}
	}
	s.identities()
	if amount, v := bill(s.row(id).Current.Bill); amount.String() != "0.041396" || v.String() != "0.001036" {
		t.Errorf("%s, of that variance %s", amount, v)
	}
	// And the other way round: a new price for what was reconciled, and the same bill once more.
	if r := s.run(pricing.Embedded(), true); r.Posted != 1 {
		t.Errorf("%+v", r)
	}
	if r, err := audit.Reconcile(t.Context(), s.books, pricing.Embedded(), b); err != nil || r.Revisions != 0 || r.Unexplained != 0 || r.Estimated != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	s.identities()
}

// Whatever was posted, and whichever prices become known, the identities hold.
func TestRandomReprices(t *testing.T) {
	s := newSite(t)
	r := rand.New(rand.NewPCG(3, 9))
	models := []string{"gpt-5.5", "gpt-5-mini", "gpt-5.4", "house-model"}
	for range 60 {
		model := models[r.IntN(len(models))]
		a := attempt{model: model, asked: model, input: input(r.Int64N(400_000), r.Int64N(5000)), output: r.Int64N(3000), pending: r.IntN(5) == 0}
		if model == "house-model" {
			a.model = settle.Other
		}
		if r.IntN(4) == 0 {
			a.tier = "flex"
		}
		if r.IntN(4) == 0 {
			a.input[token.Tool("web_search")] = r.Int64N(5)
		}
		if !a.pending && r.IntN(2) == 0 {
			a.written = r.Int64N(a.output + 1)
		}
		s.post(a)
	}
	s.identities()
	for range 4 {
		text := "prices:\n"
		for _, model := range models {
			text += fmt.Sprintf("- {provider: openai, model: %s, rates: {input: %d.%06d, cache_read: 0.%d, output: %d}, flex: {input: 1, output: %d}, tools: {web_search: 0.0%d}}\n",
				model, r.IntN(9), r.IntN(1e6), r.IntN(9), r.IntN(60), r.IntN(60), r.IntN(9))
		}
		book := bookWith(t, text)
		before := s.identities()
		shown, posted := s.run(book, false), s.run(book, true)
		if shown.Difference != posted.Difference || s.identities().Minus(before) != posted.Difference || posted.Posted == 0 {
			t.Errorf("shown %s, posted %s", shown.Difference, posted.Difference)
		}
	}
}

// A price that will be known only later is none yet.
func TestRepriceByTheFuture(t *testing.T) {
	s := newSite(t)
	s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: input(100, 0), output: 10})
	future := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
	book := bookWith(t, "prices:\n- {provider: openai, model: gpt-5.5, known_from: "+future+", rates: {input: 1, output: 2}}\n")
	if r := s.run(book, false); r.Attempts != 1 || len(r.Changes) != 0 {
		t.Errorf("%+v", r)
	}
}

// Only attempts of the time that was asked for, page after page.
func TestRepricePages(t *testing.T) {
	s := newSite(t)
	const each, hands = 35, 32
	var wg sync.WaitGroup
	for range hands { // they share the ledger's syncs
		wg.Go(func() {
			for range each {
				s.post(attempt{model: "gpt-5.5", asked: "gpt-5.5", input: input(100, 0), output: 10})
			}
		})
	}
	wg.Wait()
	r, err := reprice.Run(t.Context(), s.books, bookWith(t, later), reprice.Request{Since: noon.Add(51 * time.Second), Until: noon.Add(1101 * time.Second)})
	if err != nil || r.Attempts != 1050 || r.Changes[0].Attempts != 1050 {
		t.Errorf("%+v, %v", r, err)
	}
}
