// Package bucket compares the books with what a vendor reports by buckets of time, where
// no request can be told from another.
//
//	result.go   what comes out
//	books.go    what the books have, by model, tier and day
//	lag.go      calls that the vendor counts to the next day
//	parts.go    a difference in tokens, split into what it can be
//	tools.go    what tools cost, where the bill charges for them apart
//	money.go    what the parts cost, and what differs in price
//	compare.go  all of it together
//	post.go     one adjustment for each model, tier and day
//	http.go     the same, in the admin plane
//
// # Guarantees
//
//   - Tokens come first: a difference in money is one of price only where it is not one
//     of tokens.
//   - The parts of a difference sum to it, in tokens by kind, and in money but for less
//     than a millionth of a dollar of a model and day, which is rounding.
//   - A part is named only where what it needs is there: estimated attempts with that
//     much room in their bounds, more requests than the books have, attempts that were cut,
//     calls near midnight whose tokens are exactly those that are missing. The rest is
//     unexplained.
//   - No attempt is changed. What is posted is one amount for a provider, model, tier and
//     day, in place of what stood there; the same again posts nothing.
package bucket
