package grafana

import "github.com/recoup-gateway/recoup/metrics"

// forecast is what must be said wherever gpt-5.5-mini's price is used.
const forecast = " The price of gpt-5.5-mini is a forecast that no source confirms (placeholder in the price book)."

// pair is two models side by side, for what the same accident costs on each.
func pair() row {
	both := func(expr func(model string) string) []query {
		return []query{{expr: expr(`model="$large"`), legend: "$large"}, {expr: expr(`model="$small"`), legend: "$small"}}
	}
	total := func(name, window string, matchers ...string) string {
		return sum(increase(series(name, matchers...), window))
	}
	perMillion := func(model string) string {
		return million(total(metrics.NameCost, wholeRange, model), total(metrics.NameOutputTokens, wholeRange, model, delivered))
	}
	perLost := func(model string) string {
		return "(" + total(metrics.NameCost, wholeRange, model, forNothing, `direction="output"`) + " / (" +
			total(metrics.NameOutputTokens, wholeRange, model, forNothing) + " > 0))"
	}
	ratio := func(of func(string) string) string { return of(`model="$large"`) + " / (" + of(`model="$small"`) + ")" }
	return row{"$large beside $small", []line{{6, []panel{
		{
			kind: stat, width: 6, unit: usd, decimals: cents, title: "Paid, in the range", none: "neither model was used",
			about:   "What each of the two was billed. The models are the variables Large model and Small model, by their ids in the price book." + forecast,
			queries: both(func(m string) string { return total(metrics.NameCost, wholeRange, m) }),
		}, {
			kind: stat, width: 6, unit: usd, decimals: cents, title: "Wasted and lost, in the range", none: "neither model was used",
			about:   "What each of the two was billed for answers that nobody could use. The same break costs many times as much on the large one: resume that first." + forecast,
			queries: both(func(m string) string { return total(metrics.NameCost, wholeRange, m, forNothing) }),
		}, {
			kind: stat, width: 6, unit: usd, decimals: cents, title: "Per delivered million tokens", none: "nothing delivered",
			about:   "All that was paid for each million output tokens that somebody got, in the range. Far above the list price: losses, or long inputs for short answers." + forecast,
			queries: both(perMillion),
		}, {
			kind: stat, width: 6, unit: count, decimals: 1, title: "Large, in times of small", none: "nothing to compare",
			about: "How many times what the small one costs: for each delivered token, all in; and for each output token that was wasted or lost. Each is there once both models have such tokens in the range. " +
				"A figure far from the ratio of the list prices means that one of the two loses more." + forecast,
			queries: []query{
				{expr: ratio(perMillion), legend: "delivered token"},
				{expr: ratio(perLost), legend: "lost token"},
			},
		},
	}}, {8, []panel{
		{
			kind: lines, width: 12, unit: usd, title: "Wasted and lost per hour, of the pair", none: "neither model was used", links: drills(),
			about:   "The two over time. When both rise together it is the clients, the network or the gateway; one alone is the provider's side." + forecast,
			queries: both(func(m string) string { return perHour(sum(rate(series(metrics.NameCost, m, forNothing)))) }),
		}, {
			kind: lines, width: 12, unit: usd, title: "Per delivered million tokens, of the pair", minStep: "5m", none: "nothing delivered",
			about: "All that was paid for each million output tokens that somebody got, over time. A rise at the same list price is what losses add." + forecast,
			queries: both(func(m string) string {
				return million(sum(rate(series(metrics.NameCost, m))), sum(rate(series(metrics.NameOutputTokens, m, delivered))))
			}),
		},
	}}}}
}

