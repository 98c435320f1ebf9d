package bucket

import (
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

// chargeTools moves what the books have of a tool and day from its models to what the
// bill charges for the tool apart. The bill calls it web_search, or "web search tool calls".
func (at *cell) chargeTools(h *shelf) {
	item := strings.ReplaceAll(strings.ToLower(at.model), " ", "_")
	for k, b := range h.by {
		for name := range b.tools {
			if k.day == at.day && name != "" && strings.HasPrefix(item, name) {
				at.books.USD, b.USD = at.books.USD.Plus(b.tools[name]), b.USD.Minus(b.tools[name])
				delete(b.tools, name)
			}
		}
		for i := range b.late {
			late := &b.late[i]
			for name := range late.tools {
				if (k.day == at.day || k.day == early) && name != "" && strings.HasPrefix(item, name) {
					late.USD = late.USD.Minus(late.tools[name])
					delete(late.tools, name)
				}
			}
		}
	}
}
