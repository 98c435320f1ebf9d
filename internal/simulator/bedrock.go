package simulator

import (
	"bytes"
	"encoding/base64"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// The operations of Amazon Bedrock.
const (
	converse       = "converse"
	converseStream = "converse-stream"
	invoke         = "invoke"
	invokeStream   = "invoke-with-response-stream"
	countTokens    = "count-tokens"
)

// bedrockCall takes a path of Bedrock's apart; a model may be an ARN with slashes.
func bedrockCall(path string) (model, operation string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/model/")
	i := strings.LastIndexByte(rest, '/')
	if !ok || i <= 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// bedrockGenerates is bedrockCall for the operations that generate.
func bedrockGenerates(path string) (model, operation string, ok bool) {
	model, operation, ok = bedrockCall(path)
	switch operation {
	case converse, converseStream, invoke, invokeStream:
		return model, operation, ok
	}
	return "", "", false
}

// isAmazon is true for what only Bedrock has.
func isAmazon(path string) bool {
	return strings.HasPrefix(path, "/model/") || strings.HasPrefix(path, "/guardrail") || strings.HasPrefix(path, "/async-invoke")
}

// bedrock answers a generating call of Bedrock's. InvokeModel has the form of Anthropic's models, or for any other
// that of Titan's, which has neither tools nor shown reasoning.
func (x *exchange) bedrock(operation string) End {
	a, usage := x.answer, x.script.Usage != UsageNone
	claude := isClaude(a.model)
	switch {
	case operation == converse:
		return x.whole(a.converseBody(usage))
	case operation == converseStream:
		return x.messages(a.converseFrames(usage))
	case operation == invokeStream && claude:
		return x.messages(a.claudeChunks(usage))
	case operation == invokeStream:
		return x.messages(a.titanChunks(usage))
	}
	if usage {
		h := x.w.Header()
		h.Set("X-Amzn-Bedrock-Input-Token-Count", strconv.Itoa(a.input))
		h.Set("X-Amzn-Bedrock-Output-Token-Count", strconv.Itoa(a.total()))
	}
	if claude {
		return x.whole(a.messageBody(usage))
	}
	return x.whole(a.titanBody(usage))
}

func isClaude(model string) bool { return strings.Contains(model, "anthropic.") }

// messages sends an answer as an AWS event stream.
func (x *exchange) messages(frames iter.Seq[frame]) End {
	s := x.newSender(eventStreamType, -1)
	s.amazon = true
	return s.stream(frames)
}

// padding is what Amazon hides the length of an event behind.
const padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// appendMessage encodes the event whose payload is at the end of the buffer, from on.
func (s *sender) appendMessage(f frame, from int) {
	payload := bytes.Clone(s.buf[from:])
	pad := `"p":"` + padding[:s.rendered*7%len(padding)] + `"}`
	kind, name := "event", ":event-type"
	switch {
	case f.exception:
		kind, name = "exception", ":exception-type"
	case f.event == chunkEvent:
		payload = []byte(`{"bytes":"` + base64.StdEncoding.EncodeToString(payload) + `",` + pad)
	default:
		payload = append(append(payload[:len(payload)-1], ','), pad...)
	}
	var m eventstream.Message
	m.Headers.Set(name, eventstream.StringValue(f.event))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	m.Headers.Set(":message-type", eventstream.StringValue(kind))
	m.Payload = payload
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		panic("simulator: event stream: " + err.Error()) // a buffer takes all, and the headers are strings
	}
	s.buf = append(s.buf[:from], b.Bytes()...)
}

const chunkEvent = "chunk"

// exceptionFrame is an error in mid-stream, named as its event has it: in lower case at first.
func (e ErrorBody) exceptionFrame() frame {
	return frame{event: strings.ToLower(e.Type[:1]) + e.Type[1:], data: e.json(amazon, ""), exception: true}
}

// converseFrames is the answer as events of ConverseStream. Text has no opening.
func (a *answer) converseFrames(usage bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		if !yield(frame{event: "messageStart", data: []byte(`{"role":"assistant"}`), prelude: true}) {
			return
		}
		var buf []byte
		block := 0
		for p := range a.pieces() {
			f := frame{tokens: p.tokens, hidden: p.hidden}
			buf = appendInt(buf[:0], `{"contentBlockIndex":`, block)
			switch {
			case p.step == opening && p.part != toolUse:
				continue
			case p.step == opening:
				f.event = "contentBlockStart"
				buf = append(buf, `,"start":{"toolUse":{"name":"`+a.calls[p.tool].name+`","toolUseId":"`+a.calls[p.tool].id+`"}}`...)
			case p.step == delta:
				f.event = "contentBlockDelta"
				buf = appendConverseDelta(append(buf, `,"delta":`...), p)
			default:
				f.event = "contentBlockStop"
				block++
			}
			f.data = append(buf, '}')
			if !yield(f) {
				return
			}
		}
		if yield(frame{event: "messageStop", data: []byte(`{"stopReason":"` + a.stopReason() + `"}`)}) && usage {
			yield(frame{event: "metadata", data: []byte(`{"metrics":{"latencyMs":533},"usage":` + a.converseUsage() + `}`)})
		}
	}
}

func appendConverseDelta(b []byte, p piece) []byte {
	switch p.part {
	case thinking:
		b = append(append(b, `{"reasoningContent":{"text":"`...), p.content...)
		return append(b, `"}}`...)
	case toolUse:
		b = append(append(b, `{"toolUse":{"input":"`...), p.content...)
		return append(b, `"}}`...)
	default:
		b = append(append(b, `{"text":"`...), p.content...)
		return append(b, `"}`...)
	}
}

