// Package audit checks the books from outside: against the bill of a provider,
// which the gateway did not write, and as a sum that anyone can add up again.
//
//	bill.go       what a provider says it billed, line by line
//	match.go      which attempt each line is of
//	reconcile.go  what follows from it
//	revise.go     an estimate becomes what was billed
//	summary.go    all that the books have come to
//	http.go       both, in the admin plane
//
// It reads, computes, and asks the ledger to post; it never writes otherwise.
//
// # Guarantees
//
//   - What a provider reported is never overwritten by its bill. If the two differ,
//     by a token, the attempt is named, and stays unexplained.
//   - What was estimated becomes what was billed, as a reversal and a new posting,
//     with the outcomes worked out again from the same history. Whether the bill
//     lay within the estimate's bounds is checked against the estimate as it was
//     first posted, however often it is asked.
//   - The same bill a second time changes nothing, and finds the same.
//   - Figures of money are exact, and decimal strings in JSON.
//
// # Limits
//
// Prices are those that were posted: a bill that makes an input longer or shorter
// doesn't move it to another price tier. A line without a known request id is
// matched by provider, model and time, which can confuse two attempts of the same
// second; it can't make or lose tokens. Sum reads all attempts.
package audit
