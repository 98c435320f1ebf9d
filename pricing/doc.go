// Package pricing says what tokens cost, exactly.
//
// A Book holds dated rows of rates per provider and model. Rates answers a Query
// with the rates of one attempt; Rates.Cost turns a token.Usage into a Bill. All of it is
// pure: nothing is fetched, and the same book gives the same answer for ever.
//
// # Money
//
// Amounts are Picodollars, 1e-12 dollars, in an int64: up to $9.2M each, checked.
// Totals are a Sum, which holds any total. Rates are Picodollars per token, so six
// decimals of dollars per million are exact, and more are refused. Floats are made
// only by the methods called Dollars, for gauges.
//
// # The embedded book
//
// prices.csv, one row per provider, model and period. Empty cells are not known,
// never zero. Columns, all rates in dollars per million tokens:
//
//	provider, model          as in requests; model is the canonical id
//	input, cached_input, cache_write_5m, cache_write_1h, output
//	long_context_threshold   input tokens beyond which the whole request has the
//	                         long_ rates
//	batch_, flex_, priority_ rates of these service tiers; at Anthropic priority is
//	                         the fast mode
//	regional_uplift          factor on all rates for data residency; only if asked for
//	effective_from, _to      when the row holds, days in UTC, from inclusive, to exclusive
//	source_date              since when it is known: a day, or a month's first
//	time_of_day              when in the day it holds: "peak 01:00-04:00 UTC Mon-Fri",
//	                         "00:30:00Z/16:30:00Z"; "off-peak" or nothing: else
//	source, notes            where it was found, and what to know of it
//	aliases                  other ids of the model, separated by spaces
//	status                   list (or nothing), promo, negotiated, placeholder
//	tools                    what their use costs, in dollars per use: "web_search=0.01"
//
// Of the rows that hold at a time and were known by another, the newest known one
// wins, then the one that began last, then the one with hours.
//
// # Overlays
//
// An operator's own prices are YAML (ParseOverlay), laid over a book (Book.Over): while a
// row of an overlay holds, it counts before all below it. What the book below has for the
// model and a row doesn't state is not known then, but for tools, which cost what they
// do below. A discount makes a row of each that it is of, rounded half up to
// a picodollar per token. docs/prices.md describes the file.
//
// # What is not priced
//
// What the book doesn't know is unpriced, with a Reason, never zero: models and days
// that no row holds for; service tiers that it has no rates for, since the standard
// ones would be too low; such a tier together with a long context, for which no
// source has figures; tools and audio that it has no rates for.
//
// Three fallbacks are providers' practice as of 2026-11, not arithmetic: reasoning
// is billed as output; where a model has no cached rate, or none for cache writes at
// all, these tokens are billed as input; and in the cheaper tiers (batch, flex)
// without a stated cached rate it is the standard one, or the tier's input if that is
// lower. The last is an upper bound.
package pricing
