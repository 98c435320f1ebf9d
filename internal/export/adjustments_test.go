package export_test

import (
	"testing"

	"github.com/recoup-gateway/recoup/internal/audit"
	"github.com/recoup-gateway/recoup/internal/export"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// The adjustments are what is missing from the postings to the provider's bill, by the
// names of their parts; a day that agrees has a row too.
func TestAdjustments(t *testing.T) {
	s := newSite(t)
	s.post(attempt{n: 1, model: "gpt-5.5", input: map[token.Kind]int64{token.Input: 2000}, output: 1500})
	for _, u := range []ledger.Unexplained{
		{Day: "2026-11-22"},
		{Day: "2026-11-23", Amount: 250_000_000_001, Parts: map[string]pricing.Picodollars{"price": -1, "bypassed": 250_000_000_002}},
		{Day: "2026-11-24", Amount: 7},
		{Day: "2026-11-26", Parts: map[string]pricing.Picodollars{"price": -3, "bypassed": 3}}, // which evens out, and doesn't agree
	} {
		u.Provider, u.Model, u.Tier = "openai", "gpt-5.5", "=batch"
		if _, err := s.books.PostUnexplained(u); err != nil {
			t.Fatal(err)
		}
	}
	all := readCSV(t, s.write(export.Request{What: export.Adjustments, Format: export.CSV}))
	if len(all.rows) != 6 {
		t.Fatalf("%+v", all.rows)
	}
	expect(t, all.rows[0], "BilledCost", "0", "x_Part", "", "x_Agrees", "true", "ChargePeriodStart", "2026-11-22T00:00:00.000Z", "ChargePeriodEnd", "2026-11-23T00:00:00.000Z",
		"ChargeCategory", "Adjustment", "ChargeDescription", "The bill agrees with the books: gpt-5.5, 2026-11-22", "x_Schema", "recoup-adjustments-1")
	expect(t, all.rows[1], "BilledCost", "0.250000000002", "x_Part", "bypassed", "x_Agrees", "false", "ProviderName", "openai", "x_Model", "gpt-5.5", "x_ServiceTier", "'=batch")
	expect(t, all.rows[2], "BilledCost", "-0.000000000001", "x_Part", "price", "ChargeDescription", "The bill less the books, price: gpt-5.5, 2026-11-23")
	expect(t, all.rows[3], "BilledCost", "0.000000000007", "x_Part", "", "x_Agrees", "false", "ChargeDescription", "The bill less the books: gpt-5.5, 2026-11-24")
	expect(t, all.rows[4], "BilledCost", "0.000000000003", "x_Part", "bypassed", "x_Agrees", "false")
	expect(t, all.rows[5], "BilledCost", "-0.000000000003", "x_Part", "price", "x_Agrees", "false")
	sum, err := audit.Sum(t.Context(), s.books)
	if got := all.sum(t, "BilledCost"); err != nil || got != sum.Unexplained || got.Sign() <= 0 {
		t.Errorf("the rows come to %s, the books to %s; %v", got, sum.Unexplained, err)
	}
	one := readJSONL(t, s.write(export.Request{What: export.Adjustments, Format: export.JSONL, Since: noon, Until: noon.AddDate(0, 0, 2)}))
	if len(one.rows) != 1 || one.rows[0]["ChargePeriodStart"] != "2026-11-24T00:00:00.000Z" {
		t.Errorf("%+v", one.rows)
	}
}
