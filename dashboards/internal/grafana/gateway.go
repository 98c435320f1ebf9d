package grafana

import "github.com/recoup-gateway/recoup/metrics"

// gateway is the dashboard of the program itself: whether its disk, its memory or
// its ledger is what holds streams up.
func gateway() board {
	return board{
		uid: uidGateway, title: "Recoup: gateway", from: "now-3h", refresh: "30s",
		about: "The stream log, the ledger, the process, and what the GenAI instruments of OpenTelemetry say of attempts.",
		rows: []row{
			{lines: []line{{4, gatewayLine()}}},
			storage(), delivery(), process(), genAI(),
		},
	}
}

func gatewayLine() []panel {
	start := series("process_start_time_seconds")
	return []panel{
		{
			kind: stat, width: 4, unit: count, decimals: whole, title: "Gateways up, and failed", limits: limits{bad, []limit{{1, good}}},
			about: "Gateways that Prometheus reaches, of the chosen ones. None: the process is gone, or its admin listener isn't reachable from Prometheus. " +
				"Failed: logs and ledgers that take nothing more until their gateway is restarted.",
			queries: []query{
				{expr: sum("up{" + ofJob + ", " + ofInstance + "}"), legend: "up"},
				{expr: sum(series(metrics.NameFailed)), legend: "failed", limits: limits{good, []limit{{1, bad}}}},
			},
		}, {
			kind: stat, width: 4, unit: count, decimals: whole, title: "Versions",
			about:   "How many gateways run which version. More than one for longer than a deploy: one of them was forgotten.",
			queries: []query{{expr: "count by (version) (" + series(metrics.NameBuildInfo) + ")", legend: "{{version}}"}},
		}, {
			kind: stat, width: 4, unit: count, decimals: whole, title: "Price books",
			about:   "How many gateways use which version of the price book. More than one: they price the same call differently.",
			queries: []query{{expr: "count by (version) (" + series(metrics.NamePriceBook) + ")", legend: "{{version}}"}},
		}, {
			kind: stat, width: 4, unit: seconds, title: "Youngest since", limits: limits{warn, []limit{{600, good}}},
			about:   "How long the gateway that was started last is running. Orange in the first ten minutes; if it is always orange, something restarts it: see its last line of log.",
			queries: []query{{expr: "min(time() - " + start + ")", legend: "up for"}},
		}, {
			kind: stat, width: 4, unit: count, decimals: whole, title: "Unsettled streams",
			about:   "Streams that have ended and whose tokens do not all have an outcome yet. About what ends within a retention is normal; far more means that the books are stuck: see /readyz and the log.",
			queries: []query{{expr: sum(series(metrics.NameUnsettled)), legend: "unsettled"}},
		}, {
			kind: stat, width: 4, unit: share, title: "Log full, and hours left",
			about: "How full the stream log is and how long the rest lasts, of several gateways the worst. When it is full, new streams are refused: make room, or shorten retention.",
			queries: []query{
				{expr: fullness(), legend: "full", decimals: 1, limits: fullLimits},
				{expr: hoursLeft(), legend: "left", unit: hours, decimals: 1, limits: hoursLimits, words: []valueMapping{wordFrom(year, "not filling")}},
			},
		},
	}
}

// halves are the usual two quantiles of a histogram.
func halves(q float64, tail, name string, by ...string) []query {
	legend := ""
	for _, label := range by {
		legend = "{{" + label + "}} "
	}
	return []query{{expr: quantile(.5, name, by...), legend: legend + "p50"}, {expr: quantile(q, name, by...), legend: legend + tail}}
}

