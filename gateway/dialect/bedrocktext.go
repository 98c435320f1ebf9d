package dialect

// forget lets go of what was learnt of earlier events.
func (r *TextReader) forget() {
	clear(r.called)
	clear(r.calls)
}

// message reads the text of what a frame of Bedrock's holds.
func (r *TextReader) message(m wireMessage, emit func(TextPart, []byte)) {
	if m.kind != messageEvent {
		return
	}
	r.emit = emit
	if r.endpoint == endpointConverseStream {
		r.converseEvent(m.name, newObject(m.payload))
	} else {
		r.invokeEvent(newObject(chunkBytes(m.payload)))
	}
	r.emit = nil
}

// converseEvent reads an event of ConverseStream.
func (r *TextReader) converseEvent(name string, o object) {
	index := int(o.count("contentBlockIndex").Or(0))
	switch name {
	case "contentBlockStart":
		r.piece(TextPart{Kind: Call, Index: index}, o.object("start").object("toolUse").text("name"))
	case "contentBlockDelta":
		delta := o.object("delta")
		r.piece(TextPart{Kind: Content, Index: index}, delta.text("text"))
		r.piece(TextPart{Kind: Thinking, Index: index}, delta.object("reasoningContent").text("text"))
		r.piece(TextPart{Kind: Call, Index: index}, delta.object("toolUse").text("input"))
	}
}

// invokeEvent reads a piece of an answer in the model's own form.
func (r *TextReader) invokeEvent(o object) {
	if isMessageEvent(o) {
		r.messageEvent(o)
		return
	}
	for _, name := range []string{"contentBlockStart", "contentBlockDelta"} { // Nova, as in Converse
		r.converseEvent(name, o.object(name))
	}
	r.modelText(o)
}

// bedrockBody reads a whole answer: of Converse, or in the model's own form.
func (r *TextReader) bedrockBody(o object) {
	for i, raw := range o.object("output").object("message").list("content") {
		r.converseBlock(i, newObject(raw))
	}
	for i, raw := range o.list("content") { // Anthropic
		r.block(i, newObject(raw))
	}
	r.modelText(o)
}

// converseBlock reads a content block of a whole message.
func (r *TextReader) converseBlock(index int, block object) {
	r.piece(TextPart{Kind: Content, Index: index}, block.text("text"))
	r.piece(TextPart{Kind: Thinking, Index: index}, block.object("reasoningContent").object("reasoningText").text("text"))
	if use := block.object("toolUse"); use != nil {
		part := TextPart{Kind: Call, Index: index}
		r.piece(part, use.text("name"))
		r.piece(part, string(use["input"]))
	}
}

// modelText reads the text of a piece, or of a whole answer, of the models that have it near the top: Titan, Llama,
// Mistral, Cohere, and those that speak as OpenAI's chat does.
func (r *TextReader) modelText(o object) {
	part := TextPart{Kind: Content}
	for _, name := range []string{"outputText", "generation", "completion", "text"} {
		r.piece(part, o.text(name))
	}
	for _, list := range []string{"results", "outputs", "generations"} {
		for i, raw := range o.list(list) {
			item := newObject(raw)
			r.piece(TextPart{Choice: i, Kind: Content}, item.text("outputText"))
			r.piece(TextPart{Choice: i, Kind: Content}, item.text("text"))
		}
	}
	for i, raw := range o.list("choices") {
		r.choice(i, newObject(raw))
	}
	for i, raw := range o.list("tool_calls") { // Cohere
		call := newObject(raw)
		r.piece(TextPart{Kind: Call, Index: i}, call.text("name"))
		if call.object("parameters") != nil {
			r.piece(TextPart{Kind: Call, Index: i}, string(call["parameters"]))
		}
	}
}
