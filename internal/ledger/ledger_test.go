package ledger

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

var quiet = slog.New(slog.DiscardHandler)

// stream returns the id of the n-th stream of a test.

func stream(n int) (id ID) {
	binary.BigEndian.PutUint64(id[:], 0x0198f03a5c007000)
	binary.BigEndian.PutUint64(id[8:], 0x8000000000000000+uint64(n))
	return id
}

// example is an attempt like the fourth example of the books: never came back.

func example(n int) Posting {
	at := time.UnixMilli(1_763_880_000_000 + int64(n)*1000).UTC()
	return Posting{
		Attempt: Attempt{
			Stream: stream(n), Number: 1, Provider: "openai", Model: "gpt-5.5", AskedModel: "gpt-5.5-2026-04-23",
			RequestID: fmt.Sprintf("req_%d", n), ResponseID: "resp_1", Endpoint: "chat", Streamed: true, ServiceTier: "default",
			Principal: ID{7}, Tags: map[string]string{"team": "search"}, At: at, Ended: at.Add(9 * time.Second),
		},
		Bill: &Bill{
			Input:      []Line{{Kind: token.Input, Tokens: 2000, Amount: 10_000_000_000}},
			Output:     Line{Kind: token.Output, Tokens: 1012, Amount: 30_360_000_000},
			InputBasis: token.Reported, OutputBasis: token.Reported, PriceVersion: "2026-11-01",
		},
		Outcomes: &Outcomes{
			Output: []Outcome{
				{Lost, Abandoned, 400, 12_000_000_000},
				{Lost, Tail, 12, 360_000_000},
				{Wasted, Abandoned, 600, 18_000_000_000},
			},
			Input:    Wasted,
			Overhead: []Overhead{{OverheadUnclaimed, 400, 12_000_000_000}},
			Breaks:   map[string]int64{"client": 1},
		},
		Evidence: json.RawMessage(`{"steps":[1,2,3]}`),
	}
}

// resumed is the second example: a break, resumed to the end.

func resumed(n int) Posting {
	p := example(n)
	p.Bill.Output = Line{Kind: token.Output, Tokens: 1500, Amount: 45_000_000_000}
	p.Outcomes = &Outcomes{
		Output: []Outcome{{Delivered, Live, 600, 18_000_000_000}, {Delivered, Resumed, 900, 27_000_000_000}},
		Input:  Delivered, Resumes: 1, Breaks: map[string]int64{"client": 1},
		Saved: Saving{InputTokens: 2000, OutputTokens: 600, Input: 1_360_000_000, Output: 18_000_000_000},
		Upper: Saving{InputTokens: 2000, OutputTokens: 600, Input: 10_000_000_000, Output: 18_000_000_000},
	}
	return p
}

func open(t testing.TB, dir string) *Ledger {
	t.Helper()
	l, err := Open(dir, Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, l) })
	return l
}

func shut(t testing.TB, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func post(t testing.TB, l *Ledger, p Posting) {
	t.Helper()
	if posted, err := l.Post(p); err != nil || !posted {
		t.Fatalf("post %s revision %d: %v, %v", p.Attempt.ID(), p.Revision, posted, err)
	}
}

// verify fails the test if anything is wrong with the books.

func verify(t testing.TB, l *Ledger) Report {
	t.Helper()
	r, err := l.Verify(context.Background(), func(d Damage) { t.Errorf("verify: %s", d) })
	if err != nil {
		t.Error(err)
	}
	return r
}

// same compares what was posted with what the books have.

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestWhatIsPostedIsRead(t *testing.T) {
	l := open(t, t.TempDir())
	for i, p := range []Posting{example(1), resumed(2)} {
		post(t, l, p)
		row, err := l.Get(p.Attempt.Stream, 1)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "attempt", row.Attempt, p.Attempt)
		same(t, "bill", row.Current.Bill, *p.Bill)
		same(t, "outcomes", row.Current.Outcomes, p.Outcomes)
		same(t, "evidence", string(row.Current.Evidence), string(p.Evidence))
		if row.Seq != uint64(1+2*i) || row.Current.Number != 0 || row.Current.Posted.IsZero() || len(row.Earlier) != 0 {
			t.Errorf("row %+v", row)
		}
	}
	if _, err := l.Get(stream(3), 1); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if r := verify(t, l); r.Attempts != 2 || r.Entries != 4 || r.Pending != 0 || r.Head != l.Head() || r.Anchor != r.Head {
		t.Errorf("%+v", r)
	}
}

