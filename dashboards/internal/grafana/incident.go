package grafana

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/recoup-gateway/recoup/metrics"
)

// incident is the dashboard of what is going wrong: what broke, what came back, and
// whose fault it is.
func incident() board {
	return board{
		uid: uidIncident, title: "Recoup: incident", from: "now-1h", refresh: "10s",
		about: "What breaks, what comes back, what is at risk and which provider fails. Marks are deploys, gateway starts, new versions, and incidents once something posts them. " +
			"Dots are exemplars: each leads to the trace of the call, where the data source knows where traces are.",
		variables:   []dashboard.VariableModel{traceStore()},
		annotations: annotations(),
		rows: []row{
			{lines: []line{{5, incidentLine()}}},
			breaksAndResumes(), risk(), providers(),
		},
	}
}

// Searches in the store of traces, by what spans say (metrics/spans.go).
var (
	brokenTraces  = traces("Traces of calls whose client left", `{ event:name = "`+metrics.EventDetached+`" }`)
	resumeTraces  = traces("Traces of resumes", `{ span.`+string(metrics.AttrOperation)+` = "`+metrics.OperationFetch+`" }`)
	expiredTraces = traces("Traces of what expired", `{ name = "`+metrics.SpanExpire+`" || name = "`+metrics.SpanRecover+`" }`)
	failedTraces  = traces("Traces of failed attempts", `{ span.`+string(metrics.AttrOperation)+` =~ "`+metrics.OperationChat+"|"+metrics.OperationGenerate+"|"+metrics.OperationComplete+`" && status = error }`)
	slowTraces    = traces("Traces of slow first events", `{ span.`+string(metrics.AttrFirstChunk)+` > 5 }`)
)

func incidentLine() []panel {
	return []panel{
		{
			kind: stat, width: 4, unit: count, decimals: whole, title: "Gateways up", limits: limits{bad, []limit{{1, good}}},
			about:   "Gateways that Prometheus reaches, of the chosen ones. Fewer than there should be: see gateway starts below and the process's last line of log. No data: job and instance choose nothing.",
			queries: []query{{expr: sum("up{" + ofJob + ", " + ofInstance + "}"), legend: "up"}},
			links:   []dataLink{drill("Process", uidGateway)},
		}, {
			kind: stat, width: 4, unit: count, decimals: whole, title: "Breaks, in the range", links: []dataLink{brokenTraces},
			about:   "Owners' connections that ended before the answer was complete. A few are normal. Many at once are a deploy, a network or a crash of the clients: see the marks and the causes below.",
			queries: []query{{expr: orZero(sum(increase(series(metrics.NameBreaks), wholeRange))), legend: "breaks"}},
		}, {
			kind: stat, width: 4, unit: share, title: "Resumed, in the range", links: []dataLink{resumeTraces},
			about: "The share of the breaks that was resumed to the end of the answer. Low: see how resumes ended, and missed resumes below.",
			queries: []query{{
				expr: resumedShare(), legend: "resumed", decimals: 1, words: []valueMapping{wordForUndefined("no breaks")},
				limits: limits{bad, []limit{{.5, warn}, {.8, good}}},
			}},
		}, {
			kind: stat, width: 4, unit: usd, decimals: cents, title: "At risk now", limits: worthALook, words: []valueMapping{wordFor("0", "nothing at risk")},
			about:   "Dollars of output that nobody is connected to: lost if nobody comes back before the grace and the retention end. Restart the clients that should resume.",
			queries: []query{{expr: orZero(sum(series(metrics.NameAtRisk))), legend: "at risk"}},
		}, {
			kind: stat, width: 4, unit: usd, decimals: cents, title: "Wasted and lost, in the range", limits: worthALook, links: []dataLink{expiredTraces},
			about:   "What was posted in the range as paid for nothing. A loss is posted when its retention ends, so an incident's cost is complete a retention after its last break.",
			queries: []query{{expr: orZero(sum(increase(costNothing, wholeRange))), legend: "wasted and lost"}},
		}, {
			kind: stat, width: 4, unit: usd, decimals: cents, title: "Missed resumes, in the range", limits: worthALook, links: []dataLink{drill("Missed resumes", uidMoney)},
			about:   "What the broken answers had cost that were bought again though the gateway had them. It is what an Idempotency-Key in the clients would have saved, at the most.",
			queries: []query{{expr: orZero(sum(increase(missedCost, wholeRange))), legend: "missed"}},
		},
	}
}

