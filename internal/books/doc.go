// Package books keeps the books of one attempt: from its facts (what was billed, at
// which rates, where its events sit) and the timeline of its events and connections
// it works out what became of every billed output token, what resumes saved, and what
// the gateway cost. It is the arithmetic of the design's section 7, pure: no clock, no
// disk, no network. Posting the result is the ledger's work, making the timeline from
// the log the gateway's.
//
// Keep is the whole of it. An Account does the same one step at a time. Compact makes
// a History small enough to be stored with the posting as its evidence: Keep of that,
// then or years later, with a corrected bill if need be, gives the same books.
//
// # Guarantees
//
//   - Every billed output token has exactly one outcome: the outcomes of settled books
//     sum to the bill, to the token and to the picodollar.
//   - Amounts are integers, and overflow is an error.
//   - Books never change once they are settled: later steps are ignored.
//   - Nothing is claimed as saved for observers, for a break that the gateway caused,
//     for one after the terminal event, for a resume that skipped, or in an attempt
//     that no owner finished.
//
// # How it reads the design where that leaves room
//
//   - The terminal event reaches an owner when it is written to the connection that
//     owns at that moment. What was written to an older connection while it was
//     replaced counts as written to an owner as soon as it owns again; the terminal
//     event among it counts with its next write.
//   - A connection that has the terminal event, or started behind it, can't break. One
//     that started behind it doesn't get ownership back.
//   - Books with a gap that a resume skipped stay pending until the end of retention,
//     even though the terminal event was delivered: someone may yet come for the gap.
//   - Outcomes wait for the attempt's end, which may come after its terminal event
//     (usage, [DONE]): its bill isn't known before. What ends it in between names no
//     cause, but for a superseding call.
//   - A token's time is that of the event it sits on, so hidden tokens are generated
//     when the first visible text comes.
//   - At a kill, what was written to the owner since its last mark counts as not
//     written if the answer was incomplete, and as written if it was complete. Either
//     way it is Uncertain. The first owner after the kill can prove more.
//   - Damage ends the owner's connection, and is the gateway's break.
//
// # Limits
//
// One attempt at a time: a client that buys its answer again elsewhere is another
// attempt's books. Quantities are at most 2^40. G is given, estimated if need be; the
// package knows nothing of bases.
package books
