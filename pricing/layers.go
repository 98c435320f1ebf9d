package pricing

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
)

// Over returns the book with overlays laid over it, each over those before; b stays
// what it is. A row of an overlay counts before all rows below, while it holds. The
// error is an *OverlayError.
func (b *Book) Over(overlays ...*Overlay) (*Book, error) {
	for _, o := range overlays {
		next, err := b.with(o)
		if err != nil {
			return nil, err
		}
		b = next
	}
	return b, nil
}

// Warnings say what in the overlays may not be what was meant, each in one line that
// begins with file and line.
func (b *Book) Warnings() []string { return slices.Clone(b.warnings) }

// with lays one overlay over the book.
func (b *Book) with(o *Overlay) (*Book, error) {
	next := &Book{rows: slices.Clone(b.rows), warnings: slices.Clone(b.warnings), layers: b.layers + 2}
	next.overlays = sha256.Sum256(append(b.overlays[:], o.hash[:]...))
	base, _, _ := strings.Cut(b.version, "+")
	next.version = fmt.Sprintf("%s+%x", base, next.overlays[:4])
	laying := &laying{below: b, overlay: o}
	for i := range o.entries {
		e := &o.entries[i]
		layer := next.layers
		if e.every {
			layer-- // one for a single model counts before it
		}
		rows, err := laying.rows(e)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			row.layer = layer
			next.rows = append(next.rows, row)
		}
	}
	next.warnings = append(next.warnings, laying.warnings...)
	for i := range next.rows {
		next.rows[i].stamp(next.version)
	}
	err := next.index()
	if taken := (*idTaken)(nil); errors.As(err, &taken) {
		return nil, &OverlayError{o.name, []Problem{{Line: taken.row.Origin.Line, Text: fmt.Sprintf(
			"%s is an id of %s and of %s: want %s as the model, or another alias", taken.id, taken.first, taken.second, taken.first)}}}
	}
	return next, err
}

// laying is an overlay on its way into a book.
type laying struct {
	below    *Book
	overlay  *Overlay
	warnings []string
}

func (l *laying) warn(e *entry, format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf("%s:%d: ", l.overlay.name, e.line)+fmt.Sprintf(format, args...))
}

// rows are those that an item makes of what is below it.
func (l *laying) rows(e *entry) ([]Row, error) {
	if e.every {
		return l.ofEvery(e)
	}
	below := l.below.lookup(e.row.Provider, e.row.Model)
	if below != nil && below.id != e.row.Model && l.below.isAlias(e.row.Provider, e.row.Model) {
		return nil, l.overlay.at(e, "model: %s is another id of %s: want %s", e.row.Model, below.id, below.id)
	}
	if e.discount > 0 {
		if below == nil {
			return nil, l.overlay.at(e, "discount: the book below has no model %q of %s to take it from", e.row.Model, e.row.Provider)
		}
		rows, err := l.discounted(e, below)
		if err == nil && len(rows) == 0 {
			err = l.overlay.at(e, "discount: the book below has no price of %s in that time to take it from", e.row.Model)
		}
		return rows, err
	}
	row, err := l.stated(e, below)
	return []Row{row}, err
}

// isAlias says if an id is in the book as that of a model of another name, and not
// only like one of its snapshots.
func (b *Book) isAlias(provider, id string) bool {
	for _, models := range b.catalogues(provider) {
		if m := models[id]; m != nil {
			return m.id != id
		}
	}
	return false
}

// catalogues are where a provider's models are looked for.
func (b *Book) catalogues(provider string) []catalogue {
	if b.lists[provider] {
		return []catalogue{b.byName[provider]}
	}
	return []catalogue{b.byName[provider], b.anywhere}
}

// stated is the row of an item with rates of its own. What the book below has for
// the model and the item doesn't state is not known, rather than billed as
// something else.
func (l *laying) stated(e *entry, below *model) (Row, error) {
	row := e.row
	tools := e.tools
	if below != nil {
		tools = below.toolsAlso(&row, tools)
	}
	row.Standard.PerToken = withTools(row.Standard.PerToken, tools)
	var missing []string
	if below != nil {
		missing = row.unstateFrom(below)
	}
	if len(missing) > 0 {
		l.warn(e, "%s: the book below has %s, and this item has not: such tokens and requests are unpriced", row.Model, strings.Join(missing, ", "))
	}
	for _, t := range tiers[1:] {
		if rates := row.tier(t).PerToken; rates != nil {
			rates = withTools(rates, tools)
			if err := complete(t, rates, row.Standard.PerToken); err != nil {
				return row, l.overlay.at(e, "%v", err)
			}
			row.tier(t).PerToken = rates
		}
	}
	if err := row.uplift(); err != nil {
		return row, l.overlay.at(e, "%v", err)
	}
	row.makeOf(below)
	return row, nil
}

