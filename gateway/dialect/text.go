package dialect

import (
	"bytes"
	"encoding/json"
)

// A TextKind is what a generated text is to the answer.
type TextKind uint8

// The kinds of text.
const (
	Content    TextKind = iota // what the model says
	Thinking                   // reasoning that is shown, or a summary of it
	Call                       // a tool's name, and behind it the arguments as JSON
	Refusal                    // why the model says no more
	Transcript                 // of what it says aloud
)

// A TextPart names a part of an answer that has a text of its own, to be counted for itself. It can be
// compared and be a map's key.
type TextPart struct {
	Choice int // the choice's index; of Gemini the candidate's; of responses the output item's; else 0
	Kind   TextKind
	Index  int // chat and Gemini: the tool call's, of code that the provider runs -1; messages: the content block's; responses: the content part's; else 0
}

// maxGathered is the size of the largest event or body that a TextReader reads: 64 MiB.
const maxGathered = 64 << 20

// A TextReader tells the text that a provider generated from the rest of an answer, for those who have
// to count it: what a break, a cancel or missing usage leaves unknown. It takes time and memory, so it is
// not for the way of an event to its reader.
//
// Text is what the model wrote: content, refusals, reasoning as far as it is shown, the names
// and arguments of tools it calls, transcripts. It is not what the provider adds: ids, roles, signatures, encrypted
// reasoning, a summary of it by OpenAI, which is not what is billed, citations, results of the provider's own
// tools, padding. With echo, completions repeat the prompt, which can't be told from what follows. Around the calls of tools and between
// the parts providers bill a few tokens more, which no one shows; a count of the text is that much too low.
type TextReader struct {
	sse      bool
	array    bool // the events are those of a JSON array
	gemini   bool
	cohere   bool
	bedrock  bool
	frames   *frameReader // not nil: the events are frames
	endpoint string
	gathered []byte // an event in parts, or a body
	lost     bool
	thought  bool

	emit   func(TextPart, []byte)
	called map[TextPart]string // the names of the calls, since some providers repeat them
	calls  map[int]int         // Gemini: how many calls a choice has made
	shown  map[int]bool        // responses: the output items of which pieces came
}

// NewTextReader returns a reader of one attempt at a call of dialect d, answered with contentType.
func NewTextReader(d Dialect, req Request, contentType string) *TextReader {
	if d == Anthropic {
		req.Endpoint = endpointMessages
	}
	var frames *frameReader
	if d == Bedrock && req.frames(contentType) {
		frames = new(frameReader)
	}
	return &TextReader{
		sse:      req.SSE(contentType) || frames != nil,
		bedrock:  d == Bedrock,
		frames:   frames,
		array:    !req.SSE(contentType) && req.array(),
		gemini:   d == Gemini,
		cohere:   d == Cohere,
		endpoint: req.Endpoint,
		called:   make(map[TextPart]string),
		shown:    make(map[int]bool),
	}
}

// Event reads an event, or with more a part of one that goes on in the next call, and gives each piece of
// text in it to emit, in order; its bytes are emit's to keep. Of an SSE answer, an event that the stream's
// end cut off must not be given. Of a body, it only gathers what it is given; the text comes with Flush.
func (r *TextReader) Event(data []byte, more bool, emit func(TextPart, []byte)) {
	events := r.sse || r.array
	if !events || more || len(r.gathered) > 0 {
		r.gather(data)
		if !events || more {
			return
		}
		data, r.gathered = r.gathered, nil
	}
	switch {
	case r.frames != nil:
		if m, err := r.frames.decode(data); err == nil {
			r.message(m, emit)
		}
		return
	case r.array:
		r.read(element(data), emit)
		return
	}
	r.read(payload(data), emit)
}

// gather keeps data. What is beyond the limit it leaves out, and what was cut is no JSON.
func (r *TextReader) gather(data []byte) {
	if room := maxGathered - len(r.gathered); len(data) > room {
		data, r.lost = data[:room], true
	}
	r.gathered = append(r.gathered, data...)
}

// Flush ends the answer: the text of a body is given to emit, if the body was whole.
func (r *TextReader) Flush(emit func(TextPart, []byte)) {
	if len(r.gathered) == 0 {
		return
	}
	if r.sse || r.array || !json.Valid(r.gathered) {
		r.lost = true
	} else {
		r.read(r.gathered, emit)
	}
	r.gathered = nil
}

// Thought tells whether reasoning was among the text. Then the tokens of reasoning aren't hidden, as far
// as they are shown: some providers show a summary, or how it begins.
func (r *TextReader) Thought() bool { return r.thought }

// Lost tells whether there was more text than was read: in an event or a body larger than 64 MiB, in a body
// that was cut off, or in an answer that is yet to be generated.
func (r *TextReader) Lost() bool { return r.lost }

