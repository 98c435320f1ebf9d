package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/audit/vendor"
	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// ErrInvalid is in the error of a statement that can't be compared, or not be posted.
var ErrInvalid = errors.New("the statement can't be used")

// Sources are what a statement is compared with.
type Sources struct {
	Books  *ledger.Ledger
	Prices *pricing.Book
	Now    time.Time
}

type comparing struct {
	books  *ledger.Ledger
	prices *pricing.Book
	s      *vendor.Statement
	r      *Result
	cells  map[key]*cell
}

// Compare compares a statement with the books, and posts what they don't have if it is
// asked to. Errors are ErrInvalid, the ledger's, and ctx's; after one nothing was posted,
// unless the ledger failed while it posted: then the same again posts the rest.
func Compare(ctx context.Context, from Sources, s *vendor.Statement, post bool) (*Result, error) {
	if err := check(from, s, post); err != nil {
		return nil, err
	}
	c := &comparing{books: from.Books, prices: from.Prices, s: s, cells: map[key]*cell{}, r: &Result{
		Provider: s.Provider, From: s.From, To: s.To, Parts: []Part{}, Cells: []Cell{}, Notes: []string{},
	}}
	if err := c.whole(ctx); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	h, err := c.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	if err := c.gaps(h, post); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	c.fill(h)
	extra := c.chargeTools(h, c.bill(h))
	if s.HasUsage {
		c.lags(h)
	}
	if err := c.explain(extra); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	c.r.Attempts, c.r.Pending = h.all, h.pending
	c.notes()
	if err := c.post(ctx, post); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	return c.r, nil
}

// settled is how long after a day its bill is taken to be whole.
const settled = time.Hour

func check(from Sources, s *vendor.Statement, post bool) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	midnight := func(t time.Time) bool { return t.Equal(t.UTC().Truncate(24 * time.Hour)) }
	switch {
	case s.Provider == "" || !s.From.Before(s.To):
		return refuse("it is of provider %q, from %s to %s", s.Provider, s.From.Format(time.RFC3339), s.To.Format(time.RFC3339))
	case s.To.Sub(s.From) > 400*24*time.Hour:
		return refuse("it is of more than 400 days")
	case post && (!midnight(s.From) || !midnight(s.To)):
		return refuse("it is of %s to %s: only whole days (UTC) can be posted", s.From.Format(time.RFC3339), s.To.Format(time.RFC3339))
	case post && s.To.Add(settled).After(from.Now):
		return refuse("its last day ends at %s, and a day can be posted from an hour after its end on", s.To.Format(time.RFC3339))
	}
	for _, u := range s.Usage {
		if u.Tokens.Size() > 1<<52 || u.Tokens.AllInput() < 0 || u.Tokens.Output < 0 {
			return refuse("%s of %s has %d and %d tokens", u.Model, u.Day, u.Tokens.AllInput(), u.Tokens.Output)
		}
	}
	return nil
}

// whole refuses a time of which the books have only sums any more.
func (c *comparing) whole(ctx context.Context) error {
	return c.books.Summaries(ctx, func(m ledger.Summary) error {
		if m.Provider == c.s.Provider && m.Month >= c.s.From.UTC().Format("2006-01") && m.Month <= c.s.To.UTC().Add(-1).Format("2006-01") {
			return fmt.Errorf("%w: the attempts of %s were summarised", ErrInvalid, m.Month)
		}
		return nil
	})
}

// gaps notes what the reports don't speak of, though the books have calls there: more
// likely they are not all that there is than that nothing was billed. It isn't posted.
func (c *comparing) gaps(h *shelf, post bool) error {
	var all []string
	switch {
	case h.all == 0 && !c.met():
		all = append(all, fmt.Sprintf("the books have never had a call of provider %q, which must be the gateway's name of it (--provider)", c.s.Provider))
	case h.all > 0 && c.s.LeftOut == 0 && len(c.s.Usage)+len(c.s.Costs) == 0:
		all = append(all, fmt.Sprintf("the reports have no row at all, and the books have calls: %d; the key may be of another organization, or the reports late", h.all))
	case h.all > 0 && c.s.Rows > 0 && c.s.LeftOut == c.s.Rows:
		all = append(all, "none of the reports' rows is of the projects, keys and time that were asked for")
	}
	days := map[string]bool{}
	for k := range h.by {
		days[k.day] = true
	}
	for _, report := range []struct {
		name    string
		without []string
	}{{"usage", c.s.NoUsage}, {"costs", c.s.NoCosts}} {
		without := slices.DeleteFunc(slices.Clone(report.without), func(day string) bool { return !days[day] })
		if n := len(without); n > 0 {
			all = append(all, fmt.Sprintf("the reports have no %s of %d days on which the books have calls, from %s to %s: give these too, or a time without them", report.name, n, without[0], without[n-1]))
		}
	}
	if post && len(all) > 0 {
		return fmt.Errorf("%w: %s: nothing was posted", ErrInvalid, strings.Join(all, "; "))
	}
	for _, one := range all {
		c.r.Notes = append(c.r.Notes, one+": it is compared as it is, and can't be posted")
	}
	return nil
}

