// Package dialect knows the wire formats of the providers' APIs: OpenAI Chat Completions, Responses and
// the older Completions, Anthropic Messages, Gemini's generateContent, Cohere's chat, and Amazon Bedrock's Converse and InvokeModel. Bytes go in; events, signs and names come out. It is pure: no I/O, no
// goroutines, no clock.
//
// A [Splitter] cuts the body of a server-sent event stream into events and changes nothing: what it
// hands out, joined, is what it was fed; an [ArraySplitter] does so with a JSON array that comes by and by, an [EventStreamSplitter] with the frames of an AWS event
// stream, and [Request.Framing] says which of them an answer needs. An [Observer] reads the events of one attempt and says of
// each what it means for the answer: that it completes it, that the provider failed, that it
// carries text; and in the end what usage the provider reported, in normal form. A [Dialect] holds the rest:
// which calls generate, what a call asks for, and the shape of the gateway's own errors and keepalives.
// [Canonical] is the form of a request body that a fingerprint is taken of.
//
// A [TextReader] tells what text was generated, part by part, where tokens have to be counted.
// [InjectUsage] makes a stream of chat or completions report its usage, and a [UsageView] hides from the
// client what it didn't ask for. A [Sequence] reads the numbers that Responses gives to its events. An
// [Assembly] makes the one JSON body of a stream's events.
//
// What it guarantees:
//
//   - The cuts of a Splitter of any kind and the signs of an Observer depend on the bytes alone, never on how
//     the reads cut them.
//   - A sign is decided by the place of a member in the JSON, never by a likeness in the text:
//     an answer that quotes a finish chunk, or a tool that has an argument of that name, fools no one.
//   - What a provider doesn't report is unknown, never zero, and so is what makes no sense.
//   - Memory is bounded, whatever the provider sends: a Splitter holds a few times its part size at
//     most, an Observer less than 300 kB and usually a few kilobytes; but one of Bedrock's gathers a frame
//     that comes in parts, up to 24 MiB. A TextReader gathers what comes in
//     parts, up to 64 MiB.
//   - An event of the usual kind costs no allocation, but for Bedrock's, which Amazon's own decoder reads.
//
// Its limits: it does not check the spelling of strings and numbers inside an answer, only
// structure and literals; of names and ids it keeps at most 512 bytes; a call with more than 4,096
// choices never completes; JSON deeper than 1,000 levels is taken for damaged.
package dialect
