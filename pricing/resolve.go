package pricing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// hosts sell other makers' open models, at prices of their own. What they ask says
// nothing of what a provider asks that the book doesn't know.
var hosts = []string{"groq"}

// Prefixes of model ids, besides the names of the book's providers.
var (
	pathPrefixes  = []string{"models", "publishers", "azure", "bedrock", "gemini", "vertex_ai", "x-ai", "mistralai", "openrouter"}
	cloudPrefixes = []string{"us.", "eu.", "apac.", "jp.", "au.", "global.", "anthropic."}
)

// Resolve returns the canonical id of a model, as rows and metrics have it. It allocates nothing.
//
// The provider's own models count, or those of all makers if the book has no provider
// of that name, unless two have a model of that id: prices are not guessed. An overlay's
// prices are those of the provider that it names, and of no other. The id
// may be an alias, have a provider's prefix ("openai/", "models/",
// "us.anthropic."), be in an ARN of Bedrock's, name a snapshot by its full date ("-2026-04-23", "-20250929", "@20250929") or end
// with "-latest" or Bedrock's "-v1" or "-v1:0". Nothing else is taken away: gpt-5.5-mini is
// no gpt-5.5, and a four-digit date counts only if the book lists it.
func (b *Book) Resolve(provider, model string) (id string, ok bool) {
	if m := b.lookup(provider, model); m != nil {
		return m.id, true
	}
	return "", false
}

func (b *Book) lookup(provider, id string) *model {
	if m := b.lookupIn(b.byName[provider], id); m != nil || b.lists[provider] {
		return m
	}
	return b.lookupIn(b.anywhere, id)
}

func (b *Book) lookupIn(models catalogue, id string) *model {
	for {
		if m, ok := models.find(id); ok {
			return m
		}
		var ok bool
		if id, ok = b.withoutPrefix(id); !ok {
			return nil
		}
	}
}

func (c catalogue) find(id string) (*model, bool) {
	if m, ok := c[id]; ok {
		return m, true
	}
	id = withoutVersion(id)
	if m, ok := c[id]; ok {
		return m, true
	}
	m, ok := c[strings.TrimSuffix(withoutDate(id), "-latest")]
	return m, ok
}

func (b *Book) withoutPrefix(id string) (string, bool) {
	if rest, ok := withoutARN(id); ok {
		return rest, true
	}
	if head, rest, ok := strings.Cut(id, "/"); ok && b.prefixes[head] {
		return rest, true
	}
	for _, p := range cloudPrefixes {
		if rest, ok := strings.CutPrefix(id, p); ok {
			return rest, true
		}
	}
	return "", false
}

// withoutARN takes away what an ARN has in front of a model's own id. Those of provisioned models and of a customer's
// own profiles have none in them, so what they stand for is unknown.
func withoutARN(id string) (string, bool) {
	if !strings.HasPrefix(id, "arn:") {
		return "", false
	}
	head, rest, ok := strings.Cut(id, "/")
	return rest, ok && (strings.HasSuffix(head, ":foundation-model") || strings.HasSuffix(head, ":inference-profile"))
}

// withoutVersion takes away "-v1:0", and "-v1".
func withoutVersion(id string) string {
	if base, ok := strings.CutSuffix(id, "-v1"); ok {
		return base
	}
	i := strings.LastIndex(id, "-v")
	if i < 0 {
		return id
	}
	if major, minor, ok := strings.Cut(id[i+len("-v"):], ":"); ok && isDigits(major) && isDigits(minor) {
		return id[:i]
	}
	return id
}

// withoutDate takes away the full date of a snapshot.
func withoutDate(id string) string {
	for _, layout := range []string{"-yyyy-mm-dd", "-yyyymmdd", "@yyyymmdd"} {
		if i := len(id) - len(layout); i > 0 && isDate(id[i:], layout) {
			return id[:i]
		}
	}
	return id
}

func isDate(s, layout string) bool {
	var year, month, day int
	for i := range len(layout) {
		digit := int(s[i]) - '0'
		isDigit := digit >= 0 && digit <= 9
		switch layout[i] {
		case 'y':
			year = year*10 + digit
		case 'm':
			month = month*10 + digit
		case 'd':
			day = day*10 + digit
		default:
			if s[i] != layout[i] {
				return false
			}
			continue
		}
		if !isDigit {
			return false
		}
	}
	return year >= 2020 && year < 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// index makes the rows findable, by all ids that their models have.
func (b *Book) index() error {
	b.byName, b.anywhere = map[string]catalogue{}, catalogue{}
	b.lists, b.prefixes = map[string]bool{}, map[string]bool{}
	for _, p := range pathPrefixes {
		b.prefixes[p] = true
	}
	listed := map[string]catalogue{}
	for i := range b.rows {
		row := &b.rows[i]
		b.prefixes[row.Provider] = true
		if _, err := add(b.byName, row); err != nil {
			return err
		}
		if row.layer > 0 {
			continue
		}
		b.lists[row.Provider] = true
		if slices.Contains(hosts, row.Provider) {
			continue
		}
		m, err := add(listed, row)
		if err != nil {
			return err
		}
		for _, id := range append([]string{row.Model}, row.Aliases...) {
			b.anywhere.put(id, m)
		}
	}
	for _, all := range []map[string]catalogue{b.byName, listed} {
		for _, models := range all {
			for _, m := range models {
				slices.SortStableFunc(m.rows, precedence)
			}
		}
	}
	return nil
}

// add puts a row into the catalogue of its provider.
func add(to map[string]catalogue, row *Row) (*model, error) {
	own := to[row.Provider]
	if own == nil {
		own = catalogue{}
		to[row.Provider] = own
	}
	m := own[row.Model]
	if m == nil {
		m = &model{provider: cmp.Or(row.Standard.Provider, row.Provider), id: row.Model}
	}
	m.rows = append(m.rows, row)
	for _, id := range append([]string{row.Model}, row.Aliases...) {
		if other := own.put(id, m); other != nil {
			return nil, &idTaken{id, other.id, m.id, row}
		}
	}
	return m, nil
}

// idTaken is an id that two models have.
type idTaken struct {
	id, first, second string
	row               *Row
}

func (e *idTaken) Error() string {
	return fmt.Sprintf("pricing: %s is an id of %s and of %s", e.id, e.first, e.second)
}

// put makes m findable by id, and the id ambiguous if it is that of another model,
// which it returns.
func (c catalogue) put(id string, m *model) (other *model) {
	other, taken := c[id]
	if taken && other != m {
		m = nil
	} else {
		other = nil
	}
	c[id] = m
	return other
}
