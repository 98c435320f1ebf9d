package bucket_test

import (
	"testing"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/pricing"
)

// charge is what the bill has of searches, apart from any model.
func (s *site) charge(item string, at time.Time, usd string) vendor.CostSum {
	s.Helper()
	amount, err := pricing.ParseDollars(usd)
	if err != nil {
		s.Fatal(err)
	}
	return vendor.CostSum{Item: item, Day: at.Format(time.DateOnly), USD: pricing.Sum{}.Add(amount)}
}

// Searches cost a cent each. Charged for apart, whatever that is called, or with their
// model they agree; what the bill has more or less of them is a charge, also where a call
// is on the next day's bill.
func TestTools(t *testing.T) {
	noon, next := day.Add(12*time.Hour), day.Add(36*time.Hour)
	for name, tt := range map[string]struct {
		charges func(*site)
		want    []string
	}{
		"apart":            {func(s *site) { s.s.Costs = append(s.s.Costs, s.charge("web_search", noon, "0.03")) }, nil},
		"by another name":  {func(s *site) { s.s.Costs = append(s.s.Costs, s.charge("Web search tool calls", noon, "0.03")) }, nil},
		"with their model": {func(s *site) { s.dollars("gpt-5.5", noon, "0.03") }, nil},
		"one more":         {func(s *site) { s.s.Costs = append(s.s.Costs, s.charge("web_search", noon, "0.04")) }, []string{"23 web_search other_charges 0/0 $0.01"}},
		"none":             {func(*site) {}, []string{"23 gpt-5.5 price 0/0 $-0.03"}},
		"on the next day": {func(s *site) {
			s.post(call{model: "gpt-5-mini", at: next})
			s.post(call{model: "gpt-5-mini", at: day.Add(24*time.Hour - time.Second), billedOn: &next, searches: 1})
			s.s.Costs = append(s.s.Costs, s.charge("web_search", noon, "0.03"), s.charge("web_search", next, "0.01"))
		}, []string{
			"23 gpt-5-mini lag -2000/-1500 $-0.0035", "24 gpt-5-mini lag 2000/1500 $0.0035",
			"23 web_search other_charges 0/0 $-0.01", "24 web_search other_charges 0/0 $0.01",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.post(call{model: "gpt-5.5", at: noon, searches: 3})
			tt.charges(s)
			r := s.compare(false)
			if s.expect(r, tt.want...); r.Booked.USD.Plus(r.Adjustment) != r.Billed.USD {
				t.Errorf("the books' $%s and the adjustment of $%s are not the bill's $%s", r.Booked.USD, r.Adjustment, r.Billed.USD)
			}
		})
	}
}
