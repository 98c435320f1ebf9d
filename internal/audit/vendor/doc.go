// Package vendor reads what providers report of usage and of costs, by buckets of time:
// pages of OpenAI's and Anthropic's admin APIs, and the CSV files of their consoles.
//
//	row.go        the form that all of it is brought into
//	read.go       what a file is, and that it is whole
//	pages.go      JSON, one page or several
//	openai.go     what OpenAI's pages and files say
//	anthropic.go  what Anthropic's say
//	csv.go        CSV
//	statement.go  the sums by model, tier and day that a comparison needs
//	fetch.go      the same from the admin APIs
//
// It streams: memory is one bucket of a page, or one row of a CSV file, and the sums.
// It guesses nothing: another currency, a cut file, a row that can't be read are errors
// that name the line, and after an error nothing of the file counts.
package vendor