// met says if the books have anything of the provider, of whatever time.
func (c *comparing) met() bool {
	t := c.books.Totals()
	return slices.ContainsFunc(t.Input, func(i ledger.InputTotal) bool { return i.Provider == c.s.Provider }) ||
		slices.ContainsFunc(t.Output, func(o ledger.OutputTotal) bool { return o.Provider == c.s.Provider }) ||
		slices.ContainsFunc(t.Unexplained, func(u ledger.UnexplainedTotal) bool { return u.Provider == c.s.Provider })
}

// tierless is a key without its tier where the bill doesn't tell.
func (c *comparing) tierless(k key) key {
	if c.s.NoPriority && k.tier == "priority" {
		k.tier = ""
	}
	if c.s.HasUsage && c.s.AnyTier || !c.s.HasUsage && !c.s.CostTier {
		k.tier = ""
	}
	return k
}

// model is the name by which both sides know a model.
func (c *comparing) model(name string) string {
	if id, ok := c.prices.Resolve(c.s.Provider, name); ok {
		return id
	}
	return name
}

func (c *comparing) at(k key, h *shelf) *cell {
	at := c.cells[k]
	if at == nil {
		at = &cell{key: k, books: h.by[k], known: h.seen[k.model]}
		if at.books == nil {
			at.books = &booked{}
		}
		c.cells[k] = at
	}
	return at
}

// fill makes a cell of all that is in the books.
func (c *comparing) fill(h *shelf) {
	for k, b := range h.by {
		if k.day != early {
			c.r.Booked.add(b.Side)
			c.at(k, h)
		}
	}
}

// bill puts the statement into cells. What it charges for nothing that has tokens, or not
// by tiers where there are several, it returns.
func (c *comparing) bill(h *shelf) (extra []*cell) {
	counted := c.s.HasUsage
	for _, u := range c.s.Usage {
		counted = counted && u.Requests.IsKnown()
		at := c.at(c.tierless(key{c.model(u.Model), u.Tier, u.Day}), h)
		at.billed.add(Side{Tokens: u.Tokens, Requests: u.Requests.Or(0)})
	}
	tiers := map[key][]*cell{} // of a model and day
	for k, at := range c.cells {
		at.counted, at.priced = counted, c.s.HasCosts
		tiers[key{model: k.model, day: k.day}] = append(tiers[key{model: k.model, day: k.day}], at)
	}
	apart := map[key]*cell{}
	for _, cost := range c.s.Costs {
		k := c.tierless(key{c.model(cmp.Or(cost.Model, cost.Item)), cost.Tier, cost.Day})
		among := tiers[key{model: k.model, day: k.day}]
		switch {
		case !c.s.HasUsage && cost.Model != "":
			at := c.at(k, h)
			at.billed.USD, at.priced = at.billed.USD.Plus(cost.USD), true
		case len(among) == 1:
			among[0].billed.USD = among[0].billed.USD.Plus(cost.USD)
		case len(among) > 1 && c.s.CostTier && c.cells[k] != nil:
			c.cells[k].billed.USD = c.cells[k].billed.USD.Plus(cost.USD)
		default:
			apart[k] = cmp.Or(apart[k], &cell{key: k, books: &booked{}})
			apart[k].billed.USD = apart[k].billed.USD.Plus(cost.USD)
		}
	}
	for k, at := range apart {
		if among := tiers[key{model: k.model, day: k.day}]; len(among) > 1 {
			for _, one := range among { // the bill has one price for all of them
				one.priced = false
			}
		}
		extra = append(extra, at)
	}
	slices.SortFunc(extra, func(a, b *cell) int { return a.compare(b.key) })
	for _, at := range c.cells {
		c.r.Billed.add(at.billed)
	}
	for _, at := range extra {
		c.r.Billed.add(at.billed)
	}
	return extra
}