func storage() row {
	return row{"Log and ledger", []line{{8, []panel{
		{
			kind: lines, width: 8, unit: seconds, title: "Group commit of the log", none: "no commits", limits: limits{plain, []limit{{.1, warn}}},
			about:   "How long a group commit takes. Each event waits for one before anyone reads it, so a slow disk delays every stream. p99 above the dashed 100 ms: the disk is busy or slow.",
			queries: halves(.99, "p99", metrics.NameCommitSeconds),
		}, {
			kind: lines, width: 8, unit: count, title: "Events in a group commit", none: "no commits",
			about:   "How many events share a commit. It grows with load by itself. Large groups with slow commits: the disk is the limit.",
			queries: halves(.99, "p99", metrics.NameCommitEvents),
		}, {
			kind: lines, width: 8, unit: seconds, title: "Group commit of the ledger", none: "no commits", limits: limits{plain, []limit{{.5, warn}}},
			about:   "With its syncs; nothing on the way of an answer waits for it. p99 above half a second: the disk syncs slowly, and metrics of the books lag.",
			queries: halves(.99, "p99", metrics.NameLedgerCommitSeconds),
		},
	}}, {8, []panel{
		{
			kind: lines, width: 8, unit: count, title: "Events committed per second",
			about: "What the log takes, with how many commits. A fall while streams are open: providers are silent, or the disk stands still.",
			queries: []query{
				{expr: sum(rate(series(metrics.NameCommitEvents + "_sum"))), legend: "events"},
				{expr: sum(rate(series(metrics.NameCommitEvents + "_count"))), legend: "commits"},
			},
		}, {
			kind: lines, width: 8, unit: bytes, title: "Waiting to be committed",
			about:   "Bytes in the queue of the log. Near 0 is normal. When it grows, the disk is too slow for what providers send, and readers fall behind.",
			queries: []query{{expr: sum(series(metrics.NameAppendQueueBytes), "instance"), legend: "{{instance}}"}},
		}, {
			kind: lines, width: 8, unit: bytes, title: "Log on disk, and room for more",
			about: "What the log takes and what it can still grow by: free on its disk, less min_free. At 0 new streams are refused with 503. Make room, or shorten retention, by SIGHUP.",
			queries: []query{
				{expr: sum(series(metrics.NameLogBytes), "instance"), legend: "log {{instance}}"},
				{expr: sum(series(metrics.NameLogFreeBytes), "instance"), legend: "room {{instance}}"},
			},
		},
	}}}}
}

func delivery() row {
	return row{"Delivery", []line{{8, []panel{
		{
			kind: lines, width: 8, unit: count, title: "Events that the slowest owner lacks",
			about:   "Events in the log that the owner who is furthest behind was not given yet. A peak is a replay. When it stays high, a client or a proxy reads too slowly, and will be let go (slow_reader).",
			queries: []query{{expr: top(series(metrics.NameDeliveryLag), "instance"), legend: "{{instance}}"}},
		}, {
			kind: lines, width: 8, unit: count, title: "Unsettled streams, over time",
			about:   "Ended, and not all of their tokens have an outcome yet. It follows the load, a retention later. A line that only goes up: the books are stuck; restart the gateway, nothing is lost by it.",
			queries: []query{{expr: sum(series(metrics.NameUnsettled), "instance"), legend: "{{instance}}"}},
		}, {
			kind: lines, width: 8, unit: count, title: "Passed through per minute, by endpoint", none: "nothing passed through yet",
			about:   "Requests that are not drained: they are not in the books and can't be resumed. If what you pay for is among them, see docs/resume.md for which calls are streams.",
			queries: []query{{expr: perMinute(sum(rate(series(metrics.NamePassthrough)), "endpoint")), legend: "{{endpoint}}"}},
		},
	}}}}
}

// longestPause is the last quantile of a summary, which the two formats that
// Prometheus scrapes write differently.
const longestPause = `quantile=~"1|1.0"`

