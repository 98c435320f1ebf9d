package grafana

import "github.com/recoup-gateway/recoup/metrics"

// money is the dashboard of who is woken, in its first line, and of who pays.
func money() board {
	return board{
		uid: uidMoney, title: "Recoup: tokens and money", from: "now-6h", refresh: "30s",
		about: "What providers bill, what became of it and why. The first line is for whoever is on call, the rest for whoever pays. " +
			"What is counted is posted when it is final: a lost answer may show up one retention (15 minutes) after it broke.",
		variables: append(pairOf(), tag()),
		rows: []row{
			{lines: []line{{6, topLine()}}},
			byOutcome(), byModel(), perDelivered(), pair(), netted(), missed(), evidence(), byTag(),
		},
	}
}

// Money by what became of it. What the gateway caused is part of wasted and lost:
// it is never added to them.
var (
	cost         = series(metrics.NameCost)
	costNothing  = series(metrics.NameCost, forNothing)
	output       = series(metrics.NameOutputTokens)
	outputGotten = series(metrics.NameOutputTokens, delivered)
	saved        = series(metrics.NameSaved)
	upper        = series(metrics.NameSavedUpper)
	overhead     = series(metrics.NameOverhead)
	missedCalls  = series(metrics.NameMissed)
	missedCost   = series(metrics.NameMissedCost)
)

// net is what was avoided less what the gateway caused, in a window.
func net(window string) string {
	return sum(increase(saved, window)) + " - " + sum(increase(overhead, window))
}

func byOutcome() row {
	causes := []string{"outcome", "cause"}
	return row{"What became of what was paid", []line{{9, []panel{
		{
			kind: stacked, width: 8, unit: usd, title: "Paid per hour, by outcome", paint: outcomes, links: drills(),
			about: "Input and output, by what became of it: delivered; wasted, that is written but the answer never completed; lost, that is never received. " +
				"Where wasted or lost is a visible share, the panel beside it says why.",
			queries: []query{{expr: perHour(sum(rate(cost), "outcome")), legend: "{{outcome}}"}},
		}, {
			kind: stacked, width: 8, unit: usd, title: "Wasted and lost per hour, by cause", none: "nothing wasted or lost", links: drills(),
			about: "Money for answers that nobody could use, by why. abandoned: nobody came back in time, so let clients retry with an Idempotency-Key. " +
				"upstream: the provider failed. crash: the gateway went. superseded: the same call was bought again. tail: billed after the gateway had cut. " +
				"Causes without anything in the range are left out.",
			queries: []query{{expr: whereAny(perHour(sum(rate(costNothing), causes...)), costNothing, causes...), legend: "{{outcome}} · {{cause}}", exemplars: true}},
		}, {
			kind: stacked, width: 8, unit: count, title: "Output tokens per second, by outcome and cause", none: "no tokens posted",
			about: "Each billed output token has exactly one outcome, so this adds up to what providers billed. live: to the first connection; resumed: to a later one. " +
				"What resumed delivers would have been bought again without the gateway.",
			queries: []query{{expr: whereAny(sum(rate(output), causes...), output, causes...), legend: "{{outcome}} · {{cause}}", exemplars: true}},
		},
	}}, {8, []panel{
		{
			kind: stacked, width: 8, unit: count, title: "Input tokens per second, by kind",
			about:   "Billed input: fresh, read from the provider's cache, written to it. Where the share that the cache had falls, the same calls cost more: look for prompts that changed.",
			queries: []query{{expr: sum(rate(series(metrics.NameInputTokens)), "kind"), legend: "{{kind}}"}},
		}, {
			kind: lines, width: 8, unit: count, title: "Pending tokens, and of them at risk",
			about: "Output tokens without an outcome yet. At risk are those of streams that nobody is connected to: lost if nobody comes back. " +
				"Pending that only grows means that the books are stuck: see unsettled streams on the Gateway dashboard.",
			queries: []query{
				{expr: sum(series(metrics.NamePendingTokens)), legend: "pending"},
				{expr: sum(series(metrics.NameAtRiskTokens)), legend: "of it at risk"},
			},
		}, {
			kind: stacked, width: 8, unit: usd, title: "At risk, by model",
			about:   "What the output would be lost for that nobody is connected to. It becomes delivered when its client comes back, else wasted or lost at the end of the grace or the retention.",
			queries: []query{{expr: sum(series(metrics.NameAtRisk), "model"), legend: "{{model}}"}},
		},
	}}}}
}