func TestFullBillComesBack(t *testing.T) {
	l := open(t, t.TempDir())
	p := example(1)
	p.Bill = &Bill{
		Input: []Line{
			{Kind: token.Tool("web_search"), Tokens: 3, Amount: 30_000_000_000},
			{Kind: token.CacheRead, Tokens: 8000, Amount: 4_000_000_000},
			{Kind: token.CacheWrite1h},
			{Kind: token.Input, Tokens: 2000, Amount: 9_000_000_000, Variance: -1_000_000_000},
		},
		Output: Line{Tokens: 1012, Amount: 30_360_000_500, Variance: 500},
		Hidden: 12, Low: 0, High: 4096, InputBasis: token.Bounded, OutputBasis: token.Calibrated,
		ProviderCost: "0.0732", PriceVersion: "v", Unpriced: "tier",
	}
	p.Outcomes.Output[0].Amount += 500
	p.Outcomes.InputCause, p.Outcomes.Uncertain = Crash, 17
	post(t, l, p)
	row, err := l.Get(p.Attempt.Stream, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := *p.Bill
	want.Input = []Line{p.Bill.Input[1], p.Bill.Input[3], p.Bill.Input[0]}
	want.Output.Kind = token.Output
	same(t, "bill", row.Current.Bill, want)
	same(t, "outcomes", row.Current.Outcomes, p.Outcomes)
	balances := map[string]tally{}
	for _, b := range l.Balances() {
		balances[b.Account+" "+string(b.Kind)] = tally{b.Tokens, b.Amount}
	}
	same(t, "owed for input", balances["provider input"], tally{-2000, pricing.Sum{}.Add(-10_000_000_000)})
	same(t, "variance", balances["price_variance input"], tally{0, pricing.Sum{}.Add(1_000_000_000)})
	same(t, "tools", balances["input/wasted/crash tool:web_search"], tally{3, pricing.Sum{}.Add(30_000_000_000)})
	totals := l.Totals()
	same(t, "unpriced", totals.Unpriced, []UnpricedTotal{{"tier", 1}})
	for _, i := range totals.Input {
		if i.Kind.IsTool() || !i.Estimated {
			t.Errorf("input %+v", i)
		}
	}
	verify(t, l)
}

func TestBillBeforeOutcomes(t *testing.T) {
	l := open(t, t.TempDir())
	p := example(1)
	bill, outcomes := p, p
	bill.Outcomes, bill.Evidence = nil, nil
	outcomes.Bill = nil
	if _, err := l.Post(outcomes); !errors.Is(err, ErrNoBill) {
		t.Errorf("outcomes without a bill: %v", err)
	}
	post(t, l, bill)
	row, err := l.Get(p.Attempt.Stream, 1)
	if err != nil || row.Current.Outcomes != nil {
		t.Errorf("%+v, %v", row, err)
	}
	if n := len(l.Totals().Output); n != 0 {
		t.Errorf("%d counters of output before there are outcomes", n)
	}
	if r := verify(t, l); r.Pending != 1 {
		t.Errorf("%+v", r)
	}
	post(t, l, outcomes)
	if row, err = l.Get(p.Attempt.Stream, 1); err != nil {
		t.Fatal(err)
	}
	same(t, "outcomes", row.Current.Outcomes, p.Outcomes)
	same(t, "evidence", string(row.Current.Evidence), string(p.Evidence))
	same(t, "output", sorted(l.Totals()).Output, []OutputTotal{
		{"openai", "gpt-5.5", Lost, Abandoned, false, 400},
		{"openai", "gpt-5.5", Lost, Tail, false, 12},
		{"openai", "gpt-5.5", Wasted, Abandoned, false, 600},
	})
	verify(t, l)
}

func TestTotals(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	post(t, l, example(1))
	post(t, l, resumed(2))
	sum := func(p pricing.Picodollars) pricing.Sum { return pricing.Sum{}.Add(p) }
	o, m := "openai", "gpt-5.5"
	want := Totals{
		Output: []OutputTotal{{o, m, Delivered, Live, false, 600}, {o, m, Delivered, Resumed, false, 900},
			{o, m, Lost, Abandoned, false, 400}, {o, m, Lost, Tail, false, 12}, {o, m, Wasted, Abandoned, false, 600}},
		Input: []InputTotal{{o, m, token.Input, Delivered, false, 2000}, {o, m, token.Input, Wasted, false, 2000}},
		Cost: []CostTotal{{o, m, "input", Delivered, "", false, sum(10_000_000_000)}, {o, m, "input", Wasted, "", false, sum(10_000_000_000)},
			{o, m, "output", Delivered, Live, false, sum(18_000_000_000)}, {o, m, "output", Delivered, Resumed, false, sum(27_000_000_000)},
			{o, m, "output", Lost, Abandoned, false, sum(12_000_000_000)}, {o, m, "output", Lost, Tail, false, sum(360_000_000)},
			{o, m, "output", Wasted, Abandoned, false, sum(18_000_000_000)}},
		Saved: []SavedTotal{{o, m, "input", 2000, sum(1_360_000_000), 2000, sum(10_000_000_000)},
			{o, m, "output", 600, sum(18_000_000_000), 600, sum(18_000_000_000)}},
		Overhead: []OverheadTotal{{o, m, OverheadUnclaimed, 400, sum(12_000_000_000)}},
	}
	same(t, "totals", sorted(l.Totals()), want)
	shut(t, l)
	l = open(t, dir) // they go on
	same(t, "totals after a restart", sorted(l.Totals()), want)
	verify(t, l)
}

// sorted sorts the lists of totals, which have no order.

func sorted(t Totals) Totals {
	v := reflect.ValueOf(&t).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		all := make([]reflect.Value, f.Len())
		for j := range all {
			all[j] = reflect.New(f.Type().Elem()).Elem()
			all[j].Set(f.Index(j))
		}
		slices.SortFunc(all, func(x, y reflect.Value) int {
			return strings.Compare(fmt.Sprint(x.Interface()), fmt.Sprint(y.Interface()))
		})
		for j := range all {
			f.Index(j).Set(all[j])
		}
	}
	return t
}

