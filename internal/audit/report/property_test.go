package report_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/report"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/books/histories"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/settle"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

const randomAttempts = 300

// random posts attempts to which anything may have happened, and returns what they
// were billed, by the arithmetic of the books alone.
func random(s *site, r *rand.Rand) (paid pricing.Sum) {
	for n := range randomAttempts {
		choices := make([]byte, 400)
		for i := range choices {
			choices[i] = byte(r.Uint32())
		}
		d := histories.Dice(choices)
		h := d.History()
		h.Hidden = min(h.Hidden, h.Output) // as the settling sees to
		o := one{
			n: n + 1, at: noon.Add(time.Duration(r.IntN(5*3600)) * time.Second), history: h,
			provider: []string{"openai", "groq"}[r.IntN(2)], model: []string{"gpt-5.5", "gpt-5-mini", "other"}[r.IntN(3)],
			tags: []map[string]string{nil, {"team": "search"}, {"team": "chat", "run": fmt.Sprint(n % 7)}, {"run": "="}}[r.IntN(4)],
		}
		if r.IntN(3) == 0 {
			o.bases = settle.Bases{Input: token.Reported, Output: token.Counted}
			o.output = token.Range{Low: h.Output / 2, Point: h.Output, High: h.Output + int64(r.IntN(500))}
		}
		s.post(o)
		b, err := books.Keep(h)
		if err != nil {
			s.Fatal(err)
		}
		paid = paid.Add(b.Bill)
	}
	return paid
}

// sums adds figures up, member by member.
func sums(all ...report.Figures) (sum report.Figures) {
	to := reflect.ValueOf(&sum).Elem()
	for i := range all {
		addUp(to, reflect.ValueOf(all[i]))
	}
	return sum
}

func addUp(to, from reflect.Value) {
	if s, ok := from.Interface().(pricing.Sum); ok {
		to.Set(reflect.ValueOf(to.Interface().(pricing.Sum).Plus(s)))
		return
	}
	switch from.Kind() {
	case reflect.Int64:
		to.SetInt(to.Int() + from.Int())
	case reflect.Struct:
		for i := range from.NumField() {
			if from.Type().Field(i).IsExported() {
				addUp(to.Field(i), from.Field(i))
			}
		}
	}
}

func same(a, b report.Figures) bool { return marshalled(a) == marshalled(b) }

func marshalled(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // of plain figures
	}
	return string(data)
}

// identity: paid is what became of it.
func identity(f report.Figures) error {
	sum := f.Delivered.OutputUSD.Plus(f.Unusable.OutputUSD).Plus(f.NeverReceived.OutputUSD).Plus(f.Open.OutputUSD).Plus(f.Input.USD)
	if sum != f.Paid.Point {
		return fmt.Errorf("paid %s, and its parts are %s", f.Paid.Point, sum)
	}
	if with := f.Reported.USD.Plus(f.Estimated.USD); with != f.Paid.Point {
		return fmt.Errorf("paid %s, reported and estimated %s", f.Paid.Point, with)
	}
	if f.Net != f.Avoided.USD.Minus(f.Overhead.USD) {
		return fmt.Errorf("net %s", f.Net)
	}
	return nil
}

// TestAddsUp: for random histories paid = delivered + unusable + never received +
// pending + input, to the picodollar, for each group of any grouping and over any
// split of the window; and all of them add up to the same.
func TestAddsUp(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 6))
		s := newSite(t)
		paid := random(s, r)
		whole := s.report(report.Query{})
		if whole.Total.Paid.Point != paid || whole.Total.Attempts != randomAttempts {
			t.Fatalf("%d attempts, paid %s; want %s", whole.Total.Attempts, whole.Total.Paid.Point, paid)
		}
		if again := s.report(report.Query{}); marshalled(again) != marshalled(whole) {
			t.Error("the same books and query give another report")
		}
		dims := []report.Dimension{report.ByModel, report.ByProvider, report.ByCause, report.ByHour, report.Tag("team"), report.Tag("run")}
		for range 8 {
			r.Shuffle(len(dims), func(i, j int) { dims[i], dims[j] = dims[j], dims[i] })
			by := dims[:1+r.IntN(len(dims))]
			split := noon.Add(time.Duration(r.IntN(5*3600_000)) * time.Millisecond)
			before := s.report(report.Query{Until: split, By: by})
			after := s.report(report.Query{Since: split, By: by})
			var all []report.Figures
			for _, part := range []*report.Report{before, after} {
				for _, groups := range [][]report.Group{part.Groups, part.ByCause, part.ByModel, part.ByTag, part.ByHour} {
					checkGroups(t, part.Total, groups)
				}
				all = append(all, part.Total)
			}
			if sum := sums(all...); !same(sum, whole.Total) {
				t.Errorf("split at %v, by %v: %s\nand the whole is %s", split, by, marshalled(sum), marshalled(whole.Total))
			}
		}
		checkTimeline(t, whole)
	}
}

