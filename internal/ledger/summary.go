package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/recoup-gateway/recoup/internal/token"
	"github.com/recoup-gateway/recoup/pricing"
)

// Summary is what the attempts of a month came to that were summarised: those of one
// provider and model, with the same tags.
type Summary struct {
	Month    string            `json:"mo"` // 2006-01, UTC, of when they were accepted
	Provider string            `json:"p"`
	Model    string            `json:"m"`
	Tags     map[string]string `json:"g,omitempty"`
	// Rest is of all sets of tags beyond the first so many of the month.
	Rest     bool   `json:"rest,omitempty"`
	Attempts int64  `json:"n,omitempty"`
	Unpriced int64  `json:"un,omitempty"` // of Attempts
	Misses   int64  `json:"x,omitempty"`  // calls that could have been resumes
	Lines    []Part `json:"l,omitempty"`  // what stood on their accounts, in order
}

// Touches says if a time has some of the month; the zero times are before the first
// and after the last attempt.
func (s *Summary) Touches(since, until time.Time) bool {
	start, err := time.Parse("2006-01", s.Month)
	return err != nil || (until.IsZero() || start.Before(until)) && start.AddDate(0, 1, 0).After(since)
}

// Part is what a Summary has on one account. Tokens and money of estimates stand
// apart.
type Part struct {
	Account   string      `json:"a"`
	Kind      token.Kind  `json:"k,omitempty"`
	Estimated bool        `json:"e,omitempty"`
	Tokens    int64       `json:"t,omitempty"`
	Amount    pricing.Sum `json:"p"`
}

// maxTagSets is how many sets of tags a month's summaries tell apart, for each
// provider and model.
const maxTagSets = 1000

// summaryBody is of an entry with a part of what was summarised.
type summaryBody struct {
	Rows []Summary           `json:"rows,omitempty"`
	Sums map[string]sumsBody `json:"sums,omitempty"` // tallies by key, as of the cut

	Incidents []incidentBody `json:"z,omitempty"` // as they stood
}

type sumsBody struct {
	Count  int64       `json:"n,omitempty"`
	Amount pricing.Sum `json:"p"`
}

// cutBody is of an entry that ends a summary: what precedes Seq, and it, is gone.
type cutBody struct {
	Seq    uint64   `json:"s"`
	Hash   Hash     `json:"h"`
	Before int64    `json:"b"`  // unix ms: the months that are closed ended here
	Of     []uint64 `json:"of"` // entries with all that was ever summarised
	Tried  int64    `json:"n"`  // attempts in them
}

// MarshalText returns hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(b []byte) error {
	var raw []byte
	if _, err := fmt.Sscanf(string(b), "%x", &raw); err != nil || len(raw) != len(h) {
		return fmt.Errorf("ledger: %q is not a hash", b)
	}
	copy(h[:], raw)
	return nil
}

// base is where the chain begins that is there: at its beginning, or at a cut.
type base struct {
	Head
	before int64  // unix ms
	cut    uint64 // entry; 0: none
	body   cutBody
}

// readBase reads the newest cut.
func readBase(txn *badger.Txn) (b base, err error) {
	v, err := get(txn, metaCut)
	if err != nil || v == nil {
		return b, err
	}
	if len(v) != 8 {
		return b, damagedf("number of a cut: %x", v)
	}
	seq := decodeSeq(v)
	e, err := readEntry(txn, seq)
	if err != nil {
		return b, err
	}
	if e.Cut == nil || e.Kind != kindCut {
		return b, damagedf("entry %d is no cut", seq)
	}
	return base{Head{e.Cut.Seq, e.Cut.Hash}, e.Cut.Before, seq, *e.Cut}, nil
}

// eachSummary reads the entries of a base's summary.
func (b *base) eachSummary(txn *badger.Txn, fn func(summaryBody) error) error {
	for _, seq := range b.body.Of {
		e, err := readEntry(txn, seq)
		if err != nil {
			return err
		}
		if e.Kind != kindSummary || e.Summary == nil {
			return damagedf("entry %d is no summary", seq)
		}
		if err := fn(*e.Summary); err != nil {
			return err
		}
	}
	return nil
}

// sums are the tallies as of the cut.
func (b *base) sums(txn *badger.Txn) (sums, error) {
	all := sums{}
	err := b.eachSummary(txn, func(s summaryBody) error {
		for key, v := range s.Sums {
			all[key] = tally{v.Count, v.Amount}
		}
		return nil
	})
	return all, err
}