func byModel() row {
	pairs := []string{"provider", "model"}
	of := func(selector string) string { return sum(increase(selector, wholeRange), pairs...) }
	column := func(legend, selector string) query { return query{expr: of(selector), legend: legend} }
	return row{"By model and provider", []line{{9, []panel{{
		kind: table, width: 24, unit: usd, decimals: cents, title: "Models, in the range", none: "no calls in the range",
		links: []dataLink{drill("What happened there", uidIncident, "provider=${__data.fields.provider}", "model=${__data.fields.model}")},
		about: "Each provider and model: what was paid, what of it was wasted or lost, its share, what the gateway caused of that (a part, not to be added), " +
			"what resumes avoided (an estimate), and what broken answers cost that were bought again. A row leads to the Incident dashboard of that model.",
		queries: []query{
			column("Paid", cost),
			column("Wasted", series(metrics.NameCost, `outcome="wasted"`)),
			column("Lost", series(metrics.NameCost, `outcome="lost"`)),
			{expr: of(costNothing) + " / (" + of(cost) + " > 0)", legend: "Share for nothing", unit: share, limits: atMost(.05, .2)},
			column("Caused by the gateway", overhead),
			column("Avoided", saved),
			column("Missed resumes", missedCost),
			{expr: of(output), legend: "Output tokens", unit: count, decimals: whole},
		},
	}}}, {8, []panel{
		{
			kind: stacked, width: 8, unit: usd, title: "Paid per hour, by model",
			about:   "What is billed, by the price book's id of the model; other is what the book doesn't know, which has no price. A jump is more calls, longer answers or another model.",
			queries: []query{{expr: perHour(sum(rate(cost), "model")), legend: "{{model}}"}},
		}, {
			kind: stacked, width: 8, unit: usd, title: "Wasted and lost per hour, by model", links: drills(),
			about:   "Money for answers that nobody could use, by model. One model alone: look at its provider's errors. All of them: look at breaks, and at the gateway.",
			queries: []query{{expr: perHour(sum(rate(costNothing), "model")), legend: "{{model}}"}},
		}, {
			kind: stacked, width: 8, unit: usd, title: "Wasted and lost per hour, by provider", links: drills(),
			about:   "Money for answers that nobody could use, by provider. One alone, with the cause upstream: the provider fails.",
			queries: []query{{expr: perHour(sum(rate(costNothing), "provider")), legend: "{{provider}}"}},
		},
	}}}}
}

// million is the cost of what was paid for each million output tokens that
// somebody got.
func million(paid, gotten string) string { return "1e6 * " + paid + " / (" + gotten + " > 0)" }

func perDelivered() row {
	return row{"Cost per delivered million tokens", []line{{8, []panel{
		{
			kind: bars, width: 8, unit: usd, decimals: cents, title: "Per delivered million output tokens, in the range", none: "nothing delivered in the range",
			about: "All that was paid, input and losses too, for each million output tokens that somebody got. " +
				"It is above the list price by the input and by what was paid for nothing; it falls when answers are resumed.",
			queries: []query{{expr: million(sum(increase(cost, wholeRange), "model"), sum(increase(outputGotten, wholeRange), "model")), legend: "{{model}}"}},
		}, {
			kind: lines, width: 16, unit: usd, title: "Per delivered million output tokens, over time", minStep: "5m", none: "nothing delivered in the range",
			about:   "The same over time. A rise without a change of prompts or prices is what losses add. There is no value where nothing was delivered.",
			queries: []query{{expr: million(sum(rate(cost), "model"), sum(rate(outputGotten), "model")), legend: "{{model}}"}},
		},
	}}}}
}