func checkGroups(t *testing.T, total report.Figures, groups []report.Group) {
	t.Helper()
	var all []report.Figures
	for _, g := range groups {
		if err := identity(g.Figures); err != nil {
			t.Errorf("group %q: %v", g.Key, err)
		}
		all = append(all, g.Figures)
	}
	if err := identity(total); err != nil {
		t.Error(err)
	}
	if sum := sums(all...); !same(sum, total) {
		t.Errorf("the groups come to %s\nthe whole is %s", marshalled(sum), marshalled(total))
	}
}

// The timeline of a window has all tokens of it.
func checkTimeline(t *testing.T, r *report.Report) {
	t.Helper()
	var got report.Bucket
	for _, b := range r.Timeline.Buckets {
		got.Delivered += b.Delivered
		got.Unusable += b.Unusable
		got.NeverReceived += b.NeverReceived
		got.Pending += b.Pending
	}
	f := &r.Total
	if want := (report.Bucket{Delivered: f.Delivered.OutputTokens, Unusable: f.Unusable.OutputTokens, NeverReceived: f.NeverReceived.OutputTokens, Pending: f.Open.OutputTokens}); got != want {
		t.Errorf("the timeline has %+v, not %+v", got, want)
	}
}

// A final incident of many teams is stored without them; they are then of the books as
// they stand, and said to be if those have changed.
func TestStored(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 6))
	s := newSite(t)
	random(s, r)
	i := ledger.Incident{Number: 1, Name: "x", Start: noon, End: noon.Add(8 * time.Hour)}
	whole := s.report(report.Query{Incident: &i})
	all, err := whole.Stored(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	short, err := whole.Stored(len(all) - 1)
	if err != nil || len(whole.ByTag) < 2 {
		t.Fatal(err, whole.ByTag)
	}
	if _, err := whole.Stored(100); err == nil {
		t.Error("a report of 100 bytes")
	}
	check := func(changed bool) {
		t.Helper()
		for _, figures := range []json.RawMessage{all, short} {
			final := i
			final.Final, final.Figures = noon.Add(9*time.Hour), figures
			got := s.report(report.Query{Incident: &final, By: []report.Dimension{report.Tag("team")}})
			if marshalled(got.Total) != marshalled(whole.Total) || (got.Later != nil) != changed {
				t.Errorf("changed %v: %s, later %+v; was %s", changed, marshalled(got.Total), got.Later, marshalled(whole.Total))
			}
			total := got.Total
			if len(figures) == len(short) && changed {
				total = *got.GroupsTotal
			} else if got.GroupsTotal != nil {
				t.Errorf("changed %v: the groups come to %+v", changed, got.GroupsTotal)
			}
			checkGroups(t, total, got.Groups)
		}
	}
	check(false)
	s.post(one{n: 1000, at: noon, history: histories.Examples()[5].History}) // never came back
	check(true)
}

// An incident's attempts are those that were broken in it, by their evidence.
func TestIncidentSelects(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s := newSite(t)
	random(s, r)
	for range 20 {
		start := noon.Add(time.Duration(r.IntN(5*3600)) * time.Second)
		i := ledger.Incident{Number: 1, Name: "x", Start: start, End: start.Add(time.Duration(1+r.IntN(7200)) * time.Second)}
		want := int64(0)
		var paid pricing.Sum
		err := s.ledger.Attempts(t.Context(), 0, func(row ledger.Row) error {
			var e settle.Evidence
			if err := json.Unmarshal(row.Current.Evidence, &e); err != nil {
				return err
			}
			b, err := books.Keep(e.History)
			if err != nil {
				return err
			}
			for _, k := range b.Broken {
				if at := time.UnixMilli(k.At); !at.Before(i.Start) && at.Before(i.End) {
					want++
					paid = paid.Add(b.Bill)
					break
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := s.report(report.Query{Incident: &i, By: []report.Dimension{report.ByCause}})
		if got.Total.Attempts != want || got.Total.Paid.Point != paid || got.Total.Broken != want {
			t.Errorf("%d attempts, %d broken, paid %s; want %d, %s", got.Total.Attempts, got.Total.Broken, got.Total.Paid.Point, want, paid)
		}
		checkGroups(t, got.Total, got.Groups)
	}
}
