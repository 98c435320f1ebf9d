package bucket

import (
	"maps"
	"slices"
	"strings"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// toolsOf is what an attempt's uses of tools cost, by the tool's name.
func toolsOf(row *ledger.Row) (tools map[string]pricing.Sum) {
	for _, l := range row.Current.Bill.Input {
		name, ok := l.Kind.ToolName()
		if !ok {
			continue
		}
		if tools == nil {
			tools = map[string]pricing.Sum{}
		}
		tools[name] = tools[name].Add(l.Amount)
	}
	return tools
}

// chargeTools moves what the books have of tools from their models to cells of their own,
// where the bill charges for them apart, on whatever day: extra are its charges, sorted.
func (c *comparing) chargeTools(h *shelf, extra []*cell) []*cell {
	byDay := map[[2]string]*cell{} // and tool
	for _, at := range extra {
		for _, name := range h.tools() {
			if at.isFor(name) && byDay[[2]string{name, at.day}] == nil {
				byDay[[2]string{name, at.day}], byDay[[2]string{name}] = at, at
			}
		}
	}
	for k, b := range h.by {
		for name, usd := range b.tools {
			if byDay[[2]string{name}] == nil {
				continue
			}
			at := byDay[[2]string{name, k.day}]
			if at == nil {
				at = &cell{key: key{model: name, day: k.day}, books: &booked{}}
				byDay[[2]string{name, k.day}] = at
				extra = append(extra, at)
			}
			at.books.USD, b.USD = at.books.USD.Plus(usd), b.USD.Minus(usd)
		}
		for i := range b.late {
			for name, usd := range b.late[i].tools {
				if byDay[[2]string{name}] != nil {
					b.late[i].USD = b.late[i].USD.Minus(usd)
				}
			}
		}
	}
	return extra
}

// tools are the names of all tools that the books have uses of.
func (h *shelf) tools() []string {
	names := map[string]bool{}
	for _, b := range h.by {
		for name := range b.tools {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// isFor says if a charge is for a tool: bills call it web_search, or "web search tool calls".
func (at *cell) isFor(tool string) bool {
	return tool != "" && strings.HasPrefix(strings.ReplaceAll(strings.ToLower(at.model), " ", "_"), tool)
}
