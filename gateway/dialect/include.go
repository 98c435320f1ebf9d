package dialect

const (
	includeUsage  = `"include_usage":true`
	streamOptions = `"stream_options":{` + includeUsage + `}`
)

// An edit puts text in place of the bytes from from to to.
type edit struct {
	from, to int
	text     string
}

// InjectUsage makes a call of Chat Completions, or of Completions, that streams ask for its usage, as if
// stream_options.include_usage were true, and returns the new body and true. No other byte changes, and
// body itself never does. A call that doesn't stream, or asks already, is returned as it is, with false.
//
// body is one that Parse takes; of anything else it is only sure that no call which can't be understood
// is changed on purpose. Whether the call asks already, the last of several members of the same name
// decides, as in Parse. Since not every parser reads them so, all of them are made to ask.
func InjectUsage(body []byte) ([]byte, bool) {
	var edits []edit
	stream, asks := false, false
	end := 0 // of the last member
	m := walkMembers(body, 0)
	for m.next() {
		end = m.end
		switch string(m.name) {
		case "stream":
			stream = string(m.raw()) == "true"
		case "stream_options":
			var ok bool
			if edits, asks, ok = askForUsage(edits, m); !ok {
				return body, false
			}
		}
	}
	if !m.done || !stream || asks {
		return body, false
	}
	if len(edits) == 0 {
		edits = append(edits, edit{end, end, "," + streamOptions})
	}
	return apply(body, edits), true
}

// askForUsage adds what makes the stream options that were read ask for usage, and tells whether they
// ask already. It returns false if they are none.
func askForUsage(edits []edit, options *members) (_ []edit, asks, ok bool) {
	switch raw := options.raw(); {
	case string(raw) == "null":
		return append(edits, edit{options.value, options.end, "{" + includeUsage + "}"}), false, true
	case raw[0] != '{':
		return edits, false, false
	}
	m := walkMembers(options.text, options.value)
	said, comma := false, ""
	for m.next() {
		comma = ","
		if string(m.name) != "include_usage" {
			continue
		}
		said = true
		if asks = string(m.raw()) == "true"; !asks {
			edits = append(edits, edit{m.value, m.end, "true"})
		}
	}
	if !said {
		inside := options.value + 1
		edits = append(edits, edit{inside, inside, includeUsage + comma})
	}
	return edits, asks, m.done
}

// apply returns a copy of text with the edits, which are in its order.
func apply(text []byte, edits []edit) []byte {
	size := len(text)
	for _, e := range edits {
		size += len(e.text) - (e.to - e.from)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		out = append(out, text[at:e.from]...)
		out = append(out, e.text...)
		at = e.to
	}
	return append(out, text[at:]...)
}
