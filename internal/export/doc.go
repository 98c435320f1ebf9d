// Package export writes the books out as a table, for spreadsheets, warehouses and
// tools that read FOCUS, the FinOps Open Cost and Usage Specification.
//
//	export.go    which rows there are, in which order
//	postings.go  the rows of an attempt's bill: one for each kind and outcome
//	streams.go   one row for each stream
//	adjustments.go  what bills have beyond the books, one row for each part
//	table.go     columns and cells
//	write.go     CSV and JSON lines
//	http.go      the same, in the admin plane
//	summarised.go  what no row can have
//
// docs/export.md has the columns. Their names are FOCUS's where the meaning is, else
// they begin with x_. The schemas have versions; a column may be added within one, at
// the end, but none changes its meaning or goes away.
//
// # Guarantees
//
//   - The rows' BilledCost sums to what the attempts were billed, to the picodollar,
//     corrections included: a revision adds rows, with what it reverses negated. With
//     those of the adjustments they come to the bills that were compared.
//   - The same books give the same bytes. Rows are in the order in which the
//     attempts were accepted.
//   - Memory is that of one attempt, however many there are.
//   - All is of one moment.
package export