// netted is what resumes avoided and what the gateway caused, side by side and
// never added to what was paid.
func netted() row {
	return row{"Avoided by resumes, and caused by the gateway", []line{{5, []panel{
		{
			kind: stat, width: 6, unit: usd, decimals: cents, title: "Avoided, in the range (estimate)",
			about:   "What clients would have paid again without the gateway. The claim is careful, the upper is the most that it can be. Nothing is claimed for breaks that the gateway caused.",
			queries: []query{{expr: orZero(sum(increase(saved, wholeRange))), legend: "claim"}, {expr: orZero(sum(increase(upper, wholeRange))), legend: "at the most"}},
		}, {
			kind: stat, width: 6, unit: usd, decimals: cents, title: "Caused by the gateway, in the range",
			about: "What of wasted and lost comes from the gateway's own doing; a part of those. unclaimed: drained on for a client that didn't come back; shorten orphan_grace. " +
				"crash: it was killed or its disk was full. retry: it asked twice.",
			queries: []query{{expr: sum(increase(overhead, wholeRange), "kind"), legend: "{{kind}}"}},
		}, {
			kind: stat, width: 6, unit: usd, decimals: cents, title: "Net, in the range", limits: limits{bad, []limit{{0, good}}},
			about:   "The claim less what the gateway caused. When it is negative, the gateway cost more than it saved in this range: see the kinds beside it.",
			queries: []query{{expr: orZero(net(wholeRange)), legend: "net"}},
		}, {
			kind: stat, width: 6, unit: count, title: "The same in tokens, in the range",
			about: "Tokens that were not bought again (input and output), and tokens of wasted and lost output and input that the gateway caused. Money is what to judge by: input is far cheaper.",
			queries: []query{
				{expr: orZero(sum(increase(series(metrics.NameSavedTokens), wholeRange))), legend: "avoided"},
				{expr: orZero(sum(increase(series(metrics.NameOverheadTokens), wholeRange))), legend: "caused"},
			},
		},
	}}, {8, []panel{
		{
			kind: lines, width: 12, unit: usd, title: "Avoided and caused, per hour",
			about: "Claim, upper, and what the gateway caused, over time. They are posted when answers are settled. Caused above the claim for long: see its kinds above.",
			queries: []query{
				{expr: perHour(sum(rate(saved))), legend: "avoided: claim"},
				{expr: perHour(sum(rate(upper))), legend: "avoided: at the most"},
				{expr: perHour(sum(rate(overhead), "kind")), legend: "caused: {{kind}}"},
			},
		}, {
			kind: lines, width: 12, unit: usd, title: "Net of 24 h, over time", limits: limits{bad, []limit{{0, good}}},
			about:   "What the first line shows as of now: of each moment, the 24 hours before it. Below 0 the gateway cost more than it saved.",
			queries: []query{{expr: net(day), legend: "net of 24 h"}},
		},
	}}}}
}

func missed() row {
	return row{"Missed resumes", []line{{8, []panel{
		{
			kind: lines, width: 12, unit: count, title: "Missed resumes per hour, by reason",
			about: "Calls that bought again an answer which an earlier one had broken off. not-opted-in: the two had no key in common; send an Idempotency-Key. " +
				"ended: the repeat came after the grace or a cap; make orphan_grace longer, or retry sooner.",
			queries: []query{{expr: perHour(sum(rate(missedCalls), "reason")), legend: "{{reason}}"}},
		}, {
			kind: bars, width: 6, unit: usd, decimals: cents, title: "Missed, in dollars, by reason", none: "no calls yet",
			about:   "What the broken answers had cost, in the range: the most that resumes could have saved. This is what an Idempotency-Key in the clients is worth.",
			queries: []query{{expr: sum(increase(missedCost, wholeRange), "reason"), legend: "{{reason}}"}},
		}, {
			kind: bars, width: 6, unit: usd, decimals: cents, title: "Missed, in dollars, by model", none: "no calls yet",
			about:   "The same by model. Begin with the clients of the one with the longest bar: give them an Idempotency-Key.",
			queries: []query{{expr: sum(increase(missedCost, wholeRange), "model"), legend: "{{model}}"}},
		},
	}}}}
}

