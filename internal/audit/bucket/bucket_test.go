package bucket_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/books"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

func TestAgrees(t *testing.T) {
	s := newSite(t)
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.post(call{model: "gpt-5-mini", at: day.Add(30 * time.Hour)})
	s.post(call{model: "gpt-5-mini", at: day.Add(47*time.Hour + 59*time.Minute), cut: books.BillingStops, bounds: [2]int64{500, 700}})
	s.compare(false)
	s.expectStands(0, map[string]string{})
	for _, recorded := range []int{2, 0} { // that there was a bill is in the books once
		r := s.compare(true)
		s.expect(r)
		if r.State != bucket.Reconciled || r.Agreed != 2 || r.Attempts != 3 || r.Posted != 0 || r.Recorded != recorded {
			t.Errorf("%+v", r)
		}
		s.expectStands(2, map[string]string{})
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
	if r.Posted != 0 || r.Recorded != 0 {
		t.Errorf("without --post %d were posted, %d recorded", r.Posted, r.Recorded)
	}
	s.expectStands(0, map[string]string{})
	r = s.compare(true)
	s.expect(r, want...)
	if r.Posted != 6 || r.Recorded != 7 {
		t.Errorf("%d posted, %d recorded", r.Posted, r.Recorded)
	}
	s.expectStands(7, map[string]string{
		"23 gpt-5.5": "0.00036 estimated 0.00036", "23 gpt-5-mini": "0.0003425 bypassed 0.0003425", "23 other": "0.5 bypassed 0.5",
		"23 gpt-5.4": "0.0135 on_cancel 0.0135", "23 gpt-5": "0.001 price 0.001", "23 gpt-5.1": "-0.00001 unexplained -0.00001",
	})
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
	if r := s.compare(true); r.Posted != 1 {
		t.Errorf("%d posted", r.Posted)
	}
	s.expectStands(0, map[string]string{"23 gpt-5.5": "0.25 price 0.25"})
	s.dollars("gpt-5.5", day, "-0.25")
	if r := s.compare(true); r.Posted != 1 || r.State != bucket.Reconciled {
		t.Errorf("%d posted, %s", r.Posted, r.State)
	}
	s.expectStands(1, map[string]string{})
}

// A model that nobody has a price of differs in tokens alone: that is no agreement.
func TestWithoutPrice(t *testing.T) {
	s := newSite(t)
	s.s.HasCosts = false
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.more("nobodys", day, vendor.Tokens{Input: 50, Output: 7}, 1)
	if r := s.compare(true); r.Posted != 0 || r.Recorded != 2 || r.State != bucket.Differs {
		t.Errorf("%+v", r)
	}
	s.expectStands(1, map[string]string{"23 other": "0 bypassed 0"})
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
		if !errors.Is(err, bucket.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		s.expectStands(0, map[string]string{})
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

// Costs that come later than the usage are said to be missing, of their days only.
func TestLateCosts(t *testing.T) {
	s := newSite(t)
	s.post(call{model: "gpt-5.5", at: day.Add(time.Hour)})
	s.post(call{model: "gpt-5.5", at: day.Add(25 * time.Hour)})
	st, second := s.statement(), day.AddDate(0, 0, 1).Format(time.DateOnly)
	const noted = "the costs have nothing of"
	for _, late := range []bool{false, true} {
		if late {
			st.Costs = slices.DeleteFunc(st.Costs, func(c vendor.CostSum) bool { return c.Day == second })
		}
		r, err := bucket.Compare(t.Context(), bucket.Sources{Books: s.books, Prices: pricing.Embedded(), Now: day.AddDate(0, 1, 0)}, st, false)
		if err != nil {
			t.Fatal(err)
		}
		notes := strings.Join(r.Notes, "\n")
		if strings.Contains(notes, noted) != late || late && !strings.Contains(notes, noted+" 1 days of which the usage has tokens, from "+second+" to "+second) {
			t.Errorf("late %v: %s", late, notes)
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
