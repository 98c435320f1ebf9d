package vendor

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Statement is what a vendor's reports come to, by model, tier and day (UTC).
type Statement struct {
	Vendor   string        `json:"vendor"`
	Provider string        `json:"provider"` // as the gateway names it
	From     time.Time     `json:"from"`
	To       time.Time     `json:"to"`
	Width    time.Duration `json:"bucket_ns"` // the narrowest bucket
	Usage    []UsageSum    `json:"usage"`
	Costs    []CostSum     `json:"costs"`
	HasUsage bool          `json:"has_usage"`
	HasCosts bool          `json:"has_costs"`
	AnyTier  bool          `json:"any_tier"`      // the usage doesn't tell tiers apart
	CostTier bool          `json:"costs_by_tier"` // the costs tell them apart
	NoWrites bool          `json:"no_cache_writes"`

	NoPriority bool `json:"no_priority_tier,omitempty"` // what is of Anthropic's priority tier is among the standard one

	// Days of the time of which the reports have no bucket, not even an empty one.
	NoUsage []string `json:"days_without_usage"`
	NoCosts []string `json:"days_without_costs"`

	Places  []string `json:"places"`        // projects or workspaces, some of those that were compared
	Keys    []string `json:"api_keys"`      // likewise
	LeftOut int64    `json:"rows_left_out"` // of other projects, keys or times
	Rows    int64    `json:"rows"`
}

// UsageSum is the usage of a model in a day.
type UsageSum struct {
	Model    string      `json:"model"`
	Tier     string      `json:"tier,omitempty"`
	Day      string      `json:"day"`
	Tokens   Tokens      `json:"tokens"`
	Requests token.Count `json:"requests"`
}

// CostSum is what a model, or something else, cost in a day.
type CostSum struct {
	Model string      `json:"model,omitempty"`
	Item  string      `json:"item,omitempty"` // of what is no model's
	Tier  string      `json:"tier,omitempty"`
	Day   string      `json:"day"`
	USD   pricing.Sum `json:"usd"`
}

// Selection is what of the reports is compared. Empty: all.
type Selection struct {
	Since, Until time.Time
	Projects     []string // or workspaces
	APIKeys      []string
}

// Reading adds reports up.
type Reading struct {
	Selection
	s         Statement
	usage     map[[3]string]*UsageSum
	costs     map[[4]string]*CostSum
	windows   map[Kind]*window
	pages     map[Kind]*[2]int // all, and those with more to come
	files     map[digestKey]string
	buckets   map[bucketKey]noted
	from      origin // of what is read now
	next      string // page, by the last one
	more      bool   // by the last page
	asked     Kind   // of what is being fetched; "": the rows tell
	fragments bool   // a usage row told no requests
}

type window struct{ from, to time.Time }

// widen has the window be of the other one's time too.
func (w *window) widen(other window) {
	if other.from.Before(w.from) {
		w.from = other.from
	}
	if other.to.After(w.to) {
		w.to = other.to
	}
}

// digestKey is a file. Two reports that are fetched are the same where nothing was billed.
type digestKey struct {
	asked  Kind
	digest [sha256.Size]byte
}

// origin is a file, and which of all pages that were read.
type origin struct {
	file string
	page int
}

type bucketKey struct {
	kind Kind
	unix int64
}

// noted is a bucket that was read.
type noted struct {
	to int64 // unix, as in its key
	origin
}

// NewReading returns one that has read nothing.
func NewReading(s Selection) *Reading {
	return &Reading{
		Selection: s, usage: map[[3]string]*UsageSum{}, costs: map[[4]string]*CostSum{}, windows: map[Kind]*window{},
		pages: map[Kind]*[2]int{}, files: map[digestKey]string{}, buckets: map[bucketKey]noted{},
	}
}

const (
	maxSums    = 100_000 // models, tiers and days that are kept
	maxBuckets = 200_000 // of time: four months of minutes
	maxNames   = 20
	maxGaps    = 1000 // days: of more time nothing is compared
)

// File reads a report. After an error the reading is of no use.
func (r *Reading) File(name string, in io.Reader) error {
	r.from.file = name
	digest, err := read(name, in, sink{row: r.row, bucket: r.bucket, page: r.page, asked: r.asked != ""})
	if err != nil {
		return err
	}
	key := digestKey{r.asked, digest}
	if first, again := r.files[key]; again {
		return fmt.Errorf("%s: it is the same as %s: give each once", name, first)
	}
	r.files[key] = name
	return nil
}

