// Package gateway is the HTTP surface of Recoup: it takes calls, sends them to
// providers, keeps the answers in the stream log, and gives them to whoever
// owns them, as often as it takes.
//
// The way of a generating call, one file per step:
//
//	routes.go    which provider is it for
//	identify.go  who is calling, and what did they say about resuming
//	admit.go     is it a resume by key; else a stream is made, durable before
//	             the provider is called
//	drain.go     the provider's answer goes into the log, event by event,
//	             whoever is connected
//	relay.go     a connection reads the log: what is there, then what comes;
//	             the first connection and a resume are the same function
//	stream.go    who owns a stream, and what happens when nobody does
//
// and what is done beside it:
//
//	responses.go a response of OpenAI is read on by its own id
//	cutoff.go    how a response breaks off, so that no client takes it for complete
//	aws.go       calls of Bedrock that the gateway signs
//	usage.go     the usage report that the client did not ask for
//	missed.go    calls that buy again what an earlier one broke off
//	totals.go    the books as metrics, board.go their series; booksjson.go, as part of a status
//	traced.go    spans of requests; spans.go, of attempts
//	posted.go    what is emitted once the books have posted something
//
// and what those see who watch it, beside Prometheus:
//
//	adminevents.go  server-sent events: overviews, and what happened
//	overview.go     how the gateway stands, made once for all who watch
//	history.go      how its totals stood before: what is of a time needs that
//	happened.go     the last breaks, resumes and ends
//	adminstory.go   what happened to one stream, from the log or the books
//
// The rest: api.go and cursor.go are /recoup/streams, passthrough.go is all that
// is not drained, orphans.go the caps, held.go the streams in use, gateway.go
// start, end and recovery; admin*.go are the admin plane, adminbrowser.go what it
// refuses from a browser. What a stream cost is settled by internal/settle, off this way.
//
// Guarantees: a reader is given an event only after the log has committed it.
// Bytes arrive as the provider sent them. A stream that has no terminal event
// never ends cleanly, unless the provider said by an event that it failed, and ended
// so itself. A provider is called once per stream. Credentials and request bodies are
// forwarded and not kept.
package gateway
