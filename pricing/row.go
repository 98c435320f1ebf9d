package pricing

import (
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/token"
)

// Row is a row of a Book: the rates of one model in one period. Rates of a tier that
// it doesn't state are not Known.
type Row struct {
	Provider, Model           string
	Aliases                   []string
	Status                    Status
	Standard, Long            Rates
	LongAbove                 int64 // input tokens; 0: no long tier
	Batch, Flex, Priority     Rates
	RegionalUplift            string    // decimal factor, or empty
	From, To                  time.Time // zero: open
	KnownFrom                 time.Time
	Hours                     string // as in the file
	Source, SourceDate, Notes string
	Origin                    Origin
	Discount                  string // decimal factor that was applied to the row below, or empty

	hours    hours
	regional map[Tier]*Rates
	layer    int  // 0: the book that others are laid over
	below    *Row // what a discount is of
}

// Origin is where a row was written. The zero value is the embedded book.
type Origin struct {
	File string
	Line int
}

// String is "embedded", or the file and the line.
func (o Origin) String() string {
	if o.File == "" {
		return "embedded"
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// rates of a tier; with none, or none of that region, they are not Known.
func (r *Row) rates(t Tier, regional bool) *Rates {
	if regional {
		if rates := r.regional[t]; rates != nil {
			return rates
		}
		return &Rates{}
	}
	return r.tier(t)
}

func (r *Row) tier(t Tier) *Rates {
	switch t {
	case Long:
		return &r.Long
	case Batch:
		return &r.Batch
	case Flex:
		return &r.Flex
	case Priority:
		return &r.Priority
	}
	return &r.Standard
}

func (r *Row) holds(t time.Time) bool {
	return !t.Before(r.From) && (r.To.IsZero() || t.Before(r.To)) && r.hours.contain(t)
}

// precedence sorts the row first that counts where both hold: that of the upper
// layer; discounts go as what they are of does.
func precedence(a, b *Row) int {
	if a.layer != b.layer {
		return cmp.Compare(b.layer, a.layer)
	}
	if a.below != nil && b.below != nil {
		return precedence(a.below, b.below)
	}
	return cmp.Or(b.KnownFrom.Compare(a.KnownFrom), b.From.Compare(a.From), cmp.Compare(len(b.hours.windows), len(a.hours.windows)))
}

// Parse reads a book in the form of prices.csv, see the package's documentation.
// Columns may be absent, but unknown ones are refused. Errors name the line.
func Parse(r io.Reader) (*Book, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("pricing: reading: %w", err)
	}
	in := csv.NewReader(strings.NewReader(string(content)))
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("pricing: header: %w", err)
	}
	for _, name := range header {
		if !slices.Contains(columns, name) {
			return nil, fmt.Errorf("pricing: unknown column %q", name)
		}
	}
	b := &Book{}
	var newest time.Time
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("pricing: %w", err)
		}
		line, _ := in.FieldPos(0)
		row, err := cells{header, record}.row()
		if err != nil {
			return nil, fmt.Errorf("pricing: line %d: %w", line, err)
		}
		if row.KnownFrom.After(newest) {
			newest = row.KnownFrom
		}
		b.rows = append(b.rows, row)
	}
	b.version = fmt.Sprintf("%s-%x", newest.Format(time.DateOnly), sha256.Sum256(content))[:len(time.DateOnly)+9]
	for i := range b.rows {
		b.rows[i].stamp(b.version)
	}
	if err := b.index(); err != nil {
		return nil, err
	}
	return b, nil
}

// stamp completes the rates, which are handed out by themselves.
func (r *Row) stamp(version string) {
	regional := make(map[Tier]*Rates, len(r.regional)) // other books may have the old ones
	for t, rates := range r.regional {
		of := *rates
		regional[t] = &of
	}
	r.regional = regional
	for _, t := range tiers {
		for _, rates := range []*Rates{r.tier(t), r.regional[t]} {
			if rates != nil && rates.PerToken != nil {
				rates.Version, rates.Provider, rates.Model = version, cmp.Or(rates.Provider, r.Provider), r.Model
				rates.Status, rates.Tier, rates.Regional = r.Status, t, rates != r.tier(t)
			}
		}
	}
}

var tiers = []Tier{Standard, Long, Batch, Flex, Priority}

var columns = []string{
	"provider", "model", "input", "cached_input", "cache_write_5m", "cache_write_1h", "output",
	"long_context_threshold", "long_input", "long_cached_input", "long_cache_write_5m", "long_cache_write_1h", "long_output",
	"batch_input", "batch_output", "flex_input", "flex_output", "priority_input", "priority_cached_input", "priority_output",
	"regional_uplift", "effective_from", "effective_to", "time_of_day", "source", "source_date", "notes", "aliases", "status", "tools",
}

// cells are a line of the file.
type cells struct{ header, record []string }

func (c cells) get(column string) string {
	if i := slices.Index(c.header, column); i >= 0 {
		return strings.TrimSpace(c.record[i])
	}
	return ""
}