func breaksAndResumes() row {
	gap := metrics.NameResumeGap
	return row{"Breaks and resumes", []line{{8, []panel{
		{
			kind: stacked, width: 8, unit: count, title: "Breaks per minute, by cause", none: "no breaks yet", links: []dataLink{brokenTraces},
			about: "client: it left, or the network did. gateway: it was going down. slow_reader: the client didn't read for so long that the gateway let go. " +
				"A peak at a deploy's mark is that deploy; slow_reader means clients or a proxy that stall.",
			queries: []query{{expr: perMinute(sum(rate(series(metrics.NameBreaks)), "cause")), legend: "{{cause}}", exemplars: true}},
		}, {
			kind: stacked, width: 8, unit: count, title: "Resumes per minute, by way and result", none: "no resumes yet", links: []dataLink{resumeTraces},
			about: "By how the stream was found (id, key) and how it ended. interrupted: it broke again or its provider failed. expired: it came after the retention; resume sooner or make retention longer. " +
				"not_found: wrong id, another principal, or another gateway.",
			queries: []query{{expr: perMinute(sum(rate(series(metrics.NameResumes)), "via", "result")), legend: "{{via}} · {{result}}", exemplars: true}},
		}, {
			kind: lines, width: 8, unit: count, title: "Missed resumes per minute, by reason", none: "no calls yet",
			about: "Calls that bought a broken answer again. not-opted-in: no key in common, so send an Idempotency-Key. ended: the repeat came after the grace had cut the first answer. " +
				"They are counted when the first answer is settled.",
			queries: []query{{expr: perMinute(sum(rate(missedCalls), "reason")), legend: "{{reason}}"}},
		},
	}}, {8, []panel{
		{
			kind: heat, width: 12, unit: seconds, title: "From a break to its resume", none: "no resumes",
			about: "How long clients stay away: each column is a step of time, each row a bucket. What lies beyond orphan_grace (60 s) finds its answer cut, where cancelling stops the bill. " +
				"A band that moves up is clients that back off too long.",
			queries: []query{{expr: sum(increase(series(gap+"_bucket"), rateWindow), "le"), legend: "{{le}}", exemplars: true}},
		}, {
			kind: lines, width: 12, unit: seconds, title: "From a break to its resume, quantiles", none: "no resumes", limits: limits{plain, []limit{{60, warn}}}, links: []dataLink{resumeTraces},
			about: "The half and the slowest twentieth of resumes. The dashed line is the default orphan_grace: where p95 is above it, some come too late; make orphan_grace longer or let clients retry sooner.",
			queries: []query{
				{expr: quantile(.5, gap), legend: "p50", exemplars: true},
				{expr: quantile(.95, gap), legend: "p95"},
			},
		},
	}}}}
}

