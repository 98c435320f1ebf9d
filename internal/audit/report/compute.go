package report

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Sources are what a report is made from.
type Sources struct {
	Ledger *ledger.Ledger
	Prices *pricing.Book // for cheaper siblings alone: attempts keep the price they were posted with
	// Uncovered is what no book has, as the running gateway knows it; nil: there is none.
	Uncovered func() Uncovered
}

// DefaultTeamTag is the tag that a report is by if no other is asked for.
const DefaultTeamTag = "team"

// Make makes a report. The error is ErrInvalid for a query that can't be answered,
// else the ledger's, or ctx's.
//
// An incident that is final is answered with the report that was stored then.
func Make(ctx context.Context, from Sources, q Query) (*Report, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	fresh, err := compute(ctx, from, q)
	if err != nil || q.Incident == nil || q.Incident.Final.IsZero() {
		return fresh, err
	}
	stored := &Report{}
	if err := json.Unmarshal(q.Incident.Figures, stored); err != nil {
		return nil, fmt.Errorf("the stored report of incident %d: %w", q.Incident.Number, err)
	}
	stored.final(fresh)
	return stored, nil
}

// computing is a report that is being made.
type computing struct {
	Sources
	q       Query
	r       *Report
	first   time.Time // of the books
	last    time.Time
	a       attempt
	total   *grouping
	asked   *grouping // nil: it is one of the usual ones
	usual   map[Dimension]*grouping
	all     []*grouping // total, usual and asked
	line    timeline
	dearest dearest
	tokens  map[[2]string]*used // by provider and model
	kinds   map[string]*Named   // of overhead
	prices  map[string]int64
	without map[string]*Named           // unpriced, by reason
	billed  map[string]bool             // providers with attempts that a bill has corrected
	seen    map[string]bool             // providers
	days    map[providerDay]pricing.Sum // what was paid
	rows    int
}

// compute reads the books as often as it takes: if months are summarised meanwhile, what
// was read first has attempts that are gone for the rest.
func compute(ctx context.Context, from Sources, q Query) (*Report, error) {
	for {
		c := &computing{
			Sources: from, q: q, total: newGrouping(), usual: map[Dimension]*grouping{}, tokens: map[[2]string]*used{}, kinds: map[string]*Named{},
			prices: map[string]int64{}, without: map[string]*Named{}, billed: map[string]bool{}, seen: map[string]bool{}, days: map[providerDay]pricing.Sum{},
			r: &Report{Schema: Schema, By: q.By, TeamTag: DefaultTeamTag},
		}
		gone, err := c.summarised(ctx)
		if err != nil {
			return nil, err
		}
		failed := c.read(ctx)
		if c.r.Summarised, err = c.summarised(ctx); err != nil {
			return nil, err
		}
		if reflect.DeepEqual(gone, c.r.Summarised) {
			return c.r, failed
		}
	}
}

