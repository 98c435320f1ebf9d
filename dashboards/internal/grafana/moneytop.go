package grafana

import "github.com/recoup-gateway/recoup/metrics"

// Limits of money on the first line: what is worth a look, and what is worth
// waking somebody for, in dollars (per hour).
var worthALook = atMost(1, 10)

// year is so many hours that a log which lasts them is not filling.
const year = 8760

// topLine is what must be read within ten seconds, in this order.
func topLine() []panel {
	return []panel{losing(), atRisk(), resumed(), netOfDay(), books(), logFull()}
}

func losing() panel {
	return panel{
		kind: stat, width: 4, unit: usd, decimals: cents, title: "Losing now, per hour", minStep: "5m", limits: worthALook, links: drills(),
		about: "Dollars per hour that are being posted as wasted or lost, over the last minutes: paid for answers that nobody can use. " +
			"When it is orange or red: the causes are in the second panel below, the course of it on the Incident dashboard. " +
			"It lags: what nobody comes back for is posted when its retention ends; until then it is at risk.",
		queries: []query{{expr: orZero(perHour(sum(rate(costNothing)))), legend: "wasted and lost"}},
	}
}

func atRisk() panel {
	return panel{
		kind: stat, width: 4, unit: usd, decimals: cents, title: "At risk", links: drills(),
		about: "What is lost if nobody comes back: dollars of output that nobody is connected to, and the streams whose provider is still answering without an owner. " +
			"When it grows: clients are dropping and not resuming. Let them come back with the stream's id or their Idempotency-Key before the grace and the retention end.",
		queries: []query{
			{expr: orZero(sum(series(metrics.NameAtRisk))), legend: "dollars", limits: worthALook, words: []valueMapping{wordFor("0", "nothing at risk")}},
			{expr: sum(series(metrics.NameStreams, `state="orphaned"`)), legend: "streams", unit: count, decimals: whole},
		},
	}
}

// resumedShare is how many of the breaks in the range were resumed to the end. It
// is more than 1 where the range has the resumes and not the breaks. A share of no
// breaks is NaN, which is said in words; no value at all is a gateway that nobody
// scrapes.
func resumedShare() string {
	return "(" + orZero(sum(increase(series(metrics.NameResumes, `result="completed"`), wholeRange))) + ") / (" +
		orZero(sum(increase(series(metrics.NameBreaks), wholeRange))) + ")"
}

func resumed() panel {
	return panel{
		kind: stat, width: 4, unit: share, title: "Breaks resumed, and missed", links: drills(),
		about: "Of the breaks in the range, the share that was resumed to the end of the answer; and the calls that bought the same answer again though the gateway had it. " +
			"When the share is low or anything is missed: clients retry without an Idempotency-Key, or later than the grace. Missed resumes, below, say which.",
		queries: []query{
			{
				expr: resumedShare(), legend: "resumed", decimals: 1, words: []valueMapping{wordForUndefined("no breaks")},
				limits: limits{bad, []limit{{.5, warn}, {.8, good}}},
			},
			{expr: orZero(sum(increase(missedCalls, wholeRange))), legend: "missed", unit: count, decimals: whole, limits: limits{good, []limit{{.5, warn}}}},
		},
	}
}

func netOfDay() panel {
	return panel{
		kind: stat, width: 4, unit: usd, decimals: cents, title: "Net of 24 h", limits: limits{bad, []limit{{0, good}}}, links: drills(),
		about: "What resumes avoided (the careful claim, an estimate) less what the gateway itself caused, over 24 hours whatever the range. " +
			"When it is negative: the gateway drains answers that nobody comes back for, or was killed. See its kinds below; a shorter orphan_grace makes unclaimed smaller.",
		queries: []query{{expr: orZero(net(day)), legend: "avoided less caused"}},
	}
}

func books() panel {
	return panel{
		kind: stat, width: 4, unit: count, title: "Books: all must be 0", none: "no data",
		about: "Imbalance: tokens by which postings were off that the ledger refused; a bug or damage: keep the data directory and report it. " +
			"Unpriced: attempts in the range whose money is missing above; add the price (docs/prices.md). " +
			"Unexplained: dollars by which a provider's bill and the books differ; there only once a bill was compared (docs/books.md).",
		queries: []query{
			{expr: sum(series(metrics.NameLedgerImbalance)), legend: "imbalance, tokens", decimals: whole, limits: mustBeZero(.5)},
			{expr: sum(increase(series(metrics.NameUnpriced), wholeRange)), legend: "unpriced, attempts", decimals: whole, limits: limits{good, []limit{{.5, bad}}}},
			{expr: sum("abs(" + series(metrics.NameUnexplained) + ")"), legend: "unexplained", unit: usd, decimals: cents, limits: mustBeZero(.005)},
		},
	}
}

// fullness is the share that the log takes of what it may.
func fullness() string {
	taken, free := series(metrics.NameLogBytes), series(metrics.NameLogFreeBytes)
	return top(taken + " / (" + taken + " + " + free + ")")
}

// hoursLeft is how long the free bytes last at the last hour's pace, a year at the
// most: what grows by less than a byte a second isn't filling.
func hoursLeft() string {
	free := series(metrics.NameLogFreeBytes)
	return "min(clamp_max(" + free + " / clamp_min(-deriv(" + free + "[1h]), 1) / 3600, 8760))"
}

var (
	fullLimits  = atMost(.7, .9)
	hoursLimits = limits{bad, []limit{{2, warn}, {8, good}}}
)

func logFull() panel {
	return panel{
		kind: stat, width: 4, unit: share, title: "Log full, and hours left", links: []dataLink{drill("Log and disk", uidGateway)},
		about: "How full the stream log is, of what it takes and may still take, and how long the rest lasts at the last hour's pace; of several gateways the worst. " +
			"When it is full, new streams are refused. Make room on its disk, or shorten retention, by SIGHUP. After a start the log grows for one retention and then levels out.",
		queries: []query{
			{expr: fullness(), legend: "full", decimals: 1, limits: fullLimits},
			{expr: hoursLeft(), legend: "left", unit: hours, decimals: 1, limits: hoursLimits, words: []valueMapping{wordFrom(year, "not filling")}},
		},
	}
}
