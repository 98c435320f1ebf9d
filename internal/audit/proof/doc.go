// Package proof reads back all that is in a data directory, and proves it or says
// what is wrong, by stream and byte.
//
//	verify.go      what is read, in which order
//	proof.go       what was found
//	facts.go       streams that are still there, held against the books
//	reread.go      an answer's usage, read a second time from the stored bytes
//	rereadsums.go  what the reports of each provider come to
//	tally.go       each attempt's identities and money, and the sum of all
//
// # What is proved
//
//   - Files: every byte that has a checksum is what it was; what follows the end of a
//     log is zero, as it was made.
//   - The log: groups, records and events without gaps; each record is in the journal and
//     in a block, and both are the same; totals, indexes and ends agree.
//   - The books: the chain of hashes from its beginning, or the last summary, to the
//     anchor; one bill and one set of outcomes for each attempt and revision; delivered +
//     wasted + lost = billed, in tokens and picodollars; totals are the sums of postings.
//   - Money: rate × quantity + variance for each kind, with the rates that were posted;
//     and that those are in the price book, where this program has that version of it.
//   - Usage: what the provider reported, by a reading that shares no code with the one
//     that the books were kept by, while the answer is retained.
//   - Log and books agree: what is settled in one is in the other.
//
// # What is not
//
// Whoever can write to the directory can forge all of it, the anchor included: keep
// Ledger.Hash elsewhere. Streams whose every trace is gone are missed only if the books
// have a bill of them without outcomes. Files that have neither a checksum nor anything
// that they could be compared with (the IV of an unencrypted log, lock files) are not read
// by anybody, so what is in them is harmless. What Damages says of an encrypted log needs
// its key.
package proof