func (a *answer) converseUsage() string {
	b := appendInt(nil, `{"inputTokens":`, a.input)
	b = appendInt(b, `,"outputTokens":`, a.total())
	b = appendInt(b, `,"totalTokens":`, a.inputTotal()+a.total())
	b = appendInt(b, `,"cacheReadInputTokens":`, a.cacheRead)
	b = appendInt(b, `,"cacheWriteInputTokens":`, a.cacheWrite+a.cacheWrite1h)
	if a.cacheWrite1h > 0 {
		b = appendInt(b, `,"cacheDetails":[{"ttl":"1h","inputTokens":`, a.cacheWrite1h)
		b = appendInt(b, `},{"ttl":"5m","inputTokens":`, a.cacheWrite)
		b = append(b, "}]"...)
	}
	return string(append(b, '}'))
}

// converseBody is the answer as one body of Converse.
func (a *answer) converseBody(usage bool) []byte {
	var blocks []string
	if a.shown && a.hidden > 0 {
		blocks = append(blocks, `{"reasoningContent":{"reasoningText":{"text":"`+string(a.appendThoughts(nil, 0, a.hidden))+`","signature":"`+a.thoughtSignature()+`"}}}`)
	}
	if a.text > 0 || len(a.calls) == 0 {
		blocks = append(blocks, `{"text":"`+string(a.appendText(nil, 0, 0, a.text))+`"}`)
	}
	for _, c := range a.calls {
		blocks = append(blocks, `{"toolUse":{"name":"`+c.name+`","toolUseId":"`+c.id+`","input":`+c.input()+`}}`)
	}
	b := `{"metrics":{"latencyMs":533},"output":{"message":{"content":[` + strings.Join(blocks, ",") + `],"role":"assistant"}},"stopReason":"` + a.stopReason() + `"`
	if usage {
		b += `,"usage":` + a.converseUsage()
	}
	return []byte(b + "}")
}

// claudeChunks is the answer as Anthropic's events, of which the last has Amazon's own report.
func (a *answer) claudeChunks(usage bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		for f := range a.messageFrames(0, usage) {
			switch f.event {
			case "ping":
				continue
			case "message_stop":
				if usage {
					f.data = []byte(`{"type":"message_stop",` + a.invocationMetrics() + `}`)
				}
			}
			f.event = chunkEvent
			if !yield(f) {
				return
			}
		}
	}
}

func (a *answer) invocationMetrics() string {
	b := appendInt(nil, `"amazon-bedrock-invocationMetrics":{"inputTokenCount":`, a.input)
	b = appendInt(b, `,"outputTokenCount":`, a.total())
	if a.cacheRead+a.cacheWrite+a.cacheWrite1h > 0 {
		b = appendInt(b, `,"cacheReadInputTokenCount":`, a.cacheRead)
		b = appendInt(b, `,"cacheWriteInputTokenCount":`, a.cacheWrite+a.cacheWrite1h)
	}
	return string(append(b, `,"invocationLatency":738,"firstByteLatency":378}`...))
}

// titanChunks is the answer as pieces of Titan's text.
func (a *answer) titanChunks(usage bool) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		var buf []byte
		for p := range a.pieces() {
			if p.part != text || p.step != delta {
				continue
			}
			buf = append(append(buf[:0], `{"outputText":"`...), p.content...)
			buf = append(buf, `","index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":null}`...)
			if !yield(frame{event: chunkEvent, data: buf, tokens: p.tokens, hidden: p.hidden}) {
				return
			}
		}
		last := `{"outputText":"","index":0,"completionReason":"` + a.titanFinish() + `"`
		if usage {
			last += "," + a.invocationMetrics()
		}
		yield(frame{event: chunkEvent, data: []byte(last + "}")})
	}
}

func (a *answer) titanFinish() string {
	if a.cutText {
		return "LENGTH"
	}
	return "FINISH"
}

// titanBody is the answer as one body of Titan's.
func (a *answer) titanBody(usage bool) []byte {
	b := []byte("{")
	if usage {
		b = append(appendInt(b, `"inputTextTokenCount":`, a.input), ',')
	}
	b = append(b, `"results":[{`...)
	if usage {
		b = append(appendInt(b, `"tokenCount":`, a.total()), ',')
	}
	b = append(b, `"outputText":"`...)
	b = a.appendText(b, 0, 0, a.text)
	return append(b, `","completionReason":"`+a.titanFinish()+`"}]}`...)
}

// amazonError has the name of an exception as its type, which goes into a header.
func amazonError(status int) ErrorBody {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrorBody{"AccessDeniedException", "", "User is not authorized to perform this action on the resource."}
	case http.StatusNotFound:
		return ErrorBody{"ResourceNotFoundException", "", "Could not resolve the foundation model from the provided model identifier."}
	case http.StatusTooManyRequests:
		return ErrorBody{"ThrottlingException", "", "Too many requests, please wait before trying again."}
	case http.StatusFailedDependency:
		return ErrorBody{"ModelErrorException", "", "The request failed due to an error while processing the model."}
	case http.StatusServiceUnavailable, 529:
		return ErrorBody{"ServiceUnavailableException", "", "The service isn't currently available. Try again later."}
	}
	if status >= 500 {
		return ErrorBody{"InternalServerException", "", "The system encountered an unexpected error during processing. Try your request again."}
	}
	return ErrorBody{"ValidationException", "", "The request could not be processed."}
}