// explain splits what differs.
func (c *comparing) explain(extra []*cell) error {
	expected := map[key]pricing.Sum{} // of models that the bill has one price of
	for k, at := range c.cells {
		if !c.s.HasUsage {
			at.splitMoney()
			continue
		}
		at.split()
		usd, err := c.price(at)
		if err != nil {
			return err
		}
		if c.s.HasCosts && !at.priced {
			apart := key{model: k.model, day: k.day}
			expected[apart] = expected[apart].Plus(usd)
		}
	}
	for _, at := range extra {
		usd, together := expected[key{model: at.model, day: at.day}]
		left := at.billed.USD.Minus(at.books.USD).Minus(usd)
		p := Part{Name: OtherCharges, USD: left, Text: "it is not charged for tokens that the usage has"}
		if together {
			p.Name, p.Text = Price, "the tokens of all tiers together cost something else than in the books"
		}
		if !negligible(left) {
			at.parts = append(at.parts, p)
		}
	}
	all := slices.Concat(slices.Collect(maps.Values(c.cells)), extra)
	// Stable: what the bill charges apart may be of the model, tier and day of a cell, and follows it.
	slices.SortStableFunc(all, func(a, b *cell) int { return a.compare(b.key) })
	for _, at := range all {
		c.keep(at)
	}
	c.sum()
	return nil
}

func (c *comparing) keep(at *cell) {
	if len(at.parts) == 0 {
		c.r.Agreed++
		return
	}
	c.r.Cells = append(c.r.Cells, Cell{
		Model: at.model, Tier: at.tier, Day: at.day, Billed: at.billed, Booked: at.books.Side, Parts: at.parts, Adjustment: beyond(at.parts),
	})
}

// names are all parts, in the order in which they are shown.
var names = []string{Lag, Estimated, Bypassed, OnCancel, Price, OtherCharges, Unexplained}

func (c *comparing) sum() {
	c.r.State = Reconciled
	for _, name := range names {
		all, found := Part{Name: name}, false
		for _, at := range c.r.Cells {
			for _, p := range at.Parts {
				if p.Name == name {
					found = true
					all.Tokens, all.Requests, all.USD = all.Tokens.Plus(p.Tokens), all.Requests+p.Requests, all.USD.Plus(p.USD)
				}
			}
		}
		if found {
			c.r.Parts = append(c.r.Parts, all)
		}
		if found && name != Lag {
			c.r.State = Differs
		}
	}
	for _, at := range c.r.Cells {
		c.r.Adjustment = c.r.Adjustment.Plus(at.Adjustment)
	}
}

// gone are the calls that went on from the last day: whether they came to the next one's
// bill, nothing here tells.
func (c *comparing) gone() (n int) {
	days := daysOf(c.s)
	for k, at := range c.cells {
		if k.day == days[len(days)-1] {
			n += at.gone
		}
	}
	return n
}

// uncharged are the days that have tokens and no cost at all, as where costs come later.
func (c *comparing) uncharged() []string {
	days := map[string]bool{}
	if c.s.HasCosts {
		for _, u := range c.s.Usage {
			days[u.Day] = days[u.Day] || u.Tokens.Size() > 0
		}
		for _, cost := range c.s.Costs {
			days[cost.Day] = false
		}
	}
	maps.DeleteFunc(days, func(_ string, late bool) bool { return !late })
	return slices.Sorted(maps.Keys(days))
}

// notes say what the reader should know of the comparison itself.
func (c *comparing) notes() {
	n := func(format string, args ...any) { c.r.Notes = append(c.r.Notes, fmt.Sprintf(format, args...)) }
	s := c.s
	if len(s.Places) > 1 || len(s.Keys) > 1 {
		n("the bill is of several projects or keys (%s): what others use is in it as calls that bypassed the gateway. Give the gateway a project and a key of its own, and compare these: --project, --api-key-id",
			strings.Join(append(slices.Clone(s.Places), s.Keys...), ", "))
	}
	if s.LeftOut > 0 {
		n("%d rows of other projects, keys or times were left out", s.LeftOut)
	}
	if !s.HasCosts {
		n("there are no costs among the reports: money is reckoned from the tokens, at the books' prices")
	}
	if !s.HasUsage {
		n("there is no usage among the reports: without tokens, a difference in money can't be split any further")
	}
	if late := c.uncharged(); len(late) > 0 {
		n("the costs have nothing of %d days of which the usage has tokens, from %s to %s: if they were late, compare again", len(late), late[0], late[len(late)-1])
	}
	if edge := c.gone(); edge > 0 {
		n("%d calls at the end of this time are taken to be on the bill of the day after, which wasn't read: compare both days together to be sure", edge)
	}
	if c.r.Pending > 0 {
		n("%d attempts are not settled yet", c.r.Pending)
	}
}