func (r *Reading) page(kind Kind, more bool, next string) {
	kind = cmp.Or(kind, r.asked)
	r.from.page++
	if r.next, r.more = "", more; more {
		r.next = next
	}
	if r.pages[kind] == nil {
		r.pages[kind] = &[2]int{}
	}
	r.pages[kind][0]++
	if more {
		r.pages[kind][1]++
	}
}

// bucket notes that a bucket is there. It may come from one file and page only: two
// exports of the same time would be added up. One without rows may be of either kind.
func (r *Reading) bucket(kind Kind, from, to time.Time) error {
	if !r.Since.IsZero() && from.Before(r.Since) || !r.Until.IsZero() && to.After(r.Until) {
		return nil
	}
	key, this := bucketKey{kind, from.Unix()}, noted{to.Unix(), r.from}
	if first, ok := r.buckets[key]; ok && kind != "" && first != this {
		return fmt.Errorf("the bucket of %s is also in %s: give one report of a time", from.Format(time.RFC3339), first.file)
	}
	if r.buckets[key] = this; len(r.buckets) > maxBuckets {
		return fmt.Errorf("more than %d buckets of time: give less at once", maxBuckets)
	}
	if width := to.Sub(from); r.s.Width == 0 || width < r.s.Width {
		r.s.Width = width
	}
	if r.windows[kind] == nil {
		r.windows[kind] = &window{from, to}
	}
	r.windows[kind].widen(window{from, to})
	return nil
}

func (r *Reading) row(row *Row) error {
	s := &r.s
	if s.Vendor == "" {
		s.Vendor = row.Vendor
	}
	switch {
	case r.asked != "" && (row.Kind != r.asked || row.Vendor != s.Vendor):
		return fmt.Errorf("it is of %s of %s, and %s of %s was asked for: is --base-url that of another provider?", row.Kind, row.Vendor, r.asked, s.Vendor)
	case row.Vendor != s.Vendor:
		return fmt.Errorf("it is of %s, and what was read before of %s: give those of one provider", row.Vendor, s.Vendor)
	case row.Start.UTC().Truncate(24*time.Hour) != row.End.UTC().Add(-1).Truncate(24*time.Hour):
		return errors.New("the bucket is not within one day (UTC)")
	case row.Kind == Cost && row.APIKey == "" && len(r.APIKeys) > 0:
		return errors.New("these costs don't tell API keys apart: select a project, or give the usage alone")
	}
	s.Rows++
	s.NoPriority = s.NoPriority || row.NoPriority
	if !r.selected(row) {
		s.LeftOut++
		return nil
	}
	s.Places, s.Keys = note(s.Places, row.Project), note(s.Keys, row.APIKey)
	if len(r.usage)+len(r.costs) > maxSums {
		return fmt.Errorf("more than %d models, tiers and days: give less at once", maxSums)
	}
	day := row.Start.UTC().Format(time.DateOnly)
	if row.Kind == Cost {
		return r.cost(row, day)
	}
	s.HasUsage = true
	s.AnyTier, s.NoWrites = s.AnyTier || row.AnyTier, s.NoWrites || row.NoWrites
	key := [3]string{row.Model, row.Tier, day}
	u := r.usage[key]
	if u == nil {
		u = &UsageSum{Model: row.Model, Tier: row.Tier, Day: day, Requests: token.Known(0)}
		r.usage[key] = u
	}
	u.Tokens = u.Tokens.Plus(row.Tokens)
	if u.Tokens.AllInput() > maxQuantity || u.Tokens.Output > maxQuantity {
		return errors.New("the sum of the tokens is beyond all that can be")
	}
	if n, ok := row.Requests.Get(); ok {
		u.Requests = token.Known(u.Requests.Or(0) + n)
	} else {
		r.fragments = true
	}
	return nil
}

func (r *Reading) cost(row *Row, day string) error {
	r.s.HasCosts, r.s.CostTier = true, r.s.CostTier || !row.AnyTier
	item := ""
	if row.Model == "" {
		item = row.Item
	}
	key := [4]string{row.Model, row.Tier, day, item}
	c := r.costs[key]
	if c == nil {
		c = &CostSum{Model: row.Model, Item: item, Tier: row.Tier, Day: day}
		r.costs[key] = c
	}
	c.USD = c.USD.Plus(row.Amount)
	return nil
}

func (r *Reading) selected(row *Row) bool {
	switch {
	case !r.Since.IsZero() && row.Start.Before(r.Since), !r.Until.IsZero() && row.End.After(r.Until):
		return false
	case len(r.Projects) > 0 && !slices.Contains(r.Projects, row.Project):
		return false
	}
	return len(r.APIKeys) == 0 || slices.Contains(r.APIKeys, row.APIKey)
}