// read reads the books, once.
func (c *computing) read(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	since, until := c.scanned()
	head, err := c.Ledger.Extracts(ctx, since, until, c.row)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	c.r.Head = Head{head.Seq, hex.EncodeToString(head.Hash[:])}
	if err := c.end(ctx); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// begin finds the window and the groupings.
func (c *computing) begin() (err error) {
	if c.first, c.last, err = c.Ledger.Accepted(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	r := c.r
	if i := c.q.Incident; i != nil {
		r.Window = Window{Since: i.Start, Until: i.End, Rule: "attempts that were broken in it"}
		r.Incident = describe(*i)
	} else {
		r.Window = Window{Since: c.q.Since, Until: c.q.Until, Rule: "attempts whose call was accepted in it"}
		if r.Window.Since.IsZero() {
			r.Window.Since = c.first
		}
		if until := r.Window.Until; !until.IsZero() && until.Before(r.Window.Since) {
			r.Window.Since = until // before there was anything
		}
		if r.Window.Until.IsZero() && !c.last.IsZero() {
			r.Window.Until = c.last.Add(time.Millisecond)
			if !r.Window.Since.Before(r.Window.Until) {
				r.Window.Until = r.Window.Since.Add(time.Millisecond)
			}
		}
	}
	for _, d := range c.q.By {
		if name, ok := d.tag(); ok {
			r.TeamTag = name
			break
		}
	}
	c.all = []*grouping{c.total}
	for _, d := range []Dimension{ByCause, ByModel, ByHour, Tag(r.TeamTag)} {
		c.usual[d] = newGrouping(d)
		c.all = append(c.all, c.usual[d])
	}
	if len(c.q.By) > 0 {
		c.asked = newGrouping(c.q.By...)
		c.asked.asked = true
		c.all = append(c.all, c.asked)
	}
	c.line = newTimeline(c.r.Window, c.q.Incident != nil, c.last)
	return nil
}

func describe(i ledger.Incident) *Incident {
	d := &Incident{
		Number: i.Number, Name: i.Name, Labels: i.Labels, Found: i.Found, Kind: i.Kind, Provider: i.Provider, Why: i.Why,
		Start: i.Start, End: i.End, State: Provisional, FinalAt: i.Final,
	}
	switch {
	case i.End.IsZero():
		d.State = Open
	case !i.Final.IsZero():
		d.State = FinalState
	}
	return d
}

// Describe is an incident as reports show it.
func Describe(i ledger.Incident) Incident { return *describe(i) }

// scanned is from when to when attempts have to be looked at. One that was broken in
// an incident may have been accepted any time before.
func (c *computing) scanned() (since, until time.Time) {
	if c.q.Incident == nil {
		return c.r.Window.Since, c.r.Window.Until
	}
	until = c.line.end()
	if end := c.q.Incident.End; end.After(until) { // a timeline reaches only so far
		until = end
	}
	return time.Time{}, until
}

// progressEvery is how many attempts there are between two words on the progress.
const progressEvery = 4096

func (c *computing) row(row *ledger.Row) error {
	if c.rows++; c.q.Progress != nil && c.rows%progressEvery == 0 {
		c.progress(row.At)
	}
	if err := c.a.read(row); err != nil {
		return err
	}
	at := row.At
	selected := true
	if i := c.q.Incident; i != nil {
		var broken time.Time
		if broken, selected = c.a.brokenIn(i); selected {
			at = broken
		}
	}
	c.line.add(&c.a, at)
	if !selected {
		return nil
	}
	return c.take()
}

func (c *computing) progress(at time.Time) {
	since, until := c.scanned()
	if since.IsZero() {
		since = c.first
	}
	if until.IsZero() || until.After(c.last) {
		until = c.last
	}
	if all := until.Sub(since); all > 0 {
		c.q.Progress(min(float64(at.Sub(since))/float64(all), 1))
	}
}

// take adds an attempt that is selected.
func (c *computing) take() error {
	a := &c.a
	for _, g := range c.all {
		if err := g.add(a); err != nil {
			return err
		}
	}
	c.dearest.offer(a)
	row := a.row
	bill := &row.Current.Bill
	c.seen[row.Provider] = true
	on := providerDay{row.Provider, dayOf(row.At)}
	c.days[on] = c.days[on].Add(a.paid)
	c.prices[bill.PriceVersion]++
	if bill.Unpriced != "" {
		named(c.without, bill.Unpriced).Count++
	}
	if row.Current.Reason == ledger.Reconciled || bill.OutputBasis == token.Reconciled { // and repriced since
		c.billed[row.Provider] = true
		c.r.Bills.Reconciled.Count++
		c.r.Bills.Reconciled.add(a.tokens+bill.Output.Tokens, a.paid)
	}
	of := c.tokens[[2]string{row.Provider, row.Model}]
	if of == nil {
		of = &used{}
		c.tokens[[2]string{row.Provider, row.Model}] = of
	}
	of.add(a)
	if o := a.outcomes; o != nil {
		c.r.Certain.Uncertain += o.Uncertain
		for _, h := range o.Overhead {
			n := named(c.kinds, h.Kind)
			n.Count++
			n.add(h.Tokens, h.Amount)
		}
	}
	return nil
}

func named(m map[string]*Named, name string) *Named {
	if m[name] == nil {
		m[name] = &Named{Name: name}
	}
	return m[name]
}

func sortedNames(m map[string]*Named) []Named {
	all := []Named{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, *m[name])
	}
	return all
}

// end works out what follows from all of the attempts, and what stands beside them.
func (c *computing) end(ctx context.Context) error {
	r := c.r
	if all := c.total.done(); len(all) > 0 {
		r.Total = all[0].Figures
	} else {
		r.Total.close()
	}
	r.ByCause, r.ByModel = c.usual[ByCause].done(), c.usual[ByModel].done()
	r.ByHour, r.ByTag = c.usual[ByHour].done(), c.usual[Tag(r.TeamTag)].done()
	if r.Groups = r.ByCause; c.asked != nil {
		r.Groups = c.asked.done()
	}
	if r.By == nil {
		r.By = []Dimension{ByCause}
	}
	r.TopCause, r.TopTeam = top(r.ByCause, r.Total), top(r.ByTag, r.Total)
	r.Overhead, r.Unpriced = sortedNames(c.kinds), sortedNames(c.without)
	r.Prices = []PriceBook{}
	for _, v := range slices.Sorted(maps.Keys(c.prices)) {
		r.Prices = append(r.Prices, PriceBook{v, c.prices[v]})
	}
	t := &r.Total
	r.Certain.Reported, r.Certain.Estimated, r.Certain.Paid = t.Reported, t.Estimated, t.Paid
	r.Certain.ReportedShare = share(t.Reported.USD, t.Paid.Point)
	r.Certain.EstimatedShare = share(t.Estimated.USD, t.Paid.Point)
	r.Timeline = c.line.done()
	r.Uncovered.Calls = []Passed{}
	if c.Uncovered != nil {
		r.Uncovered = c.Uncovered()
	}
	r.Siblings, r.Placeholders = c.siblings(), c.placeholders()
	if err := c.bills(ctx); err != nil {
		return err
	}
	if err := c.missed(ctx); err != nil {
		return err
	}
	var err error
	r.Streams, err = c.dearest.tell(c.Ledger)
	return err
}

// top is the group with the highest cost, if there is any cost.
func top(groups []Group, total Figures) *Top {
	for i := range groups {
		switch g := &groups[i]; {
		case g.Rest: // many groups, of which none is known to have the highest
		case g.Cost.Point.Sign() > 0:
			return &Top{g.Key[0], g.Cost.Point, share(g.Cost.Point, total.Cost.Point)}
		default:
			return nil
		}
	}
	return nil
}
