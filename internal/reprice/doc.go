// Package reprice compares what is posted with what a newer price book says of the
// same attempts, and posts the difference as price variance if it is asked to.
//
//	reprice.go  which attempts would cost something else, and what
//	http.go     the same, in the admin plane
//
// A price that becomes known later never changes the books by itself. Who wants it
// in them asks twice: to see the difference, and to post it. A posting reverses what
// stands and posts anew, as revision + 1 of reason price_variance; the bill keeps the
// version of the first price, and the difference to it stands beside each kind.
//
// Limits: an attempt's model is the one it was booked under; of those that the book
// didn't know then, the one that the client asked for.
package reprice
