// Package report audits a window of the books, or an incident: what was paid, what of
// it reached nobody, why, what resumes avoided, and how sure all that is.
//
//	query.go     what is asked for: a window or an incident, and groupings
//	report.go    the answer, which is also its JSON form
//	figures.go   the figures that every group has
//	compute.go   one pass over the attempts
//	attempt.go   an attempt, cut into what each group gets
//	group.go     groups
//	final.go     the report that is stored of an incident, and what it answers later
//	timeline.go  tokens by outcome, over time
//	streams.go   the streams that cost most, with their story
//	beside.go    what stands beside the attempts: missed resumes, bills, siblings
//	summarised.go  what is in no figure any more: months of which only sums remain
//
// # Rules
//
// A window selects attempts by the time at which their call was accepted: from since
// on, before until. An incident selects those that were broken in it, whenever they
// were accepted and whenever they settle. An attempt is broken when its owner's
// connection ends before the answer does (cause client, gateway or slow_reader), when
// its provider fails (upstream), or when it dies with the gateway.
//
// Cost is what was paid for nothing: output that is unusable or was never received,
// and the input of attempts of which nothing was delivered.
//
//	paid = delivered + unusable + never received + pending + input
//
// holds to the picodollar for every group, and the groups of a grouping add up to the
// whole. Grouped by cause, an attempt's tokens stand at their causes; what belongs to
// it as a whole (its count, what its resumes avoided, overhead, bounds) stands where
// its input does.
//
// # Guarantees
//
// Memory is bounded by the number of groups, not of attempts. The same books and the
// same query give the same report. Nothing is written.
package report