// evidence is how sure the figures are. Corrections have no provider and no model.
func evidence() row {
	ofTotal := func(name string, window func(string) string, by ...string) string {
		return sum(window(series(name, estimated)), by...) + " / (" + sum(window(series(name)), by...) + " > 0)"
	}
	inRange := func(s string) string { return increase(s, wholeRange) }
	kinds := []string{"reason", "sign"}
	return row{"How sure the figures are", []line{{8, []panel{
		{
			kind: stat, width: 6, unit: share, decimals: 1, title: "Estimated share, in the range", none: "nothing posted", limits: atMost(.1, .5),
			about: "What part was estimated when it was posted, because the provider reported no usage: cut answers, mostly. A sum is as good as its worse part. " +
				"When it is high: see that include_usage is on, and reconcile with the bill (docs/books.md).",
			queries: []query{
				{expr: ofTotal(metrics.NameCost, inRange), legend: "of what was paid"},
				{expr: ofTotal(metrics.NameOutputTokens, inRange), legend: "of output tokens"},
				{expr: ofTotal(metrics.NameInputTokens, inRange), legend: "of input tokens"},
			},
		}, {
			kind: lines, width: 9, unit: share, title: "Estimated share of what was paid, by model", minStep: "5m", none: "nothing posted", ceiling: 1,
			about:   "Of each model, the share of what was paid that was estimated when it was posted. One alone that is high doesn't report its usage in streams, or its answers are cut more often.",
			queries: []query{{expr: ofTotal(metrics.NameCost, rate, "model"), legend: "{{model}}"}},
		}, {
			kind: stacked, width: 9, unit: usd, title: "Paid per hour, by evidence",
			about:   "reported: the provider said so. estimated: counted from what arrived. Corrections since are beside it, not in it.",
			queries: []query{{expr: perHour(sum(rate(cost), "basis")), legend: "{{basis}}"}},
		},
	}}, {8, []panel{
		{
			kind: bars, width: 6, unit: usd, decimals: cents, title: "Corrections in dollars, in the range",
			about:   "What corrections added (plus) and took away (minus), of what had been posted before; a counter can't go down. Large ones mean that estimates are off: which models, the audit says.",
			queries: []query{{expr: sum(increase(series(metrics.NameAdjustedCost), wholeRange), kinds...), legend: "{{reason}}, {{sign}}"}},
		}, {
			kind: bars, width: 6, unit: count, title: "Corrections in tokens, in the range",
			about:   "The same in tokens, input and output. A token that moved from one outcome to another is in both signs.",
			queries: []query{{expr: sum(increase(series(metrics.NameAdjustedTokens), wholeRange), kinds...), legend: "{{reason}}, {{sign}}"}},
		}, {
			kind: bars, width: 6, unit: count, decimals: whole, title: "Unpriced attempts, in the range", limits: limits{good, []limit{{.5, bad}}},
			about:   "Attempts whose tokens are booked without a price, all or a part. While there are any, money figures are too low. Add the model or the rate to a price file (docs/prices.md).",
			queries: []query{{expr: sum(increase(series(metrics.NameUnpriced), wholeRange), "reason"), legend: "{{reason}}"}},
		}, {
			kind: stat, width: 6, unit: usd, decimals: cents, title: "Unexplained, by provider", none: "no bill compared yet", limits: mustBeZero(.005),
			about:   "The provider's bill less the books, of all complete bills so far. Not 0: the report of the reconciliation names the lines (docs/books.md). It is there once a bill was compared.",
			queries: []query{{expr: sum(series(metrics.NameUnexplained), "provider"), legend: "{{provider}}"}},
		},
	}}}}
}

// byTag is by a label whose name only the operator knows. It is alone in its list:
// where there is no such label, the variable is empty, and "by ()" is allowed.
func byTag() row {
	const none = "label_tags is not set"
	tagged := func(matchers ...string) string { return series(metrics.NameTaggedCost, matchers...) }
	of := func(selector string) string { return "sum by ($tag) (" + increase(selector, wholeRange) + ")" }
	return row{"By tag (only where label_tags is set)", []line{{8, []panel{
		{
			kind: table, width: 12, unit: usd, decimals: cents, title: "Tags, in the range", none: none,
			about: "The same dollars as above, by the value of the tag that the variable Tag names; empty is calls without it, other is beyond the first 50 values. " +
				"Only where label_tags is set. A team with a high share for nothing is the one to talk to.",
			queries: []query{
				{expr: of(tagged()), legend: "Paid"},
				{expr: of(tagged(forNothing)), legend: "Wasted and lost"},
				{expr: of(tagged(forNothing)) + " / (" + of(tagged()) + " > 0)", legend: "Share for nothing", unit: share, limits: atMost(.05, .2)},
				{expr: of(series(metrics.NameTaggedOutputTokens)), legend: "Output tokens", unit: count, decimals: whole},
			},
		}, {
			kind: stacked, width: 12, unit: usd, title: "Wasted and lost per hour, by tag", none: none,
			about:   "Money for answers that nobody could use, by the value of the tag. Only where label_tags is set. One value alone: that team's clients drop or give up.",
			queries: []query{{expr: perHour("sum by ($tag) (" + rate(tagged(forNothing)) + ")"), legend: "__auto"}},
		},
	}}}}
}
