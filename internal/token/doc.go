// Package token says how many tokens an attempt took, and how well that is known.
//
// A Usage is the normal form of what a provider reports, a Count is a number that
// may be unknown, a Basis is the evidence for a figure. Where nothing is reported,
// Len and Cumulative count text, Factors turns such counts into estimates, and a
// Range is one.
//
// # Counting
//
// The encoding is o200k, that of OpenAI's models since gpt-4o, text only: special
// tokens in it are plain text. The vocabulary is compiled in, nothing is fetched,
// and it is made ready when something is counted for the first time, so a gateway
// that never counts pays nothing for it. Time grows linearly with the text, whatever
// the text, since long ones are cut. They are cut where no token can span the cut, at
// the end of a word or number. Only where there is none for 1 KiB (one letter, blanks,
// Chinese without punctuation) is it cut all the same, and then a cut may change the
// count by a token or so. Measured per byte, such text takes up to 4 times as long as
// English prose (BenchmarkCumulative).
//
// # Estimates
//
// Counts of another tokenizer are multiplied by a factor, which is learnt from the
// answers that were reported, per model and script. Low and High of a Range are
// bounds as far as one can know, not a confidence interval: see each method for
// what it can't know.
package token