func TestMissesAndUnexplained(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	m := Miss{Stream: stream(1), Orphan: stream(2), Provider: "openai", Model: "gpt-5.5", Reason: "not-opted-in",
		At: time.UnixMilli(1_763_880_000_000).UTC(), Amount: 12_000_000_000}
	u := Unexplained{Provider: "openai", Model: "gpt-5.5", Tier: "default", Day: "2026-11-23", Amount: -5_000_000_000}
	for _, want := range []bool{true, false} {
		if posted, err := l.PostMiss(m); posted != want || err != nil {
			t.Error(posted, err)
		}
		if posted, err := l.PostUnexplained(u); posted != want || err != nil {
			t.Error(posted, err)
		}
		shut(t, l)
		l = open(t, dir)
	}
	other := m
	other.Amount++
	if _, err := l.PostMiss(other); !errors.Is(err, ErrPosted) {
		t.Error(err)
	}
	u.Amount = 2_000_000_000
	for _, u.Parts = range []map[string]pricing.Picodollars{nil, {"price": 2_000_000_000}, {"price": 3_000_000_000, "lag": -1_000_000_000}} {
		for _, want := range []bool{true, false} { // also where only the parts are others
			if posted, err := l.PostUnexplained(u); posted != want || err != nil {
				t.Errorf("parts %v: %v, %v", u.Parts, posted, err)
			}
		}
	}
	for what, wrong := range map[string]Unexplained{
		"day":                    {Provider: "openai", Day: "23.11."},
		"parts of another sum":   {Provider: "openai", Day: u.Day, Amount: 3, Parts: map[string]pricing.Picodollars{"price": 2}},
		"a part without a name":  {Provider: "openai", Day: u.Day, Amount: 3, Parts: map[string]pricing.Picodollars{"": 3}},
		"more than can be added": {Provider: "openai", Day: u.Day, Amount: math.MaxInt64},
	} {
		if _, err := l.PostUnexplained(wrong); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := l.PostMiss(Miss{}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	totals := l.Totals()
	same(t, "missed", totals.Missed, []MissedTotal{{"openai", "gpt-5.5", "not-opted-in", 1, pricing.Sum{}.Add(12_000_000_000)}})
	same(t, "unexplained", totals.Unexplained, []UnexplainedTotal{{"openai", pricing.Sum{}.Add(2_000_000_000)}})
	err := errors.Join(
		l.Misses(t.Context(), func(got Miss) error { same(t, "miss", got, m); return nil }),
		l.Unexplained(t.Context(), func(got Unexplained) error {
			if got.Posted.IsZero() {
				t.Error("when it was posted isn't known")
			}
			got.Posted = time.Time{}
			same(t, "unexplained", got, u)
			return nil
		}))
	if err != nil {
		t.Error(err)
	}
	verify(t, l)
}

// A bill that agrees leaves a trace, which moves no money.
func TestAgrees(t *testing.T) {
	l := open(t, t.TempDir())
	u := Unexplained{Provider: "openai", Model: "gpt-5.5", Day: "2026-11-23"}
	for _, want := range []bool{true, false} {
		if posted, err := l.PostUnexplained(u); posted != want || err != nil {
			t.Error(posted, err)
		}
	}
	n := 0
	if err := l.Unexplained(t.Context(), func(got Unexplained) error { n++; return nil }); err != nil || n != 1 {
		t.Error(n, err)
	}
	same(t, "unexplained", l.Totals().Unexplained, []UnexplainedTotal{{Provider: "openai"}})
	verify(t, l)
}

func TestFinding(t *testing.T) {
	l := open(t, t.TempDir())
	for _, n := range []int{3, 1, 2} { // posted in another order than accepted
		post(t, l, example(n))
	}
	second := example(2)
	second.Attempt.Number = 2
	post(t, l, second)
	names := func(find func(fn func(Row) error) error) (all []string) {
		t.Helper()
		err := find(func(r Row) error {
			all = append(all, fmt.Sprintf("%d/%d", r.Stream[15], r.Number))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return all
	}
	from := example(2).Attempt.At
	same(t, "posted", names(func(fn func(Row) error) error { return l.Attempts(t.Context(), 0, fn) }), []string{"3/1", "1/1", "2/1", "2/2"})
	same(t, "after", names(func(fn func(Row) error) error { return l.Attempts(t.Context(), 3, fn) }), []string{"2/1", "2/2"})
	same(t, "since", names(func(fn func(Row) error) error { return l.Between(t.Context(), from, from.Add(time.Hour), fn) }), []string{"2/1", "2/2", "3/1"})
	same(t, "until", names(func(fn func(Row) error) error { return l.Between(t.Context(), time.Time{}, from, fn) }), []string{"1/1"})
	list := func(rows []Row, err error) func(func(Row) error) error {
		return func(fn func(Row) error) error {
			for _, r := range rows {
				err = errors.Join(err, fn(r))
			}
			return err
		}
	}
	same(t, "of", names(list(l.Of(stream(2)))), []string{"2/1", "2/2"})
	same(t, "by request", names(list(l.ByRequestID("openai", "req_1"))), []string{"1/1"})
	if rows, err := l.ByRequestID("openai", "req_"); len(rows) != 0 || err != nil {
		t.Error(rows, err)
	}
	n := 0
	if err := l.Attempts(t.Context(), 0, func(Row) error { n++; return ErrStop }); n != 1 || err != nil {
		t.Error(n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Attempts(ctx, 0, func(Row) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// edit changes the database behind the ledger's back.
