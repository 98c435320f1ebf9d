package bucket_test

import (
	"fmt"
	"testing"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// A model's tokens in two tiers that the bill has one price of: what differs in tokens and
// what differs in price are of the same model, tier and day, in the same order each time.
func TestOrderOfTies(t *testing.T) {
	s := newSite(t)
	s.s.AnyTier = false
	s.post(call{model: "gpt-5.5", at: day})
	st := s.statement()
	st.Usage[0].Requests = token.Known(2)
	st.Usage[0].Tokens.Output += 100
	st.Usage = append(st.Usage, vendor.UsageSum{Model: "gpt-5.5", Tier: "flex", Day: "2026-11-23", Tokens: vendor.Tokens{Input: 10}, Requests: token.Known(1)})
	st.Costs[0].USD = st.Costs[0].USD.Add(pricing.Picodollars(1e12))
	for range 30 {
		r, err := bucket.Compare(t.Context(), bucket.Sources{Books: s.books, Prices: pricing.Embedded(), Now: day}, st, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range r.Cells {
			for _, p := range c.Parts {
				got = append(got, c.Tier+" "+p.Name)
			}
		}
		if fmt.Sprint(got) != "[ bypassed  price flex bypassed]" {
			t.Fatalf("%q", got)
		}
	}
}
