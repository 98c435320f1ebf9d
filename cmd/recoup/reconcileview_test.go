package main

import (
	"strings"
	"testing"

	"github.com/recoup-gateway/recoup/internal/audit/bucket"
	"github.com/recoup-gateway/recoup/pricing"
)

// Without --post it is said what the books have of a difference; of one that comes to
// nothing, as in tokens without a price, that isn't known.
func TestVerdict(t *testing.T) {
	five, seven := pricing.Sum{}.Add(5), pricing.Sum{}.Add(7)
	for _, c := range []struct {
		state                string
		agreed               int
		standing, adjustment pricing.Sum
		want                 string
	}{
		{bucket.Reconciled, 1, pricing.Sum{}, pricing.Sum{}, "agree, on 1 model and day. To have that in the books, for audits: --post."},
		{bucket.Reconciled, 2, five, pricing.Sum{}, "on 2 models and days. Nothing was posted: --post does. The books have $0.000000000005 as unexplained."},
		{bucket.Reconciled, 0, pricing.Sum{}, pricing.Sum{}, "agree: neither has anything."},
		{bucket.Differs, 0, five, five, "The books have that as unexplained already."},
		{bucket.Differs, 0, five, seven, "The books have $0.000000000005 as unexplained."},
		{bucket.Differs, 0, pricing.Sum{}, pricing.Sum{}, "Nothing was posted: --post does. The books have $0 as unexplained."},
	} {
		got := verdict(&bucket.Result{State: c.state, Agreed: c.agreed, Standing: c.standing, Adjustment: c.adjustment}, false)
		if !strings.HasSuffix(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