// Summaries calls fn with all that was summarised. Its attempts are no longer among
// Attempts and Between: what they came to is all that remains. Errors as those of
// Attempts.
func (l *Ledger) Summaries(ctx context.Context, fn func(Summary) error) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave()
	return l.db.View(func(txn *badger.Txn) error {
		b, err := readBase(txn)
		if err != nil {
			return err
		}
		return b.eachSummary(txn, func(s summaryBody) error {
			for _, row := range s.Rows {
				if err := l.interrupted(ctx); err != nil {
					return err
				}
				if err := fn(row); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// rows are summaries that are being added up.
type rows struct {
	by   map[string]*Summary       // by month, provider, model and tags
	sets map[string]int            // sets of tags, by month, provider and model
	at   map[*Summary]map[Part]int // where the lines are, without their figures
}

func newRows() *rows {
	return &rows{map[string]*Summary{}, map[string]int{}, map[*Summary]map[Part]int{}}
}

func monthOf(t time.Time) string { return t.UTC().Format("2006-01") }

// row finds the summary of a group, or makes it.
func (r *rows) row(s Summary) *Summary {
	if len(s.Tags) == 0 {
		s.Tags = nil
	}
	group, _ := json.Marshal([]string{s.Month, s.Provider, s.Model})
	key := func() string {
		tags, _ := json.Marshal(s.Tags) // a map of strings, with its names in order
		return fmt.Sprintf("%s %s %v", group, tags, s.Rest)
	}
	if found := r.by[key()]; found != nil {
		return found
	}
	if s.Tags != nil && r.sets[string(group)] >= maxTagSets {
		s.Tags, s.Rest = nil, true
		return r.row(s)
	}
	if s.Tags != nil {
		r.sets[string(group)]++
	}
	made := &Summary{Month: s.Month, Provider: s.Provider, Model: s.Model, Tags: s.Tags, Rest: s.Rest}
	r.by[key()] = made
	r.at[made] = map[Part]int{}
	return made
}

func (r *rows) add(to *Summary, p Part) {
	place := Part{Account: p.Account, Kind: p.Kind, Estimated: p.Estimated}
	i, ok := r.at[to][place]
	if !ok {
		i = len(to.Lines)
		r.at[to][place] = i
		to.Lines = append(to.Lines, place)
	}
	to.Lines[i].Tokens += p.Tokens
	to.Lines[i].Amount = to.Lines[i].Amount.Plus(p.Amount)
}

// merge adds a summary that was posted.
func (r *rows) merge(s Summary) {
	to := r.row(s)
	to.Attempts += s.Attempts
	to.Unpriced += s.Unpriced
	to.Misses += s.Misses
	for _, p := range s.Lines {
		r.add(to, p)
	}
}

func (r *rows) lines(to *Summary, lines []amountOn, estimated func(token.Kind) bool) {
	for _, l := range lines {
		r.add(to, Part{l.Account, l.Kind, estimated(l.Kind), l.Tokens, pricing.Sum{}.Add(pricing.Picodollars(l.Amount))})
	}
}

// attempt adds what stands of an attempt.
func (r *rows) attempt(row *Row) {
	to := r.row(Summary{Month: monthOf(row.At), Provider: row.Provider, Model: row.Model, Tags: row.Tags})
	to.Attempts++
	bill, o := row.Current.Bill, row.Current.Outcomes
	if bill.Unpriced != "" {
		to.Unpriced++
	}
	estimated := func(k token.Kind) bool {
		if k.IsOutput() {
			return bill.OutputBasis.Estimated()
		}
		return bill.InputBasis.Estimated()
	}
	r.lines(to, billLines(&bill), estimated)
	r.lines(to, outcomeLines(&bill, o), estimated)
	r.lines(to, memoLines(o), exact)
}

func exact(token.Kind) bool { return false }

// sorted are all summaries, in the order of their names, without empty lines.
func (r *rows) sorted() []Summary {
	all := make([]Summary, 0, len(r.by))
	for _, s := range r.by {
		s.Lines = slices.DeleteFunc(s.Lines, func(p Part) bool { return p.Tokens == 0 && p.Amount.Sign() == 0 })
		slices.SortFunc(s.Lines, func(a, b Part) int {
			return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Kind, b.Kind), boolCompare(a.Estimated, b.Estimated))
		})
		all = append(all, *s)
	}
	text := func(s *Summary) string { tags, _ := json.Marshal(s.Tags); return string(tags) }
	slices.SortFunc(all, func(a, b Summary) int {
		return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Model, b.Model),
			cmp.Compare(text(&a), text(&b)), boolCompare(a.Rest, b.Rest))
	})
	return all
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
