package report

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// Bills is what is known from providers' bills. They are of days (UTC), so a day is
// there as a whole, however much of it the window has.
type Bills struct {
	State       string        `json:"state"`             // reconciled, partly, unexplained, none
	Compared    pricing.Sum   `json:"compared_usd"`      // of what was paid, that of days whose bill was compared
	Share       string        `json:"compared_share"`    // of what was paid, "0.9731"; "" where nothing was
	Latest      time.Time     `json:"compared,omitzero"` // when a comparison last changed something
	Reconciled  Named         `json:"reconciled"`        // attempts that a bill has corrected
	Unexplained pricing.Sum   `json:"unexplained_usd"`   // bills less books
	Parts       []BillPart    `json:"unexplained_by_part"`
	Days        []Unexplained `json:"unexplained"` // by provider, model, tier and day
	WithoutBill []string      `json:"providers_without_bill"`
}

// States of Bills.
const (
	StateReconciled  = "reconciled"  // all days' bills were compared, and agree
	StatePartly      = "partly"      // some were, and agree, or have corrected attempts
	StateUnexplained = "unexplained" // a bill has more or less than the books
	StateNone        = "none"        // nothing shows that a bill was compared
)

// Unexplained is what a bill has beyond the books, for a day. What it is made of has
// names in recoup reconcile; "" is what was posted before these were kept.
type Unexplained struct {
	Provider string      `json:"provider"`
	Model    string      `json:"model"`
	Tier     string      `json:"tier,omitempty"`
	Day      string      `json:"day"`
	USD      pricing.Sum `json:"usd"`
	Parts    []BillPart  `json:"parts"`
}

// BillPart is an amount that a bill has beyond the books. Its tokens aren't posted.
type BillPart struct {
	Name string      `json:"name"`
	USD  pricing.Sum `json:"usd"`
}

// providerDay is what a bill is of: a provider, and a day as it is counted from 1970.
type providerDay struct {
	provider string
	day      int64
}

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// bills adds what providers' bills have shown.
func (c *computing) bills(ctx context.Context) error {
	b := &c.r.Bills
	b.Days, b.WithoutBill = []Unexplained{}, []string{}
	compared, parts, with := map[providerDay]bool{}, map[string]pricing.Sum{}, maps.Clone(c.billed)
	err := c.Ledger.Unexplained(ctx, func(u ledger.Unexplained) error {
		day, err := time.Parse(time.DateOnly, u.Day)
		on := providerDay{u.Provider, dayOf(day)}
		if _, ours := c.days[on]; err != nil || !ours && (u.Agrees() || !c.touches(day)) {
			return nil
		}
		compared[on], with[u.Provider] = true, true
		if u.Posted.After(b.Latest) {
			b.Latest = u.Posted
		}
		if !u.Agrees() {
			b.differs(&u, parts)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.Parts = []BillPart{}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		b.Parts = append(b.Parts, BillPart{name, parts[name]})
	}
	b.Reconciled.Name = ledger.Reconciled
	all := pricing.Sum{}
	for on, usd := range c.days {
		all = all.Plus(usd)
		if compared[on] {
			b.Compared = b.Compared.Plus(usd)
		}
	}
	b.Share = share(b.Compared, all)
	for _, p := range slices.Sorted(maps.Keys(c.seen)) {
		if !with[p] {
			b.WithoutBill = append(b.WithoutBill, p)
		}
	}
	b.State = c.state(compared)
	return nil
}

// differs adds what a bill has more, or less.
func (b *Bills) differs(u *ledger.Unexplained, parts map[string]pricing.Sum) {
	d := Unexplained{Provider: u.Provider, Model: u.Model, Tier: u.Tier, Day: u.Day, USD: pricing.Sum{}.Add(u.Amount)}
	for name, amount := range u.ByPart() {
		d.Parts = append(d.Parts, BillPart{name, pricing.Sum{}.Add(amount)})
		parts[name] = parts[name].Add(amount)
	}
	b.Days = append(b.Days, d)
	b.Unexplained = b.Unexplained.Plus(d.USD)
}

func (c *computing) state(compared map[providerDay]bool) string {
	have := 0
	for on := range c.days {
		if compared[on] {
			have++
		}
	}
	switch b := &c.r.Bills; {
	case len(b.Days) > 0:
		return StateUnexplained
	case have > 0 && have == len(c.days):
		return StateReconciled
	case have > 0 || b.Reconciled.Count > 0:
		return StatePartly
	}
	return StateNone
}

// touches says if what was asked for has some of a day. All there is has days before the
// first call too.
func (c *computing) touches(day time.Time) bool {
	since, until := c.q.Since, c.q.Until
	if c.q.Incident != nil {
		since, until = c.r.Window.Since, c.r.Window.Until
	}
	return (until.IsZero() || day.Before(until)) && day.AddDate(0, 0, 1).After(since)
}
