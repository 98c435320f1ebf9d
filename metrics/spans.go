package metrics

import "go.opentelemetry.io/otel/attribute"

// scopeName is the instrumentation scope of spans and GenAI metrics.
const scopeName = "github.com/recoup-gateway/recoup"

// The GenAI names are those of open-telemetry/semantic-conventions-genai as of
// November 2026, where they are in development; no Go package has them. The HTTP
// names are those of semantic conventions 1.44, where they are stable.

// Names of spans. That of a SERVER span is the method and the route, that of an
// inference its operation and the model that was asked for: "chat gpt-5.5".
const (
	SpanSettle  = "recoup.settle"  // the outcomes of a stream's tokens were posted
	SpanExpire  = "recoup.expire"  // likewise, because nobody came back in time
	SpanRecover = "recoup.recover" // a killed gateway's stream was given its end
)

// Names of span events. There is never one for a chunk.
const (
	EventDetached = "recoup.client.detached" // the owner left before the terminal event
	EventAttached = "recoup.client.attached" // somebody owns the stream again
)

// Operations of gen_ai.operation.name.
const (
	OperationChat     = "chat"
	OperationGenerate = "generate_content" // Gemini
	OperationComplete = "text_completion"  // OpenAI's older Completions
	OperationFetch    = "fetch_response"   // reads an answer that was generated before: nothing is billed
)

// FinishError is the reason for which an answer is said to have finished that was
// cut before its own.
const FinishError = "error"

// Values of recoup.link.kind: what a linked span is to the one that has the link.
const (
	LinkResumeOf = "resume_of" // the SERVER span of the call that is resumed
	LinkOrigin   = "origin"    // the attempt that gave the answer
	LinkResume   = "resume"    // from the attempt to a resume that came while it ran
)

// Attributes of the GenAI conventions.
const (
	AttrOperation       = attribute.Key("gen_ai.operation.name")
	AttrProvider        = attribute.Key("gen_ai.provider.name")
	AttrRequestModel    = attribute.Key("gen_ai.request.model")
	AttrRequestStream   = attribute.Key("gen_ai.request.stream")
	AttrRequestTokens   = attribute.Key("gen_ai.request.max_tokens")
	AttrResponseID      = attribute.Key("gen_ai.response.id")
	AttrResponseModel   = attribute.Key("gen_ai.response.model")
	AttrFinishReasons   = attribute.Key("gen_ai.response.finish_reasons")
	AttrFirstChunk      = attribute.Key("gen_ai.response.time_to_first_chunk")
	AttrUsageInput      = attribute.Key("gen_ai.usage.input_tokens")
	AttrUsageOutput     = attribute.Key("gen_ai.usage.output_tokens")
	AttrUsageCacheRead  = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	AttrUsageCacheWrite = attribute.Key("gen_ai.usage.cache_write.input_tokens")
	AttrUsageReasoning  = attribute.Key("gen_ai.usage.reasoning.output_tokens")
	AttrTokenModality   = attribute.Key("gen_ai.token.modality")
)

// Attributes of the HTTP and general conventions.
const (
	AttrErrorType     = attribute.Key("error.type")
	AttrHTTPMethod    = attribute.Key("http.request.method")
	AttrHTTPRoute     = attribute.Key("http.route")
	AttrHTTPStatus    = attribute.Key("http.response.status_code")
	AttrURLScheme     = attribute.Key("url.scheme")
	AttrServerAddress = attribute.Key("server.address")
	AttrServerPort    = attribute.Key("server.port")
	AttrUserAgent     = attribute.Key("user_agent.original")
)

// Recoup's own attributes.
const (
	AttrStreamID    = attribute.Key("recoup.stream.id")
	AttrStreamState = attribute.Key("recoup.stream.state")       // completed, interrupted, failed, cancelled
	AttrStreamCause = attribute.Key("recoup.stream.cause")       // of one that is not completed
	AttrEnded       = attribute.Key("recoup.connection.end")     // done, client, gateway, slow_reader
	AttrDelivered   = attribute.Key("recoup.delivered.events")   // before which event all was written
	AttrResumed     = attribute.Key("recoup.resumed")            // id, key
	AttrObserve     = attribute.Key("recoup.observe")            // reads without owning
	AttrOffset      = attribute.Key("recoup.resume.offset")      // the event it begins at
	AttrGap         = attribute.Key("recoup.resume.gap_seconds") // since the break
	AttrLinkKind    = attribute.Key("recoup.link.kind")
	AttrProviderOf  = attribute.Key("recoup.provider")   // as configured
	AttrRequestID   = attribute.Key("recoup.request.id") // the provider's
	AttrTag         = "recoup.tag."                      // and the tag's name, of those that span_tags lists

	AttrBilledOutput = attribute.Key("recoup.billed.output_tokens")
	AttrBilledInput  = attribute.Key("recoup.billed.input_tokens")
	AttrBilledBasis  = attribute.Key("recoup.billed.basis")
	AttrBilledCost   = attribute.Key("recoup.billed.usd")
	AttrUnpriced     = attribute.Key("recoup.billed.unpriced") // why there is no cost
	AttrDeliveredN   = attribute.Key("recoup.delivered.output_tokens")
	AttrWasted       = attribute.Key("recoup.wasted.output_tokens")
	AttrLost         = attribute.Key("recoup.lost.output_tokens")
	AttrLossCauses   = attribute.Key("recoup.loss.causes")
	AttrLossCost     = attribute.Key("recoup.loss.usd") // of wasted and lost, with the input if that is
	AttrSavedOutput  = attribute.Key("recoup.saved.output_tokens")
	AttrSavedCost    = attribute.Key("recoup.saved.usd")
	AttrOverhead     = attribute.Key("recoup.overhead.usd")
)
