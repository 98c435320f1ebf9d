// Package settle brings streams from the log to the books: it reads from a
// stream's log what happened, has it reckoned (internal/books), and posts it
// (internal/ledger).
//
//	read.go     the log's records become the steps of a history
//	count.go    the visible text is counted, where a position is needed
//	facts.go    what the provider bills, as it reported it or as estimated
//	posting.go  books become a posting
//	reprice.go  what is posted, at other prices
//	priced.go   of what is posted, how its amounts came about
//	settle.go   what is posted of a stream: a bill when its attempt has ended,
//	            outcomes when nothing can change them any more
//	settler.go  when it is looked at
//	view.go     the books of one stream, as they are now
//	lost.go     streams of which the log has nothing left
//	learn.go    estimates get better by what providers report
//
// All of it is computed from what is durable in the log, never from memory, so
// that a crash needs no code of its own: after it, the same functions run over
// the same records. A stream stays unsettled in the log until its postings are
// durable in the ledger, and the ledger takes each of them once; between them,
// each attempt is settled exactly once.
//
// It runs off the hot path: nothing here is done while a stream flows.
package settle