func process() row {
	return row{"Process", []line{{8, []panel{
		{
			kind: lines, width: 8, unit: bytes, title: "Memory",
			about: "Resident, and what of it is Go's heap in use. It levels out with the number of open streams. Growth without them is a leak: keep a heap profile (pprof) and report it.",
			queries: []query{
				{expr: sum(series("process_resident_memory_bytes"), "instance"), legend: "resident {{instance}}"},
				{expr: sum(series("go_memstats_heap_inuse_bytes"), "instance"), legend: "heap {{instance}}"},
			},
		}, {
			kind: lines, width: 8, unit: count, title: "CPU cores",
			about:   "Cores that the process uses. When it reaches what it may use, all streams slow down together.",
			queries: []query{{expr: sum(rate(series("process_cpu_seconds_total")), "instance"), legend: "{{instance}}"}},
		}, {
			kind: lines, width: 8, unit: count, title: "Goroutines",
			about:   "They follow the open streams and connections. Growth without those is a leak: keep a goroutine profile (pprof) and report it.",
			queries: []query{{expr: sum(series("go_goroutines"), "instance"), legend: "{{instance}}"}},
		},
	}}, {8, []panel{
		{
			kind: lines, width: 12, unit: seconds, title: "Longest pause of the garbage collector",
			about:   "The longest stop of all goroutines in the collector's recent runs. Tens of milliseconds here are seen as time between events.",
			queries: []query{{expr: top(series("go_gc_duration_seconds", longestPause), "instance"), legend: "{{instance}}"}},
		}, {
			kind: lines, width: 12, unit: share, title: "File descriptors, of what is allowed", ceiling: 1, limits: limits{plain, []limit{{.8, warn}, {.95, bad}}},
			about:   "Each connection takes one on either side, the log a few. Near 1 new connections are refused: raise the limit (ulimit -n, LimitNOFILE).",
			queries: []query{{expr: top(series("process_open_fds")+" / "+series("process_max_fds"), "instance"), legend: "{{instance}}"}},
		},
	}}}}
}

func genAI() row {
	const model = "gen_ai_request_model"
	tokens := func(name string) string { return sum(rate(series(name))) }
	return row{"Attempts, by OpenTelemetry's GenAI conventions", []line{{8, []panel{
		{
			kind: lines, width: 8, unit: seconds, title: "Duration of an attempt", none: "no attempts",
			about:   "From sending it to the end of its answer, also where nobody was connected any more. Longer without longer answers: the provider is slow.",
			queries: halves(.95, "p95", metrics.NameGenAIDuration, model),
		}, {
			kind: lines, width: 8, unit: seconds, title: "Time to the first chunk", none: "no attempts",
			about:   "From sending an attempt to its first event. Reasoning models think first. A rise of all models of a provider is the provider's queue.",
			queries: halves(.95, "p95", metrics.NameGenAIFirstChunk, model),
		}, {
			kind: lines, width: 8, unit: seconds, title: "Time between chunks", none: "no attempts",
			about:   "Between the events of an answer, as they arrive. p95 far above p50: the provider stutters, and clients with short timeouts will break off.",
			queries: halves(.95, "p95", metrics.NameGenAIPerChunk, model),
		},
	}}, {8, []panel{
		{
			kind: lines, width: 8, unit: count, title: "Tokens per second, as providers report them", none: "no attempts",
			about: "Input and output, and what of them was read from the cache, written to it, or reasoning: parts, not to be added. Without what providers didn't report; " +
				"it begins anew with the process. The books are on Tokens and money.",
			queries: []query{
				{expr: tokens(metrics.NameGenAIInput), legend: "input"},
				{expr: tokens(metrics.NameGenAICacheRead), legend: "of it read from the cache"},
				{expr: tokens(metrics.NameGenAICacheWrite), legend: "of it written to the cache"},
				{expr: tokens(metrics.NameGenAIOutput), legend: "output"},
				{expr: tokens(metrics.NameGenAIReasoning), legend: "of it reasoning"},
			},
		}, {
			kind: lines, width: 8, unit: count, title: "Input tokens of an attempt", none: "no attempts",
			about:   "Long inputs cost with every call and every retry. A rise is a prompt or a history that grew: look for it in the client.",
			queries: halves(.95, "p95", metrics.NameGenAIOperationInput, model),
		}, {
			kind: lines, width: 8, unit: count, title: "Output tokens of an attempt", none: "no attempts",
			about:   "Long outputs are what a break is expensive in. A rise is a request without a limit, or a model that reasons more.",
			queries: halves(.95, "p95", metrics.NameGenAIOperationOutput, model),
		},
	}}}}
}
