package bucket_test

import (
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
	"github.com/recoup-gateway/recoup/internal/ledger/ledgertest"
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
	l := ledgertest.Open(t, t.TempDir())
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
	tier     string
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
		RequestID: fmt.Sprint("req_", s.n), ServiceTier: c.tier, At: c.at, Ended: c.at.Add(time.Second),
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

// stands is what the books say of bills: of days on which one differs, its amounts and
// their parts; and how many days and models agree.
func (s *site) stands() (differ map[string]string, agree int) {
	s.Helper()
	differ = map[string]string{}
	err := s.books.Unexplained(s.Context(), func(u ledger.Unexplained) error {
		if u.Agrees() {
			agree++
			return nil
		}
		text := u.Amount.String()
		for _, name := range slices.Sorted(maps.Keys(u.Parts)) {
			text += " " + name + " " + u.Parts[name].String()
		}
		differ[u.Day[8:]+" "+u.Model] = text
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return differ, agree
}

func (s *site) expectStands(agree int, want map[string]string) {
	s.Helper()
	if differ, n := s.stands(); !maps.Equal(differ, want) || n != agree {
		s.Errorf("of %d it stands that they agree, of others %v; want %d, %v", n, differ, agree, want)
	}
}