func risk() row {
	causes := []string{"outcome", "cause"}
	return row{"Streams, and what is at risk", []line{{8, []panel{
		{
			kind: stacked, width: 6, unit: count, title: "Streams, attached and orphaned",
			about:   "Streams whose provider is still answering, by whether an owner is connected. Orphans that fall again are resumed or cut by the grace; ones that stay up are clients that don't come back.",
			queries: []query{{expr: sum(series(metrics.NameStreams), "state"), legend: "{{state}}"}},
		}, {
			kind: stacked, width: 6, unit: usd, title: "At risk, by model", none: "nothing at risk",
			about:   "Dollars of output that nobody is connected to. It falls when clients resume, and when it is posted as wasted or lost: compare with the panel of losses.",
			queries: []query{{expr: sum(series(metrics.NameAtRisk), "model"), legend: "{{model}}"}},
		}, {
			kind: lines, width: 6, unit: count, title: "Tokens pending, and of them at risk", none: "nothing pending",
			about: "Output tokens without an outcome yet, estimated from bytes while a provider is still answering. At risk close to pending: nearly all clients are gone.",
			queries: []query{
				{expr: sum(series(metrics.NamePendingTokens)), legend: "pending"},
				{expr: sum(series(metrics.NameAtRiskTokens)), legend: "of it at risk"},
			},
		}, {
			kind: stacked, width: 6, unit: usd, title: "Wasted and lost per hour, by cause", none: "nothing wasted or lost", links: []dataLink{expiredTraces},
			about: "What was posted as paid for nothing, by why. abandoned: nobody came back. upstream: the provider failed. crash: the gateway went. superseded: bought again. " +
				"Causes without anything in the range are left out.",
			queries: []query{{expr: whereAny(perHour(sum(rate(costNothing), causes...)), costNothing, causes...), legend: "{{outcome}} · {{cause}}", exemplars: true}},
		},
	}}}}
}

// errorShare is how many requests a provider failed: neither those that somebody
// cancelled nor those that the gateway ended by going away.
func errorShare() string {
	requests := sum(rate(series(metrics.NameUpstreamRequests)), "provider")
	failed := sum(rate(series(metrics.NameUpstreamErrors, `error_type!~"cancelled|gateway"`)), "provider")
	return "(" + failed + " or 0 * " + requests + ") / (" + requests + " > 0)"
}

func providers() row {
	first, between := metrics.NameTimeToFirstEvent, metrics.NameInterEvent
	return row{"Providers", []line{{8, []panel{
		{
			kind: lines, width: 12, unit: seconds, title: "Time to the first event", none: "no calls", links: []dataLink{slowTraces},
			about: "From accepting a call to its first event, as received from the provider (upstream) and as written to the client. Both up: the provider is slow. " +
				"Client alone: the gateway or its disk is; see commits on the Gateway dashboard.",
			queries: []query{
				{expr: quantile(.5, first, "at"), legend: "{{at}} p50", exemplars: true},
				{expr: quantile(.95, first, "at"), legend: "{{at}} p95"},
			},
		}, {
			kind: lines, width: 12, unit: seconds, title: "Time between events", none: "no calls",
			about: "Between the events of an answer, likewise. p95 at client well above upstream: clients read slowly, or the log commits slowly. Upstream itself: the provider stutters.",
			queries: []query{
				{expr: quantile(.5, between, "at"), legend: "{{at}} p50"},
				{expr: quantile(.95, between, "at"), legend: "{{at}} p95"},
			},
		},
	}}, {8, []panel{
		{
			kind: stacked, width: 8, unit: count, title: "Upstream errors per minute, by type", none: "no errors yet", links: []dataLink{failedTraces},
			about: "Requests to a provider that did not end with a complete answer: an HTTP status; no_response; cut: it ended without its end; error_event: it said so in the stream; " +
				"cancelled and gateway are not its fault. 429: you are over its limits.",
			queries: []query{{expr: perMinute(sum(rate(series(metrics.NameUpstreamErrors)), "error_type")), legend: "{{error_type}}", exemplars: true}},
		}, {
			kind: lines, width: 8, unit: share, title: "Share of requests that failed, by provider", none: "no requests", ceiling: 1, limits: limits{plain, []limit{{.05, warn}, {.2, bad}}}, links: []dataLink{failedTraces},
			about:   "Without those that were cancelled or that the gateway ended. Above the dashed lines, 5 and 20 %, the provider is failing: see its status page, and send calls elsewhere with what routes them.",
			queries: []query{{expr: errorShare(), legend: "{{provider}}"}},
		}, {
			kind: lines, width: 8, unit: count, title: "Requests to providers per minute", none: "no requests",
			about:   "Requests for streams. A fall to nothing while clients are there: they don't reach the gateway, or it refuses new streams because its log is full.",
			queries: []query{{expr: perMinute(sum(rate(series(metrics.NameUpstreamRequests)), "provider")), legend: "{{provider}}"}},
		},
	}}}}
}