func (c cells) row() (Row, error) {
	r := Row{
		Provider: c.get("provider"), Model: c.get("model"), Aliases: strings.Fields(c.get("aliases")),
		Status: cmp.Or(Status(c.get("status")), List), RegionalUplift: c.get("regional_uplift"),
		Hours: c.get("time_of_day"), Source: c.get("source"), SourceDate: c.get("source_date"), Notes: c.get("notes"),
	}
	if r.Provider == "" || r.Model == "" {
		return r, errors.New("no provider or no model")
	}
	if !slices.Contains([]Status{List, Promo, Negotiated, Placeholder}, r.Status) {
		return r, fmt.Errorf("status: %q is none of list, promo, negotiated, placeholder", r.Status)
	}
	var threshold Rate // a whole number is read as one
	errs := []error{
		c.day("effective_from", &r.From), c.day("effective_to", &r.To), c.day("source_date", &r.KnownFrom),
		r.hours.parse(r.Hours),
		c.rate("long_context_threshold", &threshold),
	}
	if r.LongAbove = int64(threshold) / 1e6; r.LongAbove*1e6 != int64(threshold) {
		errs = append(errs, fmt.Errorf("long_context_threshold: %v is no number of tokens", threshold))
	}
	if !r.To.IsZero() && !r.From.Before(r.To) {
		errs = append(errs, errors.New("effective_to is not after effective_from"))
	}
	tools, err := c.tools()
	errs = append(errs, err)
	for _, t := range tiers {
		rates, err := c.tier(t, r.Standard.PerToken)
		errs = append(errs, err)
		if rates != nil {
			rates = withTools(rates, tools)
		}
		r.tier(t).PerToken = rates
	}
	errs = append(errs, r.uplift())
	return r, errors.Join(errs...)
}

// tools reads what tools cost: names with dollars per use, "web_search=0.01".
func (c cells) tools() (map[string]Rate, error) {
	tools := map[string]Rate{}
	for _, one := range strings.Fields(c.get("tools")) {
		name, price, ok := strings.Cut(one, "=")
		amount, err := ParseDollars(price)
		if !ok || name == "" || err != nil || amount < 0 {
			return nil, fmt.Errorf("tools: %q is no tool with dollars per use", one)
		}
		tools[name] = Rate(amount)
	}
	return tools, nil
}

// tierColumns are the columns of the rates, after their tier's prefix.
var tierColumns = []struct {
	kind   token.Kind
	column string
}{
	{token.Input, "input"}, {token.CacheRead, "cached_input"},
	{token.CacheWrite5m, "cache_write_5m"}, {token.CacheWrite1h, "cache_write_1h"},
	{token.Output, "output"},
}

// tier reads the rates of a tier: nil if it has none.
func (c cells) tier(t Tier, standard map[token.Kind]Rate) (map[token.Kind]Rate, error) {
	prefix := ""
	if t != Standard {
		prefix = string(t) + "_"
	}
	rates := map[token.Kind]Rate{}
	for _, col := range tierColumns {
		rate := unstated
		if err := c.rate(prefix+col.column, &rate); err != nil {
			return nil, err
		}
		if rate != unstated {
			rates[col.kind] = rate
		}
	}
	if len(rates) == 0 {
		return nil, nil
	}
	if (Rates{PerToken: rates}).Known() {
		return rates, complete(t, rates, standard)
	}
	return nil, fmt.Errorf("%s rates without input or output", t)
}

// complete fills what the standard rates have and those of a tier don't.
func complete(t Tier, rates, standard map[token.Kind]Rate) error {
	for kind, rate := range standard {
		if _, ok := rates[kind]; ok {
			continue
		}
		rates[kind] = unstated
		if kind == token.CacheRead && (t == Batch || t == Flex) {
			rates[kind] = min(rate, rates[token.Input])
		}
	}
	if t != Standard && standard == nil {
		return fmt.Errorf("%s rates without standard ones", t)
	}
	return nil
}

// uplift makes the regional rates.
func (r *Row) uplift() error {
	if r.RegionalUplift == "" {
		return nil
	}
	factor, err := parseDecimal(r.RegionalUplift, 2)
	if err != nil || factor < 100 || factor > 1000 {
		return fmt.Errorf("regional_uplift: %q is no factor from 1 to 10 with at most 2 decimals", r.RegionalUplift)
	}
	r.regional = map[Tier]*Rates{}
	for _, t := range tiers {
		if r.tier(t).PerToken == nil {
			continue
		}
		rates := map[token.Kind]Rate{}
		for kind, rate := range r.tier(t).PerToken {
			switch up := rate * Rate(factor); {
			case rate == unstated, kind.IsTool(): // a use costs the same everywhere
				rates[kind] = rate
			case up%100 != 0 || up/Rate(factor) != rate:
				return fmt.Errorf("regional_uplift: %v times %s has more than 6 decimals", rate, r.RegionalUplift)
			default:
				rates[kind] = up / 100
			}
		}
		r.regional[t] = &Rates{PerToken: rates}
	}
	return nil
}

// rate reads a cell into to, unless it is empty.
func (c cells) rate(column string, to *Rate) error {
	text := c.get(column)
	if text == "" {
		return nil
	}
	rate, err := ParseRate(text)
	if err != nil {
		return fmt.Errorf("%s: %w", column, err)
	}
	*to = rate
	return nil
}

// day reads a cell into to, unless it is empty.
func (c cells) day(column string, to *time.Time) error {
	text := c.get(column)
	if text == "" {
		return nil
	}
	t, ok := parseDay(text)
	if !ok {
		return fmt.Errorf("%s: %q is no day, month or time", column, text)
	}
	*to = t
	return nil
}

// parseDay reads a day, a month, which is its first day, or a time.
func parseDay(text string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, "2006-01", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
