package proof

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"github.com/recoup-gateway/recoup/internal/streamlog"
)

// An answer's usage is read here a second time, to prove what the books say: from
// the stored bytes, with encoding/json, sharing nothing with the reading that the
// books were kept by. It is slow, and knows no more than the two sums that a bill is
// made of. Reading both alike would prove nothing, so this is not to be merged with
// gateway/dialect.

// maxReread bounds an event, or a JSON body, that is read again.
const maxReread = 32 << 20

// maxQuantity is far beyond any report that is believed.
const maxQuantity = 1 << 40

// Dialects that are read in a way of their own. Others are as OpenAI's.
const (
	anthropic = "anthropic"
	gemini    = "gemini"
	cohere    = "cohere"
)

// reread is the reading of one answer.
type reread struct {
	dialect   string
	responses bool // the API of that name
	events    bool // server-sent events; else one JSON document
	buf       []byte
	large     bool // than what is read

	start, last any // reports of usage: the first of its kind, and the newest
}

// sums are what an answer reports.
type sums struct {
	input, output     int64
	inputOK, outputOK bool
}

// newReread is for an answer with this head.
func newReread(h streamlog.Header, head *streamlog.Head) *reread {
	r := &reread{dialect: h.Dialect, responses: strings.HasSuffix(h.Endpoint, "/responses")}
	media := strings.ToLower(head.Header.Get("Content-Type"))
	switch {
	case strings.Contains(media, "event-stream"):
		r.events = true
	case strings.Contains(media, "json"):
	default: // it is what the call asked for, which of Gemini can be an array
		r.events = h.Streamed && !strings.HasSuffix(h.Endpoint, ":streamGenerateContent")
	}
	return r
}

// event takes an event, or a part of one that goes on.
func (r *reread) event(data []byte, more bool) {
	if len(r.buf)+len(data) > maxReread {
		r.large, r.buf = true, nil
	}
	if r.large {
		return
	}
	r.buf = append(r.buf, data...)
	if !r.events || more {
		return
	}
	r.document(payload(r.buf))
	r.buf = r.buf[:0]
}

// payload is what the data lines of a server-sent event say.
func payload(event []byte) []byte {
	var lines [][]byte
	for line := range bytes.Lines(bytes.ReplaceAll(event, []byte("\r"), []byte("\n"))) {
		if data, ok := bytes.CutPrefix(bytes.TrimRight(line, "\n"), []byte("data:")); ok {
			lines = append(lines, data)
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// document takes a JSON document, and reads what reports of usage are in it.
func (r *reread) document(text []byte) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return // "[DONE]", a comment, or what was cut
	}
	if list, ok := v.([]any); ok { // of Gemini
		for _, one := range list {
			r.note(one)
		}
		return
	}
	r.note(v)
}

// note keeps the reports of one message of the provider.
func (r *reread) note(v any) {
	switch {
	case r.dialect == anthropic:
		r.keep(&r.start, at(v, "message", "usage"))
		r.keep(&r.last, at(v, "usage"))
	case r.dialect == gemini:
		r.keep(&r.last, at(v, "usageMetadata"))
	case r.dialect == cohere:
		r.keep(&r.last, at(v, "usage"))
		r.keep(&r.last, at(v, "delta", "usage"))
	case r.responses && r.events:
		switch at(v, "type") {
		case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
			r.keep(&r.last, at(v, "response", "usage"))
		}
	case r.responses:
		if s := at(v, "status"); s != "queued" && s != "in_progress" {
			r.keep(&r.last, at(v, "usage"))
		}
	default:
		r.keep(&r.last, at(v, "x_groq", "usage"))
		choices, _ := at(v, "choices").([]any)
		for _, c := range choices {
			r.keep(&r.last, at(c, "usage"))
		}
		r.keep(&r.last, at(v, "usage"))
	}
}

// keep makes v the report in place, if there is a number in it.
func (r *reread) keep(place *any, v any) {
	if hasNumber(v) {
		*place = v
	}
}

func hasNumber(v any) bool {
	switch v := v.(type) {
	case json.Number:
		return !strings.HasPrefix(v.String(), "-")
	case map[string]any:
		for _, member := range v {
			if hasNumber(member) {
				return true
			}
		}
	}
	return false
}

// sums returns what was reported in all.
func (r *reread) sums() sums {
	if !r.events {
		r.document(r.buf)
	}
	switch {
	case r.dialect == anthropic:
		return messagesSums(r.start, r.last)
	case r.last == nil:
		return sums{}
	case r.dialect == gemini:
		return geminiSums(r.last)
	case r.dialect == cohere:
		return plainSums(at(r.last, "billed_units"))
	case r.responses:
		return plainSums(r.last)
	}
	return chatSums(r.last)
}

// at follows names from a value to one in it; nil if it isn't there.
func at(v any, path ...string) any {
	for _, name := range path {
		members, _ := v.(map[string]any)
		v = members[name]
	}
	return v
}

// number is a whole number of tokens at a path.
func number(v any, path ...string) (n int64, ok bool) {
	text, ok := at(v, path...).(json.Number)
	if !ok {
		return 0, false
	}
	f, err := text.Float64()
	if err != nil || f < 0 || f != math.Trunc(f) || f > maxQuantity {
		return 0, false
	}
	return int64(f), true
}

// either is the first number that is there, of members by these names.
func either(v any, paths ...[]string) (n int64, ok bool) {
	for _, path := range paths {
		if n, ok = number(v, path...); ok {
			return n, ok
		}
	}
	return 0, false
}
