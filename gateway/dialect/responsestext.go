package dialect

// responseEvent reads an event of Responses. What comes in pieces is repeated whole behind them, and again
// in the end; what doesn't, like the calls of the provider's own tools, comes whole and once.
func (r *TextReader) responseEvent(o object) {
	index := int(o.count("output_index").Or(0))
	switch eventType := o.text("type"); eventType {
	case "response.output_item.added":
		item := o.object("item")
		r.callName(TextPart{Choice: index, Kind: Call}, item)
	case "response.output_item.done":
		if !r.shown[index] {
			r.outputItem(index, o.object("item"))
		}
	default:
		kind, written := deltaKind([]byte(eventType))
		if text := o.text("delta"); written && text != "" {
			r.shown[index] = true
			r.piece(TextPart{Choice: index, Kind: kind, Index: int(o.count("content_index").Or(0))}, text)
		}
	}
}

// outputItem reads an item of the output that is whole.
func (r *TextReader) outputItem(index int, item object) {
	for i, raw := range item.list("content") {
		part := newObject(raw)
		kind := Content
		if item.text("type") == "reasoning" {
			kind = Thinking
		}
		r.piece(TextPart{Choice: index, Kind: kind, Index: i}, part.text("text"))
		r.piece(TextPart{Choice: index, Kind: Refusal, Index: i}, part.text("refusal"))
	}
	call := TextPart{Choice: index, Kind: Call}
	r.call(call, item)
	r.piece(call, item.text("code"))
	action := item.object("action")
	for _, name := range []string{"query", "queries", "url", "command", "commands", "text"} {
		if !action.null(name) {
			r.piece(call, string(action[name]))
		}
	}
	for _, name := range []string{"queries", "operation"} {
		if !item.null(name) {
			r.piece(call, string(item[name]))
		}
	}
}