// read reads the JSON of an event or a body.
func (r *TextReader) read(text []byte, emit func(TextPart, []byte)) {
	o := newObject(text)
	if o == nil {
		return // [DONE]
	}
	r.emit = emit
	switch {
	case r.gemini && r.endpoint == endpointInteractions && r.sse:
		r.interactionEvent(o)
	case r.gemini && r.endpoint == endpointInteractions:
		r.interactionSteps(o)
	case r.gemini:
		for i, candidate := range o.list("candidates") {
			r.geminiCandidate(i, newObject(candidate))
		}
	case r.bedrock:
		r.bedrockBody(o)
	case r.cohere && r.sse:
		r.cohereMessage(int(o.count("index").Or(0)), o.object("delta").object("message"))
	case r.cohere:
		r.cohereMessage(0, o.object("message"))
	case r.endpoint == endpointMessages && r.sse:
		r.messageEvent(o)
	case r.endpoint == endpointMessages:
		for i, block := range o.list("content") {
			r.block(i, newObject(block))
		}
	case r.endpoint == endpointResponses && r.sse:
		r.responseEvent(o)
	case r.endpoint == endpointResponses:
		r.lost = r.lost || pending(o.text("status"))
		for i, item := range o.list("output") {
			r.outputItem(i, newObject(item))
		}
	default:
		for i, choice := range o.list("choices") {
			r.choice(i, newObject(choice))
		}
	}
	r.emit = nil
}

// piece gives away a piece of text, if it is one.
func (r *TextReader) piece(part TextPart, text string) {
	if text == "" {
		return
	}
	r.thought = r.thought || part.Kind == Thinking
	r.emit(part, []byte(text))
}

// payload returns the data of an event, its lines joined.
func payload(event []byte) []byte {
	if from, to := dataLine(event); to > 0 {
		return event[from:to]
	}
	var data []byte
	event = bytes.TrimPrefix(event, []byte("\xef\xbb\xbf"))
	for len(event) > 0 {
		end := lineEnd(event)
		if value, ok := bytes.CutPrefix(event[:end], []byte("data:")); ok {
			data = append(append(data, value...), '\n')
		}
		event = event[min(end+1, len(event)):]
	}
	return data
}

// choice reads a choice of a chunk, or of a body.
func (r *TextReader) choice(position int, choice object) {
	delta := choice.object("delta")
	if delta == nil {
		delta = choice.object("message")
	}
	index := int(choice.count("index").Or(int64(position)))
	content := TextPart{Choice: index, Kind: Content}
	thinking := TextPart{Choice: index, Kind: Thinking}

	r.piece(content, choice.text("text")) // completions
	r.reasoning(thinking, delta)
	r.piece(content, delta.text("content"))
	for _, raw := range delta.list("content") { // Mistral
		o := newObject(raw)
		r.piece(content, o.text("text"))
		r.parts(thinking, o, "thinking")
	}
	r.piece(TextPart{Choice: index, Kind: Refusal}, delta.text("refusal"))
	r.piece(TextPart{Choice: index, Kind: Transcript}, delta.object("audio").text("transcript"))
	r.call(TextPart{Choice: index, Kind: Call}, delta.object("function_call"))
	for i, raw := range delta.list("tool_calls") {
		call := newObject(raw)
		part := TextPart{Choice: index, Kind: Call, Index: int(call.count("index").Or(int64(i)))}
		r.call(part, call.object("function"))
		r.call(part, call.object("custom"))
	}
}

// reasoning reads shown reasoning, which some providers say under two or three names at once.
func (r *TextReader) reasoning(part TextPart, delta object) {
	for _, name := range []string{"reasoning_content", "reasoning"} {
		if text := delta.text(name); text != "" {
			r.piece(part, text)
			return
		}
	}
	r.parts(part, delta, "reasoning_details")
}

// parts reads a list of texts, or a text.
func (r *TextReader) parts(part TextPart, o object, name string) {
	r.piece(part, o.text(name))
	for _, raw := range o.list(name) {
		detail := newObject(raw)
		r.piece(part, detail.text("text"))
		r.piece(part, detail.text("summary"))
	}
}

// call reads a piece of a tool call.
func (r *TextReader) call(part TextPart, call object) {
	r.callName(part, call)
	for _, name := range []string{"arguments", "input"} {
		r.piece(part, call.text(name))
		if call.object(name) != nil { // not as a string but as it is
			r.piece(part, string(call[name]))
		}
	}
}

// callName reads the name of a tool that is called.
func (r *TextReader) callName(part TextPart, call object) {
	if name := call.text("name"); name != "" && name != r.called[part] {
		r.called[part] = name
		r.piece(part, name)
	}
}

// messageEvent reads an event of Anthropic Messages.
func (r *TextReader) messageEvent(o object) {
	index := int(o.count("index").Or(0))
	if block := o.object("content_block"); block != nil {
		r.block(index, block)
	}
	delta := o.object("delta")
	for _, text := range []struct {
		name string
		kind TextKind
	}{{"text", Content}, {"content", Content}, {"thinking", Thinking}, {"partial_json", Call}} {
		r.piece(TextPart{Kind: text.kind, Index: index}, delta.text(text.name))
	}
}

// modelBlocks are the content blocks that the model writes, and what they are.
var modelBlocks = map[string]TextKind{
	"text": Content, "compaction": Content, "thinking": Thinking,
	"tool_use": Call, "server_tool_use": Call, "mcp_tool_use": Call,
}

// block reads a content block, whole or as it begins.
func (r *TextReader) block(index int, block object) {
	kind, ok := modelBlocks[block.text("type")]
	if !ok {
		return
	}
	part := TextPart{Kind: kind, Index: index}
	if kind == Call {
		r.piece(part, block.text("name"))
		// As a stream's block begins its input is empty, whatever follows.
		if input := block["input"]; !block.null("input") && !(r.sse && hollow(input)) {
			r.piece(part, string(input))
		}
		return
	}
	for _, name := range []string{"text", "thinking", "content"} {
		r.piece(part, block.text(name))
	}
}
