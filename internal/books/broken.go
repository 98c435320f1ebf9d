package books

import (
	"time"

	"github.com/recoup-gateway/recoup/pricing"
)

// Broken is when an attempt's answer broke off before its end, and whose doing that
// was: Client, Gateway or SlowReader, as of a break, or Upstream. Gateway is also the
// cause where nobody was connected when the attempt died with the gateway's process.
type Broken struct {
	At    int64 // Unix time in milliseconds; 0: not known
	Cause string
}

// rupture notes that the attempt ended before its answer did, with nobody's
// connection at fault.
func (a *Account) rupture(cause string, at time.Time) {
	if !a.over() {
		a.ruptures = append(a.ruptures, Broken{millis(at), cause})
	}
}

// broken is all that broke the answer off, in the order of time; nil if nothing did.
func (a *Account) broken() (all []Broken) {
	for _, k := range a.breaks {
		all = append(all, Broken{millis(k.at), k.cause})
	}
	for _, r := range a.ruptures {
		i := len(all)
		for i > 0 && all[i-1].At > r.At {
			i--
		}
		all = append(all[:i:i], append([]Broken{r}, all[i:]...)...)
	}
	return all
}

// millis is a time as histories are stored with it.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Amounts are those of a bill.
type Amounts struct{ Input, Output pricing.Picodollars }

// Amounts are what the input and the output of these facts cost. What has no rate
// costs nothing. The error is pricing.ErrOverflow.
func (f *Facts) Amounts() (Amounts, error) {
	b := Books{}
	err := b.price(f)
	return Amounts{b.InputAmount, b.OutputAmount}, err
}
