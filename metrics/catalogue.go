package metrics

import "slices"

// Names of the metrics. Dashboards, alerts and tests use these.
const (
	// From the books.
	NameOutputTokens       = "recoup_output_tokens_total"
	NameInputTokens        = "recoup_input_tokens_total"
	NameCost               = "recoup_cost_usd_total"
	NameSavedTokens        = "recoup_saved_tokens_total"
	NameSaved              = "recoup_saved_usd_total"
	NameSavedUpper         = "recoup_saved_usd_upper_total"
	NameOverheadTokens     = "recoup_overhead_tokens_total"
	NameOverhead           = "recoup_overhead_usd_total"
	NameMissed             = "recoup_missed_resumes_total"
	NameMissedCost         = "recoup_missed_resumes_usd_total"
	NameUnpriced           = "recoup_unpriced_attempts_total"
	NameAdjustedTokens     = "recoup_adjustment_tokens_total"
	NameAdjustedCost       = "recoup_adjustment_usd_total"
	NameTaggedOutputTokens = "recoup_tagged_output_tokens_total"
	NameTaggedCost         = "recoup_tagged_cost_usd_total"
	NamePendingTokens      = "recoup_pending_tokens"
	NameAtRiskTokens       = "recoup_at_risk_tokens"
	NameAtRisk             = "recoup_at_risk_usd"
	NameLedgerImbalance    = "recoup_ledger_imbalance_tokens"
	NameUnexplained        = "recoup_reconcile_unexplained_usd"
	NamePriceBook          = "recoup_price_book_info"

	// Of streams and connections.
	NameStreams          = "recoup_streams"
	NameBreaks           = "recoup_breaks_total"
	NameResumes          = "recoup_resumes_total"
	NameResumeGap        = "recoup_resume_gap_seconds"
	NameTimeToFirstEvent = "recoup_time_to_first_event_seconds"
	NameInterEvent       = "recoup_inter_event_seconds"
	NameUpstreamRequests = "recoup_upstream_requests_total"
	NameUpstreamErrors   = "recoup_upstream_errors_total"
	NamePassthrough      = "recoup_passthrough_requests_total"
	NameDeliveryLag      = "recoup_delivery_lag_events"

	// Of the log, the ledger and the process.
	NameCommitSeconds       = "recoup_commit_seconds"
	NameCommitEvents        = "recoup_commit_events"
	NameLedgerCommitSeconds = "recoup_ledger_commit_seconds"
	NameAppendQueueBytes    = "recoup_append_queue_bytes"
	NameLogBytes            = "recoup_log_bytes"
	NameLogFreeBytes        = "recoup_log_free_bytes"
	NameUnsettled           = "recoup_unsettled_streams"
	NameFailed              = "recoup_storage_failed"
	NameBuildInfo           = "recoup_build_info"

	// OpenTelemetry's, as Prometheus has them.
	NameGenAIDuration        = "gen_ai_client_inference_duration_seconds"
	NameGenAIFirstChunk      = "gen_ai_client_inference_time_to_first_chunk_seconds"
	NameGenAIPerChunk        = "gen_ai_client_inference_time_per_output_chunk_seconds"
	NameGenAIInput           = "gen_ai_client_inference_usage_input_tokens_total"
	NameGenAIOutput          = "gen_ai_client_inference_usage_output_tokens_total"
	NameGenAICacheRead       = "gen_ai_client_inference_usage_cache_read_input_tokens_total"
	NameGenAICacheWrite      = "gen_ai_client_inference_usage_cache_write_input_tokens_total"
	NameGenAIReasoning       = "gen_ai_client_inference_usage_reasoning_output_tokens_total"
	NameGenAIOperationInput  = "gen_ai_client_inference_operation_input_tokens"
	NameGenAIOperationOutput = "gen_ai_client_inference_operation_output_tokens"
)

// Type is what a metric is to Prometheus.
type Type string

// The types of metrics.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Units of values.
const (
	Tokens  = "tokens"
	Dollars = "US dollars"
	Seconds = "seconds"
	Bytes   = "bytes"
	Events  = "events"
	Streams = "streams"
	Calls   = "calls"
	One     = "1"
	Truth   = "0 or 1"
)

// Group is where a metric belongs in the documentation.
type Group string

// The groups of metrics.
const (
	Books   Group = "The books"
	Traffic Group = "Streams and connections"
	Storage Group = "Log, ledger and process"
	GenAI   Group = "OpenTelemetry GenAI"
)