// toolsAlso are the tools that a row states, and those that it doesn't at what they
// cost below: a price for tokens says nothing of them.
func (m *model) toolsAlso(r *Row, stated map[string]Rate) map[string]Rate {
	all := maps.Clone(stated)
	if all == nil {
		all = map[string]Rate{}
	}
	for _, b := range m.rows {
		if !r.meets(b) {
			continue
		}
		for kind, rate := range b.Standard.PerToken {
			name, isTool := kind.ToolName()
			if _, ok := all[name]; isTool && !ok {
				all[name] = rate
			}
		}
	}
	return all
}

// makeOf notes whose model it is that a provider of another name sells.
func (r *Row) makeOf(below *model) {
	if below == nil {
		return
	}
	for _, t := range tiers {
		r.tier(t).Provider = below.provider
		if rates := r.regional[t]; rates != nil {
			rates.Provider = below.provider
		}
	}
}

// unstateFrom notes what a model has below and the row has not, and returns its
// names.
func (r *Row) unstateFrom(below *model) (missing []string) {
	has := map[token.Kind]bool{}
	for _, b := range below.rows {
		if !r.meets(b) {
			continue
		}
		for kind := range b.Standard.PerToken {
			if _, ok := r.Standard.PerToken[kind]; !ok && !has[kind] {
				has[kind] = true
				missing = append(missing, string(kind))
			}
		}
		if b.LongAbove > 0 && r.Long.PerToken == nil && (r.LongAbove == 0 || b.LongAbove < r.LongAbove) {
			if r.LongAbove == 0 {
				missing = append(missing, string(Long))
			}
			r.LongAbove = b.LongAbove
		}
		for _, t := range []Tier{Batch, Flex, Priority} {
			if b.tier(t).Known() && r.tier(t).PerToken == nil && !slices.Contains(missing, string(t)) {
				missing = append(missing, string(t))
			}
		}
	}
	for kind := range has {
		r.Standard.PerToken[kind] = unstated
	}
	slices.Sort(missing)
	return missing
}

// ofEvery are the rows of a discount on all models of a provider.
func (l *laying) ofEvery(e *entry) (rows []Row, err error) {
	models := catalogue{}
	for _, c := range slices.Backward(l.below.catalogues(e.row.Provider)) {
		maps.Copy(models, c)
	}
	for _, id := range slices.Sorted(maps.Keys(models)) {
		m := models[id]
		if m == nil || m.id != id {
			continue // an alias, or ambiguous
		}
		of, err := l.discounted(e, m)
		if err != nil {
			return nil, err
		}
		rows = append(rows, of...)
	}
	if len(rows) == 0 {
		return nil, l.overlay.at(e, "discount: the book below has no prices of %s in that time to take it from", e.row.Provider)
	}
	return rows, nil
}

// discounted are the rows of a model, where they hold together with the item, at its
// part of their rates.
func (l *laying) discounted(e *entry, below *model) (rows []Row, err error) {
	for _, b := range below.rows {
		if !b.meets(&e.row) || !b.Standard.Known() {
			continue
		}
		row := *b
		row.Provider, row.below = e.row.Provider, b
		row.From, row.To = later(b.From, e.row.From), earlier(b.To, e.row.To)
		row.KnownFrom = later(b.KnownFrom, e.row.KnownFrom)
		if len(e.row.hours.windows) > 0 {
			if len(b.hours.windows) > 0 {
				return nil, l.overlay.at(e, "time_of_day: %s has hours of its own below: want a discount without hours", b.Model)
			}
			row.Hours, row.hours = e.row.Hours, e.row.hours
		}
		row.Status, row.Origin, row.Discount = e.row.Status, e.row.Origin, e.row.Discount
		row.Aliases = append(slices.Clone(b.Aliases), e.row.Aliases...)
		row.Source = fmt.Sprintf("%s of %s (%s)", e.row.Discount, cmp.Or(b.Status, List), b.Origin)
		if e.row.Source != "" {
			row.Source = e.row.Source + ": " + row.Source
		}
		row.Notes = e.row.Notes
		row.SourceDate = formatDay(row.KnownFrom)
		row.regional = make(map[Tier]*Rates, len(b.regional))
		for _, t := range tiers {
			if rates := b.tier(t); rates.PerToken != nil {
				*row.tier(t) = scaled(*rates, e)
			}
			if rates := b.regional[t]; rates != nil {
				of := scaled(*rates, e)
				row.regional[t] = &of
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// scaled are rates times the discount, each rounded half up to a picodollar per
// token. What tools cost stays, unless the item states it.
func scaled(rates Rates, e *entry) Rates {
	per := make(map[token.Kind]Rate, len(rates.PerToken))
	for kind, rate := range rates.PerToken {
		if rate != unstated && !kind.IsTool() {
			hi, lo := bits.Mul64(uint64(rate), uint64(e.discount))
			lo, carry := bits.Add64(lo, 500_000, 0)
			q, _ := bits.Div64(hi+carry, lo, 1_000_000) // the discount is at most 1
			rate = Rate(q)
		}
		per[kind] = rate
	}
	for name, rate := range e.tools {
		per[token.Tool(name)] = rate
	}
	rates.PerToken = per
	return rates
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// earlier of two ends, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
