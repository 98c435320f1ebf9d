package bucket_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

var day = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// site is a real ledger, and the bill that would agree with it.
type site struct {
	*testing.T
	books *ledger.Ledger
	n     byte
	bill  map[[2]string]*line // by model and day
	s     vendor.Statement
}

type line struct {
	tokens   vendor.Tokens
	requests int64
	usd      pricing.Sum
}

func newSite(t *testing.T) *site {
	t.Helper()
	l, err := ledger.Open(t.TempDir(), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{T: t, books: l, bill: map[[2]string]*line{}, s: vendor.Statement{
		Vendor: "openai", Provider: "openai", From: day, To: day.AddDate(0, 0, 2), Width: 24 * time.Hour, HasUsage: true, HasCosts: true, AnyTier: true,
	}}
}

// call is an attempt of 2,000 tokens of input and 1,500 of output.
type call struct {
	model    string
	at       time.Time
	cut      string     // on_cancel of one that was cut, and is estimated: 600 tokens came
	bounds   [2]int64   // of its output
	billedOn *time.Time // another day
	unbilled bool
	searches int64 // on the web, whose amount is not in the model's line
}

func (s *site) post(c call) {
	s.Helper()
	s.n++
	rates, _ := pricing.Embedded().Rates(pricing.Query{Provider: "openai", Model: c.model, At: c.at})
	e := settle.Evidence{
		History: books.History{
			Facts: books.Facts{
				Input: map[token.Kind]int64{token.Input: 2000}, Rates: rates, Caching: rates.Caching(),
				Output: 1500, Events: 3, Visible: []int64{0, 1500, 1500}, Terminal: 2, Streamed: true, OnCancel: books.BillingStops,
			},
			Steps: []books.Step{{At: c.at, Do: books.Attach, Conn: 1}, {At: c.at, Do: books.Recv, N: 3}, {At: c.at, Do: books.Write, Conn: 1, To: 3}},
		},
		Input: token.Exactly(2000), Output: token.Exactly(1500), Bases: settle.Bases{Input: token.Reported, Output: token.Reported},
	}
	if c.searches > 0 {
		e.History.Facts.Input[token.Tool("web_search")] = c.searches
	}
	if c.cut != "" {
		f, received := &e.History.Facts, int64(600)
		f.Output, f.Received, f.Visible, f.Terminal, f.OnCancel = 600, &received, []int64{0, 600, 600}, books.NoTerminal, c.cut
		e.History.Steps = append(e.History.Steps, books.Step{At: c.at, Do: books.Cancel}, books.Step{At: c.at, Do: books.Retention})
		e.Output, e.Bases.Output = token.Range{Low: c.bounds[0], Point: 600, High: c.bounds[1]}, token.Counted
	}
	b, err := books.Keep(e.History)
	if err != nil || !b.Settled {
		s.Fatalf("settled %v, %v", b.Settled, err)
	}
	p, err := e.Posting(b)
	if err != nil {
		s.Fatal(err)
	}
	p.Attempt = ledger.Attempt{
		Stream: ledger.ID{15: s.n}, Number: 1, Provider: "openai", Model: c.model, AskedModel: c.model,
		RequestID: fmt.Sprint("req_", s.n), At: c.at, Ended: c.at.Add(time.Second),
	}
	if posted, err := s.books.Post(p); err != nil || !posted {
		s.Fatal(posted, err)
	}
	if c.unbilled {
		return
	}
	on := c.at
	if c.billedOn != nil {
		on = *c.billedOn
	}
	at := s.line(c.model, on)
	at.requests++
	at.tokens = at.tokens.Plus(vendor.Tokens{Input: 2000, Output: e.History.Output})
	for _, l := range append(p.Bill.Input, p.Bill.Output) {
		if !l.Kind.IsTool() {
			at.usd = at.usd.Add(l.Amount)
		}
	}
}

func (s *site) line(model string, at time.Time) *line {
	k := [2]string{model, at.Format(time.DateOnly)}
	if s.bill[k] == nil {
		s.bill[k] = &line{}
	}
	return s.bill[k]
}

// more puts something on the bill at list prices.
func (s *site) more(model string, at time.Time, t vendor.Tokens, requests int64) {
	s.Helper()
	l := s.line(model, at)
	l.tokens, l.requests = l.tokens.Plus(t), l.requests+requests
	rates, _ := pricing.Embedded().Rates(pricing.Query{Provider: "openai", Model: model, At: at})
	for kind, n := range t.Kinds() {
		rate, _ := rates.Of(kind)
		amount, err := rate.Times(max(n, -n))
		if err != nil {
			s.Fatal(err)
		}
		if n < 0 {
			amount = -amount
		}
		l.usd = l.usd.Add(amount)
	}
}

func (s *site) dollars(model string, at time.Time, usd string) {
	s.Helper()
	amount, err := pricing.ParseDollars(usd)
	if err != nil {
		s.Fatal(err)
	}
	l := s.line(model, at)
	l.usd = l.usd.Add(amount)
}

func (s *site) statement() *vendor.Statement {
	st := s.s
	for k, l := range s.bill {
		if st.HasUsage {
			st.Usage = append(st.Usage, vendor.UsageSum{Model: k[0], Day: k[1], Tokens: l.tokens, Requests: token.Known(l.requests)})
		}
		if st.HasCosts {
			st.Costs = append(st.Costs, vendor.CostSum{Model: k[0], Day: k[1], USD: l.usd})
		}
	}
	return &st
}

func (s *site) compare(post bool) *bucket.Result {
	s.Helper()
	r, err := bucket.Compare(s.Context(), bucket.Sources{Books: s.books, Prices: pricing.Embedded(), Now: day.AddDate(0, 1, 0)}, s.statement(), post)
	if err != nil {
		s.Fatal(err)
	}
	for _, c := range r.Cells { // the parts are the difference
		tokens, usd := vendor.Tokens{}, pricing.Sum{}
		for _, p := range c.Parts {
			tokens, usd = tokens.Plus(p.Tokens), usd.Plus(p.USD)
		}
		if want := c.Billed.Tokens.Minus(c.Booked.Tokens); s.s.HasUsage && tokens != want {
			s.Errorf("%s %s: the parts are %+v, the difference is %+v", c.Day, c.Model, tokens, want)
		}
		if want := c.Billed.USD.Minus(c.Booked.USD); s.s.HasCosts && usd != want {
			s.Errorf("%s %s: the parts are $%s, the difference is $%s", c.Day, c.Model, usd, want)
		}
	}
	return r
}

// found is what a result names, as "day model part".
func found(r *bucket.Result) (all []string) {
	for _, c := range r.Cells {
		for _, p := range c.Parts {
			all = append(all, fmt.Sprintf("%s %s %s %d/%d $%s", c.Day[8:], c.Model, p.Name, p.Tokens.AllInput(), p.Tokens.Output, p.USD))
		}
	}
	return all
}

func (s *site) expect(r *bucket.Result, want ...string) {
	s.Helper()
	got := found(r)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (s *site) unexplained() map[string]string {
	s.Helper()
	all := map[string]string{}
	err := s.books.Unexplained(s.Context(), func(u ledger.Unexplained) error {
		all[u.Day[8:]+" "+u.Model] = u.Amount.String()
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return all
}

func TestAgrees(t *testing.T) {
	s := newSite(t)
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.post(call{model: "gpt-5-mini", at: day.Add(30 * time.Hour)})
	s.post(call{model: "gpt-5-mini", at: day.Add(47*time.Hour + 59*time.Minute), cut: books.BillingStops, bounds: [2]int64{500, 700}})
	r := s.compare(true)
	s.expect(r)
	if r.State != bucket.Reconciled || r.Agreed != 2 || r.Attempts != 3 || r.Posted != 0 || len(s.unexplained()) != 0 {
		t.Errorf("%+v", r)
	}
}

// Each of the seven is named with its figures, and nothing else is; posted, the books
// come to the bill; and once more nothing is posted.
func TestSevenDifferences(t *testing.T) {
	s := newSite(t)
	noon, next := day.Add(12*time.Hour), day.Add(36*time.Hour)
	for _, m := range []string{"gpt-5.5", "gpt-5-mini", "gpt-5.4", "gpt-5", "gpt-5.4-mini", "gpt-5.1"} {
		s.post(call{model: m, at: noon}) // which agree
		s.post(call{model: m, at: next})
	}
	s.post(call{model: "gpt-5.5", at: noon, cut: books.BillingStops, bounds: [2]int64{550, 650}})
	s.more("gpt-5.5", noon, vendor.Tokens{Output: 12}, 0) // 1: an estimate, within its bounds
	s.more("gpt-5-mini", noon, vendor.Tokens{Input: 700, CacheRead: 300, Output: 80}, 1)
	s.more("gpt-4.1-of-nobody", noon, vendor.Tokens{Input: 50, Output: 7}, 1) // 3: of a model that the books don't know
	s.dollars("gpt-4.1-of-nobody", noon, "0.5")
	s.post(call{model: "gpt-5.4", at: noon, cut: books.BillingStops, bounds: [2]int64{600, 600}})
	s.more("gpt-5.4", noon, vendor.Tokens{Output: 900}, 0)                                        // 4: billed on after a cancel
	s.dollars("gpt-5", noon, "0.001")                                                             // 5: another price
	s.post(call{model: "gpt-5.4-mini", at: day.Add(24*time.Hour - time.Second), billedOn: &next}) // 6: on the next day's bill
	s.more("gpt-5.1", noon, vendor.Tokens{Output: -1}, 0)                                         // 7: a token that nothing explains
	want := []string{
		"23 gpt-5.5 estimated 0/12 $0.00036",
		"23 gpt-5-mini bypassed 1000/80 $0.0003425",
		"23 gpt-4.1-of-nobody bypassed 50/7 $0.5",
		"23 gpt-5.4 on_cancel 0/900 $0.0135",
		"23 gpt-5 price 0/0 $0.001",
		"23 gpt-5.4-mini lag -2000/-1500 $-0.00825",
		"24 gpt-5.4-mini lag 2000/1500 $0.00825",
		"23 gpt-5.1 unexplained 0/-1 $-0.00001",
	}
	r := s.compare(false)
	s.expect(r, want...)
	if r.Posted != 0 || len(s.unexplained()) != 0 {
		t.Errorf("without --post %d were posted: %v", r.Posted, s.unexplained())
	}
	r = s.compare(true)
	s.expect(r, want...)
	posted := map[string]string{
		"23 gpt-5.5": "0.00036", "23 gpt-5-mini": "0.0003425", "23 other": "0.5", "23 gpt-5.4": "0.0135", "23 gpt-5": "0.001", "23 gpt-5.1": "-0.00001",
	}
	if got := s.unexplained(); r.Posted != 6 || !maps.Equal(got, posted) {
		t.Errorf("%d posted: %v, want %v", r.Posted, got, posted)
	}
	again := s.compare(true)
	s.expect(again, want...)
	if again.Posted != 0 || again.Standing != again.Adjustment || again.Adjustment != r.Adjustment {
		t.Errorf("again: %d posted, $%s stand, $%s should", again.Posted, again.Standing, again.Adjustment)
	}
	if _, err := s.books.Verify(t.Context(), func(d ledger.Damage) { t.Errorf("damage: %s", d) }); err != nil {
		t.Error(err)
	}
}

// A later bill that agrees takes back what was posted.
func TestTakenBack(t *testing.T) {
	s := newSite(t)
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.dollars("gpt-5.5", day, "0.25")
	if r := s.compare(true); r.Posted != 1 || s.unexplained()["23 gpt-5.5"] != "0.25" {
		t.Errorf("%d posted, %v", r.Posted, s.unexplained())
	}
	s.dollars("gpt-5.5", day, "-0.25")
	if r := s.compare(true); r.Posted != 1 || s.unexplained()["23 gpt-5.5"] != "0" || r.State != bucket.Reconciled {
		t.Errorf("%d posted, %v", r.Posted, s.unexplained())
	}
}

// What crossed the beginning or the end of the time is no difference; what is missing
// in the middle of a day is one.
func TestEdges(t *testing.T) {
	s := newSite(t)
	in, out := day.Add(time.Minute), day.Add(49*time.Hour)
	s.post(call{model: "gpt-5.5", at: day.Add(-time.Minute), billedOn: &in})
	s.post(call{model: "gpt-5.5", at: day.Add(12 * time.Hour)})
	s.post(call{model: "gpt-5.5", at: day.Add(36 * time.Hour)})
	s.post(call{model: "gpt-5.5", at: day.Add(48*time.Hour - time.Minute), billedOn: &out})
	delete(s.bill, [2]string{"gpt-5.5", "2026-11-25"}) // the next report has it
	s.expect(s.compare(false), "23 gpt-5.5 lag 2000/1500 $0.055", "24 gpt-5.5 lag -2000/-1500 $-0.055")

	s = newSite(t)
	s.post(call{model: "gpt-5.5", at: day.Add(12 * time.Hour), unbilled: true})
	s.post(call{model: "gpt-5.5", at: day.Add(24*time.Hour - time.Minute)})
	s.post(call{model: "gpt-5.5", at: day.Add(36 * time.Hour)})
	s.more("gpt-5.5", day, vendor.Tokens{Output: -3}, 0)
	s.expect(s.compare(false), "23 gpt-5.5 unexplained -2000/-1503 $-0.05509")
}

func TestOnlyCosts(t *testing.T) {
	s := newSite(t)
	s.s.HasUsage, s.s.AnyTier = false, false
	noon := day.Add(12 * time.Hour)
	s.post(call{model: "gpt-5.5", at: noon})
	s.post(call{model: "gpt-5.5", at: noon, cut: books.BillingStops, bounds: [2]int64{550, 650}})
	s.dollars("gpt-5.5", noon, "0.002")
	s.dollars("nobodys", noon, "1")
	s.expect(s.compare(false), "23 gpt-5.5 estimated 0/0 $0.0015", "23 gpt-5.5 unexplained 0/0 $0.0005", "23 nobodys bypassed 0/0 $1")
}

func TestRefused(t *testing.T) {
	s := newSite(t)
	s.post(call{model: "gpt-5.5", at: day})
	for name, tt := range map[string]struct {
		spoil func(*vendor.Statement)
		now   time.Time
	}{
		"half a day": {func(st *vendor.Statement) { st.To = st.To.Add(-time.Hour) }, day.AddDate(0, 1, 0)},
		"today":      {func(*vendor.Statement) {}, day.AddDate(0, 0, 1)},
		"backwards":  {func(st *vendor.Statement) { st.From, st.To = st.To, st.From }, day.AddDate(0, 1, 0)},
		"no name":    {func(st *vendor.Statement) { st.Provider = "" }, day.AddDate(0, 1, 0)},
	} {
		st := s.statement()
		st.Costs[0].USD = pricing.Sum{}
		tt.spoil(st)
		_, err := bucket.Compare(t.Context(), bucket.Sources{Books: s.books, Prices: pricing.Embedded(), Now: tt.now}, st, true)
		if !errors.Is(err, bucket.ErrInvalid) || len(s.unexplained()) != 0 {
			t.Errorf("%s: %v; %v", name, err, s.unexplained())
		}
	}
}

// A report that is not all there is must not turn calls into money that comes back.
func TestGapsAreNotPosted(t *testing.T) {
	for _, tt := range []struct {
		name string
		lack func(*vendor.Statement)
		want string
	}{
		{"a day of usage", func(s *vendor.Statement) { s.NoUsage = []string{"2026-11-24"} }, "no usage of 1 days"},
		{"a day of costs", func(s *vendor.Statement) { s.NoCosts = []string{"2026-11-24"} }, "no costs of 1 days"},
		{"another project", func(s *vendor.Statement) { s.Rows, s.LeftOut = 3, 3 }, "none of the reports' rows"},
		{"a day without calls", func(s *vendor.Statement) { s.NoUsage = []string{"2026-11-25"} }, ""},
	} {
		s := newSite(t)
		s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
		s.post(call{model: "gpt-5.5", at: day.Add(25 * time.Hour), unbilled: true})
		tt.lack(&s.s)
		from := bucket.Sources{Books: s.books, Prices: pricing.Embedded(), Now: day.AddDate(0, 1, 0)}
		shown, err := bucket.Compare(t.Context(), from, s.statement(), false)
		if err != nil || tt.want != "" && !strings.Contains(strings.Join(shown.Notes, "\n"), tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, shown, err)
		}
		_, err = bucket.Compare(t.Context(), from, s.statement(), true)
		if (err == nil) != (tt.want == "") || tt.want != "" && (!errors.Is(err, bucket.ErrInvalid) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: posting: %v", tt.name, err)
		}
		stands := 0
		if err := s.books.Unexplained(t.Context(), func(ledger.Unexplained) error { stands++; return nil }); err != nil || (stands > 0) != (tt.want == "") {
			t.Errorf("%s: %d amounts stand, %v", tt.name, stands, err)
		}
	}
}

// A call that is missing at the very end is taken for a late one, and that this wasn't
// seen is said; with the next day's bill it is a difference.
func TestLagAtTheEnd(t *testing.T) {
	s := newSite(t)
	s.s.Width = time.Hour
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.post(call{model: "gpt-5.5", at: day.Add(47*time.Hour + 30*time.Minute), unbilled: true})
	r := s.compare(false)
	if got := found(r); len(got) != 1 || !strings.Contains(got[0], " lag ") || !strings.Contains(strings.Join(r.Notes, "\n"), "1 calls at the end") {
		t.Errorf("%v %v", got, r.Notes)
	}
	s.s.To = s.s.To.AddDate(0, 0, 1)
	s.post(call{model: "gpt-5.5", at: day.Add(50 * time.Hour)})
	r = s.compare(false)
	if got := found(r); len(got) != 1 || !strings.Contains(got[0], " unexplained ") || strings.Contains(strings.Join(r.Notes, "\n"), "at the end") {
		t.Errorf("with the next day: %v %v", got, r.Notes)
	}
}
