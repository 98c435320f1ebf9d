package pricing

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	yamltoken "github.com/goccy/go-yaml/token"
)

// MaxOverlay is the most bytes that an overlay may have: a hundred times what all
// models of today would take.
const MaxOverlay = 8 << 20

// maxItems is how many items of one model a file may have: more would be a mistake, and
// each is compared with all others.
const maxItems = 1000

// maxProblems is how many problems of one file are named.
const maxProblems = 50

// Overlay is prices that an operator lays over a book, read from YAML.
type Overlay struct {
	name    string
	hash    [sha256.Size]byte
	entries []entry
}

// Name is the file's, as it was given.
func (o *Overlay) Name() string { return o.name }

// entry is one item of an overlay, as it stands in the file.
type entry struct {
	row      Row   // its rates as stated, without those of the book below
	discount int64 // factor in millionths; 0: it has rates of its own
	tools    map[string]Rate
	every    bool // all models of the provider
	line     int
	column   int
}

// Problem is one thing that is wrong with an overlay, with what was expected.
type Problem struct {
	Line, Column int // from 1; 0: of the file as a whole
	Text         string
}

// OverlayError is why an overlay is refused. It has at least one Problem.
type OverlayError struct {
	Name     string
	Problems []Problem
}

// Error has one line for each problem: file:line: what is wrong.
func (e *OverlayError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s:%d: %s", e.Name, p.Line, p.Text)
		if p.Line == 0 {
			lines[i] = fmt.Sprintf("%s: %s", e.Name, p.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// ParseOverlay reads an overlay. Its form is described in docs/prices.md. The error is
// an *OverlayError.
func ParseOverlay(name string, data []byte) (*Overlay, error) {
	r := &overlayReader{overlay: &Overlay{name: name, hash: sha256.Sum256(data)}}
	if len(data) > MaxOverlay {
		r.problem(nil, "it has %d bytes: want at most %d", len(data), MaxOverlay)
		return nil, r.err()
	}
	r.read(data)
	r.findOverlaps()
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.overlay, nil
}

// overlayReader walks the file as a tree, so that each complaint knows its line.
type overlayReader struct {
	overlay  *Overlay
	problems []Problem
	left     int // problems that are not named
}

func (r *overlayReader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	if r.left > 0 {
		r.problems = append(r.problems, Problem{Text: fmt.Sprintf("and %d more problems", r.left)})
	}
	return &OverlayError{r.overlay.name, r.problems}
}

func (r *overlayReader) problem(at *yamltoken.Token, format string, args ...any) {
	if len(r.problems) == maxProblems {
		r.left++
		return
	}
	p := Problem{Text: fmt.Sprintf(format, args...)}
	if at != nil && at.Position != nil {
		p.Line, p.Column = at.Position.Line, at.Position.Column
	}
	r.problems = append(r.problems, p)
}

const wantPrices = "want prices: and a list, each item with provider, model and rates or a discount"

func (r *overlayReader) read(data []byte) {
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		if syntax := yaml.Error(nil); errors.As(err, &syntax) {
			r.problem(syntax.GetToken(), "%s", syntax.GetMessage())
			return
		}
		r.problem(nil, "%v", err)
		return
	}
	if len(tree.Docs) > 1 && tree.Docs[1].Body != nil {
		r.problem(tree.Docs[1].Body.GetToken(), "a second document begins here: want one")
		return
	}
	var body ast.Node
	if len(tree.Docs) > 0 {
		body = tree.Docs[0].Body
	}
	if body == nil {
		r.problem(nil, "it is empty: %s", wantPrices)
		return
	}
	top, ok := body.(ast.MapNode)
	if !ok {
		r.problem(body.GetToken(), wantPrices)
		return
	}
	for it := top.MapRange(); it.Next(); {
		if name := it.Key().GetToken(); name.Value != "prices" {
			r.problem(name, "unknown key %q: %s", name.Value, wantPrices)
			continue
		}
		list, ok := it.Value().(*ast.SequenceNode)
		if !ok {
			r.problem(it.Value().GetToken(), wantPrices)
			continue
		}
		for _, item := range list.Values {
			r.item(item)
		}
	}
}

func (r *overlayReader) item(node ast.Node) {
	m, ok := node.(ast.MapNode)
	if !ok {
		r.problem(node.GetToken(), "want an item with provider, model and rates or a discount")
		return
	}
	before := len(r.problems) + r.left
	i := &itemReader{overlayReader: r, before: before}
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken()
		if i.first == nil {
			i.first = key
		}
		read, ok := itemKeys[key.Value]
		if !ok {
			r.problem(key, "unknown key %q: want one of %s", key.Value, strings.Join(itemNames, ", "))
			continue
		}
		read(i, key, it.Value())
	}
	if i.first == nil {
		r.problem(node.GetToken(), "the item is empty: want provider, model and rates or a discount")
		return
	}
	if i.finish(); len(r.problems)+r.left == before {
		r.overlay.entries = append(r.overlay.entries, i.entry)
	}
}

// plain returns the text of a value that must be no more than that.
func (r *overlayReader) plain(key string, node ast.Node, want string) (string, bool) {
	switch node.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return strings.TrimSpace(node.GetToken().Value), true
	case *ast.NullNode:
		r.problem(node.GetToken(), "%s has no value: want %s", key, want)
	default:
		r.problem(node.GetToken(), "%s is not a plain value: want %s", key, want)
	}
	return "", false
}

// findOverlaps refuses two items of which nothing tells which one counts.
func (r *overlayReader) findOverlaps() {
	type name struct{ provider, model string }
	seen := map[name][]*entry{}
	for i := range r.overlay.entries {
		e := &r.overlay.entries[i]
		n := name{e.row.Provider, e.row.Model}
		at := &yamltoken.Token{Position: &yamltoken.Position{Line: e.line, Column: e.column}}
		if len(seen[n]) == maxItems {
			r.problem(at, "%s of %s has more than %d items: want fewer", e.row.Model, e.row.Provider, maxItems)
			return
		}
		for _, other := range seen[n] {
			if precedence(&e.row, &other.row) == 0 && e.row.meets(&other.row) {
				r.problem(at, "%s of %s has a price for the same time in line %d: want a valid_to in one of them, another valid_from, or the newer known_from",
					e.row.Model, e.row.Provider, other.line)
				break
			}
		}
		seen[n] = append(seen[n], e)
	}
}

// meets says if there is a moment at which both rows hold.
func (r *Row) meets(other *Row) bool {
	ends := func(a, b *Row) bool { return !a.To.IsZero() && !a.To.After(b.From) }
	return !ends(r, other) && !ends(other, r) && r.hours.meet(other.hours)
}