func note(names []string, name string) []string {
	if name == "" || len(names) >= maxNames || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// Statement is the sum of all that was read, once that is whole.
func (r *Reading) Statement(provider string) (*Statement, error) {
	if err := errors.Join(r.whole(), r.once()); err != nil {
		return nil, err
	}
	s := r.s
	if s.Vendor == "" {
		return nil, errors.New("the reports have no row, so that they don't say whose they are: there is nothing to compare")
	}
	if s.Provider = provider; provider == "" {
		s.Provider = s.Vendor
	}
	if _, other := homes[s.Provider]; other && s.Provider != s.Vendor {
		return nil, fmt.Errorf("the reports are of %s, and --provider is %s", s.Vendor, s.Provider)
	}
	if err := r.window(&s); err != nil {
		return nil, err
	}
	s.NoUsage, s.NoCosts = r.gaps(&s)
	s.Usage, s.Costs = []UsageSum{}, []CostSum{}
	for _, u := range r.usage {
		if r.fragments {
			u.Requests = token.Count{}
		}
		s.Usage = append(s.Usage, *u)
	}
	for _, key := range slices.SortedFunc(maps.Keys(r.costs), func(a, b [4]string) int { return slices.Compare(a[:], b[:]) }) {
		s.Costs = append(s.Costs, *r.costs[key])
	}
	slices.SortFunc(s.Usage, func(a, b UsageSum) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Day, b.Day))
	})
	return &s, nil
}

// whole says if each report's last page is there. One without rows can be that of either
// report, but of one only.
func (r *Reading) whole() error {
	ends := 0 // without rows
	if n := r.pages[""]; n != nil {
		ends = n[0] - n[1]
	}
	for _, kind := range []Kind{Usage, Cost} {
		if n := r.pages[kind]; n == nil || n[0] > n[1] {
			continue
		}
		if ends--; ends < 0 {
			return fmt.Errorf("the pages of %s say that there are more (has_more): give those too", kind)
		}
	}
	if r.pages[""] != nil && r.pages[Usage] == nil && r.pages[Cost] == nil && ends == 0 {
		return errors.New("the pages say that there are more (has_more): give those too")
	}
	return nil
}

// once says if no time is in two buckets, as an hour is that a day is given of too.
func (r *Reading) once() error {
	keys := slices.SortedFunc(maps.Keys(r.buckets), func(a, b bucketKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.unix, b.unix))
	})
	for i, key := range keys[min(1, len(keys)):] {
		before := keys[i]
		if first := r.buckets[before]; key.kind != "" && key.kind == before.kind && first.to > key.unix {
			return fmt.Errorf("%s: the bucket of %s is within that of %s in %s: give one report of a time", r.buckets[key].file,
				time.Unix(key.unix, 0).UTC().Format(time.RFC3339), time.Unix(before.unix, 0).UTC().Format(time.RFC3339), first.file)
		}
	}
	return nil
}

// gaps are the days of which there is no bucket.
func (r *Reading) gaps(s *Statement) (usage, costs []string) {
	has := map[Kind]map[string]bool{Usage: {}, Cost: {}, "": {}}
	for key := range r.buckets {
		has[key.kind][time.Unix(key.unix, 0).UTC().Format(time.DateOnly)] = true
	}
	for t := s.From.UTC().Truncate(24 * time.Hour); t.Before(s.To) && len(usage)+len(costs) < maxGaps; t = t.AddDate(0, 0, 1) {
		day := t.Format(time.DateOnly)
		if s.HasUsage && !has[Usage][day] && !has[""][day] {
			usage = append(usage, day)
		}
		if s.HasCosts && !has[Cost][day] && !has[""][day] {
			costs = append(costs, day)
		}
	}
	return usage, costs
}

// window is the time that the statement speaks of.
func (r *Reading) window(s *Statement) error {
	var all *window
	for _, kind := range []Kind{Usage, Cost, ""} {
		w := r.windows[kind]
		switch {
		case w == nil:
		case all == nil:
			all = &window{w.from, w.to}
		case kind == Cost && r.Since.IsZero() && r.Until.IsZero() && r.windows[""] == nil && *all != *w:
			return fmt.Errorf("the usage is of %s to %s, the costs of %s to %s: give reports of one time, or --since and --until",
				all.from.Format(time.RFC3339), all.to.Format(time.RFC3339), w.from.Format(time.RFC3339), w.to.Format(time.RFC3339))
		default:
			all.widen(*w)
		}
	}
	if all == nil {
		return errors.New("the reports have no bucket in the time that was asked for")
	}
	if s.From, s.To = all.from, all.to; !r.Since.IsZero() {
		s.From = r.Since
	}
	if !r.Until.IsZero() {
		s.To = r.Until
	}
	return nil
}