// A Definition is a metric of the catalogue.
type Definition struct {
	Name     string
	Type     Type
	Unit     string
	Help     string
	Labels   []string
	Buckets  []float64 // of a histogram, in its unit
	Native   bool      // a histogram that has native buckets too
	Exemplar string    // what an exemplar leads to; "": it has none
	Group    Group
}

// Classic buckets. Times up to the longest answers of reasoning models.
var (
	answerSeconds = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36}
	chunkSeconds  = []float64{.001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 10, 30, 60}
	gapSeconds    = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900}
	commitSeconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}
	commitEvents  = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}
	tokenCounts   = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
)

var genAILabels = []string{labelGenAIOperation, labelGenAIProvider, labelGenAIRequestModel, labelGenAIResponseModel}

// catalogue is all there is, in the order of the documentation.
var catalogue = []Definition{
	{Name: NameOutputTokens, Type: Counter, Unit: Tokens, Group: Books, Help: "Output tokens billed by providers, by what became of them: delivered, wasted (written, but the answer never completed) or lost (never received), and why.",
		Labels: []string{labelProvider, labelModel, labelOutcome, labelCause, labelBasis}, Exemplar: "the call that lost or wasted them last"},
	{Name: NameInputTokens, Type: Counter, Unit: Tokens, Group: Books, Help: "Input tokens billed by providers, by kind and by what became of the answer.",
		Labels: []string{labelProvider, labelModel, labelKind, labelOutcome, labelBasis}},
	{Name: NameCost, Type: Counter, Unit: Dollars, Group: Books, Help: "What providers bill, in US dollars, by direction (input, output) and by what became of it.",
		Labels: []string{labelProvider, labelModel, labelDirection, labelOutcome, labelCause, labelBasis}, Exemplar: "the call that lost or wasted it last"},
	{Name: NameSavedTokens, Type: Counter, Unit: Tokens, Group: Books, Help: "Tokens that resumes saved buying again: an estimate, on the careful side.",
		Labels: []string{labelProvider, labelModel, labelDirection}},
	{Name: NameSaved, Type: Counter, Unit: Dollars, Group: Books, Help: "What resumes saved, in US dollars: the claim, with input as cache hits where a cache would have had it.",
		Labels: []string{labelProvider, labelModel, labelDirection}},
	{Name: NameSavedUpper, Type: Counter, Unit: Dollars, Group: Books, Help: "What resumes saved at the most, in US dollars: input all fresh.",
		Labels: []string{labelProvider, labelModel, labelDirection}},
	{Name: NameOverheadTokens, Type: Counter, Unit: Tokens, Group: Books, Help: "Tokens of wasted and lost that the gateway caused. Part of those, not to be added.",
		Labels: []string{labelProvider, labelModel, labelKind}},
	{Name: NameOverhead, Type: Counter, Unit: Dollars, Group: Books, Help: "What the gateway caused of wasted and lost, in US dollars. Part of those, not to be added.",
		Labels: []string{labelProvider, labelModel, labelKind}},
	{Name: NameMissed, Type: Counter, Unit: Calls, Group: Books, Help: "Calls that bought again an answer which an earlier one had broken off, and were not given that one, by reason.",
		Labels: []string{labelProvider, labelModel, labelReason}},
	{Name: NameMissedCost, Type: Counter, Unit: Dollars, Group: Books, Help: "What the broken answers had cost that such calls were not given, in US dollars.",
		Labels: []string{labelProvider, labelModel, labelReason}},
	{Name: NameUnpriced, Type: Counter, Unit: Calls, Group: Books, Help: "Attempts whose tokens are booked without a price, by reason.",
		Labels: []string{labelReason}},
	{Name: NameAdjustedTokens, Type: Counter, Unit: Tokens, Group: Books, Help: "Tokens that corrections added to (plus) or took from (minus) what was booked before, by reason.",
		Labels: []string{labelReason, labelSign}},
	{Name: NameAdjustedCost, Type: Counter, Unit: Dollars, Group: Books, Help: "US dollars that corrections added to (plus) or took from (minus) what was booked before, by reason.",
		Labels: []string{labelReason, labelSign}},
	{Name: NameTaggedOutputTokens, Type: Counter, Unit: Tokens, Group: Books, Help: "Output tokens by the tags of the call that label_tags names, and by what became of them. The same tokens as in recoup_output_tokens_total. There only if label_tags is set.",
		Labels: []string{labelProvider, labelOutcome, TagPrefix + "…"}},
	{Name: NameTaggedCost, Type: Counter, Unit: Dollars, Group: Books, Help: "US dollars by the tags of the call that label_tags names, and by what became of them. The same dollars as in recoup_cost_usd_total. There only if label_tags is set.",
		Labels: []string{labelProvider, labelOutcome, TagPrefix + "…"}},
	{Name: NamePendingTokens, Type: Gauge, Unit: Tokens, Group: Books, Help: "Output tokens received, or billed, that have no outcome yet. Estimated from bytes while a provider is still answering.",
		Labels: []string{labelProvider, labelModel}},
	{Name: NameAtRiskTokens, Type: Gauge, Unit: Tokens, Group: Books, Help: "Of the pending tokens, those of streams without an owner: lost if nobody comes back.",
		Labels: []string{labelProvider, labelModel}},
	{Name: NameAtRisk, Type: Gauge, Unit: Dollars, Group: Books, Help: "Cost of the tokens at risk, in US dollars.",
		Labels: []string{labelProvider, labelModel}},
	{Name: NameLedgerImbalance, Type: Gauge, Unit: Tokens, Group: Books, Help: "Tokens by which postings that the ledger refused did not balance. Must be 0."},
	{Name: NameUnexplained, Type: Gauge, Unit: Dollars, Group: Books, Help: "US dollars that a provider's bills have beyond the books, of all days that were compared and posted; negative where the books have more. There once a bill was compared; `recoup audit` has the parts.",
		Labels: []string{labelProvider}},
	{Name: NamePriceBook, Type: Gauge, Unit: One, Group: Books, Help: "1, with the version of the price book.",
		Labels: []string{labelVersion}},

	{Name: NameStreams, Type: Gauge, Unit: Streams, Group: Traffic, Help: "Streams whose provider is still answering, by whether an owner is connected.",
		Labels: []string{labelState}},
	{Name: NameBreaks, Type: Counter, Unit: Calls, Group: Traffic, Help: "Owners' connections that ended before the terminal event was written to them, by cause.",
		Labels: []string{labelProvider, labelModel, labelCause}, Exemplar: "the call that broke last"},
	{Name: NameResumes, Type: Counter, Unit: Calls, Group: Traffic, Help: "Resumes after a break, by how the stream was found and how the resume ended.",
		Labels: []string{labelProvider, labelModel, labelVia, labelResult}, Exemplar: "the resume"},
	{Name: NameResumeGap, Type: Histogram, Unit: Seconds, Group: Traffic, Help: "Time from a break to the resume that followed it.",
		Buckets: gapSeconds, Native: true, Exemplar: "the resume"},
	{Name: NameTimeToFirstEvent, Type: Histogram, Unit: Seconds, Group: Traffic, Help: "Time from accepting a call to its first event.",
		Labels: []string{labelProvider, labelAt}, Buckets: answerSeconds, Native: true, Exemplar: "the call"},
	{Name: NameInterEvent, Type: Histogram, Unit: Seconds, Group: Traffic, Help: "Time between events of an answer. Events that come in one read, or go in one write, count as one.",
		Labels: []string{labelProvider, labelAt}, Buckets: chunkSeconds, Native: true},
	{Name: NameUpstreamRequests, Type: Counter, Unit: Calls, Group: Traffic, Help: "Requests sent to a provider for streams.",
		Labels: []string{labelProvider}},
	{Name: NameUpstreamErrors, Type: Counter, Unit: Calls, Group: Traffic, Help: "Requests to a provider that did not end with a complete answer, by type of error.",
		Labels: []string{labelProvider, labelErrorType}, Exemplar: "the call that ended so last"},
	{Name: NamePassthrough, Type: Counter, Unit: Calls, Group: Traffic, Help: "Requests passed through without being drained, by endpoint.",
		Labels: []string{labelProvider, labelEndpoint}},
	{Name: NameDeliveryLag, Type: Gauge, Unit: Events, Group: Traffic, Help: "Events in the log that the owner who is furthest behind has not been given yet."},

	{Name: NameCommitSeconds, Type: Histogram, Unit: Seconds, Group: Storage, Help: "Duration of a group commit of the stream log.",
		Buckets: commitSeconds, Native: true},
	{Name: NameCommitEvents, Type: Histogram, Unit: Events, Group: Storage, Help: "Events in a group commit of the stream log.",
		Buckets: commitEvents, Native: true},
	{Name: NameLedgerCommitSeconds, Type: Histogram, Unit: Seconds, Group: Storage, Help: "Duration of a group commit of the ledger, with its syncs.",
		Buckets: commitSeconds, Native: true},
	{Name: NameAppendQueueBytes, Type: Gauge, Unit: Bytes, Group: Storage, Help: "Bytes waiting to be committed to the stream log."},
	{Name: NameLogBytes, Type: Gauge, Unit: Bytes, Group: Storage, Help: "Bytes that the stream log takes on disk."},
	{Name: NameLogFreeBytes, Type: Gauge, Unit: Bytes, Group: Storage, Help: "Bytes that the stream log can still grow by before new streams are refused: what is free on its disk, less min_free."},
	{Name: NameUnsettled, Type: Gauge, Unit: Streams, Group: Storage, Help: "Streams that have ended and whose tokens do not all have an outcome yet. Far above the retention's worth of calls, the books are stuck."},
	{Name: NameFailed, Type: Gauge, Unit: Truth, Group: Storage, Help: "1 if the log or the ledger has failed and takes nothing more until the gateway is restarted, else 0.",
		Labels: []string{labelPart}},
	{Name: NameBuildInfo, Type: Gauge, Unit: One, Group: Storage, Help: "1, with the version of this program.",
		Labels: []string{labelVersion}},

	{Name: NameGenAIDuration, Type: Histogram, Unit: Seconds, Group: GenAI, Help: "Duration of an attempt, from sending it to the end of its answer.",
		Labels: append(slices.Clone(genAILabels), labelGenAIErrorType), Buckets: answerSeconds, Exemplar: "the call"},
	{Name: NameGenAIFirstChunk, Type: Histogram, Unit: Seconds, Group: GenAI, Help: "Time from sending an attempt to the first event of its answer; of streamed ones only.",
		Labels: genAILabels, Buckets: answerSeconds, Exemplar: "the call"},
	{Name: NameGenAIPerChunk, Type: Histogram, Unit: Seconds, Group: GenAI, Help: "Time between events of a streamed answer. Events that come in one read count as one.",
		Labels: genAILabels, Buckets: answerSeconds, Native: true},
	{Name: NameGenAIInput, Type: Counter, Unit: Tokens, Group: GenAI, Help: "Input tokens as the provider reports them, cached ones included. This and the following count an attempt when its bill is posted, once, and begin anew with the process; the books are recoup_input_tokens_total.",
		Labels: append(slices.Clone(genAILabels), labelGenAIModality), Exemplar: "the call"},
	{Name: NameGenAIOutput, Type: Counter, Unit: Tokens, Group: GenAI, Help: "Output tokens as the provider reports them, reasoning included.",
		Labels: append(slices.Clone(genAILabels), labelGenAIModality), Exemplar: "the call"},
	{Name: NameGenAICacheRead, Type: Counter, Unit: Tokens, Group: GenAI, Help: "Input tokens that were read from the provider's cache: part of the input tokens.",
		Labels: genAILabels, Exemplar: "the call"},
	{Name: NameGenAICacheWrite, Type: Counter, Unit: Tokens, Group: GenAI, Help: "Input tokens that were written to the provider's cache: part of the input tokens.",
		Labels: genAILabels, Exemplar: "the call"},
	{Name: NameGenAIReasoning, Type: Counter, Unit: Tokens, Group: GenAI, Help: "Output tokens of reasoning: part of the output tokens.",
		Labels: genAILabels, Exemplar: "the call"},
	{Name: NameGenAIOperationInput, Type: Histogram, Unit: Tokens, Group: GenAI, Help: "Input tokens of an attempt, where the provider reports them.",
		Labels: genAILabels, Buckets: tokenCounts, Exemplar: "the call"},
	{Name: NameGenAIOperationOutput, Type: Histogram, Unit: Tokens, Group: GenAI, Help: "Output tokens of an attempt, where the provider reports them.",
		Labels: genAILabels, Buckets: tokenCounts, Exemplar: "the call"},
}

// Catalogue returns all metrics of Recoup's own, in the order of the
// documentation. Beside them /metrics has the Go runtime's and the process's.
func Catalogue() []Definition { return slices.Clone(catalogue) }

// definition returns the metric with this name, which there must be.
func definition(name string) Definition {
	i := slices.IndexFunc(catalogue, func(d Definition) bool { return d.Name == name })
	return catalogue[i]
}
