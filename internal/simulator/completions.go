package simulator

import "iter"

// completionFrames is the answer as chunks of the older Completions and [DONE]. They have
// neither reasoning nor tools to show; what is hidden is billed all the same.
func (a *answer) completionFrames(usage bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		head := a.chatHead("text_completion")
		buf := head
		null := ""
		if usage {
			null = `,"usage":null`
		}
		chunk := func(choice int, content []byte, finish string) []byte {
			buf = append(append(append(buf[:len(head)], `{"text":"`...), content...), '"')
			buf = appendInt(buf, `,"index":`, choice)
			return append(buf, `,"logprobs":null,"finish_reason":`+finish+`}]`+null+`}`...)
		}
		for p := range a.pieces() {
			if p.part == text && p.step == delta && !yield(frame{data: chunk(p.choice, p.content, "null"), tokens: p.tokens, hidden: p.hidden}) {
				return
			}
		}
		for i := range a.choices {
			if !yield(frame{data: chunk(i, nil, `"`+a.finish(i)+`"`)}) {
				return
			}
		}
		if usage {
			buf = append(buf[:len(head)], `],"usage":`...)
			buf = append(a.appendChatUsage(buf, a.total(), a.hidden, false), '}')
			if !yield(frame{data: buf}) {
				return
			}
		}
		yield(frame{data: []byte("[DONE]")})
	}
}

// completionBody is the answer as one text_completion object.
func (a *answer) completionBody(usage bool) []byte {
	b := a.chatHead("text_completion")
	for i := range a.choices {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"text":"`...)
		b = a.appendText(b, i, 0, a.text)
		b = appendInt(b, `","index":`, i)
		b = append(b, `,"logprobs":null,"finish_reason":"`+a.finish(i)+`"}`...)
	}
	b = append(b, ']')
	if usage {
		b = append(b, `,"usage":`...)
		b = a.appendChatUsage(b, a.total(), a.hidden, false)
	}
	return append(b, '}')
}
